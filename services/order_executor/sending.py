"""Orders and cancels on their way out. An order is written to the log before it leaves, and leaves once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from libs.common.messages import OrderSubmitting
from libs.common.money import plain
from services.order_executor.hearing import move
from services.order_executor.orders import OPEN, Order
from services.order_executor.requests import CancelOrder, CancelPair, ReplaceOrder, SubmitOrder, SubmitPair
from services.order_executor.transitions import Fact
from services.order_executor.turn import Turn


def submit(turn: Turn, order: Order) -> None:
    """Write `order` ahead and send it.

    Raises:
        AssertionError: its client id was used before (a defect: the process must end rather than send it).
    """
    _write_ahead(turn, order)
    turn.perform(
        f"submit:{order.cl_ord_id}",
        SubmitOrder(**_terms(order)),
    )


def submit_pair(turn: Turn, stop: Order, target: Order) -> None:
    """Write a stop and a target ahead and send them as one pair.

    Raises:
        AssertionError: as `submit`; or a price is missing.
    """
    assert stop.stop_px is not None, f"stop {stop.cl_ord_id} has no trigger"
    assert target.limit_px is not None, f"target {target.cl_ord_id} has no price"
    stop.pair = target.pair = stop.cl_ord_id
    _write_ahead(turn, stop)
    _write_ahead(turn, target)
    turn.perform(
        f"pair:{stop.cl_ord_id}",
        SubmitPair(
            valid_until=stop.valid_until,
            instrument=stop.instrument,
            order_qty=plain(stop.order_qty),
            stop_id=stop.cl_ord_id,
            stop_px=plain(stop.stop_px),
            target_id=target.cl_ord_id,
            target_px=plain(target.limit_px),
        ),
    )


def replace(turn: Turn, old: Order, stop: Order) -> None:
    """Write `stop` ahead and send it in the place of `old`, which goes with its pair if it has one.

    Raises:
        AssertionError: as `submit`.
    """
    stop.replaces = old.cl_ord_id
    _write_ahead(turn, stop)
    for each in _with_pair(turn, old):
        each.cancel_wanted = each.cancel_asked = True
        move(turn, each, Fact.CANCEL_ASKED)
    turn.perform(
        f"replace:{stop.cl_ord_id}",
        ReplaceOrder(replaced_id=old.cl_ord_id, **_terms(stop)),
    )


def _terms(order: Order) -> dict[str, Any]:
    """What a request says of the order it sends, numbers in their plain form."""
    return {
        "valid_until": order.valid_until,
        "cl_ord_id": order.cl_ord_id,
        "instrument": order.instrument,
        "side": order.side,
        "ord_type": order.ord_type,
        "time_in_force": order.time_in_force,
        "order_qty": plain(order.order_qty),
        "limit_px": _plain(order.limit_px),
        "stop_px": _plain(order.stop_px),
    }


def _write_ahead(turn: Turn, order: Order) -> None:
    assert order.cl_ord_id not in turn.state.orders, f"client id {order.cl_ord_id} used twice"
    turn.state.orders[order.cl_ord_id] = order
    order.sent_at = turn.now
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
            limit_px=_plain(order.limit_px),
            stop_px=_plain(order.stop_px),
            reduce_only=order.reduce_only,
            valid_until=order.valid_until,
            correlation_id=order.correlation_id,
        )
    )


def cancel(turn: Turn, order: Order) -> None:
    """Ask the venue to take `order` back, with its pair if it has one; their fate is known only when the venue has answered.

    An order of unknown fate stays unknown: whether the venue has it is what its look-up finds out.
    """
    for each in _with_pair(turn, order):
        each.cancel_wanted = True
        if each.status in OPEN:
            move(turn, each, Fact.CANCEL_ASKED)
    ask_cancel(turn, order)


def ask_cancel(turn: Turn, order: Order) -> None:
    """Send the cancel (again), unless one is under way."""
    if order.cancel_asked:
        return
    both = _with_pair(turn, order)
    for each in both:
        each.cancel_asked = True
    if len(both) > 1:
        request = CancelPair(valid_until=turn.ask_until(), instrument=order.instrument, list_id=order.pair)
        turn.perform(f"unpair:{order.pair}", request)
    else:
        single = CancelOrder(valid_until=turn.ask_until(), cl_ord_id=order.cl_ord_id, instrument=order.instrument)
        turn.perform(f"cancel:{order.cl_ord_id}", single)


def _with_pair(turn: Turn, order: Order) -> list[Order]:
    """`order`, and the order that lives and dies with it while both live."""
    return [order, *(each for each in turn.state.pair_of(order) if not each.is_closed)]


def _plain(px: Decimal | None) -> Decimal | None:
    return None if px is None else plain(px)
