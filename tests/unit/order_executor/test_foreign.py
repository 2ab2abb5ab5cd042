"""What others do with the account: told, taken over where it touches our position, cancelled where the policy says so."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import msgspec
import pytest

from libs.common.messages import UserStreamChanged, VenueFill, VenueOrder
from services.order_executor.guards import uncovered
from tests.unit.order_executor.desk import BTC, START, Desk, approval, fill, order

STOP, STOP1, STOP2 = (order("STOP", attempt=number) for number in range(3))


def theirs(**changes: Any) -> VenueOrder:
    """Somebody's resting sell."""
    values: dict[str, Any] = {
        "cl_ord_id": "web-1",
        "venue_order_id": "v-web",
        "instrument": BTC,
        "side": "SELL",
        "ord_type": "LIMIT",
        "ord_status": "NEW",
        "order_qty": D("0.01"),
        "cum_qty": D(0),
        "limit_px": D(60_000),
        "stop_px": None,
        "ts_event": START,
    }
    return VenueOrder(**{**values, **changes})


def sale(qty: str, exec_id: str = "w1", **changes: Any) -> VenueFill:
    """Somebody's sale."""
    plain = fill(exec_id, "web-1", qty, side="SELL", venue_order_id="v-web")
    return msgspec.structs.replace(plain, **changes)


def test_a_position_closed_by_hand_is_an_exit_of_ours():
    """A position somebody sells by hand is booked as an exit, told with a page, and ends."""
    desk = Desk().covered()
    desk.stream(desk.shown(STOP, "CANCELED")).answer(STOP1, "REJECTED", code="-1003")
    desk.stream(None, sale("0.01"))
    assert ("POSITION_CLOSED_OUTSIDE", "page") in desk.alerts()
    assert desk.reports() == [("EXIT", "TRADE", "FILLED")]
    assert (desk.state.holdings[BTC].qty, desk.state.holdings[BTC].owner) == (0, "")
    assert desk.asked() == []


def test_a_part_sold_by_hand_leaves_the_rest_guarded():
    """A part sold by hand in two executions leaves a guard of exactly the rest."""
    desk = Desk().covered().stream(None, sale("0.002")).stream(None, sale("0.002", "w2"))
    assert desk.state.holdings[BTC].qty == D("0.006")
    assert desk.state.orders[STOP].cancel_wanted
    assert ("OVERFILLED", "page") not in desk.alerts()
    desk.replaced(STOP1).replaced(STOP2)
    assert desk.state.orders[STOP2].order_qty == D("0.006")
    assert uncovered(desk.state) == {}


def test_a_sale_by_the_venue_itself_is_called_a_liquidation():
    """A sale by the venue itself is called a liquidation."""
    desk = Desk().covered().stream(None, sale("0.01", cl_ord_id="autoclose-17"))
    assert ("LIQUIDATED", "page") in desk.alerts()
    assert desk.state.holdings[BTC].qty == 0


def test_the_same_execution_from_stream_and_reading_is_booked_once():
    """A sale by hand is booked once, whether the user stream or the account reading tells of it first."""
    desk = Desk().covered().stream(None, sale("0.004")).canceled(STOP).confirm(STOP1)
    desk.fire("reconcile").account(sale("0.004"), usdt="999700", btc="0.006", orders=(desk.shown(STOP1),))
    assert desk.state.holdings[BTC].qty == D("0.006")
    assert desk.state.reconciled


def test_a_sale_in_several_executions_that_one_reading_tells_of_is_one_order():
    """A sale by hand in several executions, of which one account reading tells, is one order and one page."""
    desk = Desk().covered().fire("reconcile")
    desk.account(sale("0.002", "w1"), sale("0.003", "w2"), usdt="999750", btc="0.005", orders=(desk.shown(STOP),))
    assert [code for code, _ in desk.alerts()].count("POSITION_CLOSED_OUTSIDE") == 1
    assert desk.state.orders["web-1"].cum_qty == D("0.005")
    assert desk.state.holdings[BTC].qty == D("0.005")


def test_a_sale_heard_before_the_purchase_it_sells_waits_for_a_reading():
    """A sale by hand of what we have not yet heard to have bought is decided by a reading, which tells of our purchase too."""
    desk = Desk().tell(approval()).stream(None, sale("0.01"))
    assert desk.alerts() == []
    assert desk.asked() == ["account"]
    desk.account(fill("e", order("ENTRY"), "0.01"), sale("0.01"))
    assert ("POSITION_CLOSED_OUTSIDE", "page") in desk.alerts()
    assert desk.state.holdings[BTC].qty == 0


def test_a_sale_of_coins_beside_our_position_is_not_a_sale_of_ours():
    """Where the account holds coins beside our position, a stranger who sells those leaves our position and its stop alone."""
    desk = Desk()
    desk.state.opening["BTC"] = D(1)
    desk.covered().stream(None, sale("0.01"))
    assert desk.asked() == ["account"]
    desk.account(sale("0.01"), usdt="999500", btc="1", orders=(desk.shown(STOP),))
    assert desk.alerts() == [("FOREIGN_FILL", "ticket")]
    assert desk.asked() == []
    assert desk.state.holdings[BTC].qty == D("0.01")


@pytest.mark.parametrize("changes", [{"side": "BUY"}, {"qty": D("0.5")}])
def test_what_cannot_be_a_sale_of_ours_is_told_and_not_booked(changes):
    """A purchase, or a sale of more than we hold, is told once and not booked."""
    told = msgspec.structs.replace(sale("0.01"), **changes)
    desk = Desk().covered().tell(UserStreamChanged(connected=True, reason=""))
    desk.account(told, usdt="999500", btc="0.01", orders=(desk.shown(STOP),))
    assert desk.alerts() == [("FOREIGN_FILL", "ticket")]
    assert desk.state.holdings[BTC].qty == D("0.01")
    assert desk.stream(None, told).alerts() == []


def test_by_default_a_foreign_order_is_told_once_and_left_alone():
    """By default a foreign order is told once and left alone."""
    desk = Desk().covered().stream(theirs())
    assert desk.alerts() == [("FOREIGN_ORDER", "ticket")]
    assert desk.asked() == []
    assert desk.stream(theirs()).alerts() == []


def test_by_policy_a_foreign_order_is_cancelled():
    """By policy a foreign order is cancelled, and its end is nothing to act on."""
    desk = Desk(foreign_orders="cancel").stream(theirs(side="BUY", limit_px=D(40_000)))
    assert desk.asked() == ["cancel:web-1"]
    desk.canceled("web-1")
    assert desk.alerts() == []
    assert desk.asked() == []


def test_by_policy_a_foreign_stop_at_our_price_becomes_the_guard():
    """By policy a stop that a person placed at our price is taken over as the guard."""
    desk = Desk(foreign_orders="adopt").covered()
    desk.stream(desk.shown(STOP, "CANCELED")).answer(STOP1, "REJECTED", code="-1003")
    desk.stream(theirs(ord_type="STOP_LOSS", limit_px=None, stop_px=D(49_000)))
    assert ("FOREIGN_ORDER", "ticket") in desk.alerts()
    assert uncovered(desk.state) == {}


def test_a_foreign_order_that_guards_nothing_of_ours_is_not_taken_over():
    """Where we hold nothing, a foreign order is only told, whatever the policy of taking over."""
    desk = Desk(foreign_orders="adopt").stream(theirs())
    assert desk.alerts() == [("FOREIGN_ORDER", "ticket")]
    assert "web-1" not in desk.state.orders
