"""The ordered reader between two readers of one durable, slow consumers and long silences, on a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.runtime import ordered_pull
from libs.runtime.bus import Bus
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.streams import TRADING
from tests.e2e.test_bus import append_many, bus_of, read
from tests.nats_stack import NatsStack

COUNT = 20


@pytest.fixture
async def buses(nats: NatsStack) -> AsyncIterator[tuple[Bus, Bus]]:
    """The connection of a reader, and that of the one who writes what it reads."""
    writer, reader = await bus_of(nats, "risk-gate"), await bus_of(nats, "notifier")
    yield reader, writer
    await reader.close()
    await writer.close()


class Raced(OrderedPull):
    """Another owner of the durable (a process that has woken up) resets it right after our first reset."""

    other_seq = 0

    async def _ask(self) -> None:
        other_seq, self.other_seq = self.other_seq, 0
        if other_seq:
            await self._bus.api(f"CONSUMER.RESET.{TRADING}.notifier", seq=other_seq)
        await super()._ask()


@pytest.mark.parametrize("other_seq", [1, 9, 15, COUNT + 1])
async def test_another_owners_reset_neither_skips_nor_repeats(buses: tuple[Bus, Bus], other_seq: int) -> None:
    """Whether the other was ahead or behind: numbers that happen to fit are not taken for ours."""
    reader, writer = buses
    await append_many(writer, "risk", COUNT)
    pull = Raced(reader, "notifier", 6, heartbeat_s=0.2)
    pull.other_seq = other_seq
    first = await pull.next()
    assert first is not None, "it was told of messages and must not call itself caught up"
    assert [first.entry.seq, *await read(pull, COUNT - 6)] == list(range(6, COUNT + 1))
    assert pull.is_idle


async def test_who_may_not_read_resets_nothing(buses: tuple[Bus, Bus]) -> None:
    """A process that cannot be sure of its lease leaves the durable to its successor, until it can."""
    reader, writer = buses
    await append_many(writer, "risk", 3)
    answers = [False, False, True]
    asked: list[Any] = []

    async def may_read() -> bool:
        asked.append(await reader.api(f"CONSUMER.INFO.{TRADING}.notifier"))
        return answers.pop(0)

    pull = OrderedPull(reader, "notifier", 2, may_read=may_read)
    assert await read(pull, 2) == [2, 3]
    assert not answers
    assert {each["delivered"]["stream_seq"] for each in asked} == {0}, "the durable was touched"


async def test_a_slow_consumer_holds_few_messages_in_memory(buses: tuple[Bus, Bus]) -> None:
    """However long the log, what is read ahead of the machine is at most two batches."""
    reader, writer = buses
    await append_many(writer, "risk", 100)
    pull = OrderedPull(reader, "notifier", 1, batch=10)
    most = 0
    for seq in range(1, 101):
        assert await read(pull, 1) == [seq]
        await asyncio.sleep(0.005)  # a machine at work
        most = max(most, len(pull._buffer))
    assert most <= 20
    assert pull.resets == 1


async def test_an_inbox_is_renewed_now_and_then(buses: tuple[Bus, Bus], monkeypatch: pytest.MonkeyPatch) -> None:
    """Across accounts every pull on one inbox costs the server memory; a new inbox gives it back, and nothing is lost."""
    reader, writer = buses
    monkeypatch.setattr(ordered_pull, "PULL_S", 0.5)
    monkeypatch.setattr(ordered_pull, "PULLS_PER_INBOX", 2)
    pull = OrderedPull(reader, "notifier", 1, heartbeat_s=0.2)
    tail = await append_many(writer, "risk", 3)
    assert await read(pull, 3) == [1, 2, 3]
    inbox = pull._inbox
    async with asyncio.timeout(20):
        while pull._inbox == inbox:
            assert await pull.next() is None
    await append_many(writer, "risk", 3, tail, first=10)
    assert await read(pull, 3) == [4, 5, 6]
    assert len(reader.client._subs) == 2, "its own inbox, and that of all requests"


async def test_a_reader_leaves_no_inbox_behind_when_the_bus_goes_away(nats: NatsStack) -> None:
    """An outage that outlasts the heartbeat costs a new inbox, not one more."""
    writer, reader = await bus_of(nats, "risk-gate"), await bus_of(nats, "notifier")
    await append_many(writer, "risk", 3)
    pull = OrderedPull(reader, "notifier", 1, heartbeat_s=0.2)
    assert await read(pull, 3) == [1, 2, 3]
    nats.kill()
    waiting = asyncio.create_task(pull.next())
    await asyncio.sleep(1.5)
    await nats.start(provisioned=False)
    await waiting
    assert len(reader.client._subs) == 2
    await writer.close()
    await reader.close()


async def test_a_reader_is_not_idle_before_it_has_read_again_behind_an_outage(nats: NatsStack) -> None:
    """From the moment the bus breaks until it has answered again, nobody knows what is in the log: that is not rest."""
    reader = await bus_of(nats, "notifier")
    pull = OrderedPull(reader, "notifier", 1)
    assert await pull.next() is None
    assert pull.is_idle
    nats.kill()
    async with asyncio.timeout(5):
        while reader.is_connected:  # noqa: ASYNC110  (the connection's own state has no event)
            await asyncio.sleep(0.01)
    assert not pull.is_idle
    await nats.start(provisioned=False)
    await reader.wait_connected()
    assert not pull.is_idle, "connected is not caught up"
    assert await pull.next() is None
    assert pull.is_idle
    await pull.close()
    await reader.close()


async def test_a_reader_that_waits_hears_of_the_reconnect(nats: NatsStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins anew when the bus is back, not when the heartbeat it had been promised by the old one is overdue."""
    monkeypatch.setattr(ordered_pull, "PULL_S", 150.0)
    writer, reader = await bus_of(nats, "risk-gate"), await bus_of(nats, "notifier")
    pull = OrderedPull(reader, "notifier", 1, heartbeat_s=60.0)
    assert await pull.next() is None
    waiting = asyncio.create_task(pull.next())
    await asyncio.sleep(0.1)
    nats.kill()
    await nats.start(provisioned=False)
    await writer.wait_connected()
    await append_many(writer, "risk", 1)
    async with asyncio.timeout(30):
        first = await waiting or await pull.next()
    assert first is not None
    assert first.entry.seq == 1
    await pull.close()
    await writer.close()
    await reader.close()
