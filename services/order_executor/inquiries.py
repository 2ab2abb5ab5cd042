"""Looking an order up by client id until the venue has spoken: 0.2, 0.5, 1, 2, 5, 5, ... seconds, by timers.

"Not found" means something only when nothing can arrive any more: the look-up was asked after the order's `valid_until`, the
venue's recvWindow and a margin. Two such answers, and an account reading begun after them that shows neither the order nor a
fill of it, are the verdict. A question that failed decides nothing.
"""

from __future__ import annotations

from services.order_executor.orders import Inquiry, Order
from services.order_executor.requests import LookUpOrder
from services.order_executor.state import MS
from services.order_executor.turn import Turn, delay_of


def begin(turn: Turn, order: Order, *, needs_word: bool) -> None:
    """Start looking `order` up; with `needs_word` only the venue's word about it ends the inquiry."""
    if order.inquiry is None:
        order.inquiry = Inquiry()
        turn.set_timer(_timer(order), turn.now + delay_of(turn.policy.lookup_delays_ms, 0))
    order.inquiry.needs_word |= needs_word


def ask(turn: Turn, order: Order) -> None:
    """Ask the venue now, unless a question is under way."""
    if order.looked_at:
        return
    order.looked_at = turn.now
    request = LookUpOrder(valid_until=turn.ask_until(), cl_ord_id=order.cl_ord_id, instrument=order.instrument)
    turn.perform(f"lookup:{order.cl_ord_id}", request)


def again(turn: Turn, order: Order) -> None:
    """Ask later, a little later each time."""
    if order.inquiry is None:
        return
    order.inquiry.tries += 1
    turn.set_timer(_timer(order), turn.now + delay_of(turn.policy.lookup_delays_ms, order.inquiry.tries))


def end(turn: Turn, order: Order) -> None:
    """Nothing more needs to be asked about `order`."""
    if order.inquiry is not None:
        order.inquiry = None
        turn.cancel_timer(_timer(order))


def is_final(turn: Turn, order: Order, asked_at: int) -> bool:
    """Whether "not found", asked at `asked_at`, is about an order that can no longer arrive."""
    policy = turn.policy
    return asked_at > order.valid_until + (policy.recv_window_ms + policy.finality_margin_ms) * MS


def _timer(order: Order) -> str:
    return f"look:{order.cl_ord_id}"
