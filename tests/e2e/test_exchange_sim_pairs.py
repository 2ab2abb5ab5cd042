"""Pairs of which one order ends the other (OCO), as unmodified ccxt asks for them and the user data stream tells of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ccxt
import pytest

from tests.e2e.fault_bench import script, until
from tests.e2e.user_stream import UserStream
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR = "BTC/USDT"
QTY = 0.005
OCO = "/api/v3/orderList/oco"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still unless a test moves it; the account has some bitcoin."""
    async with open_venue(tmp_path / "home", sim_balances="USDT=10000,BTC=0.012") as stand:
        await stand.advance(30)
        yield stand


async def pair_around(venue: VenueStand, *, above: float = 500.0, below: float = 500.0, **more: Any) -> dict[str, Any]:
    """The parameters of a pair that sells, so far from the market."""
    now = (await venue.get("/sim/state"))["instruments"]["BTC-USDT"]
    asked = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.005",
        "listClientOrderId": "l" * 32,
        "aboveType": "LIMIT_MAKER",
        "abovePrice": f"{now['ask'] + above:.2f}",
        "aboveClientOrderId": "t" * 32,
        "belowType": "STOP_LOSS",
        "belowStopPrice": f"{now['bid'] - below:.2f}",
        "belowClientOrderId": "s" * 32,
        **more,
    }
    return {name: value for name, value in asked.items() if value is not None}


async def test_a_pair_is_placed_shown_and_taken_back(venue) -> None:
    """Every answer names the list and both its orders, the stop first; the bitcoin is locked once."""
    exchange = venue.client()
    await exchange.load_markets()
    market = exchange.market(PAIR)["info"]
    assert (market["ocoAllowed"], "LIMIT_MAKER" in market["orderTypes"]) == (True, True)
    asked = await pair_around(venue)
    made = await exchange.private_post_orderlist_oco({**asked, "newOrderRespType": "FULL"})
    stop, target = made["orderReports"]
    assert [(r["type"], r["status"], r["clientOrderId"], r["orderListId"]) for r in (stop, target)] == [
        ("STOP_LOSS", "NEW", "s" * 32, made["orderListId"]),
        ("LIMIT_MAKER", "NEW", "t" * 32, made["orderListId"]),
    ]
    assert (stop["stopPrice"], target["price"]) == (asked["belowStopPrice"] + "000000", asked["abovePrice"] + "000000")
    assert (made["contingencyType"], made["listStatusType"], made["listOrderStatus"]) == (
        "OCO",
        "EXEC_STARTED",
        "EXECUTING",
    )
    assert (await exchange.fetch_balance())["BTC"]["used"] == QTY
    shown = await exchange.private_get_orderlist({"origClientOrderId": "l" * 32})
    assert shown == {name: value for name, value in made.items() if name != "orderReports"}
    assert await exchange.private_get_orderlist({"orderListId": made["orderListId"]}) == shown
    assert await exchange.private_get_openorderlist() == [shown]
    orders = await exchange.fetch_open_orders(PAIR)
    assert {(order["clientOrderId"], order["info"]["orderListId"]) for order in orders} == {
        ("s" * 32, made["orderListId"]),
        ("t" * 32, made["orderListId"]),
    }
    gone = await exchange.private_delete_orderlist({"symbol": "BTCUSDT", "listClientOrderId": "l" * 32})
    assert (gone["listOrderStatus"], [r["status"] for r in gone["orderReports"]]) == ("ALL_DONE", ["CANCELED"] * 2)
    assert [report["origClientOrderId"] for report in gone["orderReports"]] == ["s" * 32, "t" * 32]
    assert await exchange.private_get_openorderlist() == []
    assert (await exchange.fetch_balance())["BTC"]["used"] == 0
    with pytest.raises(ccxt.OrderNotFound, match="Unknown order list sent"):
        await exchange.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": made["orderListId"]})
    with pytest.raises(ccxt.OrderNotFound, match="Order list does not exist"):
        await exchange.private_get_orderlist({"orderListId": 99})
    assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {"s" * 32: 1, "t" * 32: 1}


async def test_a_cancel_of_one_order_is_answered_with_the_list(venue) -> None:
    """As at Binance: there is no cancelling one of two, and the answer says so."""
    exchange = venue.client()
    made = await exchange.private_post_orderlist_oco(await pair_around(venue, belowClientOrderId=None))
    assert "fills" not in made["orderReports"][0]
    gone = await exchange.private_delete_order({"symbol": "BTCUSDT", "origClientOrderId": "t" * 32})
    assert (gone["orderListId"], gone["listStatusType"]) == (made["orderListId"], "ALL_DONE")
    assert [report["status"] for report in gone["orderReports"]] == ["CANCELED", "CANCELED"]


async def test_the_user_stream_tells_of_a_pair_and_of_its_filled_target(venue) -> None:
    """NEW for both, then the list; later the stop's end, the target's fill, and the list is done."""
    async with UserStream(venue) as user:
        asked = await pair_around(venue, above=1.0, below=5000.0)
        status, made = await venue.signed("POST", OCO, **asked)
        assert status == 200
        number = made["orderListId"]
        begun = await user.until("listStatus")
        assert [(e["e"], e.get("o"), e.get("x"), e.get("g")) for e in begun if e["e"] != "outboundAccountPosition"] == [
            ("executionReport", "STOP_LOSS", "NEW", number),
            ("executionReport", "LIMIT_MAKER", "NEW", number),
            ("listStatus", None, None, number),
        ]
        assert begun[-1] | {"E": 0, "T": 0} == {
            "e": "listStatus",
            "E": 0,
            "s": "BTCUSDT",
            "g": number,
            "c": "OCO",
            "l": "EXEC_STARTED",
            "L": "EXECUTING",
            "r": "NONE",
            "C": "l" * 32,
            "T": 0,
            "O": [{"s": "BTCUSDT", "i": o["orderId"], "c": o["clientOrderId"]} for o in made["orders"]],
        }
        done = await user.until("listStatus", seconds=20)
        reports = [e for e in done if e["e"] == "executionReport"]
        assert [(e["c"][0], e["x"]) for e in reports[:2]] == [("s", "EXPIRED"), ("t", "TRADE")]
        if done[-1]["l"] == "EXEC_STARTED":  # the market went through it with less than its quantity
            done = await user.until("listStatus", seconds=20)
        assert (done[-1]["l"], done[-1]["L"], done[-1]["g"]) == ("ALL_DONE", "ALL_DONE", number)
    fills = (await venue.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT"))[1]
    assert {fill["orderListId"] for fill in fills} == {number}
    assert sum(float(fill["qty"]) for fill in fills) == QTY


async def test_ccxt_hears_of_a_triggered_stop_and_its_expired_target(venue) -> None:
    """ccxt's own parser is told that one was filled and the other has ended."""
    exchange = venue.client()
    await exchange.load_markets()
    heard: dict[str, str] = {}

    async def listen() -> None:
        while len(heard) < 2 or heard["s"] != "closed":
            for order in await exchange.watch_orders():
                heard[order["clientOrderId"][0]] = order["status"]

    listener = asyncio.ensure_future(listen())
    await asyncio.sleep(0)
    asked = await pair_around(venue, above=5000.0, below=1.0)
    asked |= {"belowType": "STOP_LOSS_LIMIT", "belowPrice": "1000.00", "belowTimeInForce": "GTC"}
    await until(lambda: venue.server.hub.has_users)
    await exchange.private_post_orderlist_oco(asked)
    await venue.when(listener, 20)
    assert heard == {"s": "closed", "t": "expired"}
    shown = await exchange.private_get_orderlist({"origClientOrderId": "l" * 32})
    assert shown["listStatusType"] == "ALL_DONE"


async def test_a_buying_pair_has_its_stop_above(venue) -> None:
    """above and below are prices: which of them is the stop depends on the side."""
    now = (await venue.get("/sim/state"))["instruments"]["BTC-USDT"]
    asked = {
        "aboveType": "STOP_LOSS",
        "abovePrice": None,
        "aboveStopPrice": f"{now['ask'] + 500:.2f}",
        "belowType": "LIMIT_MAKER",
        "belowStopPrice": None,
        "belowPrice": f"{now['bid'] - 500:.2f}",
    }
    status, made = await venue.signed("POST", OCO, **await pair_around(venue, side="BUY", **asked))
    assert (status, [report["type"] for report in made["orderReports"]]) == (200, ["STOP_LOSS", "LIMIT_MAKER"])
    assert [order["clientOrderId"][0] for order in made["orders"]] == ["t", "s"], "named above and below, not by kind"


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"abovePrice": "20000.00"}, -2010, "relationship of the prices"),
        ({"belowStopPrice": "900000.00"}, -2010, "relationship of the prices"),
        ({"quantity": "0.013"}, -2010, "insufficient balance"),
        ({"quantity": "0.0000123"}, -1013, "LOT_SIZE"),
        ({"quantity": None}, -1102, "quantity"),
        ({"abovePrice": None}, -1102, "abovePrice"),
        ({"belowStopPrice": None}, -1102, "belowStopPrice"),
        ({"belowType": "TAKE_PROFIT"}, -1116, "orderType"),
        ({"aboveType": "STOP_LOSS"}, -1116, "orderType"),
        ({"belowType": "STOP_LOSS_LIMIT", "belowPrice": "20000.00"}, -1102, "belowTimeInForce"),
        ({"belowPrice": "20000.00"}, -1106, "belowPrice"),
        ({"aboveTimeInForce": "GTC"}, -1106, "aboveTimeInForce"),
        ({"newOrderRespType": "LONG"}, -1128, "newOrderRespType"),
        ({"symbol": "NOPE"}, -1121, "symbol"),
    ],
)
async def test_a_pair_is_refused_with_binances_codes(venue, change, code, text) -> None:
    """And none of its orders is entered."""
    status, answer = await venue.signed("POST", OCO, **await pair_around(venue, **change))
    assert (status, answer["code"]) == (400, code)
    assert text in answer["msg"]
    assert (await venue.get("/sim/account"))["orders"] == []


async def test_refusals_become_ccxts_errors(venue) -> None:
    """The classes that the executor will see."""
    exchange = venue.client()
    with pytest.raises(ccxt.InsufficientFunds):
        await exchange.private_post_orderlist_oco(await pair_around(venue, quantity="1"))
    with pytest.raises(ccxt.InvalidOrder, match=r"-2010.*relationship of the prices"):
        await exchange.private_post_orderlist_oco(await pair_around(venue, abovePrice="20000.00"))
    await exchange.private_post_orderlist_oco(await pair_around(venue))
    with pytest.raises(ccxt.InvalidOrder, match=r"-2010.*Duplicate order sent"):
        await exchange.private_post_orderlist_oco(await pair_around(venue))


async def test_a_pair_counts_as_two_orders(venue) -> None:
    """Its weight is one, its orders are two."""
    exchange = venue.client()
    used = [int(exchange.last_response_headers.get("X-MBX-USED-WEIGHT-1M", 0)) if exchange.last_response_headers else 0]
    await exchange.fetch_time()
    used.append(int(exchange.last_response_headers["X-MBX-USED-WEIGHT-1M"]))
    await exchange.private_post_orderlist_oco(await pair_around(venue, newOrderRespType="ACK"))
    headers = exchange.last_response_headers
    assert (int(headers["X-MBX-USED-WEIGHT-1M"]), headers["X-MBX-ORDER-COUNT-10S"]) in ((used[-1] + 1, "2"), (1, "2"))


async def test_pairs_over_the_websocket_api(venue) -> None:
    """The same desk behind the other door."""
    async with UserStream(venue) as user:
        made = await user.ask("orderList.place.oco", **await pair_around(venue, newOrderRespType="ACK"))
        assert set(made["result"]["orderReports"][0]) == {
            "symbol",
            "orderId",
            "orderListId",
            "clientOrderId",
            "transactTime",
        }
        shown = await user.ask("orderList.status", origClientOrderId="l" * 32)
        assert (await user.ask("openOrderLists.status"))["result"] == [shown["result"]]
        gone = await user.ask("orderList.cancel", symbol="BTCUSDT", listClientOrderId="l" * 32)
        assert gone["result"]["listStatusType"] == "ALL_DONE"
        assert (await user.ask("orderList.cancel", symbol="BTCUSDT"))["error"]["code"] == -1102


@pytest.mark.parametrize(
    ("kind", "error", "is_there"),
    [
        ("http_503", ccxt.ExchangeNotAvailable, False),
        ("reject", ccxt.InsufficientFunds, False),
        ("reset_before_accept", ccxt.NetworkError, False),
        ("reset_after_accept", ccxt.NetworkError, True),
        ("timeout_after_accept", ccxt.RequestTimeout, True),
    ],
)
async def test_a_pair_meets_the_faults_of_orders(venue, kind, error, is_there) -> None:
    """After a fault the pair is there or it is not, and it can be looked up by its client id."""
    exchange = venue.client(timeout=300)
    await exchange.load_markets()
    await script(venue, kind, "order")
    asked = await pair_around(venue)
    with pytest.raises(error):
        await exchange.private_post_orderlist_oco(asked)
    exchange.timeout = 10_000
    if is_there:
        found = await exchange.private_get_orderlist({"origClientOrderId": "l" * 32})
        assert found["listOrderStatus"] == "EXECUTING"
    else:
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.private_get_orderlist({"origClientOrderId": "l" * 32})
        assert len((await exchange.private_post_orderlist_oco(asked))["orders"]) == 2


@pytest.mark.parametrize(("kind", "left"), [("truncated", None), ("empty", ""), ("empty_object", "{}")])
@pytest.mark.parametrize("path", ["/api/v3/order", OCO])
async def test_the_answer_to_an_accepted_order_is_spoilt(venue, path, kind, left) -> None:
    """The order (or the pair) is there, and its answer is half itself, or nothing, or `{}`, with status 200."""
    await script(venue, kind, "rest", path=path, method="POST")
    if path == OCO:
        asked, count = await pair_around(venue), 2
    else:
        asked = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.001",
            "newClientOrderId": "s" * 32,
        }
        count = 1
    status, text = await venue.signed_text("POST", path, **asked)
    assert status == 200
    if left is None:
        assert '"clientOrderId"' in text or '"orderListId"' in text
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    else:
        assert text == left
    assert len((await venue.get("/sim/account"))["orders"]) == count
    assert (await venue.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="s" * 32))[0] == 200
