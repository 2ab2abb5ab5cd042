"""Refusals are told together, so that nobody can fill the log, and none is lost while the log is away."""

from __future__ import annotations

import asyncio

import pytest

from services.telegram_bot.refusals import EVENTS_A_MINUTE_MAX, MANY, Kind, Refusals, Tally, Turned

EVE = Kind("666", "UNKNOWN_USER")


def test_the_first_is_told_at_once_and_then_one_a_minute_with_its_count() -> None:
    """Each kind by itself; what was tried last is what is told."""
    tally = Tally()
    tally.note(EVE, "/halt", "chat 666")
    assert tally.due(0.0) == [Turned(EVE, "/halt", "chat 666", 1)]
    for _ in range(500):
        tally.note(EVE, "/status", "chat 666")
    tally.note(Kind("666", "STALE"), "/halt", "chat 666")
    assert [each.kind.why for each in tally.due(30.0)] == ["STALE"]
    assert tally.due(60.0) == [Turned(EVE, "/status", "chat 666", 500)]
    assert tally.due(200.0) == []


def test_a_crowd_of_strangers_is_thirty_events_a_minute() -> None:
    """The last of them says how many are in none of the others; nobody is counted twice."""
    tally = Tally()
    for who in range(5_000):
        tally.note(Kind(str(who), "UNKNOWN_USER"), "/start", f"chat {who}")
    found = tally.due(0.0)
    assert len(found) == EVENTS_A_MINUTE_MAX
    assert found[-1].kind.why == MANY
    assert sum(each.count for each in found) == 5_000


def test_what_could_not_be_told_waits() -> None:
    """It is told again, with what has come meanwhile."""
    tally = Tally()
    tally.note(EVE, "/halt", "a")
    (turned,) = tally.due(0.0)
    tally.note(EVE, "/status", "b")
    tally.again(turned)
    assert tally.due(1.0) == [Turned(EVE, "/status", "b", 2)]
    tally.again(Turned(Kind("", MANY), "", "", 9))
    assert [each.count for each in tally.due(1.0)] == [9]


async def test_a_log_that_is_away_loses_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told once it takes them again, the last ones when we are told to stop; a lock-out, too."""
    monkeypatch.setattr("services.telegram_bot.refusals.AFTER_FAILURE_S", 0.0)
    told: list[object] = []
    tried, heard, is_away = asyncio.Event(), asyncio.Event(), True

    async def tell(what: object) -> None:
        tried.set()
        if is_away:
            raise ConnectionError("away")
        told.append(what)
        if len(told) == 2:
            heard.set()

    refusals = Refusals(tell, tell)
    running = asyncio.create_task(refusals.run())
    refusals.note("666", "UNKNOWN_USER", "/halt", "chat 666")
    refusals.locked(1001)
    await asyncio.wait_for(tried.wait(), 5)
    assert told == []
    is_away = False
    await asyncio.wait_for(heard.wait(), 5)
    refusals.note("667", "UNKNOWN_USER", "/halt", "chat 667")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told == [
        Turned(EVE, "/halt", "chat 666", 1),
        1001,
        Turned(Kind("667", "UNKNOWN_USER"), "/halt", "chat 667", 1),
    ]
