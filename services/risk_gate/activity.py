"""How far an instrument moves within a bar and how much of it is traded in a day, from closed bars of one timeframe.

The gate folds the bars it hears itself: an agent that is mistaken about its own ATR cannot talk it into a stop. A bar counts once, in the order
of time; what comes late says nothing. The volume of a day is that of the hours that began within it, as far as they were heard: never
more than was traded, and less while the history is short.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.messages import Bar
from libs.common.money import to_decimal
from libs.common.timeframe import DAY, HOUR
from libs.trading.indicators import ATR

ATR_BARS = 14
SIZE_MAX = 1e15
"""No price and no volume of a bar is larger."""


class HourTraded(msgspec.Struct):
    """The bars that opened within the hour from `start` (ns) on: how many, and their volume (base currency)."""

    start: int
    bars: int
    volume: float


class Activity(msgspec.Struct):
    """One instrument's; `ts` is the close (ns) of its newest bar."""

    ts: int = 0
    atr: ATR = msgspec.field(default_factory=lambda: ATR(ATR_BARS))
    hours: list[HourTraded] = []

    def add(self, bar: Bar) -> None:
        """Fold in the next bar."""
        if bar.ts_close <= self.ts or not _is_usable(bar):
            return
        self.ts = bar.ts_close
        self.atr.update(bar.high, bar.low, bar.close)
        start = bar.ts_open // HOUR * HOUR
        if not self.hours or self.hours[-1].start != start:
            self.hours = [hour for hour in self.hours if hour.start > start - DAY]
            self.hours.append(HourTraded(start, 0, 0.0))
        self.hours[-1].bars += 1
        self.hours[-1].volume += bar.volume

    def day_volume(self, now: int) -> Decimal | None:
        """Traded within the 24 hours before `now` (base currency), as far as it was heard; None if nothing was."""
        return self._sum(now)[0]

    def bar_volume(self, now: int) -> Decimal | None:
        """What the average bar of those hours traded."""
        volume, bars = self._sum(now)
        return None if volume is None else volume / bars

    def _sum(self, now: int) -> tuple[Decimal | None, int]:
        heard = [hour for hour in self.hours if now - DAY <= hour.start <= now]
        volume = to_decimal(sum(hour.volume for hour in heard))
        return (volume if volume > 0 else None), sum(hour.bars for hour in heard)


class Activities(msgspec.Struct):
    """Of all instruments, from bars of `timeframe`."""

    timeframe: str = ""
    of: dict[str, Activity] = {}

    def observe(self, bars: Iterable[Bar], timeframe: str) -> None:
        """Take in closed bars; with another timeframe everything is learnt anew."""
        if self.timeframe != timeframe:
            self.timeframe, self.of = timeframe, {}
        for bar in bars:
            if bar.timeframe != timeframe:
                continue
            activity = self.of.get(bar.instrument)
            if activity is None:
                activity = self.of[bar.instrument] = Activity()
            activity.add(bar)

    def atr(self, instrument: str) -> Decimal | None:
        """The average true range of fourteen bars, a distance; None before there were so many."""
        known = self.of.get(instrument)
        return None if known is None or known.atr.value is None else to_decimal(known.atr.value)

    def day_volume(self, instrument: str, now: int) -> Decimal | None:
        """See `Activity`."""
        return self.of[instrument].day_volume(now) if instrument in self.of else None

    def bar_volume(self, instrument: str, now: int) -> Decimal | None:
        """See `Activity`."""
        return self.of[instrument].bar_volume(now) if instrument in self.of else None


def _is_usable(bar: Bar) -> bool:
    if not (0.0 <= bar.low <= bar.high <= SIZE_MAX):
        return False
    return 0.0 <= bar.close <= SIZE_MAX and 0.0 <= bar.volume <= SIZE_MAX
