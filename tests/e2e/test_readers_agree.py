"""Readers of the same frames tell the same events: each is held against json and float, on real sockets."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import structlog

from libs.common.messages import TradePrinted
from services.market_feed.adapters.binance_frames import OLD_QUOTES_MAX
from services.market_feed.adapters.binance_reader import BinanceReader
from services.market_feed.adapters.ccxt_reader import CcxtReader
from services.market_feed.adapters.reader import Now, Sink, SocketReader
from tests.e2e.feed_bench import settled
from tests.e2e.market_frames import BTC, INSTRUMENTS, NOW, STREAMS, VENUE, Bad, Heard, bad_frames, quote, told, trade
from tests.e2e.raw_venue import RawVenue, framed
from tests.e2e.venue_stand import VenueStand, market_client, open_venue

DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[3] / "shared" / "data")) / "binance_spot_raw"


@dataclass(frozen=True)
class Kind:
    """A reader under test: how it is made, and what it cannot do."""

    name: str
    make: Callable[[str, Sink, Now], SocketReader]
    gives_reasons: bool = True

    def __str__(self) -> str:
        return self.name


def _native(url: str, sink: Sink, now: Now) -> SocketReader:
    return BinanceReader(url, VENUE, INSTRUMENTS, sink, now, structlog.get_logger("reader"))


def _ccxt(url: str, sink: Sink, now: Now) -> SocketReader:
    exchange = market_client(url, INSTRUMENTS)
    return CcxtReader(exchange, VENUE, INSTRUMENTS, sink, now, structlog.get_logger("reader"))


KINDS = [Kind("native", _native), Kind("ccxt", _ccxt, gives_reasons=False)]


@asynccontextmanager
async def reading(kind: Kind, url: str) -> AsyncIterator[tuple[SocketReader, Heard]]:
    """A reader that is up on every link, closed at the end."""
    heard = Heard()
    reader = kind.make(url, heard, lambda: NOW)
    running = asyncio.create_task(reader.run())
    try:
        await settled(lambda: all(link.is_up for link in reader.links), "every link up")
        yield reader, heard
    finally:
        await reader.close()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def overhearing(url: str) -> AsyncIterator[list[str]]:
    """The raw frames of all streams, by another WebSocket library."""
    texts: list[str] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws") as ws:
        await ws.send_json({"method": "SUBSCRIBE", "params": STREAMS, "id": 1})
        assert (await ws.receive_json()) == {"result": None, "id": 1}

        async def listen() -> None:
            async for message in ws:
                texts.append(message.data)

        listening = asyncio.create_task(listen())
        yield texts
        listening.cancel()


async def agreed(kind: Kind, stand: VenueStand, steps: int, step_s: float) -> int:
    """Play a market to a reader and to another library, and compare; how many events that were."""
    async with reading(kind, stand.url) as (_, heard), overhearing(stand.url) as texts:
        for _ in range(steps):
            await stand.advance(step_s)
        last = {}

        def is_told() -> bool:
            last.update({json.loads(text)["s"] + text[2]: text for text in texts[-2000:]})
            events = {told(text) for text in last.values()}
            return bool(texts) and events <= {*heard.trades, *heard.quotes}

        await settled(is_told, "the newest frames of each stream told")
        expected = [told(text) for text in texts]
    for instrument in INSTRUMENTS:
        trades = [each for each in expected if each.instrument == instrument and hasattr(each, "trade_id")]
        quotes = [each for each in expected if each.instrument == instrument and not hasattr(each, "trade_id")]
        assert trades
        assert quotes
        assert [each for each in heard.trades if each.instrument == instrument] == trades
        assert [each for each in heard.quotes if each.instrument == instrument] == quotes
    assert heard.refusals == []
    return len(expected)


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_generated_market(kind: Kind, tmp_path: Path) -> None:
    """Ten minutes of a made-up market, step by step: every frame once, to the last field."""
    async with open_venue(tmp_path, sim_instruments=",".join(INSTRUMENTS)) as stand:
        assert await agreed(kind, stand, steps=20, step_s=30) > 500


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded frames in {DATA} (BULKHEAD_DATA_DIR)")
@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_recorded_market(kind: Kind, tmp_path: Path) -> None:
    """A minute and a half of August 2024, as Binance sent it."""
    async with open_venue(tmp_path, sim_instruments=",".join(INSTRUMENTS), sim_data=DATA) as stand:
        assert await agreed(kind, stand, steps=9, step_s=10) > 5_000


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_frames_nobody_may_believe(kind: Kind) -> None:
    """After each of them the reader still reads; none becomes an event, and each is told with its reason."""
    async with RawVenue() as venue, reading(kind, venue.url) as (reader, heard):
        matrix = bad_frames()
        for number, bad in enumerate(matrix, start=1):
            await say(venue, bad)
            refusals = len(heard.refusals)
            for connection in venue.live:
                if "btcusdt@trade" in connection.streams:
                    await connection.say(trade(number))
                if "btcusdt@bookTicker" in connection.streams:
                    await connection.say(quote(number))
            await settled(lambda: len(heard.trades) == len(heard.quotes) == number, f"trade after: {bad.name}")  # noqa: B023
            assert len(heard.refusals) == refusals + 1, bad.name
            if kind.gives_reasons:
                assert heard.reasons[refusals:] == [(bad.reason, bad.instrument)], bad.name
        assert heard.trades == [told(trade(number)) for number in range(1, len(matrix) + 1)]
        assert heard.quotes == [told(quote(number)) for number in range(1, len(matrix) + 1)]
        assert [link.epoch for link in reader.links] == [1] * len(reader.links)
        assert all(len(text) <= 200 and text.isprintable() for _, _, text in heard.refusals)


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_quotes_that_are_counted_anew(kind: Kind) -> None:
    """A number below the last one is old on the same connection, and news on another; a number that makes all others old was a lie."""
    async with RawVenue() as venue, reading(kind, venue.url) as (reader, heard):
        await say_quotes(venue, 100, 99)
        await settled(lambda: heard.reasons == [("OLD_QUOTE", BTC)], "the old quote refused")
        for connection in venue.live:
            connection.cut()
        await settled(lambda: all(link.is_up and link.epoch == 2 for link in reader.links), "every link up again")
        await say_quotes(venue, 1, 10**12, *range(2, 2 + OLD_QUOTES_MAX))
        await settled(lambda: all(link.is_up for link in reader.links) and reader.links[0].epoch == 3, "up once more")
        await say_quotes(venue, 50)
        await settled(lambda: told(quote(50)) in heard.quotes, "the quote after the lie")
        assert heard.quotes == [told(quote(number)) for number in (100, 1, 10**12, 50)]
        assert heard.reasons == [("OLD_QUOTE", BTC)] * (1 + OLD_QUOTES_MAX)


async def test_a_defect_of_ours_ends_ccxts_reader() -> None:
    """ccxt would lose its receive loop to it, in silence; here it ends the reader, which somebody sees."""

    class Broken(Heard):
        def trade(self, trade: TradePrinted) -> None:
            raise ZeroDivisionError(trade.trade_id)

    async with RawVenue() as venue:
        reader = _ccxt(venue.url, Broken(), lambda: NOW)
        running = asyncio.create_task(reader.run())
        try:
            await settled(lambda: all(link.is_up for link in reader.links), "every link up")
            for connection in venue.live:
                if "btcusdt@trade" in connection.streams:
                    await connection.say(trade(7))
            with pytest.raises(ExceptionGroup) as ended:
                async with asyncio.timeout(10):
                    await running
            assert ended.group_contains(ZeroDivisionError, match="7")
        finally:
            await reader.close()


async def say_quotes(venue: RawVenue, *numbers: int) -> None:
    """Send book tickers where they are subscribed to."""
    for connection in venue.live:
        if "btcusdt@bookTicker" in connection.streams:
            await connection.say(*(quote(number) for number in numbers))


async def say(venue: RawVenue, bad: Bad) -> None:
    """Send a bad frame where a frame of its sort would come from."""
    kind = "bookTicker" if b'"u"' in _raw(bad) or b'"B"' in _raw(bad) else "trade"
    for connection in venue.live:
        if f"btcusdt@{kind}" in connection.streams:
            connection.write(framed(_raw(bad), 0x1 if isinstance(bad.frame, str) else 0x2))


def _raw(bad: Bad) -> bytes:
    return bad.frame.encode() if isinstance(bad.frame, str) else bad.frame
