"""One order's life. Its status moves only by `TRANSITIONS`, whatever the source of the news and however late it is.

Three things make the table total enough for a real venue:

* fills, not status words, make an order PARTIALLY_FILLED or FILLED: money is booked from executions alone;
* a venue that calls an order closed while executions are missing is believed only once they are booked (`closing`);
* a closed order stays closed, except where the venue shows us an order that we had declared never to have arrived.

A fact that has no row cannot happen to an order in that status; it is told to a person and changes nothing.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from libs.common.messages import OrderRole, OrdStatus, OrdType, Side, TimeInForce, VenueFill
from libs.common.money import ZERO


class Fact(StrEnum):
    """What can be learnt about an order."""

    ACCEPTED = "ACCEPTED"  # the venue has it
    REFUSED = "REFUSED"  # a definitive refusal, or provably never sent
    LAPSED = "LAPSED"  # our own deadline passed before it was sent
    UNHEARD = "UNHEARD"  # it may have been sent, and nobody answered
    PART_FILLED = "PART_FILLED"
    ALL_FILLED = "ALL_FILLED"
    CANCEL_ASKED = "CANCEL_ASKED"
    STILL_WHOLE = "STILL_WHOLE"  # it lives on after a cancel that failed, without a fill
    STILL_PART = "STILL_PART"  # it lives on after a cancel that failed, partially filled
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"  # the venue gave it up
    VANISHED = "VANISHED"  # looked up twice and searched for in the account: the venue does not know it
    SURFACED = "SURFACED"  # the venue shows an order that was declared never to have arrived


TRANSITIONS: dict[tuple[OrdStatus, Fact], OrdStatus] = {
    ("PENDING_NEW", Fact.ACCEPTED): "NEW",
    ("PENDING_NEW", Fact.REFUSED): "REJECTED",
    ("PENDING_NEW", Fact.LAPSED): "EXPIRED",
    ("PENDING_NEW", Fact.UNHEARD): "UNKNOWN",
    ("PENDING_NEW", Fact.PART_FILLED): "PARTIALLY_FILLED",  # the user stream was faster than the answer
    ("PENDING_NEW", Fact.ALL_FILLED): "FILLED",  # likewise
    ("PENDING_NEW", Fact.CANCELED): "CANCELED",  # canceled by hand at the venue before our answer arrived
    ("PENDING_NEW", Fact.EXPIRED): "EXPIRED",  # a market order that found no liquidity
    #
    ("NEW", Fact.ACCEPTED): "NEW",
    ("NEW", Fact.REFUSED): "NEW",  # refused as a duplicate of itself: it exists
    ("NEW", Fact.UNHEARD): "NEW",  # the user stream was faster than the answer's time-out
    ("NEW", Fact.PART_FILLED): "PARTIALLY_FILLED",
    ("NEW", Fact.ALL_FILLED): "FILLED",
    ("NEW", Fact.CANCEL_ASKED): "PENDING_CANCEL",
    ("NEW", Fact.CANCELED): "CANCELED",
    ("NEW", Fact.EXPIRED): "EXPIRED",
    ("NEW", Fact.VANISHED): "CANCELED",  # it was there and is no more, without a fill: somebody's reset
    #
    ("PARTIALLY_FILLED", Fact.ACCEPTED): "PARTIALLY_FILLED",  # the news of its arrival was late
    ("PARTIALLY_FILLED", Fact.REFUSED): "PARTIALLY_FILLED",
    ("PARTIALLY_FILLED", Fact.UNHEARD): "PARTIALLY_FILLED",
    ("PARTIALLY_FILLED", Fact.PART_FILLED): "PARTIALLY_FILLED",
    ("PARTIALLY_FILLED", Fact.ALL_FILLED): "FILLED",
    ("PARTIALLY_FILLED", Fact.CANCEL_ASKED): "PENDING_CANCEL",
    ("PARTIALLY_FILLED", Fact.CANCELED): "CANCELED",
    ("PARTIALLY_FILLED", Fact.EXPIRED): "EXPIRED",  # the rest of a market order that ran out of liquidity
    ("PARTIALLY_FILLED", Fact.VANISHED): "CANCELED",
    #
    ("PENDING_CANCEL", Fact.ACCEPTED): "PENDING_CANCEL",  # the news of its arrival was late
    ("PENDING_CANCEL", Fact.REFUSED): "PENDING_CANCEL",
    ("PENDING_CANCEL", Fact.UNHEARD): "PENDING_CANCEL",
    ("PENDING_CANCEL", Fact.PART_FILLED): "PENDING_CANCEL",
    ("PENDING_CANCEL", Fact.ALL_FILLED): "FILLED",  # the cancel lost the race
    ("PENDING_CANCEL", Fact.CANCEL_ASKED): "PENDING_CANCEL",  # cancels repeat
    ("PENDING_CANCEL", Fact.STILL_WHOLE): "NEW",
    ("PENDING_CANCEL", Fact.STILL_PART): "PARTIALLY_FILLED",
    ("PENDING_CANCEL", Fact.CANCELED): "CANCELED",
    ("PENDING_CANCEL", Fact.EXPIRED): "EXPIRED",
    ("PENDING_CANCEL", Fact.VANISHED): "CANCELED",
    #
    ("UNKNOWN", Fact.ACCEPTED): "NEW",
    ("UNKNOWN", Fact.REFUSED): "REJECTED",
    ("UNKNOWN", Fact.UNHEARD): "UNKNOWN",
    ("UNKNOWN", Fact.PART_FILLED): "PARTIALLY_FILLED",
    ("UNKNOWN", Fact.ALL_FILLED): "FILLED",
    ("UNKNOWN", Fact.CANCELED): "CANCELED",
    ("UNKNOWN", Fact.EXPIRED): "EXPIRED",
    ("UNKNOWN", Fact.VANISHED): "REJECTED",  # never reached the venue
    #
    ("FILLED", Fact.ACCEPTED): "FILLED",
    ("FILLED", Fact.REFUSED): "FILLED",
    ("FILLED", Fact.UNHEARD): "FILLED",
    ("FILLED", Fact.PART_FILLED): "FILLED",
    ("FILLED", Fact.ALL_FILLED): "FILLED",  # more than was asked for: booked, and a person is told
    ("FILLED", Fact.CANCELED): "FILLED",  # a cancel's answer overtaken by the last fill
    ("FILLED", Fact.EXPIRED): "FILLED",
    ("FILLED", Fact.VANISHED): "FILLED",
    #
    ("CANCELED", Fact.ACCEPTED): "CANCELED",
    ("CANCELED", Fact.REFUSED): "CANCELED",
    ("CANCELED", Fact.UNHEARD): "CANCELED",
    ("CANCELED", Fact.PART_FILLED): "CANCELED",  # a fill after a cancel: the venue was faster
    ("CANCELED", Fact.ALL_FILLED): "FILLED",  # likewise, and it took everything
    ("CANCELED", Fact.CANCELED): "CANCELED",
    ("CANCELED", Fact.EXPIRED): "CANCELED",
    ("CANCELED", Fact.VANISHED): "CANCELED",
    #
    ("EXPIRED", Fact.ACCEPTED): "EXPIRED",
    ("EXPIRED", Fact.REFUSED): "EXPIRED",
    ("EXPIRED", Fact.UNHEARD): "EXPIRED",
    ("EXPIRED", Fact.PART_FILLED): "EXPIRED",
    ("EXPIRED", Fact.ALL_FILLED): "FILLED",
    ("EXPIRED", Fact.CANCELED): "EXPIRED",
    ("EXPIRED", Fact.EXPIRED): "EXPIRED",
    ("EXPIRED", Fact.VANISHED): "EXPIRED",
    ("EXPIRED", Fact.SURFACED): "NEW",  # "never sent" was wrong; a person is paged
    #
    ("REJECTED", Fact.ACCEPTED): "REJECTED",
    ("REJECTED", Fact.REFUSED): "REJECTED",
    ("REJECTED", Fact.UNHEARD): "REJECTED",
    ("REJECTED", Fact.PART_FILLED): "PARTIALLY_FILLED",  # a fill is a fill, whatever was said before
    ("REJECTED", Fact.ALL_FILLED): "FILLED",
    ("REJECTED", Fact.CANCELED): "REJECTED",
    ("REJECTED", Fact.EXPIRED): "REJECTED",
    ("REJECTED", Fact.VANISHED): "REJECTED",
    ("REJECTED", Fact.SURFACED): "NEW",  # "never reached the venue" was wrong; a person is paged
}

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
    cancels, and is the end of a resting entry's time. An entry counts the `stops` and `exits` it has used, so that no client id is ever used twice.
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
        return (self.cum_cost / self.cum_qty).quantize(Decimal("1e-10")) if self.cum_qty else None


def base_of(instrument: str) -> str:
    """BTC of BTC-USDT."""
    return instrument.partition("-")[0]


def quote_of(instrument: str) -> str:
    """USDT of BTC-USDT."""
    return instrument.partition("-")[2]


def exec_key(fill: VenueFill) -> str:
    """What an execution is booked under: at most venues, trade ids are unique only within an instrument."""
    return f"{fill.instrument}:{fill.exec_id}"
