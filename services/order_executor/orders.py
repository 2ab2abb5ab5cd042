"""One order's life: all we know of it. Its status moves only by `transitions.TRANSITIONS`, whatever the source of the news."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Literal

import msgspec

from libs.common.messages import OrderRole, OrdStatus, OrdType, Side, TimeInForce, VenueFill
from libs.common.money import ZERO

_WIDE = Context(prec=100)
"""Room for ten decimals of any price a venue may claim."""

CLOSED: tuple[OrdStatus, ...] = ("FILLED", "CANCELED", "EXPIRED", "REJECTED")
OPEN: tuple[OrdStatus, ...] = ("NEW", "PARTIALLY_FILLED", "PENDING_CANCEL")
IN_FLIGHT: tuple[OrdStatus, ...] = ("PENDING_NEW", "PENDING_CANCEL", "UNKNOWN")


class Inquiry(msgspec.Struct):
    """An order is being looked up.

    `needs_word`: only the venue's word about this order ends it (else the missing fills do). `not_found` counts definitive
    "not there" answers since nothing can arrive any more; `verdict_read` is the account reading that must confirm them.
    """

    needs_word: bool = False
    tries: int = 0
    not_found: int = 0
    verdict_read: int = 0


class Order(msgspec.Struct, kw_only=True):
    """One order and all we know of it.

    `stop_px` is the trigger of a stop order; `protect_px` is where the position of an entry is to be stopped. `closing` is
    the end the venue named while fills up to `venue_cum_qty` were missing. `changed` is the state's activity count at its
    last change; `looked_at` when the look-up that is under way was asked (0: none). `cancel_not_before` paces
    cancels, and is the end of a resting entry's time. An entry counts the `stops` and `exits` it has used, so that no client
    id is ever used twice. `replaces` is the client id of the order in whose place it was sent, if it was. `pair` is the client id of the stop of a pair (OCO) whose other order cancels this one. `venue_ts`
    is the venue's own time (ns) of the newest state we have seen. `sent_at` is when we sent it, `taken_back_at` when a cancel of it was last answered, however (ns; 0: never). `foreign`
    marks an order somebody else placed and we took over.
    """

    cl_ord_id: str
    intent_id: str
    role: OrderRole
    instrument: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_px: Decimal | None
    stop_px: Decimal | None
    protect_px: Decimal | None = None
    target_px: Decimal | None = None
    pair: str = ""
    replaces: str = ""
    reduce_only: bool
    valid_until: int
    correlation_id: str
    status: OrdStatus = "PENDING_NEW"
    venue_order_id: str = ""
    cum_qty: Decimal = ZERO
    cum_cost: Decimal = ZERO
    venue_cum_qty: Decimal = ZERO
    closing: Literal["", "FILLED", "CANCELED", "EXPIRED"] = ""
    inquiry: Inquiry | None = None
    cancel_wanted: bool = False
    cancel_asked: bool = False
    cancel_fails: int = 0
    cancel_not_before: int = 0
    looked_at: int = 0
    changed: int = 0
    stops: int = 0
    exits: int = 0
    venue_ts: int = 0
    sent_at: int = 0
    taken_back_at: int = 0
    foreign: bool = False

    @property
    def is_closed(self) -> bool:
        """Nothing more is expected of it."""
        return self.status in CLOSED

    @property
    def lacks_fills(self) -> bool:
        """The venue counts more executions than we have booked."""
        return self.cum_qty < self.venue_cum_qty

    @property
    def is_unsettled(self) -> bool:
        """Whether its present state is not yet known for certain: decisions about its quantity must wait."""
        return self.status in IN_FLIGHT or self.lacks_fills or (self.inquiry is not None and self.inquiry.needs_word)

    @property
    def was_never_there(self) -> bool:
        """Whether we have declared it closed without the venue ever having shown it."""
        return self.status in ("REJECTED", "EXPIRED") and not self.venue_order_id and not self.cum_qty

    @property
    def leaves_qty(self) -> Decimal:
        """What may still be filled."""
        return ZERO if self.is_closed else max(self.order_qty - self.cum_qty, ZERO)

    @property
    def avg_px(self) -> Decimal | None:
        """The average price of its fills, to ten decimals."""
        return (self.cum_cost / self.cum_qty).quantize(Decimal("1e-10"), context=_WIDE) if self.cum_qty else None


def base_of(instrument: str) -> str:
    """BTC of BTC-USDT."""
    return instrument.partition("-")[0]


def quote_of(instrument: str) -> str:
    """USDT of BTC-USDT."""
    return instrument.partition("-")[2]


def exec_key(fill: VenueFill) -> str:
    """What an execution is booked under: at most venues, trade ids are unique only within an instrument."""
    return f"{fill.instrument}:{fill.exec_id}"
