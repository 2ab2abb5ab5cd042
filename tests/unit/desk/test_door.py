"""A door's life, as far as it goes without a bus: what it says of itself, in which order it ends, and that it can be told to at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from libs.desk.desk import Desk
from libs.desk.door import Door
from libs.runtime.nats_config import KeysError, ensure_keys
from libs.runtime.registry import contract_of
from libs.runtime.settings import ServiceSettings, SettingsError

NOWHERE = "127.0.0.1:9"


class Probe(Door):
    """A door that does what a test wants beside its desk."""

    def __init__(self, home: Path, work: Sequence[Callable[[], Coroutine[Any, Any, object]]] = (), **settings: Any):
        told = ServiceSettings(home=home, nats_url=f"nats://{NOWHERE}", **settings)
        super().__init__(contract_of("gateway"), told, {}, "c0de")
        self.work = work

    def beside(self, desk: Desk) -> Sequence[Coroutine[Any, Any, object]]:
        """What the test wants."""
        return [each() for each in self.work]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    ensure_keys(tmp_path, ["gateway"])
    return tmp_path


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  (a door sets no event)
            await asyncio.sleep(0.01)


async def test_a_door_without_a_key_does_not_open(tmp_path: Path) -> None:
    """Before anything listens."""
    door = Probe(tmp_path)
    with pytest.raises(KeysError):
        await door.run()
    assert door.port == 0


async def test_a_door_with_nothing_to_do_is_ready_and_says_why(home: Path) -> None:
    """It waits to be told to stop."""
    door = Probe(home)
    door.idle = "nobody is named"
    running = asyncio.create_task(door.run())
    await until(lambda: door.port)
    assert (door.readiness().ready, door.readiness().reasons) == (True, ["nobody is named"])
    door.stop()
    await asyncio.wait_for(running, 5)


async def test_it_can_be_told_to_stop_before_there_is_a_time(home: Path) -> None:
    """A venue's clock that does not answer holds nobody up."""
    door = Probe(home, clock_url=f"ws://{NOWHERE}/sim/clock")
    running = asyncio.create_task(door.run())
    await until(lambda: door.port)
    assert door.readiness().reasons == ["waiting for the clock"]
    door.stop()
    await asyncio.wait_for(running, 5)


async def test_what_began_last_ends_first_and_says_its_last_words(home: Path) -> None:
    """What serves people ends before what tells of them; each is waited for."""
    ended: list[str] = []

    def lasting(name: str) -> Callable[[], Coroutine[Any, Any, object]]:
        async def last() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.02)
                ended.append(name)

        return last

    door = Probe(home, [lasting("tells"), lasting("serves")])
    running = asyncio.create_task(door.run())
    await until(lambda: door.readiness().reasons == ["starting: waiting for the bus"])
    door.stop()
    await asyncio.wait_for(running, 5)
    assert ended == ["serves", "tells"]


async def test_a_defect_beside_the_desk_ends_the_door(home: Path) -> None:
    """Half a door must not look alive."""

    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(Probe(home, [broken]).run(), 5)


async def test_what_cannot_be_done_here_is_said_before_the_log_is_read(home: Path) -> None:
    """A certificate that does not fit, a port that is taken: the door never opens."""

    def refused() -> Coroutine[Any, Any, object]:
        raise SettingsError("BULKHEAD_X: got 7")

    with pytest.raises(SettingsError, match="BULKHEAD_X"):
        await asyncio.wait_for(Probe(home, [refused]).run(), 5)
