"""Every position rests on a stop of exactly its size, and nothing is sold twice."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.common.messages import ExecutionReport, InstrumentQuarantined, OrderSubmitting, ServiceStarted
from libs.runtime.machine import CancelTimer
from services.order_executor.guards import uncovered
from services.order_executor.requests import NEVER_SENT, ReplaceOrder, SubmitOrder
from tests.playbook import START, like
from tests.unit.order_executor.desk import BTC, SECOND, Desk, approval, exit_approval, fill, order

ENTRY, STOP, EXIT = order("ENTRY"), order("STOP"), order("EXIT", "x1")


# --- the stop ---------------------------------------------------------------------------------------------------------


def test_the_first_fill_is_protected_at_once_at_the_approved_stop():
    """The first fill is protected at once at the approved stop."""
    desk = Desk().bought()
    assert desk.published(OrderSubmitting)[0].role == "STOP"
    sent = desk.request(SubmitOrder)
    assert (sent.cl_ord_id, sent.side, sent.ord_type) == (STOP, "SELL", "STOP_LOSS")
    assert (sent.order_qty, sent.stop_px, sent.limit_px) == (D("0.01"), D(49_000), None)
    assert desk.published(OrderSubmitting)[0].correlation_id == "story-a1"
    assert uncovered(desk.state) == {BTC: D("0.01")}
    desk.confirm(STOP)
    assert uncovered(desk.state) == {}


def test_the_stop_covers_what_is_left_after_fees_in_base_rounded_down_to_the_step():
    """The stop covers what is left after fees in base rounded down to the step."""
    desk = Desk().tell(approval())
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01", commission=D("0.000012"), commission_asset="BTC"), status="FILLED")
    assert desk.request(SubmitOrder).order_qty == D("0.00998")


def test_the_stop_price_is_put_on_the_tick():
    """The stop price is put on the tick."""
    desk = Desk().tell(approval(stop_px=D("49000.019")))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED")
    assert desk.request(SubmitOrder).stop_px == D("49000.01")


def test_when_more_fills_come_a_second_stop_of_the_difference_stands_beside_the_first():
    """When more fills come a second stop of the difference is placed, and the first stays where it is."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("1", ENTRY, "0.004"), status="PARTIALLY_FILLED")
    assert desk.request(SubmitOrder).order_qty == D("0.004")
    desk.stream(desk.shown(ENTRY, "FILLED", "0.01"), fill("2", ENTRY, "0.006"))
    assert desk.asked() == []  # its stop is still on the way
    desk.confirm(STOP)
    assert desk.reports() == [("STOP", "NEW", "NEW")]
    assert desk.asked() == [f"submit:{order('STOP', attempt=1)}"]
    assert desk.request(SubmitOrder).order_qty == D("0.006")
    desk.confirm(order("STOP", attempt=1))
    assert desk.asked() == []
    assert uncovered(desk.state) == {}


def test_a_second_entry_is_guarded_first_and_then_the_first_stop_follows_to_the_tighter_price():
    """What a second entry adds gets its own stop at the tighter price before the first stop is moved there."""
    desk = Desk().covered().tell(approval("a2", stop_px=D(49_500)))
    desk.confirm(order("ENTRY", "a2"), fill("2", order("ENTRY", "a2"), "0.01"), status="FILLED")
    sent = desk.request(SubmitOrder)
    assert (sent.cl_ord_id, sent.order_qty, sent.stop_px) == (order("STOP", "a2"), D("0.01"), D(49_500))
    sent = desk.confirm(order("STOP", "a2")).request(ReplaceOrder)
    assert sent.replaced_id == STOP
    assert (sent.cl_ord_id, sent.order_qty, sent.stop_px) == (order("STOP", "a2", 1), D("0.01"), D(49_500))


def test_when_every_kind_of_stop_is_refused_the_position_is_sold_at_market():
    """When the venue refuses a stop and a stop limit, a person is paged and the position is sold at market."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-2010")
    assert desk.alerts() == [("STOP_REJECTED", "page")]
    desk.answer(order("STOP", attempt=1), "REJECTED", code="-2010")
    assert desk.alerts() == [("STOP_REJECTED", "page")]
    sent = desk.request(SubmitOrder)
    assert (sent.cl_ord_id, sent.ord_type, sent.order_qty) == (order("EXIT"), "MARKET", D("0.01"))
    assert desk.published(OrderSubmitting)[0].intent_id == "a1"
    desk.confirm(order("EXIT"), desk.sold("s", order("EXIT"), "0.01"), status="FILLED")
    assert desk.state.holdings[BTC].qty == 0
    assert desk.asked() == []


@pytest.mark.parametrize("code", [NEVER_SENT, "-1003", "HTTP_429"])
def test_a_stop_that_could_not_be_delivered_is_tried_again_instead_of_selling(code):
    """A stop that could not be delivered is tried again instead of selling."""
    desk = Desk().bought().answer(STOP, "REJECTED", code=code)
    assert desk.alerts() == [("STOP_LOST", "page")]
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=1)


def test_failing_stops_and_exits_are_paced():
    """Failing stops and exits are paced."""
    desk = Desk().bought()
    for name in (STOP, order("STOP", attempt=1), order("EXIT")):
        desk.answer(name, "REJECTED", code="-2010")
    assert ("EXIT_REJECTED", "page") in desk.alerts()
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=2)  # the first time at once
    for name in (order("STOP", attempt=2), order("EXIT", attempt=1)):
        desk.answer(name, "REJECTED", code="-2010")
    assert desk.asked() == []
    assert desk.timers[f"protect:{BTC}"] == desk.now + SECOND
    assert desk.fire(f"protect:{BTC}").request(SubmitOrder).cl_ord_id == order("STOP", attempt=3)


def test_a_quiet_minute_forgives_earlier_failures():
    """A quiet minute forgives earlier failures."""
    desk = Desk().bought().answer(STOP, "REJECTED", code=NEVER_SENT)
    desk.answer(order("STOP", attempt=1), "REJECTED", code=NEVER_SENT)
    assert desk.asked() == []
    desk.fire(f"protect:{BTC}").confirm(order("STOP", attempt=2)).after(61)
    desk.stream(desk.shown(order("STOP", attempt=2), "CANCELED"))
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=3)


def test_a_stop_somebody_canceled_is_put_back():
    """A stop somebody canceled is put back."""
    desk = Desk().covered()
    desk.stream(desk.shown(STOP, "CANCELED"))
    assert desk.alerts() == [("STOP_LOST", "ticket")]
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=1)


def test_a_stop_that_was_too_old_to_send_is_renewed():
    """A stop that was too old to send is renewed."""
    desk = Desk().bought().after(60).expire(f"submit:{STOP}")
    sent = desk.request(SubmitOrder)
    assert sent.cl_ord_id == order("STOP", attempt=1)
    assert sent.valid_until == desk.now + 10 * SECOND


def test_an_unknown_stop_is_looked_up_and_nothing_is_sold_meanwhile():
    """An unknown stop is looked up and nothing is sold meanwhile."""
    desk = Desk().bought().interrupt(f"submit:{STOP}")
    assert desk.only(InstrumentQuarantined).cl_ord_id == STOP
    assert desk.asked() == []
    desk.tell(exit_approval())
    assert desk.asked() == []
    desk.fire(f"look:{STOP}").look(STOP, "FOUND")
    assert desk.asked() == [f"cancel:{STOP}"]


def test_an_unknown_stop_that_never_arrived_is_placed_anew():
    """An unknown stop that never arrived is placed anew."""
    desk = Desk().bought().answer(STOP, "UNKNOWN").after(17)
    desk.fire(f"look:{STOP}").look(STOP, "NOT_FOUND").fire(f"look:{STOP}").look(STOP, "NOT_FOUND")
    desk.account(usdt="999500", btc="0.01")
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=1)


def test_when_a_stop_surfaces_beside_its_successor_one_of_the_two_is_canceled():
    """When a stop surfaces beside its successor the newer of the two is canceled and the older one stays."""
    desk = Desk().bought().answer(STOP, "REJECTED", code=NEVER_SENT).confirm(order("STOP", attempt=1))
    desk.stream(desk.shown(STOP))
    assert ("ORDER_SURFACED", "page") in desk.alerts()
    desk.fire(f"look:{STOP}").look(STOP, "FOUND")
    assert desk.asked() == [f"cancel:{order('STOP', attempt=1)}"]
    assert desk.canceled(order("STOP", attempt=1)).asked() == []
    assert uncovered(desk.state) == {}


def test_dust_gets_a_ticket_once_and_no_stop():
    """Dust gets a ticket once and no stop."""
    desk = Desk().tell(approval(order_qty=D("0.00009")))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.00009"), status="FILLED")
    assert desk.alerts() == [("DUST", "ticket")]
    assert desk.asked() == []
    desk.tell(_started())
    assert desk.alerts() == []


def test_dust_waits_while_its_entry_may_still_grow():
    """Dust waits while its entry may still grow."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("1", ENTRY, "0.00009"), status="PARTIALLY_FILLED")
    assert desk.alerts() == []
    desk.stream(desk.shown(ENTRY, "FILLED", "0.01"), fill("2", ENTRY, "0.00991"))
    assert desk.request(SubmitOrder).order_qty == D("0.01")


def test_less_than_a_step_is_nothing():
    """Less than a step is nothing."""
    desk = Desk().bought("0.01")
    desk.confirm(STOP).stream(desk.shown(STOP, "FILLED", "0.01"), desk.sold("s", STOP, "0.01"))
    assert desk.asked() == []
    assert desk.state.holdings[BTC].stop_px is None


def test_a_triggered_stop_closes_the_position():
    """A triggered stop closes the position."""
    desk = Desk().covered()
    desk.stream(desk.shown(STOP, "PARTIALLY_FILLED", "0.004"), desk.sold("s1", STOP, "0.004"))
    assert desk.asked() == []  # what it leaves is what is held
    desk.stream(desk.shown(STOP, "FILLED", "0.01"), desk.sold("s2", STOP, "0.006"))
    assert desk.reports() == [("STOP", "TRADE", "FILLED")]
    assert desk.asked() == []


def test_a_fresh_entry_after_a_closed_position_has_its_own_stop():
    """A fresh entry after a closed position has its own stop."""
    desk = Desk().covered()
    desk.stream(desk.shown(STOP, "FILLED", "0.01"), desk.sold("s", STOP, "0.01"))
    desk.tell(approval("a2", stop_px=D(48_000)))
    desk.confirm(order("ENTRY", "a2"), fill("2", order("ENTRY", "a2"), "0.01"), status="FILLED")
    assert desk.request(SubmitOrder).stop_px == D(48_000)


def test_what_no_entry_explains_is_told_not_sold():
    """What no entry explains is told not sold."""
    desk = Desk().covered()
    desk.state.holdings[BTC].owner = "forgotten"
    desk.stream(desk.shown(STOP, "CANCELED"))
    assert ("DUST", "ticket") in desk.alerts()
    assert desk.asked() == []


# --- exits ------------------------------------------------------------------------------------------------------------


def test_an_exit_first_takes_the_stop_away_and_sells_only_when_that_is_certain():
    """An exit first takes the stop away and sells only when that is certain."""
    desk = Desk().covered().tell(exit_approval())
    assert desk.asked() == [f"cancel:{STOP}"]
    assert desk.reports() == [("STOP", "PENDING_CANCEL", "PENDING_CANCEL")]
    desk.canceled(STOP)
    desk.expect(
        like(ExecutionReport, cl_ord_id=STOP, exec_type="CANCELED"),
        CancelTimer(f"wish:{EXIT}"),
        like(OrderSubmitting, cl_ord_id=EXIT, role="EXIT", correlation_id="story-x1"),
        like(SubmitOrder, cl_ord_id=EXIT, ord_type="MARKET", order_qty=D("0.01"), valid_until=START + 10 * SECOND),
    )
    desk.confirm(EXIT, desk.sold("s", EXIT, "0.01"), status="FILLED")
    assert desk.reports()[-1] == ("EXIT", "TRADE", "FILLED")
    assert desk.asked() == []


def test_a_partial_exit_leaves_with_the_guard_of_the_rest():
    """Without cancel/replace, the rest of a partial exit gets its guard in the same turn as the exit leaves, not after it."""
    desk = Desk(replaces=False).covered().tell(exit_approval(order_qty=D("0.004"))).canceled(STOP)
    rest = order("STOP", attempt=1)
    assert desk.asked() == [f"submit:{EXIT}", f"submit:{rest}"]
    assert (desk.state.orders[EXIT].order_qty, desk.state.orders[rest].order_qty) == (D("0.004"), D("0.006"))
    desk.confirm(rest).confirm(EXIT, desk.sold("s", EXIT, "0.004"), status="FILLED")
    assert desk.asked() == []
    assert uncovered(desk.state) == {}


def test_an_exit_sells_no_more_than_is_held():
    """An exit sells no more than is held."""
    desk = Desk().covered().tell(exit_approval(order_qty=D(1))).canceled(STOP)
    assert desk.request(SubmitOrder).order_qty == D("0.01")


def test_an_exit_that_finds_the_stop_filled_has_nothing_left_to_do():
    """An exit that finds the stop filled has nothing left to do."""
    desk = Desk().covered().tell(exit_approval())
    desk.answer(STOP, "REJECTED", kind="cancel", code="-2011")
    assert desk.asked() == []
    desk.fire(f"look:{STOP}").look(STOP, "FOUND", desk.sold("s", STOP, "0.01"), status="FILLED", cum="0.01")
    assert desk.reports() == [("STOP", "TRADE", "FILLED"), ("EXIT", "CANCELED", "CANCELED")]
    assert desk.published(ExecutionReport)[-1].reason == "position already closed by its stop"
    assert desk.asked() == []
    assert f"wish:{EXIT}" not in desk.timers


def test_a_stop_partially_filled_before_its_cancel_leaves_the_rest_to_the_exit():
    """A stop partially filled before its cancel leaves the rest to the exit."""
    desk = Desk().covered().tell(exit_approval()).canceled(STOP, "0.004")
    assert desk.asked() == []  # the venue counts an execution we have not seen
    desk.stream(None, desk.sold("s1", STOP, "0.004"))
    assert desk.request(SubmitOrder).order_qty == D("0.006")


def test_an_exit_without_a_position_is_canceled():
    """An exit without a position is canceled."""
    desk = Desk().tell(exit_approval())
    assert desk.reports() == [("EXIT", "CANCELED", "CANCELED")]
    assert desk.only(ExecutionReport).reason == "no position to reduce"


@pytest.mark.parametrize("end", ["rejected", "expired", "unfilled"])
def test_an_exit_that_came_to_nothing_puts_the_stop_back(end):
    """An exit that came to nothing puts the stop back."""
    desk = Desk().covered().tell(exit_approval()).canceled(STOP)
    if end == "rejected":
        desk.answer(EXIT, "REJECTED", code="-2010")
        assert desk.alerts() == [("EXIT_REJECTED", "page")]
    elif end == "expired":
        desk.expire(f"submit:{EXIT}")
    else:
        desk.confirm(EXIT, status="EXPIRED")
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=1)


def test_an_exit_that_waited_too_long_for_its_stop_expires_and_the_stop_comes_back():
    """An exit that waited too long for its stop expires and the stop comes back."""
    desk = Desk().covered().tell(exit_approval()).fire(f"wish:{EXIT}")
    assert desk.reports() == [("EXIT", "EXPIRED", "EXPIRED")]
    desk.canceled(STOP)
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=1)


def test_two_exits_take_their_turns():
    """Two exits take their turns, and what neither sells keeps its guard until it is sold."""
    desk = Desk().covered().tell(exit_approval(order_qty=D("0.004"))).tell(exit_approval("x2"))
    desk.replaced(order("STOP", attempt=1))
    assert desk.asked() == [f"submit:{EXIT}"]
    desk.confirm(EXIT, desk.sold("s", EXIT, "0.004"), status="FILLED").canceled(order("STOP", attempt=1))
    assert desk.request(SubmitOrder).cl_ord_id == order("EXIT", "x2")
    assert desk.request(SubmitOrder).order_qty == D("0.006")


def test_an_unknown_exit_is_never_doubled_by_a_stop():
    """An unknown exit is never doubled by a stop."""
    desk = Desk().covered().tell(exit_approval()).canceled(STOP).answer(EXIT, "UNKNOWN")
    assert desk.asked() == []
    desk.fire(f"look:{EXIT}").look(EXIT, "FOUND", desk.sold("s", EXIT, "0.01"), status="FILLED", cum="0.01")
    assert desk.asked() == []


@pytest.mark.parametrize("how", ["interrupt", "expire"])
def test_a_cancel_nobody_answered_is_sent_again(how):
    """A cancel nobody answered is sent again."""
    desk = Desk().covered().tell(exit_approval())
    getattr(desk, how)(f"cancel:{STOP}")
    assert desk.asked() == [f"cancel:{STOP}"]
    desk.canceled(STOP)
    assert desk.asked() == [f"submit:{EXIT}"]


def test_a_cancel_nobody_answered_of_an_order_that_has_closed_is_left_alone():
    """A cancel nobody answered of an order that has closed is left alone."""
    desk = Desk().covered().tell(exit_approval())
    desk.stream(desk.shown(STOP, "CANCELED")).confirm(EXIT, desk.sold("s", EXIT, "0.01"), status="FILLED")
    desk.interrupt(f"cancel:{STOP}")
    assert desk.asked() == []


def test_a_cancel_that_did_not_happen_is_repeated_with_patience():
    """A cancel that did not happen is repeated with patience."""
    desk = Desk().covered().tell(exit_approval(valid_until=START + 100 * SECOND)).answer(STOP, "UNKNOWN", kind="cancel")
    desk.fire(f"look:{STOP}").look(STOP, "FOUND")
    assert desk.reports() == [("STOP", "NEW", "NEW")]
    assert desk.asked() == []
    desk.fire(f"again:{STOP}")
    assert desk.asked() == [f"cancel:{STOP}"]
    desk.answer(STOP, "UNKNOWN", kind="cancel").fire(f"look:{STOP}").look(STOP, "FOUND")
    assert desk.timers[f"again:{STOP}"] == desk.now + 2 * SECOND


def test_an_old_look_up_does_not_undo_a_cancel_that_is_still_under_way():
    """An old look up does not undo a cancel that is still under way."""
    desk = Desk().covered()
    desk.stream(desk.shown(STOP, "PARTIALLY_FILLED", "0.004")).fire(f"look:{STOP}")
    desk.stream(None, desk.sold("s1", STOP, "0.004")).tell(exit_approval())
    assert desk.state.orders[STOP].status == "PENDING_CANCEL"
    desk.look(STOP, "FOUND", status="PARTIALLY_FILLED", cum="0.004")
    assert desk.state.orders[STOP].status == "PENDING_CANCEL"


def test_an_exit_that_waited_for_the_venues_word_on_the_stop_goes_on_once_it_is_given():
    """An exit that waited for the venue's word on the stop goes on once it is given."""
    desk = Desk().covered().fire("reconcile").account(usdt="999500", btc="0.01")  # the stop is not listed
    desk.tell(exit_approval(valid_until=desk.now + SECOND))
    assert desk.asked() == []
    desk.fire(f"look:{STOP}").look(STOP, "FOUND")
    assert desk.asked() == [f"cancel:{STOP}"]


# --- resting entries --------------------------------------------------------------------------------------------------


def test_a_resting_entry_is_taken_back_after_its_time():
    """A resting entry is taken back after its time."""
    desk = Desk().tell(approval(ord_type="LIMIT", limit_px=D(49_900))).confirm(ENTRY)
    desk.fire(f"again:{ENTRY}")
    assert desk.asked() == [f"cancel:{ENTRY}"]
    desk.canceled(ENTRY)
    assert desk.reports() == [("ENTRY", "CANCELED", "CANCELED")]


def test_a_resting_entry_that_filled_needs_no_reminder():
    """A resting entry that filled needs no reminder."""
    desk = (
        Desk()
        .tell(approval(ord_type="LIMIT", limit_px=D(49_900)))
        .confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED")
    )
    assert f"again:{ENTRY}" not in desk.timers


def _started() -> ServiceStarted:
    return ServiceStarted(instance="i", code_version="c", settings={}, state_digest="d")
