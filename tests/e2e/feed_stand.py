"""A feed on a venue that can be hurt, and what must be true afterwards: every instant once, and the bars the venue's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from libs.common.messages import Bar, FeedStatus, PrintRejected, TradePrinted
from libs.common.timeframe import MINUTE, TIMEFRAMES
from services.exchange_sim.faults import Fault
from tests.e2e.feed_bench import INSTRUMENTS, Feed, Log, Venue, settled

CLOSES_S_MAX = 3.0
SLACK_S = 6.0
"""What a busy machine may add to any limit."""


class Stand:
    """One feed on one venue, from its first bar on."""

    def __init__(self, venue: Venue, log: Log | None = None, **settings: Any):
        self.venue = venue
        self.log = log or Log()
        self.start = venue.clock.now()
        self.feed = Feed(venue, self.log, **settings)

    async def begun(self) -> None:
        """The feed has declared itself and published its history."""
        await settled(lambda: len(self.log.history) >= len(INSTRUMENTS) * len(TIMEFRAMES), "history", self.feed)

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Return once `is_so()`."""
        await settled(is_so, what, self.feed)

    async def within(self, seconds: float, is_so: Callable[[], bool], what: str) -> None:
        """Return once `is_so()`, which must be within so many seconds of our own, and what a busy machine adds."""
        await settled(is_so, what, self.feed, seconds + SLACK_S)

    # --- the venue ------------------------------------------------------------------------------------------------

    def hurt(self, *faults: Fault) -> list[int]:
        """Script faults; their ids."""
        return [self.venue.server.faults.add(fault).get("id", 0) for fault in faults]

    def heal(self) -> None:
        """End all faults."""
        self.venue.server.faults.end()

    def struck(self) -> int:
        """How often the faults that still stand have struck."""
        return sum(each["struck"] for each in self.venue.server.faults.shown()["active"])

    async def play(self, minutes: float) -> None:
        """Let a standing venue play so much."""
        await self.venue.advance(self.venue.clock.now() + int(minutes * MINUTE))

    async def whole_minutes(self, count: int) -> None:
        """Let a running venue play until so many more minutes have been told."""
        told = len(self.log.bars)
        await self.until(lambda: len(self.log.bars) >= told + count, f"{count} more minutes")

    async def told_of(self, venue: str, count: int) -> None:
        """Let a running venue play until the newest so many minutes are this venue's: those before a switch come after it."""
        await self.until(
            lambda: [bar.venue for bar in self.said(INSTRUMENTS[0])][-count:] == [venue] * count,
            f"{count} minutes of {venue}",
        )

    # --- what the feed says ---------------------------------------------------------------------------------------

    @property
    def epochs(self) -> dict[str, int]:
        """How many connections each socket of the venue that speaks has had."""
        reader = self.feed.adapter.speaking.reader
        return {} if reader is None else {link.name: link.epoch for link in reader.links}

    @property
    def are_up(self) -> bool:
        """Whether every socket of the venue that speaks answers."""
        return self.feed.adapter.speaking.are_up

    @property
    def status(self) -> FeedStatus:
        """The newest one."""
        return self.log.of(FeedStatus)[-1]

    def refused(self, *reasons: str) -> bool:
        """Whether a frame was refused for one of these reasons, in an event and in a metric."""
        told = {each.reason for each in self.log.market if isinstance(each, PrintRejected) and each.kind == "FRAME"}
        return any(reason in told and self.counted(reason) for reason in reasons)

    def counted(self, reason: str) -> float:
        """How many odd frames of this reason the metric shows."""
        metric = self.feed.context.registry.collect()
        samples = [sample for family in metric for sample in family.samples]
        odd = (each for each in samples if each.name == "bulkhead_feed_odd_frames_total")
        return sum(each.value for each in odd if each.labels["reason"] == reason)

    def told_trades(self, instrument: str) -> list[int]:
        """The ids of the trades told, in order."""
        told = (each for each in self.log.market if isinstance(each, TradePrinted))
        return [int(each.trade_id) for each in told if each.instrument == instrument]

    # --- bars -----------------------------------------------------------------------------------------------------

    async def bars_until(self, minute: int) -> None:
        """The bars of so many minutes have been told."""
        end = self.start + minute * MINUTE
        await self.until(lambda: bool(self.log.bars) and self.log.bars[-1].end_ts >= end, f"bars of minute {minute}")

    def said(self, instrument: str, timeframe: str = "1m") -> list[Bar]:
        """The bars told of one series."""
        bars = (bar for each in self.log.bars for bar in each.bars)
        return [bar for bar in bars if (bar.instrument, bar.timeframe) == (instrument, timeframe)]

    def are_in_step(self) -> bool:
        """Whether every minute was told once, for every instrument."""
        ends = [each.end_ts for each in self.log.bars]
        whole = all(
            [bar.instrument for bar in each.bars if bar.timeframe == "1m"] == [*INSTRUMENTS] for each in self.log.bars
        )
        return whole and all(later - earlier == MINUTE for earlier, later in pairwise(ends))

    async def own(self, instrument: str, venue: str = "") -> list[Bar]:
        """What the venue itself says of the minutes told."""
        said = self.said(instrument)
        rest = self.feed.adapter.lines[venue].rest if venue else self.feed.rest
        return await rest.history(instrument, "1m", said[0].ts_open, said[-1].ts_close)

    async def assert_each_as_its_venue_says(self) -> None:
        """Every instant once, and every minute as the venue it names has it."""
        assert self.are_in_step()
        for instrument in INSTRUMENTS:
            said = self.said(instrument)
            own = {venue: await self.own(instrument, venue) for venue in {bar.venue for bar in said}}
            assert said == [own[bar.venue][place] for place, bar in enumerate(said)]

    async def assert_undisturbed(self) -> None:
        """Every instant once, and all bars as the market really was."""
        assert self.are_in_step()
        for instrument in INSTRUMENTS:
            assert self.said(instrument) == await self.own(instrument)


@asynccontextmanager
async def standing(folder: Path, *, market: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Stand]:
    """A feed that has begun, on a market in lock-step unless `market` says otherwise. It closes in time, whatever hurts it."""
    async with Venue(folder, **(market or {"sim_mode": "step"})) as venue:
        stand = Stand(venue, **{"feed_grace_ms": 0, **settings})
        try:
            await stand.begun()
            await stand.until(lambda: all(line.are_up for line in stand.feed.adapter.lines.values()), "every socket up")
            yield stand
        finally:
            async with asyncio.timeout(CLOSES_S_MAX):
                await stand.feed.close()
