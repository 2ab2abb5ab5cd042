"""When prices enter the log: pure cadence, no clock.

Theory of operation. One `feed.marks` for all instruments that moved, at most every `interval`; a move of the mid or of the
protective price above `jump_bps`, and any change of trust, leaves at once, but never sooner than `gap` after the message before; and at least every `heartbeat` a message
leaves even when nothing moved, because time itself enters the log this way. Each message names in `alive` every instrument of
which any frame was seen within `alive_window`: quiet is not stale, silent is.

An instrument is told once both a quote and a last price of it are known. A caller that sees the clock stand still (lock-step)
takes what is pending by `take`: no interval will ever pass for it.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import FeedMarks, Mark, Trust

Prices = tuple[float, float, float, float, Trust]


class Cadence(msgspec.Struct, frozen=True, kw_only=True):
    """How often prices enter the log (ns; `jump_bps` in hundredths of a percent of the mid)."""

    interval: int
    gap: int
    heartbeat: int
    alive_window: int
    jump_bps: float


class _Line(msgspec.Struct):
    """One instrument: its prices now and as last told."""

    bid_px: float = 0.0
    ask_px: float = 0.0
    last_px: float = 0.0
    protective_px: float = 0.0
    trust: Trust = "RESYNC"
    seen_at: int = 0
    told: Prices | None = None

    @property
    def prices(self) -> Prices:
        return (self.bid_px, self.ask_px, self.last_px, self.protective_px, self.trust)

    @property
    def is_known(self) -> bool:
        return self.bid_px > 0 and self.last_px > 0 and self.protective_px > 0

    @property
    def has_moved(self) -> bool:
        return self.is_known and self.told != self.prices

    def has_jumped(self, jump_bps: float) -> bool:
        if not self.has_moved or self.told is None:
            return self.has_moved
        before, share = (self.told[0] + self.told[1]) / 2, jump_bps / 10_000
        return (
            self.trust != self.told[4]
            or abs((self.bid_px + self.ask_px) / 2 - before) > before * share
            or abs(self.protective_px - self.told[3]) > before * share
        )


class MarkBoard:
    """The prices of all instruments and what of them has been told."""

    def __init__(self, venue: str, instruments: tuple[str, ...], cadence: Cadence):
        self.venue = venue
        self._lines = {instrument: _Line() for instrument in instruments}
        self._cadence = cadence
        self._told_at: int | None = None
        self._has_news = False

    def quote(self, instrument: str, bid_px: float, ask_px: float, now: int) -> None:
        """The best bid and offer are these."""
        line = self._lines[instrument]
        line.bid_px, line.ask_px = bid_px, ask_px
        self.seen(instrument, now)

    def last(self, instrument: str, px: float, now: int) -> None:
        """The last trade was at `px`."""
        self._lines[instrument].last_px = px
        self.seen(instrument, now)

    def has_last(self, instrument: str) -> bool:
        """Whether the price of a last trade is known."""
        return self._lines[instrument].last_px > 0

    def believe(self, instrument: str, trust: Trust, protective_px: float) -> None:
        """So far the price is believed, and this is the price for stops."""
        line = self._lines[instrument]
        line.trust, line.protective_px = trust, protective_px

    def remember(self, mark: Mark) -> None:
        """What was told of an instrument in a former life: prices to go on from, not news."""
        line = self._lines.get(mark.instrument)
        if line is not None and not line.is_known:
            line.bid_px, line.ask_px, line.last_px = mark.bid_px, mark.ask_px, mark.last_px
            line.protective_px, line.trust, line.seen_at = mark.protective_px, mark.trust, mark.ts

    def seen(self, instrument: str, now: int) -> None:
        """A frame of `instrument` came: it is alive."""
        self._lines[instrument].seen_at = now
        self._has_news = True

    @property
    def has_news(self) -> bool:
        """Whether a frame came since the last message: there is something to tell, if only that somebody lives."""
        return self._has_news

    def is_due(self, now: int) -> bool:
        """Whether a message may leave at `now`."""
        if self._told_at is None or now < self._told_at:  # a wall clock can be set back
            return True
        return now - self._told_at >= self._wait()

    def _wait(self) -> int:
        lines = self._lines.values()
        if any(line.has_jumped(self._cadence.jump_bps) for line in lines):
            return self._cadence.gap
        return self._cadence.interval if any(line.has_moved for line in lines) else self._cadence.heartbeat

    def take(self, now: int) -> FeedMarks:
        """The message for `now`; whatever it tells counts as told."""
        moved = {name: line for name, line in self._lines.items() if line.has_moved}
        for line in moved.values():
            line.told = line.prices
        self._told_at, self._has_news = now, False
        return FeedMarks(
            venue=self.venue,
            as_of=now,
            marks=tuple(_mark(name, line) for name, line in moved.items()),
            alive=tuple(
                name
                for name, line in self._lines.items()
                if line.is_known and now - line.seen_at <= self._cadence.alive_window
            ),
            ts_event=now,
            ts_init=now,
        )


def _mark(instrument: str, line: _Line) -> Mark:
    return Mark(
        instrument=instrument,
        bid_px=line.bid_px,
        ask_px=line.ask_px,
        last_px=line.last_px,
        protective_px=line.protective_px,
        trust=line.trust,
        ts=line.seen_at,
    )
