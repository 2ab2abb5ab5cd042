"""The executor's adapter and cancel/replace, at the emulated venue and at one that says whatever it likes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from libs.common.messages import ReplaceAnswered
from services.order_executor.requests import NEVER_SENT, ReplaceOrder
from tests.e2e.executor_bench import Bench, bench
from tests.e2e.test_executor_adapter import FAR, babbling, buy, look, stop
from tests.e2e.test_executor_pairs import STOP, TARGET, pair
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.unit.order_executor.desk import BTC

NEW = "9" * 32


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, in step mode, past its first minute."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


def replace(**changes: Any) -> ReplaceOrder:
    """A stop of the same size at a higher price."""
    values: dict[str, Any] = {
        "valid_until": FAR,
        "instrument": BTC,
        "replaced_id": STOP,
        "cl_ord_id": NEW,
        "side": "SELL",
        "ord_type": "STOP_LOSS",
        "time_in_force": "GTC",
        "order_qty": D("0.005"),
        "limit_px": None,
        "stop_px": D(11_000),
    }
    return ReplaceOrder(**{**values, **changes})


def shown(answer: ReplaceAnswered) -> dict[str, str]:
    """States by client id."""
    return {each.cl_ord_id: each.ord_status for each in answer.orders}


async def test_a_stop_is_replaced(venue, tmp_path):
    """The answer shows both orders; a stop limit is sent with its price and time in force."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop(STOP))
        answer: ReplaceAnswered = await desk.ask(replace())
        assert (answer.outcome, answer.fills, answer.code) == ("CONFIRMED", (), "")
        assert shown(answer) == {STOP: "CANCELED", NEW: "NEW"}
        limited = replace(replaced_id=NEW, cl_ord_id="8" * 32, ord_type="STOP_LOSS_LIMIT", limit_px=D(10_900))
        assert (await desk.ask(limited)).outcome == "CONFIRMED"
        found = (await desk.ask(look("8" * 32))).order
        assert (found.ord_type, found.stop_px, found.limit_px) == ("STOP_LOSS_LIMIT", D(11_000), D(10_900))


async def test_a_pair_gives_way_to_one_stop(venue, tmp_path):
    """The answer shows the ends of both orders of the pair."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(pair())
        answer = await desk.ask(replace())
        assert shown(answer) == {STOP: "CANCELED", TARGET: "CANCELED", NEW: "NEW"}


async def test_halfway_the_answer_says_what_is_gone_and_why_nothing_came(venue, tmp_path):
    """The old stop is gone, and the new one would trigger at once."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await desk.ask(stop(STOP))
        answer = await desk.ask(replace(stop_px=D(500_000)))
        assert (answer.outcome, answer.code, answer.detail) == (
            "HALFWAY",
            "-2010",
            "Stop price would trigger immediately.",
        )
        assert shown(answer) == {STOP: "CANCELED"}


async def test_where_the_old_stop_is_not_there_nothing_is_done(venue, tmp_path):
    """The refusal is that of the cancel."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        answer = await desk.ask(replace())
        assert (answer.outcome, answer.code, answer.orders) == ("REJECTED", "-2011", ())
        assert (await desk.ask(look(NEW))).outcome == "NOT_FOUND"


@pytest.mark.parametrize("obstacle", ["lease", "time"])
async def test_a_replacement_that_must_not_leave_does_not(venue, tmp_path, obstacle):
    """Without the lease, or too late, nothing is sent."""
    async with bench(venue, tmp_path) as desk:
        desk.lease = obstacle != "lease"
        answer = await desk.ask(replace(valid_until=venue.now - 1 if obstacle == "time" else FAR))
        assert (answer.outcome, answer.code) == ("REJECTED", NEVER_SENT)
        assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {}


def one(name: str, status: str, original: str = "") -> dict[str, Any]:
    """An order as the venue writes it."""
    return {
        "symbol": "BTCUSDT",
        "orderId": 1,
        "clientOrderId": name,
        "origClientOrderId": original,
        "status": status,
        "side": "SELL",
        "type": "STOP_LOSS",
        "origQty": "1",
        "executedQty": "0",
        "transactTime": 1,
    }


GONE, PLACED = one("cancel-1", "CANCELED", STOP), one(NEW, "NEW")
REFUSAL = {"code": -2010, "msg": "Stop price would trigger immediately."}


def both(cancelled: str, placed: str, gone: Any = GONE, new: Any = PLACED) -> dict[str, Any]:
    """The halves of an answer."""
    return {"cancelResult": cancelled, "newOrderResult": placed, "cancelResponse": gone, "newOrderResponse": new}


def halted(code: int, *halves: Any) -> dict[str, Any]:
    """An answer that is no success."""
    return {"code": code, "msg": "Order cancel-replace failed.", "data": both(*halves)}


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, both("SUCCESS", "SUCCESS"), "CONFIRMED", ""),
        (200, "", "UNKNOWN", "BAD_ANSWER"),
        (200, {}, "UNKNOWN", "BAD_ANSWER"),
        (200, "<html>maintenance</html>", "UNKNOWN", "BAD_ANSWER"),
        (200, both("SUCCESS", "SUCCESS", new=one("other", "NEW")), "UNKNOWN", "BAD_ANSWER"),
        (200, both("SUCCESS", "SUCCESS", gone=one("cancel-1", "CANCELED", "other")), "UNKNOWN", "BAD_ANSWER"),
        (200, both("SUCCESS", "SUCCESS", new={"orderReports": []}), "UNKNOWN", "BAD_ANSWER"),
        (200, both("SUCCESS", "SUCCESS", new=None), "UNKNOWN", "BAD_ANSWER"),
        (200, both("FAILURE", "SUCCESS"), "UNKNOWN", "BAD_ANSWER"),
        (409, halted(-2021, "SUCCESS", "FAILURE", GONE, REFUSAL), "HALFWAY", "-2010"),
        (429, halted(-2021, "SUCCESS", "FAILURE", GONE, {"code": -1015, "msg": "Too many"}), "HALFWAY", "-1015"),
        (409, halted(-2021, "SUCCESS", "FAILURE", GONE, {"code": -1007, "msg": "Timeout"}), "UNKNOWN", "-1007"),
        (409, halted(-2021, "SUCCESS", "FAILURE", one("c", "CANCELED", "x"), REFUSAL), "UNKNOWN", "BAD_ANSWER"),
        (409, halted(-2021, "SUCCESS", "FAILURE", GONE, None), "UNKNOWN", "HTTP_400"),
        (409, halted(-2021, "FAILURE", "SUCCESS", REFUSAL, PLACED), "UNKNOWN", "BAD_ANSWER"),
        (400, halted(-2022, "FAILURE", "NOT_ATTEMPTED", {"code": -2011, "msg": "Unknown order sent."}, None), "REJECTED", "-2011"),
        (400, halted(-2022, "FAILURE", "NOT_ATTEMPTED", {"code": -1007, "msg": "Timeout"}, None), "UNKNOWN", "-1007"),
        (504, halted(-2021, "SUCCESS", "FAILURE", GONE, REFUSAL), "UNKNOWN", "HTTP_504"),
        (400, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}, "REJECTED", "-1013"),
        (401, {"code": -2015, "msg": "Invalid API-key."}, "REJECTED", "-2015"),
        (400, {"code": -1007, "msg": "Timeout waiting for response."}, "UNKNOWN", "-1007"),
        (403, "<html>firewall</html>", "UNKNOWN", "HTTP_403"),
        (504, "", "UNKNOWN", "HTTP_504"),
    ],
)  # fmt: skip
async def test_what_an_answer_proves_about_a_replacement(tmp_path, status, body, outcome, code):
    """Only clear words about both of our orders prove anything; it is asked once."""
    text = body if isinstance(body, str) else json.dumps(body)
    async with babbling(status, text) as (url, asked):
        desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1)
        await desk.adapter.open(desk.context)
        try:
            answer = await desk.ask(replace())
            assert (answer.outcome, answer.code) == (outcome, code)
            assert asked.count("POST /api/v3/order/cancelReplace") == 1
        finally:
            await desk.adapter.close()


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
async def test_what_a_fault_on_the_way_proves_about_a_replacement(venue, tmp_path, fault, outcome, exists):
    """What a fault on the way proves about a replacement, which is sent once."""
    async with bench(venue, tmp_path, exec_deadline_ms=500) as desk:
        await desk.ask(buy())
        await desk.ask(stop(STOP))
        await venue.post("/sim/faults", {"kind": fault})
        answer = await desk.ask(replace())
        assert (answer.outcome, answer.orders) == (outcome, ())
        assert (await desk.ask(look(NEW))).outcome == ("FOUND" if exists else "NOT_FOUND")
        assert (await desk.ask(look(STOP))).order.ord_status == ("CANCELED" if exists else "NEW")
