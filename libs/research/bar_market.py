"""History as the feed would have told it, and as the paper venue meets it: bars of files, instant by instant.

Between two closing instants a and b of the base timeframe:

    at a    the bars that close at b open: orders that wait at the venue meet their opens, and the fills are reported at once
    a to b  timers are due (the executor places stops, asks again, ...)
    at b    the venue plays the rest of the bars; then everybody is told the prices they closed at (`FeedMarks`) and the bars, with all
            longer ones that are complete by then (`FeedBars`); what is ordered now meets the opens of the next bars

Nothing of a bar is told before it has closed; the venue alone knows its open, and only what waits there meets it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from libs.common.messages import Bar, Mark
from libs.common.timeframe import TIMEFRAMES
from libs.trading.bars import Rollup


class Instant(msgspec.Struct, frozen=True):
    """`bars` of the base timeframe cover [opens, closes); `closed` are all bars that close then, longest first."""

    opens: int
    closes: int
    bars: tuple[Bar, ...]
    closed: tuple[Bar, ...]


class BadHistory(Exception):
    """Series that cannot be played together."""


def instants(series: Iterable[Iterator[Bar]]) -> Iterator[Instant]:
    """The instants of several series of one base timeframe, each oldest first, with the longer bars that follow from them.

    Raises:
        BadHistory: bars of one instant that are of different lengths, or a series that runs backwards.
    """
    ladders: dict[str, _Ladder] = {}
    before = 0
    merged = heapq.merge(*series, key=_closing)
    for closes, group in groupby(merged, key=_closing):
        bars = tuple(group)
        opens = bars[0].ts_open
        if closes <= before or any([bar.ts_open != opens for bar in bars]):
            names = ", ".join(f"{bar.instrument} {bar.timeframe}" for bar in bars)
            raise BadHistory(
                f"{names}: bars that close at {closes} must all be of one length and follow what was before"
            )
        before = closes
        closed: list[Bar] = []
        for bar in bars:
            ladder = ladders.get(bar.instrument)
            if ladder is None:
                ladder = ladders[bar.instrument] = _Ladder(bar)
            closed += ladder.climb(bar)
        if len(closed) > len(bars):
            closed.sort(key=_longest_first)
        yield Instant(opens, closes, bars, tuple(closed))


def marks_at(bars: Iterable[Bar], half_spreads: dict[str, float], decimals: dict[str, int]) -> tuple[Mark, ...]:
    """What the instruments of `bars` cost when these close: a bid and an ask around the last price, on the venue's grid."""
    return tuple([_mark(bar, half_spreads[bar.instrument], decimals[bar.instrument]) for bar in bars])


def _mark(bar: Bar, half_spread: float, decimals: int) -> Mark:
    close = bar.close
    return Mark(
        instrument=bar.instrument,
        bid_px=round(close * (1.0 - half_spread), decimals),
        ask_px=round(close * (1.0 + half_spread), decimals),
        last_px=close,
        protective_px=close,
        trust="TRUSTED",
        ts=bar.ts_close,
    )


class _Ladder:
    """The longer bars of one instrument in the making; a rung is asked only when a bar of the rung below has closed."""

    def __init__(self, base: Bar):
        self._rungs = [Rollup(each) for each in TIMEFRAMES[TIMEFRAMES.index(base.timeframe) + 1 :]]

    def climb(self, bar: Bar) -> list[Bar]:
        closed = [bar]
        for rung in self._rungs:
            higher = rung.fold(closed[-1])
            if higher is None:
                break
            closed.append(higher)
        return closed


def _closing(bar: Bar) -> int:
    return bar.ts_close


def _longest_first(bar: Bar) -> tuple[int, str]:
    return -TIMEFRAMES.index(bar.timeframe), bar.instrument
