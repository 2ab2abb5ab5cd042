"""The executor's KuCoin adapter, with unmodified ccxt, against the emulated venue and against one that talks nonsense."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from libs.common.messages import (
    AccountRead,
    BalanceMoved,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentSpec,
    Mark,
    OrderAnswered,
    OrderLookedUp,
    Reconciled,
    TimerFired,
    UserStreamChanged,
    VenueChecked,
    VenueReported,
)
from services.exchange_sim.other_venues import KUCOIN, OtherListing
from services.order_executor.guards import uncovered
from services.order_executor.refusals import kind_of
from services.order_executor.requests import NEVER_SENT, CancelPair, CheckVenue, SubmitPair
from tests.e2e.executor_bench import Bench
from tests.e2e.feed_bench import settled
from tests.e2e.test_executor_adapter import FAR, Stage, babbling, buy, cancel, look, read, stop
from tests.e2e.test_executor_replacing import replace
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.unit.order_executor.desk import BTC, ETH, SECOND, approval, exit_approval, order

FAULTS = [
    ("timeout_after_accept", "UNKNOWN", True),
    ("reset_after_accept", "UNKNOWN", True),
    ("reset_before_accept", "UNKNOWN", False),
    ("http_503", "UNKNOWN", False),
    ("reject", "REJECTED", False),
]


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, in step mode, past its first minute."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


def kucoin_bench(home: Path, url: str, key: str, secret: str, passphrase: str, now: Any, **changes: Any) -> Bench:
    """A bench that speaks to KuCoin."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "exec-passphrase").write_text(passphrase)
    (home / "exec-passphrase").chmod(0o600)
    own = {"exec_venue": "kucoin", "exec_pairs": False, "exec_api_passphrase_file": home / "exec-passphrase"}
    return Bench(home, url, key, secret, now, **{**own, **changes})


@asynccontextmanager
async def bench(venue: VenueStand, home: Path, **changes: Any) -> AsyncIterator[Bench]:
    """A bench at the emulated KuCoin, its topics subscribed."""
    made = kucoin_bench(home, venue.url, venue.key, venue.secret, venue.passphrase, lambda: venue.now, **changes)
    await made.adapter.open(made.context)
    try:
        await made.until(UserStreamChanged)
        yield made
    finally:
        await made.adapter.close()


async def near(venue: VenueStand, below: str) -> str:
    """A price so far below KuCoin's last one."""
    px = D(str((await venue.get("/sim/state"))["instruments"][BTC]["bid"])) * D("0.9998")
    return str((px - D(below)).quantize(D("0.1")))


async def seen(venue: VenueStand, name: str) -> int:
    """How often an order of this client id was accepted."""
    return (await venue.get("/sim/account"))["seen_cl_ord_ids"].get(name, 0)


async def test_a_market_order_is_confirmed_with_its_fills_in_quote_fees_and_told_by_the_topics(venue, tmp_path):
    """A market order is confirmed with its fills, whose fees are in quote; the topics tell that it is filled."""
    async with bench(venue, tmp_path) as desk:
        answer: OrderAnswered = await desk.ask(buy())
        assert (answer.outcome, answer.order.ord_status, answer.order.cum_qty) == ("CONFIRMED", "FILLED", D("0.01"))
        assert sum(fill.qty for fill in answer.fills) == D("0.01")
        assert all(fill.commission > 0 and fill.commission_asset == "USDT" for fill in answer.fills)
        await settled(
            lambda: (
                [each.order.ord_status for each in desk.heard if isinstance(each, VenueReported)][-1:] == ["FILLED"]
            ),
            "the order is reported as filled",
        )
        told = await desk.until(VenueReported)
        assert {(each.order.cl_ord_id, each.order.venue_order_id, each.fill) for each in told} == {
            ("b" * 32, answer.order.venue_order_id, None)
        }


async def test_a_stop_rests_is_found_is_canceled_and_is_gone(venue, tmp_path):
    """A stop rests, is found, is canceled, and is nowhere afterwards; the topics name it by the client id they do not carry."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        rests: OrderAnswered = await desk.ask(stop())
        assert (rests.outcome, rests.order.ord_status, rests.order.stop_px) == ("CONFIRMED", "NEW", D(10_000))
        found: OrderLookedUp = await desk.ask(look("5" * 32))
        assert (found.outcome, found.order.ord_type, found.order.venue_order_id) == (
            "FOUND",
            "STOP_LOSS",
            rests.order.venue_order_id,
        )
        gone: OrderAnswered = await desk.ask(cancel("5" * 32))
        assert (gone.outcome, gone.order.ord_status, gone.order.cl_ord_id) == ("CONFIRMED", "CANCELED", "5" * 32)
        again: OrderAnswered = await desk.ask(cancel("5" * 32))
        assert (again.outcome, again.code) == ("REJECTED", "400100")
        assert (await desk.ask(look("5" * 32))).outcome == "NOT_FOUND"
        await settled(
            lambda: any(
                isinstance(each, VenueReported)
                and (each.order.cl_ord_id, each.order.ord_status) == ("5" * 32, "CANCELED")
                for each in desk.heard
            ),
            "the cancel is reported",
        )


async def test_a_stop_is_taken_back_though_nobody_says_that_it_is_one(venue, tmp_path):
    """A cancel leaves even when KuCoin does not say whether the order is a stop; what became of it is then unknown."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop())
        where = "/kucoin/api/v1/stop-order/queryOrderByClientOid"
        await venue.post("/sim/faults", {"on": "rest", "kind": "status", "code": 503, "path": where, "times": 1})
        answer = await desk.ask(cancel("5" * 32))
        assert (answer.outcome, answer.code) == ("UNKNOWN", "BAD_ANSWER")
        assert (await venue.get("/sim/account"))["orders"][-1]["ord_status"] == "CANCELED"


async def test_a_stop_that_is_reached_is_found_by_its_client_id_with_its_fills(venue, tmp_path):
    """A stop that is reached has another id at KuCoin; its client id leads to the order and its executions."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        rests = await desk.ask(stop(px=await near(venue, "1"), qty="0.01"))
        assert rests.outcome == "CONFIRMED", rests.detail
        found = await desk.ask(look("5" * 32))
        while found.order.ord_status == "NEW":
            await venue.advance(5)
            found = await desk.ask(look("5" * 32))
        assert (found.outcome, found.order.ord_status, found.order.cl_ord_id) == ("FOUND", "FILLED", "5" * 32)
        assert found.order.venue_order_id != rests.order.venue_order_id
        assert (sum(fill.qty for fill in found.fills), {fill.cl_ord_id for fill in found.fills}) == (
            D("0.01"),
            {"5" * 32},
        )
        account: AccountRead = await desk.ask(read())
        assert account.open_orders == ()
        assert [fill.cl_ord_id for fill in account.fills if fill.side == "SELL"] == ["5" * 32] * len(found.fills)
        assert (await desk.ask(cancel("5" * 32))).outcome == "REJECTED"


async def test_a_resting_limit_is_canceled_with_what_was_filled_of_it(venue, tmp_path):
    """A limit order rests, is listed, and its cancel is answered with how it ended."""
    async with bench(venue, tmp_path) as desk:
        rests = await desk.ask(buy(ord_type="LIMIT", limit_px=D(10_000)))
        assert (rests.outcome, rests.order.ord_status, rests.order.limit_px) == ("CONFIRMED", "NEW", D(10_000))
        assert [each.cl_ord_id for each in (await desk.ask(read())).open_orders] == ["b" * 32]
        gone = await desk.ask(cancel("b" * 32))
        assert (gone.outcome, gone.order.ord_status, gone.order.cum_qty) == ("CONFIRMED", "CANCELED", 0)
        assert (await desk.ask(look("b" * 32))).order.ord_status == "CANCELED"
        assert (await desk.ask(look("0" * 32))).outcome == "NOT_FOUND"


@pytest.mark.parametrize(("fault", "outcome", "exists"), FAULTS)
@pytest.mark.parametrize("kind", ["order", "stop"])
async def test_what_a_fault_on_the_way_proves(venue, tmp_path, fault, outcome, exists, kind):
    """What a fault on the way proves of an order and of a stop, each of which is sent once."""
    async with bench(venue, tmp_path, exec_deadline_ms=500) as desk:
        await desk.ask(buy("a" * 32))
        await venue.post("/sim/faults", {"kind": fault})
        answer = await desk.ask(buy() if kind == "order" else stop("b" * 32))
        assert answer.outcome == outcome
        assert (await desk.ask(look("b" * 32))).outcome == ("FOUND" if exists else "NOT_FOUND")
        assert await seen(venue, "b" * 32) == int(exists), "sent more than once"


async def test_a_duplicate_of_an_open_order_is_unknown_for_it_exists(venue, tmp_path):
    """A duplicate of an open order is unknown, for it exists."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop())
        answer = await desk.ask(stop())
        assert (answer.outcome, answer.code) == ("UNKNOWN", "102426")


@pytest.mark.parametrize("obstacle", ["lease", "time"])
async def test_an_order_that_must_not_leave_does_not(venue, tmp_path, obstacle):
    """An order that must not leave does not."""
    async with bench(venue, tmp_path) as desk:
        desk.lease = obstacle != "lease"
        answer = await desk.ask(buy(valid_until=venue.now - 1 if obstacle == "time" else FAR))
        assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
        assert await seen(venue, "b" * 32) == 0


async def test_a_replacement_is_refused_without_asking_anybody(venue, tmp_path):
    """A replacement that comes nevertheless is refused about the order, so that the machine goes on in two steps."""
    async with bench(venue, tmp_path) as desk:
        answer = await desk.ask(replace())
        assert (answer.outcome, answer.code, answer.orders) == ("REJECTED", "NO_REPLACING", ())
        assert kind_of(answer.code, answer.detail) == "ORDER"


async def test_pairs_are_refused_about_the_order_without_asking_anybody(venue, tmp_path):
    """A pair that comes nevertheless is refused about the order, so that the machine goes on without pairs."""
    both = SubmitPair(
        valid_until=FAR,
        instrument=BTC,
        order_qty=D("0.005"),
        stop_id="5" * 32,
        stop_px=D(10_000),
        target_id="7" * 32,
        target_px=D(500_000),
    )
    async with bench(venue, tmp_path) as desk:
        for request in (both, CancelPair(valid_until=FAR, instrument=BTC, list_id="5" * 32)):
            answer = await desk.ask(request)
            assert (answer.outcome, kind_of(answer.code, answer.detail)) == ("REJECTED", "ORDER")
        assert (await venue.get("/sim/account"))["orders"] == []


async def test_the_account_is_read_with_client_ids_even_by_an_adapter_that_has_seen_nothing(venue, tmp_path):
    """The account is read with client ids even by an adapter that has seen nothing; from the last execution on."""
    async with bench(venue, tmp_path) as desk:
        sent = await desk.ask(buy())
        await desk.ask(stop())
    async with bench(venue, tmp_path / "again") as desk:
        account: AccountRead = await desk.ask(read())
        assert account.ok, account.detail
        assert account.fills == sent.fills
        assert [(each.cl_ord_id, each.ord_type) for each in account.open_orders] == [("5" * 32, "STOP_LOSS")]
        held = {each.asset: each.free + each.locked for each in account.balances}
        assert held["BTC"] == D("0.01")
        assert held["USDT"] == 10_000 - sum(fill.qty * fill.px + fill.commission for fill in sent.fills)
        assert (await desk.ask(read(BTC_USDT=sent.fills[-1].exec_id))).fills == ()
        assert (await desk.ask(read(BTC_USDT=str(int(sent.fills[0].exec_id) - 1)))).fills == sent.fills


async def test_executions_are_read_page_by_page_and_week_by_week(venue, tmp_path, monkeypatch):
    """Executions are read page by page, and beyond the week KuCoin tells at once, until the last known one is met."""
    monkeypatch.setattr("services.order_executor.adapters.kucoin_questions.FILLS_PAGE", 2)
    async with bench(venue, tmp_path) as desk:
        for number in range(3):
            await desk.ask(buy(f"{number:032x}", "0.001"))
        all_of_them = (await desk.ask(read(BTC_USDT="1"))).fills
        assert sum(fill.qty for fill in all_of_them) == D("0.003")
        ids = [int(fill.exec_id) for fill in all_of_them]
        assert ids == sorted(set(ids))
        monkeypatch.setattr("services.order_executor.adapters.kucoin_questions.WEEK_MS", 20_000)
        await venue.advance(50)
        assert (await desk.ask(read(BTC_USDT="2"))).fills == all_of_them


async def test_money_that_comes_in_is_told_and_money_that_orders_move_is_not(venue, tmp_path):
    """A deposit is told; what orders do to balances they tell themselves."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await venue.post("/sim/account/deposit", {"asset": "USDT", "amount": "25"})
        told = await desk.until(BalanceMoved)
        assert [(each.asset, each.amount) for each in told] == [("USDT", D(25))]


async def test_the_venue_says_what_the_key_may_do_what_trading_costs_and_what_is_traded(venue, tmp_path):
    """Rights, address, clock, fees and markets are KuCoin's."""
    asked = CheckVenue(valid_until=FAR, instruments=(BTC, ETH))
    async with bench(venue, tmp_path) as desk:
        found: VenueChecked = await desk.ask(asked)
        assert (found.ok, found.detail) == (True, "")
        assert (found.can_trade, found.can_withdraw, found.ip_restricted) == (True, False, True)
        assert (found.maker_bps, found.taker_bps, found.tradable) == (10, 10, (BTC, ETH))
        await venue.post("/sim/key", {"trading": False, "withdrawals": True, "ip_restricted": False})
        await venue.post("/sim/account/delist", {"instrument": f"kucoin:{ETH}"})
        found = await desk.ask(asked)
        assert (found.can_trade, found.can_withdraw, found.ip_restricted) == (False, True, False)
        assert found.tradable == (BTC,)
        refused = await desk.ask(buy())
        assert (refused.outcome, kind_of(refused.code, refused.detail)) == ("REJECTED", "KEY")


async def test_a_clock_that_is_off_is_measured_and_followed(venue, tmp_path):
    """A venue whose clock is behind refuses a time stamp once; after that we sign with its time."""
    async with bench(venue, tmp_path) as desk:
        await venue.post("/sim/clock-skew", {"ms": -8_000})
        first = await desk.ask(buy())
        assert (first.outcome, first.code, kind_of(first.code, "")) == ("REJECTED", "400002", "CLOCK")
        assert (await desk.ask(buy("c" * 32))).outcome == "CONFIRMED"


async def test_a_wrong_passphrase_is_a_refusal_and_proves_nothing_about_orders(venue, tmp_path):
    """A wrong passphrase is a refusal of the key, and proves nothing about orders."""
    desk = kucoin_bench(tmp_path, venue.url, venue.key, venue.secret, "not-the-one", lambda: venue.now)
    await desk.adapter.open(desk.context)
    try:
        answer = await desk.ask(buy())
        assert (answer.outcome, answer.code, kind_of(answer.code, "")) == ("REJECTED", "400004", "KEY")
        assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
        assert not (await desk.ask(read())).ok
    finally:
        await desk.adapter.close()


async def test_lost_topics_are_said_and_renewed(venue, tmp_path):
    """A lost connection is said and renewed, with a new token."""
    async with bench(venue, tmp_path) as desk:
        for connection in list(venue.server.hub.sockets):
            await connection.close()
        said = await desk.until(UserStreamChanged, 3)
        assert [each.connected for each in said] == [True, False, True]
        await desk.ask(buy())
        assert (await desk.until(VenueReported))[0].order.cl_ord_id == "b" * 32


async def test_a_subscription_that_is_refused_is_tried_again(venue, tmp_path):
    """A subscription that is refused is no connection; the next one is."""
    await venue.post("/sim/faults", {"on": "socket", "kind": "refuse_subscribe", "venue": "kucoin"})
    async with bench(venue, tmp_path) as desk:
        assert [each.connected for each in desk.heard if isinstance(each, UserStreamChanged)] == [True]
        assert (await venue.get("/sim/faults"))["active"] == []


async def test_a_venue_that_is_down_at_the_start_gets_nothing_and_is_waited_for(tmp_path):
    """A venue that is down at the start gets nothing and is waited for."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    desk = kucoin_bench(tmp_path, url, "k" * 24, "s" * 36, "passphrase", lambda: 1)
    await desk.adapter.open(desk.context)
    try:
        for request in (buy(), stop(), cancel("b" * 32)):
            answer = await desk.ask(request)
            assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
        assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
        assert not (await desk.ask(read())).ok
        assert desk.heard == []
    finally:
        await desk.adapter.close()


OTHER = '{"code":"200000","data":{"orderId":"1","clientOid":"other"}}'


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, "", "UNKNOWN", "BAD_ANSWER"),
        (200, "{}", "UNKNOWN", "BAD_ANSWER"),
        (200, '{"code":"200000"', "UNKNOWN", "BAD_ANSWER"),
        (200, '{"code":"200000"}', "UNKNOWN", "BAD_ANSWER"),
        (200, '{"code":"200000","data":null}', "UNKNOWN", "BAD_ANSWER"),
        (200, OTHER, "UNKNOWN", "BAD_ANSWER"),
        (200, "<html>maintenance</html>", "UNKNOWN", "BAD_ANSWER"),
        (200, '{"code":"200004","msg":"Balance insufficient!"}', "REJECTED", "200004"),
        (200, '{"code":"500000","msg":"Internal Server Error"}', "UNKNOWN", "500000"),
        (200, '{"code":"102426","msg":"Duplicate custom order ID"}', "UNKNOWN", "102426"),
        (400, '{"code":"400100","msg":"Order size below the minimum requirement."}', "REJECTED", "400100"),
        (400, '{"code":"408000","msg":"Network timeout"}', "UNKNOWN", "408000"),
        (401, '{"code":"400005","msg":"Invalid KC-API-SIGN"}', "REJECTED", "400005"),
        (429, '{"code":"429000","msg":"Too many requests"}', "REJECTED", "429000"),
        (429, "slow down", "REJECTED", "HTTP_429"),
        (403, "<html>firewall</html>", "UNKNOWN", "HTTP_403"),
        (500, '{"code":"200004","msg":"no"}', "UNKNOWN", "HTTP_500"),
        (504, "", "UNKNOWN", "HTTP_504"),
    ],
)
async def test_what_an_answer_proves_about_a_submission(tmp_path, status, body, outcome, code):
    """What an answer proves about a submission, which is sent once whatever comes back."""
    async with babbling(status, body) as (url, asked):
        desk = kucoin_bench(tmp_path, url, "k" * 24, "s" * 36, "passphrase", lambda: 1)
        await desk.adapter.open(desk.context)
        try:
            answer = await desk.ask(buy())
            assert (answer.outcome, answer.code) == (outcome, code)
            assert asked.count("POST /kucoin/api/v1/hf/orders") == 1
            assert (await desk.ask(stop())).outcome == outcome
            assert asked.count("POST /kucoin/api/v1/stop-order") == 1
            is_null = body.endswith('"data":null}')
            assert (await desk.ask(look("b" * 32))).outcome == ("NOT_FOUND" if is_null else "FAILED")
            assert (await desk.ask(cancel("b" * 32))).outcome != "CONFIRMED"
            assert not (await desk.ask(read())).ok
            assert not any(isinstance(each, UserStreamChanged) for each in desk.heard)
        finally:
            await desk.adapter.close()


# --- machine and adapter together -----------------------------------------------------------------------------------------


def _specs(venue: VenueStand) -> tuple[InstrumentSpec, ...]:
    homes = venue.server.exchange.market.histories.values()
    return tuple(OtherListing(KUCOIN, each.listing).spec for each in homes)


async def begin(venue: VenueStand, desk: Bench) -> tuple[Stage, D]:
    """A machine that has marks, rules and a clean book; and KuCoin's price."""
    stage = Stage(desk)
    px = D(await near(venue, "0"))
    mark = Mark(
        instrument=BTC,
        bid_px=float(px),
        ask_px=float(px),
        last_px=float(px),
        protective_px=float(px),
        trust="TRUSTED",
        ts=venue.now,
    )
    live = FeedStatus(
        venue="sim", state="LIVE", via="SOCKETS", reason="", health={}, specs=_specs(venue), producer="feed"
    )
    await stage.tell(live)
    await stage.tell(FeedMarks(venue="kucoin", as_of=venue.now, marks=(mark,), producer="feed"))
    await stage.tell(GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli"))
    await stage.tell(TimerFired(name="reconcile", due=stage.core.memory.timers["reconcile"]))
    assert stage.only(Reconciled).clean
    return stage, px


async def clean(stage: Stage) -> None:
    """The account is read, and agrees with the books."""
    await stage.tell(UserStreamChanged(connected=True, reason="again"))
    assert stage.only(Reconciled).clean, stage.only(Reconciled).mismatches


async def test_an_approved_entry_is_filled_covered_reconciled_and_left_again(venue, tmp_path):
    """An approved entry is filled, covered by a stop at KuCoin, reconciled to the last digit, and left again."""
    async with bench(venue, tmp_path) as desk:
        stage, px = await begin(venue, desk)
        later = {"ts_init": venue.now, "ts_event": venue.now, "valid_until": venue.now + 60 * SECOND, "ref_px": px}
        await stage.tell(approval(**later, stop_px=px * D("0.9")))
        assert uncovered(stage.state) == {}
        assert stage.state.orders[order("STOP")].status == "NEW"
        await clean(stage)
        await stage.tell(exit_approval(**later))
        assert {each.role: each.status for each in stage.state.orders.values()} == {
            "ENTRY": "FILLED",
            "STOP": "CANCELED",
            "EXIT": "FILLED",
        }
        await clean(stage)


async def test_a_position_whose_stop_is_reached_is_over_and_the_books_agree(venue, tmp_path):
    """A stop that KuCoin has turned into an order of another id still ends the position, with its fills booked once."""
    async with bench(venue, tmp_path) as desk:
        stage, px = await begin(venue, desk)
        later = {"ts_init": venue.now, "ts_event": venue.now, "valid_until": venue.now + 60 * SECOND, "ref_px": px}
        await stage.tell(approval(**later, stop_px=px - 2))
        assert stage.state.orders[order("STOP")].status == "NEW"
        for _ in range(400):
            if (await venue.get("/sim/account"))["orders"][-1]["ord_status"] != "NEW":
                break
            await venue.advance(5)
        await stage.tell(UserStreamChanged(connected=True, reason="again"))
        assert stage.state.orders[order("STOP")].status == "FILLED"
        assert stage.state.holding(BTC).qty == 0
        await clean(stage)


@pytest.mark.parametrize("fault", ["timeout_after_accept", "reset_after_accept"])
async def test_an_entry_nobody_answered_is_found_covered_and_was_sent_once(venue, tmp_path, fault):
    """An entry that KuCoin took without a word is looked up, booked and covered; it left exactly once."""
    async with bench(venue, tmp_path, exec_deadline_ms=500) as desk:
        stage, px = await begin(venue, desk)
        await venue.post("/sim/faults", {"kind": fault})
        later = {"ts_init": venue.now, "ts_event": venue.now, "valid_until": venue.now + 60 * SECOND, "ref_px": px}
        await stage.tell(approval(**later, stop_px=px * D("0.9")))
        entry = stage.state.orders[order("ENTRY")]
        if entry.status != "FILLED":
            due = stage.core.memory.timers[f"look:{entry.cl_ord_id}"]
            await venue.advance(2)
            await stage.tell(TimerFired(name=f"look:{entry.cl_ord_id}", due=due))
        assert stage.state.orders[order("ENTRY")].status == "FILLED"
        assert uncovered(stage.state) == {}
        assert await seen(venue, order("ENTRY")) == 1
        await clean(stage)
