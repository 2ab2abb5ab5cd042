"""What the executor asks of the venue. Submissions are written ahead and never repeated; everything else may be asked again."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from libs.common.messages import OrdType, Side, TimeInForce
from libs.runtime.machine import Request

NEVER_SENT = "NEVER_SENT"
"""The `code` of an `OrderAnswered` REJECTED whose request provably never left us."""


class SubmitOrder(Request, frozen=True, kw_only=True):
    """Send one new order; answered by `OrderAnswered`. Quantities and prices are already on the venue's grid."""

    write_ahead: ClassVar[bool] = True

    cl_ord_id: str
    instrument: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_px: Decimal | None
    stop_px: Decimal | None


class SubmitPair(Request, frozen=True, kw_only=True):
    """Send a stop and a target that sell the same `order_qty`, the end of one cancelling the other (OCO); answered by `PairAnswered`.

    The stop is STOP_LOSS at `stop_px`, the target a LIMIT maker at `target_px`; the pair is known by the stop's client id.
    """

    write_ahead: ClassVar[bool] = True

    instrument: str
    order_qty: Decimal
    stop_id: str
    stop_px: Decimal
    target_id: str
    target_px: Decimal


class ReplaceOrder(Request, frozen=True, kw_only=True):
    """Take `replaced_id` back (of a pair: both orders) and send a stop in its place, in one step; answered by `ReplaceAnswered`.

    The venue looks at the new order's form first, and does not send it where the cancel fails; so either the old order stands, or the
    new one does, unless the venue refuses the new one for what the market is at that instant.
    """

    write_ahead: ClassVar[bool] = True

    instrument: str
    replaced_id: str
    cl_ord_id: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_px: Decimal | None
    stop_px: Decimal | None


class CancelPair(Request, frozen=True, kw_only=True):
    """Take both orders of a pair back; answered by `PairAnswered`. Harmless when repeated."""

    instrument: str
    list_id: str


class CancelOrder(Request, frozen=True, kw_only=True):
    """Cancel one order by its client id; answered by `OrderAnswered`. Harmless when repeated."""

    cl_ord_id: str
    instrument: str


class LookUpOrder(Request, frozen=True, kw_only=True):
    """Ask for one order by its client id, with its fills; answered by `OrderLookedUp`."""

    cl_ord_id: str
    instrument: str


class ReadAccount(Request, frozen=True, kw_only=True):
    """Read balances, then open orders, then fills (in this order), for all `instruments`; answered by `AccountRead`.

    `fills_after` maps an instrument to the newest exec_id of the last good reading; fills up to it need not be told again.
    An instrument that is not in it has never been read: the most recent fills are enough.
    """

    instruments: tuple[str, ...]
    fills_after: dict[str, str]


class CheckVenue(Request, frozen=True, kw_only=True):
    """Ask what our key may do, how our clock stands, what trading costs and what is traded; answered by `VenueChecked`."""

    instruments: tuple[str, ...]
