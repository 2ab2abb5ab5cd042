"""What each answer of the venue means, and what no answer means: submissions, cancels, look-ups.

submit   CONFIRMED / REJECTED / UNKNOWN    interrupted: UNKNOWN    expired: provably never sent
cancel   CONFIRMED / REJECTED / UNKNOWN    interrupted, expired: asked again
lookup   FOUND / NOT_FOUND / FAILED        interrupted, expired: asked again
"""

from __future__ import annotations

from libs.common.messages import OrderAnswered, OrderLookedUp
from services.order_executor import account, inquiries
from services.order_executor.hearing import hear, move, unheard
from services.order_executor.orders import Order
from services.order_executor.sending import ask_cancel
from services.order_executor.transitions import Fact
from services.order_executor.turn import Turn, delay_of


def submit_answered(turn: Turn, order: Order, answer: OrderAnswered) -> None:
    """The venue's answer to a submission."""
    reason = f"{answer.code}: {answer.detail}"
    if answer.outcome == "CONFIRMED" and answer.order is not None:
        hear(turn, order, answer.order, answer.fills)
    elif answer.outcome == "REJECTED" and order.status in ("PENDING_NEW", "UNKNOWN"):
        move(turn, order, Fact.REFUSED, reason, answer.code)
    else:  # also a refusal of what the user stream has shown already: the venue must explain itself
        unheard(turn, order, reason)


def cancel_answered(turn: Turn, order: Order, answer: OrderAnswered) -> None:
    """The venue's answer to a cancel; whatever is not a clear CANCELED is looked up."""
    order.cancel_asked = False
    if answer.outcome == "CONFIRMED" and answer.order is not None:
        hear(turn, order, answer.order, answer.fills)
    if not order.is_closed and not order.closing:
        inquiries.begin(turn, order, needs_word=True)


def looked_up(turn: Turn, order: Order, answer: OrderLookedUp) -> None:
    """The venue's answer to a look-up: found is a fact, not found a hint, failed is nothing."""
    asked_at, order.looked_at = order.looked_at, 0
    inquiry = order.inquiry
    if answer.outcome == "FOUND" and answer.order is not None:
        if inquiry is not None:
            inquiry.needs_word = False
            inquiry.not_found = inquiry.verdict_read = 0
        hear(turn, order, answer.order, answer.fills)
        _survive(turn, order)
    elif answer.outcome == "NOT_FOUND" and inquiry is not None and inquiries.is_final(turn, order, asked_at):
        inquiry.not_found += 1
        if inquiry.not_found >= 2 and not inquiry.verdict_read:
            inquiry.verdict_read = account.ask(turn)
    inquiries.again(turn, order)


def _survive(turn: Turn, order: Order) -> None:
    """The order lives on after its cancel failed: it is open again, and the next cancel waits a little longer."""
    if order.status != "PENDING_CANCEL" or order.cancel_asked or order.closing:
        return
    order.cancel_wanted = False
    order.cancel_fails += 1
    order.cancel_not_before = turn.now + delay_of(turn.policy.retry_delays_ms, order.cancel_fails)
    turn.set_timer(f"again:{order.cl_ord_id}", order.cancel_not_before)
    move(turn, order, Fact.STILL_PART if order.cum_qty else Fact.STILL_WHOLE, "its cancel did not happen")


def unanswered(turn: Turn, request_id: str, *, expired: bool) -> None:
    """A request was interrupted by a crash, or its time had passed before it was sent."""
    kind, _, cl_ord_id = request_id.partition(":")
    order = turn.state.orders.get(cl_ord_id)
    if kind == account.REQUEST_ID:
        account.unanswered(turn)
    elif order is None:
        return
    elif kind == "submit" and expired:
        move(turn, order, Fact.LAPSED, "older than its valid_until: never sent")
    elif kind == "submit":
        unheard(turn, order, "the executor stopped before the venue answered")
    elif kind == "cancel":
        order.cancel_asked = False
        if not order.is_closed:
            ask_cancel(turn, order)
    elif kind == "lookup":
        order.looked_at = 0
        if order.inquiry is not None:
            inquiries.ask(turn, order)
