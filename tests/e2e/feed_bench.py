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
import structlog

from libs.common.codec import decode_from, encode
from libs.common.messages import FeedBars, FeedHistory, FeedMarks, FeedStatus, Message
from libs.common.subjects import subject_of
from libs.runtime.adapter import AdapterContext
from libs.runtime.clock import VenueClock
from services.exchange_sim.server import ExchangeServer
from services.exchange_sim.settings import Settings as VenueSettings
from services.market_feed.adapters.ccxt_feed import CcxtFeed
from services.market_feed.machine import MarketFeedMachine
from services.market_feed.settings import Settings as FeedSettings

INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
SETTLED_S_MAX = 20.0


class Venue:
    """exchange_sim, and its clock as a feed follows it."""

    def __init__(self, folder: Path, **settings: Any):
        self._settings = VenueSettings(home=folder, **{"sim_instruments": ",".join(INSTRUMENTS), **settings})
        self.server = ExchangeServer(self._settings)
        self.clock: VenueClock
        self.url = ""

    async def __aenter__(self) -> Venue:
        port = await self.server.start()
        self.url = f"http://127.0.0.1:{port}"
        self.clock = VenueClock(f"ws://127.0.0.1:{port}/sim/clock")
        await self.clock.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.clock.close()
        await self.server.stop()

    async def advance(self, to: int) -> None:
        """Let a standing venue play everything up to `to`; returns when its clock has been heard to say so."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/sim/advance", json={"to": to}) as reply,
        ):
            reply.raise_for_status()
        await self.clock.sleep_until(to)

    async def drop_sockets(self, *, every: int = 1) -> None:
        """Cut market connections as a network does: no goodbye, whatever was on its way is lost."""
        clocks = self.server.control._watchers
        cut = [socket for socket in self.server.hub.sockets if socket not in clocks]
        for socket in cut[::every]:
            transport = socket.ws._req.transport if socket.ws._req is not None else None
            if transport is not None:
                transport.abort()

    def quotes(self) -> dict[str, tuple[float, float]]:
        """The best bid and offer of each instrument now."""
        quotes = self.server.exchange.quotes
        return {name: (float(quotes[name].bid_px), float(quotes[name].ask_px)) for name in INSTRUMENTS}


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
            "feed_history_bars": 40,
            "feed_history_weeks": 5,
        }
        self.adapter = CcxtFeed(FeedSettings(**{**given, **settings}))
        self._log = log
        self._is_dead = False
        state = msgspec.json.decode(msgspec.json.encode(log.machine.state), type=MarketFeedMachine.State)
        self.context = AdapterContext(
            emit=self._emit,
            publish_market=log.market.append,
            clock=venue.clock,
            state=lambda: state,
            logger=structlog.get_logger("feed"),
            holds_lease=self._holds_lease,
            read_log=lambda durable, seq: aiter(()),  # type: ignore[arg-type,call-overload]
        )
        self.task = asyncio.create_task(self.adapter.open(self.context))

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


async def settled(is_so: Callable[[], bool], what: str, feed: Feed | None = None) -> None:
    """Return once `is_so()`; a feed that ended instead, or a state that never comes, is an error that says so."""
    try:
        async with asyncio.timeout(SETTLED_S_MAX):
            while not is_so():
                if feed is not None and feed.task.done():
                    feed.task.result()
                    raise AssertionError(f"the feed ended while we waited for: {what}")
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None
