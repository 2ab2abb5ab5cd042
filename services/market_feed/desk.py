"""What the feed says, decided from checked frames, REST answers and instants. Pure: no socket, no clock of its own.

Theory of operation. Per instrument a `BarBuilder` folds trades; trade ids are consecutive at the venue, so a step of one proves
that nothing was lost, and any other step damages the minutes between. A minute may leave when every instrument has it proven: a
later trade, or the venue's own bar by `repair`. `wants` names the minutes that need that bar: the damaged ones once they are
over (everything before the first trade after a start is damaged, so a back-fill after an outage is no special case), and, one
`grace` later, the silent ones, because a socket that says nothing proves nothing.

All bars closing at one instant are one `feed.bars`; its id follows from the instant, so the same bars are never two events.
Prices known by then leave before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import Bar, FeedBars, FeedMarks, QuoteChanged, TradePrinted
from libs.common.timeframe import MINUTE, STEP
from libs.trading.bars import BarBuilder
from services.market_feed.marks import Cadence, MarkBoard
from services.market_feed.record import FeedRecord


class Verdict(StrEnum):
    """What became of a trade."""

    FOLDED = "FOLDED"
    HOLE_BEFORE = "HOLE_BEFORE"
    DUPLICATE = "DUPLICATE"
    LATE = "LATE"


class Want(msgspec.Struct, frozen=True):
    """The venue's own one-minute bars of `instrument` from `since` to `until` (ns, opening and end) are needed."""

    instrument: str
    since: int
    until: int


class _Tape:
    """The trades of one instrument."""

    def __init__(self, builder: BarBuilder):
        self.builder = builder
        self.last_id: int | None = None
        self.last_ts = 0

    def print(self, trade: TradePrinted) -> Verdict:
        trade_id, ts = int(trade.trade_id), trade.ts_event
        if self.last_id is not None and trade_id <= self.last_id and ts <= self.last_ts:
            return Verdict.DUPLICATE
        is_first, follows = self.last_id is None, self.last_id is not None and trade_id == self.last_id + 1
        if not follows:  # a lower id at a later time: the venue has begun to count anew
            self.builder.damage(min(self.last_ts or self.builder.closed_until or ts, ts), ts)
        self.last_id, self.last_ts = trade_id, max(ts, self.last_ts)
        if not self.builder.trade(ts, trade.px, trade.qty):
            return Verdict.LATE
        return Verdict.FOLDED if follows or is_first else Verdict.HOLE_BEFORE


class Desk:
    """Everything the feed knows between two messages."""

    def __init__(self, venue: str, instruments: tuple[str, ...], cadence: Cadence, grace: int):
        self.venue = venue
        self.board = MarkBoard(instruments, cadence)
        self._grace = grace
        self._order = {instrument: place for place, instrument in enumerate(instruments)}
        self._tapes: dict[str, _Tape] = {}

    def begin(self, record: FeedRecord) -> None:
        """Bars begin where `record` ends; trades told before were prices only."""
        for instrument in self._order:
            builder = BarBuilder(instrument, self.venue, since=record.boundary)
            builder.seed(record.bars.get(instrument, ()))
            self._tapes[instrument] = _Tape(builder)

    # --- in ---------------------------------------------------------------------------------------------------

    def trade(self, trade: TradePrinted, now: int) -> Verdict:
        """A trade was printed."""
        tape = self._tapes.get(trade.instrument)
        verdict = tape.print(trade) if tape is not None else Verdict.FOLDED
        if verdict is Verdict.DUPLICATE:
            self.board.seen(trade.instrument, now)
        else:
            self.board.last(trade.instrument, trade.px, now)
        return verdict

    def quote(self, quote: QuoteChanged, now: int) -> None:
        """The best bid and offer changed."""
        self.board.quote(quote.instrument, quote.bid_px, quote.ask_px, now)

    def repair(self, instrument: str, bars: Sequence[Bar], until: int) -> bool:
        """The venue's own one-minute bars, final up to `until`; a minute not among them had no trades.

        Returns False if a minute that looked whole was not: its socket loses trades without a trace.
        """
        builder = self._tapes[instrument].builder
        said = {bar.ts_open: bar for bar in bars}
        agrees = True
        for opens in range(builder.closed_until or until, until, MINUTE):
            if builder.is_proven(opens):
                continue
            bar = said.get(opens)
            if self._looks_whole(instrument, opens):
                agrees = agrees and volume_of(bar) == builder.volume_of(opens)
            builder.repair(opens, bar)
        return agrees

    # --- out --------------------------------------------------------------------------------------------------

    def wants(self, now: int, *, is_still: bool = False) -> list[Want]:
        """The minutes that are over at `now` and need the venue's own bar; `is_still`: the clock stands, grace cannot pass."""
        wanted = []
        for instrument, tape in self._tapes.items():
            since, until = tape.builder.proven_until, 0
            ended = max(now, tape.builder.newest_ts)
            for opens in range(since, ended - MINUTE + 1, MINUTE):
                waits = 0 if is_still or not self._looks_whole(instrument, opens) else self._grace
                if not tape.builder.is_proven(opens) and ended >= opens + MINUTE + waits:
                    until = opens + MINUTE
            if until:
                wanted.append(Want(instrument, since, until))
        return wanted

    @property
    def ready_until(self) -> int:
        """The end of the last minute that is proven for every instrument; 0 before `begin`."""
        return min((tape.builder.proven_until for tape in self._tapes.values()), default=0)

    @property
    def is_ready(self) -> bool:
        """Whether a minute may leave."""
        return any(self.ready_until > (tape.builder.closed_until or 0) for tape in self._tapes.values())

    def say(self, now: int, *, is_still: bool = False) -> list[FeedMarks | FeedBars]:
        """What is to be said at `now`, in this order. `is_still`: the clock stands, so whatever is new leaves."""
        bars = self._bars(now)
        if self.board.is_due(now) or (self.board.has_news and (bars or is_still)):
            return [self.board.take(now), *bars]
        return list(bars)

    @property
    def late(self) -> int:
        """How many trades came after their minute had left."""
        return sum(tape.builder.late for tape in self._tapes.values())

    # --- inside -----------------------------------------------------------------------------------------------

    def _looks_whole(self, instrument: str, opens: int) -> bool:
        tape = self._tapes[instrument]
        return tape.last_id is not None and not tape.builder.is_damaged(opens)

    def _bars(self, now: int) -> list[FeedBars]:
        closed: dict[int, list[Bar]] = {}
        until = self.ready_until
        for tape in self._tapes.values():
            for closing in tape.builder.close_until(until):
                closed.setdefault(closing.end_ts, []).extend(closing.bars)
        said = []
        for end_ts in sorted(closed):
            message_id = derive_id("feed.bars", self.venue, end_ts)
            bars = sorted(closed[end_ts], key=lambda bar: (-STEP[bar.timeframe], self._order[bar.instrument]))
            said.append(
                FeedBars(
                    id=message_id,
                    correlation_id=message_id,
                    ts_event=end_ts,
                    ts_init=now,
                    end_ts=end_ts,
                    bars=tuple(bars),
                )
            )
        return said


def volume_of(bar: Bar | None) -> float:
    """The volume of a minute the venue has told, or has not told because nobody traded."""
    return 0.0 if bar is None else bar.volume
