"""The order state table, as data: what each fact about an order makes of its status, and why the strange rows are right.

Three things make the table total enough for a real venue:

* fills, not status words, make an order PARTIALLY_FILLED or FILLED: money is booked from executions alone;
* a venue that calls an order closed while executions are missing is believed only once they are booked (`Order.closing`);
* a closed order stays closed, except where the venue shows us an order that we had declared never to have arrived.

A fact that has no row cannot happen to an order in that status; it is told to a person and changes nothing. docs/orders.md is
generated from here.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from libs.common.messages import OrdStatus


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


class Row(msgspec.Struct, frozen=True):
    """Where a fact leads, and why, where that is not plain."""

    status: OrdStatus
    note: str = ""


TRANSITIONS: dict[tuple[OrdStatus, Fact], Row] = {
    ("PENDING_NEW", Fact.ACCEPTED): Row("NEW"),
    ("PENDING_NEW", Fact.REFUSED): Row("REJECTED"),
    ("PENDING_NEW", Fact.LAPSED): Row("EXPIRED"),
    ("PENDING_NEW", Fact.UNHEARD): Row("UNKNOWN"),
    ("PENDING_NEW", Fact.PART_FILLED): Row("PARTIALLY_FILLED", "the user stream was faster than the answer"),
    ("PENDING_NEW", Fact.ALL_FILLED): Row("FILLED", "likewise"),
    ("PENDING_NEW", Fact.CANCELED): Row("CANCELED", "canceled by hand at the venue before our answer arrived"),
    ("PENDING_NEW", Fact.EXPIRED): Row("EXPIRED", "a market order that found no liquidity"),
    #
    ("NEW", Fact.ACCEPTED): Row("NEW"),
    ("NEW", Fact.REFUSED): Row("NEW", "refused as a duplicate of itself: it exists"),
    ("NEW", Fact.UNHEARD): Row("NEW", "the user stream was faster than the answer's time-out"),
    ("NEW", Fact.PART_FILLED): Row("PARTIALLY_FILLED"),
    ("NEW", Fact.ALL_FILLED): Row("FILLED"),
    ("NEW", Fact.CANCEL_ASKED): Row("PENDING_CANCEL"),
    ("NEW", Fact.CANCELED): Row("CANCELED"),
    ("NEW", Fact.EXPIRED): Row("EXPIRED"),
    ("NEW", Fact.VANISHED): Row("CANCELED", "it was there and is no more, without a fill: somebody's reset"),
    #
    ("PARTIALLY_FILLED", Fact.ACCEPTED): Row("PARTIALLY_FILLED", "the news of its arrival was late"),
    ("PARTIALLY_FILLED", Fact.REFUSED): Row("PARTIALLY_FILLED"),
    ("PARTIALLY_FILLED", Fact.UNHEARD): Row("PARTIALLY_FILLED"),
    ("PARTIALLY_FILLED", Fact.PART_FILLED): Row("PARTIALLY_FILLED"),
    ("PARTIALLY_FILLED", Fact.ALL_FILLED): Row("FILLED"),
    ("PARTIALLY_FILLED", Fact.CANCEL_ASKED): Row("PENDING_CANCEL"),
    ("PARTIALLY_FILLED", Fact.CANCELED): Row("CANCELED"),
    ("PARTIALLY_FILLED", Fact.EXPIRED): Row("EXPIRED", "the rest of a market order that ran out of liquidity"),
    ("PARTIALLY_FILLED", Fact.VANISHED): Row("CANCELED"),
    #
    ("PENDING_CANCEL", Fact.ACCEPTED): Row("PENDING_CANCEL", "the news of its arrival was late"),
    ("PENDING_CANCEL", Fact.REFUSED): Row("PENDING_CANCEL"),
    ("PENDING_CANCEL", Fact.UNHEARD): Row("PENDING_CANCEL"),
    ("PENDING_CANCEL", Fact.PART_FILLED): Row("PENDING_CANCEL"),
    ("PENDING_CANCEL", Fact.ALL_FILLED): Row("FILLED", "the cancel lost the race"),
    ("PENDING_CANCEL", Fact.CANCEL_ASKED): Row("PENDING_CANCEL", "cancels repeat"),
    ("PENDING_CANCEL", Fact.STILL_WHOLE): Row("NEW"),
    ("PENDING_CANCEL", Fact.STILL_PART): Row("PARTIALLY_FILLED"),
    ("PENDING_CANCEL", Fact.CANCELED): Row("CANCELED"),
    ("PENDING_CANCEL", Fact.EXPIRED): Row("EXPIRED"),
    ("PENDING_CANCEL", Fact.VANISHED): Row("CANCELED"),
    #
    ("UNKNOWN", Fact.ACCEPTED): Row("NEW"),
    ("UNKNOWN", Fact.REFUSED): Row("REJECTED"),
    ("UNKNOWN", Fact.UNHEARD): Row("UNKNOWN"),
    ("UNKNOWN", Fact.PART_FILLED): Row("PARTIALLY_FILLED"),
    ("UNKNOWN", Fact.ALL_FILLED): Row("FILLED"),
    ("UNKNOWN", Fact.CANCELED): Row("CANCELED"),
    ("UNKNOWN", Fact.EXPIRED): Row("EXPIRED"),
    ("UNKNOWN", Fact.VANISHED): Row("REJECTED", "never reached the venue"),
    #
    ("FILLED", Fact.ACCEPTED): Row("FILLED"),
    ("FILLED", Fact.REFUSED): Row("FILLED"),
    ("FILLED", Fact.UNHEARD): Row("FILLED"),
    ("FILLED", Fact.PART_FILLED): Row("FILLED"),
    ("FILLED", Fact.ALL_FILLED): Row("FILLED", "more than was asked for: booked, and a person is told"),
    ("FILLED", Fact.CANCELED): Row("FILLED", "a cancel's answer overtaken by the last fill"),
    ("FILLED", Fact.EXPIRED): Row("FILLED"),
    ("FILLED", Fact.VANISHED): Row("FILLED"),
    #
    ("CANCELED", Fact.ACCEPTED): Row("CANCELED"),
    ("CANCELED", Fact.REFUSED): Row("CANCELED"),
    ("CANCELED", Fact.UNHEARD): Row("CANCELED"),
    ("CANCELED", Fact.PART_FILLED): Row("CANCELED", "a fill after a cancel: the venue was faster"),
    ("CANCELED", Fact.ALL_FILLED): Row("FILLED", "likewise, and it took everything"),
    ("CANCELED", Fact.CANCELED): Row("CANCELED"),
    ("CANCELED", Fact.EXPIRED): Row("CANCELED"),
    ("CANCELED", Fact.VANISHED): Row("CANCELED"),
    #
    ("EXPIRED", Fact.ACCEPTED): Row("EXPIRED"),
    ("EXPIRED", Fact.REFUSED): Row("EXPIRED"),
    ("EXPIRED", Fact.UNHEARD): Row("EXPIRED"),
    ("EXPIRED", Fact.PART_FILLED): Row("EXPIRED"),
    ("EXPIRED", Fact.ALL_FILLED): Row("FILLED"),
    ("EXPIRED", Fact.CANCELED): Row("EXPIRED"),
    ("EXPIRED", Fact.EXPIRED): Row("EXPIRED"),
    ("EXPIRED", Fact.VANISHED): Row("EXPIRED"),
    ("EXPIRED", Fact.SURFACED): Row("NEW", '"never sent" was wrong; a person is paged'),
    #
    ("REJECTED", Fact.ACCEPTED): Row("REJECTED"),
    ("REJECTED", Fact.REFUSED): Row("REJECTED"),
    ("REJECTED", Fact.UNHEARD): Row("REJECTED"),
    ("REJECTED", Fact.PART_FILLED): Row("PARTIALLY_FILLED", "a fill is a fill, whatever was said before"),
    ("REJECTED", Fact.ALL_FILLED): Row("FILLED"),
    ("REJECTED", Fact.CANCELED): Row("REJECTED"),
    ("REJECTED", Fact.EXPIRED): Row("REJECTED"),
    ("REJECTED", Fact.VANISHED): Row("REJECTED"),
    ("REJECTED", Fact.SURFACED): Row("NEW", '"never reached the venue" was wrong; a person is paged'),
}


def led_to(status: OrdStatus, fact: Fact) -> OrdStatus | None:
    """The status that `fact` makes of `status`; None if it cannot be."""
    row = TRANSITIONS.get((status, fact))
    return None if row is None else row.status
