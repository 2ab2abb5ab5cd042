"""A stop and a target for one position, of which one ends the other, and the entry they may wait for."""

from __future__ import annotations

import msgspec

from libs.trading.venue_pairs import dearer
from libs.trading.venue_rules import ORDER_REFUSED, STOP_TYPES, NewOrder, VenueRejected


class NewBracket(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that belong together: a stop, a LIMIT target of the same side and quantity, and maybe the entry to the position.

    A buy's fee leaves in what it buys, so the quantity of stop and target must be what is left of the entry's.
    """

    stop: NewOrder
    target: NewOrder
    entry: NewOrder | None = None

    def dearer(self) -> NewOrder:
        """The order that would lock more by itself, and reserves for both."""
        return dearer(self.stop, self.target)


def check_bracket(bracket: NewBracket) -> None:
    """What is asked of a bracket beyond what is asked of each of its orders.

    Raises:
        VenueRejected: -2010 (they do not belong together, a stop on the target's side of it, one id for two orders).
    """
    stop, target, entry = bracket.stop, bracket.target, bracket.entry
    legs = [stop, target] if entry is None else [stop, target, entry]
    if len({order.cl_ord_id for order in legs}) < len(legs):
        raise VenueRejected(ORDER_REFUSED, "Duplicate order sent.")
    fits = (
        stop.ord_type in STOP_TYPES
        and target.ord_type == "LIMIT"
        and target.time_in_force == "GTC"
        and (stop.side, stop.order_qty) == (target.side, target.order_qty)
        and len({order.instrument for order in legs}) == 1
        and (entry is None or entry.side != stop.side)
    )
    if not fits:
        raise VenueRejected(ORDER_REFUSED, "Order list parameters do not fit each other.")
    if stop.stop_px is None or target.limit_px is None:
        return  # refused by name when each order is checked
    if (stop.stop_px >= target.limit_px) if stop.side == "SELL" else (stop.stop_px <= target.limit_px):
        raise VenueRejected(ORDER_REFUSED, "The relationship of the prices for the orders is not correct.")
