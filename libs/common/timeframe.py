"""Bar boundaries in UTC nanoseconds; weeks start on Monday 00:00 (1970-01-05 was one)."""

from __future__ import annotations

from typing import get_args

from libs.common.messages.feed import Timeframe

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
MILLISECOND = 1_000_000

STEP: dict[str, int] = {"1m": MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "1d": DAY, "1w": WEEK}
BAR_STEP: dict[str, int] = {
    **STEP,
    "1s": SECOND,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "30m": 30 * MINUTE,
    "2h": 2 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
}
"""What bars can be imported and read from files; agents use those of `STEP`."""

ANCHOR: dict[str, int] = {"1w": 4 * DAY}
TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)


def bar_open(ts: int, timeframe: str) -> int:
    """The opening instant of the bar that `ts` (ns) falls into: [open, open + step)."""
    anchor = ANCHOR.get(timeframe, 0)
    step = STEP[timeframe]
    return anchor + (ts - anchor) // step * step


def closes_at(ts: int, timeframe: str) -> bool:
    """Whether a bar of `timeframe` ends exactly at `ts`."""
    return bar_open(ts, timeframe) == ts
