"""One venue's line: its sockets, its REST, and the watch over both.

Theory of operation. Every line reads all the time; only one speaks, the others are second opinions and stand ready. The watch

* renews a connection that is deaf or silent (liveness.py);
* tells a quiet market from a stuck stream: an instrument of which no quote came for `alive_window`, on a connection that shows signs
  of life, is looked up by REST, even if its trades flow: they are another stream. The same quote as we have: it is quiet, and that is a proof of life. Another one: the stream is stuck,
  and is renewed at once, without waiting for a silence that a thin market makes anyway. After a new connection we have none until
  the first answer, because sockets tell changes only;
* scores the line: the share of connections that are up, of instruments proven alive, and of frames that could be believed.

Whatever ends the line's tasks but a defect is tried again for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from libs.common.messages import InstrumentSpec, QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, SECOND
from services.market_feed.adapters.dialects import Dialect
from services.market_feed.adapters.reader import Link, SocketReader
from services.market_feed.adapters.rest import RestVenue, VenueUnavailable
from services.market_feed.failover import Health
from services.market_feed.liveness import LinkWatch
from services.market_feed.settings import Settings

RETRY_S = 0.25
RETRY_S_MAX = 5.0
DEAF_PINGS = 2.5
PROBE_S_MIN = 1.0
"""A quiet instrument is looked up so often at most, in our own time: its cost is weight."""
ON_ITS_WAY_S = 0.5
"""A quote that REST has and the socket has not may be on its way for so long."""
AHEAD_NS_MAX = 5 * SECOND
"""The recorded frames of 2024 are 1.25 s ahead of their recorder."""
ALWAYS = 2**62
REFUSED_HALVES_S = 10.0

MakeReader = Callable[["VenueLine", tuple[str, ...]], SocketReader]


class Ear(Protocol):
    """Who hears what the lines say."""

    def on_trade(self, line: VenueLine, trade: TradePrinted) -> None:
        """A trade was printed."""
        ...

    def on_quote(self, line: VenueLine, quote: QuoteChanged) -> None:
        """A best bid and offer changed."""
        ...

    def on_refused(self, line: VenueLine, reason: str, instrument: str, frame: str) -> None:
        """A frame nobody may believe."""
        ...

    def on_connected(self, line: VenueLine, link: Link) -> None:
        """A new connection: something may be missing before it."""
        ...

    def on_proof(self, line: VenueLine, quote: QuoteChanged) -> None:
        """REST confirms a quiet instrument's quote."""
        ...


class VenueLine:
    """One venue. `instruments` are those it lists, known once `is_ready`."""

    def __init__(
        self,
        dialect: Dialect,
        rest: RestVenue,
        make_reader: MakeReader,
        settings: Settings,
        context: Any,
        ear: Ear,
        *,
        is_home: bool,
    ):
        self.venue = dialect.venue
        self.dialect = dialect
        self.rest = rest
        self.is_home = is_home
        self.is_ready = False
        self.trouble = ""
        self.specs: tuple[InstrumentSpec, ...] = ()
        self.instruments: tuple[str, ...] = settings.instruments
        self.reader: SocketReader | None = None
        self.frame_at = 0.0
        self._make_reader = make_reader
        self._settings = settings
        self._context = context
        self._ear = ear
        self._seen: dict[str, int] = {}
        self._quoted: dict[str, int] = {}
        self._quotes: dict[str, QuoteChanged] = {}
        self._watches: dict[str, LinkWatch] = {}
        self._frames: Counter[str] = Counter()
        self._good = self._bad = 0.0
        self._proofs = 0

    async def run(self) -> None:
        """For ever: learn what the venue lists, then read and prove."""
        self.specs = await self._insist()
        self.instruments = tuple(spec.instrument for spec in self.specs)
        if not self.instruments:
            self._context.logger.warning("venue_lists_nothing_of_ours", venue=self.venue)
            return
        now = self._context.clock.now()
        self._seen = dict.fromkeys(self.instruments, now)
        self._quoted = dict.fromkeys(self.instruments, now)
        self.reader = self._make_reader(self, self.instruments)
        self.is_ready = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reader.run(), name=f"{self.venue} sockets")
            group.create_task(self._prove_quiet(), name=f"{self.venue} proof")

    async def close(self) -> None:
        """Close the connections, within two seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                if self.reader is not None:
                    await self.reader.close()
                await self.rest.exchange.close()

    # --- the sink of its reader -----------------------------------------------------------------------------------

    def trade(self, trade: TradePrinted) -> None:
        """Its reader read a trade; one from the future would close minutes that are not over."""
        if trade.ts_event > trade.ts_init + self._ahead_ns_max():
            self.refused("FROM_THE_FUTURE", trade.instrument, f"{trade.trade_id} at {trade.ts_event}")
            return
        self._note(trade.instrument)
        self._ear.on_trade(self, trade)

    def quote(self, quote: QuoteChanged) -> None:
        """Its reader read a quote."""
        self._note(quote.instrument)
        self._quotes[quote.instrument] = quote
        self._quoted[quote.instrument] = quote.ts_init
        self._ear.on_quote(self, quote)

    def refused(self, reason: str, instrument: str, frame: str) -> None:
        """Its reader read nonsense."""
        self._bad += 1.0
        self._ear.on_refused(self, reason, instrument, frame)

    def connected(self, link: Link) -> None:
        """Its reader has a new connection."""
        self._context.logger.info("socket_connected", venue=self.venue, socket=link.name, epoch=link.epoch)
        if link.has_quotes:
            for instrument in link.instruments:
                self._quotes.pop(instrument, None)
        self._ear.on_connected(self, link)

    def _ahead_ns_max(self) -> int:
        """How far ahead of our clock a venue may be; our clock may run at another speed, and where it stands nothing is ahead."""
        speed = getattr(self._context.clock, "speed", 1.0)
        return int(AHEAD_NS_MAX * max(1.0, speed)) if speed else ALWAYS

    def _note(self, instrument: str) -> None:
        self._good += 1.0
        self._frames[instrument] += 1
        self._seen[instrument] = self._context.clock.now()
        self.frame_at = time.monotonic()

    # --- the watch --------------------------------------------------------------------------------------------------

    @property
    def frames(self) -> Counter[str]:
        """How many good frames of each instrument came."""
        return self._frames.copy()

    @property
    def are_up(self) -> bool:
        """Whether every connection answers."""
        return self.reader is not None and all(link.is_up for link in self.reader.links)

    def look(self, moved_ns: int, passed_ns: int) -> Health:
        """Look after every connection; `moved_ns` passed on the feed's clock, `passed_ns` on our own. Returns the line's health."""
        if self.reader is None:
            return Health(score=0.0, rest_answers=self.rest.answers)
        links = self.reader.links
        for link in links:
            reason = self._watch(link).look(
                is_up=link.is_up,
                epoch=link.epoch,
                frames=link.frames + (self._proofs if link.has_quotes else 0),
                signs=link.signs,
                moved_ns=moved_ns,
                passed_ns=passed_ns,
            )
            if reason:
                self.reader.renew(link, reason)
        fade = 0.5 ** (passed_ns / SECOND / REFUSED_HALVES_S)
        self._good, self._bad = self._good * fade, self._bad * fade
        return Health(score=self._score(links), rest_answers=self.rest.answers)

    def renew(self, instrument: str, reason: str) -> None:
        """Give up the connection that carries the trades of an instrument."""
        for link in self.reader.links if self.reader is not None else ():
            if link.has_trades and instrument in link.instruments:
                self.reader.renew(link, reason)  # type: ignore[union-attr]

    def _watch(self, link: Link) -> LinkWatch:
        if link.name not in self._watches:
            settings = self._settings
            silent_ms = settings.feed_staleness_ms_max if link.has_quotes else settings.feed_trade_silence_ms_max
            ping_s = self.reader.ping_s if self.reader is not None else 0.0
            self._watches[link.name] = LinkWatch(
                silent_after=silent_ms * MILLISECOND, deaf_after=int(DEAF_PINGS * ping_s * SECOND)
            )
        return self._watches[link.name]

    def _score(self, links: Any) -> float:
        now, window = self._context.clock.now(), 2 * self._settings.cadence.alive_window
        up = sum(link.is_up for link in links) / len(links)
        alive = sum(now - seen <= window for seen in self._seen.values()) / len(self._seen)
        believed = self._good / (self._good + self._bad) if self._good + self._bad >= 10.0 else 1.0
        return round(up * (0.3 + 0.7 * alive) * believed, 3)

    async def _prove_quiet(self) -> None:
        while True:
            await asyncio.sleep(PROBE_S_MIN)
            now = self._context.clock.now()
            window = self._settings.cadence.alive_window
            quiet = [name for name, quoted in self._quoted.items() if now - quoted > window]
            if not quiet or not self.are_up:
                continue
            quoted = dict(self._quoted)
            try:
                quotes = await self.rest.quotes(now)
            except VenueUnavailable as error:
                self._context.logger.warning("venue_unavailable", venue=self.venue, error=str(error))
                continue
            for quote in quotes:
                if quote.instrument in quiet and self._quoted[quote.instrument] == quoted[quote.instrument]:
                    await self._prove(quote)

    async def _prove(self, quote: QuoteChanged) -> None:
        quoted = self._quoted[quote.instrument]
        known = self._quotes.setdefault(quote.instrument, quote)
        if (quote.bid_px, quote.ask_px) == (known.bid_px, known.ask_px):
            self._seen[quote.instrument] = self._quoted[quote.instrument] = self._context.clock.now()
            self._proofs += 1
            self._ear.on_proof(self, quote)
            return
        await asyncio.sleep(ON_ITS_WAY_S)
        if self._quoted[quote.instrument] != quoted:
            return
        for link in self.reader.links if self.reader is not None else ():
            if link.has_quotes and quote.instrument in link.instruments:
                self._context.logger.warning("stream_stuck", venue=self.venue, instrument=quote.instrument)
                self.reader.renew(link, "STUCK")  # type: ignore[union-attr]

    async def _insist(self) -> tuple[InstrumentSpec, ...]:
        pause_s = RETRY_S
        while True:
            try:
                return await self.rest.specs(needs_all=self.is_home)
            except VenueUnavailable as error:
                self.trouble = str(error)
                self._context.logger.warning("venue_unavailable", venue=self.venue, error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_S_MAX)
