"""The portfolio: joins the agents' opinions into sized order intents, long only, one unresolved wish per instrument.

Theory of operation.

* **Joining.** Only the agents named in the settings are heard, and only through their own writer. An opinion binds while its bar
  closed at most `signal_age_max` ago (or ahead: clocks differ). Entering needs every agent ready and LONG; leaving needs
  one that is ready and SHORT, or all of them ready and FLAT for `exit_flat_bars` bars in a row (0: FLAT never leaves).
* **Entering** happens when signals arrive: an instrument that is held by nothing but dust and free of wishes gets a BUY with
  stop and target at multiples of ATR, sized by `sizing`. The price is the best ask if proven within `quote_age_max`, else
  the bar's close. Without equity, balance or the venue's rules there is no wish. Too small to trade: no wish either.
* **Flattening.** Once the gate orders it, everything is sold as fast as the gate lets it be, nothing is entered, and the order is
  remembered until nothing is left that can be sold.
* **Leaving** is looked at when signals and when marks arrive, so that a wish that was denied or got lost is made again: the
  target comes first (best bid at or above it, in the story of the entry), then the opinions (in the story of the bar).
  The whole position is sold, rounded down to the step; dust stays. The protective stop is the executor's business.
* **One wish at a time** (`book`): from the intent until the ledger has booked the last fill. A denial or a failed order
  pauses its side; an intent that nobody answers is let go at `valid_until` by a timer; an approval that comes after that,
  but still in time to become an order, is taken up again. An UNKNOWN order is under way until the venue is heard.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import (
    AgentSignals,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    FlattenOrdered,
    InstrumentSpec,
    Message,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
    Side,
    Signal,
    TimerFired,
)
from libs.common.money import ZERO, floor_to_step, round_px, to_decimal
from libs.runtime.machine import CancelTimer, Effect, Publish, Reject, SetTimer
from services.signal_agents.portfolio.book import Book, Opinion, Plan, Quote, Wish
from services.signal_agents.portfolio.sizing import Funds, Limits, is_tradable, long_entry
from services.signal_agents.portfolio.wishes import Cause, Leave, buy, sell_all

PX_MAX = 1e15
"""No price is this high: a number beyond is a fault of who sent it."""

TIMER_PREFIX = "intent."

CLOSED = ("FILLED", "CANCELED", "REJECTED", "EXPIRED")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change a wish. Durations are ns."""

    agents: tuple[str, ...]
    limits: Limits
    exit_flat_bars: int
    signal_age_max: int
    quote_age_max: int
    intent_valid: int
    denial_cooldown: int
    exit_retry: int


class State(msgspec.Struct, kw_only=True):
    """Money as the ledger last told it, the venue's rules, a book per instrument, and why everything is to be sold ("": it is not)."""

    equity: Decimal | None = None
    balance: Decimal | None = None
    specs: dict[str, InstrumentSpec] = {}
    books: dict[str, Book] = {}
    flatten_reason: str = ""


class PortfolioMachine:
    """Opinions, prices, positions and verdicts in; order intents out."""

    Settings = Settings
    State = State

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event."""
        match event:
            case AgentSignals():
                return self._hear(event, now)
            case FeedMarks():
                return self._mark(event, now)
            case FeedStatus():
                return self._learn_rules(event)
            case EquityChanged():
                return self._count(event)
            case PositionChanged():
                self._book(event.instrument).post(event.exec_id, event.signed_qty)
            case OrderApproved():
                return self._approved(event, now)
            case OrderDenied():
                return self._denied(event, now)
            case ExecutionReport():
                return self._reported(event, now)
            case TimerFired():
                self._let_go(event)
            case FlattenOrdered():
                return self._flatten(event, now)
        return []

    # --- what is known ----------------------------------------------------------------------------------------

    def _book(self, instrument: str) -> Book:
        return self.state.books.setdefault(instrument, Book())

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
            book.cash_spent = ZERO
        return []

    # --- what may lead to a wish ------------------------------------------------------------------------------

    def _hear(self, said: AgentSignals, now: int) -> list[Effect]:
        if said.producer != f"agent.{said.agent_id}":
            return [Reject("WRONG_AGENT", f"{said.producer} speaks as agent {said.agent_id!r}")]
        if said.agent_id not in self.settings.agents or said.end_ts - now > self.settings.signal_age_max:
            return []
        if faults := [fault for signal in said.signals if (fault := _fault_of(signal))]:
            return [Reject("BAD_SIGNAL", faults[0])]
        cause = Cause(said.id, now + self.settings.intent_valid)
        effects: list[Effect] = []
        for signal in said.signals:
            if signal.instrument in self.state.specs and self._note(said, signal):
                effects += self._leave(signal.instrument, cause, now) or self._enter(signal.instrument, cause, now)
        return effects

    def _note(self, said: AgentSignals, signal: Signal) -> bool:
        """Remember the opinion; False if the agent has already said as much of this bar or a later one."""
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
        )
        return True

    def _mark(self, marks: FeedMarks, now: int) -> list[Effect]:
        for mark in marks.marks:
            if not (0.0 < mark.bid_px < PX_MAX and 0.0 < mark.ask_px < PX_MAX):
                return [Reject("BAD_MARK", f"{mark.instrument}: bid {mark.bid_px}, ask {mark.ask_px}")]
        for mark in marks.marks:
            self._book(mark.instrument).quote = Quote(bid_px=mark.bid_px, ask_px=mark.ask_px, ts=mark.ts)
        for instrument in marks.alive:
            book = self._book(instrument)
            if book.quote is not None:
                book.quote = msgspec.structs.replace(book.quote, ts=max(book.quote.ts, marks.as_of))
        cause = Cause(marks.id, now + self.settings.intent_valid)
        effects: list[Effect] = []
        for instrument in dict.fromkeys([*(mark.instrument for mark in marks.marks), *marks.alive]):
            effects += self._leave(instrument, cause, now)
        return effects

    def _flatten(self, order: FlattenOrdered, now: int) -> list[Effect]:
        self.state.flatten_reason = order.reason or "ordered"
        cause = Cause(order.id, now + self.settings.intent_valid)
        effects: list[Effect] = []
        for instrument in sorted(self.state.books):
            effects += self._leave(instrument, cause, now)
        self._rest_if_flat()
        return effects

    def _rest_if_flat(self) -> None:
        """Nothing that can be sold is left: the order is carried out."""
        if self.state.flatten_reason and not any(self._holds(instrument) for instrument in self.state.books):
            self.state.flatten_reason = ""

    def _holds(self, instrument: str) -> bool:
        """Whether something can be sold there, or may yet come of a wish that is under way."""
        book, spec = self._book(instrument), self.state.specs.get(instrument)
        if not book.is_free:
            return True
        if spec is None or book.quote is None:
            return book.signed_qty > ZERO
        return is_tradable(floor_to_step(book.signed_qty, spec.qty_step), to_decimal(book.quote.bid_px), spec)

    # --- wishes -----------------------------------------------------------------------------------------------

    def _enter(self, instrument: str, cause: Cause, now: int) -> list[Effect]:
        book, spec = self._book(instrument), self.state.specs[instrument]
        opinions = self._binding(book, now)
        self._rest_if_flat()
        if (
            self.state.flatten_reason
            or len(opinions) < len(self.settings.agents)
            or any(opinion.stance != "LONG" for opinion in opinions)
        ):
            return []
        if not book.is_free or now < book.entry_after or self.state.equity is None or self.state.balance is None:
            return []
        quote, lead = self._fresh_quote(book, now), opinions[0]
        px = to_decimal(quote.ask_px if quote is not None else lead.close_px)
        if book.signed_qty < ZERO or is_tradable(floor_to_step(book.signed_qty, spec.qty_step), px, spec):
            return []
        promised = sum((each.cash_promised for each in self.state.books.values()), ZERO)
        funds = Funds(equity=self.state.equity, free=self.state.balance - promised)
        entry = long_entry(px, to_decimal(lead.atr), funds, self.settings.limits, spec)
        if entry is None:
            return []
        book.plan = Plan(target_px=entry.target_px, story=lead.story)
        return self._wish(book, buy(instrument, entry, lead.story, cause), entry.cash)

    def _leave(self, instrument: str, cause: Cause, now: int) -> list[Effect]:
        book, spec = self._book(instrument), self.state.specs.get(instrument)
        if spec is None or book.signed_qty <= ZERO or not book.is_free or now < book.exit_after:
            return []
        leave = self._why_leave(book, spec, now)
        qty = floor_to_step(book.signed_qty, spec.qty_step)
        if leave is None or not is_tradable(qty, leave.px, spec):
            return []
        return self._wish(book, sell_all(instrument, qty, leave, cause), ZERO)

    def _why_leave(self, book: Book, spec: InstrumentSpec, now: int) -> Leave | None:
        quote, plan = self._fresh_quote(book, now), book.plan
        bid_px = None if quote is None else round_px(to_decimal(quote.bid_px), spec.px_tick, up=False)
        if self.state.flatten_reason and bid_px is not None:
            return Leave("flatten", plan.story if plan is not None else "", bid_px)
        if plan is not None and plan.target_px is not None and bid_px is not None and bid_px >= plan.target_px:
            return Leave("target", plan.story, bid_px)
        opinions, bars = self._binding(book, now), self.settings.exit_flat_bars
        against = [opinion for opinion in opinions if opinion.stance == "SHORT"]
        is_over = (
            bars > 0 and len(opinions) == len(self.settings.agents) and all(op.flat_bars >= bars for op in opinions)
        )
        if not against and not is_over:
            return None
        lead = (against or opinions)[0]
        px = bid_px if bid_px is not None else round_px(to_decimal(lead.close_px), spec.px_tick, up=False)
        return Leave("short" if against else "flat", lead.story, px)

    def _binding(self, book: Book, now: int) -> list[Opinion]:
        """The opinions that are ready and fresh, in the order of the settings."""
        known = [book.opinions[agent] for agent in self.settings.agents if agent in book.opinions]
        return [op for op in known if op.ready and now - op.end_ts <= self.settings.signal_age_max]

    def _fresh_quote(self, book: Book, now: int) -> Quote | None:
        return book.quote if book.quote is not None and now - book.quote.ts <= self.settings.quote_age_max else None

    def _wish(self, book: Book, intent: OrderIntent, cash: Decimal) -> list[Effect]:
        book.wish = Wish(intent_id=intent.intent_id, side=intent.side, cash=cash)
        return [Publish(intent), SetTimer(_timer_of(intent.instrument), intent.valid_until)]

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
        return [CancelTimer(_timer_of(order.instrument))]

    def _denied(self, order: OrderDenied, now: int) -> list[Effect]:
        book = self._book(order.instrument)
        if book.wish is None or book.wish.intent_id != order.intent_id:
            return []
        book.wish = None
        book.pause(order.side, now + self._pause_of(order.side))
        return [CancelTimer(_timer_of(order.instrument))]

    def _reported(self, report: ExecutionReport, now: int) -> list[Effect]:
        book = self._book(report.instrument)
        is_new_fill = report.exec_type == "TRADE" and book.fill(report.exec_id)
        is_closed = report.ord_status in CLOSED
        if report.role not in ("ENTRY", "EXIT"):
            return []
        if book.wish is None and not is_closed:  # believed never sent, and yet the venue has it
            book.wish = Wish(intent_id=report.intent_id, side=report.side, stage="APPROVED")
        wish = book.wish
        if wish is None or wish.intent_id != report.intent_id:
            return []
        wish.has_filled = wish.has_filled or is_new_fill
        if not is_closed or wish.stage == "CLOSED":
            return []
        wish.stage = "CLOSED"
        if report.ord_status != "FILLED":
            book.pause(wish.side, now + self._pause_of(wish.side))
        book.settle()
        return [CancelTimer(_timer_of(report.instrument))]

    def _let_go(self, timer: TimerFired) -> None:
        book = self.state.books.get(timer.name.removeprefix(TIMER_PREFIX))
        if book is not None and book.wish is not None and book.wish.stage == "INTENDED":
            book.wish = None

    def _pause_of(self, side: Side) -> int:
        return self.settings.denial_cooldown if side == "BUY" else self.settings.exit_retry


def _timer_of(instrument: str) -> str:
    return TIMER_PREFIX + instrument


def _fault_of(signal: Signal) -> str:
    """What makes `signal` unusable; empty if nothing does."""
    if not 0.0 < signal.close_px < PX_MAX or not 0.0 <= signal.atr < PX_MAX:
        return f"{signal.instrument}: close {signal.close_px} and ATR {signal.atr} must be a price and a distance"
    if not 0.0 <= signal.strength <= 1.0:
        return f"{signal.instrument}: strength {signal.strength} must be in [0, 1]"
    return ""
