"""What makes a bar none: asked by whoever folds bars into numbers that would carry a mistake on for ever."""

from __future__ import annotations

from libs.common.messages import Bar
from libs.trading.indicators import MAGNITUDE_MAX


def fault_of(bar: Bar) -> str:
    """What makes `bar` no bar at all; empty if nothing does."""
    where = f"{bar.instrument} {bar.timeframe} closing at {bar.ts_close}"
    if not all(0.0 < px < MAGNITUDE_MAX for px in (bar.open, bar.high, bar.low, bar.close)):
        return (
            f"{where}: open {bar.open}, high {bar.high}, low {bar.low}, close {bar.close} must be positive and finite"
        )
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        return f"{where}: open {bar.open} and close {bar.close} must lie within low {bar.low} and high {bar.high}"
    if not 0.0 <= bar.volume < MAGNITUDE_MAX:
        return f"{where}: volume {bar.volume} must be finite and not negative"
    if bar.ts_open >= bar.ts_close:
        return f"{where}: it opens at {bar.ts_open}, not before it closes"
    return ""


def misplaced(bar: Bar, end_ts: int) -> str:
    """What is wrong with finding `bar` in the batch of `end_ts` (ns); empty if nothing is."""
    if bar.ts_close == end_ts:
        return ""
    return f"{bar.instrument} {bar.timeframe} closing at {bar.ts_close} stands in the batch of {end_ts}"
