"""The executor's adapter at Kraken, with unmodified ccxt, against the emulated venue and against one that talks nonsense."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.messages import (
    AccountRead,
    BalanceMoved,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    Mark,
    OrderAnswered,
    OrderLookedUp,
    PairAnswered,
    Reconciled,
    TimerFired,
    UserStreamChanged,
    VenueChecked,
    VenueReported,
)
from libs.runtime.core import Core
from libs.runtime.venue_terms import terms_of
from services.exchange_sim.other_venues import KRAKEN, OtherVenue
from services.order_executor.adapters.kraken_wire import BUDGET
from services.order_executor.guards import uncovered
from services.order_executor.machine import OrderExecutorMachine
from services.order_executor.refusals import kind_of
from services.order_executor.requests import NEVER_SENT, CheckVenue
from services.order_executor.state import State
from tests.e2e.executor_bench import Bench, bench
from tests.e2e.metered_venue import budget_without_bus
from tests.e2e.test_executor_adapter import FAR, Stage, babbling, buy, cancel, look, read, stop
from tests.e2e.test_executor_pairs import pair, take_back
from tests.e2e.test_executor_replacing import replace
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.unit.order_executor.desk import BTC, ETH, SECOND, approval, exit_approval, order, policy

AT_KRAKEN: dict[str, Any] = {"exec_venue": "kraken", "exec_pairs": False}
ADD_ORDER = "POST /kraken/0/private/AddOrder"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, in step mode, past its first minute."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


def at_kraken(venue: VenueStand, home: Path, **changes: Any) -> AbstractAsyncContextManager[Bench]:
    """A bench whose adapter trades at Kraken, its user stream connected."""
    return bench(venue, home, **AT_KRAKEN, **changes)


def nonsense(home: Path, url: str, **changes: Any) -> Bench:
    """A bench at a venue that is not the emulated one."""
    return Bench(home, url, "k" * 64, "s" * 64, lambda: 1, **AT_KRAKEN, **changes)


async def seen(venue: VenueStand, name: str) -> int:
    """How often the venue took an order of this name."""
    return (await venue.get("/sim/account"))["seen_cl_ord_ids"].get(name, 0)


async def test_a_market_order_is_confirmed_with_its_fills_and_told_again_by_the_user_stream(venue, tmp_path):
    """A market order is confirmed with its fills, fees in quote, and the user stream tells the same under its real name."""
    async with at_kraken(venue, tmp_path) as desk:
        answer: OrderAnswered = await desk.ask(buy())
        assert (answer.outcome, answer.order.ord_status, answer.order.cum_qty) == ("CONFIRMED", "FILLED", D("0.01"))
        assert sum(fill.qty for fill in answer.fills) == D("0.01")
        assert all(fill.commission > 0 and fill.commission_asset == "USDT" for fill in answer.fills)
        told = await desk.until(VenueReported, len(answer.fills) + 2)
        facts = [msgspec.structs.replace(each.fill, ts_event=0) for each in told if each.fill]
        assert facts == [msgspec.structs.replace(fill, ts_event=0) for fill in answer.fills]
        assert {each.order.cl_ord_id for each in told} == {"b" * 32}
        assert told[-1].order.ord_status == "FILLED"
        assert len({each.id for each in told}) == len(told)


async def test_a_stop_rests_is_found_is_canceled_and_is_gone(venue, tmp_path):
    """A stop rests is found is canceled and is gone."""
    async with at_kraken(venue, tmp_path) as desk:
        await desk.ask(buy())
        rests: OrderAnswered = await desk.ask(stop())
        assert (rests.outcome, rests.order.ord_status, rests.order.stop_px) == ("CONFIRMED", "NEW", D(10_000))
        found: OrderLookedUp = await desk.ask(look("5" * 32))
        assert (found.outcome, found.order.ord_status, found.fills) == ("FOUND", "NEW", ())
        assert (found.order.ord_type, found.order.stop_px, found.order.side) == ("STOP_LOSS", D(10_000), "SELL")
        assert found.order.venue_order_id == rests.order.venue_order_id
        gone: OrderAnswered = await desk.ask(cancel("5" * 32))
        assert (gone.outcome, gone.order.ord_status, gone.order.cl_ord_id) == ("CONFIRMED", "CANCELED", "5" * 32)
        again: OrderAnswered = await desk.ask(cancel("5" * 32))
        assert (again.outcome, again.code) == ("REJECTED", "EOrder:Unknown order")
        assert (await desk.ask(look("5" * 32))).order.ord_status == "CANCELED"
        told = [each for each in await desk.until(VenueReported, 5) if each.order.cl_ord_id == "5" * 32]
        assert [(each.order.ord_status, each.order.stop_px) for each in told] == [
            ("NEW", D(10_000)),
            ("CANCELED", D(10_000)),
        ]


async def test_limits_and_stop_limits_carry_both_prices(venue, tmp_path):
    """A stop limit shows trigger and limit, a limit only its price, wherever they are read."""
    async with at_kraken(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(msgspec.structs.replace(stop("6" * 32), ord_type="STOP_LOSS_LIMIT", limit_px=D(9_000)))
        await desk.ask(buy("7" * 32, "0.001", ord_type="LIMIT", limit_px=D(20_000)))
        account: AccountRead = await desk.ask(read())
        shown = {each.cl_ord_id: (each.ord_type, each.limit_px, each.stop_px) for each in account.open_orders}
        assert shown == {
            "6" * 32: ("STOP_LOSS_LIMIT", D(9_000), D(10_000)),
            "7" * 32: ("LIMIT", D(20_000), None),
        }


async def test_a_filled_order_is_found_with_its_fills_and_a_stranger_is_not(venue, tmp_path):
    """A filled order is found with its fills and a stranger is not."""
    async with at_kraken(venue, tmp_path) as desk:
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
    """What a fault on the way proves, of an order that is sent once."""
    async with at_kraken(venue, tmp_path, exec_deadline_ms=500) as desk:
        await venue.post("/sim/faults", {"kind": fault})
        answer = await desk.ask(buy())
        assert answer.outcome == outcome
        assert (await desk.ask(look("b" * 32))).outcome == ("FOUND" if exists else "NOT_FOUND")
        assert await seen(venue, "b" * 32) == int(exists), "sent more than once"


@pytest.mark.parametrize(
    ("said", "outcome", "kind"),
    [
        ("EOrder:Insufficient funds", "REJECTED", "FUNDS"),
        ("EService:Market in cancel_only mode", "REJECTED", "MARKET_CLOSED"),
        ("EService:Busy", "UNKNOWN", "TRANSIENT"),
        ("EAPI:Invalid nonce", "REJECTED", "TRANSIENT"),
        ("EGeneral:Permission denied", "REJECTED", "KEY"),
        ("EOrder:Margin position size exceeded", "REJECTED", "ORDER"),
    ],
)
async def test_a_refusal_in_krakens_words_is_understood_by_the_machine(venue, tmp_path, said, outcome, kind):
    """The venue's own string is the code, and the machine knows what it is about."""
    async with at_kraken(venue, tmp_path) as desk:
        await venue.post("/sim/faults", {"kind": "reject", "msg": said})
        answer = await desk.ask(buy())
        assert (answer.outcome, answer.code) == (outcome, said)
        assert kind_of(answer.code, answer.detail) == kind


async def test_a_duplicate_of_an_open_order_is_unknown_for_it_exists(venue, tmp_path):
    """A duplicate of an open order is unknown for it exists."""
    async with at_kraken(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop())
        answer = await desk.ask(stop())
        assert (answer.outcome, answer.code) == ("UNKNOWN", "EOrder:Duplicate cl_ord_id")


@pytest.mark.parametrize("obstacle", ["lease", "time"])
async def test_an_order_that_must_not_leave_does_not(venue, tmp_path, obstacle):
    """An order that must not leave does not."""
    async with at_kraken(venue, tmp_path) as desk:
        desk.lease = obstacle != "lease"
        answer = await desk.ask(buy(valid_until=venue.now - 1 if obstacle == "time" else FAR))
        assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
        assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {}


async def test_an_order_whose_answer_cannot_be_completed_is_new(venue, tmp_path):
    """The order is confirmed as new if the question after it fails: that it was taken is known, what became of it will be told."""
    async with at_kraken(venue, tmp_path) as desk:
        path = "/kraken/0/private/QueryOrders"
        await venue.post("/sim/faults", {"on": "rest", "path": path, "kind": "status", "code": 503})
        answer = await desk.ask(buy())
        assert (answer.outcome, answer.order.ord_status, answer.fills) == ("CONFIRMED", "NEW", ())
        assert sum(each.fill.qty for each in await desk.until(VenueReported, 3) if each.fill) == D("0.01")


async def test_a_cancel_whose_end_is_not_seen_is_unknown(venue, tmp_path):
    """A cancel that was taken, but after which the order cannot be seen closed, is unknown."""
    async with at_kraken(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop())
        path = "/kraken/0/private/ClosedOrders"
        await venue.post("/sim/faults", {"on": "rest", "path": path, "kind": "status", "code": 503})
        answer = await desk.ask(cancel("5" * 32))
        assert (answer.outcome, answer.code) == ("UNKNOWN", "NOT_SEEN")
        assert (await desk.ask(look("5" * 32))).order.ord_status == "CANCELED"


async def test_a_replacement_is_refused_without_asking_anybody(venue, tmp_path):
    """A replacement that comes nevertheless is refused about the order, so that the machine goes on in two steps."""
    async with at_kraken(venue, tmp_path) as desk:
        answer = await desk.ask(replace())
        assert (answer.outcome, answer.code, answer.orders) == ("REJECTED", "NO_REPLACING", ())
        assert kind_of(answer.code, answer.detail) == "ORDER"


async def test_pairs_are_refused_before_anything_is_sent(venue, tmp_path):
    """A pair is refused as an order that cannot be had, so that the machine takes the next rung; nothing reaches the venue."""
    async with at_kraken(venue, tmp_path) as desk:
        for request in (pair(), take_back()):
            answer: PairAnswered = await desk.ask(request)
            assert (answer.outcome, answer.code, answer.orders) == ("REJECTED", "PAIRS_NOT_OFFERED", ())
            assert kind_of(answer.code, answer.detail) == "ORDER"
        assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {}


async def test_the_account_is_read_with_client_ids_even_by_an_adapter_that_has_seen_nothing(venue, tmp_path):
    """The account is read with client ids, and from the machine's watermark on, even by an adapter that has seen nothing."""
    async with at_kraken(venue, tmp_path) as desk:
        sent = await desk.ask(buy())
        await desk.ask(stop())
    async with at_kraken(venue, tmp_path / "again") as desk:
        account: AccountRead = await desk.ask(read())
        assert account.ok
        assert sorted(account.fills, key=_exec_id) == sorted(sent.fills, key=_exec_id)
        assert [each.cl_ord_id for each in account.open_orders] == ["5" * 32]
        held = {each.asset: (each.free, each.locked) for each in account.balances}
        assert held["BTC"] == (D("0.005"), D("0.005"))
        paid = sum(fill.qty * fill.px + fill.commission for fill in sent.fills)
        assert held["USDT"] == (D(10_000) - paid, 0)
        marked = await desk.ask(read(BTC_USDT=max(map(_exec_id, sent.fills))))
        assert set(map(_exec_id, marked.fills)) <= set(map(_exec_id, sent.fills))


def _exec_id(fill: Any) -> str:
    return fill.exec_id


async def test_whatever_was_done_behind_a_watermark_is_told(venue, tmp_path, monkeypatch):
    """From any execution on, all later ones are told, page by page, though their ids have no order."""
    monkeypatch.setattr("services.exchange_sim.kraken_orders.PAGE", 2)
    monkeypatch.setattr("services.order_executor.adapters.kraken_questions.PAGE", 2)
    async with at_kraken(venue, tmp_path) as desk:
        fills = []
        for number in range(5):
            fills += (await desk.ask(buy(f"{number:032x}", "0.001"))).fills
            await venue.advance(120)
        for known, mark in enumerate(map(_exec_id, fills)):
            told = {fill.exec_id for fill in (await desk.ask(read(BTC_USDT=mark))).fills}
            assert told >= {fill.exec_id for fill in fills[known:]}
        assert len((await desk.ask(read())).fills) == 2, "an instrument that was never read needs the newest page only"


async def test_what_the_machine_remembers_is_not_read_again(venue, tmp_path):
    """Once the machine remembers all of a reading, the next one begins a minute before the newest of it."""
    state = State()
    async with at_kraken(venue, tmp_path) as desk:
        desk.adapter._parts.questions._read_up_to._state = lambda: state  # type: ignore[attr-defined]
        fills = []
        for number in range(3):
            fills += (await desk.ask(buy(f"{number:032x}", "0.001"))).fills
            await venue.advance(600)
        mark = read(BTC_USDT=fills[0].exec_id)
        assert len((await desk.ask(mark)).fills) == len((await desk.ask(mark)).fills) == len(fills)
        state.booked |= {f"{fill.instrument}:{fill.exec_id}": fill.cl_ord_id for fill in fills}
        again = (await desk.ask(mark)).fills
        assert [fill.exec_id for fill in again] == [
            fill.exec_id for fill in fills if fill.ts_event == fills[-1].ts_event
        ]


async def test_the_venue_says_what_our_key_may_do_what_trading_costs_and_what_is_traded(venue, tmp_path):
    """The check knows rights, fees, clock and listings, one that is not listed among them."""
    async with at_kraken(venue, tmp_path) as desk:
        found: VenueChecked = await desk.ask(CheckVenue(valid_until=FAR, instruments=(BTC, ETH)))
        assert (found.ok, found.detail, found.tradable) == (True, "", (BTC, ETH))
        assert (found.can_trade, found.can_withdraw, found.ip_restricted) == (True, False, True)
        assert (found.maker_bps, found.taker_bps) == (D(26), D(26))
        assert abs(found.clock_drift_ms) <= 1_000
        await venue.post("/sim/key", {"withdrawals": True, "trading": False})
        found = await desk.ask(CheckVenue(valid_until=FAR, instruments=(BTC, "FOO-USDT")))
        assert (found.can_trade, found.can_withdraw, found.tradable) == (False, True, (BTC,))


async def test_a_deposit_is_told(venue, tmp_path):
    """A deposit is told, a trade is not taken for one."""
    async with at_kraken(venue, tmp_path) as desk:
        await desk.ask(buy())
        await venue.post("/sim/account/deposit", {"asset": "USDT", "amount": "500"})
        moved = (await desk.until(BalanceMoved))[0]
        assert [each for each in desk.heard if isinstance(each, BalanceMoved)] == [moved]
        assert (moved.asset, moved.amount) == ("USDT", D(500))


async def test_a_lost_user_stream_is_said_and_renewed_and_knows_the_orders_again(venue, tmp_path):
    """A lost stream is said and renewed; of an order entered before it, the cancel is told whole."""
    async with at_kraken(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop())
        for connection in [each for each in venue.server.hub.sockets if each.venue == "kraken"]:
            await connection.close()
        assert [each.connected for each in await desk.until(UserStreamChanged, 3)] == [True, False, True]
        await desk.ask(cancel("5" * 32))
        for _ in range(3):
            await desk.until(VenueReported, 5)
        last = [each for each in desk.heard if isinstance(each, VenueReported)][-1]
        assert (last.order.cl_ord_id, last.order.ord_status) == ("5" * 32, "CANCELED")


async def test_a_subscription_that_is_refused_is_tried_again(venue, tmp_path):
    """ccxt would wait for ever for a subscription that was refused; here nobody is told that we listen until we do."""
    await venue.post(
        "/sim/faults", {"on": "socket", "kind": "refuse_subscribe", "venue": "kraken", "stream": "account"}
    )
    async with at_kraken(venue, tmp_path) as desk:
        assert [each.connected for each in desk.heard if isinstance(each, UserStreamChanged)] == [True]
        await desk.ask(buy())
        assert (await desk.until(VenueReported))[0].order.cl_ord_id == "b" * 32


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, "", "UNKNOWN", "BAD_ANSWER"),
        (200, "{}", "UNKNOWN", "BAD_ANSWER"),
        (200, '{"error":[],"result":{}}', "UNKNOWN", "BAD_ANSWER"),
        (200, '{"error":[],"result":{"txid":[]}}', "UNKNOWN", "BAD_ANSWER"),
        (200, '{"error":[],"result":{"txid":["OAAAAA', "UNKNOWN", "BAD_ANSWER"),
        (200, "<html>maintenance</html>", "UNKNOWN", "BAD_ANSWER"),
        (200, '{"error":["EOrder:Invalid price"],"result":{"txid":["O"]}}', "UNKNOWN", "BAD_ANSWER"),
        (200, '{"error":["EService:Unavailable"]}', "UNKNOWN", "EService:Unavailable"),
        (200, '{"error":["EService:Deadline elapsed"]}', "UNKNOWN", "EService:Deadline elapsed"),
        (200, '{"error":["EGeneral:Internal error"]}', "UNKNOWN", "EGeneral:Internal error"),
        (200, '{"error":["EAPI:Invalid key"]}', "REJECTED", "EAPI:Invalid key"),
        (200, '{"error":["EAPI:Rate limit exceeded"]}', "REJECTED", "EAPI:Rate limit exceeded"),
        (429, "slow down", "REJECTED", "HTTP_429"),
        (403, "<html>firewall</html>", "UNKNOWN", "HTTP_403"),
        (520, "", "UNKNOWN", "HTTP_520"),
        (504, "", "UNKNOWN", "HTTP_504"),
    ],
)
async def test_what_an_answer_proves_about_a_submission(tmp_path, status, body, outcome, code):
    """What an answer proves about a submission, which leaves once."""
    async with babbling(status, body) as (url, asked):
        desk = nonsense(tmp_path, url)
        await desk.adapter.open(desk.context)
        try:
            answer = await desk.ask(buy())
            assert (answer.outcome, answer.code) == (outcome, code)
            assert asked.count(ADD_ORDER) == 1
            assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
            assert (await desk.ask(cancel("b" * 32))).outcome == outcome
            assert not (await desk.ask(read())).ok
            assert not any(isinstance(each, UserStreamChanged) for each in desk.heard)
        finally:
            await desk.adapter.close()


async def test_a_venue_that_asks_for_quiet_is_left_alone(tmp_path):
    """A venue that asks for quiet is left alone: what could not leave in time has provably never left."""
    async with babbling(429, "slow down", **{"Retry-After": "50"}) as (url, asked):
        desk = nonsense(tmp_path, url, budget=budget_without_bus("exec", tmp_path))
        await desk.adapter.open(desk.context)
        try:
            assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
            for request in (buy(), cancel("b" * 32)):
                answer = await desk.ask(request)
                assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
            assert ADD_ORDER not in asked
        finally:
            await desk.adapter.close()


async def test_readings_of_the_account_are_data_and_what_concerns_an_order_is_not(venue, tmp_path):
    """With the account's counter used up, orders go on, for they are counted by themselves, and a reading fails by itself."""
    budget = budget_without_bus("exec", tmp_path)
    async with at_kraken(venue, tmp_path, budget=budget, exec_deadline_ms=300) as desk:
        assert (await desk.ask(read())).ok
        await budget.take(BUDGET, terms_of(BUDGET).alone_limit - 5, "data", 1.0)  # clock and reading were asked for too
        assert (await desk.ask(stop(qty="0.001"))).code == "EOrder:Insufficient funds"
        assert (await desk.ask(buy())).outcome == "CONFIRMED"
        reading = await desk.ask(read())
        assert (reading.ok, "NEVER_SENT" in reading.detail) == (False, True)


class KrakenStage(Stage):
    """The machine's core wired to the adapter at Kraken, knowing Kraken's rules and prices, its positions covered without pairs."""

    def __init__(self, desk: Bench, venue: VenueStand):
        super().__init__(desk)
        changes = {"price_band_bps": 5_000, "notional_max": D(10_000), "mark_age_ms_max": 3_600_000}
        self.core = Core("exec", OrderExecutorMachine, policy(venue="", pairs=False, **changes))
        self.there = OtherVenue(KRAKEN, venue.server.exchange)
        self.venue = venue

    async def begin(self) -> D:
        """Genesis at Kraken's rules and marks; Kraken's price."""
        trade = self.there.last_trade(BTC)
        px, now = trade.px, self.venue.now
        prices = dict.fromkeys(("bid_px", "ask_px", "last_px", "protective_px"), px)
        mark = Mark(instrument=BTC, trust="TRUSTED", ts=now, **prices)
        specs = tuple(listing.spec for listing in self.there.listings.values())
        status = {"venue": "kraken", "state": "LIVE", "via": "SOCKETS", "reason": "", "health": {}}
        await self.tell(FeedStatus(specs=specs, producer="feed", **status))
        await self.tell(FeedMarks(venue="kraken", as_of=now, marks=(mark,), producer="feed"))
        await self.tell(GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli"))
        await self.tell(TimerFired(name="reconcile", due=self.core.memory.timers["reconcile"]))
        assert self.only(Reconciled).clean
        return D(str(px))

    async def reconcile(self) -> None:
        """A reading, which must agree with the books."""
        await self.tell(UserStreamChanged(connected=True, reason="again"))
        assert self.only(Reconciled).clean, self.only(Reconciled).mismatches

    def later(self, px: D) -> dict[str, Any]:
        """What an approval of this moment says."""
        now = self.venue.now
        return {"ts_init": now, "ts_event": now, "valid_until": now + 60 * SECOND, "ref_px": px}


async def test_an_approved_entry_is_filled_covered_reconciled_and_left_again(venue, tmp_path):
    """An approved entry is filled covered reconciled and left again, and all of what was bought is sold."""
    async with at_kraken(venue, tmp_path) as desk:
        stage = KrakenStage(desk, venue)
        px = await stage.begin()
        await stage.tell(approval(**stage.later(px), stop_px=(px * D("0.9")).quantize(D("0.1"))))
        assert uncovered(stage.state) == {}
        assert stage.state.orders[order("STOP")].status == "NEW"
        await stage.reconcile()
        await stage.tell(exit_approval(**stage.later(px)))
        assert {each.role: each.status for each in stage.state.orders.values()} == {
            "ENTRY": "FILLED",
            "STOP": "CANCELED",
            "EXIT": "FILLED",
        }
        await stage.reconcile()
        held = {each.asset: each.free + each.locked for each in (await desk.ask(read())).balances}
        assert "BTC" not in held


@pytest.mark.parametrize("fault", ["timeout_after_accept", "reset_after_accept", "reset_before_accept"])
async def test_an_entry_of_unknown_fate_is_settled_and_sent_once(venue, tmp_path, fault):
    """An entry whose answer was lost is found, or found not to exist, and never sent twice; what was bought is covered."""
    async with at_kraken(venue, tmp_path, exec_deadline_ms=500) as desk:
        stage = KrakenStage(desk, venue)
        px = await stage.begin()
        await venue.post("/sim/faults", {"kind": fault})
        await stage.tell(approval(**stage.later(px), stop_px=(px * D("0.9")).quantize(D("0.1"))))
        entry = order("ENTRY")
        for _ in range(30):  # "not found" is believed once the approval has ended, and what is under way with it
            if stage.state.orders[entry].is_closed:
                break
            await venue.advance(5)
            for name, due in sorted(stage.core.memory.timers.items(), key=lambda timer: timer[1]):
                if due <= venue.now:
                    await stage.tell(TimerFired(name=name, due=due, ts_init=venue.now))
        took_place = fault != "reset_before_accept"
        assert stage.state.orders[entry].status == ("FILLED" if took_place else "REJECTED")
        assert await seen(venue, entry) == int(took_place)
        assert uncovered(stage.state) == {}
        await stage.reconcile()
