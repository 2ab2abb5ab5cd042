"""The portfolio: joins the agents' opinions into sized order intents, long only, one unresolved wish per instrument.

Theory of operation.

* **Joining** (`joining`). Only the agents named in the settings are heard, and only through their own writer. An opinion binds while its bar
  closed at most `signal_age_max` ago (or ahead: clocks differ), and counts by what it has earned and how fresh it is. What could bind
  nobody any more is not heard at all.
* **Entering** (`entering`) happens when signals arrive: an instrument that is held by nothing but dust and free of wishes gets a BUY with
  stop and target beyond the zones of the levels agent or at multiples of ATR (`exits`), sized by `sizing`. The price is the best ask if
  proven within `quote_age_max`, else the bar's close. Without equity, balance or the venue's rules there is no wish.
* **The model** (`leash`) is shown what the rules want to enter, and may veto or shrink it; its silence changes nothing.
* **What votes were worth** (`scorebook`) is counted at the feed's next close, and said once an hour.
* **Flattening.** Once the gate orders it, everything is sold as fast as the gate lets it be, nothing is entered, and the order is
  remembered until nothing is left that can be sold.
* **Leaving** (`leaving`) is looked at when signals and when marks arrive, so that a wish that was denied or got lost is made again.
  The whole position is sold, rounded down to the step; dust stays. The protective stop is the executor's business.
* **One wish at a time** (`book`): from the intent until the ledger has booked the last fill. A denial or a failed order
  pauses its side; an intent that nobody answers is let go at `valid_until` by a timer; an approval that comes after that,
  but still in time to become an order, is taken up again. An approval that no report follows (the executor could not read its
  seal) is let go long after it ran out. An UNKNOWN order is under way until the venue is heard.
"""

from __future__ import annotations

import re

import msgspec

from libs.common.messages import (
    AgentScore,
    AgentSignals,
    AgentsScored,
    AlertRaised,
    EntryJudged,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    FlattenOrdered,
    LevelsMapped,
    MacroOverrideChanged,
    MacroRegimes,
    Message,
    OrderApproved,
    OrderDenied,
    PositionChanged,
    Side,
    Signal,
    TimerFired,
)
from libs.common.money import ZERO
from libs.common.timeframe import MINUTE, STEP
from libs.runtime.machine import CancelTimer, Effect, Publish, Reject, SetTimer
from libs.trading.bar_faults import fault_of, misplaced
from services.signal_agents.portfolio import desk as desks
from services.signal_agents.portfolio.book import Book, Opinion, Plan, Quote, Wish
from services.signal_agents.portfolio.desk import HOUR, INTENT_TIMER, JUDGE_TIMER, Desk, rest_if_flat
from services.signal_agents.portfolio.entering import MODEL_ID, Result, consider, give_up, heard, told, waited
from services.signal_agents.portfolio.exits import Zones
from services.signal_agents.portfolio.facts import shown_facts
from services.signal_agents.portfolio.joining import claimed_p, joined
from services.signal_agents.portfolio.leaving import leave
from services.signal_agents.portfolio.scorebook import Vote, bars_of
from services.signal_agents.portfolio.wishes import Cause

PX_MIN, PX_MAX = 1e-12, 1e15
"""No price is this low or high: a number beyond is a fault of who sent it."""

FAILURE = re.compile(r"[a-z_]{0,40}")
UNANSWERED_NS = 10 * MINUTE
"""So long after an approval ran out without a report no order will come of it; the gate waits as long."""
CLOSED = ("FILLED", "CANCELED", "REJECTED", "EXPIRED")


class PortfolioMachine:
    """Opinions, prices, positions and verdicts in; order intents out."""

    Settings = desks.Settings
    State = desks.State

    def __init__(self, settings: desks.Settings):
        self.settings = settings
        self.state = desks.State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event."""
        match event:
            case AgentSignals():
                return self._hear(event, now)
            case FeedMarks():
                return self._mark(event, now)
            case FeedBars():
                return self._close(event)
            case FeedStatus():
                return self._learn_rules(event)
            case LevelsMapped() | MacroRegimes() | MacroOverrideChanged():
                return self._look_around(event)
            case EntryJudged():
                return self._judged(event, now)
            case EquityChanged():
                return self._count(event)
            case PositionChanged():
                self._book(event.instrument).post(event.exec_id, event.signed_qty, now)
            case OrderApproved():
                return self._approved(event, now)
            case OrderDenied():
                return self._denied(event, now)
            case ExecutionReport():
                return self._reported(event, now)
            case TimerFired():
                return self._due(event, now)
            case FlattenOrdered():
                return self._flatten(event, now)
        return []

    # --- what is known ----------------------------------------------------------------------------------------

    def _desk(self, now: int) -> Desk:
        return Desk(self.settings, self.state, now)

    def _book(self, instrument: str) -> Book:
        book = self.state.books.get(instrument)
        if book is None:
            book = self.state.books[instrument] = Book()
        return book

    def _learn_rules(self, status: FeedStatus) -> list[Effect]:
        for spec in status.specs:
            if min(spec.px_tick, spec.qty_step) <= ZERO or min(spec.qty_min, spec.notional_min, spec.taker_fee) < ZERO:
                return [
                    Reject("BAD_SPEC", f"{spec.instrument}: tick and step must be positive, nothing negative: {spec}")
                ]
        self.state.specs.update({spec.instrument: spec for spec in status.specs})
        return []

    def _count(self, money: EquityChanged) -> list[Effect]:
        self.state.equity, self.state.balance = money.equity, money.balance
        for book in self.state.books.values():
            book.passed_by(money.ts_init)
            book.cash_spent = ZERO
        return []

    def _look_around(self, said: LevelsMapped | MacroRegimes | MacroOverrideChanged) -> list[Effect]:
        """Remember where the zones are and what the weeks say; an instrument nobody trades is not remembered."""
        if isinstance(said, MacroOverrideChanged):
            if said.side == "BUY" and said.instrument in self.state.specs:
                self.state.overrides[said.instrument] = said.valid_until if said.state == "IN_FORCE" else 0
            return []
        if isinstance(said, MacroRegimes):
            self.state.regimes |= {
                each.instrument: each for each in said.regimes if each.instrument in self.state.specs
            }
            return []
        for each in said.maps:
            if each.instrument not in self.state.specs:
                continue
            if each.ready and each.atr is not None and 0.0 < each.atr < PX_MAX:
                self.state.zones[each.instrument] = Zones(end_ts=said.end_ts, atr=each.atr, zones=each.zones)
            else:
                self.state.zones.pop(each.instrument, None)
        return []

    def _close(self, batch: FeedBars) -> list[Effect]:
        """Bars have closed: the votes about them are resolved, and votes about the next ones may come."""
        end_ts, specs, scores = batch.end_ts, self.state.specs, self.state.scores
        for bar in batch.bars:
            flaw = fault_of(bar) or misplaced(bar, end_ts)
            if flaw or not PX_MIN <= bar.close < PX_MAX:
                return [Reject("BAD_BAR", flaw or f"{bar.instrument}: no price is {bar.close}")]
        for bar in batch.bars:
            if bar.instrument in specs:
                scores.closed(bars_of(bar.instrument, bar.timeframe), end_ts, bar.close, STEP[bar.timeframe])
        return []

    # --- what may lead to a wish ------------------------------------------------------------------------------

    def _hear(self, said: AgentSignals, now: int) -> list[Effect]:
        if said.producer != f"agent.{said.agent_id}":
            return [Reject("WRONG_AGENT", f"{said.producer} speaks as agent {said.agent_id!r}")]
        if said.agent_id not in self.settings.agents or abs(now - said.end_ts) > self.settings.signal_age_max:
            return []
        if faults := [fault for signal in said.signals if (fault := _fault_of(signal))]:
            return [Reject("BAD_SIGNAL", faults[0])]
        cause, desk = Cause(said.id, now + self.settings.intent_valid), self._desk(now)
        results: list[Result] = []
        for signal in said.signals:
            if signal.instrument in self.state.specs and self._note(said, signal, now):
                self._back(desk, signal.instrument)
                left = leave(desk, signal.instrument, cause)
                results.append(Result(effects=left) if left else consider(desk, signal.instrument, said.end_ts, cause))
        effects = told(desk, results, said.end_ts, said.correlation_id or said.id)
        return effects + self._scores_due(said.end_ts)

    def _note(self, said: AgentSignals, signal: Signal, now: int) -> bool:
        """Remember the opinion, and hold it for its outcome; False if the agent has already said as much of this bar or a later one."""
        opinions = self._book(signal.instrument).opinions
        last = opinions.get(said.agent_id)
        if last is not None and said.end_ts <= last.end_ts:
            return False
        is_flat = signal.ready and signal.stance == "FLAT"
        opinions[said.agent_id] = Opinion(
            end_ts=said.end_ts,
            ready=signal.ready,
            stance=signal.stance,
            close_px=signal.close_px,
            atr=signal.atr,
            flat_bars=(last.flat_bars if last is not None else 0) + 1 if is_flat else 0,
            story=said.correlation_id or said.id,
            strength=signal.strength,
            timeframe=signal.timeframe,
            evidence=shown_facts(signal.evidence) if self.settings.grip.mode != "off" else {},
        )
        if signal.ready and signal.stance != "FLAT":
            side = 1 if signal.stance == "LONG" else -1
            vote = Vote(agent_id=said.agent_id, is_model=False, side=side, p=claimed_p(signal.strength))
            self.state.scores.vote(bars_of(signal.instrument, signal.timeframe), said.end_ts, vote, now)
        return True

    def _back(self, desk: Desk, instrument: str) -> None:
        """Remember that the opinions are for the position, if they are."""
        book = self._book(instrument)
        if book.signed_qty > ZERO and joined(desk.voices(book), desk.terms).enters:
            book.backed_at = desk.now

    def _scores_due(self, end_ts: int) -> list[Effect]:
        """What the agents were worth, at the first signals of each hour."""
        book = self.state.scores
        if end_ts // HOUR <= book.told_at // HOUR or not book.tallies:
            return []
        book.told_at = end_ts
        scores: tuple[AgentScore, ...] = book.scores()
        return [Publish(AgentsScored(end_ts=end_ts, scores=scores)), *self._disproof()]

    def _disproof(self) -> list[Effect]:
        """Tell people when the record shows that the model is worse than no advice, and when it does not any more; each once."""
        coverage, is_disproved = self.state.coverage, self.state.scores.is_disproved(MODEL_ID)
        if is_disproved == coverage.is_disproved:
            return []
        coverage.is_disproved = is_disproved
        if is_disproved:
            text = f"{MODEL_ID}: its record is worse than a coin's with 95 % confidence: it is scored and not heard any more"
            return [Publish(AlertRaised(code="MODEL_DISPROVED", severity="ticket", text=text))]
        text = f"{MODEL_ID}: its record is no longer worse than a coin's: it is heard again"
        return [Publish(AlertRaised(code="MODEL_HEARD_AGAIN", severity="note", text=text))]

    def _judged(self, judged: EntryJudged, now: int) -> list[Effect]:
        if not 0.5 <= judged.p < 1.0:
            return [Reject("BAD_JUDGEMENT", f"{judged.instrument}: p {judged.p} must be in [0.5, 1)")]
        if not FAILURE.fullmatch(judged.failure):  # it is repeated in our own decision
            return [Reject("BAD_JUDGEMENT", f"{judged.instrument}: a failure is named by one word")]
        return heard(self._desk(now), judged, Cause(judged.id, now + self.settings.intent_valid))

    def _mark(self, marks: FeedMarks, now: int) -> list[Effect]:
        for mark in marks.marks:
            if not (0.0 < mark.bid_px < PX_MAX and 0.0 < mark.ask_px < PX_MAX):
                return [Reject("BAD_MARK", f"{mark.instrument}: bid {mark.bid_px}, ask {mark.ask_px}")]
        told: dict[str, Book] = {}
        for mark in marks.marks:
            book = told[mark.instrument] = self._book(mark.instrument)
            book.quote = Quote(bid_px=mark.bid_px, ask_px=mark.ask_px, ts=mark.ts)
        for instrument in marks.alive:
            book = told[instrument] = self._book(instrument)
            if book.quote is not None and book.quote.ts < marks.as_of:
                book.quote = msgspec.structs.replace(book.quote, ts=marks.as_of)
        cause, desk = Cause(marks.id, now + self.settings.intent_valid), self._desk(now)
        effects: list[Effect] = []
        for instrument, book in told.items():
            if book.signed_qty > ZERO:
                effects += leave(desk, instrument, cause)
        return effects

    def _flatten(self, order: FlattenOrdered, now: int) -> list[Effect]:
        self.state.flatten_reason = order.reason or "ordered"
        cause, desk = Cause(order.id, now + self.settings.intent_valid), self._desk(now)
        effects: list[Effect] = []
        for instrument in sorted(self.state.books):
            effects += give_up(desk, instrument, cause)
            effects += leave(desk, instrument, cause)
        rest_if_flat(desk)
        return effects

    # --- what becomes of a wish -------------------------------------------------------------------------------

    def _approved(self, order: OrderApproved, now: int) -> list[Effect]:
        book = self._book(order.instrument)
        if book.wish is None and now <= order.valid_until:
            cash = order.order_qty * order.ref_px if order.side == "BUY" else ZERO
            book.wish = Wish(intent_id=order.intent_id, side=order.side, cash=cash)
            if order.side == "BUY":
                book.plan = Plan(target_px=order.target_px, story=order.correlation_id)
        if book.wish is None or book.wish.intent_id != order.intent_id:
            return []
        if book.wish.stage == "INTENDED":
            book.wish.stage = "APPROVED"
        if book.wish.is_reported:
            return [CancelTimer(_timer_of(order.instrument))]
        book.wish.unanswered_at = order.valid_until + UNANSWERED_NS
        return [SetTimer(_timer_of(order.instrument), book.wish.unanswered_at)]

    def _denied(self, order: OrderDenied, now: int) -> list[Effect]:
        book = self._book(order.instrument)
        if book.wish is None or book.wish.intent_id != order.intent_id:
            return []
        book.wish = None
        book.pause(order.side, now + self._pause_of(order.side))
        return [CancelTimer(_timer_of(order.instrument))]

    def _reported(self, report: ExecutionReport, now: int) -> list[Effect]:
        book = self._book(report.instrument)
        is_new_fill = report.exec_type == "TRADE" and book.fill(report.exec_id, now)
        is_closed = report.ord_status in CLOSED
        if report.role not in ("ENTRY", "EXIT"):
            return []
        if book.wish is None and not is_closed:  # believed never sent, and yet the venue has it
            book.wish = Wish(intent_id=report.intent_id, side=report.side, stage="APPROVED", is_reported=True)
        wish = book.wish
        if wish is None or wish.intent_id != report.intent_id:
            return []
        wish.has_filled = wish.has_filled or is_new_fill
        was_reported, wish.is_reported = wish.is_reported, True
        if not is_closed or wish.stage == "CLOSED":
            return [] if was_reported else [CancelTimer(_timer_of(report.instrument))]
        wish.stage = "CLOSED"
        if report.ord_status != "FILLED":
            book.pause(wish.side, now + self._pause_of(wish.side))
        book.settle()
        return [CancelTimer(_timer_of(report.instrument))]

    def _due(self, timer: TimerFired, now: int) -> list[Effect]:
        if timer.name.startswith(JUDGE_TIMER):
            cause = Cause(timer.id, now + self.settings.intent_valid)
            return waited(self._desk(now), timer.name.removeprefix(JUDGE_TIMER), cause)
        book = self.state.books.get(timer.name.removeprefix(INTENT_TIMER))
        wish = book.wish if book is not None else None
        if book is not None and wish is not None and not wish.is_reported and timer.due >= wish.unanswered_at:
            book.wish = None
        return []

    def _pause_of(self, side: Side) -> int:
        return self.settings.denial_cooldown if side == "BUY" else self.settings.exit_retry


def _timer_of(instrument: str) -> str:
    return INTENT_TIMER + instrument


def _fault_of(signal: Signal) -> str:
    """What makes `signal` unusable; empty if nothing does."""
    if not 0.0 < signal.close_px < PX_MAX or not 0.0 <= signal.atr < PX_MAX:
        return f"{signal.instrument}: close {signal.close_px} and ATR {signal.atr} must be a price and a distance"
    if signal.timeframe not in STEP:
        return f"{signal.instrument}: there are no {signal.timeframe!r} bars"
    if not 0.0 <= signal.strength <= 1.0:
        return f"{signal.instrument}: strength {signal.strength} must be in [0, 1]"
    return ""
