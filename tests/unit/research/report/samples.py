"""Backtests that never ran: results made of fills and observations, so that every number on the page can be said beforehand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages import LevelMap, OrderIntent, PriceZone
from libs.research.report.charts import Chart
from libs.research.report.document import sections_of
from libs.research.result import BacktestResult, SeriesUsed, Variant
from libs.research.scribe import Entry, PriceBar
from libs.trading.daily_equity import DAY_NS, DailyEquity, Observed, daily_equity
from libs.trading.fill_model import REALISTIC_BARS
from libs.trading.round_trips import Fill, round_trips
from libs.trading.track_record import Trials, book_record

HOUR = 3_600_000_000_000
START = int(datetime(2025, 1, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
CASH = Decimal(10_000)
NAME = "BTC-USDT"
HOSTILE = "</script><script>alert(1)</script><img src=//evil.example onerror=alert(2)><a href='https://evil.example/'>x</a>&\""


def zone(mid: float, role: str, *, score: float = 2.0, since: int = START) -> PriceZone:
    """A zone one wide on both sides."""
    return PriceZone(
        lo=mid - 1,
        hi=mid + 1,
        mid=mid,
        role=role,
        touches=3,
        score=score,
        first_ts=since,
        last_ts=since,
        confirmed_ts=since,
    )  # type: ignore[arg-type]


def level_map(*zones: PriceZone, instrument: str = NAME) -> LevelMap:
    """A map of these zones."""
    return LevelMap(
        instrument=instrument,
        timeframe="1h",
        ready=True,
        close_px=100.0,
        atr=1.0,
        zones=zones,
        poc=100.0,
        val=95.0,
        vah=105.0,
        hvn=(),
        lvn=(),
    )


def wish(place: int, *, instrument: str = NAME, levels: LevelMap | None = None, px: int = 100) -> Entry:
    """The wish to enter that began the trip `place`: stop 5 below, target 10 above."""
    ts = START + place * DAY_NS + HOUR
    return Entry(
        OrderIntent(
            intent_id=f"intent-{place}",
            instrument=instrument,
            side="BUY",
            ord_type="MARKET",
            time_in_force="GTC",
            order_qty=Decimal(1),
            limit_px=None,
            ref_px=Decimal(px),
            stop_px=Decimal(px - 5),
            target_px=Decimal(px + 10),
            reduce_only=False,
            valid_until=ts + HOUR,
            reason="trend",
            ts_event=ts,
            ts_init=ts,
        ),
        levels,
    )


def fills_of(
    place: int,
    pnl: Decimal,
    *,
    instrument: str = NAME,
    agent: str = "trend",
    reason: str = "STOP",
    px: int = 100,
    is_left: bool = True,
) -> list[Fill]:
    """A long trip of one unit on the day `place`, in at 01:00 and out three hours later, that earns `pnl` after a commission of one."""
    ts, cost = START + place * DAY_NS + HOUR, Decimal("0.5")
    known: dict[str, Any] = {
        "instrument": instrument,
        "qty": Decimal(1),
        "commission": cost,
        "agents": (agent,),
        "regime": "BULL",
    }
    planned = {"stop_px": Decimal(px - 5), "target_px": Decimal(px + 10), "intent_id": f"intent-{place}"}
    entry = Fill(side="BUY", px=Decimal(px), ts=ts, exec_id=f"in-{place}", reason="trend", **planned, **known)
    left = Fill(side="SELL", px=px + pnl + 2 * cost, ts=ts + 3 * HOUR, exec_id=f"out-{place}", reason=reason, **known)
    return [entry, left] if is_left else [entry]


def result_of_fills(
    fills: list[Fill], *, days: int, end: int | None = None, instrument: str = NAME, **changes: Any
) -> BacktestResult:
    """A backtest of so many days (from midnight to midnight) in which these fills happened and nothing else moved its equity."""
    now = START + days * DAY_NS if end is None else end
    trips = round_trips(fills, {})
    equity, observed = CASH, [Observed(START, CASH)]
    for trip in trips.closed:
        equity += trip.pnl
        observed.append(Observed(trip.exit_ts, equity))
    daily: DailyEquity = daily_equity(observed, now=now)
    bars = [PriceBar(START + hour * HOUR, 100.0, 112.0, 94.0, 101.0) for hour in range(max(1, (now - START) // HOUR))]
    found = BacktestResult(
        digest="d" * 32,
        settings_digest="5" * 32,
        code_version="1.2.3",
        series=(
            SeriesUsed(
                instrument=instrument, timeframe="1h", bars=len(bars), first_ts_open=START, end_ts=now, digest="b" * 32
            ),
        ),
        model=REALISTIC_BARS,
        quote="USDT",
        cash=CASH,
        equity_final=equity,
        drawdown_max=Decimal("0.0123"),
        daily=daily,
        trips=trips,
        record=book_record(daily, trips, trials=Trials(count=3, variance=0.001)),
        curve=[(each.ts, float(each.equity)) for each in observed],
        prices={instrument: bars},
        levels={},
        entries=[],
        counts={"OrderIntent": len(fills)},
        denials={},
        alerts={},
    )
    return msgspec.structs.replace(found, **changes)


def forty_days() -> BacktestResult:
    """Forty days, forty trips: three win 20, the fourth loses 30; two variants, zones, denials and alerts, one trip still open."""
    pnls = [Decimal(-30 if place % 4 == 3 else 20) for place in range(39)]
    fills = [
        each
        for place, pnl in enumerate(pnls)
        for each in fills_of(place, pnl, reason="TARGET" if pnl > 0 else "STOP", agent="trend" if place % 2 else "mine")
    ]
    levels = level_map(zone(90, "SUPPORT"), zone(97, "SUPPORT"), zone(108, "RESISTANCE", score=9.0))
    return result_of_fills(
        [*fills, *fills_of(39, Decimal(0), is_left=False)],
        days=40,
        levels={NAME: levels},
        entries=[wish(place, levels=levels) for place in range(40)],
        denials={"COOLDOWN": 12, "SPREAD": 3},
        alerts={"BREAKER_OPEN": 2},
        variants=(
            Variant(name="costs x 2", equity_final=Decimal(9_900), trades=38, sharpe=-0.5),
            Variant(name="a bar later", equity_final=Decimal(10_100), trades=37, sharpe=float("nan")),
        ),
    )


def nothing_happened() -> BacktestResult:
    """One day without a single wish."""
    return result_of_fills([], days=1)


def charts_of(result: BacktestResult) -> dict[str, Chart]:
    """The charts of the page, by their keys."""
    return {part.key: part for section in sections_of(result) for part in section.parts if isinstance(part, Chart)}


def trace(chart: Chart, name: str) -> dict[str, Any]:
    """The trace of that name."""
    return next(each for each in chart.data if each.get("name") == name)
