"""Unmodified ccxt.pro.kucoin finds in exchange_sim the account it knows: signed REST, stops apart, private topics, KuCoin's refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import pytest

from libs.trading.binance_ccxt import follow_clock
from libs.trading.public_ccxt import kucoin_config
from tests.e2e.feed_bench import settled
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR, SYMBOL = "BTC/USDT", "BTC-USDT"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still unless a test moves it, past its first minute."""
    async with open_venue(tmp_path / "home") as stand:
        await stand.advance(90)
        yield stand


def client(venue: VenueStand, **more: Any) -> ccxt.pro.kucoin:
    keys = {"apiKey": venue.key, "secret": venue.secret, "password": venue.passphrase}
    made = ccxt.pro.kucoin({**kucoin_config(venue.url), "enableRateLimit": False, **keys, **more})
    follow_clock(made, venue.server.exchange.clock.now_ns)
    venue.clients.append(made)
    return made


def order(name: str, size: str = "0.01", **more: Any) -> dict[str, Any]:
    return {"clientOid": name, "symbol": SYMBOL, "side": "buy", "type": "market", "size": size, **more}


async def money(venue: VenueStand) -> dict[str, D]:
    balances = (await venue.get("/sim/account"))["balances"]
    return {asset: D(str(held["free"])) + D(str(held["locked"])) for asset, held in balances.items()}


async def test_an_order_is_bought_at_kucoins_price_with_its_fee_in_quote_from_the_same_money(venue) -> None:
    """POST answers with ids alone; the order, its fills and the balances say the rest, and Binance's side has the same money."""
    exchange = client(venue)
    before = await money(venue)
    made = await exchange.create_order(PAIR, "market", "buy", 0.01, params={"clientOrderId": "one"})
    assert (made["clientOrderId"], made["status"]) == ("one", None)
    found = await exchange.fetch_order(None, PAIR, {"clientOrderId": "one"})
    assert (found["id"], found["status"], found["filled"]) == (made["id"], "closed", 0.01)
    trades = await exchange.fetch_my_trades(PAIR)
    assert {(each["order"], each["fee"]["currency"]) for each in trades} == {(made["id"], "USDT")}
    paid = sum(D(each["info"]["funds"]) + D(each["info"]["fee"]) for each in trades)
    after = await money(venue)
    assert (before["USDT"] - after["USDT"], after["BTC"]) == (paid, D("0.01"))
    assert D((await exchange.fetch_balance())["BTC"]["total"]) == pytest.approx(D("0.01"))
    home = (await venue.get("/sim/state"))["instruments"][SYMBOL]["ask"]
    assert trades[0]["price"] == pytest.approx(home * 0.9998, abs=0.2)
    assert await venue.signed("GET", "/api/v3/openOrders") == (200, [])


async def test_a_stop_lives_apart_until_it_is_reached_and_then_under_another_id(venue) -> None:
    """A stop is found among stops only, is an ordinary order of the same client id once reached, and is in no list after a cancel."""
    exchange = client(venue)
    await exchange.private_post_hf_orders(order("in", "0.02"))
    bid = (await venue.get("/sim/state"))["instruments"][SYMBOL]["bid"] * 0.9998
    near = f"{bid - 1:.1f}"
    sale = {"side": "sell", "stop": "loss"}
    rests = (await exchange.private_post_stop_order(order("near", **sale, stopPrice=near)))["data"]
    await exchange.private_post_stop_order(order("far", **sale, stopPrice="1000"))
    asked = {"symbol": SYMBOL, "clientOid": "near"}
    assert (await exchange.private_get_hf_orders_client_order_clientoid(asked))["data"] is None
    assert [each["id"] for each in (await exchange.private_get_stop_order_queryorderbyclientoid(asked))["data"]] == [
        rests["orderId"]
    ]
    assert (await exchange.private_get_stop_order({"symbol": SYMBOL}))["data"]["totalNum"] == 2
    for _ in range(400):
        await venue.advance(5)
        shown = (await exchange.private_get_hf_orders_client_order_clientoid(asked))["data"]
        if shown is not None:
            break
    assert shown["id"] != rests["orderId"]
    assert (shown["active"], shown["dealSize"], shown["side"]) == (False, "0.01", "sell")
    assert (await exchange.private_get_stop_order_queryorderbyclientoid(asked))["data"] is None
    gone = await exchange.private_delete_stop_order_cancelorderbyclientoid({"symbol": SYMBOL, "clientOid": "far"})
    assert gone["data"]["clientOid"] == "far"
    assert (await exchange.private_get_stop_order({"symbol": SYMBOL}))["data"]["items"] == []
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.private_delete_stop_order_cancelorderbyclientoid({"symbol": SYMBOL, "clientOid": "far"})


async def test_the_private_topics_tell_of_orders_stops_and_balances(venue) -> None:
    """watch_orders hears orders, with `trigger` stops; watch_balance what moved."""
    exchange = client(venue)
    heard: list[Any] = []

    async def hear(watch: Any, **params: Any) -> None:
        while True:
            got = await watch(params=params)
            heard.extend(got if isinstance(got, list) else [got])

    tasks = [
        asyncio.create_task(hear(exchange.watch_orders)),
        asyncio.create_task(hear(exchange.watch_orders, trigger=True)),
        asyncio.create_task(hear(exchange.watch_balance)),
    ]
    await settled(lambda: len(venue.server.hub.sockets) == 1, "a socket")
    socket = next(iter(venue.server.hub.sockets))
    await settled(lambda: len(socket.streams) == 3, "three subscriptions")
    await exchange.private_post_hf_orders(order("in"))
    await exchange.private_post_stop_order(order("far", side="sell", stop="loss", stopPrice="1000"))
    await settled(lambda: {"in"} <= {each.get("clientOrderId") for each in heard}, "the order")
    await settled(lambda: any(each.get("triggerPrice") == 1000 for each in heard), "the stop")
    await settled(lambda: any("BTC" in each for each in heard), "the balance")
    for task in tasks:
        task.cancel()


async def test_a_topic_of_the_account_wants_the_token_of_the_account(venue) -> None:
    """With the public token a private topic is not found."""
    bullet = (await venue.post("/kucoin/api/v1/bullet-public", {}))["data"]
    address = f"{bullet['instanceServers'][0]['endpoint']}?token={bullet['token']}&connectId=mine"
    async with venue.http.ws_connect(address) as socket:
        await socket.receive_json(timeout=5)
        await socket.send_json({"id": "1", "type": "subscribe", "topic": "/spotMarket/tradeOrders", "response": True})
        assert (await socket.receive_json(timeout=5))["code"] == 404


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size": "10000"}, "200004"),
        ({"size": "0.000000001"}, "600100"),
        ({"symbol": "FOO-USDT"}, "900001"),
        ({"clientOid": ""}, "400100"),
        ({"type": "limit", "price": "0.33"}, "600100"),
        ({"type": "limit"}, "400100"),
        ({"type": "limit", "price": "1000", "clientOid": "twin"}, "102426"),
    ],
)
async def test_refusals_have_kucoins_codes(venue, changes, code) -> None:
    """What KuCoin does not take, it refuses in its own codes."""
    exchange = client(venue)
    await exchange.private_post_hf_orders(order("twin", type="limit", price="1000"))
    with pytest.raises(ccxt.BaseError, match=f'"code":"{code}"'):
        await exchange.private_post_hf_orders({**order("other"), **changes})


async def test_who_cannot_sign_gets_nothing(venue) -> None:
    """A wrong key, passphrase, signature or clock, and a right that is missing, each have their code."""
    ask = "private_get_accounts"
    for changes, code in (
        ({"apiKey": "x" * 24}, "400003"),
        ({"password": "another"}, "400004"),
        ({"secret": "another"}, "400005"),
    ):
        with pytest.raises(ccxt.AuthenticationError, match=code):
            await getattr(client(venue, **changes), ask)({"type": "trade"})
    exchange = client(venue)
    await venue.post("/sim/clock-skew", {"ms": -7_000})
    with pytest.raises(ccxt.InvalidNonce, match="400002"):
        await exchange.private_get_accounts({"type": "trade"})
    assert await exchange.fetch_time() == venue.now // 1_000_000 - 7_000
    await venue.post("/sim/clock-skew", {"ms": 0})
    await venue.post("/sim/key", {"trading": False, "withdrawals": True, "ip_restricted": False})
    with pytest.raises(ccxt.AuthenticationError, match="400007"):
        await exchange.private_post_hf_orders(order("no"))
    shown = (await exchange.private_get_user_api_key())["data"]
    assert (shown["permission"], shown.get("ipWhitelist")) == ("General,Withdrawal", None)


async def test_a_market_that_is_closed_there_takes_no_orders(venue) -> None:
    """Trading at KuCoin alone can end; orders expire, and new ones are refused."""
    exchange = client(venue)
    await exchange.private_post_hf_orders(order("rests", type="limit", price="1000"))
    await venue.post("/sim/account/delist", {"instrument": "kucoin:BTC-USDT"})
    with pytest.raises(ccxt.ExchangeError, match="200001"):
        await exchange.private_post_hf_orders(order("late"))
    assert (await exchange.fetch_order(None, PAIR, {"clientOrderId": "rests"}))["status"] == "canceled"
    symbols = {each["symbol"]: each["enableTrading"] for each in (await exchange.public_get_symbols())["data"]}
    assert (symbols[SYMBOL], symbols["ETH-USDT"]) == (False, True)
    assert (await venue.signed("POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001"))[
        0
    ] == 200


async def test_fills_are_paged_and_the_account_survives_a_restart(venue) -> None:
    """`lastId` leads to older executions; a venue that starts again still has orders and stops of KuCoin's."""
    exchange = client(venue)
    for number in range(3):
        await exchange.private_post_hf_orders(order(f"n{number}", "0.001"))
    await exchange.private_post_stop_order(order("far", "0.001", side="sell", stop="loss", stopPrice="1000"))
    pages, last = [], 0
    while True:
        more = {"lastId": last} if last else {}
        page = (await exchange.private_get_hf_fills({"symbol": SYMBOL, "limit": 2, **more}))["data"]
        if not page["items"]:
            break
        pages.append([int(each["id"]) for each in page["items"]])
        last = page["lastId"]
    ids = [each for page in pages for each in page]
    assert len(ids) >= 3
    assert ids == sorted(set(ids), reverse=True)
    await venue.server.stop()
    venue.server = type(venue.server)(venue.settings)
    await venue.server.start()
    venue.url = f"http://127.0.0.1:{venue.server.port}"
    later = client(venue)
    assert (await later.private_get_stop_order({"symbol": SYMBOL}))["data"]["totalNum"] == 1
    assert (await later.fetch_order(None, PAIR, {"clientOrderId": "n0"}))["status"] == "closed"
