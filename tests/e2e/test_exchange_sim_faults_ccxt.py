"""What unmodified ccxt makes of each fault: the failures that our own feed must survive, some of which ccxt never tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest

from tests.e2e.fault_bench import SILENCE_S, heal, script, trades, until
from tests.e2e.venue_stand import VenueStand, open_venue

PAIR = "BTC/USDT"
KEEP_ALIVE_MS = 200


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    async with open_venue(tmp_path / "home") as stand:
        yield stand


async def watching(venue: VenueStand, **more: Any) -> tuple[ccxt.pro.binance, asyncio.Future[list[dict]]]:
    """A client that has heard its first trade and waits for the next."""
    exchange = venue.client(**more)
    await exchange.load_markets()
    await venue.when(exchange.watch_trades(PAIR))
    return exchange, asyncio.ensure_future(exchange.watch_trades(PAIR))


def is_connected(venue: VenueStand) -> bool:
    return any("btcusdt@trade" in socket.streams for socket in venue.server.hub.sockets)


async def test_a_silent_stream_hangs(venue) -> None:
    """Pongs are fine, so ccxt waits for ever: only an age limit of our own can tell."""
    exchange, next_trades = await watching(venue, streaming={"keepAlive": KEEP_ALIVE_MS})
    await script(venue, "freeze")
    await trades(venue, 5)
    await asyncio.sleep(6 * KEEP_ALIVE_MS / 1000)
    assert not next_trades.done()
    (client,) = [each for each in exchange.clients.values() if "/stream" in each.url]
    assert exchange.milliseconds() - client.lastPong < 4 * KEEP_ALIVE_MS
    await heal(venue)
    last = await trades(venue, 1)
    assert int((await asyncio.wait_for(next_trades, 5))[-1]["id"]) == last


async def test_a_black_hole_is_noticed_by_the_missing_pongs(venue) -> None:
    """After about three times the keep-alive; the next call connects again, and what was missed stays missed."""
    exchange, next_trades = await watching(venue, streaming={"keepAlive": KEEP_ALIVE_MS})
    await script(venue, "black_hole")
    with pytest.raises(ccxt.RequestTimeout):
        await asyncio.wait_for(next_trades, 10)
    missed = await trades(venue, 3)
    heard = await venue.when(exchange.watch_trades(PAIR))
    assert int(heard[-1]["id"]) > missed


@pytest.mark.parametrize("bad", [{"text": '{"e":"trade","s":"BTCU'}, {"text": "[]"}, {"base64": "H4v/AAE="}])
async def test_nonsense_kills_the_receive_loop_and_nobody_is_told(venue, bad) -> None:
    """The exception reaches the event loop's handler only; whoever waits for trades waits in vain."""
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    _, next_trades = await watching(venue)
    await script(venue, "inject", **bad)
    await until(lambda: seen)
    await trades(venue, 3)
    await asyncio.sleep(SILENCE_S)
    assert not next_trades.done()
    assert "receive_loop" in seen[0]["message"]
    next_trades.cancel()


@pytest.mark.parametrize("text", ["null", "17", "maintenance", '{"e":"trade","s":"NOPEUSDT","t":1,"p":"1","q":"1"}'])
async def test_other_nonsense_is_ignored(venue, text) -> None:
    """Numbers, words and unknown symbols pass by."""
    _, next_trades = await watching(venue)
    await script(venue, "inject", text=text)
    last = await trades(venue, 1)
    assert int((await asyncio.wait_for(next_trades, 5))[-1]["id"]) == last


@pytest.mark.parametrize(("kind", "more"), [("reset", {}), ("close", {"code": 1008})])
async def test_a_lost_connection_is_told_to_who_waits(venue, kind, more) -> None:
    """The next call connects again; the trades between are lost without a word."""
    exchange, next_trades = await watching(venue)
    await script(venue, kind, **more)
    with pytest.raises(ccxt.NetworkError, match=r"1006|1008"):
        await asyncio.wait_for(next_trades, 5)
    await until(lambda: not is_connected(venue))
    missed = await trades(venue, 3)
    assert int((await venue.when(exchange.watch_trades(PAIR)))[0]["id"]) > missed


async def test_a_gap_in_the_depth_is_noticed_and_healed(venue) -> None:
    """The update ids do not follow each other: an error, and with the next call a fresh snapshot."""
    exchange = venue.client()
    await exchange.load_markets()
    await venue.when(exchange.watch_order_book(PAIR))
    await script(venue, "drop", stream="@depth")
    with pytest.raises(ccxt.ChecksumError):
        await venue.when(_books_without_end(exchange))
    book = await venue.when(exchange.watch_order_book(PAIR))
    assert book["bids"][0][0] < book["asks"][0][0]


async def _books_without_end(exchange: ccxt.pro.binance) -> None:
    while True:
        await exchange.watch_order_book(PAIR)


async def test_prices_that_cannot_be_are_delivered(venue) -> None:
    """ccxt judges nothing: a tenfold price, a crossed book and a time in the future all arrive."""
    exchange, next_trades = await watching(venue)
    await script(venue, "mangle", field="p", factor=10)
    await script(venue, "mangle", field="T", offset=3_600_000)
    true = (await venue.get("/sim/state"))["instruments"]["BTC-USDT"]
    await trades(venue, 1)
    (trade,) = (await asyncio.wait_for(next_trades, 5))[-1:]
    assert trade["price"] > 9 * true["last_px"]
    assert trade["timestamp"] > venue.now // 1_000_000 + 3_000_000
    await script(venue, "mangle", stream="bookTicker", field="b", factor=2, seconds=60)
    quote = (await venue.when(exchange.watch_bids_asks([PAIR])))[PAIR]
    assert quote["bid"] > quote["ask"]


async def test_a_repeated_trade_is_delivered_twice(venue) -> None:
    """Ids have to be compared by whoever counts."""
    exchange, next_trades = await watching(venue)
    await script(venue, "duplicate")
    last = await trades(venue, 1)
    await asyncio.wait_for(next_trades, 5)
    await until(lambda: len(exchange.trades[PAIR]) > 2)
    assert [int(each["id"]) for each in exchange.trades[PAIR]][-2:] == [last, last]


async def test_a_refused_subscription_is_an_error_once(venue) -> None:
    """ccxt remembers it as made: it never asks again, and the next call waits for ever unless the connection is ended."""
    exchange = venue.client()
    await exchange.load_markets()
    await script(venue, "refuse_subscribe")
    with pytest.raises(ccxt.ExchangeError, match="refused"):
        await asyncio.wait_for(exchange.watch_trades(PAIR), 5)
    again = asyncio.ensure_future(exchange.watch_trades(PAIR))
    await trades(venue, 3)
    await asyncio.sleep(SILENCE_S)
    assert not again.done()
    assert not is_connected(venue)
    await script(venue, "reset")
    with pytest.raises(ccxt.NetworkError):
        await asyncio.wait_for(again, 5)
    assert await venue.when(exchange.watch_trades(PAIR))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "code": 429, "retry_after": 3}, ccxt.DDoSProtection),
        ({"kind": "status", "code": 418}, ccxt.DDoSProtection),
        ({"kind": "status", "code": 403}, ccxt.ExchangeNotAvailable),
        ({"kind": "status", "code": 503}, ccxt.ExchangeNotAvailable),
        ({"kind": "status", "code": 504}, ccxt.RequestTimeout),
        ({"kind": "status", "code": 400, "body": '{"code":-1001,"msg":"x"}'}, ccxt.OperationFailed),
        ({"kind": "reset", "times": 2}, ccxt.ExchangeNotAvailable),
        ({"kind": "hang"}, ccxt.RequestTimeout),
    ],
)
async def test_requests_fail_with_the_class_that_tells_what_to_do(venue, fault, error) -> None:
    """And the next one is well."""
    exchange = venue.client(timeout=400)
    await exchange.load_markets()
    await script(venue, on="rest", path="/api/v3/klines", **fault)
    with pytest.raises(error):
        await exchange.fetch_ohlcv(PAIR, "1m", limit=5)
    if "retry_after" in fault:
        assert exchange.last_response_headers["Retry-After"] == "3"
    assert len(await exchange.fetch_ohlcv(PAIR, "1m", limit=5)) == 5


@pytest.mark.parametrize("kind", ["truncated", "html", "empty", "empty_object"])
async def test_a_spoilt_answer_is_no_error_to_ccxt(venue, kind) -> None:
    """A ticker of nothing: every field has to be looked at before it is believed."""
    exchange = venue.client()
    await exchange.load_markets()
    await script(venue, kind, "rest", path="/api/v3/ticker/24hr")
    spoilt = await exchange.fetch_ticker(PAIR)
    assert (spoilt["last"], spoilt["bid"], spoilt["timestamp"]) == (None, None, None)
    assert (await exchange.fetch_ticker(PAIR))["last"] > 0


async def test_a_venue_that_is_away_comes_back(venue) -> None:
    """Streams and requests fail while it lasts; afterwards the same client goes on."""
    exchange, next_trades = await watching(venue)
    await script(venue, "down", "venue", seconds=1.5)
    with pytest.raises(ccxt.NetworkError):
        await asyncio.wait_for(next_trades, 5)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await exchange.fetch_time()
    await until(lambda: not venue.server.faults.shown()["active"])
    assert await exchange.fetch_time() == venue.now // 1_000_000
    assert await venue.when(exchange.watch_trades(PAIR))
