"""What the feed has said, as the log tells it: enough to go on after a crash without a gap and without a repeat.

Theory of operation. `since` is the minute in which the feed first declared itself LIVE: history ends there and `feed.bars`
begin there, however often the feed died in between. From then on `end_ts` is the last closing instant said. `bars` holds, per
instrument, the newest 1m bar and the closed children of every higher bar still running, so the next higher bar comes from
what was said, not from what the venue says today. `marks` are what the price filter goes on from: the first print
after a restart is judged against the last trusted price, and a doubt outlives the process that had it.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import (
    Bar,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    Mark,
    Message,
    PriceTrustChanged,
    Timeframe,
)
from libs.common.timeframe import STEP, bar_open
from libs.trading.bars import PARENT


def history_key(instrument: str, timeframe: Timeframe) -> str:
    """The name under which the published history of one series is remembered."""
    return f"{instrument}.{timeframe}"


class FeedRecord(msgspec.Struct):
    """The feed's memory; all instants ns UTC. `history` maps a series to the close of the newest bar published of it."""

    since: int = 0
    end_ts: int = 0
    history: dict[str, int] = {}
    bars: dict[str, list[Bar]] = {}
    told: dict[str, int] = {}
    venue: str = ""
    has_trouble: bool = False
    marks: dict[str, Mark] = {}

    @property
    def boundary(self) -> int:
        """Where history ends and the next `feed.bars` begins; 0 before the first LIVE."""
        return max(self.since, self.end_ts)

    def hear(self, event: Message) -> None:
        """Take one of the feed's own messages, in the order of the log."""
        match event:
            case FeedStatus():
                self.venue = event.venue
                if event.state == "LIVE" and self.since == 0:
                    self.since = bar_open(event.ts_event, "1m")
            case FeedMarks():
                self.marks.update({mark.instrument: mark for mark in event.marks})
            case PriceTrustChanged():
                known = self.marks.get(event.instrument)
                if known is not None:
                    self.marks[event.instrument] = msgspec.structs.replace(
                        known, trust=event.trust, protective_px=event.protective_px
                    )
            case FeedHistory():
                newest = event.bars[-1].ts_close if event.bars else bar_open(self.boundary, event.timeframe)
                self.history[history_key(event.instrument, event.timeframe)] = newest
                self._keep(event.bars)
            case FeedBars():
                self.end_ts = event.end_ts
                self._keep(event.bars)
                for bar in event.bars:
                    self.told[bar.instrument] = event.end_ts

    def history_begins(self, instrument: str, timeframe: Timeframe, count: int) -> int:
        """The opening of the first bar of this series still to be published as history; the boundary's own bar if none is.

        An instrument that was not among the last ones told (new, or switched off for a while) gets what it missed as history.
        """
        published = self.history.get(history_key(instrument, timeframe), 0)
        told = bar_open(self.told[instrument], timeframe) if instrument in self.told else 0
        return max(published, told) or bar_open(self.boundary, timeframe) - count * STEP[timeframe]

    def _keep(self, bars: tuple[Bar, ...]) -> None:
        for instrument in dict.fromkeys(bar.instrument for bar in bars):
            kept = [*self.bars.get(instrument, ()), *(bar for bar in bars if bar.instrument == instrument)]
            newest = max((bar.ts_close for bar in kept if bar.timeframe == "1m"), default=0)
            self.bars[instrument] = [bar for bar in kept if self._is_needed(bar, newest)]

    def _is_needed(self, bar: Bar, newest: int) -> bool:
        if bar.timeframe == "1m" and bar.ts_close == newest:
            return True
        parent = PARENT.get(bar.timeframe)
        return parent is not None and bar.ts_open >= bar_open(self.boundary, parent)
