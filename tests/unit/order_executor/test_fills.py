"""Executions are booked once by exec_id, whatever told of them, and statuses move only by the table."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from libs.common.messages import ExecutionReport
from tests.unit.order_executor.desk import BTC, ETH, Desk, approval, fill, order

ENTRY = order("ENTRY")


def sources(desk: Desk) -> list:
    """Every way the same execution may be told."""
    told = fill("1", ENTRY, "0.004")
    return [
        lambda: desk.stream(desk.shown(ENTRY, "PARTIALLY_FILLED", "0.004"), told),
        lambda: desk.stream(None, told),
        lambda: desk.confirm(ENTRY, told, status="PARTIALLY_FILLED"),
        lambda: desk.account(
            told, usdt="999800", btc="0.004", orders=(desk.shown(ENTRY, "PARTIALLY_FILLED", "0.004"),)
        ),
        lambda: desk.look(ENTRY, "FOUND", told, status="PARTIALLY_FILLED", cum="0.004"),
    ]


@pytest.mark.parametrize("first", range(5))
def test_an_execution_is_booked_once_whoever_tells_it_first(first):
    """An execution is booked once whoever tells it first."""
    desk = Desk().tell(approval())
    ways = sources(desk)
    trades = 0
    for way in [ways[first], *ways]:
        way()
        trades += sum(
            1 for each in desk.published(ExecutionReport) if each.exec_type == "TRADE" and each.role == "ENTRY"
        )
    assert trades == 1
    assert desk.state.orders[ENTRY].cum_qty == D("0.004")
    assert desk.state.holdings[BTC].qty == D("0.004")


def test_an_execution_told_twice_in_one_breath_is_booked_once():
    """An execution told twice in one breath is booked once."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("1", ENTRY, "0.004"), fill("1", ENTRY, "0.004"))
    assert desk.reports() == [("ENTRY", "NEW", "NEW"), ("ENTRY", "TRADE", "PARTIALLY_FILLED")]
    assert desk.state.holdings[BTC].qty == D("0.004")


def test_an_execution_may_be_told_without_the_order_and_by_the_venues_id_alone():
    """An execution may be told without the order and by the venue's id alone."""
    desk = Desk().tell(approval()).confirm(ENTRY)
    desk.stream(None, fill("1", "", "0.01", venue_order_id="v-" + ENTRY[:6]))
    assert desk.reports() == [("ENTRY", "TRADE", "FILLED")]


def test_an_end_the_venue_declares_is_believed_only_with_all_its_executions():
    """An end the venue declares is believed only with all its executions."""
    desk = Desk().tell(approval()).confirm(ENTRY)
    desk.stream(desk.shown(ENTRY, "CANCELED", "0.006"), fill("2", ENTRY, "0.002"))
    assert desk.reports() == [("ENTRY", "TRADE", "PARTIALLY_FILLED")]
    desk.stream(None, fill("1", ENTRY, "0.004"))
    assert desk.reports() == [("ENTRY", "TRADE", "PARTIALLY_FILLED"), ("ENTRY", "CANCELED", "CANCELED")]


def test_missing_executions_are_asked_for():
    """Missing executions are asked for."""
    desk = Desk().tell(approval()).answer(ENTRY, "CONFIRMED", status="FILLED", cum="0.01")
    assert desk.reports() == [("ENTRY", "NEW", "NEW")]
    desk.fire(f"look:{ENTRY}").look(ENTRY, "FOUND", fill("1", ENTRY, "0.01"), status="FILLED", cum="0.01")
    assert desk.reports() == [("ENTRY", "TRADE", "FILLED")]
    assert f"look:{ENTRY}" not in desk.timers


def test_an_incomplete_look_up_is_repeated():
    """An incomplete look up is repeated."""
    desk = Desk().tell(approval()).answer(ENTRY, "CONFIRMED", status="FILLED", cum="0.01")
    desk.fire(f"look:{ENTRY}").look(ENTRY, "FOUND", fill("1", ENTRY, "0.004"), status="FILLED", cum="0.01")
    assert f"look:{ENTRY}" in desk.timers


def test_a_fill_after_a_cancel_is_booked_although_the_order_stays_canceled():
    """A fill after a cancel is booked although the order stays canceled."""
    desk = Desk().tell(approval()).confirm(ENTRY, status="CANCELED")
    desk.stream(None, fill("1", ENTRY, "0.004"))
    assert desk.reports() == [("ENTRY", "TRADE", "CANCELED")]
    assert desk.asked() == [f"submit:{order('STOP')}"]


def test_a_market_order_that_ran_out_of_liquidity_expires_with_what_it_got():
    """A market order that ran out of liquidity expires with what it got."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("1", ENTRY, "0.004"), status="EXPIRED")
    assert desk.reports()[-1] == ("ENTRY", "EXPIRED", "EXPIRED")
    assert desk.published(ExecutionReport)[-2].leaves_qty == D("0.006")
    assert desk.published(ExecutionReport)[-1].leaves_qty == D(0)


def test_a_venue_that_calls_less_than_asked_filled_leaves_nothing_open():
    """A venue that calls less than asked filled leaves nothing open."""
    desk = Desk().tell(approval()).answer(ENTRY, "CONFIRMED", fill("1", ENTRY, "0.004"), status="FILLED", cum="0.004")
    assert desk.reports()[-1] == ("ENTRY", "EXPIRED", "EXPIRED")


def test_more_than_was_asked_for_is_booked_and_paged():
    """More than was asked for is booked and paged."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED")
    desk.stream(None, fill("2", ENTRY, "0.001"))
    assert ("OVERFILLED", "page") in desk.alerts()
    assert desk.state.holdings[BTC].qty == D("0.011")


@pytest.mark.parametrize("changes", [{"side": "SELL"}, {"instrument": ETH}, {"px": D(0)}])
def test_an_execution_that_contradicts_its_order_is_paged_and_not_booked(changes):
    """An execution that contradicts its order is paged and not booked."""
    desk = Desk().tell(approval()).confirm(ENTRY)
    desk.stream(desk.shown(ENTRY), fill("1", ENTRY, "0.01", **changes))
    assert desk.alerts() == [("CONTRADICTORY_FILL", "page")]
    assert desk.state.orders[ENTRY].cum_qty == 0


def test_a_stranger_at_our_venue_is_told_once_and_never_booked():
    """A stranger at our venue is told once and never booked."""
    desk = Desk().tell(approval()).confirm(ENTRY)
    mine = desk.shown(ENTRY)
    theirs = msgspec.structs.replace(mine, cl_ord_id="web", venue_order_id="v-web")
    desk.stream(theirs, fill("9", "web", "0.5", venue_order_id="v-web"))
    assert desk.alerts() == [("FOREIGN_FILL", "ticket")]
    assert desk.state.flows == {}
    desk.stream(theirs, fill("9", "web", "0.5", venue_order_id="v-web")).expect()
    assert desk.stream(theirs).alerts() == [("FOREIGN_ORDER", "ticket")]
    desk.stream(theirs).expect()


def test_before_the_book_is_open_strangers_are_nobodys_business():
    """Before the book is open strangers are nobody's business."""
    Desk(opened=False).stream(None, fill("9", "web", "0.5")).expect()


def test_two_instruments_may_use_the_same_trade_id():
    """Two instruments may use the same trade id."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("7", ENTRY, "0.01"), status="FILLED")
    other = order("ENTRY", "a2")
    desk.tell(approval("a2", instrument=ETH, ref_px=D(2_000), stop_px=D(1_900), order_qty=D(1)))
    desk.confirm(other, fill("7", other, "1", instrument=ETH, px=D(2_000)), status="FILLED")
    assert desk.reports()[1] == ("ENTRY", "TRADE", "FILLED")


def test_old_closed_orders_are_forgotten_and_their_executions_are_not():
    """Old closed orders are forgotten and their executions are not."""
    desk = Desk(orders_kept=2)
    for number in range(4):
        name = f"n{number}"
        desk.tell(approval(name, order_qty=D("0.0001"))).answer(order("ENTRY", name), "REJECTED")
    assert list(desk.state.orders) == [order("ENTRY", "n2"), order("ENTRY", "n3")]
    desk.tell(approval("n0", order_qty=D("0.0001"))).expect()
