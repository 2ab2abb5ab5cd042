"""The executor's venue adapter, with unmodified ccxt, against the emulated venue and against one that talks nonsense."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from libs.common.messages import (
    AccountRead,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentSpec,
    Mark,
    Message,
    OrderAnswered,
    OrderLookedUp,
    Reconciled,
    TimerFired,
    UserStreamChanged,
    VenueReported,
)
from libs.runtime.adapter import Unmetered
from libs.runtime.core import Core, Output
from libs.runtime.venue_terms import terms_of
from services.order_executor.guards import uncovered
from services.order_executor.machine import OrderExecutorMachine
from services.order_executor.requests import NEVER_SENT, CancelOrder, LookUpOrder, ReadAccount, SubmitOrder
from tests.e2e.executor_bench import Bench, bench
from tests.e2e.metered_venue import budget_without_bus
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.unit.order_executor.desk import BTC, ETH, SECOND, approval, exit_approval, order, policy

FAR = 1 << 62


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, in step mode, past its first minute."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


def buy(name: str = "b" * 32, qty: str = "0.01", **changes: Any) -> SubmitOrder:
    """A market order."""
    values: dict[str, Any] = {
        "valid_until": FAR,
        "cl_ord_id": name,
        "instrument": BTC,
        "side": "BUY",
        "ord_type": "MARKET",
        "time_in_force": "GTC",
        "order_qty": D(qty),
        "limit_px": None,
        "stop_px": None,
    }
    return SubmitOrder(**{**values, **changes})


def stop(name: str = "5" * 32, qty: str = "0.005", px: str = "10000") -> SubmitOrder:
    """A stop far below the market."""
    return buy(name, qty, side="SELL", ord_type="STOP_LOSS", stop_px=D(px))


def read(**after: str) -> ReadAccount:
    """A reading of BTC-USDT and ETH-USDT."""
    names = {name.replace("_", "-"): exec_id for name, exec_id in after.items()}
    return ReadAccount(valid_until=FAR, instruments=(BTC, ETH), fills_after=names)


def look(name: str) -> LookUpOrder:
    """A look-up."""
    return LookUpOrder(valid_until=FAR, cl_ord_id=name, instrument=BTC)


def cancel(name: str) -> CancelOrder:
    """A cancel."""
    return CancelOrder(valid_until=FAR, cl_ord_id=name, instrument=BTC)


async def test_a_market_order_is_confirmed_with_its_fills_and_told_again_by_the_user_stream(venue, tmp_path):
    """A market order is confirmed with its fills and told again by the user stream."""
    async with bench(venue, tmp_path) as desk:
        answer: OrderAnswered = await desk.ask(buy())
        assert (answer.outcome, answer.order.ord_status, answer.order.cum_qty) == ("CONFIRMED", "FILLED", D("0.01"))
        assert sum(fill.qty for fill in answer.fills) == D("0.01")
        assert all(fill.commission > 0 and fill.commission_asset == "BTC" for fill in answer.fills)
        told = [each for each in await desk.until(VenueReported, len(answer.fills)) if each.fill]
        assert {each.fill.exec_id: each.fill.qty for each in told} == {fill.exec_id: fill.qty for fill in answer.fills}
        assert told[-1].order.ord_status == "FILLED"
        assert len({each.id for each in told}) == len(told)


async def test_a_stop_rests_is_found_is_canceled_and_is_gone(venue, tmp_path):
    """A stop rests is found is canceled and is gone."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        rests: OrderAnswered = await desk.ask(stop())
        assert (rests.outcome, rests.order.ord_status, rests.order.stop_px) == ("CONFIRMED", "NEW", D(10_000))
        found: OrderLookedUp = await desk.ask(look("5" * 32))
        assert (found.outcome, found.order.ord_status, found.fills) == ("FOUND", "NEW", ())
        gone: OrderAnswered = await desk.ask(cancel("5" * 32))
        assert (gone.outcome, gone.order.ord_status, gone.order.cl_ord_id) == ("CONFIRMED", "CANCELED", "5" * 32)
        again: OrderAnswered = await desk.ask(cancel("5" * 32))
        assert (again.outcome, again.code) == ("REJECTED", "-2011")
        assert (await desk.ask(look("5" * 32))).order.ord_status == "CANCELED"
        told = await desk.until(VenueReported, 3)
        assert [each.order.ord_status for each in told if each.order.cl_ord_id == "5" * 32] == ["NEW", "CANCELED"]


async def test_a_filled_order_is_found_with_its_fills_and_a_stranger_is_not(venue, tmp_path):
    """A filled order is found with its fills and a stranger is not."""
    async with bench(venue, tmp_path) as desk:
        sent = await desk.ask(buy())
        found = await desk.ask(look("b" * 32))
        assert (found.outcome, found.fills) == ("FOUND", sent.fills)
        assert (await desk.ask(look("0" * 32))).outcome == "NOT_FOUND"


@pytest.mark.parametrize(
    ("fault", "outcome", "exists"),
    [
        ("timeout_after_accept", "UNKNOWN", True),
        ("reset_after_accept", "UNKNOWN", True),
        ("reset_before_accept", "UNKNOWN", False),
        ("http_503", "UNKNOWN", False),
        ("reject", "REJECTED", False),
    ],
)
async def test_what_a_fault_on_the_way_proves(venue, tmp_path, fault, outcome, exists):
    """What a fault on the way proves."""
    async with bench(venue, tmp_path, exec_deadline_ms=500) as desk:
        await venue.post("/sim/faults", {"kind": fault})
        answer = await desk.ask(buy())
        assert answer.outcome == outcome
        assert (await desk.ask(look("b" * 32))).outcome == ("FOUND" if exists else "NOT_FOUND")
        account = await venue.get("/sim/account")
        assert account["seen_cl_ord_ids"].get("b" * 32, 0) == int(exists), "sent more than once"


async def test_a_duplicate_of_an_open_order_is_unknown_for_it_exists(venue, tmp_path):
    """A duplicate of an open order is unknown for it exists."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop())
        answer = await desk.ask(stop())
        assert (answer.outcome, answer.code) == ("UNKNOWN", "-2010")


@pytest.mark.parametrize("obstacle", ["lease", "time"])
async def test_an_order_that_must_not_leave_does_not(venue, tmp_path, obstacle):
    """An order that must not leave does not."""
    async with bench(venue, tmp_path) as desk:
        desk.lease = obstacle != "lease"
        answer = await desk.ask(buy(valid_until=venue.now - 1 if obstacle == "time" else FAR))
        assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
        assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {}


async def test_the_account_is_read_with_client_ids_even_by_an_adapter_that_has_seen_nothing(venue, tmp_path):
    """The account is read with client ids even by an adapter that has seen nothing."""
    async with bench(venue, tmp_path) as desk:
        sent = await desk.ask(buy())
        await desk.ask(stop())
    async with bench(venue, tmp_path / "again") as desk:
        account: AccountRead = await desk.ask(read())
        assert account.ok
        assert account.fills == sent.fills
        assert [each.cl_ord_id for each in account.open_orders] == ["5" * 32]
        held = {each.asset: each.free + each.locked for each in account.balances}
        assert held["BTC"] == sum(fill.qty - fill.commission for fill in sent.fills)
        assert (await desk.ask(read(BTC_USDT=sent.fills[-1].exec_id))).fills == ()
        assert (await desk.ask(read(BTC_USDT=str(int(sent.fills[0].exec_id) - 1)))).fills == sent.fills


MANY = tuple(f"{name}-USDT" for name in ("BTC", "ETH", *(f"GEN{n:02}" for n in range(22))))


class Weighed(Unmetered):
    """A budget that grants everything and remembers what was asked of it."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    async def take(self, venue: str, weight: int, *_: Any, **__: Any) -> None:
        self.taken.append(weight)


async def test_open_orders_of_many_instruments_are_one_question(tmp_path):
    """Everything is told as by one question each, orders of instruments that are not ours are not, and it weighs what Binance says."""
    async with open_venue(tmp_path / "venue", sim_instruments=",".join((*MANY, "NOT-USDT"))) as venue:
        await venue.advance(90)
        budget = Weighed()
        async with bench(venue, tmp_path, budget=budget, instruments=MANY) as desk:
            for number, name in enumerate(("GEN03-USDT", "GEN21-USDT", "NOT-USDT")):
                await desk.ask(buy(f"{number}" * 32, "1", instrument=name))
                await desk.ask(msgspec.structs.replace(stop(f"{number + 5}" * 32, "0.5", "10"), instrument=name))
            before = len(budget.taken)
            account: AccountRead = await desk.ask(ReadAccount(valid_until=FAR, instruments=MANY, fills_after={}))
            assert account.ok
            assert {each.instrument for each in account.open_orders} == {"GEN03-USDT", "GEN21-USDT"}
            assert {each.instrument for each in account.fills} == {"GEN03-USDT", "GEN21-USDT"}
            assert sum(budget.taken[before:]) == 20 + 80 + 20 * len(MANY)


async def test_executions_are_read_page_by_page(venue, tmp_path, monkeypatch):
    """Executions are read page by page."""
    monkeypatch.setattr("services.order_executor.adapters.questions.TRADES_PAGE", 2)
    async with bench(venue, tmp_path) as desk:
        for number in range(5):
            await desk.ask(buy(f"{number:032x}", "0.001"))
        account = await desk.ask(read(BTC_USDT="0"))
        assert sum(fill.qty for fill in account.fills) == D("0.005")
        assert len({fill.exec_id for fill in account.fills}) == len(account.fills)


async def test_a_revoked_key_is_a_refusal_and_proves_nothing_about_orders(venue, tmp_path):
    """A revoked key is a refusal and proves nothing about orders."""
    desk = Bench(tmp_path, venue.url, venue.key, "x" * 64, lambda: venue.now)
    await desk.adapter.open(desk.context)
    try:
        answer = await desk.ask(buy())
        assert (answer.outcome, answer.code) == ("REJECTED", "-1022")
        assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
        assert not (await desk.ask(read())).ok
    finally:
        await desk.adapter.close()


async def test_a_lost_user_stream_is_said_and_renewed(venue, tmp_path):
    """A lost user stream is said and renewed."""
    async with bench(venue, tmp_path) as desk:
        for connection in list(venue.server.hub.sockets):
            await connection.close()
        said = await desk.until(UserStreamChanged, 3)
        assert [each.connected for each in said] == [True, False, True]
        await desk.ask(buy())
        assert (await desk.until(VenueReported))[0].order.cl_ord_id == "b" * 32


async def test_a_subscription_that_the_venue_ended_is_noticed(venue, tmp_path):
    """A subscription that the venue ended is noticed."""
    async with bench(venue, tmp_path) as desk:
        for connection in list(venue.server.hub.sockets):
            connection.send('{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}')
        assert [each.connected for each in await desk.until(UserStreamChanged, 3)] == [True, False, True]


async def test_a_venue_that_is_down_at_the_start_gets_nothing_and_is_waited_for(tmp_path):
    """A venue that is down at the start gets nothing and is waited for."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1)
    await desk.adapter.open(desk.context)
    try:
        answer = await desk.ask(buy())
        assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
        assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
        assert (await desk.ask(cancel("b" * 32))).outcome == "REJECTED"
        assert not (await desk.ask(read())).ok
        assert desk.heard == []
    finally:
        await desk.adapter.close()


# --- a venue that talks nonsense ----------------------------------------------------------------------------------------


@asynccontextmanager
async def babbling(status: int, body: str, **headers: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers everything alike; its address, and what it was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        return web.Response(status=status, text=body, headers=headers, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, "", "UNKNOWN", "BAD_ANSWER"),
        (200, "{}", "UNKNOWN", "BAD_ANSWER"),
        (200, '{"symbol":"BTCUSDT","orderId":1', "UNKNOWN", "BAD_ANSWER"),
        (200, "<html>maintenance</html>", "UNKNOWN", "BAD_ANSWER"),
        (200, "[]", "UNKNOWN", "BAD_ANSWER"),
        (400, '{"code":-1007,"msg":"Timeout waiting for response from backend server."}', "UNKNOWN", "-1007"),
        (400, '{"code":-1000,"msg":"An unknown error occurred."}', "UNKNOWN", "-1000"),
        (400, '{"code":-2011,"msg":"This action is disabled on this account."}', "REJECTED", "-2011"),
        (400, '{"code":-1013,"msg":"Filter failure: LOT_SIZE"}', "REJECTED", "-1013"),
        (400, '{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}', "REJECTED", "-1021"),
        (429, '{"code":-1003,"msg":"Too many requests."}', "REJECTED", "-1003"),
        (418, "teapot", "REJECTED", "HTTP_418"),
        (403, "<html>firewall</html>", "UNKNOWN", "HTTP_403"),
        (408, "", "UNKNOWN", "HTTP_408"),
        (500, '{"code":-2010,"msg":"no"}', "UNKNOWN", "HTTP_500"),
        (504, "", "UNKNOWN", "HTTP_504"),
    ],
)
async def test_what_an_answer_proves_about_a_submission(tmp_path, status, body, outcome, code):
    """What an answer proves about a submission."""
    async with babbling(status, body) as (url, asked):
        desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1)
        await desk.adapter.open(desk.context)
        try:
            answer = await desk.ask(buy())
            assert (answer.outcome, answer.code) == (outcome, code)
            assert asked.count("POST /api/v3/order") == 1
            assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
            assert (await desk.ask(cancel("b" * 32))).outcome == outcome
            assert not (await desk.ask(read())).ok
            assert not any(isinstance(each, UserStreamChanged) for each in desk.heard)
        finally:
            await desk.adapter.close()


async def test_a_venue_that_asks_for_quiet_is_left_alone(tmp_path):
    """A venue that asks for quiet is left alone: what could not leave in time has provably never left."""
    async with babbling(429, "slow down", **{"Retry-After": "50"}) as (url, asked):
        desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1, budget_without_bus("exec", tmp_path))
        await desk.adapter.open(desk.context)
        try:
            assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
            before = [each for each in asked if "order" in each]
            assert len(before) <= 1  # the user stream may have been told first
            assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
            for request in (buy(), cancel("b" * 32)):
                answer = await desk.ask(request)
                assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
                assert "the venue said 429" in answer.detail
            assert not (await desk.ask(read())).ok
            assert [each for each in asked if not each.endswith(("exchangeInfo", "time"))] == before
        finally:
            await desk.adapter.close()


async def test_an_order_leaves_as_soon_as_the_venue_allows(tmp_path):
    """An order leaves as soon as the venue allows."""
    async with babbling(429, "slow down", **{"Retry-After": "1"}) as (url, asked):
        budget = budget_without_bus("exec", tmp_path)
        desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1, budget, exec_deadline_ms=5_000)
        await desk.adapter.open(desk.context)
        try:
            assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
            assert "POST /api/v3/order" not in asked
            assert (await desk.ask(buy())).code == "HTTP_429"
            assert asked.count("POST /api/v3/order") == 1
        finally:
            await desk.adapter.close()


async def test_readings_of_the_account_are_data_and_what_concerns_an_order_is_not(venue, tmp_path):
    """With the data share used up, orders, cancels and look-ups go on, and a reading of the account fails by itself."""
    budget = budget_without_bus("exec", tmp_path)
    async with bench(venue, tmp_path, budget=budget) as desk:
        await budget.take("binance", terms_of("binance").alone_limit - 10, "data", 1.0)  # the clock was asked for too
        assert (await desk.ask(buy())).outcome == "CONFIRMED"
        assert (await desk.ask(stop())).outcome == "CONFIRMED"
        assert (await desk.ask(look("b" * 32))).outcome == "FOUND"
        assert (await desk.ask(cancel("5" * 32))).outcome == "CONFIRMED"
        reading = await desk.ask(read())
        assert (reading.ok, "NEVER_SENT" in reading.detail) == (False, True)


async def test_an_answer_about_another_order_is_no_answer(tmp_path):
    """An answer about another order is no answer."""
    other = (
        '{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"other","status":"FILLED","side":"BUY","type":"MARKET",'
        '"origQty":"1","executedQty":"1","transactTime":1,"fills":[]}'
    )
    async with babbling(200, other) as (url, _):
        desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1)
        await desk.adapter.open(desk.context)
        try:
            assert (await desk.ask(buy())).code == "BAD_ANSWER"
            assert (await desk.ask(cancel("b" * 32))).code == "BAD_ANSWER"
            assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
        finally:
            await desk.adapter.close()


# --- machine and adapter together -----------------------------------------------------------------------------------------


class Stage:
    """The machine's core wired to the adapter, event by event, as a shell does it."""

    def __init__(self, desk: Bench):
        self.desk = desk
        settings = policy(venue="", price_band_bps=5_000, notional_max=D(10_000), mark_age_ms_max=3_600_000)
        self.core = Core("exec", OrderExecutorMachine, settings)
        self.said: list[Message] = []
        self.seq = 0

    async def tell(self, message: Message) -> None:
        """Step one event, perform what it asks for, step the answers, until nothing is asked; then the user stream's news."""
        queue = [message]
        while queue or self.desk.heard:
            self.seq += 1
            event = queue.pop(0) if queue else self.desk.heard.pop(0)
            times = {"ts_init": event.ts_init or self.desk.now(), "producer": event.producer or "exec"}
            event = msgspec.structs.replace(event, **times)
            for result in self.core.step(self.seq, event):
                if isinstance(result, Output):
                    self.said.append(result.message)
                else:
                    queue.append(await self.desk.adapter.perform(result))

    @property
    def state(self) -> Any:
        """The machine's memory."""
        return self.core.machine.state

    def only(self, kind: type[Message]) -> Any:
        """The last message of a kind."""
        return [each for each in self.said if isinstance(each, kind)][-1]


async def test_an_approved_entry_is_filled_covered_reconciled_and_left_again(venue, tmp_path):
    """An approved entry is filled covered reconciled and left again."""
    async with bench(venue, tmp_path) as desk:
        stage = Stage(desk)
        px = D(str((await venue.get("/sim/state"))["instruments"][BTC]["last_px"]))
        mark = Mark(
            instrument=BTC,
            bid_px=float(px),
            ask_px=float(px),
            last_px=float(px),
            protective_px=float(px),
            trust="TRUSTED",
            ts=venue.now,
        )
        await stage.tell(
            FeedStatus(
                venue="sim", state="LIVE", via="SOCKETS", reason="", health={}, specs=_specs(venue), producer="feed"
            )
        )
        await stage.tell(FeedMarks(venue="binance", as_of=venue.now, marks=(mark,), producer="feed"))
        await stage.tell(GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli"))
        await stage.tell(TimerFired(name="reconcile", due=stage.core.memory.timers["reconcile"]))
        assert stage.only(Reconciled).clean  # read twice the same
        later = {"ts_init": venue.now, "ts_event": venue.now, "valid_until": venue.now + 60 * SECOND, "ref_px": px}
        await stage.tell(approval(**later, stop_px=px * D("0.9")))
        assert uncovered(stage.state) == {}
        assert stage.state.orders[order("STOP")].status == "NEW"
        await stage.tell(UserStreamChanged(connected=True, reason="again"))
        assert stage.only(Reconciled).clean, stage.only(Reconciled).mismatches
        await stage.tell(exit_approval(**later))
        assert {each.role: each.status for each in stage.state.orders.values()} == {
            "ENTRY": "FILLED",
            "STOP": "CANCELED",
            "EXIT": "FILLED",
        }
        await stage.tell(UserStreamChanged(connected=True, reason="again"))
        assert stage.only(Reconciled).clean, stage.only(Reconciled).mismatches


def _specs(venue: VenueStand) -> tuple[InstrumentSpec, ...]:
    return tuple(each.listing.spec for each in venue.server.exchange.market.histories.values())
