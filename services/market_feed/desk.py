"""What the feed says, decided from checked frames, REST answers and instants. Pure: no socket, no clock of its own.

Theory of operation. Every trade and quote of the venue that speaks passes its instrument's price filter (sanity.py); only what is
believed moves marks and enters bars. Per instrument a `Tape` folds trades; where a venue counts its trades one by one, a step of
one proves that nothing was lost, and any other step damages the minutes between. A minute may leave when every instrument has it
proven: a later trade, or the venue's own bar by `repair`. `wants` names the minutes that need that bar: the damaged ones once
they are over (everything before the first trade after a start is damaged, so a back-fill after an outage is no special case), and,
one `grace` later, the silent ones, because a socket that says nothing proves nothing.

    trade ─▶ Tape (ids) ─▶ PriceFilter ─┬─ believed ─▶ Tape (bars), MarkBoard ─▶ say: trust, marks, bars
                                        ├─ held     (the minute waits, and is asked for by REST if it is over before the doubt is)
                                        └─ rejected ─▶ whoever called

All bars closing at one instant are one `feed.bars`; its id follows from the instant, so the same bars are never two events.
Prices known by then leave before it. `switch` lets another venue speak: its bars go on where the last ones ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    Bar,
    FeedBars,
    Message,
    PriceTrustChanged,
    QuoteChanged,
    TradePrinted,
)
from libs.common.timeframe import MINUTE, SECOND, STEP, bar_open
from services.market_feed.doubt import SanityLimits
from services.market_feed.klines import sift
from services.market_feed.marks import Cadence, MarkBoard
from services.market_feed.record import FeedRecord
from services.market_feed.sanity import Judgement, PriceFilter, Rejection, TrustChange
from services.market_feed.tape import Settled, Tape, Verdict
from services.market_feed.volatility import prior_of

DOUBT_WAIT = 5 * SECOND
REST_BEHIND_MAX = 10 * SECOND
"""A minute of which REST knows less than we heard waits so long for it."""


class Want(msgspec.Struct, frozen=True):
    """The venue's own one-minute bars of `instrument` from `since` to `until` (ns, opening and end) are needed."""

    instrument: str
    since: int
    until: int


class Heard(msgspec.Struct, frozen=True):
    """What became of a print: how it stands in the venue's own count (trades only), and what is now rejected."""

    verdict: Verdict = Verdict.FOLLOWS
    rejected: tuple[Rejection, ...] = ()
    late: int = 0


class Repaired(msgspec.Struct, frozen=True):
    """What became of a repair: whether our own count agreed with the venue's, whether REST is behind its own stream and must be
    asked again, and bars nobody may believe, with their reference."""

    agrees: bool
    is_behind: bool = False
    refused: tuple[tuple[Bar, float], ...] = ()


class Desk:
    """Everything the feed knows between two messages. `record` is what a former life has said."""

    def __init__(
        self,
        venue: str,
        instruments: tuple[str, ...],
        cadence: Cadence,
        grace: int,
        limits: SanityLimits | None = None,
        record: FeedRecord | None = None,
    ):
        self.venue = venue
        self.board = MarkBoard(venue, instruments, cadence)
        self._grace = grace
        self._limits = limits or SanityLimits()
        self._order = {instrument: place for place, instrument in enumerate(instruments)}
        self._tapes: dict[str, Tape] = {}
        self._filters: dict[str, PriceFilter] = {}
        self._late = 0
        for instrument in instruments:
            self._filters[instrument] = self._filter_from(record or FeedRecord(), instrument)
            if record is not None and instrument in record.marks:
                self.board.remember(record.marks[instrument])

    def begin(
        self, record: FeedRecord, *, counts_trades: bool = True, instruments: tuple[str, ...] | None = None
    ) -> None:
        """Bars begin where `record` ends; trades told before were prices only.

        `counts_trades`: the venue's ids are consecutive; `instruments`: those it lists, all if not told: no bar waits for the others.
        """
        self._tapes = {}
        for instrument in self._order if instruments is None else instruments:
            self._tapes[instrument] = Tape(
                instrument,
                self.venue,
                since=record.boundary,
                seed=record.bars.get(instrument, ()),
                counts=counts_trades,
            )

    def switch(
        self, venue: str, record: FeedRecord, *, counts_trades: bool, instruments: tuple[str, ...] | None = None
    ) -> tuple[Rejection, ...]:
        """From now on `venue` speaks; the other one's last prices are what to judge by. Returns what was held, rejected now."""
        self._late, rejected = self.late, ()
        self.venue = self.board.venue = venue
        for instrument, old in self._filters.items():
            rejected += old.give_up()
            self._filters[instrument] = old.at_another_venue(venue)
        if self._tapes:
            self.begin(record, counts_trades=counts_trades, instruments=instruments)
        return rejected

    # --- in ---------------------------------------------------------------------------------------------------

    def trade(self, trade: TradePrinted, now: int) -> Heard:
        """A trade was printed by the venue that speaks."""
        tape = self._tapes.get(trade.instrument)
        verdict = tape.note(trade) if tape is not None else Verdict.FOLLOWS
        if verdict is Verdict.DUPLICATE:
            self.board.seen(trade.instrument, now)
            return Heard(verdict)
        judgement = self._filters[trade.instrument].trade(trade, now)
        return self._apply(trade.instrument, judgement, now, verdict)

    def quote(self, quote: QuoteChanged, now: int) -> Heard:
        """The best bid and offer of the venue that speaks changed."""
        return self._apply(quote.instrument, self._filters[quote.instrument].quote(quote, now), now)

    def price(self, instrument: str, px: float, now: int) -> None:
        """The price of the last trade as REST tells it: a mark if it is believable, never a bar.

        Where nothing is believed yet it is a first opinion, which the first quote may confirm.
        """
        belief = self._filters[instrument]
        if belief.accepts(px, now):
            self.board.last(instrument, px, now)
        elif not belief.px:
            belief.opinion("REST", px, now)

    def opinion(self, venue: str, instrument: str, px: float, now: int) -> None:
        """Another venue has `instrument` at `px`."""
        self._filters[instrument].opinion(venue, px, now)

    def look(self, now: int) -> tuple[Rejection, ...]:
        """Time passes; to be called a few times a second. Returns what is rejected by it."""
        rejected: tuple[Rejection, ...] = ()
        for instrument, belief in self._filters.items():
            judgement = belief.look(now)
            rejected += self._apply(instrument, judgement, now, is_heard=False).rejected
        return rejected

    def repair(self, instrument: str, bars: Sequence[Bar], until: int, now: int = 0) -> Repaired:
        """The venue's own one-minute bars, final up to `until`; a minute not among them had no trades. They were asked for at `now`."""
        tape, belief = self._tapes[instrument], self._filters[instrument]
        held = belief.held
        kept, refused = sift(bars, tape.builder.last_px or 0.0, belief.px if belief.trust == "TRUSTED" else 0.0)
        said = {bar.ts_open: bar for bar in kept}
        wrong = [bar.ts_open for bar, _ in refused]
        found = {Settled.AGREES}
        for opens in range(tape.builder.closed_until or until, until, MINUTE):
            if not tape.builder.is_proven(opens):
                is_late = now - opens - MINUTE >= REST_BEHIND_MAX
                found.add(tape.settle(opens, said.get(opens), held, is_known=opens not in wrong, is_late=is_late))
        return Repaired(
            Settled.LOST_TRADES not in found,
            Settled.REST_IS_BEHIND in found,
            tuple(each for each in refused if each[0].ts_close <= until),
        )

    def give_up(self, instrument: str, until: int) -> None:
        """Nobody serves the bars of `instrument` up to `until`: what was not proven is a gap."""
        self.repair(instrument, [], until, until + REST_BEHIND_MAX)

    # --- out --------------------------------------------------------------------------------------------------

    def wants(self, now: int, *, is_still: bool = False) -> list[Want]:
        """The minutes that are over at `now` and need the venue's own bar; `is_still`: the clock stands, grace cannot pass."""
        wanted = []
        for instrument, tape in self._tapes.items():
            since, until = tape.builder.proven_until, 0
            ended = max(now, tape.builder.newest_ts)
            for opens in range(since, ended - MINUTE + 1, MINUTE):
                waits = (
                    0 if is_still or not tape.looks_whole(opens) else self._grace + self._doubt_wait(instrument, opens)
                )
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

    @property
    def closed_until(self) -> int:
        """The end of the last minute that left; 0 before `begin`."""
        return min((tape.builder.closed_until or 0 for tape in self._tapes.values()), default=0)

    def say(self, now: int, *, is_still: bool = False) -> list[Message]:
        """What is to be said at `now`, in this order. `is_still`: the clock stands, so whatever is new leaves."""
        said: list[Message] = self._trust(now)
        bars = self._bars(now)
        if self.board.is_due(now) or (self.board.has_news and (bars or is_still)):
            said.append(self.board.take(now))
        return [*said, *bars]

    @property
    def late(self) -> int:
        """How many trades came after their minute had left."""
        return self._late + sum(tape.builder.late for tape in self._tapes.values())

    # --- inside -----------------------------------------------------------------------------------------------

    def _filter_from(self, record: FeedRecord, instrument: str) -> PriceFilter:
        minutes = [bar.close for bar in record.bars.get(instrument, ()) if bar.timeframe == "1m"]
        prior, mark = prior_of(minutes, MINUTE), record.marks.get(instrument)
        if mark is None:
            return PriceFilter(self._limits, prior=prior)
        return PriceFilter(
            self._limits, px=mark.last_px, protective=mark.protective_px, at=mark.ts, trust=mark.trust, prior=prior
        )

    def _apply(
        self,
        instrument: str,
        judgement: Judgement,
        now: int,
        verdict: Verdict = Verdict.FOLLOWS,
        *,
        is_heard: bool = True,
    ) -> Heard:
        tape, belief, late = self._tapes.get(instrument), self._filters[instrument], 0
        if is_heard and tape is not None and not tape.listens_since:
            tape.listens_since = now
        for each in judgement.believed:
            if isinstance(each, QuoteChanged):
                self.board.quote(instrument, each.bid_px, each.ask_px, now)
            else:
                self.board.last(instrument, each.px, now)
                late += tape is not None and not tape.fold(each)
        for each, *_ in judgement.rejected:
            if tape is not None and isinstance(each, TradePrinted):
                tape.set_aside(each)
        self.board.believe(instrument, belief.trust, belief.protective)
        if belief.px and not self.board.has_last(instrument):
            self.board.last(instrument, belief.px, now)
        if is_heard and not judgement.believed:
            self.board.seen(instrument, now)
        return Heard(verdict, judgement.rejected, late)

    def _doubt_wait(self, instrument: str, opens: int) -> int:
        """How much longer a minute waits for its doubt to end before it leaves without the prints that are held."""
        held = self._filters[instrument].held
        return DOUBT_WAIT if any(bar_open(each.ts_event, "1m") == opens for each in held) else 0

    def _trust(self, now: int) -> list[Message]:
        said: list[Message] = []
        for instrument, belief in self._filters.items():
            for change in _first_and_last(belief.changes):
                said.append(
                    PriceTrustChanged(
                        venue=self.venue,
                        instrument=instrument,
                        before=change.before,
                        trust=change.trust,
                        reason=change.reason,
                        trusted_px=change.trusted_px,
                        protective_px=change.protective_px,
                        suspect_px=change.suspect_px,
                        band=change.band,
                        ts_event=change.at,
                        ts_init=now,
                    )
                )
            belief.changes.clear()
        return said

    def _bars(self, now: int) -> list[FeedBars]:
        closed: dict[int, list[Bar]] = {}
        until = self.ready_until
        for tape in self._tapes.values():
            for closing in tape.close_until(until):
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


def _first_and_last(changes: list[TrustChange]) -> list[TrustChange]:
    """Of many changes since the last look what began them and what they came to: a venue that flickers floods no log."""
    if len(changes) <= 2:
        return changes
    first, last = changes[0], changes[-1]
    return [first] if last.trust == first.trust else [first, last._replace(before=first.trust)]
