"""The track record of the book in a log, as a backtest's is kept: by the same scribe, from the same events.

Money that was paid in or out is no return: it is taken out of the day it came (`Flow`), coins at the middle of the book at that moment, as the ledger values
them. What has no price is in nobody's equity, and becomes a flow when it gets one. A difference that an operator has accepted is no payment: where it was
lost or found it is a loss or a gain.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import CapitalMoved, EquityChanged, FeedMarks, FeedStatus, Mark, Message
from libs.research.scribe import Scribe
from libs.runtime.adapter import LogEntry
from libs.trading.daily_equity import DailyEquity, Flow, Observed, daily_equity
from libs.trading.round_trips import RoundTrips, round_trips
from libs.trading.track_record import TrackRecord, Trials, book_record


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """A book at the end of its log: days, round trips, and its equity as it was told last."""

    daily: DailyEquity
    trips: RoundTrips
    last: EquityChanged


class _Flows:
    """Money paid in and out, in the quote currency of what is traded, and the equity that was known before it."""

    def __init__(self) -> None:
        self.found: list[Flow] = []
        self.before: list[Observed] = []
        self._last: Observed | None = None
        self._instruments: dict[str, str] = {}
        self._marks: dict[str, Mark] = {}
        self._unvalued: dict[str, Decimal] = {}

    def take(self, message: Message) -> None:
        """The next event of the log."""
        match message:
            case FeedStatus():
                self._instruments.update((spec.base, spec.instrument) for spec in message.specs)
            case FeedMarks():
                self._marks.update((mark.instrument, mark) for mark in message.marks)
            case EquityChanged():
                self._last = Observed(message.ts_event, message.equity)
            case CapitalMoved(reason="TRANSFER"):
                self._unvalued[message.asset] = self._unvalued.get(message.asset, Decimal(0)) + message.amount
        if self._unvalued and not isinstance(message, EquityChanged):
            self._value(message.ts_init)

    def _value(self, ts: int) -> None:
        """Make flows of what has a price by now."""
        for asset, amount in list(self._unvalued.items()):
            if (px := self._px(asset)) is not None:
                del self._unvalued[asset]
                self.found.append(Flow(ts, amount * px))
                self.before += [] if self._last is None else [self._last]

    def _px(self, asset: str) -> Decimal | None:
        instrument = self._instruments.get(asset)
        if instrument is None:
            is_quote = any(each.endswith(f"-{asset}") for each in self._instruments.values())
            return Decimal(1) if is_quote else None
        mark = self._marks.get(instrument)
        if mark is None:
            return None
        px = (mark.bid_px + mark.ask_px) / 2 if mark.bid_px > 0 and mark.ask_px > 0 else mark.last_px
        return Decimal(str(px)) if px > 0 else None


class BookFold:
    """The book as the log grows: `take` one event after the other, `book` at any moment."""

    def __init__(self) -> None:
        self.scribe = Scribe()
        self._flows = _Flows()
        self._steps: dict[str, Decimal] = {}
        self._now = 0
        self._last: EquityChanged | None = None
        self._trips: tuple[int, RoundTrips] | None = None

    def take(self, seq: int, message: Message) -> None:
        """The next event of the log."""
        if isinstance(message, FeedStatus):
            self._steps.update({spec.instrument: spec.qty_step for spec in message.specs})
        elif isinstance(message, EquityChanged):
            self._last = message
        self._now = max(self._now, message.ts_init)
        self._flows.take(message)
        self.scribe(seq, message)

    @property
    def trips(self) -> RoundTrips:
        """The trades so far, from flat to flat."""
        count = len(self.scribe.fills)
        if self._trips is None or self._trips[0] != count:
            self._trips = count, round_trips(self.scribe.fills, self._steps)
        return self._trips[1]

    def book(self) -> Book | None:
        """The book from its first equity until now; None while there is no equity."""
        if self._last is None:
            return None
        observed = sorted(dict.fromkeys([*self._flows.before, *self.scribe.observed]), key=lambda each: each.ts)
        daily = daily_equity(observed, self._flows.found, now=max(self._now, observed[-1].ts))
        return Book(daily=daily, trips=self.trips, last=self._last)


def book_in(entries: Iterable[LogEntry]) -> Book | None:
    """The book of a log, from its first equity to the log's end; None while there is no equity."""
    fold = BookFold()
    for entry in entries:
        try:
            fold.take(entry.seq, decode_from(entry.subject, entry.payload))
        except BadEvent:
            continue
    return fold.book()


def paper_record(entries: Iterable[LogEntry]) -> TrackRecord | None:
    """What may be said of the book; None while there is no equity."""
    book = book_in(entries)
    return None if book is None else book_record(book.daily, book.trips, trials=Trials())
