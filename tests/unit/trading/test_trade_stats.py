"""Statistics of trades: by hand, with what cannot be known left unknown."""

from __future__ import annotations

import math
from decimal import Decimal
from random import Random

import pytest

from libs.trading.bootstrap import Interval
from libs.trading.calibration import wilson
from libs.trading.daily_equity import DAY_NS
from libs.trading.round_trips import RoundTrip
from libs.trading.trade_stats import activity, grouped, trade_statistics

D = Decimal
HOUR = DAY_NS // 24


def a_trip(pnl: str = "10", **changed: object) -> RoundTrip:
    """A long of an hour that earned this, after one of costs."""
    fields: dict[str, object] = {
        "instrument": "BTC-USDT",
        "direction": "LONG",
        "entry_ts": 0,
        "exit_ts": HOUR,
        "qty": D(1),
        "avg_entry_px": D(100),
        "entry_notional": D(100),
        "exit_notional": D(100),
        "commission": D(1),
        "pnl": D(pnl),
        "risk": D(10),
        "reward": D(8),
        "fills": 2,
        "agents": ("trend",),
        "intent_ids": (),
        "regime": "BULL",
        "reason": "TARGET",
        "is_open": False,
    }
    return RoundTrip(**(fields | changed))  # type: ignore[arg-type]


def test_figures_by_hand() -> None:
    """20, -10, 0, 30, -10: two of five won, 50 over 20, 6 a trade, 25 over 10, and zero counts in the denominator."""
    found = trade_statistics([a_trip(pnl) for pnl in ("20", "-10", "0", "30", "-10")])
    assert (found.count, found.wins, found.losses, found.zeros) == (5, 2, 2, 1)
    assert found.win_rate == Interval(0.4, *wilson(2, 5))
    assert found.profit_factor.value == 2.5
    assert (found.expectancy.value, found.expectancy_r.value) == (6.0, 0.6)
    assert found.payoff.value == 2.5
    assert found.cost_share.value == pytest.approx(5 / (21 + 1 + 31))
    assert (found.net_pnl, found.commission, found.best, found.worst) == (D(30), D(5), D(30), D(-10))
    assert found.break_even_rate == pytest.approx(10 / 18)  # 0.8 R of target: a coin wins 55.6 %
    assert (found.holding_mean_s.value, found.holding_median_s.value) == (3600.0, 3600.0)


def test_runs_of_wins_and_losses() -> None:
    """A trade that earned nothing ends both."""
    found = trade_statistics([a_trip(pnl) for pnl in ("1", "1", "0", "1", "-1", "-1", "-1", "1")])
    assert (found.wins_in_a_row, found.losses_in_a_row) == (2, 3)


def test_what_cannot_be_known_is_never_infinite() -> None:
    """Only winners: no profit factor and no payoff. No trades: nothing. No plan: no R and no break-even."""
    winners = trade_statistics([a_trip("5")] * 40)
    assert math.isnan(winners.profit_factor.value)
    assert math.isnan(winners.payoff.value)
    assert winners.expectancy.value == 5.0
    nothing = trade_statistics([])
    assert math.isnan(nothing.win_rate.value)
    assert math.isnan(nothing.expectancy.value)
    assert (nothing.best, nothing.net_pnl) == (None, D(0))
    planless = trade_statistics([a_trip("5", risk=None, reward=None)])
    assert math.isnan(planless.expectancy_r.value)
    assert math.isnan(planless.break_even_rate)
    assert math.isnan(trade_statistics([a_trip("-5", commission=D(1))]).cost_share.value)


def test_an_open_position_is_in_no_statistic() -> None:
    """It has neither won nor lost."""
    with pytest.raises(ValueError, match="neither won nor lost"):
        trade_statistics([a_trip(), a_trip(is_open=True)])


def test_intervals_hold_their_figures_and_shrink() -> None:
    """Around every figure, and narrower with more trades; the same seed gives the same."""
    random = Random(4)
    trips = [a_trip(f"{random.gauss(1, 10):.4f}", exit_ts=place * HOUR + HOUR) for place in range(800)]
    many, few = trade_statistics(trips), trade_statistics(trips[:80])
    assert many == trade_statistics(trips)
    for name in ("win_rate", "profit_factor", "expectancy", "expectancy_r", "payoff", "cost_share", "holding_mean_s"):
        wide, narrow = getattr(few, name), getattr(many, name)
        assert narrow.low <= narrow.value <= narrow.high
        assert narrow.low < narrow.high
        if name != "holding_mean_s":
            assert narrow.high - narrow.low < wide.high - wide.low


def test_groups_by_agent_hour_regime_and_instrument() -> None:
    """A trade that two agents led is in both groups; the hour is that of the entry in UTC."""
    trips = [a_trip(agents=("a", "b"), entry_ts=23 * HOUR), a_trip(agents=("b",), regime="BEAR", instrument="ETH-USDT")]
    assert {name: len(group) for name, group in grouped(trips, "agent").items()} == {"a": 1, "b": 2}
    assert list(grouped(trips, "hour")) == ["00", "23"]
    assert list(grouped(trips, "regime")) == ["BEAR", "BULL"]
    assert list(grouped(trips, "instrument")) == ["BTC-USDT", "ETH-USDT"]
    assert list(grouped([a_trip(agents=())], "agent")) == [""]


def test_exposure_counts_time_once_and_turnover_by_the_year() -> None:
    """Two trades that overlap for an hour, one that is still open: 12 h of 4 days; 500 traded at 1,000 of equity in four days."""
    trips = [
        a_trip(entry_ts=0, exit_ts=4 * HOUR),
        a_trip(entry_ts=3 * HOUR, exit_ts=6 * HOUR),
        a_trip(entry_ts=90 * HOUR, exit_ts=92 * HOUR, exit_notional=D(0), is_open=True),
        a_trip(entry_ts=-9 * HOUR, exit_ts=-8 * HOUR),
    ]
    found = activity(trips, start_ts=0, end_ts=4 * DAY_NS, mean_equity=1_000.0)
    assert found.exposure.value == pytest.approx(12 / 96)
    assert found.turnover.value == pytest.approx(0.5 / 4 * 365)
    assert found.exposure.low <= found.exposure.value <= found.exposure.high
    assert math.isnan(activity(trips, start_ts=5, end_ts=5, mean_equity=1_000.0).exposure.value)
    half = activity([a_trip(entry_ts=0, exit_ts=6 * HOUR)], start_ts=0, end_ts=36 * HOUR, mean_equity=100.0)
    assert half.exposure.value == pytest.approx(6 / 36)
