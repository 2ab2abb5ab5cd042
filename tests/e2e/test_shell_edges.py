"""The live shell where waiting could last for ever or memory grow without end: each case once stopped or swelled a process."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from libs.common.messages import Answer, FeedMarks, Message
from libs.runtime import live
from libs.runtime.bus import Bus, BusError
from libs.runtime.core import Asked
from libs.runtime.lease import Lease, LeaseLost
from libs.runtime.machine import Effect, Perform
from libs.runtime.streams import LEASES
from libs.runtime.tracing import trace_id_of
from tests.e2e.live_services import Kind, Life, Log, Pen
from tests.e2e.test_bus import bus_of
from tests.e2e.toy_services import ASKER, FEED, TOYS, Asker, PlainSettings, World, mark
from tests.nats_stack import NatsStack
from tests.unit.runtime.test_simulated_toys import Send


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """A nats-server for the toys alone."""
    stack = NatsStack(tmp_path / "home", TOYS)
    await stack.start()
    try:
        yield stack
    finally:
        stack.process.send_signal(signal.SIGCONT)
        await stack.stop()


async def test_a_request_that_expired_is_told_though_nothing_else_happens(stack: NatsStack) -> None:
    """The answer `expired` is made while nobody appends; it must not wait for the next event of a quiet log."""
    life, pen, log = await Life(stack, ASKER).live(), await Pen.of(stack, "market-feed"), await Log.of(stack)
    seq = await pen.say(mark(500))
    assert (await log.until("notify.expired"))[0].request_id == "500"
    await life.done(seq)
    assert await life.stop() is None


class Crowd(Asker):
    """Asks more than may wait at mark 1, without a word before."""

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, FeedMarks) and event.as_of == 1:
            return [Perform(f"1/{place}", _Question(valid_until=1 << 62)) for place in range(300)]
        return super().handle(event, now)


class _Question(Send, frozen=True, kw_only=True):
    """May be repeated."""

    write_ahead = False
    text: str = ""


async def test_a_crowd_of_requests_does_not_stop_the_reader(stack: NatsStack) -> None:
    """Requests without a word before them leave the queue without an append; whoever waits for room must hear of it."""
    worlds: list[World] = []

    def world(settings: Any) -> World:
        worlds.append(World(settings))
        worlds[0].gate.clear()
        return worlds[0]

    kind = Kind(ASKER.contract, Crowd, PlainSettings, adapter=world)
    life, pen, log = await Life(stack, kind).live(), await Pen.of(stack, "market-feed"), await Log.of(stack)
    await pen.say(mark(1))
    await pen.say(mark(2))
    assert (await log.until("notify.notice"))[0].text == "2"
    assert len(worlds[0].left) >= 300
    await life.kill()


class Closing(World):
    """A world whose connections break under those who still use them when it is closed."""

    def __init__(self, settings: Any):
        super().__init__(settings)
        self.is_closed = asyncio.Event()
        self.answers_in_s = 0.0

    async def perform(self, asked: Asked) -> Answer:
        self.left.append(asked.request_id)
        if self.answers_in_s:
            await asyncio.sleep(self.answers_in_s)
            return await super().perform(asked)
        await self.is_closed.wait()
        raise ConnectionError("closed under us")

    async def close(self) -> None:
        self.is_closed.set()
        await asyncio.sleep(0)


async def test_a_stop_ends_cleanly_while_the_world_owes_an_answer(
    stack: NatsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request without an answer does not make a crash of a stop: the next life hears `interrupted`."""
    monkeypatch.setattr(live, "STOP_S_MAX", 1.0)
    kind = Kind(ASKER.contract, Asker, PlainSettings, adapter=Closing)
    life, pen = await Life(stack, kind).live(), await Pen.of(stack, "market-feed")
    await pen.say(mark(1))
    await life._until(lambda: life.readiness.pending_requests == 1)
    assert await life.stop() is None
    again = await Life(stack, ASKER).live()
    await again._until(lambda: again.state.ends == {"1": "RequestInterrupted"})
    assert await again.stop() is None


async def test_an_answer_on_its_way_is_waited_for_at_a_stop(stack: NatsStack) -> None:
    """What will be answered in a moment need not become a riddle for the next life."""
    worlds: list[Closing] = []

    def world(settings: Any) -> Closing:
        worlds.append(Closing(settings))
        worlds[0].answers_in_s = 0.3
        return worlds[0]

    kind = Kind(ASKER.contract, Asker, PlainSettings, adapter=world)
    life, pen, log = await Life(stack, kind).live(), await Pen.of(stack, "market-feed"), await Log.of(stack)
    await pen.say(mark(1))
    await life._until(lambda: life.readiness.pending_requests == 1)
    assert await life.stop() is None
    assert [each.request_id for each in await log.said("notify.sent")] == ["1"]


class Talking(World):
    """Says a word while it is asked, itself and by a library in another task."""

    async def perform(self, asked: Asked) -> Answer:
        self.context.logger.info("asking", request_id=asked.request_id)
        await asyncio.create_task(self._by_a_library())
        return await super().perform(asked)

    async def _by_a_library(self) -> None:
        logging.getLogger("a.library").warning("strange")


async def test_what_is_said_while_the_world_is_asked_belongs_to_its_story(
    stack: NatsStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """A venue's strange answer is found by the trade it came with: each line of a request has the ids of its story, and lines outside have none."""
    kind = Kind(ASKER.contract, Asker, PlainSettings, adapter=Talking)
    life, pen, log = await Life(stack, kind).live(), await Pen.of(stack, "market-feed"), await Log.of(stack)
    for number in (1, 2):
        await life.done(await pen.say(mark(number)))
    said = await log.until("notify.sent", 2)
    assert await life.stop() is None
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    stories = {each.request_id: each.correlation_id for each in said}
    asked = [line for line in lines if line["event"] in ("asking", "strange")]
    assert [line["correlation_id"] for line in asked] == [stories[each] for each in ("1", "1", "2", "2")]
    assert all(line["trace_id"] == trace_id_of(line["correlation_id"]) for line in asked)
    assert not any("trace_id" in line for line in lines if line["event"] in ("live", "stopped"))


async def test_what_the_world_says_into_a_dead_bus_does_not_pile_up(
    stack: NatsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a measure the process ends, and says why; its next life waits for the bus before it listens to the world."""
    monkeypatch.setattr(live, "SAID_MAX", 50)
    worlds: list[World] = []

    def world(settings: Any) -> World:
        worlds.append(World(settings))
        return worlds[0]

    kind = Kind(FEED.contract, FEED.machine_class, PlainSettings, adapter=world)
    life = await Life(stack, kind).live()
    await life._until(lambda: life.shell._is_adapter_open and not life.shell._engine.backlog)
    stack.kill()
    await life._until(lambda: not life.shell._bus.is_connected)
    for number in range(60):
        worlds[0].context.emit(mark(number))
    error = await life.ended()
    assert isinstance(error, BusError)
    assert "50" in str(error)
    await stack.start(provisioned=False)


async def test_a_lease_that_the_bus_will_not_give_is_not_called_anothers(stack: NatsStack) -> None:
    """Whoever waits says what it waits for, however long."""
    admin = await stack.connect("admin")
    assert (await admin.ask(f"$JS.API.STREAM.DELETE.{LEASES}"))["success"]
    life = Life(stack, ASKER)
    await life._until(lambda: life.readiness.reasons[0].startswith("waiting for the lease: "))
    assert await life.stop() is None


async def test_a_second_process_of_the_same_name_takes_over_for_good(nats: NatsStack) -> None:
    """A restart goes on at once under its old name; the process before it, should it still live, is told that it has lost."""
    bus = await bus_of(nats, "ledger")
    first, second = Lease(bus, "ledger", "a", 5.0), Lease(bus, "ledger", "a", 5.0)
    assert await first.acquire()
    assert await second.acquire()
    with pytest.raises(LeaseLost):
        await first.renew()
    await second.renew()
    second._revision -= 1  # as after a renewal that was stored and whose answer was lost
    await second.renew()
    assert await second.is_held()
    await bus.close()


async def test_a_bus_that_has_stopped_cannot_hold_up_the_end(stack: NatsStack) -> None:
    """A frozen server does not take what is still to be sent; closing does not wait for it."""
    bus: Bus = await bus_of(stack, "market-feed")
    stack.process.send_signal(signal.SIGSTOP)
    for _ in range(300):
        await bus.publish_loose("market.trade.x.BTC-USDT", b"x" * 100_000)
    async with asyncio.timeout(10):
        await bus.close()
