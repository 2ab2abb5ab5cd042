"""The executor without the log: a fill that nobody can write down is protected within seconds, told when the log is back, sent once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from libs.common.codec import decode_from
from libs.common.ids import cl_ord_id_of
from libs.common.messages import FeedMarks, FeedStatus, GenesisDeclared, Mark, ProtectionImprovised
from services.order_executor.adapters import outage
from services.order_executor.adapters.ccxt_venue import CcxtVenue
from services.order_executor.adapters.journal import Journal
from services.order_executor.adapters.outage import logless
from services.order_executor.guards import uncovered
from services.order_executor.improvise import FIRST_ATTEMPT
from services.order_executor.machine import OrderExecutorMachine
from tests.e2e.live_services import Kind, Life, Log, Pen, kind_of, special_settings, until
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.nats_stack import NatsStack
from tests.unit.order_executor.desk import BTC, SECOND, approval, order, policy

STOP = cl_ord_id_of("a1", "STOP", FIRST_ATTEMPT)


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, in step mode, past its first minute."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """The bus of all services."""
    stack = NatsStack(tmp_path / "home")
    await stack.start()
    try:
        yield stack
    finally:
        stack.process.send_signal(signal.SIGCONT)
        await stack.stop()


class Scene:
    """An executor whose entry rests at the venue a little below the market."""

    def __init__(self, stack: NatsStack, venue: VenueStand):
        self.stack, self.venue = stack, venue
        self.log: Log

    async def live(self) -> Life:
        """A life of the executor."""
        real = kind_of("order-executor")
        kind = Kind(real.contract, OrderExecutorMachine, real.settings_class, adapter=logless(CcxtVenue))
        given = special_settings("order-executor", self.stack.home, self.venue)
        given["exec_gate_public_key"] = policy().gate_public_key
        return await Life(self.stack, kind, **given).live()

    async def begin(self) -> Life:
        """Until the entry rests."""
        self.log = await Log.of(self.stack)
        now = self.venue.now
        feed, gate, cli = [await Pen.of(self.stack, name, now) for name in ("market-feed", "risk-gate", "cli")]
        life = await self.live()
        px = float((await self.venue.get("/api/v3/ticker/price", symbol="BTCUSDT"))["price"])
        specs = tuple(each.listing.spec for each in self.venue.server.exchange.market.histories.values())
        await feed.say(FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=specs))
        mark = Mark(instrument=BTC, bid_px=px, ask_px=px, last_px=px, protective_px=px, trust="TRUSTED", ts=now)
        await feed.say(FeedMarks(venue="binance", as_of=now, marks=(mark,)))
        await cli.say(GenesisDeclared(book="main", mode="paper", author="me"))
        await until(lambda: life.state.reading.seen)
        await self.venue.advance(1)  # what was read must be read once more
        await self.log.until("exec.reconciled")
        limit = (D(str(px)) * D("0.9999")).quantize(D("0.01"))
        await gate.say(
            approval(
                ts_init=now,
                valid_until=now + 3_600 * SECOND,
                ord_type="LIMIT",
                limit_px=limit,
                ref_px=D(str(px)),
                stop_px=(limit / 2).quantize(D("0.01")),
            )
        )
        await until(lambda: order("ENTRY") in life.state.orders and life.state.orders[order("ENTRY")].status == "NEW")
        await until(lambda: life.readiness.quiescent)  # an append that is in flight when the bus dies ends the process
        return life

    async def fill(self) -> None:
        """Let venue time pass until the entry is filled."""
        for _ in range(400):
            await self.venue.advance(2)
            if not [each for each in await self.open_orders() if each["side"] == "BUY"]:
                return
        raise AssertionError("the market never came down to the entry")

    async def open_orders(self) -> list[dict[str, Any]]:
        """What rests at the venue."""
        _, found = await self.venue.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")
        assert isinstance(found, list), found
        return found

    async def stops(self) -> list[dict[str, Any]]:
        """The sells among them."""
        return [each for each in await self.open_orders() if each["side"] == "SELL"]

    async def held(self) -> D:
        """All the base the account has."""
        _, account = await self.venue.signed("GET", "/api/v3/account")
        (base,) = [each for each in account["balances"] if each["asset"] == "BTC"]
        return D(base["free"]) + D(base["locked"])

    async def is_covered(self) -> bool:
        """Whether one stop of exactly what can be sold rests, and was sent once."""
        stops = await self.stops()
        seen = (await self.venue.get("/sim/account"))["seen_cl_ord_ids"]
        return (
            len(stops) == 1
            and stops[0]["type"] == "STOP_LOSS"
            and D(stops[0]["origQty"]) == (await self.held()).quantize(D("0.00001"), "ROUND_DOWN")
            and [seen.get(STOP), seen.get(order("STOP"))] == [1, None]
        )

    async def told(self) -> list[ProtectionImprovised]:
        """What was said of improvised orders; each before any word of the fills they protect."""
        said, fills = [], 0
        for entry in await self.log.read():
            if entry.subject == f"exec.improvised.{BTC}":
                message = decode_from(entry.subject, entry.payload)
                assert isinstance(message, ProtectionImprovised)
                assert not fills, "a fill was told before the order that protects it"
                said.append(message)
            fills += entry.subject == f"exec.report.{BTC}" and b'"TRADE"' in entry.payload
        return said


@pytest.fixture
async def scene(stack: NatsStack, venue: VenueStand) -> Scene:
    """The stage."""
    return Scene(stack, venue)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_fill_while_the_log_is_away_is_protected_and_told_first(scene: Scene, how: str) -> None:
    """One stop of the right size within seconds; when the log is back it is told before the fills, and nothing is sent twice."""
    life, stack = await scene.begin(), scene.stack
    if how == "killed":
        stack.kill()
    else:
        await life.done(await scene.log.last_seq())
        stack.process.send_signal(signal.SIGSTOP)
    await until(lambda: not life.shell._appends.is_reachable)
    await scene.fill()
    async with asyncio.timeout(5):
        await until(scene.is_covered)
    (step,) = Journal(stack.home / "order-executor").steps
    assert (step.cl_ord_id, step.outcome) == (STOP, "CONFIRMED")
    if how == "killed":
        await stack.start(provisioned=False)
        scene.log = await Log.of(stack)
    else:
        stack.process.send_signal(signal.SIGCONT)
    await life.live()
    await scene.log.until(f"exec.improvised.{BTC}")
    await until(lambda: STOP in life.state.orders and life.state.orders[STOP].status == "NEW")
    await until(lambda: life.state.orders[order("ENTRY")].status == "FILLED" and uncovered(life.state) == {})
    assert [(each.cl_ord_id, each.outcome) for each in await scene.told()] == [(STOP, "CONFIRMED")]
    assert await scene.is_covered()
    await until(lambda: Journal(stack.home / "order-executor").steps == [])
    assert await life.stop() is None
    assert await scene.is_covered()


async def test_a_kill_between_the_word_and_the_answer_leaves_a_question_not_a_second_stop(scene: Scene) -> None:
    """The next life says what was intended before anything else, has it looked up, and sends nothing again."""
    life, stack = await scene.begin(), scene.stack
    stack.kill()
    await until(lambda: not life.shell._appends.is_reachable)
    await scene.venue.post("/sim/faults", {"kind": "timeout_after_accept"})
    await scene.fill()
    await until(lambda: [each.outcome for each in Journal(stack.home / "order-executor").steps] == [""])
    await until(scene.stops)
    await life.kill()
    await stack.start(provisioned=False)
    scene.log = await Log.of(stack)
    life = await scene.live()
    await until(lambda: STOP in life.state.orders and life.state.orders[STOP].status == "NEW")
    await until(lambda: life.state.orders[order("ENTRY")].status == "FILLED" and uncovered(life.state) == {})
    assert [(each.cl_ord_id, each.outcome) for each in await scene.told()] == [(STOP, "UNKNOWN")]
    assert await scene.is_covered()
    assert await life.stop() is None


async def test_nothing_is_improvised_while_the_log_is_there(scene: Scene) -> None:
    """With the log, protection is the machine's alone."""
    life = await scene.begin()
    await scene.fill()
    await until(lambda: (found := life.state.orders.get(order("STOP"))) is not None and found.status == "NEW")
    assert Journal(scene.stack.home / "order-executor").steps == []
    assert await life.stop() is None
    assert await scene.told() == []


async def test_a_stop_the_venue_refuses_becomes_a_sale(scene: Scene) -> None:
    """What cannot be stopped is sold at market, exactly once, and nothing is left on its way out."""
    life, stack = await scene.begin(), scene.stack
    stack.kill()
    await until(lambda: not life.shell._appends.is_reachable)
    await scene.venue.post("/sim/faults", {"kind": "reject"})
    await scene.fill()

    async def is_sold() -> bool:
        return await scene.held() < D("0.00001")

    async with asyncio.timeout(5):
        await until(is_sold)
    await until(
        lambda: [step.outcome for step in Journal(stack.home / "order-executor").steps] == ["REJECTED", "CONFIRMED"]
    )
    assert await scene.stops() == []
    assert [step.role for step in Journal(stack.home / "order-executor").steps] == ["STOP", "EXIT"]
    await life.kill()
    await stack.start(provisioned=False)


async def test_who_stood_still_does_not_act_on_what_it_knew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was frozen cannot know what a successor did: it holds what it hears, and the machine protects afterwards."""
    life, stack = await scene.begin(), scene.stack
    monkeypatch.setattr(outage, "FROZEN_S", -1.0)
    stack.kill()
    await until(lambda: not life.shell._appends.is_reachable)
    await scene.fill()
    adapter = life.shell._adapter
    assert isinstance(adapter, outage.LoglessVenue)
    await until(lambda: adapter._held and time.monotonic() - (adapter._away_since or time.monotonic()) > 1.5)
    assert Journal(stack.home / "order-executor").steps == []
    assert await scene.stops() == []
    await stack.start(provisioned=False)

    async def is_protected() -> bool:
        await asyncio.sleep(0.2)  # the lease must first be renewed, in wall time
        await scene.venue.advance(1)  # the machine paces what it tries again
        stops = await scene.stops()
        return len(stops) == 1 and uncovered(life.state) == {}

    await until(is_protected)
    assert await life.stop() is None
