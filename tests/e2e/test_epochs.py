"""A log that goes on in another epoch: read as one, appended to only by who knows of it, completed after a kill at any moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from libs.runtime import log_epochs, rolling
from libs.runtime.bus import Bus
from libs.runtime.bus_errors import EpochOver, Fenced, NotTaken
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER, connect_options
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.provision import ProvisionError, provision, roll_over, verify
from libs.runtime.streams import TRADING, log_config
from tests.e2e.test_bus import alert, append_many, bus_of, read
from tests.nats_stack import NatsStack, User

SECOND = "TRADING_0002"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_epochs, "LOOK_EVERY_S", 0.0)


@pytest.fixture
async def admin(nats: NatsStack) -> User:
    """Who may roll over."""
    return await nats.connect("admin")


@pytest.fixture
async def writer(nats: NatsStack) -> AsyncIterator[Bus]:
    """A service's connection, which remembers nothing by itself."""
    bus = await bus_of(nats, "risk-gate")
    yield bus
    await bus.close()


async def rolled(nats: NatsStack, admin: User) -> list[str]:
    """What the roll-over has done."""
    return await roll_over(admin.client, nats.contracts)


async def test_sequences_go_on_and_the_old_epoch_is_sealed(nats: NatsStack, admin: User, writer: Bus) -> None:
    """A place in the log means one entry, whatever the epoch; of what is sealed nobody can take anything, not even admin."""
    tail = await append_many(writer, "risk", 3)
    done = await rolled(nats, admin)
    assert done[0] == f"closed {TRADING}"
    assert done[-2:] == [f"the log goes on in {SECOND}, from 4 on", f"sealed {TRADING}"]
    assert await verify(admin.client, nats.contracts) == []
    writer.epochs.forget()
    assert await append_many(writer, "risk", 2, tail, first=3) == 5
    assert [(await writer.entry_at(seq)).seq for seq in range(1, 6)] == [1, 2, 3, 4, 5]  # type: ignore[union-attr]
    assert await writer.last_seq() == 5
    size = await writer.size()
    assert (size.first_seq, size.last_seq, size.messages) == (1, 5, 5)
    for what in ("MSG.DELETE", "PURGE", "UPDATE"):
        answer = await admin.ask(
            f"$JS.API.STREAM.{what}.{TRADING}", {"seq": 1} if what == "MSG.DELETE" else log_config()
        )
        assert "error" in answer, what


async def test_reading_points_are_found_in_any_epoch(nats: NatsStack, admin: User, writer: Bus) -> None:
    """What was said last under a prefix, and first behind a place, may stand in an epoch before."""
    await append_many(writer, "risk", 2)
    await rolled(nats, admin)
    other = await bus_of(nats, "notifier")
    await append_many(other, "notify", 1)
    last, first = await other.last_under("risk.>"), await other.first_on("notify.>", 1)
    assert last is not None
    assert first is not None
    assert (last.seq, first.seq) == (2, 3)
    assert await other.first_on("risk.>", 3) is None
    await other.close()


async def test_a_reader_goes_on_in_the_next_epoch_without_a_hole(nats: NatsStack, admin: User, writer: Bus) -> None:
    """From any place: one that stands at the end when it happens, and ones that begin before it and behind it."""
    reader = await bus_of(nats, "notifier")
    pull = OrderedPull(reader, "notifier", 1, heartbeat_s=0.2)
    tail = await append_many(writer, "risk", 3)
    assert await read(pull, 3) == [1, 2, 3]
    await rolled(nats, admin)
    writer.epochs.forget()
    tail = await append_many(writer, "risk", 2, tail, first=3)
    assert await read(pull, 2) == [4, 5]
    await rolled(nats, admin)
    writer.epochs.forget()
    await append_many(writer, "risk", 2, tail, first=5)
    assert await read(pull, 2) == [6, 7]
    await pull.close()
    for start in range(1, 8):
        again = OrderedPull(reader, "notifier", start, heartbeat_s=0.2)
        for seq in range(start, 8):
            assert await read(again, 1) == [seq]
            assert again.is_idle == (seq == 7), "the end of an epoch is not the end of the log"
        await again.close()
    await reader.close()


async def test_people_read_the_log_as_one(nats: NatsStack, admin: User, writer: Bus) -> None:
    """The observer comes through another account; it sees all epochs as one log, and what comes after a roll-over it was not told of."""
    tail = await append_many(writer, "risk", 2)
    options = connect_options(nats.home, OBSERVER_USER, nats.url)
    observer = await Bus.connect(options, TRADING, api=GUEST_API)
    assert await observer.first_on(">", 3) is None
    await rolled(nats, admin)
    writer.epochs.forget()
    await append_many(writer, "risk", 1, tail, first=2)
    found = await observer.first_on(">", 3)
    assert found is not None
    assert found.seq == 3
    pull = OrderedPull(observer, "observer", 1, heartbeat_s=0.2)
    assert await read(pull, 3) == [1, 2, 3]
    await observer.close()


async def test_who_lives_in_the_old_epoch_is_refused_in_the_new_one(nats: NatsStack, admin: User, writer: Bus) -> None:
    """A frozen instance wakes up behind the roll-over: its prefix is empty in the new epoch, and it still may not write there."""
    await writer.epochs.settle()
    tail = await append_many(writer, "risk", 2)
    await rolled(nats, admin)
    with pytest.raises(EpochOver):
        await writer.append(alert("risk", 9, tail), "risk.>", {})
    with pytest.raises(EpochOver):
        await writer.append(alert("risk", 9, 0), "risk.>", {})
    successor = await bus_of(nats, "risk-gate")
    await successor.epochs.settle()
    assert await append_many(successor, "risk", 1, tail, first=2) == 3
    with pytest.raises(Fenced):
        await successor.append(alert("risk", 9, tail), "risk.>", {})
    pull = OrderedPull(writer, "risk-gate", 1, heartbeat_s=0.2)
    with pytest.raises(EpochOver):
        await read(pull, 4)
    await successor.close()


class Killed(Exception):
    """The process that rolled over is gone."""


def killed_after(user: User, changes: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """The next requests that change something reach the server, so many of them; returns whether the process still lived at the end."""
    request: Callable[..., Awaitable[Any]] = user.client.request
    left = changes

    async def dying(subject: str, *args: Any, **named: Any) -> Any:
        nonlocal left
        if any(verb in subject for verb in (".CREATE.", ".UPDATE.")):
            if left == 0:
                raise Killed
            left -= 1
        return await request(subject, *args, **named)

    monkeypatch.setattr(user.client, "request", dying)
    return lambda: left > 0


async def test_a_kill_between_any_two_steps_is_completed(
    nats: NatsStack, writer: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done before the kill, the next provisioning does the rest: nothing is lost, nothing is there twice, and appends are taken again."""
    tail, steps = await append_many(writer, "risk", 1), 0
    while True:
        doomed, healer = await nats.connect("admin"), await nats.connect("admin")
        with monkeypatch.context() as patch:
            is_through = killed_after(doomed, steps, patch)
            try:
                await roll_over(doomed.client, nats.contracts)
            except Killed:
                assert not is_through()
        is_whole = is_through()
        await provision(healer.client, nats.contracts)
        assert await verify(healer.client, nats.contracts) == []
        names = await rolling.epochs_of(healer.client)
        fresh = await bus_of(nats, "risk-gate")
        assert len(names) == len(await fresh.epochs.known())
        tail = await append_many(fresh, "risk", 1, tail, first=tail)
        entries = [await fresh.entry_at(seq) for seq in range(1, tail + 1)]
        assert [each.seq for each in entries if each is not None] == list(range(1, tail + 1))
        await fresh.close()
        if is_whole:
            break
        steps = steps + 1 if steps < 4 or steps > 20 else steps + 7  # between the durables one is like the other
    assert len(names) > 5, "most of the kills were behind the point of no return"


async def test_while_nothing_takes_what_is_said_nothing_is_lost_in_silence(
    nats: NatsStack, admin: User, writer: Bus
) -> None:
    """In the gap of a roll-over an append fails at once, and is certainly not in the log."""
    tail = await append_many(writer, "risk", 1)
    await rolling.close_newest(admin.client, log_config())
    with pytest.raises(NotTaken):
        await writer.append(alert("risk", 9, tail), "risk.>", {})
    await provision(admin.client, nats.contracts)
    fresh = await bus_of(nats, "risk-gate")
    assert await append_many(fresh, "risk", 1, tail, first=1) == 2
    await fresh.close()


async def test_a_chain_with_a_missing_epoch_is_refused(nats: NatsStack, admin: User, writer: Bus) -> None:
    """Whoever takes an epoch away takes decisions away; services do not start on the rest."""
    tail = await append_many(writer, "risk", 1)
    for first in (1, 2):
        await rolled(nats, admin)
        writer.epochs.forget()
        tail = await append_many(writer, "risk", 1, tail, first=first)
    await admin.ask(f"$JS.API.STREAM.DELETE.{SECOND}")
    with pytest.raises(ProvisionError, match=r"TRADING_0003 begins at 3, and TRADING_0001 ends at 1"):
        await provision(admin.client, nats.contracts)
    assert "an epoch of the log is missing" in (await verify(admin.client, nats.contracts))[0]


async def test_an_empty_epoch_is_followed_by_none(nats: NatsStack, admin: User) -> None:
    """There is nothing to be closed."""
    with pytest.raises(ProvisionError, match="TRADING_0001 holds nothing yet"):
        await rolled(nats, admin)
