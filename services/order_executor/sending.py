"""Orders and cancels on their way out. An order is written to the log before it leaves, and leaves once."""

from __future__ import annotations

from libs.common.messages import OrderSubmitting
from libs.common.money import plain
from services.order_executor.hearing import move
from services.order_executor.orders import Fact, Order
from services.order_executor.requests import CancelOrder, SubmitOrder
from services.order_executor.state import Turn


def submit(turn: Turn, order: Order) -> None:
    """Write `order` ahead and send it.

    Raises:
        AssertionError: its client id was used before (a defect: the process must end rather than send it).
    """
    assert order.cl_ord_id not in turn.state.orders, f"client id {order.cl_ord_id} used twice"
    turn.state.orders[order.cl_ord_id] = order
    turn.change(order)
    turn.publish(
        OrderSubmitting(
            cl_ord_id=order.cl_ord_id,
            intent_id=order.intent_id,
            role=order.role,
            instrument=order.instrument,
            side=order.side,
            ord_type=order.ord_type,
            time_in_force=order.time_in_force,
            order_qty=plain(order.order_qty),
            limit_px=None if order.limit_px is None else plain(order.limit_px),
            stop_px=None if order.stop_px is None else plain(order.stop_px),
            reduce_only=order.reduce_only,
            valid_until=order.valid_until,
            correlation_id=order.correlation_id,
        )
    )
    turn.perform(
        f"submit:{order.cl_ord_id}",
        SubmitOrder(
            valid_until=order.valid_until,
            cl_ord_id=order.cl_ord_id,
            instrument=order.instrument,
            side=order.side,
            ord_type=order.ord_type,
            time_in_force=order.time_in_force,
            order_qty=plain(order.order_qty),
            limit_px=None if order.limit_px is None else plain(order.limit_px),
            stop_px=None if order.stop_px is None else plain(order.stop_px),
        ),
    )


def cancel(turn: Turn, order: Order) -> None:
    """Ask the venue to cancel `order`; its fate is known only when the venue has answered."""
    order.cancel_wanted = True
    move(turn, order, Fact.CANCEL_ASKED)
    ask_cancel(turn, order)


def ask_cancel(turn: Turn, order: Order) -> None:
    """Send the cancel (again), unless one is under way."""
    if order.cancel_asked:
        return
    order.cancel_asked = True
    request = CancelOrder(valid_until=turn.ask_until(), cl_ord_id=order.cl_ord_id, instrument=order.instrument)
    turn.perform(f"cancel:{order.cl_ord_id}", request)
