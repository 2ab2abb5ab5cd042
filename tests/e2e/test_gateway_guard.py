"""The gateway's watchman on a real bus: a service that is down is told once, in the log, and so is that it works again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from libs.desk.desk import Desk
from libs.desk.index import Row, Wanted
from libs.desk.tokens import TokenBook, token_file
from libs.runtime.readiness import Readiness
from services.gateway.guard import Guard
from services.gateway.watch import Watch
from tests.e2e.test_cli import health_page
from tests.e2e.test_desk import open_desk, until
from tests.nats_stack import NatsStack

DEAD = "http://127.0.0.1:9"


def guard_of(desk: Desk, home: Path) -> Guard:
    return Guard(desk, Watch(desk, {}), TokenBook(token_file(home)), home, clock_is_ours=True)


async def told(desk: Desk, guard: Guard, count: int) -> list[Row]:
    """The alerts that are in the log, once there are so many."""
    running = asyncio.create_task(guard.run())
    try:
        async with asyncio.timeout(10):
            while len(rows := await desk.page(Wanted(roles=("alert",), producers=("ops.gateway",)), 10)) < count:  # noqa: ASYNC110  (the index says nothing)
                await asyncio.sleep(0.05)
        return rows
    finally:
        running.cancel()


async def test_a_service_that_is_down_is_told_once_and_so_is_its_return(nats: NatsStack) -> None:
    """A page for what is vital after its grace, a note when it is over; a gateway that was started again repeats neither."""
    async with open_desk(nats, services={"risk-gate": DEAD}) as desk:
        await until(lambda: "risk-gate" in desk.services)
        guard = guard_of(desk, nats.home)
        for now in (0.0, 20.0, 21.0, 500.0):
            guard.look(now)
        (row,) = await told(desk, guard, 1)
        assert b'"code":"SERVICE_DOWN","severity":"page"' in (row.payload or b"")
    async with (
        health_page("risk-gate", Readiness(ready=True)) as url,
        open_desk(nats, services={"risk-gate": url}) as desk,
    ):
        await until(lambda: "risk-gate" in desk.services and desk.services["risk-gate"].ready)
        guard = guard_of(desk, nats.home)
        for now in (1_000.0, 1_020.0, 1_021.0):
            guard.look(now)
        newest, oldest = await told(desk, guard, 2)
        assert b'"code":"SERVICE_DOWN_OVER","severity":"note"' in (newest.payload or b"")
        assert oldest.seq == row.seq


async def test_what_cannot_be_told_waits_for_the_bus(nats: NatsStack) -> None:
    """While the bus is away nothing is lost: it is told when the bus is back."""
    async with open_desk(nats, services={"ledger": DEAD}) as desk:
        await until(lambda: "ledger" in desk.services)
        guard = guard_of(desk, nats.home)
        nats.kill()
        await until(lambda: desk.phase.state == "DISCONNECTED")
        guard.look(0.0)
        guard.look(20.0)
        await nats.start(provisioned=False)
        await until(lambda: desk.phase.state == "LIVE")
        (row,) = await told(desk, guard, 1)
        assert b'"code":"SERVICE_DOWN"' in (row.payload or b"")


async def test_a_gateway_that_keeps_crashing_finds_it_out(nats: NatsStack) -> None:
    """Each of its lives is short, but it counts them in the log: the sixth start after the first within ten minutes is told."""
    for life in range(6):
        async with open_desk(nats) as desk:
            guard = guard_of(desk, nats.home)
            guard.look(20.0 * life)
            assert not guard._waiting
    async with open_desk(nats) as desk:
        guard = guard_of(desk, nats.home)
        guard.look(120.0)
        (row,) = await told(desk, guard, 1)
        assert b'"code":"SERVICE_CRASH_LOOP","severity":"ticket"' in (row.payload or b"")
        assert b"gateway has started more than 5 times" in (row.payload or b"")


async def test_the_clock_of_the_logs_server_is_asked(nats: NatsStack) -> None:
    """Both run on this machine: they agree to less than what is allowed."""
    async with open_desk(nats) as desk:
        guard = guard_of(desk, nats.home)
        await guard._ask_clock()
        assert guard._offset_ms is not None
        assert abs(guard._offset_ms) < 500


async def test_tokens_that_cannot_be_believed_are_told(nats: NatsStack) -> None:
    """Nobody is let into console and API: whoever is not at the machine must hear of it another way, and no path of it."""
    file = token_file(nats.home)
    async with open_desk(nats) as desk:
        guard = guard_of(desk, nats.home)
        guard.look(0.0)
        file.write_text("{")
        file.chmod(0o600)
        await asyncio.sleep(0.5)
        for now in (1.0, 7.0):
            guard.look(now)
        (row,) = await told(desk, guard, 1)
        assert b'"code":"TOKENS_UNREADABLE","severity":"ticket"' in (row.payload or b"")
        assert str(nats.home).encode() not in (row.payload or b"")
