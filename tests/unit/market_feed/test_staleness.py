"""A bar that is missing is noticed in minutes, however long its timeframe."""

from __future__ import annotations

import pytest

from libs.common.messages import Timeframe
from libs.common.timeframe import DAY, MINUTE, SECOND, STEP
from services.market_feed.staleness import OVERDUE_MAX, BarClock
from tests.unit.market_feed.tape import ETH, T0, bar


def test_a_series_nobody_ever_saw_is_not_missed() -> None:
    """Before the first bar there is nothing to be late."""
    assert BarClock().stale(T0 + 7 * DAY) == ""
    assert set(BarClock().overdue(T0).values()) == {0}


@pytest.mark.parametrize("timeframe", list(OVERDUE_MAX))
def test_each_timeframe_has_its_own_limit_in_absolute_time(timeframe: Timeframe) -> None:
    """A daily bar is stale five minutes after it should have been there, not days; to the nanosecond."""
    clock, first = BarClock(), bar(T0, timeframe=timeframe)
    clock.hear(first)
    due = first.ts_close + STEP[timeframe]
    assert clock.overdue(due)[timeframe] == 0
    assert clock.stale(due + OVERDUE_MAX[timeframe]) == ""
    assert clock.stale(due + OVERDUE_MAX[timeframe] + 1) == timeframe
    clock.hear(bar(first.ts_close, timeframe=timeframe))
    assert clock.stale(due + OVERDUE_MAX[timeframe] + 1) == ""


def test_the_shortest_overdue_timeframe_is_named() -> None:
    """Where minutes are missing everything above them will be: the cause comes first."""
    clock = BarClock()
    for timeframe in ("1h", "1m", "15m"):
        clock.hear(bar(T0, timeframe=timeframe))  # type: ignore[arg-type]
    assert clock.stale(T0 + DAY) == "1m"


def test_one_instrument_is_enough() -> None:
    """The other one's bars do not cover for it."""
    clock = BarClock()
    clock.hear(bar(T0))
    clock.hear(bar(T0, instrument=ETH))
    clock.hear(bar(T0 + MINUTE))
    assert clock.overdue(T0 + 2 * MINUTE + 31 * SECOND)["1m"] == 31 * SECOND
    assert clock.stale(T0 + 2 * MINUTE + 31 * SECOND) == "1m"


def test_an_older_bar_told_later_moves_no_clock_back() -> None:
    """History after the first live bar makes nothing overdue."""
    clock = BarClock()
    clock.hear(bar(T0 + 5 * MINUTE))
    clock.hear(bar(T0))
    assert clock.overdue(T0 + 7 * MINUTE)["1m"] == 0
