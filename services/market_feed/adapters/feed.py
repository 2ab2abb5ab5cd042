"""The feed's edge: lines to several venues in, source events out. What to say is decided in desk.py; here is only I/O.

    binance ─┐ line: sockets, REST, watch          the one that speaks ──▶ desk ──▶ _talk ──▶ the log   (trust, marks, bars)
    kraken  ─┼──────────────────────────▶ Ear ─┤                            ▲
    kucoin  ─┘   (all read all the time)           the others ──▶ opinions ─┘
                     └──▶ MARKET (every print, every refusal)
    backfill.py: history, and the venue's own bars for minutes not seen whole
    _watch_over: health of every line ──▶ failover.py ──▶ who speaks, by sockets or by polling; LIVE / STALE / DOWN

Order of a start: a venue that answers, prices by REST once its sockets answer (so no change falls in between), LIVE, marks, history
(once per log), and then the bars: what was missed while nobody fed, and what comes. A switch of venues is the same from prices on.

Time is the clock's, which may run at any speed or stand still (lock-step). Our own time is used only where a network is waited
for, and to notice that the clock stands: then what is pending leaves, since no interval will ever pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from libs.common.messages import Answer, FeedBars, FeedHistory, FeedStatus, Message, QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, SECOND
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from services.market_feed.adapters.backfill import Backfill
from services.market_feed.adapters.line import VenueLine
from services.market_feed.adapters.lines import open_lines
from services.market_feed.adapters.reader import Link
from services.market_feed.adapters.rest import VenueUnavailable
from services.market_feed.adapters.tally import Tally
from services.market_feed.desk import Desk, Heard
from services.market_feed.failover import Choice, Chooser, Health
from services.market_feed.liveness import Liveness, State
from services.market_feed.record import FeedRecord
from services.market_feed.sanity import Rejection
from services.market_feed.settings import Settings
from services.market_feed.staleness import BarClock
from services.market_feed.tape import Verdict

TICK_S = 0.01
"""How often we look whether something is to be said: at speed 20 a fifth of a venue second, at wall time nothing."""
STILL_S = 0.03
"""The clock has not moved and no frame has come for so long: it stands, and nothing is on its way."""
CLOCK_CATCHES_UP_S = 0.1
LOOK_S = 0.05
SOCKETS_UP_S_MAX = 3.0
HOME_ALONE_S = 5.0
"""Home gets so long to answer before another venue may speak first."""
OVERDUE_S_MAX = 5.0
"""Overdue bars are told as STALE once they stayed overdue for so long in our own time: back-filling takes a moment."""


class MarketFeed:
    """The adapter of the market feed."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.lines: dict[str, VenueLine] = {}
        self.speaking: VenueLine
        self.tally: Tally
        self._context: AdapterContext
        self._record: FeedRecord
        self._desk: Desk
        self._backfill: Backfill
        self._bar_clock = BarClock()
        self._declared: tuple[Any, ...] | None = None
        self._via: str = "SOCKETS"
        self._health: dict[str, Health] = {}
        self._reread = asyncio.Event()
        self._clock_moved_at = 0.0
        self._polled_at = 0.0
        self._overdue_s = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self._is_open = self._is_closed = False

    # --- the port -----------------------------------------------------------------------------------------------

    async def open(self, context: AdapterContext) -> None:
        """Feed until `close`: returns only then, so that whoever awaits it sees what ends the feed."""
        if self._is_closed:
            return
        self._is_open = True
        settings = self.settings
        self._context = context
        self.tally = Tally(context)
        self._record = msgspec.convert(msgspec.to_builtins(context.state()), FeedRecord)
        self._desk = Desk(
            settings.home_venue,
            settings.instruments,
            settings.cadence,
            settings.feed_grace_ms * MILLISECOND,
            settings.sanity,
            self._record,
        )
        self.lines = open_lines(settings, context, self)
        self.speaking = self.lines[settings.home_venue]
        self._backfill = Backfill(settings, context, self._desk, self._record, self._emit, self)
        try:
            async with asyncio.TaskGroup() as group:
                self._start(group, self._live(group), "feed")
        finally:
            await asyncio.gather(*(line.close() for line in self.lines.values()), return_exceptions=True)
            self._ended.set()

    async def perform(self, asked: Asked) -> Answer:
        """The feed's machine asks nothing."""
        raise NotImplementedError(f"the market feed performs no requests, got {type(asked.request).__name__}")

    async def close(self) -> None:
        """Stop reading, close every connection."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._is_open:
            await self._ended.wait()

    def _start(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(group.create_task(work, name=name))

    async def _live(self, group: asyncio.TaskGroup) -> None:
        for line in self.lines.values():
            self._start(group, line.run(), line.venue)
        self.speaking = await self._first_line()
        if self.speaking.venue != self._desk.venue:
            self._switch()
        now = await self._backfill.insist(self._first_prices)
        self._via = "SOCKETS"
        self._declare("LIVE", "STARTED", now)
        for message in self._desk.say(self._context.clock.now()):
            self._emit(message)
        self._start(group, self._talk(), "talk")
        self._start(group, self._watch_over(), "watch over")
        self._start(group, self._reread_prices(), "reread prices")
        await self._backfill.publish_history()
        line = self.speaking
        self._desk.begin(self._record, counts_trades=line.dialect.counts_trades, instruments=line.instruments)
        self._start(group, self._backfill.audit(), "audit")
        await self._backfill.mend()

    async def _first_line(self) -> VenueLine:
        """The first venue that answers; home gets some time to be it."""
        began = time.monotonic()
        while True:
            for line in self.lines.values():
                if line.is_ready and (line.is_home or time.monotonic() - began > HOME_ALONE_S):
                    return line
            if self._declared is None and self.lines[self.settings.home_venue].trouble:
                self._declare("DOWN", "UNREACHABLE")
            await asyncio.sleep(TICK_S)

    async def _first_prices(self) -> int:
        """Prices once the sockets answer, and the venue's own time; not for ever, because REST alone is worth something."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SOCKETS_UP_S_MAX):
                while not self.speaking.are_up:  # noqa: ASYNC110  (readers give no event to wait for)
                    await asyncio.sleep(TICK_S)
        await self._read_prices()
        return await self.speaking.rest.now()

    # --- what the lines say -------------------------------------------------------------------------------------

    def on_trade(self, line: VenueLine, trade: TradePrinted) -> None:
        """A trade was printed: judged if its venue speaks, an opinion if not, and in MARKET in any case."""
        if line is not self.speaking:
            self._context.publish_market(trade)
            return
        heard = self._desk.trade(trade, trade.ts_init)
        if heard.verdict is not Verdict.DUPLICATE:
            self._context.publish_market(trade)
        if heard.verdict is not Verdict.FOLLOWS:
            self.tally.odd(line.venue, heard.verdict, trade.instrument)
        for _ in range(heard.late):
            self.tally.odd(line.venue, "LATE", trade.instrument)
        self._refuse(line, heard)

    def on_quote(self, line: VenueLine, quote: QuoteChanged) -> None:
        """A best bid and offer changed."""
        self._context.publish_market(quote)
        if line is self.speaking:
            self._refuse(line, self._desk.quote(quote, quote.ts_init))
        else:
            self._desk.opinion(line.venue, quote.instrument, (quote.bid_px + quote.ask_px) / 2, quote.ts_init)

    def on_refused(self, line: VenueLine, reason: str, instrument: str, frame: str) -> None:
        """A frame nobody may believe: an event and a metric, never a decision."""
        self.tally.refused_frame(line.venue, reason, instrument, frame)

    def on_connected(self, line: VenueLine, link: Link) -> None:
        """A new connection: what changed before it is read by REST."""
        self.tally.epoch(line.venue, link)
        if line is self.speaking:
            self._reread.set()

    def on_proof(self, line: VenueLine, quote: QuoteChanged) -> None:
        """REST confirms a quiet instrument's quote."""
        if line is self.speaking:
            self._desk.board.seen(quote.instrument, self._context.clock.now())
        else:
            self._desk.opinion(line.venue, quote.instrument, (quote.bid_px + quote.ask_px) / 2, quote.ts_init)

    def _refuse(self, line: VenueLine, heard: Heard) -> None:
        if heard.rejected:
            self._tell_rejected(line.venue, heard.rejected)

    def _tell_rejected(self, venue: str, rejected: tuple[Rejection, ...]) -> None:
        for rejection in rejected:
            self.tally.rejected_print(venue, rejection)

    # --- the log out --------------------------------------------------------------------------------------------

    async def _talk(self) -> None:
        """Say what the desk has to say, at most a tick after it could be said."""
        before = 0
        while True:
            await asyncio.sleep(TICK_S)
            if self._desk.is_ready and (end_ts := self._desk.ready_until) > self._context.clock.now():
                with suppress(TimeoutError):  # a clock a little behind the venue's: no bar before its own end
                    await asyncio.wait_for(self._context.clock.sleep_until(end_ts), CLOCK_CATCHES_UP_S)
            now, moment = self._context.clock.now(), time.monotonic()
            if now != before:
                before, self._clock_moved_at = now, moment
            is_still = moment - self.moved_at > STILL_S
            self._tell_rejected(self.speaking.venue, self._desk.look(now))
            for message in self._desk.say(now, is_still=is_still):
                self._emit(message)

    @property
    def moved_at(self) -> float:
        """When (monotonic) the clock moved or a frame came for the last time: long ago means that time stands still."""
        return max(self._clock_moved_at, self.speaking.frame_at)

    def _emit(self, message: Message) -> None:
        self._record.hear(message)
        if isinstance(message, FeedBars | FeedHistory):
            for bar in message.bars:
                self._bar_clock.hear(bar)
        if isinstance(message, FeedBars):
            self._backfill.heard(message)
        self._context.emit(message)

    def _declare(self, state: State, reason: str, ts: int | None = None) -> None:
        """Tell who speaks, how, and whether to believe it, if any of that is news; `ts` is the venue's own time where known."""
        news = (state, self.speaking.venue, self._via)
        if news == self._declared:
            return
        self._declared = news
        now = self._context.clock.now()
        self._context.logger.info("feed_status", venue=self.speaking.venue, via=self._via, state=state, reason=reason)
        self._emit(
            FeedStatus(
                venue=self.speaking.venue,
                state=state,
                via="POLLING" if self._via == "POLLING" else "SOCKETS",
                reason=reason[:200],
                health={venue: health.score for venue, health in self._health.items()},
                specs=self.speaking.specs if self.speaking.is_home else (),
                ts_event=now if ts is None else ts,
                ts_init=now,
            )
        )

    # --- prices by REST -----------------------------------------------------------------------------------------

    async def _read_prices(self) -> None:
        """Prices by REST, for what changed while no socket told; one that a socket tells meanwhile is newer."""
        line = self.speaking
        frames = line.frames
        quotes = await line.rest.quotes(self._context.clock.now())
        lasts = {name: await line.rest.last_px(name) for name in line.instruments}
        now, since = self._context.clock.now(), line.frames
        if line is not self.speaking:
            return
        for name in line.instruments:
            if since[name] != frames[name]:
                continue
            if (px := lasts[name]) is not None:
                self._desk.price(name, px, now)
            for quote in quotes:
                if quote.instrument == name:
                    self._refuse(line, self._desk.quote(quote, now))
            if px is not None:
                self._desk.price(name, px, now)
        self._polled_at = time.monotonic()

    async def _reread_prices(self) -> None:
        """After each new connection at once, and while we poll again and again."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.feed_poll_ms / 1000 if self._via == "POLLING" else None):
                    await self._reread.wait()
            self._reread.clear()
            try:
                await self._read_prices()
            except VenueUnavailable as error:
                self._context.logger.warning("venue_unavailable", venue=self.speaking.venue, error=str(error))
                await asyncio.sleep(self.settings.feed_poll_ms / 1000)
                if self._via != "POLLING":
                    self._reread.set()

    # --- the watch ----------------------------------------------------------------------------------------------

    async def _watch_over(self) -> None:
        settings = self.settings
        liveness = Liveness(
            stale_after=settings.feed_staleness_ms_max * MILLISECOND, down_after=settings.feed_down_ms_max * MILLISECOND
        )
        chooser = Chooser(tuple(self.lines), self.speaking.venue, settings.patience)
        now, moment = self._context.clock.now(), time.monotonic()
        frames = sum(self.speaking.frames.values())
        while True:
            await asyncio.sleep(LOOK_S)
            before, now = now, self._context.clock.now()
            began, moment = moment, time.monotonic()
            moved_ns, passed_ns = now - before, int((moment - began) * SECOND)
            self._health = {name: line.look(moved_ns, passed_ns) for name, line in self.lines.items()}
            choice = chooser.look(self._health, passed_ns)
            self._follow(choice)
            frames, frames_before = sum(self.speaking.frames.values()), frames
            polls = self._via == "POLLING" and moment - self._polled_at <= 3 * settings.feed_poll_ms / 1000
            state, reason = liveness.look(
                heard=frames != frames_before or polls,
                connected=self.speaking.are_up or polls,
                moved_ns=moved_ns,
                passed_ns=passed_ns,
            )
            if state == "LIVE" and (self._via == "POLLING" or (self._declared or ("",))[-1] != self._via):
                reason = choice.reason
            self._declare(*self._with_bars(state, reason, now, passed_ns))
            self.tally.gauges(self._health, self.speaking.venue, self._via, self._bar_clock.overdue(now))

    def _with_bars(self, state: State, reason: str, now: int, passed_ns: int) -> tuple[State, str]:
        """Prices that are live do not help whose bars are not."""
        stale = self._bar_clock.stale(now)
        self._overdue_s = self._overdue_s + passed_ns / SECOND if stale else 0.0
        if state == "LIVE" and self._overdue_s >= OVERDUE_S_MAX:
            return "STALE", f"BARS_OVERDUE_{stale}"
        return state, reason

    def _follow(self, choice: Choice) -> None:
        """Let the chosen venue speak, by the chosen way."""
        self._via = choice.via
        if choice.via == "POLLING" and time.monotonic() - self._polled_at > self.settings.feed_poll_ms / 1000:
            self._reread.set()
        if choice.venue == self.speaking.venue:
            return
        self._context.logger.warning("venue_switched", to=choice.venue, reason=choice.reason)
        self.speaking = self.lines[choice.venue]
        self._switch()
        self._reread.set()
        self._declare("LIVE", choice.reason)

    def _switch(self) -> None:
        line, before = self.speaking, self._desk.venue
        counts_trades = line.dialect.counts_trades
        rejected = self._desk.switch(
            line.venue, self._record, counts_trades=counts_trades, instruments=line.instruments
        )
        self._tell_rejected(before, rejected)
