"""Faults of orders, where orders come in: which types a request is about, and how it is refused."""

from __future__ import annotations

from libs.trading.venue import VenueRejected
from libs.trading.venue_rules import NO_FUNDS, ORDER_REFUSED
from services.exchange_sim.faults import OrderFault
from services.exchange_sim.orders import Params

NO_SUCH_TYPE = "This order type is not supported."
PAIR = "OCO"


def types_of(params: Params) -> frozenset[str]:
    """What kinds of order a request would enter: its type; of a pair those of both orders, and OCO."""
    named = {params[name] for name in ("type", "aboveType", "belowType") if name in params}
    return frozenset(named | ({PAIR} if "aboveType" in params or "belowType" in params else set()))


def rejection(fault: OrderFault) -> VenueRejected:
    """The refusal that `fault` asks for; without a text, no money, or with types, no such type."""
    text = fault.msg or (NO_FUNDS if fault.ord_type is None else NO_SUCH_TYPE)
    return VenueRejected(ORDER_REFUSED if fault.code is None else fault.code, text)
