"""Weeks and days of markets that the macro agent's tests are told about."""

from __future__ import annotations

from random import Random
from typing import Any

from libs.common.messages import Bar, FeedBars, FeedHistory, MacroRegimes, Regime, Timeframe
from libs.common.timeframe import STEP, WEEK
from services.signal_agents.macro.machine import MacroMachine
from services.signal_agents.macro.rule import Bands
from services.signal_agents.macro.track import Rule
from tests.playbook import Playbook

BTC, ETH = "BTC-USDT", "ETH-USDT"
MONDAY = 1_578_268_800_000_000_000
"""2020-01-06 00:00 UTC, the opening of week 0 and day 0."""
RULE = Rule(bands=Bands(level_atr=0.5, slope_atr=0.25), weeks_min=24, weeks_settled=60, gap_weeks_max=1)
RISE = [100.0 + 2.0 * week for week in range(100)]
FALL = [300.0 - 2.0 * week for week in range(100)]


def bar_of(place: int, close: float, timeframe: Timeframe = "1w", instrument: str = BTC, **changed: Any) -> Bar:
    """The bar number `place` since MONDAY, reaching 1 % beyond its close on both sides."""
    opens = MONDAY + place * STEP[timeframe]
    fields: dict[str, Any] = {
        "instrument": instrument,
        "venue": "binance",
        "timeframe": timeframe,
        "ts_open": opens,
        "ts_close": opens + STEP[timeframe],
        "open": close,
        "high": close * 1.01,
        "low": close * 0.99,
        "close": close,
        "volume": 1.0,
    }
    return Bar(**{**fields, **changed})


def history(*bars: Bar, told_at: int | None = None) -> FeedHistory:
    """These bars as history, told when the newest of them has closed."""
    told_at = max(bar.ts_close for bar in bars) if told_at is None else told_at
    return FeedHistory(instrument=bars[0].instrument, timeframe=bars[0].timeframe, bars=bars, ts_init=told_at)


def weeks_of(closes: list[float], first: int = 0, instrument: str = BTC) -> FeedHistory:
    """A history of weeks with these closes, from week `first` on."""
    return history(*(bar_of(first + week, close, "1w", instrument) for week, close in enumerate(closes)))


def batch(*bars: Bar) -> FeedBars:
    """The batch in which these bars close."""
    return FeedBars(end_ts=bars[0].ts_close, bars=bars, ts_init=bars[0].ts_close)


def minute(at: int, *instruments: str) -> FeedBars:
    """A batch of nothing but one-minute bars that close at `at` (ns)."""
    opens = at - STEP["1m"]
    named = instruments or (BTC,)
    bars = (bar_of(0, 100.0, "1m", name, ts_open=opens, ts_close=at) for name in named)
    return FeedBars(end_ts=at, bars=tuple(bars), ts_init=at)


def end_of_week(week: int) -> int:
    """The instant (ns) at which week number `week` closes."""
    return MONDAY + (week + 1) * WEEK


def an_agent(rule: Rule = RULE) -> Playbook:
    """One that has heard nothing."""
    return Playbook(MacroMachine(rule), now=MONDAY, writer="agent.macro")


def regimes_of(agent: Playbook) -> dict[str, Regime]:
    """What it has just said, by instrument."""
    return {regime.instrument: regime for regime in agent.only(MacroRegimes).regimes}


def regime_after(closes: list[float], rule: Rule = RULE) -> Regime:
    """The regime that is said after weeks with these closes, the last of them live."""
    agent = an_agent(rule)
    if len(closes) > 1:
        agent.tell(weeks_of(closes[:-1])).expect()
    return regimes_of(agent.tell(batch(bar_of(len(closes) - 1, closes[-1]))))[BTC]


def walk(seed: int, count: int, timeframe: Timeframe = "1w", instrument: str = BTC, sigma: float = 0.08) -> list[Bar]:
    """A random walk of `count` bars whose highs and lows are random too."""
    random, close, bars = Random(f"{seed} {timeframe} {instrument}"), 100.0, []
    for place in range(count):
        opened, close = close, close * (1.0 + random.gauss(0.0, sigma))
        high, low = max(opened, close) * (1 + random.random() / 20), min(opened, close) * (1 - random.random() / 20)
        bars.append(bar_of(place, close, timeframe, instrument, open=opened, high=high, low=low))
    return bars
