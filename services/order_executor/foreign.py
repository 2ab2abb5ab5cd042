"""What others do with the account: orders and executions that are not ours, told to a person, and taken over where they must be.

A sale of what we hold changes our position whoever made it: a person by hand, or the venue by liquidation. It is booked as an
exit of our own, so that the position, its guards and the ledger go on from what is true. A foreign purchase is nobody's
position: it is told, and the balances disagree until an operator accepts them.
"""

from __future__ import annotations

from typing import Literal

from libs.common.ids import derive_id
from libs.common.messages import VenueFill, VenueOrder
from libs.common.money import ZERO
from services.order_executor.hearing import hear
from services.order_executor.orders import OPEN, Order, base_of, exec_key
from services.order_executor.sending import cancel
from services.order_executor.state import Holding, keep_last
from services.order_executor.turn import Turn

LIQUIDATION_PREFIXES = ("autoclose-", "adl_autoclose", "liquidation-")
"""How client ids of orders begin by which a venue closes positions itself (Binance names its own so)."""


def hear_fill(turn: Turn, fill: VenueFill, *, read: bool) -> bool:
    """An execution of an order that is not ours; False if a reading has to decide.

    The user stream alone cannot tell whose coins were sold while our own executions may be on their way; an account reading
    (`read`) tells of those first.
    """
    holding = turn.state.holdings.get(fill.instrument)
    if exec_key(fill) in turn.state.booked or exec_key(fill) in turn.state.foreign:
        return True
    known = turn.state.find(fill.cl_ord_id, fill.venue_order_id)
    if known is not None:  # taken over a moment ago, for another execution of the same reading
        hear(turn, known, None, (fill,))
    elif holding is not None and holding.owner and fill.side == "SELL" and _sells_ours(turn, fill, holding):
        _take_over_exit(turn, fill)
    elif fill.side == "SELL" and not read:
        return False
    elif _is_news(turn, exec_key(fill)):
        text = (
            f"execution {fill.exec_id} at the venue is not ours: {fill.side} {fill.qty} {fill.instrument} at {fill.px}"
        )
        turn.alert("FOREIGN_FILL", "ticket", text, instrument=fill.instrument)
    return True


def hear_order(turn: Turn, shown: VenueOrder) -> None:
    """An open order that is not ours: by policy it is left, taken over, or cancelled; a person is told once."""
    known = turn.state.find(shown.cl_ord_id, shown.venue_order_id)
    if known is not None:
        hear(turn, known, shown)
        return
    if shown.ord_status not in OPEN or not _is_news(turn, f"order:{shown.instrument}:{shown.venue_order_id}"):
        return
    text = (
        f"open order {shown.venue_order_id} at the venue is not ours: {shown.side} {shown.order_qty} {shown.instrument}"
    )
    holding = turn.state.holdings.get(shown.instrument)
    ours_to_guard = holding is not None and bool(holding.owner) and shown.side == "SELL"
    match turn.policy.foreign_orders:
        case "adopt" if ours_to_guard:
            turn.alert(
                "FOREIGN_ORDER", "ticket", f"{text}; it sells what we hold: taken over", instrument=shown.instrument
            )
            role: Literal["STOP", "TARGET"] = "TARGET" if shown.stop_px is None else "STOP"
            hear(turn, _adopted(turn, shown, role), shown)
        case "cancel":
            turn.alert("FOREIGN_ORDER", "ticket", f"{text}; it is cancelled", instrument=shown.instrument)
            order = _adopted(turn, shown, "EXIT" if shown.side == "SELL" else "ENTRY")
            hear(turn, order, shown)
            cancel(turn, order)
        case _:
            turn.alert("FOREIGN_ORDER", "ticket", text, instrument=shown.instrument)


def _sells_ours(turn: Turn, fill: VenueFill, holding: Holding) -> bool:
    """Whether a stranger's sale took coins of our position, rather than others that the account holds beside it."""
    base = base_of(fill.instrument)
    left = turn.state.opening.get(base, ZERO) + turn.state.flows.get(base, ZERO) - fill.qty
    return ZERO < fill.qty <= holding.qty and left < holding.qty


def _take_over_exit(turn: Turn, fill: VenueFill) -> None:
    """Book a sale of our position by somebody else."""
    liquidated = fill.cl_ord_id.startswith(LIQUIDATION_PREFIXES)
    by = "the venue liquidated" if liquidated else "somebody sold"
    text = f"{by} {fill.qty} {fill.instrument} of our position at {fill.px} (order {fill.venue_order_id}): booked as an exit"
    turn.alert("LIQUIDATED" if liquidated else "POSITION_CLOSED_OUTSIDE", "page", text, instrument=fill.instrument)
    shown = VenueOrder(
        cl_ord_id=fill.cl_ord_id,
        venue_order_id=fill.venue_order_id,
        instrument=fill.instrument,
        side=fill.side,
        ord_type="MARKET",
        ord_status="NEW",
        order_qty=fill.qty,
        cum_qty=ZERO,
        limit_px=None,
        stop_px=None,
        ts_event=fill.ts_event,
    )
    hear(turn, _adopted(turn, shown, "EXIT"), None, (fill,))


def _adopted(turn: Turn, shown: VenueOrder, role: Literal["ENTRY", "EXIT", "STOP", "TARGET"]) -> Order:
    """An order of somebody else as one of ours, in the story of the position it touches."""
    holding = turn.state.holding(shown.instrument)
    owner = turn.state.orders.get(holding.owner)
    name = shown.cl_ord_id or derive_id("foreign", shown.instrument, shown.venue_order_id)
    order = Order(
        cl_ord_id=name,
        intent_id=derive_id("foreign", shown.instrument, shown.venue_order_id),
        role=role,
        instrument=shown.instrument,
        side=shown.side,
        ord_type=shown.ord_type,
        time_in_force="GTC",
        order_qty=shown.order_qty,
        limit_px=shown.limit_px,
        stop_px=shown.stop_px,
        reduce_only=shown.side == "SELL",
        valid_until=turn.now,
        correlation_id=owner.correlation_id if owner else "",
        status="NEW",
        venue_order_id=shown.venue_order_id,
        foreign=True,
    )
    turn.state.orders[name] = order
    turn.change(order)
    return order


def _is_news(turn: Turn, key: str) -> bool:
    if key in turn.state.foreign or key in turn.state.booked:
        return False
    turn.state.foreign[key] = "told"
    keep_last(turn.state.foreign, turn.policy.execs_kept)
    return True
