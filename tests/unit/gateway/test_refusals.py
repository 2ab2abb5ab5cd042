"""Refusals are told together, and no crowd can fill the log with them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.metrics import ServiceMetrics
from services.gateway.refusals import (
    EVENTS_A_MINUTE_MAX,
    EVERY_S,
    KINDS_MAX,
    MANY,
    OFTEN,
    Kind,
    Often,
    Refusals,
    Refused,
    Tally,
)

BAD = Kind("api", "", "10.0.0.1", "BAD_TOKEN")


def kind(number: int) -> Kind:
    return Kind("api", "", f"10.0.0.{number}", "RATE")


def test_the_first_is_told_at_once_and_the_others_once_a_minute() -> None:
    """With how many they were."""
    tally = Tally()
    tally.note(BAD, "GET /a", 0.0)
    assert tally.due(0.0) == [Refused(BAD, "GET /a", 1)]
    for second in range(1, 6):
        tally.note(BAD, "GET /b", float(second))
        assert tally.due(float(second)) == []
    assert tally.due(EVERY_S) == [Refused(BAD, "GET /b", 5)]
    assert tally.due(10 * EVERY_S) == []


def test_a_crowd_is_many() -> None:
    """Beyond so many a minute the rest is one event, and nobody is lost in it."""
    tally = Tally()
    for number in range(100):
        tally.note(kind(number), "GET /a", 0.0)
    told = tally.due(0.0)
    assert len(told) == EVENTS_A_MINUTE_MAX
    assert told[-1].kind.why == MANY
    assert sum(each.count for each in told) == 100


@given(st.lists(st.tuples(st.integers(0, 2 * KINDS_MAX), st.floats(0, 20)), max_size=300))
def test_every_refusal_is_told_once_and_never_more_than_so_many_a_minute(visits: list[tuple[int, float]]) -> None:
    """Whoever comes in whatever order: the counts add up, and every minute has at most as many events as it may."""
    tally, now, told = Tally(), 0.0, list[tuple[float, int]]()
    for number, pause_s in visits:
        now += pause_s
        tally.note(kind(number), "GET /a", now)
        told += [(now, each.count) for each in tally.due(now)]
    now += EVERY_S
    told += [(now, each.count) for each in tally.due(now, is_last=True)]
    assert sum(count for _, count in told) == len(visits)
    for start, _ in told:
        assert sum(start <= at < start + EVERY_S for at, _ in told) <= EVENTS_A_MINUTE_MAX + 1


def test_what_could_not_be_told_waits() -> None:
    """With the log away the counts grow, and are told when it is back."""
    tally = Tally()
    tally.note(BAD, "GET /a", 0.0)
    (refused,) = tally.due(0.0)
    tally.again(refused)
    tally.note(BAD, "GET /b", 1.0)
    assert tally.due(1.0) == [Refused(BAD, "GET /b", 2)]


def test_who_guesses_often_is_an_alert_once() -> None:
    """More than so many bad tokens from one address within ten minutes."""
    tally = Tally()
    for second in range(OFTEN):
        tally.note(BAD, "GET /a", float(second))
    assert tally.alerts() == []
    tally.note(BAD, "GET /a", 30.0)
    tally.note(BAD, "GET /a", 31.0)
    assert tally.alerts() == [Often("10.0.0.1", OFTEN + 1)]
    assert tally.alerts() == []
    slow = Tally()
    for number in range(100):
        slow.note(BAD, "GET /a", number * 60.0)
    assert slow.alerts() == []


async def test_a_log_that_takes_nothing_loses_nothing_and_holds_nobody_up() -> None:
    """Noting returns at once; what failed is told later, with what came meanwhile."""
    told: list[Refused] = []
    broken = True

    async def tell(refused: Refused) -> None:
        if broken:
            raise ConnectionError
        told.append(refused)

    async def tell_often(often: Often) -> None:
        raise AssertionError(often)

    metrics = ServiceMetrics("gateway")
    refusals = Refusals(metrics, tell, tell_often)
    running = asyncio.create_task(refusals.run())
    refusals.note("api", "", "10.0.0.1", "GET /a", "BAD_TOKEN")
    await asyncio.sleep(0.3)
    broken = False
    refusals.note("api", "", "10.0.0.1", "GET /a", "BAD_TOKEN")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told == [Refused(BAD, "GET /a", 2)]
    text = metrics.exposition()[0].decode()
    assert 'bulkhead_access_refused_total{door="api",service="gateway",why="BAD_TOKEN"} 2.0' in text
