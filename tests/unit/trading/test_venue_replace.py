"""Cancel/replace: the old order stands, or the new one does; only the market of that instant can leave neither."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.trading.venue import NewOrder, SpotVenue, VenueRejected
from tests.unit.trading.test_venue import owned, venue
from tests.unit.trading.test_venue_pairs import told, with_pair


def stop(name: str, px: str, qty: str = "0.5") -> NewOrder:
    """A stop that sells."""
    return NewOrder(
        cl_ord_id=name, instrument="BTC-USDT", side="SELL", ord_type="STOP_LOSS", order_qty=D(qty), stop_px=D(px)
    )


def with_stop() -> SpotVenue:
    """A venue at 99.99/100 with a stop at 95 for all its half bitcoin."""
    made = venue(usdt="0", btc="0.5")
    made.submit(stop("old", "95"), 2)
    return made


def test_the_old_order_is_gone_and_the_new_one_rests() -> None:
    """Though the old one had locked all there is."""
    made = with_stop()
    updates, refused = made.replace(stop("new", "97"), 3, cl_ord_id="old")
    assert refused is None
    assert told(updates) == [("old", "CANCELED", "CANCELED", ""), ("new", "NEW", "NEW", "")]
    assert owned(made)["BTC"] == ("0", "0.5")


def test_of_a_pair_both_orders_go() -> None:
    """As at Binance, where a cancel of one order of a list is a cancel of the list."""
    made = with_pair()
    updates, refused = made.replace(stop("new", "97"), 3, cl_ord_id="s")
    assert refused is None
    assert [each[:2] for each in told(updates)] == [("s", "CANCELED"), ("t", "CANCELED"), ("new", "NEW")]


@pytest.mark.parametrize(
    ("wanted", "old", "code"),
    [
        (stop("new", "97", "0.0000001"), "old", -1013),
        (stop("new", "97.00001"), "old", -1013),
        (stop("new", "97"), "nobody", -2011),
    ],
)
def test_a_bad_form_or_an_old_order_that_is_not_there_changes_nothing(wanted: NewOrder, old: str, code: int) -> None:
    """What is wrong with the order itself is seen before the cancel."""
    made = with_stop()
    before = made.snapshot()
    with pytest.raises(VenueRejected) as refused:
        made.replace(wanted, 3, cl_ord_id=old)
    assert refused.value.code == code
    assert made.snapshot() == before


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (stop("new", "100.5"), "Stop price would trigger immediately."),
        (stop("new", "97", "0.6"), "Account has insufficient balance for requested action."),
    ],
)
def test_what_only_the_market_or_the_balance_can_refuse_leaves_neither(wanted: NewOrder, text: str) -> None:
    """The cancel has been done by then."""
    made = with_stop()
    updates, refused = made.replace(wanted, 3, cl_ord_id="old")
    assert refused is not None
    assert refused.message == text
    assert told(updates) == [("old", "CANCELED", "CANCELED", "")]
    assert made.open_orders("BTC-USDT") == []
