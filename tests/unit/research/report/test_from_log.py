"""From a log to the page: what the scribe of a backtest wrote down is what the report shows."""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import AlertRaised, Bar, EquityChanged, FeedBars
from libs.research.report import page
from libs.research.result import SeriesUsed, result_of
from libs.research.scribe import Scribe
from libs.trading.fill_model import REALISTIC_BARS
from libs.trading.track_record import Trials
from tests.unit.research.report.samples import CASH, HOUR, NAME, START, charts_of, trace


def test_a_log_without_a_trade_becomes_a_page() -> None:
    """Two days of bars and equity: the curve, the prices and the alert are there, and 1 % is what was gained."""
    scribe = Scribe()
    for hour in range(1, 49):
        end, px = START + hour * HOUR, 100.0 + hour
        times = {"ts_event": end, "ts_init": end}
        bar = Bar(
            instrument=NAME,
            venue="binance",
            timeframe="1h",
            ts_open=end - HOUR,
            ts_close=end,
            open=px,
            high=px + 1,
            low=px - 1,
            close=px,
            volume=1.0,
        )
        scribe(2 * hour, FeedBars(end_ts=end, bars=(bar,), **times))
        equity = CASH + Decimal(hour * 100) / 48
        none = Decimal(0)
        scribe(
            2 * hour + 1,
            EquityChanged(
                balance=equity,
                equity=equity,
                realized_pnl=none,
                unrealized_pnl=none,
                high_water_mark=equity,
                drawdown=none,
                **times,
            ),
        )
    scribe(200, AlertRaised(code="QUIET", severity="note", text="nothing happens", ts_event=end, ts_init=end))
    series = SeriesUsed(instrument=NAME, timeframe="1h", bars=48, first_ts_open=START, end_ts=end, digest="0")
    result = result_of(
        scribe,
        series=(series,),
        settings={},
        code_version="1",
        model=REALISTIC_BARS,
        quote="USDT",
        cash=CASH,
        qty_steps={},
        trials=Trials(),
    )
    found = page(result)
    assert "+1.00 % in 1 full day, 0 round trips." in found
    assert ">QUIET<" in found
    charts = charts_of(result)
    assert trace(charts["chart-equity"], "equity")["y"][-1] == 10_100.0
    assert trace(charts["chart-price-0"], "price")["close"] == [100.0 + hour for hour in range(1, 49)]
