"""What REST gives that no socket gave: the history before the first bar, and the venue's own bar for every minute not seen whole.

It asks the venue that speaks, whichever that is when it asks; an answer of one that no longer speaks is thrown away. Each quarter of
an hour it also asks for the minutes that have left, and tells (`BarRevised`) where the venue by now has them otherwise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from libs.common.ids import derive_id
from libs.common.messages import Bar, BarRevised, FeedBars, FeedHistory, Message, Timeframe
from libs.common.timeframe import MILLISECOND, SECOND, TIMEFRAMES, bar_open
from services.market_feed.adapters.bar_audit import BarAudit
from services.market_feed.adapters.line import VenueLine
from services.market_feed.adapters.rest import VenueUnavailable
from services.market_feed.adapters.tally import Tally
from services.market_feed.desk import Desk, Want
from services.market_feed.klines import continuous, sift
from services.market_feed.record import FeedRecord
from services.market_feed.settings import Settings

HISTORY_CHUNK = 500
STANDS_S = 1.0
"""The clock has stood for so long that a minute which should have been proven by now must be asked for."""
LOOK_S = 0.05
RETRY_S = 0.25
RETRY_S_MAX = 5.0

T = TypeVar("T")


class Feeding(Protocol):
    """What back-filling needs to know of the feed."""

    speaking: VenueLine
    tally: Tally

    @property
    def moved_at(self) -> float:
        """When time moved for the last time (monotonic)."""
        ...


class Backfill:
    """The REST half of the bars."""

    def __init__(
        self,
        settings: Settings,
        context: Any,
        desk: Desk,
        record: FeedRecord,
        emit: Callable[[Message], None],
        feeding: Feeding,
    ):
        self._settings = settings
        self._context = context
        self._desk = desk
        self._record = record
        self._emit = emit
        self._feeding = feeding
        self._asked_since: dict[str, tuple[int, float]] = {}
        self._failing: dict[str, float] = {}
        self._audit = BarAudit()

    def heard(self, message: FeedBars) -> None:
        """Bars have left."""
        self._audit.hear(message)

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """`call`'s result, however long the venue is away."""
        pause_s = RETRY_S
        while True:
            try:
                return await call()
            except VenueUnavailable as error:
                self._context.logger.warning("venue_unavailable", error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_S_MAX)

    # --- history --------------------------------------------------------------------------------------------------

    async def publish_history(self) -> None:
        """The closed bars before the first live one, once per log and series."""
        until = self._record.boundary
        for instrument in self._feeding.speaking.instruments:
            await self.insist(lambda name=instrument: self._final(name, until))  # type: ignore[misc]
            for timeframe in TIMEFRAMES:
                await self._publish_series(instrument, timeframe)

    async def _final(self, instrument: str, until: int) -> None:
        """Return if the venue's bars up to `until` cannot change any more, else it counts as not available yet."""
        want = Want(instrument, bar_open(until - 1, "1m"), until)
        if (await self._minutes(self._feeding.speaking, want))[1] < until:
            raise VenueUnavailable(f"the bars of {instrument} up to {until} are not final yet")

    async def _publish_series(self, instrument: str, timeframe: Timeframe) -> None:
        """The history of one series, oldest first, from where the log has it."""
        ends = bar_open(self._record.boundary, timeframe)
        begins = self._record.history_begins(instrument, timeframe, self._settings.history_bars(timeframe))
        if begins >= ends:
            return
        said = await self.insist(lambda: self._feeding.speaking.rest.history(instrument, timeframe, begins, ends))
        kept, refused = sift(said, 0.0)
        for bar, reference_px in refused:
            self._feeding.tally.rejected_bar(bar, reference_px)
        bars = continuous(kept, ends)
        for start in range(0, max(len(bars), 1), HISTORY_CHUNK):
            self._emit(self._history(instrument, timeframe, ends, bars[start : start + HISTORY_CHUNK]))

    def _history(self, instrument: str, timeframe: Timeframe, ends: int, bars: list[Bar]) -> FeedHistory:
        first, last = (bars[0].ts_open, bars[-1].ts_close) if bars else (ends, ends)
        return FeedHistory(
            id=derive_id("feed.history", self._feeding.speaking.venue, instrument, timeframe, first, last),
            ts_event=last,
            ts_init=self._context.clock.now(),
            instrument=instrument,
            timeframe=timeframe,
            bars=tuple(bars),
        )

    # --- minutes --------------------------------------------------------------------------------------------------

    async def mend(self) -> None:
        """For ever: get the venue's own bar for every minute that was not seen whole: after a start, a hole, a silence, a switch."""
        pause_s = RETRY_S
        while True:
            stands_s = time.monotonic() - self._feeding.moved_at
            wants = self._desk.wants(self._context.clock.now(), is_still=stands_s > STANDS_S)
            try:
                has_mended = await self._mend(wants)
            except VenueUnavailable as error:
                self._context.logger.warning("venue_unavailable", error=str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_S_MAX)
                continue
            pause_s = RETRY_S
            await asyncio.sleep(0 if has_mended else RETRY_S if wants else LOOK_S)

    async def audit(self) -> None:
        """For ever: compare what has left with what the venue tells by now."""
        while True:
            due = await self._audit.next_due()
            line = self._feeding.speaking
            for instrument in due.instruments:
                try:
                    now_said = await line.rest.history(instrument, "1m", due.since, due.until)
                except VenueUnavailable as error:
                    self._context.logger.warning("venue_unavailable", error=str(error))
                    break
                for said, now_says in due.revised(instrument, line.venue, now_said):
                    self._emit(BarRevised(**self._times(), instrument=instrument, said=said, now_said=now_says))

    def _times(self) -> dict[str, int]:
        now = self._context.clock.now()
        return {"ts_event": now, "ts_init": now}

    async def _mend(self, wants: list[Want]) -> bool:
        has_mended, trouble = False, None
        for want in wants:
            line = self._feeding.speaking
            try:
                bars, final = await self._minutes(line, want)
            except VenueUnavailable as error:  # the other instruments' minutes are asked for all the same
                trouble = error
                await self._leave_behind(line, want)
                continue
            self._failing.pop(want.instrument, None)
            if line is not self._feeding.speaking:
                return True
            if final > want.since:
                repaired = self._desk.repair(want.instrument, bars, final, self._context.clock.now())
                has_mended = has_mended or not repaired.is_behind
                for bar, reference_px in repaired.refused:
                    self._feeding.tally.rejected_bar(bar, reference_px)
                if not repaired.agrees:
                    line.renew(want.instrument, "LOSES_TRADES")
        if trouble is not None:
            raise trouble
        return has_mended

    async def _leave_behind(self, line: VenueLine, want: Want) -> None:
        """An instrument whose bars alone the venue does not serve (delisted, halted) must not hold up those of all others.

        Its minutes leave as gaps, flat and marked; what the venue tells of them later is a revision.
        """
        since = self._failing.setdefault(want.instrument, time.monotonic())
        others = [name for name in line.instruments if name != want.instrument]
        if not others or time.monotonic() - since < self._settings.feed_left_behind_ms / 1000:
            return
        try:
            await line.rest.last_px(others[0])
        except VenueUnavailable:
            return
        if line is self._feeding.speaking:
            self._feeding.tally.odd(line.venue, "LEFT_BEHIND", want.instrument)
            self._desk.give_up(want.instrument, want.until)

    async def _minutes(self, line: VenueLine, want: Want) -> tuple[list[Bar], int]:
        until, asked_at = self._asked_since.get(want.instrument, (0, 0.0))
        moment = time.monotonic()
        if until != want.until:
            self._asked_since[want.instrument] = (want.until, asked_at := moment)
        grace = self._settings.feed_grace_ms * MILLISECOND
        has_waited = moment - asked_at > max(grace / SECOND, STANDS_S)
        return await line.rest.minutes(want.instrument, want.since, want.until, grace=grace, waited=has_waited)
