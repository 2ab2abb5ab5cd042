"""Faults of orders by their type, and of the user data stream: reports that are lost, doubled, late, or never come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import ccxt
import pytest

from services.exchange_sim.faults import OrderFault
from tests.e2e.fault_bench import active, heal, script
from tests.e2e.user_stream import UserStream
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR = "BTC/USDT"
ALL = [("NEW", "a"), ("TRADE", "a"), ("balances", ""), ("NEW", "b"), ("TRADE", "b"), ("balances", "")]


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still; the account has some bitcoin."""
    async with open_venue(tmp_path / "home", sim_balances="USDT=10000,BTC=1") as stand:
        yield stand


async def buy(venue: VenueStand, name: str) -> None:
    asked = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001", "newClientOrderId": name}
    assert (await venue.signed("POST", "/api/v3/order", **asked))[0] == 200


async def heard(user: UserStream) -> list[tuple[str, str]]:
    """Why each report came and of which order, in short."""
    return [(event.get("x", "balances"), event.get("c", "")) for event in await user.hear()]


async def test_one_fill_is_lost(venue) -> None:
    """Of all frames just the report of the fill: the balances still came, and REST knows it."""
    async with UserStream(venue) as user:
        await script(venue, "drop", stream="account", where={"x": "TRADE"}, times=1)
        await buy(venue, "a")
        await buy(venue, "b")
        assert await heard(user) == [each for each in ALL if each != ("TRADE", "a")]
        assert active(venue) == []
    assert len((await venue.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT"))[1]) == 2


async def test_the_first_frame_is_lost(venue) -> None:
    """Without a `where` it is whatever comes next."""
    async with UserStream(venue) as user:
        await script(venue, "drop", stream="account")
        await buy(venue, "a")
        await buy(venue, "b")
        assert await heard(user) == ALL[1:]


async def test_one_fill_is_told_twice(venue) -> None:
    """The very same report, with the same trade id."""
    async with UserStream(venue) as user:
        await script(venue, "duplicate", stream="account", where={"x": "TRADE"})
        await buy(venue, "a")
        fills = [event for event in await user.hear() if event.get("x") == "TRADE"]
        assert len(fills) == 2
        assert fills[0] == fills[1]


async def test_reports_are_swapped(venue) -> None:
    """An order is filled before it is new; and the fill of one may come after the next order's."""
    async with UserStream(venue) as user:
        await script(venue, "hold", stream="account", where={"x": "NEW"})
        await buy(venue, "a")
        assert (await heard(user))[:2] == [("TRADE", "a"), ("NEW", "a")]
        await script(venue, "hold", stream="account", where={"c": "c"}, times=2)
        await script(venue, "hold", stream="account", where={"e": "outboundAccountPosition"})
        await buy(venue, "c")
        assert await heard(user) == []
        await buy(venue, "b")
        assert await heard(user) == [ALL[3], ("NEW", "c"), ("TRADE", "c"), ("balances", ""), *ALL[4:]]


async def test_one_number_of_a_report_is_wrong(venue) -> None:
    """Inside the event, where it is."""
    async with UserStream(venue) as user:
        await script(venue, "mangle", stream="account", field="l", factor=2, where={"x": "TRADE"})
        await buy(venue, "a")
        assert [event["l"] for event in await user.hear() if "l" in event] == ["0.00000000", "0.00200000"]


async def test_the_user_stream_is_frozen(venue) -> None:
    """Requests over the same socket are answered; what happened meanwhile is never told."""
    async with UserStream(venue) as user:
        assert (await script(venue, "freeze", stream="account"))["sockets"] == 1
        await buy(venue, "a")
        assert await heard(user) == []
        await heal(venue)
        await buy(venue, "b")
        assert await heard(user) == ALL[3:]


async def test_every_stop_is_rejected_as_long_as_it_stands(venue) -> None:
    """An API change: stops are refused, alone or in pairs, by either door, with the code and text that were asked for."""
    exchange = venue.client()
    await exchange.load_markets()
    bid = (await venue.get("/sim/state"))["instruments"]["BTC-USDT"]["bid"]
    venue.server.faults.add(OrderFault(kind="reject", ord_type="STOP_LOSS", code=-1013, msg="No stops any more."))
    stop = {"stopPrice": round(bid - 500, 2)}
    pair = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": f"{bid + 500:.2f}",
        "belowType": "STOP_LOSS",
        "belowStopPrice": f"{bid - 500:.2f}",
    }
    for _ in range(2):
        with pytest.raises(ccxt.BadRequest, match=r"-1013.*No stops any more"):
            await exchange.create_order(PAIR, "STOP_LOSS", "sell", 0.01, None, stop)
    with pytest.raises(ccxt.BadRequest, match="No stops any more"):
        await exchange.private_post_orderlist_oco(pair)
    async with UserStream(venue) as user:
        assert (await user.ask("orderList.place.oco", **pair))["error"] == {"code": -1013, "msg": "No stops any more."}
    assert active(venue)[0]["struck"] == 4
    await exchange.create_order(PAIR, "limit", "sell", 0.01, round(bid + 500, 2))
    await exchange.private_post_orderlist_oco(
        {**pair, "belowType": "STOP_LOSS_LIMIT", "belowPrice": "1000.00", "belowTimeInForce": "GTC"}
    )
    assert (await heal(venue))["ended"] == 1
    assert (await exchange.create_order(PAIR, "STOP_LOSS", "sell", 0.01, None, stop))["status"] == "open"


async def test_only_pairs_are_rejected(venue) -> None:
    """OCO is a type of its own, refused here with what the venue says by default; single stops pass."""
    bid = (await venue.get("/sim/state"))["instruments"]["BTC-USDT"]["bid"]
    await script(venue, "reject", "order", ord_type="OCO", times=1)
    stop = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "type": "STOP_LOSS",
        "stopPrice": f"{bid - 500:.2f}",
    }
    pair = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": f"{bid + 500:.2f}",
        "belowType": "STOP_LOSS",
        "belowStopPrice": f"{bid - 500:.2f}",
    }
    assert (await venue.signed("POST", "/api/v3/order", **stop))[0] == 200
    refused = await venue.signed("POST", "/api/v3/orderList/oco", **pair)
    assert refused == (400, {"code": -2010, "msg": "This order type is not supported."})
    assert (await venue.signed("POST", "/api/v3/orderList/oco", **pair))[0] == 200
