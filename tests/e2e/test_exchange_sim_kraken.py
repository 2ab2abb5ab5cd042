"""Unmodified ccxt.pro.kraken finds in exchange_sim the public Kraken it knows."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ccxt.pro
import pytest

from libs.common.timeframe import MILLISECOND, SECOND
from libs.trading.public_ccxt import kraken_config
from tests.e2e.feed_bench import settled
from tests.e2e.streamed_bars import bars_of, hear_minutes
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR, OTHER = "BTC/USDT", "ETH/USDT"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still unless a test moves it."""
    async with open_venue(tmp_path / "home") as stand:
        yield stand


def client(venue: VenueStand, **more: Any) -> ccxt.pro.kraken:
    made = ccxt.pro.kraken({**kraken_config(venue.url), "enableRateLimit": False, **more})
    venue.clients.append(made)
    return made


async def frame(socket: aiohttp.ClientWebSocketResponse, *, of: str = "") -> dict[str, Any]:
    """The next frame, or the next one of the method or channel `of`; heartbeats only when asked for."""
    while True:
        told = json.loads(await socket.receive_str(timeout=5))
        kind = told.get("method") or told.get("channel")
        if kind == of or (not of and kind != "heartbeat"):
            return told


async def test_rules_and_time(venue) -> None:
    """Markets carry Kraken's ticks, fees and names; time is the venue's, in whole seconds."""
    exchange = client(venue)
    await exchange.load_markets()
    assert sorted(exchange.symbols) == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    market = exchange.market(PAIR)
    assert (market["id"], market["wsId"], market["baseId"]) == ("XBTUSDT", "XBT/USDT", "BTC")
    assert market["precision"] == {"price": 0.1, "amount": 1e-8}
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (0.00005, 0.5)
    assert (market["taker"], market["active"]) == (0.0026, True)
    assert exchange.market(OTHER)["precision"]["price"] == 0.01
    await venue.advance(1.7)
    assert await exchange.fetch_time() == venue.now // SECOND * 1000
    assert (await exchange.fetch_status())["status"] == "ok"


async def test_streamed_trades_make_the_bars(venue) -> None:
    """Trades with consecutive ids make, minute by minute, exactly the bars of REST; the quarter of an hour fits too."""
    exchange = client(venue)
    await exchange.load_markets()
    opens, trades = await hear_minutes(venue, exchange, PAIR, 15)
    ids = [int(trade["id"]) for trade in trades]
    assert ids == list(range(ids[0], ids[0] + 15 * 12))
    made = bars_of(trades, opens, 15)
    assert await exchange.fetch_ohlcv(PAIR, "1m", since=opens, limit=15) == made
    quarter = [made[0][1], max(bar[2] for bar in made), min(bar[3] for bar in made), made[-1][4]]
    assert (await exchange.fetch_ohlcv(PAIR, "15m", since=opens, limit=1))[0][1:5] == quarter
    here = await venue.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=opens, limit=15)
    assert [bar[4] for bar in made] == [round(float(row[4]) * 1.0004, 1) for row in here]


async def test_old_bars_are_not_to_be_had(venue) -> None:
    """REST knows 720 bars, whatever `since` says, and always ends with the one in progress; weeks are refused."""
    exchange = client(venue)
    await venue.advance(90)
    for interval in (1, 15, 60, 240, 1440):
        answer = await exchange.public_get_ohlc({"pair": "XBTUSDT", "interval": interval, "since": 0})
        rows, step = answer["result"]["XBTUSDT"], 60 * interval
        assert len(rows) == 720
        assert {later[0] - earlier[0] for earlier, later in itertools.pairwise(rows)} == {step}
        assert rows[-1][0] == venue.now // SECOND // step * step
        assert answer["result"]["last"] == rows[-2][0]
        newest = await exchange.public_get_ohlc({"pair": "XBTUSDT", "interval": interval, "since": rows[-3][0]})
        assert newest["result"]["XBTUSDT"] == rows[-2:]
    with pytest.raises(ccxt.ExchangeError, match="EGeneral:Invalid arguments:interval"):
        await exchange.public_get_ohlc({"pair": "XBTUSDT", "interval": 10080})


async def test_trades_by_rest_go_on_where_the_last_answer_ended(venue) -> None:
    """`last` of one answer as `since` of the next gives every trade once; ids say so."""
    exchange = client(venue)
    await venue.advance(120)
    since = venue.now - 600 * SECOND
    ids: list[int] = []
    for _ in range(20):
        answer = (await exchange.public_get_trades({"pair": "XBTUSDT", "since": since, "count": 10}))["result"]
        ids += [row[6] for row in answer["XBTUSDT"]]
        since = answer["last"]
    assert ids == list(range(ids[0], ids[0] + 120))
    newest = (await exchange.public_get_trades({"pair": "XBTUSDT"}))["result"]["XBTUSDT"]
    assert (len(newest), newest[-1][6]) == (1000, ids[-1])


async def test_whoever_subscribes_hears_fifty_old_trades_first(venue) -> None:
    """The snapshot arrives as if it were new, and again after each reconnect."""
    exchange = client(venue)
    await venue.advance(90)
    told = await asyncio.wait_for(exchange.watch_trades(PAIR), 5)
    newest = (await exchange.public_get_trades({"pair": "XBTUSDT"}))["result"]["XBTUSDT"][-50:]
    assert [trade["id"] for trade in told] == [str(row[6]) for row in newest]
    watching = asyncio.ensure_future(exchange.watch_trades(PAIR))
    await asyncio.sleep(0.05)
    for socket in [each for each in venue.server.hub.sockets if each.venue == "kraken"]:
        await socket.close()
    with pytest.raises(ccxt.NetworkError):
        await asyncio.wait_for(watching, 5)
    again = await asyncio.wait_for(exchange.watch_trades(PAIR), 5)
    assert [trade["id"] for trade in again] == [trade["id"] for trade in told]


async def test_a_recording_begins_without_trades_and_quotes(tmp_path) -> None:
    """Nothing is told of a pair before there is something: ccxt's reader would die of an empty snapshot."""
    at_ms = 1_723_161_255_000
    lines = [
        f'{(at_ms + n) * MILLISECOND} {{"stream":"btcusdt@{channel}","data":{json.dumps(data)}}}'
        for n, channel, data in (
            (0, "depth@100ms", {"e": "depthUpdate", "E": at_ms, "U": 1, "u": 1, "b": [], "a": []}),
            (5000, "bookTicker", {"u": 2, "s": "BTCUSDT", "b": "60000.00", "B": "1", "a": "60000.01", "A": "2"}),
            (6000, "trade", {"E": at_ms + 6000, "t": 7, "p": "60000.01", "q": "0.5", "T": at_ms + 6000, "m": False}),
        )
    ]
    (tmp_path / "btcusdt_20240808.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    async with open_venue(tmp_path / "home", sim_data=tmp_path) as venue:
        exchange = client(venue)
        watching = asyncio.ensure_future(exchange.watch_trades(PAIR))
        quotes = asyncio.ensure_future(exchange.watch_bids_asks([PAIR]))
        trade = (await venue.when(watching))[0]
        assert (trade["id"], trade["price"], trade["timestamp"]) == ("50000007", 60024.0, at_ms + 6000)
        quote = (await venue.when(quotes))[PAIR]
        assert quote["bid"] < quote["ask"]


async def test_quotes_of_several_pairs_in_one_subscription(venue) -> None:
    """One call subscribes to all; each return tells of one pair, without a time; REST agrees with the last word."""
    exchange = client(venue)
    told: dict[str, dict] = {}

    async def listen() -> None:
        while True:
            told.update(await exchange.watch_bids_asks([PAIR, OTHER]))

    listener = asyncio.create_task(listen())
    for _ in range(60):
        await asyncio.sleep(0.01)
        await venue.advance(1)
    await asyncio.sleep(0.05)
    listener.cancel()
    assert set(told) == {PAIR, OTHER}
    assert all(quote["bid"] < quote["ask"] and quote["timestamp"] is None for quote in told.values())
    rest = (await exchange.public_get_ticker({"pair": "XBTUSDT,ETHUSDT"}))["result"]
    for symbol, pair in ((PAIR, "XBTUSDT"), (OTHER, "ETHUSDT")):
        assert (float(rest[pair]["b"][0]), float(rest[pair]["a"][0])) == (told[symbol]["bid"], told[symbol]["ask"])
    tickers = await exchange.fetch_tickers()
    assert len(tickers) == 3
    assert all(ticker["low"] <= ticker["vwap"] <= ticker["high"] for ticker in tickers.values())


async def test_unknown_pairs_are_refused(venue) -> None:
    """In Kraken's words by REST; on the socket in a frame that the caller of a watch never gets to see."""
    exchange = client(venue)
    with pytest.raises(ccxt.ExchangeError, match="EQuery:Unknown asset pair"):
        await exchange.public_get_ohlc({"pair": "FOOUSDT"})
    with pytest.raises(ccxt.ExchangeError, match="EGeneral:Unknown method"):
        await exchange.public_get_depth({"pair": "XBTUSDT"})
    with pytest.raises(ccxt.BadSymbol):
        await exchange.watch_trades("FOO/USDT")
    unlisted = {**exchange.market(PAIR), "symbol": "FOO/USDT", "base": "FOO", "id": "FOOUSDT"}
    exchange.set_markets([*exchange.markets.values(), unlisted])
    watching = asyncio.ensure_future(exchange.watch_trades("FOO/USDT"))
    await settled(lambda: any(each.rejections for each in exchange.clients.values()), "the refusal")
    assert not watching.done()
    watching.cancel()


async def test_the_words_of_the_socket(venue) -> None:
    """Status first; acknowledgement, snapshot and then updates of each pair; refusals name the pair; pings are answered."""
    async with venue.http.ws_connect("/kraken/v2") as socket:
        assert (await frame(socket))["data"][0]["system"] == "online"
        wanted = {"channel": "trade", "symbol": ["BTC/USDT", "XBT/USDT"]}
        await socket.send_json({"method": "subscribe", "params": wanted, "req_id": 5})
        said = await frame(socket)
        assert (said["success"], said["req_id"], said["result"]["symbol"]) == (True, 5, "BTC/USDT")
        snapshot = await frame(socket)
        assert (snapshot["type"], len(snapshot["data"])) == ("snapshot", 50)
        said = await frame(socket)
        assert (said["success"], said["symbol"]) == (False, "XBT/USDT")
        assert said["error"] == "Currency pair not supported XBT/USDT"
        await socket.send_json({"method": "ping", "req_id": 6})
        assert (await frame(socket))["req_id"] == 6
        await venue.advance(30)
        trades = [(await frame(socket, of="trade"))["data"][0]["trade_id"] for _ in range(5)]
        assert trades == list(range(snapshot["data"][-1]["trade_id"] + 1, trades[-1] + 1))
        await socket.send_json({"method": "unsubscribe", "params": {**wanted, "symbol": ["BTC/USDT"]}})
        assert (await frame(socket, of="unsubscribe"))["success"]
        await venue.advance(30)
        await socket.send_json({"method": "ping"})
        assert (await frame(socket))["method"] == "pong"
        assert await frame(socket, of="heartbeat") == {"channel": "heartbeat"}


async def test_best_prices_are_told_only_when_they_move(venue) -> None:
    """With the trigger "bbo" no two frames in a row show the same prices; with "trades" there is one for each trade."""
    async with venue.http.ws_connect("/kraken/v2") as socket:
        for trigger in ("bbo", "trades"):
            wanted = {"channel": "ticker", "symbol": ["BTC/USDT"], "event_trigger": trigger}
            await socket.send_json({"method": "subscribe", "params": wanted})
            assert (await frame(socket, of="subscribe"))["result"]["event_trigger"] == trigger
            await venue.advance(60)
            await socket.send_json({"method": "ping"})
            prices = []
            while "channel" in (told := await frame(socket)):
                if told["type"] == "update":
                    prices.append((told["data"][0]["bid"], told["data"][0]["ask"]))
            await socket.send_json({"method": "unsubscribe", "params": wanted})
            if trigger == "bbo":
                assert 0 < len(prices) < 24
                assert all(before != after for before, after in itertools.pairwise(prices))
            else:
                assert len(prices) == 12


async def test_pings_keep_the_connection(venue) -> None:
    """ccxt's pings are answered, so a quiet market is not taken for a dead connection."""
    exchange = client(venue, streaming={"keepAlive": 50})
    await asyncio.wait_for(exchange.watch_trades(PAIR), 5)
    watching = asyncio.ensure_future(exchange.watch_trades(PAIR))
    connection = next(iter(exchange.clients.values()))
    first = exchange.milliseconds()
    await settled(lambda: (connection.lastPong or 0) > first + 500, "pongs for ten intervals")
    assert not watching.done()
    assert exchange.milliseconds() - connection.last_message_at < 500
    watching.cancel()
