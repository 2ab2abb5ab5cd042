"""Incidents of the executor itself: killed between any two effects, started again and again, two at once, frozen and thawed."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from libs.common.messages import ExecutionReport, JournalPosted, Message, OrderSubmitting, ServiceStarted
from tests.chaos.execution_stand import ExecutionStand, open_stand
from tests.chaos.nursery import Nursery

pytestmark = [pytest.mark.timeout(200), pytest.mark.no_cover]
STRIDE = 4
EFFECTS_MAX = 30
WISHING_S_MAX = 40
TAKEOVER_S_MAX = 5.0
"""From the kill to the successor's first order; leases live three seconds."""
ENDS = ("REJECTED", "EXPIRED", "CANCELED")


async def _killed_through_a_cycle(stand: ExecutionStand, numbers: range) -> None:
    """Once for each number: in at the market and out again, killed when the executor's so-manieth event is in the log."""
    stand.supervise()
    kills = 0
    for number in numbers:
        countdown = _kill_after(stand, number)
        await _in_and_out(stand)
        stand.log.heard = lambda _: None
        kills += countdown() <= 0
    for wish in stand.wishes.values():
        held_back = stand.held()
        assert stand.bought(wish.intent_id) in (0, wish.qty, wish.qty - held_back), wish
    assert kills >= len(numbers) // 2, "hardly anybody was killed"
    await stand.check_books(filled={name: str(stand.bought(name)) for name in stand.wishes})


def _kill_after(stand: ExecutionStand, number: int) -> Callable[[], int]:
    left = number

    def taken(message: Message) -> None:
        nonlocal left
        if message.producer == "exec":
            left -= 1
            if left == 0:
                stand.kill()

    stand.log.heard = taken
    return lambda: left


async def _in_and_out(stand: ExecutionStand) -> None:
    """Wish for a position until there is one, then for its end until it is flat: an attempt that came to nothing is none."""
    async with asyncio.timeout(WISHING_S_MAX):  # refusals come quickly while breakers pause or the account is read
        while not stand.covered():
            wish = await stand.enter("0.01", valid_s=0.8)
            await stand.until(
                lambda wish=wish: stand.covered() or _came_to_nothing(stand, wish), "the fate of an entry"
            )
        while not stand.flat():
            wish = await stand.exit("0.00999", valid_s=1.5)
            await stand.until(lambda wish=wish: stand.flat() or _came_to_nothing(stand, wish), "the fate of an exit")


def _came_to_nothing(stand: ExecutionStand, intent: str) -> bool:
    name = stand.wishes[intent].cl_ord_id
    reports = [each for each in stand.log.said(ExecutionReport) if each.cl_ord_id == name]
    return bool(reports) and reports[-1].ord_status in ENDS and not stand.bought(intent)


async def test_killed_between_some_effects_of_a_cycle(stand: ExecutionStand) -> None:
    """kill -9 after every fourth event of a trade from entry to exit: nothing happens twice, nothing is left bare."""
    await _killed_through_a_cycle(stand, range(1, EFFECTS_MAX, STRIDE))


@pytest.mark.slow
@pytest.mark.parametrize("offset", range(STRIDE))
async def test_killed_between_every_two_effects_of_a_cycle(stand: ExecutionStand, offset: int) -> None:
    """The same after each single event."""
    await _killed_through_a_cycle(stand, range(1 + offset, EFFECTS_MAX, STRIDE))


async def test_five_restarts_in_a_row_change_nothing(stand: ExecutionStand) -> None:
    """Killed five times as soon as it lives, with a position, and an exit approved in between: it is sold once."""
    await stand.position()
    for number in range(1, 6):
        stand.kill()
        if number == 3:
            await stand.exit("0.00999", valid_s=8.0)
        stand.restart()
        await stand.until(lambda number=number: len(stand.log.said(ServiceStarted)) > number, "the next life")
    await stand.until(stand.flat, "the exit")
    await stand.check_books()


async def test_of_two_executors_one_acts(stand: ExecutionStand) -> None:
    """A second instance waits in silence; when the first is killed it takes over the position and what is asked of it."""
    first = stand.executor
    second = stand.restart("second")
    await stand.position()
    assert {each.instance for each in stand.log.said(ServiceStarted)} == {"local"}
    stand.kill(first)
    await stand.exit("0.00999", valid_s=14.0)
    await stand.until(stand.flat, "the exit by the other instance")
    assert [each.instance for each in stand.log.said(ServiceStarted)] == ["local", "second"]
    assert stand.ended(second) is None
    await stand.check_books()


async def _frozen_while_an_order_leaves(stand: ExecutionStand, seconds: float) -> None:
    zombie = stand.executor
    successor = stand.restart("successor")
    stand.executor = zombie
    stand.log.heard = lambda message: stand.freeze(zombie) if isinstance(message, OrderSubmitting) else None
    wish = await stand.enter("0.01", valid_s=1.0)
    await stand.until(lambda: stand.log.said(OrderSubmitting), "the order to leave")
    stand.log.heard = lambda _: None
    began = time.monotonic()
    taken_over_s = await stand.until(lambda: len(stand.log.said(ServiceStarted)) == 2, "the other to take over")
    assert taken_over_s < TAKEOVER_S_MAX
    await stand.until(lambda: stand.covered() or _came_to_nothing(stand, wish), "the fate of the entry")
    if stand.covered():
        await stand.exit("0.00999", valid_s=14.0)
        await stand.until(stand.flat, "the exit by the other")
    await asyncio.sleep(began + seconds - time.monotonic())
    accepted = dict(stand.venue.accepted)
    stand.thaw(zombie)
    await stand.until(lambda: stand.ended(zombie) is not None, "the end of the zombie")
    assert stand.ended(successor) is None
    assert stand.venue.accepted == accepted, "the zombie has submitted something"
    await stand.check_books(filled={wish: str(stand.bought(wish))})


async def test_a_zombie_submits_nothing(stand: ExecutionStand) -> None:
    """Frozen while an order leaves, for longer than its lease; another takes over; thawed, it finds the door closed and ends."""
    await _frozen_while_an_order_leaves(stand, 0)


@pytest.mark.slow
async def test_a_zombie_of_a_minute_submits_nothing(stand: ExecutionStand) -> None:
    """The same, frozen for a minute."""
    await _frozen_while_an_order_leaves(stand, 60)


async def test_an_approval_from_before_the_outage_is_not_acted_on(stand: ExecutionStand) -> None:
    """An executor that comes back finds wishes of an hour ago and of a moment ago: their time is over, they are never sent."""
    stand.kill()
    old = await stand.enter("0.01", valid_s=-3600)
    recent = await stand.enter("0.02", valid_s=0.05)
    stand.restart()
    await stand.until(lambda: len(stand.log.said(ExecutionReport)) == 2, "two answers")
    assert {each.ord_status for each in stand.log.said(ExecutionReport)} == {"EXPIRED"}
    assert not stand.venue.accepted
    await stand.reconciled()
    await stand.check_books(unsent=(old, recent))


async def test_a_locked_database_stops_nobody(tmp_path: Path, nursery: Nursery) -> None:
    """Somebody holds the ledger's SQL projection: trading goes on, the ledger posts; let go, the projection catches up."""
    async with open_stand(tmp_path / "home", nursery, BULKHEAD_PROJECTION_BATCH_MS="10") as stand:
        stand.restart(module="services.ledger")
        await stand.until(lambda: _rows(stand, "journal_entries") == 1, "the opening in the database")
        with closing(sqlite3.connect(stand.home / "ledger.db", isolation_level=None)) as held:
            held.execute("BEGIN EXCLUSIVE")
            await _in_and_out_posted(stand)
            held.execute("ROLLBACK")
        await stand.until(lambda: _rows(stand, "journal_entries") == 3, "three entries in the database")
        await stand.check_books()


async def test_a_full_database_stops_nobody(tmp_path: Path, nursery: Nursery) -> None:
    """The ledger's files may not grow by a byte: trading goes on, the ledger posts; with room again, the projection catches up."""
    async with open_stand(tmp_path / "home", nursery, BULKHEAD_PROJECTION_BATCH_MS="10") as stand:
        ledger = stand.restart(module="services.ledger")
        await stand.until(lambda: _rows(stand, "journal_entries") == 1, "the opening in the database")
        _, most = resource.prlimit(ledger, resource.RLIMIT_FSIZE)
        resource.prlimit(ledger, resource.RLIMIT_FSIZE, (0, most))
        await _in_and_out_posted(stand)
        assert _rows(stand, "journal_entries") == 1, "it was not full"
        assert stand.ended(ledger) is None
        resource.prlimit(ledger, resource.RLIMIT_FSIZE, (most, most))
        await stand.until(lambda: _rows(stand, "journal_entries") == 3, "three entries in the database")
        await stand.check_books()


async def _in_and_out_posted(stand: ExecutionStand) -> None:
    await stand.position()
    await stand.exit("0.00999")
    await stand.until(stand.flat, "the exit")
    await stand.until(lambda: len(stand.log.said(JournalPosted)) == 3, "three entries in the log")


def _rows(stand: ExecutionStand, table: str) -> int:
    path = stand.home / "ledger.db"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=0.05)) as database:
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet, or being written
        return 0
