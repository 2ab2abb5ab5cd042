"""A venue in this process and feeds on it: the real exchange_sim, the real adapter, a log that is a list.

The list goes through the codec and feeds the machine like the log would, so a feed that is killed and started again knows what
the last one's machine had heard, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry
from structlog.testing import CapturingLogger

from libs.common.codec import decode_from, encode
from libs.common.messages import Bar, FeedBars, FeedHistory, FeedMarks, FeedStatus, Message
from libs.common.subjects import subject_of
from libs.runtime.adapter import AdapterContext
from libs.runtime.clock import VenueClock
from services.exchange_sim.other_venues import KRAKEN, KUCOIN, OtherListing
from services.exchange_sim.server import ExchangeServer
from services.exchange_sim.settings import Settings as VenueSettings
from services.exchange_sim.sockets import Socket
from services.market_feed.adapters.feed import MarketFeed
from services.market_feed.adapters.rest import RestVenue
from services.market_feed.machine import MarketFeedMachine
from services.market_feed.settings import Settings as FeedSettings

INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
OTHERS = {"kraken": KRAKEN, "kucoin": KUCOIN}
SETTLED_S_MAX = 30.0
SOCKET_PATHS = (b"GET /stream", b"GET /ws", b"GET /kraken/v2", b"GET /kucoin/endpoint")


class Wire:
    """The network between feed and venue: a TCP relay whose connections can be cut without a goodbye."""

    def __init__(self) -> None:
        self.to_port = 0
        self.port = 0
        self._server: asyncio.Server
        self._connections: dict[asyncio.StreamWriter, bool] = {}
        self._relays: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Relay from `port` to `to_port`."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut everything, listen no more."""
        self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays)

    def cut(self, *, sockets_only: bool = False, every: int = 1) -> int:
        """Reset connections; what was on its way is lost. Returns how many were cut."""
        cut = [writer for writer, is_socket in self._connections.items() if is_socket or not sockets_only][::every]
        for writer in cut:
            writer.transport.abort()
        return len(cut)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = False
        self._relays.add(relay := asyncio.current_task())  # type: ignore[arg-type]
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
            await asyncio.gather(self._pump(reader, back, writer), self._pump(there, writer))
        except (OSError, asyncio.CancelledError):  # cancelled only by `close`
            writer.transport.abort()
        finally:
            del self._connections[writer]
            self._relays.discard(relay)  # type: ignore[arg-type]

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asker: asyncio.StreamWriter | None = None
    ) -> None:
        try:
            while chunk := await source.read(65536):
                if asker in self._connections and chunk.startswith(SOCKET_PATHS):
                    self._connections[asker] = True
                sink.write(chunk)
                await sink.drain()
        finally:
            sink.close()


class Venue:
    """exchange_sim, and its clock as a feed follows it."""

    def __init__(self, folder: Path, **settings: Any):
        self._settings = VenueSettings(home=folder, **{"sim_instruments": ",".join(INSTRUMENTS), **settings})
        self.server = ExchangeServer(self._settings)
        self.wire = Wire()
        self.clock: VenueClock
        self._own_url = ""

    async def __aenter__(self) -> Venue:
        await self.return_()
        await self.wire.open()
        self.clock = VenueClock(self._own_url.replace("http", "ws") + "/sim/clock")
        await self.clock.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.clock.close()
        await self.wire.close()
        await self.server.stop()

    @property
    def url(self) -> str:
        """Where a feed finds it: at the other end of the wire."""
        return f"http://127.0.0.1:{self.wire.port}"

    async def leave(self) -> None:
        """The venue is gone."""
        self.wire.cut()
        await self.server.stop()

    async def return_(self) -> None:
        """The venue is there (again), at the time and in the state in which it left."""
        self.server = ExchangeServer(self._settings)
        self.wire.to_port = await self.server.start()
        self._settings = self._settings.model_copy(update={"sim_port": self.wire.to_port})
        self._own_url = f"http://127.0.0.1:{self.wire.to_port}"

    def sockets_of(self, stream: str) -> list[Socket]:
        """The connections that listen to a stream like `btcusdt@trade`."""
        return [each for each in self.server.hub.sockets if stream in self.server.hub.subscriptions(each)]

    async def advance(self, to: int) -> None:
        """Let a standing venue play everything up to `to`; returns when its clock has been heard to say so."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._own_url}/sim/advance", json={"to": to}) as reply,
        ):
            reply.raise_for_status()
        async with asyncio.timeout(SETTLED_S_MAX):
            await self.clock.sleep_until(to)

    def quotes(self, venue: str = "binance") -> dict[str, tuple[float, float]]:
        """The best bid and offer of each instrument now, as one of the venues has them."""
        found = {}
        for name in INSTRUMENTS:
            quote = self.server.exchange.quotes[name]
            if venue in OTHERS:
                listing = self.server.exchange.market.histories[name].listing
                quote = OtherListing(OTHERS[venue], listing).quote(quote)
            found[name] = (float(quote.bid_px), float(quote.ask_px))
        return found


class Log:
    """What feeds have said, in order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.market: list[Message] = []
        self.machine = MarketFeedMachine(MarketFeedMachine.Settings(venue="binance", instruments=INSTRUMENTS))

    def append(self, message: Message) -> None:
        """Take a message as the log does: through the codec, on its subject, into the machine."""
        said = msgspec.structs.replace(message, producer="feed", id=message.id or f"m{len(self.messages)}")
        said = decode_from(subject_of(said), encode(said))
        self.messages.append(said)
        self.machine.handle(said, said.ts_init)

    def of(self, kind: type[Message]) -> list[Any]:
        """All messages of one kind."""
        return [message for message in self.messages if type(message) is kind]

    @property
    def bars(self) -> list[FeedBars]:
        """Every batch of bars, without the instant at which it was said."""
        return [msgspec.structs.replace(each, ts_init=0) for each in self.of(FeedBars)]

    def minutes_of(self, instrument: str) -> list[Bar]:
        """The one-minute bars told of an instrument, whatever else closed at the same instants."""
        return [
            bar for batch in self.bars for bar in batch.bars if (bar.instrument, bar.timeframe) == (instrument, "1m")
        ]

    @property
    def statuses(self) -> list[str]:
        """The states declared."""
        return [each.state for each in self.of(FeedStatus)]

    @property
    def history(self) -> list[FeedHistory]:
        """Every chunk of history, without the instant at which it was said."""
        return [msgspec.structs.replace(each, ts_init=0) for each in self.of(FeedHistory)]

    def marks(self) -> dict[str, tuple[float, float]]:
        """The newest bid and offer told of each instrument."""
        told = {}
        for message in self.of(FeedMarks):
            for mark in message.marks:
                told[mark.instrument] = (mark.bid_px, mark.ask_px)
        return told


class Feed:
    """One life of a feed. `kill` leaves nothing tidy behind: what it has not said yet is never said."""

    def __init__(self, venue: Venue, log: Log, **settings: Any):
        given = {
            "instruments": INSTRUMENTS,
            "feed_venue_url": venue.url,
            "feed_venues": ("binance",),
            "feed_history_bars": 40,
            "feed_history_weeks": 5,
        }
        self.adapter = MarketFeed(FeedSettings(**{**given, **settings}))
        self.logger = CapturingLogger()
        self._log = log
        self._is_dead = False
        state = msgspec.json.decode(msgspec.json.encode(log.machine.state), type=MarketFeedMachine.State)
        self.context = AdapterContext(
            emit=self._emit,
            publish_market=log.market.append,
            clock=venue.clock,
            state=lambda: state,
            logger=self.logger,
            holds_lease=self._holds_lease,
            read_log=lambda durable, seq: aiter(()),  # type: ignore[arg-type,call-overload]
            registry=CollectorRegistry(),
        )
        self.task = asyncio.create_task(self.adapter.open(self.context))

    @property
    def rest(self) -> RestVenue:
        """REST of the venue that speaks."""
        return self.adapter.speaking.rest

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What was logged under this name."""
        return [call.kwargs for call in self.logger.calls if call.args == (event,)]

    def _emit(self, message: Message) -> None:
        if not self._is_dead:
            self._log.append(message)

    async def _holds_lease(self) -> bool:
        return True

    async def kill(self) -> None:
        """From this instant on nothing of it reaches the log."""
        self._is_dead = True
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def close(self) -> None:
        """Stop it the tidy way."""
        await self.adapter.close()
        await self.task


async def settled(
    is_so: Callable[[], bool], what: str, feed: Feed | None = None, seconds_max: float = SETTLED_S_MAX
) -> None:
    """Return once `is_so()`; a feed that ended instead, or a state that never comes, is an error that says so."""
    try:
        async with asyncio.timeout(seconds_max):
            while not is_so():
                if feed is not None and feed.task.done():
                    feed.task.result()
                    raise AssertionError(f"the feed ended while we waited for: {what}")
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None
