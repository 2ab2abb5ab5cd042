"""Entries that rest at the venue are taken back: an operator wants it so, or trading is halted.

A resting entry is a wish of its time, and taking it back ends that time now; `protection` then cancels it as it does one that has become
old. What the venue has not yet confirmed is cancelled once it has. Guards and exits are never taken back: they protect.
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.messages import CancelCommanded
from services.order_executor.orders import Order
from services.order_executor.turn import Turn


def commanded(turn: Turn, command: CancelCommanded) -> None:
    """Take back what the operator names, or say why nothing was."""
    found, author = resting_entries(turn), command.author[:64]
    if command.cl_ord_id:
        found = [order for order in found if order.cl_ord_id == command.cl_ord_id]
    if found:
        take_back(turn, found)
        names = " ".join(order.cl_ord_id for order in found[:10])
        turn.alert("ENTRIES_TAKEN_BACK", "note", f"{author} takes back {len(found)}: {names}")
        return
    order = turn.state.orders.get(command.cl_ord_id)
    if not command.cl_ord_id:
        why = "no entry rests at the venue"
    elif order is None:
        why = f"no order of ours is called {command.cl_ord_id[:64]!r}"
    elif order.is_closed:
        why = f"order {order.cl_ord_id} is {order.status} already"
    else:
        why = f"order {order.cl_ord_id} is a {order.role} order: it protects, or leaves by itself"
    turn.alert("COMMAND_WITHOUT_EFFECT", "note", f"CANCEL by {author} changes nothing: {why}")


def resting_entries(turn: Turn) -> list[Order]:
    """Entries that may still fill."""
    return [
        order
        for order in turn.state.orders.values()
        if order.role == "ENTRY" and not order.is_closed and not order.foreign
    ]


def take_back(turn: Turn, orders: Iterable[Order]) -> None:
    """End the time of these wishes."""
    for order in orders:
        order.valid_until = min(order.valid_until, turn.now - 1)
        order.cancel_not_before = min(order.cancel_not_before, turn.now)
        turn.touched[order.instrument] = None
