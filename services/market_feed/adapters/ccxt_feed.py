"""The feed's edge: ccxt's sockets and REST in, source events out. What to say is decided in desk.py; here is only I/O.

    sockets ──▶ _take_trades / _take_quote ──▶ desk ──▶ _talk  ──▶ the log      (marks, bars)
                          └──▶ MARKET            ▲
    REST ────▶ _live (specs, prices, history)   └── _mend (the venue's own bars for minutes not seen whole)
    _watch_over: silence, reconnection, LIVE / STALE / DOWN

Order of a start: rules of the venue, sockets, prices by REST once the sockets answer (so no change falls in between), LIVE,
marks, history (once per log), and then the bars: what was missed while nobody fed, and what comes.

Time is the clock's, which may run at any speed or stand still (lock-step). Our own time is used only where a network is waited
for, and to notice that the clock stands: then what is pending leaves, since no interval will ever pass.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import ccxt.pro
import msgspec
import prometheus_client

from libs.common.ids import derive_id
from libs.common.messages import Answer, Bar, FeedHistory, FeedStatus, InstrumentSpec, Message, Timeframe
from libs.common.timeframe import MILLISECOND, SECOND, TIMEFRAMES, bar_open
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from libs.trading.binance_ccxt import ccxt_config
from services.market_feed.adapters.rest import RestVenue, VenueUnavailable
from services.market_feed.adapters.sockets import Sockets, Watch, trade_watch
from services.market_feed.desk import Desk, Verdict, Want
from services.market_feed.frames import FrameRefused, quote_of, symbol_of, trade_of
from services.market_feed.klines import continuous
from services.market_feed.liveness import Liveness, State
from services.market_feed.record import FeedRecord
from services.market_feed.settings import Settings

HISTORY_CHUNK = 500
TICK_S = 0.01
"""How often we look whether something is to be said: at speed 20 a fifth of a venue second, at wall time nothing."""
STILL_S = 0.03
"""The clock has not moved and no frame has come for so long: it stands, and nothing is on its way."""
STANDS_S = 1.0
"""The clock has stood for so long that a minute which should have been proven by now must be asked for."""
CLOCK_CATCHES_UP_S = 0.1
LOOK_S = 0.05
SOCKETS_UP_S_MAX = 3.0
RETRY_S = 0.25
RETRY_S_MAX = 5.0

T = TypeVar("T")


class CcxtFeed:
    """The adapter of the market feed."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._instruments = settings.instruments
        self._context: AdapterContext
        self._odd_frames: prometheus_client.Counter | None = None
        self._record: FeedRecord
        self._desk: Desk
        self._rest: RestVenue
        self._sockets: Sockets
        self._specs: tuple[InstrumentSpec, ...] = ()
        self._declared: State | None = None
        self._frames: Counter[str] = Counter()
        self._quotes: dict[str, Any] = {}
        self._reread = asyncio.Event()
        self._clock_moved_at = self._frame_at = 0.0
        self._asked_since: dict[str, tuple[int, float]] = {}
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
        self._odd_frames = _odd_frames(context.registry)
        self._record = msgspec.convert(msgspec.to_builtins(context.state()), FeedRecord)
        self._desk = Desk(
            settings.feed_venue, self._instruments, settings.cadence, settings.feed_grace_ms * MILLISECOND
        )
        exchange = ccxt.pro.binance(ccxt_config(settings.feed_venue_url))
        self._rest = RestVenue(exchange, settings.feed_venue, self._instruments)
        watches = self._watches(exchange)
        self._sockets = Sockets(exchange, watches, context.logger)
        try:
            with self._sockets.guarding(asyncio.get_running_loop()):
                async with asyncio.TaskGroup() as group:
                    self._tasks.append(group.create_task(self._live(group, watches), name="feed"))
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.5):
                    await exchange.close()
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

    async def _live(self, group: asyncio.TaskGroup, watches: list[Watch]) -> None:
        def start(work: Awaitable[None], name: str) -> None:
            self._tasks.append(group.create_task(work, name=name))  # type: ignore[arg-type]

        self._specs = await self._insist(self._rest.specs)
        for watch in watches:
            start(watch.read(self._sockets.lost), watch.name)
        await self._sockets_up()
        await self._insist(self._read_prices)
        self._declare("LIVE", "STARTED", await self._insist(self._rest.now))
        start(self._talk(), "talk")
        start(self._watch_over(), "watch over")
        start(self._reread_prices(), "reread prices")
        await self._publish_history()
        self._desk.begin(self._record)
        await self._mend()

    # --- sockets in ---------------------------------------------------------------------------------------------

    def _watches(self, exchange: ccxt.pro.binance) -> list[Watch]:
        """One socket a symbol for trades, because ccxt delivers late where several share a call; one for all quotes."""
        settings = self.settings
        symbols = [symbol_of(instrument) for instrument in self._instruments]
        quotes = Watch(
            "quotes",
            f"bidask:bookTicker@{symbols[0]}",
            lambda: exchange.watch_bids_asks(symbols),
            lambda _: self._take_quotes(exchange.bidsasks),
            silence_max=settings.feed_staleness_ms_max * MILLISECOND,
        )
        return [quotes, *(self._trade_watch(exchange, instrument) for instrument in self._instruments)]

    def _trade_watch(self, exchange: ccxt.pro.binance, instrument: str) -> Watch:
        symbol = symbol_of(instrument)
        return Watch(
            trade_watch(instrument),
            f"trade::{symbol}",
            lambda: exchange.watch_trades(symbol),
            lambda frames: self._take_trades(instrument, frames),
            silence_max=self.settings.feed_trade_silence_ms_max * MILLISECOND,
        )

    def _take_trades(self, instrument: str, frames: list[dict[str, Any]]) -> None:
        now = self._context.clock.now()
        for frame in frames:
            try:
                trade = trade_of(frame, instrument, self.settings.feed_venue, now)
            except FrameRefused as error:
                self._count(f"TRADE_{error}", instrument=instrument)
                continue
            verdict = self._desk.trade(trade, now)
            if verdict is not Verdict.DUPLICATE:
                self._context.publish_market(trade)
            if verdict is not Verdict.FOLDED:
                self._count(verdict, instrument=instrument)
        self._note_frame(instrument)

    def _take_quotes(self, tickers: dict[str, Any]) -> None:
        """Every quote that changed: ccxt's call returns one of those that came together, its cache holds the newest of each."""
        now = self._context.clock.now()
        for instrument in self._instruments:
            ticker = tickers.get(symbol_of(instrument))
            if ticker is None or ticker is self._quotes.get(instrument):
                continue
            self._quotes[instrument] = ticker
            try:
                quote = quote_of(ticker, instrument, self.settings.feed_venue, now)
            except FrameRefused as error:
                self._count(f"QUOTE_{error}", instrument=instrument)
                continue
            self._desk.quote(quote, now)
            self._context.publish_market(quote)
            self._note_frame(instrument)

    def _note_frame(self, instrument: str) -> None:
        self._frames[instrument] += 1
        self._frame_at = time.monotonic()

    def _count(self, reason: str, **where: str) -> None:
        """Count what is wrong with a frame; say it the first time, and each time the count has doubled."""
        self.counts[reason] += 1
        if self._odd_frames is not None:
            self._odd_frames.labels(reason=str(reason), **where).inc()
        count = self.counts[reason]
        if count & (count - 1) == 0:
            self._context.logger.warning("frame_odd", reason=str(reason), count=count, **where)

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
            is_still = moment - max(self._clock_moved_at, self._frame_at) > STILL_S
            for message in self._desk.say(now, is_still=is_still):
                self._emit(message)

    def _emit(self, message: Message) -> None:
        self._record.hear(message)
        self._context.emit(message)

    def _declare(self, state: State, reason: str, ts: int | None = None) -> None:
        """Tell the state of the venue if it is news; `ts` is the venue's own time where it is known."""
        if state == self._declared:
            return
        self._declared = state
        now = self._context.clock.now()
        self._context.logger.info("feed_status", state=state, reason=reason)
        self._emit(
            FeedStatus(
                venue=self.settings.feed_venue,
                state=state,
                reason=reason[:200],
                specs=self._specs,
                ts_event=now if ts is None else ts,
                ts_init=now,
            )
        )

    # --- REST ---------------------------------------------------------------------------------------------------

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """`call`'s result, however long the venue is away; before the first LIVE that is DOWN."""
        pause_s = RETRY_S
        while True:
            try:
                return await call()
            except VenueUnavailable as error:
                self._context.logger.warning("venue_unavailable", error=str(error))
                if self._declared is None:
                    self._declare("DOWN", "UNREACHABLE")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_S_MAX)

    async def _sockets_up(self) -> None:
        """Wait until the venue answers on every socket; not for ever, because REST alone is worth something."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SOCKETS_UP_S_MAX):
                while not self._sockets.are_up:  # noqa: ASYNC110  (ccxt gives no event to wait for)
                    await asyncio.sleep(TICK_S)

    async def _read_prices(self) -> None:
        """Prices by REST, for what changed while no socket told; one that a socket tells meanwhile is newer."""
        frames = self._frames.copy()
        quotes = await self._rest.quotes(self._context.clock.now())
        lasts = {name: await self._rest.last_px(name) for name in self._instruments}
        now = self._context.clock.now()
        for name in self._instruments:
            if self._frames[name] != frames[name]:
                continue
            if (px := lasts[name]) is not None:
                self._desk.board.last(name, px, now)
            for quote in quotes:
                if quote.instrument == name:
                    self._desk.quote(quote, now)

    async def _reread_prices(self) -> None:
        while True:
            await self._reread.wait()
            self._reread.clear()
            await self._insist(self._read_prices)

    async def _publish_history(self) -> None:
        until = self._record.boundary
        for instrument in self._instruments:
            await self._insist(lambda name=instrument: self._final(name, until))  # type: ignore[misc]
            for timeframe in TIMEFRAMES:
                await self._publish_series(instrument, timeframe)

    async def _final(self, instrument: str, until: int) -> None:
        """Return if the venue's bars up to `until` cannot change any more, else it counts as not available yet."""
        want = Want(instrument, bar_open(until - 1, "1m"), until)
        if (await self._minutes(want))[1] < until:
            raise VenueUnavailable(f"the bars of {instrument} up to {until} are not final yet")

    async def _publish_series(self, instrument: str, timeframe: Timeframe) -> None:
        """The history of one series, oldest first, from where the log has it."""
        ends = bar_open(self._record.boundary, timeframe)
        begins = self._record.history_begins(instrument, timeframe, self.settings.history_bars(timeframe))
        if begins >= ends:
            return
        said = await self._insist(lambda: self._rest.history(instrument, timeframe, begins, ends))
        bars = continuous(said, ends)
        for start in range(0, max(len(bars), 1), HISTORY_CHUNK):
            self._emit(self._history(instrument, timeframe, ends, bars[start : start + HISTORY_CHUNK]))

    def _history(self, instrument: str, timeframe: Timeframe, ends: int, bars: list[Bar]) -> FeedHistory:
        first, last = (bars[0].ts_open, bars[-1].ts_close) if bars else (ends, ends)
        return FeedHistory(
            id=derive_id("feed.history", self.settings.feed_venue, instrument, timeframe, first, last),
            ts_event=last,
            ts_init=self._context.clock.now(),
            instrument=instrument,
            timeframe=timeframe,
            bars=tuple(bars),
        )

    async def _mend(self) -> None:
        """Get the venue's own bar for every minute that was not seen whole: after a start, a hole, a silence."""
        while True:
            stands_s = time.monotonic() - max(self._clock_moved_at, self._frame_at)
            wants = self._desk.wants(self._context.clock.now(), is_still=stands_s > STANDS_S)
            has_mended = False
            for want in wants:
                bars, final = await self._insist(lambda want=want: self._minutes(want))  # type: ignore[misc]
                if final > want.since:
                    has_mended = True
                    if not self._desk.repair(want.instrument, bars, final):
                        self._sockets.renew_trades(want.instrument, "LOSES_TRADES")
            await asyncio.sleep(0 if has_mended else RETRY_S if wants else LOOK_S)

    async def _minutes(self, want: Want) -> tuple[list[Bar], int]:
        until, asked_at = self._asked_since.get(want.instrument, (0, 0.0))
        moment = time.monotonic()
        if until != want.until:
            self._asked_since[want.instrument] = (want.until, asked_at := moment)
        grace = self.settings.feed_grace_ms * MILLISECOND
        has_waited = moment - asked_at > max(grace / SECOND, STANDS_S)
        return await self._rest.minutes(want.instrument, want.since, want.until, grace=grace, waited=has_waited)

    # --- the watch ----------------------------------------------------------------------------------------------

    async def _watch_over(self) -> None:
        settings = self.settings
        liveness = Liveness(
            stale_after=settings.feed_staleness_ms_max * MILLISECOND, down_after=settings.feed_down_ms_max * MILLISECOND
        )
        now, moment = self._context.clock.now(), time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            before, now = now, self._context.clock.now()
            began, moment = moment, time.monotonic()
            heard = self._sockets.look(now - before, lambda _: self._reread.set())
            self._declare(
                *liveness.look(
                    heard=heard,
                    connected=self._sockets.are_up,
                    moved_ns=now - before,
                    passed_ns=int((moment - began) * SECOND),
                )
            )


def _odd_frames(registry: prometheus_client.CollectorRegistry | None) -> prometheus_client.Counter | None:
    if registry is None:
        return None
    return prometheus_client.Counter(
        "bulkhead_feed_odd_frames",
        "frames that were refused, repeated, late, or behind a hole in the trade ids",
        ("reason", "instrument"),
        registry=registry,
    )
