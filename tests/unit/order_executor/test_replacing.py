"""A stop replaced in one step: either the old one stands or the new one does, and whatever else may come is seen to."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from libs.common.messages import OrderSubmitting
from libs.runtime.machine import Reject
from services.order_executor.guards import uncovered
from services.order_executor.requests import ReplaceOrder, SubmitOrder
from tests.unit.order_executor.desk import BTC, SECOND, Desk, exit_approval, order

STOP, TARGET = order("STOP"), order("TARGET")
STOP1, STOP2 = order("STOP", attempt=1), order("STOP", attempt=2)


def trailing(desk: Desk | None = None) -> Desk:
    """A stop on its way to a higher price."""
    return (desk or Desk(trail_bps=100).covered()).price(50_001)


def test_a_replacement_is_written_ahead_and_leaves_once():
    """The new stop is written to the log before it leaves, and a second look at the position sends no other."""
    desk = trailing()
    assert [(each.cl_ord_id, each.role) for each in desk.published(OrderSubmitting)] == [(STOP1, "STOP")]
    assert desk.state.orders[STOP].status == "PENDING_CANCEL"
    assert desk.price(50_001).asked() == []


def test_news_of_a_replacement_may_come_in_any_order():
    """The user stream may tell of the new stop and of the old one's end before the answer does, or after it."""
    desk = trailing()
    desk.stream(desk.shown(STOP, "CANCELED")).stream(desk.shown(STOP1))
    assert uncovered(desk.state) == {}
    assert desk.replaced(STOP1).asked() == []
    assert desk.alerts() == []
    late = trailing().replaced(STOP1)
    assert late.stream(late.shown(STOP, "CANCELED")).stream(late.shown(STOP1)).asked() == []
    assert (late.state.orders[STOP].status, late.state.orders[STOP1].status) == ("CANCELED", "NEW")


def test_a_refusal_of_the_step_itself_leaves_the_old_stop_and_the_next_is_taken_back_first():
    """Where the venue does not replace, the old stop stands while we look, a ticket says so, and the guard is renewed in two steps."""
    desk = trailing().replaced(
        STOP1, "REJECTED", code="-2010", detail="Order cancel-replace is not supported for this symbol."
    )
    assert desk.alerts() == [("REPLACE_REFUSED", "ticket")]
    assert uncovered(desk.state) == {}
    assert desk.fire(f"look:{STOP}").look(STOP, "FOUND").asked() == []
    desk.fire(f"again:{STOP}")
    assert desk.asked() == [f"cancel:{STOP}"]
    assert desk.canceled(STOP).request(SubmitOrder).stop_px == D("49500")


@pytest.mark.parametrize("code", ["NEVER_SENT", "-1003", "HTTP_429", "-1021"])
def test_a_refusal_that_says_nothing_about_the_step_is_tried_again_in_one(code: str):
    """A step that a rate limiter or a clock refused is tried again, and the old stop stands meanwhile."""
    desk = trailing().replaced(STOP1, "REJECTED", code=code)
    assert desk.alerts() == []
    desk.fire(f"look:{STOP}").look(STOP, "FOUND").fire(f"again:{STOP}")
    assert desk.request(ReplaceOrder).cl_ord_id == STOP2
    assert uncovered(desk.state) == {}


def test_a_refused_key_is_told_with_a_page():
    """A key that may not replace is told with a page; the old stop stands."""
    desk = trailing().replaced(STOP1, "REJECTED", code="-2015", detail="Invalid API-key")
    assert desk.alerts() == [("KEY_REFUSED", "page")]
    assert uncovered(desk.state) == {}


def test_a_closed_market_is_told_once_and_the_old_stop_is_kept():
    """A market that is closed replaces nothing; a person is told, and the next attempt waits."""
    desk = trailing().replaced(STOP1, "REJECTED", code="-1013", detail="Market is closed.")
    assert desk.alerts() == [("MARKET_CLOSED", "page")]
    desk.fire(f"look:{STOP}").look(STOP, "FOUND")
    assert desk.fire(f"again:{STOP}").asked() == []


def test_an_old_stop_that_has_just_sold_ends_the_story():
    """The cancel is refused because the old stop has sold: its look-up books that, and nothing is placed for nothing."""
    desk = trailing().replaced(STOP1, "REJECTED", code="-2011", detail="Unknown order sent.")
    assert desk.alerts() == []
    desk.fire(f"look:{STOP}").look(STOP, "FOUND", desk.sold("s", STOP, "0.01"), status="FILLED", cum="0.01")
    assert desk.state.holdings[BTC].qty == 0
    assert desk.asked() == []


def test_halfway_the_position_has_lost_its_stop_and_gets_another_at_once():
    """The old stop is gone and the new one was refused: a person is paged, and the next kind of stop is placed in the same turn."""
    desk = trailing().replaced(STOP1, "HALFWAY", code="-2010", detail="whatever")
    assert desk.alerts() == [("STOP_REJECTED", "page")]
    sent = desk.request(SubmitOrder)
    assert (sent.cl_ord_id, sent.ord_type, sent.order_qty) == (STOP2, "STOP_LOSS_LIMIT", D("0.01"))


def test_halfway_into_a_price_beyond_the_new_stop_the_position_is_sold():
    """The old stop is gone and the price is beyond the new one already: that is what the stop was for, so it is sold."""
    desk = trailing().replaced(STOP1, "HALFWAY", code="-2010", detail="Stop price would trigger immediately.")
    assert desk.alerts() == [("STOP_PASSED", "page")]
    assert desk.request(SubmitOrder).ord_type == "MARKET"


def test_an_unknown_replacement_is_looked_up_on_both_sides_and_nothing_is_sent_meanwhile():
    """Without an answer either stop may stand: both are looked up, and until both are known nothing else is sent."""
    desk = trailing().replaced(STOP1, "UNKNOWN", code="NO_ANSWER")
    assert desk.state.is_quarantined(BTC)
    assert desk.fire(f"look:{STOP}").asked() == [f"lookup:{STOP}"]
    assert desk.fire(f"look:{STOP1}").asked() == [f"lookup:{STOP1}"]
    assert desk.look(STOP, "FOUND", status="CANCELED").asked() == []
    assert desk.look(STOP1, "FOUND").asked() == []
    assert uncovered(desk.state) == {}
    assert not desk.state.is_quarantined(BTC)


def test_a_replacement_that_never_arrived_is_given_up_quietly_while_the_old_stop_stands():
    """Neither asked-for nor found: once that is final the old stop simply stands, and the next attempt is made."""
    desk = trailing().replaced(STOP1, "UNKNOWN").fire(f"look:{STOP}").look(STOP, "FOUND")
    desk.after(60).fire(f"look:{STOP1}").look(STOP1, "NOT_FOUND").fire(f"look:{STOP1}").look(STOP1, "NOT_FOUND")
    desk.account(btc="0.01", usdt="999500", orders=(desk.shown(STOP),))
    assert desk.state.orders[STOP1].status == "REJECTED"
    assert ("STOP_LOST", "page") not in desk.alerts()
    assert desk.request(ReplaceOrder).replaced_id == STOP


@pytest.mark.parametrize("how", ["interrupt", "expire"])
def test_a_replacement_cut_short_by_a_crash(how: str):
    """Interrupted, both stops are looked up; expired before it left, the old one stands and the next attempt follows."""
    desk = trailing()
    getattr(desk, how)(f"replace:{STOP1}")
    if how == "expire":
        assert desk.state.orders[STOP1].status == "EXPIRED"
        assert desk.state.orders[STOP].status == "NEW"
        assert desk.fire(f"again:{STOP}").request(ReplaceOrder).cl_ord_id == STOP2
    else:
        assert desk.state.orders[STOP1].status == "UNKNOWN"
        assert {f"look:{STOP}", f"look:{STOP1}"} <= desk.timers.keys()
    assert uncovered(desk.state) == {}


def test_an_answer_that_does_not_name_the_new_stop_proves_nothing():
    """An answer that calls itself a success without showing the new stop leaves it unknown."""
    desk = trailing()
    desk.tell(msgspec.structs.replace(desk.replacement(STOP1), orders=()))
    assert desk.state.orders[STOP1].status == "UNKNOWN"
    assert f"look:{STOP}" in desk.timers


def test_an_answer_about_a_stop_that_is_not_ours_is_refused():
    """An answer about an order that is not ours is poison."""
    desk = trailing()
    desk.tell(msgspec.structs.replace(desk.replacement(STOP1), request_id="replace:nobody"))
    assert [effect.reason for effect in desk.effects if isinstance(effect, Reject)] == ["UNKNOWN_ORDER"]


def test_the_pair_of_a_trailing_position_becomes_a_stop_and_its_target_is_watched_by_us():
    """A pair cannot be replaced by a pair: a stop takes its place in one step, and the target is sold by us."""
    desk = Desk(trail_bps=100).targeted().price(50_001)
    sent = desk.request(ReplaceOrder)
    assert (sent.replaced_id, sent.ord_type, sent.stop_px) == (STOP, "STOP_LOSS", D("49500"))
    assert desk.replaced(STOP1).asked() == []
    assert desk.state.orders[TARGET].status == "CANCELED"
    desk.price(52_001)
    assert ("TARGET_REACHED", "note") in desk.alerts()


def test_a_replacement_of_unknown_fate_does_not_hold_up_an_overdue_sale():
    """A position whose stop may or may not stand is sold when its time without cover is over."""
    desk = trailing().replaced(STOP1, "UNKNOWN").fire(f"look:{STOP}").look(STOP, "FOUND", status="CANCELED")
    assert uncovered(desk.state) == {BTC: D("0.01")}
    desk.after(20).fire(f"cover:{BTC}")
    assert ("UNCOVERED", "page") in desk.alerts()
    desk.answer(STOP1, "REJECTED", kind="cancel", code="-2011", detail="Unknown order sent.")
    assert desk.request(SubmitOrder).ord_type == "MARKET"


def test_a_replacement_that_arrived_late_says_that_the_old_stop_is_gone():
    """Looked up too early, the old stop stood; once the new one is there, the old one is asked for again, and nothing is sent before."""
    desk = trailing().replaced(STOP1, "UNKNOWN").fire(f"look:{STOP}").look(STOP, "FOUND")
    desk.fire(f"look:{STOP1}").look(STOP1, "FOUND")
    assert desk.fire(f"again:{STOP}").asked() == []
    assert desk.fire(f"look:{STOP}").look(STOP, "FOUND", status="CANCELED").asked() == []
    assert uncovered(desk.state) == {}


def test_a_pair_whose_target_has_begun_to_sell_is_not_replaced_by_its_stop():
    """The target's first fill has ended the stop, heard of or not: there is nothing to replace, so what is left is taken back."""
    desk = Desk(trail_bps=100).targeted()
    desk.stream(desk.shown(TARGET, "PARTIALLY_FILLED", "0.004"), desk.sold("t", TARGET, "0.004"))
    assert desk.asked() == [f"unpair:{STOP}"]


def test_the_request_is_over_for_an_old_stop_that_ended_before_the_answer():
    """An old stop whose end the user stream told first is asked for by nobody once the answer is there, and may be forgotten."""
    desk = trailing()
    desk.stream(desk.shown(STOP, "CANCELED")).stream(desk.shown(STOP1)).replaced(STOP1)
    assert not desk.state.orders[STOP].cancel_asked
    interrupted = trailing()
    interrupted.stream(interrupted.shown(STOP, "CANCELED")).interrupt(f"replace:{STOP1}")
    assert not interrupted.state.orders[STOP].cancel_asked


def test_a_stop_that_follows_the_price_for_long_leaves_no_trail_in_the_memory():
    """However often a stop is replaced, the orders that are remembered do not become more."""
    desk = Desk(trail_bps=100, orders_kept=5).covered()
    for number in range(1, 20):
        desk.price(50_000 + 200 * number)
        old, new = order("STOP", attempt=number - 1), order("STOP", attempt=number)
        desk.stream(desk.shown(old, "CANCELED")).replaced(new)
    assert len(desk.state.orders) == 5


def test_a_step_refused_because_the_old_stop_ended_meanwhile_says_nothing_of_the_new_one():
    """Somebody took the old stop away, and the step is refused for that: the same kind of stop is placed, not the next."""
    desk = trailing()
    desk.stream(desk.shown(STOP, "CANCELED")).replaced(STOP1, "REJECTED", code="-2011", detail="Unknown order sent.")
    assert desk.alerts() == []
    assert desk.request(SubmitOrder).ord_type == "STOP_LOSS"


def test_a_stop_limit_whose_step_is_refused_because_the_old_one_ended_is_no_reason_to_sell():
    """At the foot of the ladder, too, a step refused because there was nothing to replace sells nothing."""
    desk = Desk(trail_bps=100).bought().answer(STOP, "REJECTED", code="-1013").confirm(STOP1).price(50_001)
    desk.stream(desk.shown(STOP1, "CANCELED")).replaced(STOP2, "REJECTED", code="-2011", detail="Unknown order sent.")
    assert desk.alerts() == []
    assert desk.request(SubmitOrder).ord_type == "STOP_LOSS_LIMIT"


def test_two_stops_of_which_nothing_can_be_learnt_cover_nothing_and_the_deadline_begins():
    """Neither answered for nor to be looked up, old and new may both be gone: after the deadline both are cancelled, then it is sold."""
    desk = trailing().replaced(STOP1, "UNKNOWN", code="NO_ANSWER")
    desk.fire(f"look:{STOP}").look(STOP, "FAILED").fire(f"look:{STOP1}").look(STOP1, "FAILED")
    desk.fire(f"cover:{BTC}")
    assert desk.alerts() == [("UNCOVERED", "page")]
    assert desk.asked() == [f"cancel:{STOP}", f"cancel:{STOP1}"]
    desk.answer(STOP, "UNKNOWN", kind="cancel").answer(STOP1, "UNKNOWN", kind="cancel")
    assert desk.request(SubmitOrder).ord_type == "MARKET"


def test_a_stop_that_was_certainly_not_replaced_covers_however_long_nobody_can_be_asked():
    """A step refused by a rate limiter changed nothing: while look-ups fail as well, the old stop covers, and nothing is sold."""
    desk = trailing().replaced(STOP1, "REJECTED", code="-1003")
    desk.fire(f"look:{STOP}").look(STOP, "FAILED").fire(f"look:{STOP}").look(STOP, "FAILED")
    assert uncovered(desk.state) == {}


def test_a_replacement_that_ended_before_it_was_seen_says_that_the_old_stop_is_gone():
    """The new stop came and was taken away by somebody: so it had been there, and the old one is asked for again."""
    desk = trailing().replaced(STOP1, "UNKNOWN").fire(f"look:{STOP}").look(STOP, "FOUND")
    desk.fire(f"look:{STOP1}").look(STOP1, "FOUND", status="CANCELED")
    assert f"look:{STOP}" in desk.timers
    assert desk.asked() == []


def test_a_replacement_never_sent_asks_for_the_stop_of_a_target_that_sold_meanwhile():
    """While the step waited in vain the target sold: that has ended the stop, which is asked for before it counts again."""
    desk = Desk(trail_bps=100).targeted().price(50_001)
    desk.stream(desk.shown(TARGET, "FILLED", "0.01"), desk.sold("t", TARGET, "0.01")).expire(f"replace:{STOP1}")
    assert f"look:{STOP}" in desk.timers


def refused_for_long() -> Desk:
    """A stop that could not follow the price six times, because the venue was busy."""
    desk = trailing()
    for number in range(1, 7):
        desk.replaced(order("STOP", attempt=number), "REJECTED", code="-1003")
        desk.fire(f"look:{STOP}").look(STOP, "FOUND")
        for timer in (f"again:{STOP}", f"protect:{BTC}"):
            if number < 6 and not desk.asked():
                desk.fire(timer)
    assert desk.state.holdings[BTC].retry_at > desk.now + 20 * SECOND
    return desk.after(2)


def test_steps_that_failed_do_not_hold_up_a_whole_exit():
    """However slow the pace of a stop that cannot follow has become, an exit of everything takes it back."""
    desk = refused_for_long()
    assert desk.tell(exit_approval(valid_until=desk.now + 10 * SECOND)).asked() == [f"cancel:{STOP}"]


def test_steps_that_failed_do_not_hold_up_the_exit_of_a_part():
    """The exit of a part makes its room without waiting for that pace as well, in one step."""
    desk = refused_for_long()
    desk.tell(exit_approval(order_qty=D("0.004"), valid_until=desk.now + 10 * SECOND))
    assert desk.request(ReplaceOrder).order_qty == D("0.006")
