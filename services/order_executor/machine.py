"""The executor's machine: approvals in, orders out, and everything the venue says of them.

The order of work in a turn is always the same: the event changes what we know (`approvals`, `answers`, `hearing`,
`account`), then every instrument that changed is looked at once (`settling`). Nothing here remembers a step of
a procedure; what to do next follows from how things stand.
"""

from __future__ import annotations

import msgspec

from libs.common.approval import verify
from libs.common.messages import (
    AccountRead,
    BalanceMoved,
    BaselineAccepted,
    CancelCommanded,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    Message,
    OperatorCommanded,
    OrderAnswered,
    OrderApproved,
    OrderLookedUp,
    PairAnswered,
    ProtectionImprovised,
    ReplaceAnswered,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    ServiceStopping,
    TimerFired,
    TradingStateChanged,
    UserStreamChanged,
    VenueChecked,
    VenueReported,
)
from libs.common.money import ZERO
from libs.runtime.machine import Effect
from services.order_executor import (
    account,
    breakers,
    capital,
    foreign,
    improvised,
    inquiries,
    taking_back,
    venue_check,
    watch,
)
from services.order_executor.answers import (
    cancel_answered,
    looked_up,
    pair_answered,
    replace_answered,
    submit_answered,
    unanswered,
)
from services.order_executor.approvals import Refusal, digest_of, judge, order_of
from services.order_executor.hearing import hear
from services.order_executor.orders import Order
from services.order_executor.sending import submit
from services.order_executor.settling import settle_turn
from services.order_executor.state import Policy, State, keep_last
from services.order_executor.turn import Turn


class OrderExecutorMachine:
    """Submits each approved intent once, protects positions, compares with the venue, never guesses."""

    Settings = Policy
    State = State

    def __init__(self, settings: Policy):
        self.settings = settings
        self.state = State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event."""
        turn = Turn(self.state, self.settings, now)
        match event:
            case FeedMarks():
                self._take_marks(event)
                watch.marks_moved(turn, event)
                if not turn.touched and not turn.ended:  # nothing to settle
                    return turn.effects
            case FeedStatus():
                self._take_specs(event)
                return []
            case OrderApproved():
                _take_approval(turn, event)
            case OrderAnswered() | OrderLookedUp():
                _take_answer(turn, event)
            case AccountRead():
                account.answered(turn, event)
            case PairAnswered():
                pair_answered(turn, event)
            case ReplaceAnswered():
                replace_answered(turn, event)
            case VenueChecked():
                venue_check.answered(turn, event)
            case ProtectionImprovised():
                improvised.adopt(turn, event)
            case BalanceMoved():
                capital.moved(turn, event)
                account.ask_if_open(turn)
            case BaselineAccepted():
                capital.accept(turn, event)
                account.ask_if_open(turn)
            case OperatorCommanded(command="RESUME"):
                breakers.close_all(turn, f"{event.author} says RESUME")
                _ask_what_stands(turn)
            case CancelCommanded():
                taking_back.commanded(turn, event)
            case TradingStateChanged(state="HALTED"):
                taking_back.take_back(turn, taking_back.resting_entries(turn))
            case ServiceStopping():
                _stop(turn)
            case RequestInterrupted() | RequestExpired():
                unanswered(turn, event.request_id, expired=isinstance(event, RequestExpired))
            case VenueReported():
                _take_report(turn, event)
            case TimerFired():
                _take_timer(turn, event.name)
            case GenesisDeclared():
                _take_genesis(turn, event)
            case ServiceStarted():
                _start(turn)
            case UserStreamChanged(connected=True):
                account.ask_if_open(turn)
                turn.touched.update(dict.fromkeys(self.state.holdings))
        settle_turn(turn)
        self._forget()
        return turn.effects

    def _take_marks(self, event: FeedMarks) -> None:
        for mark in event.marks:
            if mark.instrument in self.settings.instruments:
                self.state.marks[mark.instrument] = mark
        for instrument in event.alive:
            mark = self.state.marks.get(instrument)
            if mark is not None and mark.ts < event.as_of:
                self.state.marks[instrument] = msgspec.structs.replace(mark, ts=event.as_of)

    def _take_specs(self, event: FeedStatus) -> None:
        """Only the home venue's rules count: after a failover of data the orders stay where they are. Steps of nothing are none."""
        if self.settings.venue in ("", event.venue):
            usable = [spec for spec in event.specs if min(spec.px_tick, spec.qty_step) > ZERO]
            self.state.specs.update({spec.instrument: spec for spec in usable})

    def _forget(self) -> None:
        """Drop the oldest closed orders nobody depends on; their executions stay known."""
        excess = len(self.state.orders) - self.settings.orders_kept
        if excess <= 0:
            return
        owners = [holding.owner for holding in self.state.holdings.values()]
        for order in list(self.state.orders.values()):
            busy = order.inquiry is not None or order.looked_at or order.cancel_asked
            if order.is_closed and not busy and order.cl_ord_id not in owners:
                del self.state.orders[order.cl_ord_id]
                excess -= 1
                if not excess:
                    break
        self.state.reindex()


def _take_approval(turn: Turn, approval: OrderApproved) -> None:
    """Check the seal, recognise a repeat, refuse what must not be; then submit an entry, or let an exit wait its turn."""
    flaw = verify(turn.policy.gate_public_key, approval)
    if flaw is not None:
        turn.reject("BAD_SIGNATURE", f"intent {approval.intent_id[:64]}: {flaw}")
        return
    digest = digest_of(approval)
    known = turn.state.intents.get(approval.intent_id)
    if known is not None:
        if known != digest:
            turn.reject("INTENT_CHANGED", f"intent {approval.intent_id[:64]} was approved before with another content")
        return
    turn.state.intents[approval.intent_id] = digest
    keep_last(turn.state.intents, turn.policy.intents_kept)
    order = order_of(approval, turn.state, approval.correlation_id or approval.id)
    if turn.now > approval.valid_until:
        order.status = "EXPIRED"
        turn.report(order, "EXPIRED", "approved too long ago: never sent")
        return
    refusal = judge(approval, order, turn.state, turn.policy, turn.now) or _held_back(turn, order)
    if refusal is not None:
        if refusal.is_breach:
            turn.reject(refusal.reason, refusal.detail)
        order.status = "REJECTED"
        turn.report(order, "REJECTED", f"{refusal.reason}: {refusal.detail}: never sent")
    elif order.role == "EXIT":
        _queue_exit(turn, order)
    else:
        _submit_entry(turn, order)


def _held_back(turn: Turn, order: Order) -> Refusal | None:
    """What the breakers say of an entry. Exits never ask them."""
    if order.role == "EXIT":
        return None
    try:
        blocked = breakers.blocking(turn)
    except Exception as error:  # noqa: BLE001  a defect in a breaker must hold back entries, and nothing else
        blocked = f"a breaker is broken: {type(error).__name__}"
    return Refusal("BREAKER_OPEN", blocked, is_breach=False) if blocked else None


def _queue_exit(turn: Turn, order: Order) -> None:
    """An exit waits until its quantity is free; `protection.plan` sends it, at once if nothing stands in its way."""
    turn.state.holding(order.instrument).exits.append(order)
    turn.touched[order.instrument] = None
    turn.set_timer(f"wish:{order.cl_ord_id}", order.valid_until + 1)


def _submit_entry(turn: Turn, order: Order) -> None:
    """An entry leaves at once; one that may rest is taken back after its time."""
    submit(turn, order)
    if order.ord_type == "LIMIT" and order.time_in_force == "GTC":
        order.cancel_not_before = order.valid_until + 1
        turn.set_timer(f"again:{order.cl_ord_id}", order.cancel_not_before)


def _take_answer(turn: Turn, answer: OrderAnswered | OrderLookedUp) -> None:
    kind, _, cl_ord_id = answer.request_id.partition(":")
    order = turn.state.orders.get(cl_ord_id)
    if order is None:
        turn.reject("UNKNOWN_ORDER", f"an answer for {answer.request_id[:80]}, which is no order of ours")
    elif isinstance(answer, OrderLookedUp):
        looked_up(turn, order, answer)
    elif kind == "cancel":
        cancel_answered(turn, order, answer)
    else:
        submit_answered(turn, order, answer)


def _take_report(turn: Turn, report: VenueReported) -> None:
    """The user stream spoke: of an order of ours, or of a stranger's."""
    shown, fill = report.order, report.fill
    named = shown or fill
    if named is None:
        return
    order = turn.state.find(named.cl_ord_id, named.venue_order_id)
    if order is not None:
        hear(turn, order, shown, () if fill is None else (fill,))
    elif turn.state.opened:
        if fill is not None:
            if not foreign.hear_fill(turn, fill, read=False):
                account.ask(turn)
        elif shown is not None:
            foreign.hear_order(turn, shown)


def _take_timer(turn: Turn, name: str) -> None:
    """A timer of ours: `reconcile`, `check`, one of an order, an instrument or a breaker, or a reminder to plan."""
    kind, _, subject = name.partition(":")
    if kind == account.TIMER:
        account.ask(turn)
    elif kind == venue_check.TIMER:
        venue_check.ask(turn)
    elif kind == breakers.TIMER:
        breakers.due(turn, subject)
    elif kind == watch.SOFT_TIMER:
        watch.timer(turn, subject)
    elif kind == watch.COVER_TIMER:
        watch.cover_overdue(turn, subject)
    elif kind == "look":
        order = turn.state.orders.get(subject)
        if order is not None and order.inquiry is not None:
            inquiries.ask(turn, order)
    else:
        turn.touched.update(dict.fromkeys(turn.state.holdings))


def _take_genesis(turn: Turn, event: GenesisDeclared) -> None:
    """The first genesis opens the book; a repeat only has the account read again."""
    turn.state.genesis = True
    turn.state.mode = turn.state.mode or event.mode
    _ask_what_stands(turn)


def _start(turn: Turn) -> None:
    """A new life: nothing is taken for granted until the account was read twice the same and the key was checked."""
    breakers.count_start(turn)
    turn.state.stopping = False
    turn.state.reconciled = False
    turn.state.reading.unconfirmed = True
    turn.state.reading.seen = ""
    if turn.state.genesis:
        _ask_what_stands(turn)
    turn.touched.update(dict.fromkeys(turn.state.holdings))


def _ask_what_stands(turn: Turn) -> None:
    account.ask(turn)
    venue_check.ask(turn)


def _stop(turn: Turn) -> None:
    """The last turn of this life: no more entries, those that rest are taken back; guards stay, or everything is sold, by policy."""
    turn.state.stopping = True
    turn.touched.update(dict.fromkeys(turn.state.holdings))
    if turn.policy.flatten_on_stop:
        for holding in turn.state.holdings.values():
            holding.flatten = holding.flatten or bool(holding.owner)
