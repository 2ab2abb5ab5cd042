"""The comparison of a reading with our view, row by row."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.common.messages import AccountRead, Balance, VenueFill, VenueOrder
from services.order_executor.orders import Inquiry, Order
from services.order_executor.reconcile import Difference, differ, is_quiet, mismatches_of, watermarks_of
from services.order_executor.state import Reading, State
from tests.unit.order_executor.desk import BTC, ETH, fill, policy


def ours(status: str = "NEW", *, changed: int = 1, inquiry: Inquiry | None = None, cum: str = "0") -> State:
    """A view with one order `o`, read once since activity 5."""
    held = Order(
        cl_ord_id="o",
        intent_id="i",
        role="ENTRY",
        instrument=BTC,
        side="BUY",
        ord_type="LIMIT",
        time_in_force="GTC",
        order_qty=D(1),
        limit_px=D(1),
        stop_px=None,
        reduce_only=False,
        valid_until=0,
        correlation_id="c",
        status=status,  # type: ignore[arg-type]
        venue_order_id="v",
        changed=changed,
        inquiry=inquiry,
        cum_qty=D(cum),
    )
    return State(orders={"o": held}, reading=Reading(number=3, activity=5), activity=5, booked={f"{BTC}:old": "o"})


def shown(cl_ord_id: str = "o", venue_order_id: str = "v") -> VenueOrder:
    """An open order at the venue."""
    return VenueOrder(
        cl_ord_id=cl_ord_id,
        venue_order_id=venue_order_id,
        instrument=BTC,
        side="BUY",
        ord_type="LIMIT",
        ord_status="NEW",
        order_qty=D(1),
        cum_qty=D(0),
        limit_px=D(1),
        stop_px=None,
        ts_event=0,
    )


def reading(*, fills: tuple[VenueFill, ...] = (), orders: tuple[VenueOrder, ...] = (), **assets: str) -> AccountRead:
    """What the venue tells."""
    balances = tuple(Balance(asset=name, free=D(total), locked=D(0)) for name, total in assets.items())
    return AccountRead(request_id="account", ok=True, balances=balances, open_orders=orders, fills=fills, detail="")


NEW_FILL = fill("n", "o", "1")
BY_VENUE_ID = fill("n", "", "1", venue_order_id="v")
STRANGE_FILL = fill("n", "web", "1", venue_order_id="w")

ROWS = [
    ("the same view", ours(), reading(orders=(shown(),)), Difference(seen=(("o", shown()),))),
    (
        "an old fill",
        ours(),
        reading(orders=(shown(),), fills=(fill("old", "o", "1"),)),
        Difference(seen=(("o", shown()),)),
    ),
    ("a missing fill", ours(), reading(fills=(NEW_FILL,)), Difference(fills=(("o", NEW_FILL),))),
    ("a fill by the venue's id", ours(), reading(fills=(BY_VENUE_ID,)), Difference(fills=(("o", BY_VENUE_ID),))),
    ("a stranger's fill", ours("FILLED"), reading(fills=(STRANGE_FILL,)), Difference(foreign_fills=(STRANGE_FILL,))),
    (
        "a stranger's order",
        ours("FILLED"),
        reading(orders=(shown("w", "w"),)),
        Difference(foreign_orders=(shown("w", "w"),)),
    ),
    ("open here, not listed", ours(), reading(), Difference(absent=("o",))),
    ("partially filled here, not listed", ours("PARTIALLY_FILLED"), reading(), Difference(absent=("o",))),
    ("younger than the reading", ours(changed=6), reading(), Difference()),
    ("on its way out", ours("PENDING_CANCEL"), reading(), Difference()),
    ("on its way in", ours("PENDING_NEW"), reading(), Difference()),
    ("asked about already", ours(inquiry=Inquiry()), reading(), Difference()),
    ("closed on both sides", ours("FILLED"), reading(), Difference()),
    ("sought in vain", ours("UNKNOWN", inquiry=Inquiry(verdict_read=3)), reading(), Difference(verdicts=("o",))),
    (
        "sought, found here",
        ours("UNKNOWN", inquiry=Inquiry(verdict_read=3)),
        reading(orders=(shown(),)),
        Difference(seen=(("o", shown()),)),
    ),
    (
        "sought, filled here",
        ours("UNKNOWN", inquiry=Inquiry(verdict_read=3)),
        reading(fills=(NEW_FILL,)),
        Difference(fills=(("o", NEW_FILL),)),
    ),
    (
        "sought, verdict is the next reading's",
        ours("UNKNOWN", inquiry=Inquiry(verdict_read=4)),
        reading(),
        Difference(),
    ),
]


@pytest.mark.parametrize(("state", "read", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_reading_differs_from_our_view_in_exactly_this(state, read, expected):
    """A reading differs from our view in exactly this."""
    assert differ(read, state) == expected


@pytest.mark.parametrize(
    ("assets", "expected"),
    [
        ({"BTC": "2", "USDT": "50"}, ()),
        ({"BTC": "2.00000001", "USDT": "50.01"}, ()),
        ({"BTC": "2.00000002", "USDT": "50"}, ("balance BTC: venue 2.00000002, expected 2",)),
        ({"BTC": "2", "USDT": "50.02"}, ("balance USDT: venue 50.02, expected 50",)),
        ({"USDT": "50"}, ("balance BTC: venue 0, expected 2",)),
        ({"BTC": "2", "USDT": "50", "BNB": "7"}, ()),
        ({"BTC": "2", "USDT": "50", "ETH": "1"}, ("balance ETH: venue 1, expected 0",)),
    ],
)
def test_balances_are_what_opening_and_fills_lead_to(assets, expected):
    """Balances are what opening and fills lead to."""
    state = State(opening={"BTC": D(1), "USDT": D(100)}, flows={"BTC": D(1), "USDT": D(-50)})
    assert mismatches_of(reading(**assets), state, policy()) == expected


@pytest.mark.parametrize(
    ("state", "quiet"),
    [
        (ours(), True),
        (ours("FILLED"), True),
        (ours("PENDING_NEW"), False),
        (ours("UNKNOWN"), False),
        (ours("PENDING_CANCEL"), False),
        (ours(inquiry=Inquiry()), False),
        (State(activity=1), False),
    ],
)
def test_balances_are_compared_only_in_quiet(state, quiet):
    """Balances are compared only in quiet."""
    assert is_quiet(state) is quiet


def test_watermarks_grow_by_number_not_by_spelling():
    """Watermarks grow by number not by spelling."""
    read = reading(fills=(fill("9", "o", "1"), fill("10", "o", "1"), fill("8", "o", "1")))
    assert watermarks_of(read, {ETH: "3"}) == {ETH: "3", BTC: "10"}
    assert watermarks_of(read, {BTC: "11"}) == {BTC: "11"}
