"""What can be wrong with a bar that an agent is about to believe; each question is answered by words, empty if nothing is wrong."""

from __future__ import annotations

from libs.common.messages import Bar, FeedHistory
from libs.common.timeframe import STEP, bar_open
from libs.trading.indicators import MAGNITUDE_MAX


def fault_of(bar: Bar) -> str:
    """What makes `bar` no bar at all."""
    opened, high, low, close = bar.open, bar.high, bar.low, bar.close
    if not (0.0 < opened < MAGNITUDE_MAX and 0.0 < high < MAGNITUDE_MAX):
        return _no_prices(bar)
    if not (0.0 < low < MAGNITUDE_MAX and 0.0 < close < MAGNITUDE_MAX):
        return _no_prices(bar)
    if not (low <= opened <= high and low <= close <= high):
        return f"{_named(bar)}: open {opened} and close {close} must lie within low {low} and high {high}"
    if not 0.0 <= bar.volume < MAGNITUDE_MAX:
        return f"{_named(bar)}: volume {bar.volume} must be finite and not negative"
    if bar.ts_open >= bar.ts_close:
        return f"{_named(bar)}: it opens at {bar.ts_open}, not before it closes"
    return ""


def _no_prices(bar: Bar) -> str:
    prices = f"open {bar.open}, high {bar.high}, low {bar.low}, close {bar.close}"
    return f"{_named(bar)}: {prices} must be positive and finite"


def misplaced(bar: Bar, end_ts: int) -> str:
    """Why `bar` cannot stand in the batch of `end_ts`: a batch holds what closed at its instant and nothing else."""
    return "" if bar.ts_close == end_ts else f"{_named(bar)} stands in the batch of {end_ts}"


def off_grid(bar: Bar) -> str:
    """Why `bar` is not a whole one of its timeframe: days begin at 00:00 UTC, weeks on Monday."""
    opens = bar_open(bar.ts_open, bar.timeframe)
    if (bar.ts_open, bar.ts_close) == (opens, opens + STEP[bar.timeframe]):
        return ""
    return f"{_named(bar)}: it opens at {bar.ts_open}, a whole one opens at {opens} and lasts {STEP[bar.timeframe]} ns"


def foreign_bar(history: FeedHistory) -> str:
    """Whether a bar of another instrument or timeframe stands in `history`."""
    is_foreign = any((bar.instrument, bar.timeframe) != (history.instrument, history.timeframe) for bar in history.bars)
    return f"a bar in the history of {history.instrument} is of something else" if is_foreign else ""


def _named(bar: Bar) -> str:
    return f"{bar.instrument} {bar.timeframe} closing at {bar.ts_close}"
