"""The desk on a real bus: it reads the whole log, tells what changes, takes orders once, and lives through outages and restarts."""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import create_engine, text

from libs.common.ids import derive_id
from libs.common.messages import AccessRefused, FlattenCommanded, OperatorCommanded
from libs.desk import commands
from libs.desk.commands import NotSaid, Order
from libs.desk.desk import Desk
from libs.desk.index import Wanted
from libs.desk.story import tell
from libs.desk.story_target import newest
from libs.desk.voice import AlreadySaid
from libs.runtime.bus import Bus
from libs.runtime.clock import SystemClock
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of
from libs.runtime.settings import ServiceSettings
from libs.runtime.streams import TRADING
from tests.e2e.test_cli import write
from tests.nats_stack import NatsStack
from tests.recorded_log import recorded_log

LOG = recorded_log(3)
REFUSED = AccessRefused(door="api", who="", address="127.0.0.1", what="GET /", why="BAD_TOKEN", count=1)


@pytest.fixture
async def nats_log(nats: NatsStack) -> NatsStack:
    """A server with a day's log in miniature."""
    await write(nats, LOG)
    return nats


async def until(is_so: Callable[[], bool], s_max: float = 20.0) -> None:
    async with asyncio.timeout(s_max):
        while not is_so():  # noqa: ASYNC110  (a desk that follows a log sets no event)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_desk(nats: NatsStack, services: dict[str, str] | None = None) -> AsyncIterator[Desk]:
    """A desk that has read the log to its end."""
    settings = ServiceSettings(home=nats.home, nats_url=nats.url)
    desk = Desk(contract_of("gateway"), settings, SystemClock(), services, code_version="c0de")
    running = asyncio.create_task(desk.run())
    try:
        await until(lambda: running.done() or desk.phase.state == "LIVE")
        if running.done():
            running.result()
        yield desk
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        desk.close()


def halt(reason: str = "a drill") -> Order:
    return Order(word="HALT", reason=reason, author="api:ada")


async def test_it_reads_the_whole_log_and_tells_the_story_of_the_newest_fill(nats_log: NatsStack) -> None:
    """What stands at the end of the log is what it shows; a story is the one that reading everything tells."""
    async with open_desk(nats_log) as desk:
        assert desk.phase.processed_seq == LOG[-1].seq + 1  # that it has begun stands behind
        target = newest(LOG)[0]
        assert await desk.story("latest") == tell(LOG, target)
        assert (await desk.page(Wanted(roles=("fill",)), 1))[0].seq == max(
            entry.seq for entry in LOG if b'"exec_type":"TRADE"' in entry.payload
        )


async def test_a_restart_reads_on_where_it_was(nats_log: NatsStack) -> None:
    """What is on record is not read from the bus again, and the screen is the same as before."""
    async with open_desk(nats_log) as desk:
        before = msgspec.json.encode(desk.view.sections()["fills"])
        count = await asyncio.to_thread(desk._index.count)
    async with open_desk(nats_log) as desk:
        assert desk.phase.processed_seq == LOG[-1].seq + 2
        assert msgspec.json.encode(desk.view.sections()["fills"]) == before
        assert await asyncio.to_thread(desk._index.count) == count + 1


async def test_every_life_is_in_the_log_and_a_standby_has_none(nats_log: NatsStack) -> None:
    """A door that keeps crashing can be seen: each of its starts counts. Who waits for the lease has not begun."""
    async with open_desk(nats_log):
        pass
    async with open_desk(nats_log) as desk:
        second = ServiceSettings(home=nats_log.home / "elsewhere", nats_url=nats_log.url, instance="second")
        shutil.copytree(nats_log.home / "keys", second.home / "keys")
        standby = Desk(contract_of("gateway"), second, SystemClock())
        running = asyncio.create_task(standby.run())
        await until(lambda: standby.phase.state == "STANDBY")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        standby.close()
        facts = desk.view.standing.facts
        assert (facts.starts["ops.gateway"], facts.code_versions["ops.gateway"]) == (2, "c0de")
        assert await nats_log.last_seq() == LOG[-1].seq + 2


async def test_an_order_is_said_once_under_its_name(nats_log: NatsStack) -> None:
    """Repeated it changes nothing, in this life or the next; with another content its name is refused."""
    async with open_desk(nats_log) as desk:
        first, second = await asyncio.gather(*(desk.order(halt(), "click-1", 0.0) for _ in range(2)))
        assert first.seq == second.seq == LOG[-1].seq + 2
        assert sorted((first.repeated, second.repeated)) == [False, True]
        assert not first.answered
        assert "has not answered yet" in first.text
        with pytest.raises(AlreadySaid):
            await desk.order(halt("another"), "click-1", 0.0)
    async with open_desk(nats_log) as desk:
        assert (await desk.order(halt(), "click-1", 0.0)).repeated
        flat = await desk.order(Order(word="FLATTEN", reason="r", author="a"), "click-2", 0.0)
        assert flat.seq == first.seq + 2
        rows = []
        async with asyncio.timeout(5):
            while len(rows) < 2:
                rows = await desk.page(Wanted(producers=("ops.gateway",), roles=("command",)), 10)
        assert [row.seq for row in rows] == [flat.seq, first.seq]


async def test_refusals_are_put_on_record(nats_log: NatsStack) -> None:
    """Two of the same kind are two events under our own prefix."""
    async with open_desk(nats_log) as desk:
        one, two = await desk.record(REFUSED), await desk.record(REFUSED)
        await until(lambda: desk.phase.processed_seq >= two)
        rows = []
        async with asyncio.timeout(5):
            while len(rows) < 2:
                rows = await desk.page(Wanted(roles=("refused",)), 10)
        assert [row.seq for row in rows] == [two, one]
        assert {row.producer for row in rows} == {"ops.gateway"}


async def test_listeners_hear_at_once_how_it_stands_and_then_what_changes(nats_log: NatsStack) -> None:
    """The first moments are the whole screen; an order of ours is in the log's section within a second."""
    async with open_desk(nats_log) as desk:
        await until(lambda: "log" in (told := desk.broadcast._told) and told["log"].seq == LOG[-1].seq + 1)
        with desk.broadcast.listening() as listener:
            moments = listener.moments()
            first = [await anext(moments) for _ in range(len(desk.broadcast._told))]
            assert {"head", "positions", "log", "services", "desk"} <= {each.kind for each in first}
            await desk.order(halt("because of the drill"), "click-9", 0.0)
            async with asyncio.timeout(2):
                while True:
                    moment = await anext(moments)
                    if moment.kind == "log" and b"because of the drill" in moment.body:
                        break
            assert len(msgspec.json.decode(moment.body)) < 5, "only what is new"
            with desk.broadcast.listening() as other:
                late = other.moments()
                whole = [await anext(late) for _ in range(len(desk.broadcast._told))]
                assert any(len(msgspec.json.decode(each.body)) > 30 for each in whole if each.kind == "log")


async def test_an_outage_of_the_bus_is_said_and_survived(nats_log: NatsStack) -> None:
    """What was known is still shown; orders are refused with what to do instead; afterwards it reads on."""
    async with open_desk(nats_log) as desk:
        nats_log.kill()
        await until(lambda: desk.phase.state == "DISCONNECTED")
        assert desk.view.fills
        assert await desk.page(Wanted(roles=("fill",)), 1)
        with pytest.raises(NotSaid):
            await desk.order(halt(), "click-1", 0.0)
        await nats_log.start(provisioned=False)
        await until(lambda: desk.phase.state == "LIVE")
        outcome = await desk.order(halt(), "click-1", 0.0)
        await until(lambda: desk.phase.processed_seq >= outcome.seq)


async def test_a_bus_that_is_frozen_is_not_taken_for_one_that_works(nats_log: NatsStack) -> None:
    """A stopped server keeps its connections open: the screen says all the same that it shows what was known, and no order is claimed to be said."""
    async with open_desk(nats_log) as desk:
        nats_log.process.send_signal(signal.SIGSTOP)
        try:
            orders = [asyncio.create_task(desk.order(halt(), f"click-{number}", 0.0)) for number in range(5)]
            async with asyncio.timeout(7):  # not one patience after the other
                told = await asyncio.gather(*orders, return_exceptions=True)
            assert all(isinstance(each, NotSaid) for each in told)
            assert "HALT is not in the log" in str(told[0])
            await until(lambda: desk.phase.state == "DISCONNECTED")
        finally:
            nats_log.process.send_signal(signal.SIGCONT)
        await until(lambda: desk.phase.state == "LIVE")


async def test_a_log_that_takes_nothing_is_not_said_to_have_the_order(nats_log: NatsStack) -> None:
    """A full store refuses the append: whoever has halted must not believe that the halt is in the log."""
    admin = await nats_log.connect("admin")
    config = (await admin.ask(f"$JS.API.STREAM.INFO.{TRADING}"))["config"]
    async with open_desk(nats_log) as desk:
        await admin.ask(f"$JS.API.STREAM.UPDATE.{TRADING}", {**config, "max_msg_size": 10})
        with pytest.raises(NotSaid, match="HALT is not in the log"):
            await desk.order(halt(), "click-1", 0.0)
        await admin.ask(f"$JS.API.STREAM.UPDATE.{TRADING}", config)
        assert not (await desk.order(halt(), "click-1", 0.0)).repeated


async def test_what_another_gateway_has_just_said_is_not_said_again(nats_log: NatsStack) -> None:
    """At a takeover, and after an answer that was lost, an order may be in the log before this door has read it: it is still one order."""
    writer = contract_of("gateway").writer
    user = await nats_log.connect("gateway")
    other = Bus(user.client, TRADING, api_prefix(contract_of("gateway")))
    async with open_desk(nats_log) as desk:
        for number in range(10):
            name = f"click-{number}"
            said = commands.message_of(halt(), writer, derive_id("command", writer, name), 1)
            seq, _ = await commands.append(other, writer, "HALT", lambda _tail, said=said: said)  # type: ignore[misc]
            outcome = await desk.order(halt(), name, 0.0)
            assert (outcome.seq, outcome.repeated) == (seq, True)


async def test_who_asks_for_much_does_not_keep_the_door_from_reading(
    nats_log: NatsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that take for ever, however many are asked for, hold up other pages and nothing else."""
    answered = threading.Event()
    async with open_desk(nats_log) as desk:
        quick = desk._index.page
        monkeypatch.setattr(desk._index, "page", lambda *words, **more: answered.wait(20) and quick(*words, **more))
        asking = [asyncio.create_task(desk.page(Wanted(), 1)) for _ in range(40)]
        try:
            for number in range(3):
                outcome = await desk.order(halt(), f"click-{number}", 0.0)
                await until(lambda seq=outcome.seq: desk.phase.processed_seq >= seq, 5.0)  # type: ignore[misc]
        finally:
            answered.set()
        assert all(len(rows) == 1 for rows in await asyncio.gather(*asking))


async def test_an_index_of_another_log_is_made_anew(nats: NatsStack) -> None:
    """A state folder that was copied to another book shows that book, not the former one."""
    await write(nats, recorded_log(3)[:200])
    async with open_desk(nats) as desk:
        before = desk.phase.processed_seq
    index = nats.home / "gateway" / "index.db"
    kept = index.read_bytes()
    assert before == 201
    assert kept[:6] == b"SQLite"
    engine = create_engine(f"sqlite:///{index}")
    with engine.begin() as connection:
        connection.execute(text("update place set value = 'of another log' where key = 'digest'"))
    engine.dispose()
    async with open_desk(nats) as desk:
        assert desk.phase.processed_seq == 202
        assert await asyncio.to_thread(desk._index.last_digest) != "of another log"


def test_commands_are_known_by_what_they_order() -> None:
    """A repeat may come later than the first; another reason is another order."""
    common = {"id": "1", "author": "a", "producer": "ops.gateway"}
    one = OperatorCommanded(command="HALT", reason="x", ts_init=1, ts_event=1, **common)
    assert commands.is_same(one, OperatorCommanded(command="HALT", reason="x", ts_init=9, ts_event=9, **common))
    assert not commands.is_same(one, OperatorCommanded(command="HALT", reason="y", ts_init=1, ts_event=1, **common))
    assert not commands.is_same(one, FlattenCommanded(reason="x", ts_init=1, ts_event=1, **common))
