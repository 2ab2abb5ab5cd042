"""The bars that have left, kept for a quarter of an hour to be compared with what the venue tells of them then.

Venues revise their candles: late trades, corrections, an outage made up for. What decisions were made on stays as it is; that it
is no longer what the venue says is a fact about the data, and told as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from libs.common.messages import Bar, FeedBars
from libs.common.timeframe import bar_open, closes_at
from libs.trading.bars import volume_units

AUDITED = "15m"
"""The minutes of one such bar are compared together, once it has closed."""
WAITING_MAX = 4


class Due(msgspec.Struct, frozen=True):
    """Minutes that left from `since` to `until` (ns), by instrument and opening."""

    since: int
    until: int
    said: dict[str, dict[int, Bar]]

    @property
    def instruments(self) -> tuple[str, ...]:
        """Of which instruments minutes have left."""
        return tuple(self.said)

    def revised(self, instrument: str, venue: str, now_said: Sequence[Bar]) -> Iterator[tuple[Bar, Bar]]:
        """Each bar that `venue` now tells otherwise, as it left and as it is told; bars of another venue are no business of its."""
        for bar in now_said:
            said = self.said[instrument].get(bar.ts_open)
            if said is not None and said.venue == venue and not _same(said, bar):
                yield said, bar


class BarAudit:
    """Collects what leaves; hands out a quarter of an hour at a time, the newest few if nobody asks."""

    def __init__(self) -> None:
        self._said: dict[str, dict[int, Bar]] = {}
        self._due: asyncio.Queue[Due] = asyncio.Queue()

    def hear(self, message: FeedBars) -> None:
        """Bars have left."""
        for bar in message.bars:
            if bar.timeframe == "1m":
                self._said.setdefault(bar.instrument, {})[bar.ts_open] = bar
        if closes_at(message.end_ts, AUDITED):
            if self._due.qsize() >= WAITING_MAX:
                self._due.get_nowait()
            self._due.put_nowait(Due(bar_open(message.end_ts - 1, AUDITED), message.end_ts, self._said))
            self._said = {}

    async def next_due(self) -> Due:
        """The next quarter of an hour that can be compared."""
        return await self._due.get()


def _same(said: Bar, now_said: Bar) -> bool:
    if said.synthetic and now_said.volume == 0:
        return True
    prices = ("open", "high", "low", "close")
    return volume_units(said.volume) == volume_units(now_said.volume) and all(
        getattr(said, name) == getattr(now_said, name) for name in prices
    )
