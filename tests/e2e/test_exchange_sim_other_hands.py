"""Somebody else acts on the account, or the venue does: the account, its streams and unmodified ccxt afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import ccxt
import pytest

from libs.trading.venue import VenueRejected
from tests.e2e.fault_bench import frame, is_silent
from tests.e2e.user_stream import UserStream
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR = "BTC/USDT"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still; the account has some bitcoin."""
    async with open_venue(tmp_path / "home", sim_balances="USDT=1000,BTC=0.5") as stand:
        await stand.advance(30)
        yield stand


async def by_hand(venue: VenueStand, action: str, **more: Any) -> Any:
    return await venue.post(f"/sim/account/{action}", more)


async def balances(venue: VenueStand) -> dict[str, tuple[str, str]]:
    held = (await venue.get("/sim/account"))["balances"]
    return {asset: (each["free"], each["locked"]) for asset, each in held.items() if asset in ("BTC", "USDT", "EUR")}


async def a_pair(venue: VenueStand) -> dict[str, Any]:
    bid = (await venue.get("/sim/state"))["instruments"]["BTC-USDT"]["bid"]
    asked = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.2",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": f"{bid + 900:.2f}",
        "aboveClientOrderId": "t",
        "belowType": "STOP_LOSS",
        "belowStopPrice": f"{bid - 900:.2f}",
        "belowClientOrderId": "s",
    }
    status, made = await venue.signed("POST", "/api/v3/orderList/oco", **asked)
    assert status == 200
    return made


async def test_money_comes_and_goes(venue) -> None:
    """`balanceUpdate` says what moved, outboundAccountPosition what there is; nothing that is not there can leave."""
    async with UserStream(venue) as user:
        assert await by_hand(venue, "deposit", asset="EUR", amount="12.5") == {"orders": []}
        venue.server.hands.withdraw("USDT", D("400"))
        events = await user.hear()
        assert [(e["e"], e.get("a"), e.get("d")) for e in events] == [
            ("balanceUpdate", "EUR", "12.50000000"),
            ("outboundAccountPosition", None, None),
            ("balanceUpdate", "USDT", "-400.00000000"),
            ("outboundAccountPosition", None, None),
        ]
        assert events[3]["B"] == [{"a": "USDT", "f": "600.00000000", "l": "0.00000000"}]
    assert await balances(venue) == {"BTC": ("0.5", "0"), "EUR": ("12.5", "0"), "USDT": ("600", "0")}
    assert (await by_hand(venue, "withdraw", asset="USDT", amount="600.01"))["code"] == -2010
    for amount in ("0", "-1", "NaN", "much"):
        assert "wanted {asset, amount}" in (await by_hand(venue, "deposit", asset="USDT", amount=amount))["error"]
    assert (await venue.client().fetch_balance())["EUR"]["free"] == 12.5


async def test_an_order_is_taken_back_by_hand(venue) -> None:
    """One order of a pair: both end, and the user stream says it as if we had asked."""
    await a_pair(venue)
    async with UserStream(venue) as user:
        gone = await by_hand(venue, "cancel", instrument="BTC-USDT", cl_ord_id="t")
        assert [(each["clientOrderId"], each["status"]) for each in gone["orders"]] == [
            ("s", "CANCELED"),
            ("t", "CANCELED"),
        ]
        told = [(e["c"], e["x"]) for e in await user.hear() if e["e"] == "executionReport"]
        assert told == [("t", "CANCELED"), ("s", "CANCELED")]
    refused = await by_hand(venue, "cancel", instrument="BTC-USDT", venue_order_id="2")
    assert refused["code"] == -2011


async def test_somebody_trades_by_hand(venue) -> None:
    """With client ids that are not ours; the fills are in our history like any other."""
    bought = (await by_hand(venue, "buy", instrument="BTC-USDT", qty="0.01"))["orders"][0]
    sold = venue.server.hands.sell("BTC-USDT", D("0.3"), "web_mine")
    assert (bought["clientOrderId"][:4], bought["status"], bought["side"]) == ("web_", "FILLED", "BUY")
    assert (sold.cl_ord_id, sold.ord_status) == ("web_mine", "FILLED")
    exchange = venue.client()
    assert [order["clientOrderId"] for order in await exchange.fetch_orders(PAIR)] == [
        bought["clientOrderId"],
        "web_mine",
    ]
    assert {trade["side"] for trade in await exchange.fetch_my_trades(PAIR)} == {"buy", "sell"}
    assert (await by_hand(venue, "sell", instrument="BTC-USDT", qty="3"))["code"] == -2010
    assert (await by_hand(venue, "sell", instrument="XYZ-USDT", qty="3"))["code"] == -1121


async def test_a_position_is_liquidated(venue) -> None:
    """The venue takes back what rests, and sells everything under a client id of its own."""
    await a_pair(venue)
    async with UserStream(venue) as user:
        orders = (await by_hand(venue, "liquidate", instrument="BTC-USDT"))["orders"]
        assert [(each["type"], each["status"]) for each in orders] == [
            ("STOP_LOSS", "CANCELED"),
            ("LIMIT_MAKER", "CANCELED"),
            ("MARKET", "FILLED"),
        ]
        told = [e for e in await user.hear() if e["e"] == "executionReport" and e["x"] == "TRADE"]
        assert {e["c"].startswith("autoclose-") for e in told} == {True}
    assert (await balances(venue))["BTC"] == ("0", "0")
    assert (await by_hand(venue, "liquidate", instrument="BTC-USDT"))["code"] == -1013
    with pytest.raises(VenueRejected, match="-1121"):
        venue.server.hands.liquidate("XYZ-USDT")


async def test_an_instrument_is_not_traded_any_more_and_then_again(venue) -> None:
    """Its orders expire, its streams fall silent, orders are refused in words of their own; others go on."""
    exchange = venue.client()
    await a_pair(venue)
    async with UserStream(venue) as user, venue.http.ws_connect("/ws/btcusdt@trade") as socket:
        assert len((await by_hand(venue, "delist", instrument="BTC-USDT"))["orders"]) == 2
        events = await user.hear()
        assert [e["x"] for e in events if e["e"] == "executionReport"] == ["EXPIRED", "EXPIRED"]
        assert events[-1]["L"] == "ALL_DONE"
        await venue.advance(60)
        assert await is_silent(socket)
        await exchange.load_markets()
        assert (exchange.market(PAIR)["active"], exchange.market("ETH/USDT")["active"]) == (False, True)
        with pytest.raises(ccxt.MarketClosed, match="Market is closed"):
            await exchange.create_order(PAIR, "market", "sell", 0.1)
        assert (await exchange.create_order("ETH/USDT", "market", "buy", 0.01))["status"] == "closed"
        await by_hand(venue, "relist", instrument="BTC-USDT")
        await exchange.load_markets(True)
        assert exchange.market(PAIR)["active"]
        assert (await exchange.create_order(PAIR, "market", "sell", 0.1))["status"] == "closed"
        await venue.advance(60)
        assert (await frame(socket))["e"] == "trade"


async def test_an_instrument_is_forgotten_even_over_a_restart(tmp_path) -> None:
    """Without a listing it is an invalid symbol, for questions, too, until it is listed again."""
    async with open_venue(tmp_path / "home") as venue:
        assert await by_hand(venue, "delist", instrument="BTC-USDT", listed=False) == {"orders": []}
    async with open_venue(tmp_path / "home") as venue:
        symbols = [each["symbol"] for each in (await venue.get("/api/v3/exchangeInfo"))["symbols"]]
        assert symbols == ["ETHUSDT", "SOLUSDT"]
        assert [each["symbol"] for each in await venue.get("/api/v3/ticker/price")] == symbols
        assert (await venue.get("/api/v3/klines", symbol="BTCUSDT", interval="1m"))["code"] == -1121
        asked = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
        assert (await venue.signed("POST", "/api/v3/order", **asked))[1]["code"] == -1121
        venue.server.hands.relist("BTC-USDT")
        assert (await venue.signed("POST", "/api/v3/order", **asked))[1]["status"] == "FILLED"
        assert (await by_hand(venue, "relist", instrument="XYZ-USDT"))["code"] == -1121
