"""The executor's adapter and pairs of which one order ends the other, at the emulated venue and at one that talks nonsense."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from libs.common.messages import OrderAnswered, PairAnswered, VenueReported
from services.order_executor.requests import NEVER_SENT, CancelPair, SubmitPair
from tests.e2e.executor_bench import Bench, bench
from tests.e2e.metered_venue import budget_without_bus
from tests.e2e.test_executor_adapter import FAR, babbling, buy, cancel, look, read
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.unit.order_executor.desk import BTC

STOP, TARGET = "5" * 32, "7" * 32


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, in step mode, past its first minute."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


def pair(**changes: Any) -> SubmitPair:
    """A stop far below the market, and a target far above it."""
    values: dict[str, Any] = {
        "valid_until": FAR,
        "instrument": BTC,
        "order_qty": D("0.005"),
        "stop_id": STOP,
        "stop_px": D(10_000),
        "target_id": TARGET,
        "target_px": D(500_000),
    }
    return SubmitPair(**{**values, **changes})


def take_back(list_id: str = STOP) -> CancelPair:
    """A cancel of a pair."""
    return CancelPair(valid_until=FAR, instrument=BTC, list_id=list_id)


def shown(answer: PairAnswered) -> dict[str, tuple[str, str]]:
    """Types and states by client id."""
    return {each.cl_ord_id: (each.ord_type, each.ord_status) for each in answer.orders}


async def test_a_pair_rests_is_read_as_two_orders_and_is_taken_back_as_one(venue, tmp_path):
    """A pair rests, is read as two orders, and is taken back as one."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        rests: PairAnswered = await desk.ask(pair())
        assert (rests.outcome, rests.list_id, rests.fills) == ("CONFIRMED", STOP, ())
        assert shown(rests) == {STOP: ("STOP_LOSS", "NEW"), TARGET: ("LIMIT", "NEW")}
        assert {each.cl_ord_id: (each.stop_px, each.limit_px) for each in rests.orders} == {
            STOP: (D(10_000), None),
            TARGET: (None, D(500_000)),
        }
        found = await desk.ask(read())
        assert found.ok
        assert sorted(each.cl_ord_id for each in found.open_orders) == [STOP, TARGET]
        assert (await desk.ask(look(TARGET))).order.ord_type == "LIMIT"
        gone: PairAnswered = await desk.ask(take_back())
        assert gone.outcome == "CONFIRMED"
        assert shown(gone) == {STOP: ("STOP_LOSS", "CANCELED"), TARGET: ("LIMIT", "CANCELED")}
        again: PairAnswered = await desk.ask(take_back())
        assert (again.outcome, again.code, again.orders) == ("REJECTED", "-2011", ())
        told = [each for each in await desk.until(VenueReported, 6) if each.order.cl_ord_id in (STOP, TARGET)]
        assert [each.order.ord_status for each in told] == ["NEW", "NEW", "CANCELED", "CANCELED"]


async def test_a_cancel_of_one_order_of_a_pair_is_confirmed_for_that_order(venue, tmp_path):
    """A cancel of one order of a pair is confirmed for that order; the other is gone too, and can be looked up."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(pair())
        gone: OrderAnswered = await desk.ask(cancel(TARGET))
        assert (gone.outcome, gone.order.cl_ord_id, gone.order.ord_status) == ("CONFIRMED", TARGET, "CANCELED")
        assert (await desk.ask(look(STOP))).order.ord_status == "CANCELED"


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
async def test_what_a_fault_on_the_way_proves_about_a_pair(venue, tmp_path, fault, outcome, exists):
    """What a fault on the way proves about a pair, which is sent once."""
    async with bench(venue, tmp_path, exec_deadline_ms=500) as desk:
        await desk.ask(buy())
        await venue.post("/sim/faults", {"kind": fault})
        answer = await desk.ask(pair())
        assert (answer.outcome, answer.orders) == (outcome, ())
        for name in (STOP, TARGET):
            assert (await desk.ask(look(name))).outcome == ("FOUND" if exists else "NOT_FOUND")
        seen = (await venue.get("/sim/account"))["seen_cl_ord_ids"]
        assert (seen.get(STOP, 0), seen.get(TARGET, 0)) == (int(exists), int(exists)), "sent more than once"


async def test_a_pair_that_exists_is_unknown_and_one_on_the_wrong_side_refused(venue, tmp_path):
    """A pair that exists already is unknown, for it exists; one that does not embrace the market is refused."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        wrong = await desk.ask(pair(stop_px=D(400_000)))
        assert (wrong.outcome, wrong.code) == ("REJECTED", "-2010")
        await desk.ask(pair())
        again = await desk.ask(pair())
        assert (again.outcome, again.code) == ("UNKNOWN", "-2010")


@pytest.mark.parametrize("obstacle", ["lease", "time"])
async def test_a_pair_that_must_not_leave_does_not(venue, tmp_path, obstacle):
    """A pair that must not leave does not."""
    async with bench(venue, tmp_path) as desk:
        desk.lease = obstacle != "lease"
        answer = await desk.ask(pair(valid_until=venue.now - 1 if obstacle == "time" else FAR))
        assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
        assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {}


async def test_a_pair_counts_as_two_orders(venue, tmp_path):
    """A pair counts as two orders, here and at the venue."""
    budget = budget_without_bus("exec", tmp_path)
    asked: list[int] = []
    take = budget.take

    async def counted(*args: Any, orders: int = 0, **more: Any) -> None:
        asked.append(orders)
        await take(*args, orders=orders, **more)

    budget.take = counted  # type: ignore[method-assign]
    async with bench(venue, tmp_path, budget=budget) as desk:
        await desk.ask(buy())
        await desk.ask(pair())
        await desk.ask(take_back())
    assert [count for count in asked if count] == [1, 2]


ONE = (
    '{"symbol":"BTCUSDT","orderId":%d,"clientOrderId":"%s","status":"NEW","side":"SELL","type":"%s","origQty":"1",'
    '"executedQty":"0","transactTime":1}'
)
LEGS = (ONE % (1, STOP, "STOP_LOSS"), ONE % (2, TARGET, "LIMIT_MAKER"))


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, "", "UNKNOWN", "BAD_ANSWER"),
        (200, "{}", "UNKNOWN", "BAD_ANSWER"),
        (200, "<html>maintenance</html>", "UNKNOWN", "BAD_ANSWER"),
        (200, f'{{"listClientOrderId":"{STOP}","orderReports":[]}}', "UNKNOWN", "BAD_ANSWER"),
        (200, f'{{"listClientOrderId":"{STOP}","orderReports":[{LEGS[0]}]}}', "UNKNOWN", "BAD_ANSWER"),
        (200, f'{{"listClientOrderId":"{STOP}","orderReports":[{LEGS[0]},{LEGS[0]}]}}', "UNKNOWN", "BAD_ANSWER"),
        (200, f'{{"listClientOrderId":"other","orderReports":[{",".join(LEGS)}]}}', "UNKNOWN", "BAD_ANSWER"),
        (200, f'{{"listClientOrderId":"{STOP}","orderReports":[{",".join(LEGS)}]}}', "CONFIRMED", ""),
        (400, '{"code":-1007,"msg":"Timeout waiting for response."}', "UNKNOWN", "-1007"),
        (400, '{"code":-2010,"msg":"Duplicate order sent."}', "UNKNOWN", "-2010"),
        (400, '{"code":-1013,"msg":"Filter failure: LOT_SIZE"}', "REJECTED", "-1013"),
        (401, '{"code":-2015,"msg":"Invalid API-key."}', "REJECTED", "-2015"),
        (403, "<html>firewall</html>", "UNKNOWN", "HTTP_403"),
        (504, "", "UNKNOWN", "HTTP_504"),
    ],
)
async def test_what_an_answer_proves_about_a_pair(tmp_path, status, body, outcome, code):
    """What an answer proves about a pair, placed or taken back."""
    async with babbling(status, body) as (url, asked):
        desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1)
        await desk.adapter.open(desk.context)
        try:
            answer = await desk.ask(pair())
            assert (answer.outcome, answer.code) == (outcome, code)
            assert asked.count("POST /api/v3/orderList/oco") == 1
            assert (await desk.ask(take_back())).outcome == outcome
        finally:
            await desk.adapter.close()
