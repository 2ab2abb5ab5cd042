"""The order state table: every status answers every fact that can happen to it, and money has the last word."""

from __future__ import annotations

from typing import get_args

import pytest

from libs.common.messages import OrdStatus
from services.order_executor.orders import CLOSED
from services.order_executor.transitions import TRANSITIONS, Fact, led_to

STATUSES: tuple[OrdStatus, ...] = get_args(OrdStatus)
NEWS = (Fact.ACCEPTED, Fact.REFUSED, Fact.PART_FILLED, Fact.ALL_FILLED, Fact.CANCELED, Fact.EXPIRED, Fact.UNHEARD)
"""What the venue may say at any time, in any order, however often."""


@pytest.mark.parametrize("fact", NEWS)
@pytest.mark.parametrize("status", STATUSES)
def test_whatever_the_venue_may_say_is_decided_for_every_status(status, fact):
    """Whatever the venue may say is decided for every status."""
    assert (status, fact) in TRANSITIONS


def test_what_we_alone_decide_happens_only_where_we_decide_it():
    """Our own deadline ends only what was not sent, and only an open order can be asked back."""
    allowed = {
        Fact.LAPSED: {"PENDING_NEW"},
        Fact.CANCEL_ASKED: {"NEW", "PARTIALLY_FILLED", "PENDING_CANCEL"},
        Fact.STILL_WHOLE: {"PENDING_CANCEL"},
        Fact.STILL_PART: {"PENDING_CANCEL"},
        Fact.SURFACED: {"REJECTED", "EXPIRED"},
    }
    for fact, statuses in allowed.items():
        assert {status for status, each in TRANSITIONS if each == fact} == statuses


def test_a_filled_order_stays_filled():
    """A filled order stays filled, whatever is said of it afterwards."""
    assert {row.status for (status, _), row in TRANSITIONS.items() if status == "FILLED"} == {"FILLED"}


def test_a_closed_order_reopens_only_for_what_the_venue_proves():
    """A closed order reopens only where we had declared it never to have arrived, and the venue shows it or a fill of it."""
    reopened = {
        (status, fact) for (status, fact), row in TRANSITIONS.items() if status in CLOSED and row.status not in CLOSED
    }
    assert reopened == {("REJECTED", Fact.SURFACED), ("EXPIRED", Fact.SURFACED), ("REJECTED", Fact.PART_FILLED)}


def test_nothing_but_fills_makes_an_order_filled():
    """No status word of the venue makes an order filled: only executions do."""
    facts = {fact for (status, fact), row in TRANSITIONS.items() if row.status == "FILLED" and status != "FILLED"}
    assert facts == {Fact.ALL_FILLED}
    assert all(led_to(status, Fact.ALL_FILLED) == "FILLED" for status in STATUSES)


def test_silence_is_never_taken_for_a_no():
    """An order nobody answered for is UNKNOWN, and neither silence nor anything but the venue's word or a verdict ends that."""
    assert led_to("PENDING_NEW", Fact.UNHEARD) == "UNKNOWN"
    assert led_to("UNKNOWN", Fact.UNHEARD) == "UNKNOWN"
    assert led_to("UNKNOWN", Fact.LAPSED) is None
    assert led_to("UNKNOWN", Fact.VANISHED) == "REJECTED"


def test_nothing_becomes_unknown_once_the_venue_has_shown_it():
    """Nothing becomes unknown once the venue has shown it."""
    assert {status for (status, _), row in TRANSITIONS.items() if row.status == "UNKNOWN"} == {"PENDING_NEW", "UNKNOWN"}


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        ("NEW", Fact.REFUSED),
        ("NEW", Fact.VANISHED),
        ("PENDING_NEW", Fact.PART_FILLED),
        ("PENDING_CANCEL", Fact.ALL_FILLED),
        ("CANCELED", Fact.PART_FILLED),
        ("CANCELED", Fact.ALL_FILLED),
        ("FILLED", Fact.ALL_FILLED),
        ("FILLED", Fact.CANCELED),
        ("REJECTED", Fact.PART_FILLED),
        ("REJECTED", Fact.SURFACED),
        ("EXPIRED", Fact.SURFACED),
    ],
)
def test_a_row_that_looks_wrong_says_why_it_is_right(status, fact):
    """A row that looks wrong says why it is right."""
    assert TRANSITIONS[status, fact].note


def test_every_status_but_the_first_can_be_reached_and_every_open_one_can_end():
    """Every status can be reached, and from every one that is not closed an end can be."""
    reached = {row.status for (status, _), row in TRANSITIONS.items() if row.status != status}
    assert reached == set(STATUSES) - {"PENDING_NEW"}
    for status in set(STATUSES) - set(CLOSED):
        assert any(old == status and row.status in CLOSED for (old, _), row in TRANSITIONS.items())
