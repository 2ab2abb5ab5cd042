"""Refusals are told together, so that nobody can fill the log, and none is lost while the log is away."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.desk.refusals import EVENTS_A_MINUTE_MAX, EVERY_S, KINDS_MAX, MANY, Kind, Refusals, Refused, Tally

EVE = Kind("telegram", "666", "", "UNKNOWN_USER")
BAD = Kind("api", "", "10.0.0.1", "BAD_TOKEN")


def test_the_first_is_told_at_once_and_then_one_a_minute_with_its_count() -> None:
    """Each kind by itself; what was tried last is what is told."""
    tally = Tally("telegram")
    tally.note(EVE, "/halt", "chat 666")
    assert tally.due(0.0) == [Refused(EVE, "/halt", 1, "chat 666")]
    for _ in range(500):
        tally.note(EVE, "/status", "chat 666")
    tally.note(Kind("telegram", "666", "", "STALE"), "/halt", "chat 666")
    assert [each.kind.why for each in tally.due(30.0)] == ["STALE"]
    assert tally.due(60.0) == [Refused(EVE, "/status", 500, "chat 666")]
    assert tally.due(200.0) == []


def test_a_crowd_of_strangers_is_thirty_events_a_minute() -> None:
    """The last of them says how many are in none of the others; nobody is counted twice."""
    tally = Tally("telegram")
    for who in range(5_000):
        tally.note(Kind("telegram", str(who), "", "UNKNOWN_USER"), "/start", f"chat {who}")
    found = tally.due(0.0)
    assert len(found) == EVENTS_A_MINUTE_MAX
    assert found[-1].kind.why == MANY
    assert sum(each.count for each in found) == 5_000


def test_what_could_not_be_told_waits() -> None:
    """It is told again, with what has come meanwhile."""
    tally = Tally("telegram")
    tally.note(EVE, "/halt", "a")
    (turned,) = tally.due(0.0)
    tally.note(EVE, "/status", "b")
    tally.again(turned)
    assert tally.due(1.0) == [Refused(EVE, "/status", 2, "b")]
    tally.again(Refused(Kind("telegram", "", "", MANY), "", 9))
    assert [each.count for each in tally.due(1.0)] == [9]


def kind(number: int) -> Kind:
    return Kind("api", "", f"10.0.0.{number}", "RATE")


def test_the_first_is_told_at_once_and_the_others_once_a_minute() -> None:
    """With how many they were."""
    tally = Tally("api")
    tally.note(BAD, "GET /a")
    assert tally.due(0.0) == [Refused(BAD, "GET /a", 1)]
    for second in range(1, 6):
        tally.note(BAD, "GET /b")
        assert tally.due(float(second)) == []
    assert tally.due(EVERY_S) == [Refused(BAD, "GET /b", 5)]
    assert tally.due(10 * EVERY_S) == []


def test_a_crowd_is_many() -> None:
    """Beyond so many a minute the rest is one event, and nobody is lost in it."""
    tally = Tally("api")
    for number in range(100):
        tally.note(kind(number), "GET /a")
    told = tally.due(0.0)
    assert len(told) == EVENTS_A_MINUTE_MAX
    assert told[-1].kind.why == MANY
    assert sum(each.count for each in told) == 100


@given(st.lists(st.tuples(st.integers(0, 2 * KINDS_MAX), st.floats(0, 20)), max_size=300))
def test_every_refusal_is_told_once_and_never_more_than_so_many_a_minute(visits: list[tuple[int, float]]) -> None:
    """Whoever comes in whatever order: the counts add up, and every minute has at most as many events as it may."""
    tally, now, told = Tally("api"), 0.0, list[tuple[float, int]]()
    for number, pause_s in visits:
        now += pause_s
        tally.note(kind(number), "GET /a")
        told += [(now, each.count) for each in tally.due(now)]
    now += EVERY_S
    told += [(now, each.count) for each in tally.due(now, is_last=True)]
    assert sum(count for _, count in told) == len(visits)
    for start, _ in told:
        assert sum(start <= at < start + EVERY_S for at, _ in told) <= EVENTS_A_MINUTE_MAX + 1


def test_what_comes_while_the_log_is_away_is_counted_with_it() -> None:
    """With the log away the counts grow, and are told when it is back."""
    tally = Tally("api")
    tally.note(BAD, "GET /a")
    (refused,) = tally.due(0.0)
    tally.again(refused)
    tally.note(BAD, "GET /b")
    assert tally.due(1.0) == [Refused(BAD, "GET /b", 2)]


async def test_a_log_that_is_away_loses_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told once it takes them again, the last ones when we are told to stop; a lock-out, too."""
    monkeypatch.setattr("libs.desk.refusals.AFTER_FAILURE_S", 0.0)
    told: list[object] = []
    tried, heard, is_away = asyncio.Event(), asyncio.Event(), True

    async def tell(what: object) -> None:
        tried.set()
        if is_away:
            raise ConnectionError("away")
        told.append(what)
        if len(told) == 2:
            heard.set()

    refusals = Refusals[int]("telegram", tell, tell)
    running = asyncio.create_task(refusals.run())
    refusals.note(EVE, "/halt", "chat 666")
    refusals.report(1001)
    await asyncio.wait_for(tried.wait(), 5)
    assert told == []
    is_away = False
    await asyncio.wait_for(heard.wait(), 5)
    refusals.note(EVE._replace(who="667"), "/halt", "chat 667")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told == [
        Refused(EVE, "/halt", 1, "chat 666"),
        1001,
        Refused(EVE._replace(who="667"), "/halt", 1, "chat 667"),
    ]
