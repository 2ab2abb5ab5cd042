"""A run of bars is seen once, in order, and starts again cold where too much of it is missing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.messages import Bar
from libs.common.timeframe import STEP, TIMEFRAMES
from libs.trading.bar_runs import Folded, closed_by, fold, hole_before

BEGIN = 1_736_121_600_000_000_000
"""2025-01-06 00:00 UTC, a Monday: a bar of every timeframe opens."""


class Closes(msgspec.Struct):
    """A memory of nothing but closes."""

    ts_close_last: int = 0
    closes: list[float] = []

    def update(self, bar: Bar) -> None:
        self.closes.append(bar.close)
        self.ts_close_last = bar.ts_close


def _bar(place: int, timeframe: Any = "1h") -> Bar:
    opens, px = BEGIN + place * STEP[timeframe], 100.0 + place
    fields = dict.fromkeys(("open", "high", "low", "close"), px)
    return Bar(
        instrument="BTC-USDT",
        venue="sim",
        timeframe=timeframe,
        ts_open=opens,
        ts_close=opens + STEP[timeframe],
        volume=1.0,
        **fields,
    )


def _folded(places: list[int], gap_bars_max: int, timeframe: Any = "1h") -> tuple[Closes, list[int | None]]:
    """The memory after these bars, and what each found: a hole in bars, None if it was known."""
    track, found = None, []
    for place in places:
        folded = fold(track, _bar(place, timeframe), gap_bars_max, Closes)
        found.append(None if folded is None else folded.hole_ns // STEP[timeframe])
        track = track if folded is None else folded.track
    assert track is not None
    return track, found


def test_a_bar_is_seen_once_and_never_late() -> None:
    """The same bar again, and an older one, change nothing."""
    track, found = _folded([5, 5, 3, 6, 6, 5], gap_bars_max=3)
    assert found == [0, None, None, 0, None, None]
    assert (track.closes, track.ts_close_last) == ([105.0, 106.0], _bar(6).ts_close)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_so_many_missing_bars_are_bridged_and_one_more_is_a_hole(timeframe: str) -> None:
    """The bar behind the hole is the first of the new memory, and the hole is told with it alone."""
    assert _folded([0, 1, 5, 6], 3, timeframe)[1] == [0, 0, 0, 0]
    track, found = _folded([0, 1, 6, 7], 3, timeframe)
    assert found == [0, 0, 4, 0]
    assert track.closes == [106.0, 107.0]


def test_without_any_patience_every_missing_bar_is_a_hole() -> None:
    """Bars that follow each other are none."""
    assert _folded([0, 1, 2, 4, 5], gap_bars_max=0)[1] == [0, 0, 0, 1, 0]


def test_a_memory_without_a_past_has_no_hole() -> None:
    """What begins has missed nothing, however late it is; nor has one that was started again and saw nothing yet."""
    assert fold(None, _bar(900), 0, Closes) == Folded(Closes(_bar(900).ts_close, [1000.0]), 0)
    assert fold(Closes(), _bar(900), 0, Closes) == Folded(Closes(_bar(900).ts_close, [1000.0]), 0)
    assert hole_before(BEGIN, 0, "1h", 0) == 0


def test_a_hole_shows_before_the_bar_that_ends_it() -> None:
    """At an instant by which four hours have closed and none has come, four are missing."""
    last = BEGIN
    assert [hole_before(last + hours * STEP["1h"], last, "1h", 3) for hours in range(6)] == [
        0,
        0,
        0,
        0,
        4 * STEP["1h"],
        5 * STEP["1h"],
    ]


def test_an_open_bar_at_the_end_of_a_history_is_the_future() -> None:
    """Venues put one there; what has closed by now comes in the order of time."""
    bars = [_bar(number) for number in (3, 1, 2)]
    now = _bar(2).ts_close
    assert closed_by(now, bars) == [_bar(1), _bar(2)]
