"""Bars from trades: one builder for live trading, back-tests and tests. Pure arithmetic, no clock.

Theory of operation. Trades fold into one-minute bars over [open, open + 1m). A minute leaves only when the caller closes it
(`close_until`), and then for ever: a later trade of that minute is counted in `late`, never folded. Higher bars are made from
closed children only (1m → 15m → 1h → 4h → 1d → 1w), and leave only if every child was there. A minute without trades is
filled flat at the last price with volume 0 (`synthetic`), so "all children" is not a matter of luck. A bar made from children of
several venues names them all.

What was not seen whole must not look whole. A minute is *damaged* when trades of it may be missing: it began before the
builder did, or the trade ids have a hole. A damaged minute never leaves, nor does any bar above it, unless `repair` replaces it
by the venue's own closed bar. `proven_until` says up to where every minute is either repaired, or undamaged and followed by a
trade of a later minute.

    closed_until          proven_until
    ─────┴── m ── m ── m ──────┴── m (open) ── m (its trades wait) ──▶
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from libs.common.messages import Bar, Timeframe
from libs.common.timeframe import ANCHOR, MINUTE, STEP, TIMEFRAMES, bar_open

VOLUME_UNIT = 100_000_000
"""Volumes are added as integers of 1e-8, the finest any venue prints, so that a sum equals the venue's own bar exactly."""

PARENT: dict[str, Timeframe] = dict(pairwise(TIMEFRAMES))


def volume_units(volume: float) -> int:
    """`volume` in units of 1e-8, without the error of multiplying a large float."""
    whole = int(volume)
    return whole * VOLUME_UNIT + round((volume - whole) * VOLUME_UNIT)


class Closing(msgspec.Struct, frozen=True):
    """All bars of one instrument that closed at `end_ts`, longest timeframe first."""

    end_ts: int
    bars: tuple[Bar, ...]


class _Minute:
    """The trades of one minute that has not been closed."""

    __slots__ = ("close", "high", "low", "open", "units")

    def __init__(self, px: float, units: int):
        self.open = self.high = self.low = self.close = px
        self.units = units

    def fold(self, px: float, units: int) -> None:
        self.high = max(self.high, px)
        self.low = min(self.low, px)
        self.close = px
        self.units += units


class Rollup:
    """One higher bar in the making, from closed bars of the next shorter timeframe."""

    def __init__(self, timeframe: Timeframe):
        self.timeframe = timeframe
        self._step, self._anchor = STEP[timeframe], ANCHOR.get(timeframe, 0)
        self._running: _Running | None = None
        self._upto = 0

    def fold(self, child: Bar) -> Bar | None:
        """Take the next closed child; returns the higher bar if it is complete with it. A child already taken changes nothing."""
        ts_open, ts_close = child.ts_open, child.ts_close
        if ts_close <= self._upto:
            return None
        since_open = (ts_open - self._anchor) % self._step
        if since_open == 0:
            self._running = _Running(child)
        elif self._running is not None and ts_open == self._upto:
            self._running.join(child)
        else:
            self._running = None  # an earlier child is missing: this bar will never be whole
        self._upto = ts_close
        if self._running is None or ts_close != ts_open - since_open + self._step:
            return None
        whole, self._running = self._running.whole(self.timeframe, ts_close), None
        return whole


class _Running:
    """The children so far of a bar that is not whole."""

    __slots__ = ("close", "first", "high", "low", "synthetic", "venue", "volume")

    def __init__(self, first: Bar):
        self.first = first
        self.high, self.low, self.close, self.volume = first.high, first.low, first.close, first.volume
        self.synthetic, self.venue = first.synthetic, first.venue

    def join(self, child: Bar) -> None:
        if child.high > self.high:
            self.high = child.high
        if child.low < self.low:
            self.low = child.low
        self.close = child.close
        self.volume = (volume_units(self.volume) + volume_units(child.volume)) / VOLUME_UNIT
        self.synthetic = self.synthetic and child.synthetic
        if self.venue != child.venue:
            self.venue = mixed(self.venue, child.venue)

    def whole(self, timeframe: Timeframe, ts_close: int) -> Bar:
        return msgspec.structs.replace(
            self.first,
            timeframe=timeframe,
            ts_close=ts_close,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
            synthetic=self.synthetic,
            venue=self.venue,
        )


def mixed(*venues: str) -> str:
    """The name of several venues together (`binance+kraken`): what a bar says that was made from bars of each."""
    return "+".join(sorted({name for venue in venues for name in venue.split("+")}))


class BarBuilder:
    """The bars of one instrument at one venue.

    `since` (ns, a minute's boundary) is the instant from which trades are told; everything before is closed. Without it the
    builder begins with its first trade, whose minute is damaged unless the trade stands exactly on its opening.
    """

    def __init__(self, instrument: str, venue: str, *, since: int | None = None):
        if since is not None and since % MINUTE:
            raise ValueError(f"since {since}: a builder begins on a minute's boundary")
        self.instrument = instrument
        self.venue = venue
        self.closed_until = since
        self.late = 0
        self.newest_ts = 0
        self._last_px: float | None = None
        self._minutes: dict[int, _Minute] = {}
        self._damaged: set[int] = set()
        self._repaired: dict[int, Bar | None] = {}
        self._affirmed: set[int] = set()
        self._rollups = tuple(Rollup(timeframe) for timeframe in TIMEFRAMES[1:])

    def seed(self, bars: Iterable[Bar]) -> None:
        """Continue the higher bars that were running, and the last price, from closed bars (any timeframes, any order).

        The children of every bar still running must be among `bars`; what they complete has been said by others and is dropped.
        """
        for bar in sorted(bars, key=lambda each: (each.ts_close, -STEP[each.timeframe])):
            if bar.timeframe == "1m":
                self._last_px = bar.close
                if self.closed_until is None or bar.ts_close > self.closed_until:
                    self.closed_until = bar.ts_close
            self._roll_up(bar)

    def trade(self, ts: int, px: float, qty: float) -> bool:
        """Fold one trade (ns, price, base quantity); False if its minute is closed already."""
        opens = bar_open(ts, "1m")
        if self.closed_until is None:
            self.closed_until = opens
            if ts != opens:
                self.damage(opens, opens)
        if opens < self.closed_until:
            self.late += 1
            return False
        self.newest_ts = max(self.newest_ts, ts)
        minute = self._minutes.get(opens)
        if minute is None:
            self._minutes[opens] = _Minute(px, volume_units(qty))
        else:
            minute.fold(px, volume_units(qty))
        return True

    def damage(self, since: int, until: int) -> None:
        """Trades from `since` to `until` (ns, both inclusive) may be missing; closed and repaired minutes are not touched."""
        opens = bar_open(since if self.closed_until is None else max(since, self.closed_until), "1m")
        self._damaged.update(each for each in range(opens, until + 1, MINUTE) if each not in self._repaired)

    def repair(self, opens: int, bar: Bar | None) -> None:
        """The minute at `opens` was `bar`, says the venue; None (or volume 0) if nobody traded. Its own trades are forgotten."""
        if self.closed_until is not None and opens < self.closed_until:
            return
        self._damaged.discard(opens)
        self._minutes.pop(opens, None)
        self._repaired[opens] = bar

    def affirm(self, opens: int) -> None:
        """The venue's own bar of the minute at `opens` says what was folded: nothing is missing, nothing will follow."""
        self._affirmed.add(opens)

    def volume_of(self, opens: int) -> float:
        """The volume folded from trades into the minute at `opens` so far."""
        minute = self._minutes.get(opens)
        return minute.units / VOLUME_UNIT if minute is not None else 0.0

    def is_proven(self, opens: int) -> bool:
        """Whether nothing can change the minute at `opens` any more."""
        if opens in self._repaired or opens in self._affirmed:
            return True
        return opens not in self._damaged and self.newest_ts >= opens + MINUTE

    def is_damaged(self, opens: int) -> bool:
        """Whether trades of the minute at `opens` may be missing."""
        return opens in self._damaged

    @property
    def last_px(self) -> float | None:
        """The close of the last minute that left."""
        return self._last_px

    @property
    def proven_until(self) -> int:
        """The end of the last minute, counted from `closed_until` on without a break, that nothing can change any more."""
        end = self.closed_until or 0
        while end and self.is_proven(end):
            end += MINUTE
        return end

    def close_until(self, ts: int) -> list[Closing]:
        """Close every minute that ended at or before `ts`; returns the bars that leave, by closing instant, in order."""
        closings: list[Closing] = []
        while self.closed_until is not None and self.closed_until + MINUTE <= ts:
            opens = self.closed_until
            self.closed_until = opens + MINUTE
            bar = self._minute_bar(opens)
            if bar is not None:
                closings.append(Closing(bar.ts_close, tuple(reversed([bar, *self._roll_up(bar)]))))
        return closings

    def _minute_bar(self, opens: int) -> Bar | None:
        """The bar of the minute at `opens`, taken out; None if it is damaged or no price is known."""
        minute = self._minutes.pop(opens, None)
        is_damaged = opens in self._damaged
        self._damaged.discard(opens)
        self._affirmed.discard(opens)
        if opens in self._repaired:
            bar = self._repaired.pop(opens)
        else:
            bar = self._bar(opens, minute) if minute is not None else None
        if bar is None or bar.volume == 0:
            bar = self._flat(opens, bar)
        if bar is not None:
            self._last_px = bar.close
        return None if is_damaged else bar

    def _flat(self, opens: int, said: Bar | None) -> Bar | None:
        """A minute nobody traded in: at the last price, else at what the venue said, else there is none."""
        px = self._last_px if self._last_px is not None or said is None else said.close
        return None if px is None else self._bar(opens, _Minute(px, 0))

    def _bar(self, opens: int, minute: _Minute) -> Bar:
        return Bar(
            instrument=self.instrument,
            venue=self.venue,
            timeframe="1m",
            ts_open=opens,
            ts_close=opens + MINUTE,
            open=minute.open,
            high=minute.high,
            low=minute.low,
            close=minute.close,
            volume=minute.units / VOLUME_UNIT,
            synthetic=minute.units == 0,
        )

    def _roll_up(self, bar: Bar) -> list[Bar]:
        """Hand a closed bar to the timeframes above it; returns what that completes, shortest first."""
        completed: list[Bar] = []
        for rollup in self._rollups[TIMEFRAMES.index(bar.timeframe) :]:
            whole = rollup.fold(bar)
            if whole is None:
                break
            completed.append(whole)
            bar = whole
        return completed
