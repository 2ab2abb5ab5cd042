"""Unmodified ccxt.pro.binance finds in exchange_sim the Binance it knows: markets, streams, orders, errors and faults."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import ccxt
import pytest

from libs.common.timeframe import MINUTE
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR = "BTC/USDT"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still unless a test moves it."""
    async with open_venue(tmp_path / "home") as stand:
        yield stand


def cl_ord_id(letter: str) -> str:
    return letter * 32


async def test_rules_and_time(venue) -> None:
    """Markets carry the venue's filters; time is the venue's."""
    exchange = venue.client()
    await exchange.load_markets()
    assert sorted(exchange.symbols) == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    market = exchange.market(PAIR)
    assert market["precision"]["price"] == 0.01
    assert market["precision"]["amount"] == 0.00001
    assert market["limits"]["cost"]["min"] == 5.0
    assert market["active"]
    assert await exchange.fetch_time() == venue.now // 1_000_000


async def test_history_and_prices_by_rest(venue) -> None:
    """Closed bars follow each other; ticker, quote, book and trades agree on the price."""
    exchange = venue.client()
    await venue.advance(90)
    bars = await exchange.fetch_ohlcv(PAIR, "1m", limit=1000)
    assert len(bars) == 1000
    assert all(later[0] - earlier[0] == 60_000 for earlier, later in itertools.pairwise(bars))
    assert all(later[1] == earlier[4] for earlier, later in itertools.pairwise(bars))
    since = bars[0][0]
    assert (await exchange.fetch_ohlcv(PAIR, "1m", since=since, limit=5)) == bars[:5]
    assert len(await exchange.fetch_ohlcv(PAIR, "1w", limit=300)) == 300
    ticker, quote = await exchange.fetch_ticker(PAIR), (await exchange.fetch_bids_asks([PAIR]))[PAIR]
    book, trades = await exchange.fetch_order_book(PAIR, 5), await exchange.fetch_trades(PAIR, limit=10)
    assert quote["bid"] == ticker["bid"] == book["bids"][0][0]
    assert quote["ask"] == ticker["ask"] == book["asks"][0][0]
    assert ticker["last"] == trades[-1]["price"] == bars[-1][4]
    assert len(trades) == 10
    assert len(await exchange.fetch_tickers()) == 3
    older = await exchange.fetch_trades(
        PAIR, params={"fromId": int(trades[0]["id"]), "method": "publicGetHistoricalTrades"}
    )
    assert [trade["id"] for trade in older] == [trade["id"] for trade in trades]
    assert await exchange.fetch_trades(PAIR, since=trades[3]["timestamp"], limit=3) != []


async def test_trades_and_quotes_are_streamed(venue) -> None:
    """What the streams said of a minute is what its bar says afterwards."""
    exchange = venue.client()
    await exchange.load_markets()
    heard: dict[str, dict] = {}

    async def listen() -> None:
        while True:
            for trade in await exchange.watch_trades(PAIR):
                heard[trade["id"]] = trade

    listener = asyncio.create_task(listen())
    quotes = await venue.when(exchange.watch_bids_asks([PAIR, "ETH/USDT"]))
    assert all(quote["bid"] < quote["ask"] for quote in quotes.values())
    opens = (venue.now // MINUTE + 1) * MINUTE
    while venue.now < opens + MINUTE:
        await venue.advance(10)
        await asyncio.sleep(0.01)
    listener.cancel()
    minute = [trade for trade in heard.values() if opens <= trade["timestamp"] * 1_000_000 < opens + MINUTE]
    assert len(minute) == 12
    assert minute[0]["timestamp"] * 1_000_000 == opens
    prices = [trade["price"] for trade in minute]
    bar = (await exchange.fetch_ohlcv(PAIR, "1m", since=opens // 1_000_000, limit=1))[0]
    assert bar[1:5] == [prices[0], max(prices), min(prices), prices[-1]]
    assert round(sum(trade["amount"] for trade in minute), 8) == bar[5]


async def test_the_other_streams(venue) -> None:
    """Bars, tickers and the book are streamed in ccxt's default forms."""
    exchange = venue.client()
    await exchange.load_markets()
    bar = (await venue.when(exchange.watch_ohlcv(PAIR, "1m"), 7))[-1]
    assert bar[0] % 60_000 == 0
    assert (await venue.when(exchange.watch_ticker(PAIR), 7))["last"] > 0
    full = await venue.when(exchange.watch_ticker(PAIR, {"name": "ticker"}), 7)
    assert full["bid"] < full["ask"]
    aggregated = await venue.when(exchange.watch_trades(PAIR, params={"name": "aggTrade"}), 7)
    assert aggregated[-1]["price"] > 0
    book = await venue.when(exchange.watch_order_book(PAIR), 7)
    book = await venue.when(exchange.watch_order_book(PAIR), 7)
    shown = await exchange.fetch_order_book(PAIR)
    assert book["bids"][:5] == shown["bids"][:5]
    assert book["asks"][:5] == shown["asks"][:5]


async def test_market_order_from_submission_to_balance(venue) -> None:
    """The answer, the user stream, the order, the trades and the balance tell one story."""
    exchange = venue.client()
    await exchange.load_markets()
    assert (await exchange.fetch_balance())["USDT"]["free"] == 10_000
    watching = asyncio.ensure_future(exchange.watch_orders())
    balances = asyncio.ensure_future(exchange.watch_balance())
    await asyncio.sleep(0.3)
    made = await exchange.create_order(PAIR, "market", "buy", 0.01, None, {"clientOrderId": cl_ord_id("a")})
    assert (made["status"], made["filled"], made["clientOrderId"]) == ("closed", 0.01, cl_ord_id("a"))
    assert made["fees"] == [{"currency": "BTC", "cost": 0.00001}]
    told = (await asyncio.wait_for(watching, 5))[-1]
    assert (told["id"], told["status"], told["clientOrderId"]) == (made["id"], "closed", cl_ord_id("a"))
    assert (await asyncio.wait_for(balances, 5))["BTC"]["free"] == 0.00999
    fills = await exchange.fetch_my_trades(PAIR)
    assert [(fill["order"], fill["amount"], fill["takerOrMaker"]) for fill in fills] == [(made["id"], 0.01, "taker")]
    balance = await exchange.fetch_balance()
    assert balance["BTC"]["free"] == 0.00999
    assert balance["USDT"]["free"] == round(10_000 - 0.01 * made["average"], 8)
    found = await exchange.fetch_order(None, PAIR, {"origClientOrderId": cl_ord_id("a")})
    assert (found["id"], found["status"], found["average"]) == (made["id"], "closed", made["average"])


async def test_limit_and_stop_orders_rest_show_and_cancel(venue) -> None:
    """Open orders lock money, are found by client id, and give it back when cancelled."""
    exchange = venue.client()
    await exchange.load_markets()
    await exchange.create_order(PAIR, "market", "buy", 0.01, None, {"clientOrderId": cl_ord_id("a")})
    last = (await exchange.fetch_ticker(PAIR))["last"]
    below = float(exchange.price_to_precision(PAIR, last * 0.9))
    limit = await exchange.create_order(PAIR, "limit", "buy", 0.01, below, {"clientOrderId": cl_ord_id("b")})
    stop = await exchange.create_order(
        PAIR, "STOP_LOSS", "sell", 0.005, None, {"stopPrice": below, "clientOrderId": cl_ord_id("c")}
    )
    assert (limit["status"], stop["status"], stop["stopPrice"]) == ("open", "open", below)
    assert [order["clientOrderId"] for order in await exchange.fetch_open_orders(PAIR)] == [
        cl_ord_id("b"),
        cl_ord_id("c"),
    ]
    assert len(await exchange.fetch_orders(PAIR)) == 3
    balance = await exchange.fetch_balance()
    assert balance["BTC"]["used"] == 0.005
    assert balance["USDT"]["used"] == round(0.01 * below, 8)
    for letter in "bc":
        gone = await exchange.cancel_order(None, PAIR, {"clientOrderId": cl_ord_id(letter)})
        assert gone["status"] == "canceled"
    assert await exchange.fetch_open_orders(PAIR) == []
    assert (await exchange.fetch_balance())["USDT"]["used"] == 0
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.cancel_order(None, PAIR, {"clientOrderId": cl_ord_id("b")})


async def test_a_stop_fires_when_the_market_reaches_it(venue) -> None:
    """A resting stop is executed by the market alone, and the user stream says so."""
    exchange = venue.client()
    await exchange.load_markets()
    bought = await exchange.create_order(PAIR, "market", "buy", 0.01)
    quote = (await exchange.fetch_bids_asks([PAIR]))[PAIR]
    just_below = float(exchange.price_to_precision(PAIR, quote["bid"] - 1))
    watching = asyncio.ensure_future(exchange.watch_orders())
    await asyncio.sleep(0.3)
    stop = await exchange.create_order(PAIR, "STOP_LOSS", "sell", 0.009, None, {"stopPrice": just_below})
    told = await asyncio.wait_for(watching, 5)
    assert told[-1]["status"] == "open"
    final = await venue.when(_until_closed(exchange, stop["id"]), 20)
    assert final["filled"] == 0.009
    assert final["average"] <= just_below
    assert bought["id"] != stop["id"]


async def _until_closed(exchange: ccxt.pro.binance, order_id: str) -> dict:
    while True:
        for order in await exchange.watch_orders():
            if order["id"] == order_id and order["status"] == "closed":
                return order


async def test_orders_over_the_websocket_api(venue) -> None:
    """Place, look up and cancel over one socket."""
    exchange = venue.client()
    await exchange.load_markets()
    last = (await exchange.fetch_ticker(PAIR))["last"]
    price = float(exchange.price_to_precision(PAIR, last * 0.9))
    made = await exchange.create_order_ws(PAIR, "limit", "buy", 0.01, price, {"clientOrderId": cl_ord_id("d")})
    assert (made["status"], made["clientOrderId"]) == ("open", cl_ord_id("d"))
    assert (await exchange.fetch_order_ws(made["id"], PAIR))["status"] == "open"
    assert (await exchange.cancel_order_ws(made["id"], PAIR))["status"] == "canceled"
    with pytest.raises(ccxt.InsufficientFunds):
        await exchange.create_order_ws(PAIR, "market", "buy", 100)
    with pytest.raises(ccxt.AuthenticationError):
        await venue.client(secret="wrong").create_order_ws(PAIR, "market", "buy", 0.01)


async def test_refusals_become_ccxts_errors(venue) -> None:
    """Every refusal that the executor must tell apart has its own class and code."""
    exchange = venue.client()
    await exchange.load_markets()
    open_id = {"clientOrderId": cl_ord_id("e")}
    await exchange.create_order(PAIR, "limit", "buy", 0.01, 1000.0, open_id)
    with pytest.raises(ccxt.InvalidOrder, match=r"-2010.*Duplicate order sent"):
        await exchange.create_order(PAIR, "limit", "buy", 0.01, 1000.0, open_id)
    with pytest.raises(ccxt.InsufficientFunds, match="insufficient balance"):
        await exchange.create_order(PAIR, "market", "buy", 10)
    with pytest.raises(ccxt.BadRequest, match=r"-1013.*NOTIONAL"):
        await exchange.create_order(PAIR, "market", "buy", 0.00001)
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="trigger immediately"):
        await exchange.create_order(PAIR, "STOP_LOSS", "sell", 0.01, None, {"stopPrice": 1_000_000.0})
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        await exchange.fetch_order(None, PAIR, {"origClientOrderId": cl_ord_id("z")})
    account = await venue.get("/sim/account")
    assert account["seen_cl_ord_ids"] == {cl_ord_id("e"): 1}
    await exchange.cancel_order(None, PAIR, {"clientOrderId": cl_ord_id("e")})
    await exchange.create_order(PAIR, "limit", "buy", 0.01, 1000.0, open_id)
    assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {cl_ord_id("e"): 2}


async def test_wrong_keys_signatures_and_clocks_are_refused(venue) -> None:
    """The venue believes only its own clock and its own key."""
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        await venue.client(secret="wrong").fetch_balance()
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        await venue.client(key="nobody").fetch_balance()
    late = venue.client()
    late.nonce = lambda: venue.now // 1_000_000 - 6_000
    with pytest.raises(ccxt.InvalidNonce, match=r"-1021.*outside of the recvWindow"):
        await late.fetch_balance()
    early = venue.client()
    early.nonce = lambda: venue.now // 1_000_000 + 1_000
    with pytest.raises(ccxt.InvalidNonce, match=r"-1021.*1000ms ahead"):
        await early.fetch_balance()
    with pytest.raises(ccxt.BadRequest, match="-1131"):
        await venue.client().fetch_balance({"recvWindow": 60_001})


FAULTS = [
    ("http_503", ccxt.ExchangeNotAvailable, False),
    ("reject", ccxt.InsufficientFunds, False),
    ("reset_before_accept", ccxt.NetworkError, False),
    ("reset_after_accept", ccxt.NetworkError, True),
    ("timeout_after_accept", ccxt.RequestTimeout, True),
]


@pytest.mark.parametrize(("kind", "error", "is_there"), FAULTS)
async def test_each_fault_strikes_once(venue, kind, error, is_there) -> None:
    """What the client sees does not tell it whether the order exists; the venue knows, and the next order is well."""
    exchange = venue.client(timeout=400)
    await exchange.load_markets()
    answer = await venue.post("/sim/faults", {"on": "order", "kind": kind, "times": 1})
    assert answer["pending"] == [kind]
    with pytest.raises(error):
        await exchange.create_order(PAIR, "market", "buy", 0.001, None, {"clientOrderId": cl_ord_id("f")})
    seen = (await venue.get("/sim/account"))["seen_cl_ord_ids"]
    assert seen == ({cl_ord_id("f"): 1} if is_there else {})
    assert (await venue.get("/sim/faults")) == {"pending": [], "active": []}
    exchange.timeout = 10_000
    made = await exchange.create_order(PAIR, "market", "buy", 0.001, None, {"clientOrderId": cl_ord_id("9")})
    assert made["status"] == "closed"
