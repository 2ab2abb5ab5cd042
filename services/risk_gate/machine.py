"""The risk gate: every intent gets exactly one verdict, with every check and its numbers.

Facts change the view, intents are held against it, operators and the drawdown move the trading state:

    ACTIVE    entries and exits        HALT, or drawdown reaching `drawdown_halt` ──▶ HALTED
    REDUCING  exits only               REDUCE ──▶ REDUCING
    HALTED    exits only               RESUME (with a reason) ──▶ ACTIVE
                                       FLATTEN ──▶ HALTED, and everything is sold

The stages of the drawdown before the halt move nothing here, they are told (drawdown.py).

The drawdown halts once when it reaches its limit, and has everything sold where the settings say so. An operator who resumes is not halted again before it has recovered and fallen
anew; entries stay denied (DRAWDOWN) meanwhile. An operator's word against the weekly regime is `overrides`' business. No key is known here: approvals leave unsigned and the shell seals them.
"""

from __future__ import annotations

from decimal import localcontext
from typing import ClassVar

from libs.common.messages import (
    AgentSignals,
    AlertRaised,
    BreakerChanged,
    CapitalMoved,
    Check,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    FlattenCommanded,
    FlattenOrdered,
    InstrumentQuarantined,
    InstrumentReleased,
    LevelsMapped,
    MacroOverrideCommanded,
    MacroRegimes,
    Message,
    OperatorCommanded,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
    Reconciled,
    TimerFired,
    TradingState,
    TradingStateChanged,
)
from libs.common.timeframe import MILLISECOND
from libs.runtime.machine import Effect, Publish
from libs.trading.bar_runs import closed_by
from services.risk_gate.case import Case
from services.risk_gate.checks import evaluate
from services.risk_gate.drawdown import stages_told
from services.risk_gate.limits import Limits
from services.risk_gate.overrides import AUTHOR_CHARS_MAX, TEXT_CHARS_MAX, used
from services.risk_gate.view import ARITHMETIC, View

AUTHOR = "risk-gate"
CRASH_LOOP = "crash_loop"
"""The name of the executor's breaker that counts its starts."""
STATE_AFTER: dict[str, TradingState] = {"HALT": "HALTED", "REDUCE": "REDUCING", "RESUME": "ACTIVE"}


class RiskMachine:
    """Judges intents. `settings` are the limits, `state` is the view."""

    Settings: ClassVar[type[Limits]] = Limits
    State: ClassVar[type[View]] = View

    def __init__(self, settings: Limits):
        self.settings = settings
        self.state = View()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Take one fact, command or intent; see the module's head."""
        if isinstance(event, FeedMarks):  # no arithmetic of money
            self.state.on_marks(event)
            return []
        if isinstance(event, FeedBars):
            self.state.on_bars(event.bars, self.settings)
            return []
        if isinstance(event, AgentSignals):
            self.state.opinions.on_signals(event, self.settings.instruments)
            return []
        with localcontext(ARITHMETIC):
            match event:
                case OrderIntent():
                    return self._judge(event, now)
                case EquityChanged():
                    return self._on_equity(event)
                case OperatorCommanded():
                    return self._on_command(event)
                case FlattenCommanded():
                    return self._on_flatten(event)
                case MacroOverrideCommanded():
                    limits = self.settings
                    return self.state.overrides.on_command(event, limits.instruments, limits.macro, now)
                case TimerFired():
                    return self.state.overrides.on_timer(event, now)
                case Reconciled():
                    return self._on_reconciled(event)
                case BreakerChanged():
                    return self._on_breaker(event)
            self._learn(event, now)
        return []

    def _learn(self, event: Message, now: int) -> None:
        match event:
            case FeedHistory():  # venues put the open bar at its end: a part of a bar is none
                self.state.on_bars(closed_by(now, event.bars), self.settings)
            case DecisionsMade():
                self.state.opinions.on_decisions(event)
            case CapitalMoved():
                self.state.on_capital(event)
            case FeedStatus():
                self.state.on_feed_status(event, self.settings.venue)
            case ExecutionReport():
                self.state.on_report(event, now)
            case PositionChanged():
                self.state.on_position(event)
            case InstrumentQuarantined():
                self.state.on_quarantined(event)
            case InstrumentReleased():
                self.state.on_released(event)
            case MacroRegimes():
                self.state.on_regimes(event)
            case LevelsMapped():
                self.state.on_levels(event)

    # --- verdicts -----------------------------------------------------------------------------------------------

    def _judge(self, intent: OrderIntent, now: int) -> list[Effect]:
        self.state.forget(self.settings, now)
        checks = evaluate(intent, self.state, self.settings, now)
        reasons = tuple(check.code for check in checks if not check.passed)
        self.state.remember_intent(intent.intent_id, self.settings, now)
        if reasons:
            return [Publish(_denied(intent, reasons, checks))]
        valid_until = min(intent.valid_until, now + self.settings.approval_ttl_ms * MILLISECOND)
        case = Case(intent, self.state, self.settings, now)
        self.state.remember_approval(intent, case.order_in_flight(valid_until), now)
        override = case.override
        told = [] if override is None else [used(override, intent)]
        return [Publish(_approved(intent, valid_until, checks)), *told]

    def _on_reconciled(self, event: Reconciled) -> list[Effect]:
        unanswered = self.state.on_reconciled(event)
        if not unanswered:
            return []
        text = f"no report on approvals of {' '.join(each[:64] for each in unanswered)}: they became no order, nothing is reserved for them"
        return [Publish(AlertRaised(code="APPROVAL_UNANSWERED", severity="ticket", text=text[:600]))]

    def _on_breaker(self, event: BreakerChanged) -> list[Effect]:
        """An executor that crashes again and again halts trading: it must not go on by itself, however well its next start looks."""
        self.state.on_breaker(event)
        if event.name != CRASH_LOOP or event.state != "OPEN":
            return []
        return self._move_to("HALTED", f"the executor is in a crash loop: {event.reason}", AUTHOR)

    # --- trading state ------------------------------------------------------------------------------------------

    def _on_equity(self, event: EquityChanged) -> list[Effect]:
        self.state.on_equity(event)
        stages = stages_told(self.state, event, self.settings)
        limit = self.settings.drawdown_halt
        if event.drawdown < limit:
            self.state.drawdown_halted = False
            return stages
        if self.state.drawdown_halted:
            return []
        self.state.drawdown_halted = True
        reason = f"drawdown {event.drawdown} has reached {limit}"
        text = f"{reason}: equity {event.equity}, high-water mark {event.high_water_mark}; entries are halted"
        alert = Publish(AlertRaised(code="DRAWDOWN_HALT", severity="page", text=text))
        flatten = [Publish(FlattenOrdered(reason=reason, author=AUTHOR))] if self.settings.drawdown_flatten else []
        return [*self._move_to("HALTED", reason, AUTHOR), *flatten, alert]

    def _on_command(self, event: OperatorCommanded) -> list[Effect]:
        author = (event.author or event.producer)[:AUTHOR_CHARS_MAX]
        if event.command == "RESUME" and not event.reason.strip():
            text = f"RESUME by {author} is refused: say why with a reason; trading stays {self.state.trading_state}"
            return [Publish(AlertRaised(code="RESUME_WITHOUT_REASON", severity="ticket", text=text))]
        moved = self._move_to(STATE_AFTER[event.command], event.reason[:TEXT_CHARS_MAX], author)
        if moved:
            return moved
        text = f"{event.command} by {author} changes nothing: trading is {self.state.trading_state} already"
        return [Publish(AlertRaised(code="COMMAND_WITHOUT_EFFECT", severity="note", text=text))]

    def _on_flatten(self, event: FlattenCommanded) -> list[Effect]:
        """Halted first, so that nothing is bought again behind the sale. Said twice it is ordered twice: the portfolio may have missed a price."""
        author, reason = (event.author or event.producer)[:AUTHOR_CHARS_MAX], event.reason[:TEXT_CHARS_MAX]
        ordered = Publish(FlattenOrdered(reason=reason, author=author))
        return [*self._move_to("HALTED", f"flatten: {reason}"[:TEXT_CHARS_MAX], author), ordered]

    def _move_to(self, state: TradingState, reason: str, author: str) -> list[Effect]:
        previous = self.state.trading_state
        if state == previous:
            return []
        self.state.trading_state = state
        return [Publish(TradingStateChanged(state=state, previous=previous, reason=reason, author=author))]


def _approved(intent: OrderIntent, valid_until: int, checks: tuple[Check, ...]) -> OrderApproved:
    return OrderApproved(
        intent_id=intent.intent_id,
        instrument=intent.instrument,
        side=intent.side,
        ord_type=intent.ord_type,
        time_in_force=intent.time_in_force,
        order_qty=intent.order_qty,
        limit_px=intent.limit_px,
        ref_px=intent.ref_px,
        stop_px=intent.stop_px,
        target_px=intent.target_px,
        reduce_only=intent.reduce_only,
        valid_until=valid_until,
        checks=checks,
    )


def _denied(intent: OrderIntent, reasons: tuple[str, ...], checks: tuple[Check, ...]) -> OrderDenied:
    return OrderDenied(
        intent_id=intent.intent_id,
        instrument=intent.instrument,
        side=intent.side,
        order_qty=intent.order_qty,
        reasons=reasons,
        checks=checks,
    )
