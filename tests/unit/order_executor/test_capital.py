"""Money that comes and goes without a trade is capital, never profit; what nobody explains waits for an operator."""

from __future__ import annotations

from decimal import Decimal as D

from libs.common.messages import BalanceMoved, BaselineAccepted, CapitalMoved, ExecutionReport, Reconciled
from services.order_executor.requests import ReplaceOrder
from tests.unit.order_executor.desk import BTC, SECOND, Desk, approval, order

STOP, STOP1 = order("STOP"), order("STOP", attempt=1)
ACCEPTED = BaselineAccepted(reason="a gift", author="me", producer="ops.cli")


def read_twice(desk: Desk, **balances: str) -> Desk:
    """Two readings in a row show the same."""
    return desk.fire("reconcile").account(**balances).fire("reconcile").account(**balances)


def test_a_deposit_the_venue_tells_of_is_capital_and_the_next_reading_is_clean():
    """A deposit the venue tells of is capital, and the next reading is clean."""
    desk = Desk().tell(BalanceMoved(asset="USDT", amount=D(500)))
    moved = desk.only(CapitalMoved)
    assert (moved.asset, moved.amount, moved.reason) == ("USDT", D(500), "TRANSFER")
    assert desk.asked() == ["account"]
    assert desk.account(usdt="1000500").only(Reconciled).clean


def test_a_transfer_during_a_reading_is_not_compared_with_it():
    """A reading that began before a transfer says nothing of it."""
    desk = Desk().fire("reconcile").tell(BalanceMoved(asset="USDT", amount=D(-500))).account()
    assert desk.published(Reconciled) == []
    assert desk.asked() == ["account"]
    assert desk.account(usdt="999500").only(Reconciled).clean


def test_a_transfer_before_the_book_is_open_is_part_of_its_opening():
    """A transfer before the book is open is part of its opening."""
    Desk(opened=False).tell(BalanceMoved(asset="USDT", amount=D(500))).expect()


def test_coins_of_a_position_that_leave_are_no_longer_guarded():
    """Coins of a position that leave the account are told with a page, and the guard shrinks to what is left."""
    desk = Desk().covered().tell(BalanceMoved(asset="BTC", amount=D("-0.004")))
    assert desk.alerts() == [("POSITION_WITHDRAWN", "page")]
    assert desk.state.holdings[BTC].qty == D("0.006")
    assert (desk.request(ReplaceOrder).replaced_id, desk.request(ReplaceOrder).order_qty) == (STOP, D("0.006"))


def test_coins_beside_a_position_may_leave_without_touching_it():
    """Coins that the account held beside a position may leave without touching it."""
    desk = Desk()
    desk.state.opening["BTC"] = D(1)
    desk.covered().tell(BalanceMoved(asset="BTC", amount=D("-0.5")))
    assert desk.alerts() == []
    assert desk.state.holdings[BTC].qty == D("0.01")


def test_what_nobody_explains_stops_entries_until_an_operator_accepts_it():
    """A difference nobody explains stops entries until an operator accepts it; then it is capital."""
    desk = read_twice(Desk(), usdt="1000007")
    assert not desk.only(Reconciled).clean
    desk.price(50_000).tell(approval("a1", valid_until=desk.now + SECOND))
    assert "NOT_RECONCILED" in desk.only(ExecutionReport).reason
    desk.tell(ACCEPTED)
    assert desk.asked() == ["account"]
    desk.account(usdt="1000007")
    moved = desk.only(CapitalMoved)
    assert (moved.amount, moved.reason) == (D(7), "ACCEPTED")
    assert desk.only(Reconciled).clean
    assert desk.alerts() == [("BALANCE_ACCEPTED", "note")]


def test_an_acceptance_counts_once():
    """An acceptance counts for the next quiet reading, and for no later one."""
    desk = Desk().tell(ACCEPTED).account(usdt="1000007")
    assert desk.only(CapitalMoved).amount == D(7)
    assert not read_twice(desk, usdt="1000009").only(Reconciled).clean


def test_an_acceptance_of_missing_coins_shrinks_the_position():
    """Coins an operator accepts as gone are gone from the position."""
    desk = Desk().covered().tell(ACCEPTED).account(usdt="999500", btc="0.006", orders=())
    desk.fire(f"look:{STOP}").look(STOP, "FOUND", status="CANCELED").confirm(STOP1)
    desk.fire("reconcile").account(usdt="999500", btc="0.006", orders=(desk.shown(STOP1),))
    assert ("POSITION_WITHDRAWN", "page") in desk.alerts()
    assert desk.state.holdings[BTC].qty == D("0.006")
