"""An unbroken run of closed bars of one timeframe: which bar may be folded into a memory, and when the memory is worth nothing.

Theory of operation. A memory (indicators, a map) sees each bar once, in the order of time: a bar that does not close later than the
last one seen is known already, wherever it comes from. A hole of up to so many bars is bridged. Numbers across a longer one are worth
nothing: the memory starts again cold with the bar behind it, and whoever keeps it tells a person once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

from libs.common.messages import Bar
from libs.common.timeframe import STEP


class Track(Protocol):
    """A memory of one run; `ts_close_last` (ns) is the instant up to which it knows the market, 0 before its first bar."""

    ts_close_last: int

    def update(self, bar: Bar) -> None: ...


T = TypeVar("T", bound=Track)


class Folded(NamedTuple, Generic[T]):
    """The memory after a bar, and the hole (ns) that made it start again cold before it; 0 without one."""

    track: T
    hole_ns: int


def fold(track: T | None, bar: Bar, gap_bars_max: int, cold: Callable[[], T]) -> Folded[T] | None:
    """Let `track` (None: there is none yet) see a bar that `fault_of` finds nothing wrong with; `cold` makes a new one.

    Returns None, and changes nothing, if the bar is known already.
    """
    if track is not None and bar.ts_close <= track.ts_close_last:
        return None
    hole_ns = hole_before(bar.ts_open, track.ts_close_last if track is not None else 0, bar.timeframe, gap_bars_max)
    if track is None or hole_ns:
        track = cold()
    track.update(bar)
    return Folded(track, hole_ns)


def closed_by(now: int, bars: Iterable[Bar]) -> list[Bar]:
    """The bars that have closed by `now` (ns), in the order of time: an open bar, as venues put at the end of a history, is the future."""
    return sorted((bar for bar in bars if bar.ts_close <= now), key=lambda bar: bar.ts_close)


def hole_before(until: int, ts_close_last: int, timeframe: str, gap_bars_max: int) -> int:
    """The time (ns) between the last bar seen and `until`, if more than `gap_bars_max` bars are missing in it; else 0."""
    hole_ns = until - ts_close_last
    return hole_ns if ts_close_last and hole_ns > gap_bars_max * STEP[timeframe] else 0
