"""The guards of a position cover exactly what is held, while it grows, shrinks, trails and is sold in parts."""

from __future__ import annotations

from decimal import Decimal as D

from services.order_executor.guards import uncovered
from services.order_executor.requests import CancelOrder, ReplaceOrder, SubmitOrder
from tests.unit.order_executor.desk import BTC, SECOND, Desk, approval, exit_approval, fill, order

ENTRY, STOP, EXIT = order("ENTRY"), order("STOP"), order("EXIT", "x1")
STOP1, STOP2, STOP3 = (order("STOP", attempt=number) for number in (1, 2, 3))


def growing(desk: Desk, *parts: str) -> Desk:
    """An entry that has filled in these parts, each under a stop of its own."""
    desk.tell(approval()).confirm(ENTRY)
    total = D(0)
    for number, part in enumerate(parts):
        total += D(part)
        desk.stream(desk.shown(ENTRY, "PARTIALLY_FILLED", str(total)), fill(str(number), ENTRY, part))
        desk.confirm(order("STOP", attempt=number))
    return desk


def resting(desk: Desk) -> dict[str, D]:
    """The quantities of the open stops."""
    return {
        each.cl_ord_id: each.leaves_qty
        for each in desk.state.orders.values()
        if each.role == "STOP" and not each.is_closed
    }


def test_every_part_of_a_filling_entry_is_guarded_beside_the_parts_before_it():
    """Every part of a filling entry is guarded beside the parts before it."""
    desk = growing(Desk(), "0.004", "0.003")
    assert resting(desk) == {STOP: D("0.004"), STOP1: D("0.003")}
    assert uncovered(desk.state) == {}


def test_when_there_are_enough_guards_only_the_newest_gives_way_to_a_larger_one():
    """When there are enough guards only the newest gives way to a larger one, and the others never leave."""
    desk = growing(Desk(guards_max=2), "0.004", "0.003")
    desk.stream(desk.shown(ENTRY, "FILLED", "0.01"), fill("9", ENTRY, "0.003"))
    sent = desk.request(ReplaceOrder)
    assert (sent.replaced_id, sent.cl_ord_id, sent.order_qty) == (STOP1, STOP2, D("0.006"))
    desk.replaced(STOP2)
    assert resting(desk) == {STOP: D("0.004"), STOP2: D("0.006")}


def test_what_is_too_little_for_a_stop_of_its_own_waits_for_more_and_then_joins_the_newest():
    """What is too little for a stop of its own waits while its entry fills, and then joins the newest guard."""
    desk = growing(Desk(), "0.004")
    desk.stream(desk.shown(ENTRY, "PARTIALLY_FILLED", "0.00405"), fill("8", ENTRY, "0.00005"))
    assert desk.asked() == []
    desk.stream(desk.shown(ENTRY, "CANCELED", "0.00405"))
    assert (desk.request(ReplaceOrder).replaced_id, desk.request(ReplaceOrder).order_qty) == (STOP, D("0.00405"))


def test_an_exit_takes_from_its_guards_only_what_it_sells():
    """An exit of a part takes from the newest guard only what it sells; no other part is ever without a stop."""
    desk = growing(Desk(), "0.006", "0.004")
    desk.tell(exit_approval(order_qty=D("0.003")))
    assert desk.asked() == [f"replace:{STOP2}"]
    desk.replaced(STOP2)
    assert desk.asked() == [f"submit:{EXIT}"]
    assert resting(desk) == {STOP: D("0.006"), STOP2: D("0.001")}


def test_an_exit_of_more_than_the_newest_guard_takes_that_one_and_a_part_of_the_next():
    """An exit of more than the newest guard covers takes that one, and a part of the one before it."""
    desk = growing(Desk(), "0.006", "0.004")
    desk.tell(exit_approval(order_qty=D("0.007")))
    assert desk.asked() == [f"cancel:{STOP1}", f"replace:{STOP2}"]
    assert desk.canceled(STOP1).asked() == []
    assert desk.replaced(STOP2).asked() == [f"submit:{EXIT}"]
    assert resting(desk) == {STOP2: D("0.003")}


def test_where_nothing_is_replaced_in_one_step_an_exit_takes_away_as_many_guards_as_stand_in_its_way():
    """Where the venue has no cancel/replace, an exit of a part takes away only as many guards as stand in its way."""
    desk = growing(Desk(replaces=False), "0.006", "0.004")
    desk.tell(exit_approval(order_qty=D("0.003")))
    assert desk.asked() == [f"cancel:{STOP1}"]
    desk.canceled(STOP1)
    assert desk.asked() == [f"submit:{EXIT}", f"submit:{STOP2}"]
    assert resting(desk) == {STOP: D("0.006"), STOP2: D("0.001")}


def test_a_stop_that_sells_a_part_leaves_the_rest_to_what_is_left_of_it():
    """A stop that sells a part needs no other: what is left of it is what is held."""
    desk = Desk().covered()
    desk.stream(desk.shown(STOP, "PARTIALLY_FILLED", "0.004"), desk.sold("s", STOP, "0.004"))
    assert desk.asked() == []
    assert uncovered(desk.state) == {}


def test_fees_in_base_that_a_later_fill_costs_shrink_the_guard():
    """A guard that covers more than is held, for a late fee in base was taken, is replaced by one of what is held."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("1", ENTRY, "0.005"), status="PARTIALLY_FILLED").confirm(STOP)
    costly = fill("2", ENTRY, "0.005", commission=D("0.0051"), commission_asset="BTC")
    desk.stream(desk.shown(ENTRY, "FILLED", "0.01"), costly)
    assert (desk.request(ReplaceOrder).replaced_id, desk.request(ReplaceOrder).order_qty) == (STOP, D("0.0049"))


def test_a_stop_follows_the_highest_price_in_steps_and_never_comes_back_down():
    """A trailing stop follows the highest trusted bid in steps, in one step at the venue, and never comes back down."""
    desk = Desk(trail_bps=100).covered()
    sent = desk.price(50_001).request(ReplaceOrder)
    assert (sent.replaced_id, sent.cl_ord_id, sent.stop_px, sent.order_qty) == (STOP, STOP1, D("49500"), D("0.01"))
    desk.replaced(STOP1)
    assert desk.price(50_100).asked() == []  # less than a step
    assert desk.price(51_001).request(ReplaceOrder).stop_px == D("50490")
    assert desk.replaced(STOP2).price(50_600).asked() == []


def test_where_nothing_is_replaced_in_one_step_the_old_stop_is_taken_back_first():
    """Where the venue has no cancel/replace, a trailing stop is taken back, and the next one placed when it is gone."""
    desk = Desk(trail_bps=100, replaces=False).covered()
    assert desk.price(50_001).request(CancelOrder).cl_ord_id == STOP
    assert desk.canceled(STOP).request(SubmitOrder).stop_px == D("49500")
    assert desk.confirm(STOP1).asked() == []


def test_a_price_in_doubt_moves_no_stop():
    """A price in doubt moves no stop."""
    desk = Desk(trail_bps=100).covered()
    assert desk.price(60_000, trust="QUARANTINED").asked() == []


def test_the_next_position_does_not_inherit_the_stop_of_a_remainder_too_small_to_sell():
    """A remainder too small to be sold does not stop the next position at the old price."""
    desk = Desk().covered().tell(exit_approval(order_qty=D("0.00995"))).canceled(STOP)
    desk.confirm(EXIT, desk.sold("s", EXIT, "0.00995"), status="FILLED")
    assert desk.state.holdings[BTC].qty == D("0.00005")
    assert desk.price(45_000).asked() == []
    assert desk.alerts() == []
    second = order("ENTRY", "a2")
    desk.tell(approval("a2", ref_px=D(45_000), stop_px=D(44_000)))
    desk.confirm(second, fill("2", second, "0.01", px=D(45_000)), status="FILLED")
    sent = desk.request(SubmitOrder)
    assert (sent.stop_px, sent.order_qty) == (D(44_000), D("0.01005"))


def test_an_entry_that_still_rests_is_taken_back_when_its_position_is_sold():
    """An entry that still rests is taken back when its position is sold, so that it does not buy it back."""
    desk = Desk(soft_stop_ms=0).tell(approval(ord_type="LIMIT", limit_px=D(49_900)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.004"), status="PARTIALLY_FILLED").confirm(STOP)
    desk.price(48_900)
    assert desk.asked() == [f"cancel:{ENTRY}", f"cancel:{STOP}"]
    assert desk.timers.get(f"again:{ENTRY}", 0) > desk.now - SECOND
