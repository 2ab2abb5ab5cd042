"""What a spot venue refuses, in Binance's codes and words, before an order touches the account.

A refusal is an exception here because the venue itself is outside our machines: whoever drives it (the emulator's REST
layer, the simulated adapter) turns it into the typed answer its caller expects.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

import msgspec

from libs.common.messages import InstrumentSpec, Side, TimeInForce

ILLEGAL_CHARACTERS = -1100
MISSING_PARAMETER = -1102
TOO_MANY_ORDERS = -1015
UNWANTED_PARAMETER = -1106
INVALID_SYMBOL = -1121
FILTER_FAILURE = -1013
ORDER_REFUSED = -2010
CANCEL_REFUSED = -2011
NO_SUCH_ORDER = -2013
NO_FUNDS = "Account has insufficient balance for requested action."

VenueOrdType = Literal["MARKET", "LIMIT", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT"]
"""The venue's own words; the rest of the system calls a LIMIT_MAKER a LIMIT."""

STOP_TYPES = ("STOP_LOSS", "STOP_LOSS_LIMIT")
LIMIT_TYPES = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT")
CL_ORD_ID_PATTERN = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"

_CL_ORD_ID = re.compile(CL_ORD_ID_PATTERN)


class VenueRejected(Exception):
    """The venue refuses: `code` is Binance's number, `message` its text. Nothing changed at the venue."""

    def __init__(self, code: int, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is sent to the venue. MARKET and STOP_LOSS have no `limit_px`, only the stop types a `stop_px`."""

    cl_ord_id: str
    instrument: str
    side: Side
    ord_type: VenueOrdType
    order_qty: Decimal
    time_in_force: TimeInForce = "GTC"
    limit_px: Decimal | None = None
    stop_px: Decimal | None = None


def check_order(order: NewOrder, spec: InstrumentSpec, market_px: Decimal | None) -> None:
    """Pass `order` through the parameter rules and the filters of `spec`.

    `market_px` values a MARKET order; without one its value cannot be too small.

    Raises:
        VenueRejected: -1100, -1102, -1106 (parameters), -1013 (PRICE_FILTER, LOT_SIZE, NOTIONAL).
    """
    check_client_id("newClientOrderId", order.cl_ord_id)
    if order.ord_type == "LIMIT_MAKER" and order.time_in_force != "GTC":
        raise VenueRejected(UNWANTED_PARAMETER, "Parameter 'timeInForce' sent when not required.")
    _check_presence("price", order.limit_px, wanted=order.ord_type in LIMIT_TYPES)
    _check_presence("stopPrice", order.stop_px, wanted=order.ord_type in STOP_TYPES)
    for px in (order.limit_px, order.stop_px):
        if px is not None and (not px.is_finite() or px <= 0 or px % spec.px_tick != 0):
            raise VenueRejected(FILTER_FAILURE, "Filter failure: PRICE_FILTER")
    qty = order.order_qty
    if not qty.is_finite() or qty <= 0 or qty < spec.qty_min or qty % spec.qty_step != 0:
        raise VenueRejected(FILTER_FAILURE, "Filter failure: LOT_SIZE")
    value_px = order.limit_px or order.stop_px or market_px
    if value_px is not None and value_px * qty < spec.notional_min:
        raise VenueRejected(FILTER_FAILURE, "Filter failure: NOTIONAL")


def check_client_id(name: str, client_id: str) -> None:
    """Whether `client_id`, sent as the parameter `name`, is one.

    Raises:
        VenueRejected: -1100.
    """
    if not _CL_ORD_ID.match(client_id):
        text = f"Illegal characters found in parameter '{name}'; legal range is '{CL_ORD_ID_PATTERN}'."
        raise VenueRejected(ILLEGAL_CHARACTERS, text)


def _check_presence(name: str, value: Decimal | None, *, wanted: bool) -> None:
    if wanted and value is None:
        raise VenueRejected(
            MISSING_PARAMETER, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    if not wanted and value is not None:
        raise VenueRejected(UNWANTED_PARAMETER, f"Parameter '{name}' sent when not required.")
