"""Taking over what was done while the log could not be reached: reducing orders that left from the local journal.

Each is adopted as an order of its position before anything else is planned, and looked up, for its outcome as the journal knows
it may be old. Entries wait until the account has been read again.
"""

from __future__ import annotations

from libs.common.messages import ProtectionImprovised
from services.order_executor import account, inquiries
from services.order_executor.hearing import move, unheard
from services.order_executor.orders import Order
from services.order_executor.transitions import Fact
from services.order_executor.turn import Turn


def adopt(turn: Turn, event: ProtectionImprovised) -> None:
    """Make an improvised order one of ours."""
    owner = turn.state.orders.get(event.owner)
    if event.cl_ord_id in turn.state.orders:
        return
    order = Order(
        cl_ord_id=event.cl_ord_id,
        intent_id=owner.intent_id if owner else event.owner,
        role=event.role,
        instrument=event.instrument,
        side="SELL",
        ord_type=event.ord_type,
        time_in_force="GTC",
        order_qty=event.order_qty,
        limit_px=None,
        stop_px=event.stop_px,
        reduce_only=True,
        valid_until=max(turn.now, event.ts_event),
        correlation_id=owner.correlation_id if owner else "",
    )
    turn.state.orders[order.cl_ord_id] = order
    turn.change(order)
    text = (
        f"{event.instrument}: {event.role} of {event.order_qty} was sent without the log ({event.outcome} {event.code})"
    )
    turn.alert("PROTECTION_IMPROVISED", "ticket", text, order)
    if event.outcome == "CONFIRMED":
        move(turn, order, Fact.ACCEPTED, "sent while the log could not be reached")
        inquiries.begin(turn, order, needs_word=True)
    else:
        unheard(turn, order, "sent while the log could not be reached")
    inquiries.ask(turn, order)
    turn.state.reconciled = False
    turn.state.reading.unconfirmed = True
    account.ask(turn)
