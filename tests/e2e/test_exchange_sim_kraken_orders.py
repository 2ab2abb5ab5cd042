"""Unmodified ccxt.pro.kraken trades at exchange_sim: on the account of /api/v3, at Kraken's prices, by Kraken's rules and words."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import ccxt.pro
import pytest

from libs.trading.public_ccxt import kraken_config
from services.exchange_sim.kraken_signing import signature_of
from tests.e2e.venue_stand import SECOND, VenueStand, open_venue

PAIR = "BTC/USDT"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue in step mode, past its first minute."""
    async with open_venue(tmp_path / "home") as stand:
        await stand.advance(90)
        yield stand


def client(venue: VenueStand, **more: Any) -> ccxt.pro.kraken:
    keys = {"apiKey": venue.key, "secret": venue.secret}
    made = ccxt.pro.kraken({**kraken_config(venue.url), **keys, "enableRateLimit": False, **more})
    venue.clients.append(made)
    return made


async def raw(venue: VenueStand, name: str, nonce: int, *, sign: str = "", **params: Any) -> list[str]:
    """The errors of a private call, signed by hand."""
    path = f"/0/private/{name}"
    body = urlencode({"nonce": nonce, **params})
    secret = base64.b64decode(venue.secret)
    headers = {"API-Key": venue.key, "API-Sign": sign or signature_of(secret, path, str(nonce), body)}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    async with venue.http.post(f"/kraken{path}", data=body, headers=headers) as answer:
        return (await answer.json())["error"]


def moment(venue: VenueStand, seconds: float) -> str:
    return (datetime.fromtimestamp(venue.now / SECOND, UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_market_order_pays_krakens_price_and_its_fee_in_quote(venue) -> None:
    """A purchase costs Kraken's offer and 0.26 % in quote; all of the base arrives, in the one account of both venues."""
    exchange = client(venue)
    made = await exchange.create_order(PAIR, "market", "buy", 0.01, None, {"clientOrderId": "a" * 32})
    assert (made["status"], made["filled"], made["id"][0]) == (None, None, "O")
    fills = await exchange.fetch_my_trades(PAIR)
    assert sum(D(fill["info"]["vol"]) for fill in fills) == D("0.01")
    cost = sum(D(fill["info"]["cost"]) for fill in fills)
    fees = sum(D(fill["info"]["fee"]) for fill in fills)
    assert abs(fees - cost * D("0.0026")) < D("0.000001")
    assert {fill["order"] for fill in fills} == {made["id"]}
    quote = (await venue.get("/api/v3/ticker/bookTicker", symbol="BTCUSDT"))["askPrice"]
    assert D(fills[0]["info"]["price"]) > D(quote) * D("1.0003")
    there, here = await exchange.fetch_balance(), await venue.client().fetch_balance()
    assert there["BTC"]["total"] == here["BTC"]["total"] == 0.01
    assert D(str(here["USDT"]["total"])) == D(10_000) - cost - fees


async def test_a_limit_order_rests_holds_its_money_and_is_taken_back_by_its_own_name(venue) -> None:
    """An order far below the market rests, holds price and fee, is found by cl_ord_id, and returns everything when cancelled."""
    exchange, name = client(venue), "b" * 32
    await exchange.create_order(PAIR, "limit", "buy", 0.01, 10_000, {"clientOrderId": name})
    found = await exchange.fetch_open_orders(PAIR, params={"clientOrderId": name})
    assert [(each["clientOrderId"], each["status"], each["price"]) for each in found] == [(name, "open", 10_000)]
    assert (await exchange.fetch_balance())["USDT"]["used"] == 100.26
    assert await venue.client().fetch_open_orders("BTC/USDT") == []
    assert (await exchange.private_post_cancelorder({"cl_ord_id": name}))["result"] == {"count": 1}
    assert (await exchange.fetch_balance())["USDT"]["used"] == 0
    closed = await exchange.fetch_closed_orders(PAIR, params={"clientOrderId": name})
    assert [each["status"] for each in closed] == ["canceled"]
    with pytest.raises(ccxt.InvalidOrder, match="EOrder:Unknown order"):
        await exchange.private_post_cancelorder({"cl_ord_id": name})


async def test_a_stop_sells_when_krakens_market_reaches_it(venue) -> None:
    """A stop just below the market, on what Binance's side bought, goes off as the market moves, at Kraken's price."""
    await venue.client().create_order("BTC/USDT", "market", "buy", 0.01)
    exchange = client(venue)
    bid = D((await exchange.public_get_ticker({"pair": "XBTUSDT"}))["result"]["XBTUSDT"]["b"][0])
    stop = {"clientOrderId": "c" * 32, "stopLossPrice": float(bid - 2)}
    made = await exchange.create_order(PAIR, "market", "sell", 0.005, None, stop)
    shown = (await exchange.private_post_queryorders({"txid": made["id"]}))["result"][made["id"]]
    assert (shown["descr"]["ordertype"], shown["status"]) == ("stop-loss", "open")
    for _ in range(60):
        await venue.advance(60)
        shown = (await exchange.private_post_queryorders({"txid": made["id"], "trades": "true"}))["result"][made["id"]]
        if shown["status"] == "closed":
            break
    assert shown["vol_exec"] == "0.00500000"
    fills = (await exchange.private_post_querytrades({"txid": ",".join(shown["trades"])}))["result"]
    assert {fill["ordertxid"] for fill in fills.values()} == {made["id"]}


async def test_what_is_refused_is_refused_in_krakens_words(venue) -> None:
    """Every refusal is a string of Kraken's with status 200, and nothing is entered."""
    good = {"pair": "XBTUSDT", "type": "buy", "ordertype": "market", "volume": "0.01"}
    limit = {**good, "ordertype": "limit", "price": "10000"}
    for number, (params, error) in enumerate(
        [
            ({**good, "volume": "10"}, "EOrder:Insufficient funds"),
            ({**good, "pair": "FOOUSDT"}, "EQuery:Unknown asset pair"),
            ({**good, "volume": "0.00001"}, "EOrder:Order minimum not met"),
            ({**limit, "price": "10000.01"}, "EOrder:Invalid price"),
            ({**limit, "oflags": "post", "price": "900000"}, "EOrder:Post only order"),
            ({**good, "ordertype": "iceberg"}, "EGeneral:Invalid arguments:ordertype"),
            ({**good, "oflags": "viqc"}, "EGeneral:Invalid arguments:oflags"),
            ({**good, "cl_ord_id": "x" * 19}, "EGeneral:Invalid arguments:cl_ord_id"),
            ({**good, "deadline": moment(venue, 90)}, "EGeneral:Invalid arguments:deadline"),
            ({**good, "deadline": moment(venue, -1)}, "EService:Deadline elapsed"),
            ({**limit, "deadline": moment(venue, 5), "cl_ord_id": "d"}, ""),
            ({**limit, "cl_ord_id": "d"}, "EOrder:Duplicate cl_ord_id"),
        ],
        1,
    ):
        assert await raw(venue, "AddOrder", number, **params) == ([error] if error else [])
    assert list((await venue.get("/sim/account"))["seen_cl_ord_ids"].values()) == [1]


async def test_who_may_ask(venue) -> None:
    """A wrong signature, a nonce that does not grow, a key without the right and a revoked one are told apart."""
    assert await raw(venue, "BalanceEx", 5) == []
    assert await raw(venue, "BalanceEx", 5) == ["EAPI:Invalid nonce"]
    assert await raw(venue, "BalanceEx", 6, sign="AAAA") == ["EAPI:Invalid signature"]
    await venue.post("/sim/key", {"trading": False})
    assert await raw(venue, "CancelOrder", 7, cl_ord_id="d") == ["EGeneral:Permission denied"]
    assert await raw(venue, "OpenOrders", 8) == []
    await venue.post("/sim/key", {"revoked": True})
    assert await raw(venue, "OpenOrders", 9) == ["EAPI:Invalid key"]


@pytest.mark.parametrize(
    ("kind", "error", "exists"),
    [
        ("timeout_after_accept", ccxt.RequestTimeout, True),
        ("reset_after_accept", ccxt.NetworkError, True),
        ("reset_before_accept", ccxt.NetworkError, False),
        ("http_503", ccxt.ExchangeNotAvailable, False),
        ("reject", ccxt.InsufficientFunds, False),
    ],
)
async def test_faults_of_orders_strike_at_kraken_too(venue, kind, error, exists) -> None:
    """The scripted fault strikes AddOrder, and the order exists exactly if it was accepted before."""
    exchange = client(venue, timeout=300)
    await exchange.load_markets()
    await venue.post("/sim/faults", {"kind": kind})
    with pytest.raises(error):
        await exchange.create_order(PAIR, "market", "buy", 0.01, None, {"clientOrderId": "e" * 32})
    assert (await venue.get("/sim/account"))["seen_cl_ord_ids"].get("e" * 32, 0) == int(exists)


async def test_orders_and_executions_are_watched(venue) -> None:
    """watch_orders shows the real name only in info; watch_my_trades tells each execution; balances follow."""
    exchange = client(venue)
    assert await asyncio.wait_for(exchange.watch_balance(), 5)
    watching = asyncio.ensure_future(exchange.watch_orders())
    trades = asyncio.ensure_future(exchange.watch_my_trades())
    await asyncio.sleep(
        0.1
    )  # let the subscription be made; nothing is told of it to a watcher of an account without orders
    await exchange.create_order(PAIR, "market", "buy", 0.01, None, {"clientOrderId": "f" * 32})
    order = (await asyncio.wait_for(watching, 5))[-1]
    assert (order["clientOrderId"], order["info"]["cl_ord_id"]) == ("0", "f" * 32)
    told = (await asyncio.wait_for(trades, 5))[-1]
    assert (told["order"], told["fee"]["currency"]) == (order["id"], "USDT")


async def test_the_account_survives_a_restart_with_its_orders_at_kraken(tmp_path) -> None:
    """An order resting at Kraken is there after a restart, and Binance's side shows nothing of it."""
    async with open_venue(tmp_path / "home") as venue:
        await venue.advance(90)
        exchange = client(venue)
        await exchange.create_order(PAIR, "limit", "buy", 0.01, 10_000, {"clientOrderId": "a" * 32})
    async with open_venue(tmp_path / "home") as venue:
        found = await client(venue).fetch_open_orders(PAIR)
        assert [each["clientOrderId"] for each in found] == ["a" * 32]
        status, shown = await venue.signed("GET", "/api/v3/openOrders")
        assert (status, shown) == (200, [])
