"""Unmodified ccxt.pro.kucoin finds in exchange_sim the public KuCoin it knows."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ccxt.pro
import pytest

from libs.common.timeframe import MILLISECOND, SECOND
from libs.trading.public_ccxt import kucoin_config
from services.exchange_sim import kucoin_rest
from tests.e2e.feed_bench import settled
from tests.e2e.streamed_bars import bars_of, hear_minutes
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR, OTHER = "BTC/USDT", "ETH/USDT"
SECONDS_OF_TYPE = {"1min": 60, "15min": 900, "1hour": 3600, "4hour": 14_400, "1day": 86_400}


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still unless a test moves it."""
    async with open_venue(tmp_path / "home") as stand:
        yield stand


def client(venue: VenueStand, **more: Any) -> ccxt.pro.kucoin:
    made = ccxt.pro.kucoin({**kucoin_config(venue.url), "enableRateLimit": False, **more})
    venue.clients.append(made)
    return made


async def connected(venue: VenueStand) -> aiohttp.ClientWebSocketResponse:
    """A connection made by hand, at the address the venue names, greeted."""
    bullet = (await venue.post("/kucoin/api/v1/bullet-public", {}))["data"]
    address = f"{bullet['instanceServers'][0]['endpoint']}?token={bullet['token']}&connectId=mine"
    socket = await venue.http.ws_connect(address)
    assert await frame(socket) == {"id": "mine", "type": "welcome"}
    return socket


async def frame(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    return json.loads(await socket.receive_str(timeout=5))


async def test_rules_and_time(venue) -> None:
    """Markets carry KuCoin's steps, fees and names; time is the venue's."""
    exchange = client(venue)
    await exchange.load_markets()
    assert sorted(exchange.symbols) == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    market = exchange.market(PAIR)
    assert market["id"] == "BTC-USDT"
    assert market["precision"] == {"price": 0.1, "amount": 1e-8}
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (0.00001, 0.1)
    assert (market["taker"], market["active"]) == (0.001, True)
    assert exchange.market("SOL/USDT")["precision"] == {"price": 0.001, "amount": 0.0001}
    await venue.advance(1.7)
    assert await exchange.fetch_time() == venue.now // MILLISECOND
    assert (await exchange.fetch_status())["status"] == "ok"


async def test_streamed_trades_make_the_bars(venue) -> None:
    """Trades whose ids rise with gaps make, minute by minute, exactly the bars of REST; the quarter of an hour fits too."""
    exchange = client(venue)
    await exchange.load_markets()
    opens, trades = await hear_minutes(venue, exchange, PAIR, 15)
    ids = [int(trade["id"]) for trade in trades]
    assert len(ids) == 15 * 12
    assert all(after - before > 1 for before, after in itertools.pairwise(ids))
    assert ids == [int(trade["info"]["sequence"]) for trade in trades]
    made = bars_of(trades, opens, 15)
    assert await exchange.fetch_ohlcv(PAIR, "1m", since=opens, limit=15) == made
    quarter = [made[0][1], max(bar[2] for bar in made), min(bar[3] for bar in made), made[-1][4]]
    assert (await exchange.fetch_ohlcv(PAIR, "15m", since=opens, limit=1))[0][1:5] == quarter
    here = await venue.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=opens, limit=15)
    assert [bar[4] for bar in made] == [round(float(row[4]) * 0.9998, 1) for row in here]


@pytest.mark.parametrize("kind", SECONDS_OF_TYPE)
async def test_candles_of_a_span(venue, kind) -> None:
    """From `startAt` to before `endAt`, newest first, at most 1500; 100 when no span is given."""
    exchange = client(venue)
    await venue.advance(90)
    step = SECONDS_OF_TYPE[kind]
    opens = venue.now // SECOND // step * step
    ask = {"symbol": "BTC-USDT", "type": kind}

    async def times(**span: int) -> list[int]:
        answer = await exchange.public_get_market_candles({**ask, **span})
        return [int(row[0]) for row in answer["data"]]

    assert await times(startAt=opens - 3 * step, endAt=opens) == [opens - n * step for n in (1, 2, 3)]
    assert await times(startAt=opens - step + 1, endAt=opens + 1) == [opens]
    assert await times(startAt=opens, endAt=opens + 100 * step) == [opens]
    assert await times() == [opens - n * step for n in range(100)]
    assert len(await times(startAt=opens - 2000 * step, endAt=opens + 1)) == 1500
    assert await times(startAt=opens + step, endAt=opens + 9 * step) == []


async def test_the_last_hundred_trades_by_rest(venue) -> None:
    """There is no way to ask for older ones; sequences tell which of them were heard on the socket."""
    exchange = client(venue)
    await exchange.load_markets()
    _, trades = await hear_minutes(venue, exchange, PAIR, 3)
    rows = (await exchange.public_get_market_histories({"symbol": "BTC-USDT"}))["data"]
    assert len(rows) == 100
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    known = {row["sequence"]: (float(row["price"]), float(row["size"])) for row in rows}
    assert all(known[trade["id"]] == (trade["price"], trade["amount"]) for trade in trades)


async def test_quotes_of_several_pairs_in_one_subscription(venue) -> None:
    """One call subscribes to all, nothing is told before something happens, each return tells of one pair."""
    exchange = client(venue)
    told: dict[str, dict] = {}

    async def listen() -> None:
        while True:
            told.update(await exchange.watch_bids_asks([PAIR, OTHER]))

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0.2)
    assert told == {}
    for _ in range(60):
        await asyncio.sleep(0.01)
        await venue.advance(1)
    await asyncio.sleep(0.05)
    listener.cancel()
    assert set(told) == {PAIR, OTHER}
    assert all(quote["bid"] < quote["ask"] for quote in told.values())
    assert all(venue.now - 5 * SECOND < quote["timestamp"] * MILLISECOND <= venue.now for quote in told.values())
    rest = {row["symbol"]: row for row in (await exchange.public_get_market_alltickers())["data"]["ticker"]}
    for symbol, quote in told.items():
        row = rest[symbol.replace("/", "-")]
        assert (float(row["buy"]), float(row["sell"])) == (quote["bid"], quote["ask"])
    level1 = (await exchange.public_get_market_orderbook_level1({"symbol": "BTC-USDT"}))["data"]
    assert (float(level1["bestBid"]), float(level1["bestAsk"])) == (told[PAIR]["bid"], told[PAIR]["ask"])
    tickers = await venue.when(exchange.watch_tickers([PAIR, OTHER]))
    assert all(ticker["bid"] < ticker["ask"] for ticker in tickers.values())
    assert (await exchange.fetch_ticker(PAIR))["last"] > 0


async def test_unknown_pairs_are_refused(venue) -> None:
    """In KuCoin's words, by REST and on the socket."""
    exchange = client(venue)
    with pytest.raises(ccxt.BadRequest, match="This pair is not provided at present"):
        await exchange.public_get_market_candles({"symbol": "FOO-USDT", "type": "1min"})
    with pytest.raises(ccxt.BadRequest, match="Incorrect candlestick type"):
        await exchange.public_get_market_candles({"symbol": "BTC-USDT", "type": "2min"})
    with pytest.raises(ccxt.NotSupported, match="Not Found"):
        await exchange.public_get_market_orderbook_level2_20({"symbol": "BTC-USDT"})
    with pytest.raises(ccxt.BadSymbol):
        await exchange.watch_trades("FOO/USDT")
    socket = await connected(venue)
    await socket.send_json({"id": "7", "type": "subscribe", "topic": "/market/match:FOO-USDT", "response": True})
    refused = {"id": "7", "type": "error", "code": 404, "data": "topic /market/match:FOO-USDT is not found"}
    assert await frame(socket) == refused
    await socket.close()


async def test_the_words_of_the_socket(venue) -> None:
    """Acknowledgements only for who wants them; each pair of a topic speaks in its own; silence after unsubscribing."""
    socket = await connected(venue)
    topic = "/market/match:BTC-USDT,ETH-USDT"
    await socket.send_json({"id": "1", "type": "subscribe", "topic": topic, "response": True})
    assert await frame(socket) == {"id": "1", "type": "ack"}
    await venue.advance(60)
    heard = [await frame(socket) for _ in range(24)]
    topics = {each["topic"] for each in heard}
    assert topics == {"/market/match:BTC-USDT", "/market/match:ETH-USDT"}
    assert all(each["subject"] == "trade.l3match" for each in heard)
    await socket.send_json({"id": "2", "type": "unsubscribe", "topic": topic})
    await socket.send_json({"id": "3", "type": "ping"})
    assert (await frame(socket))["type"] == "pong"
    await venue.advance(60)
    await socket.send_json({"id": "4", "type": "ping"})
    assert (await frame(socket))["id"] == "4"
    await socket.close()


async def test_a_token_of_somebody_else_is_refused(venue) -> None:
    """Who does not bring the token of bullet-public is told so and let go."""
    async with venue.http.ws_connect("/kucoin/endpoint?token=made-up&connectId=mine") as socket:
        assert (await frame(socket))["code"] == 401
        assert (await socket.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_the_server_says_how_often_to_ping(venue, monkeypatch) -> None:
    """The interval of bullet-public replaces the configured one; pings are answered, a quiet market is no dead one."""
    monkeypatch.setattr(kucoin_rest, "PING_INTERVAL_MS", 50)
    exchange = client(venue)
    assert exchange.streaming["keepAlive"] == 10_000
    watching = asyncio.ensure_future(exchange.watch_trades(PAIR))
    await settled(lambda: bool(exchange.clients), "a connection")
    connection = next(iter(exchange.clients.values()))
    assert connection.keepAlive == 50
    first = exchange.milliseconds()
    await settled(lambda: (connection.lastPong or 0) > first + 500, "pongs for ten intervals")
    assert not watching.done()
    watching.cancel()
