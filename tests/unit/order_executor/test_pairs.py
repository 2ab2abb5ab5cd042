"""A stop and a target that the venue links: they come together, go together, and together cover what is held once."""

from __future__ import annotations

from decimal import Decimal as D

from libs.common.messages import InstrumentQuarantined, OrderSubmitting, PairAnswered
from libs.runtime.machine import Reject
from services.order_executor.guards import uncovered
from services.order_executor.requests import CancelPair, SubmitOrder, SubmitPair
from tests.unit.order_executor.desk import BTC, Desk, approval, exit_approval, fill, order

ENTRY, STOP, TARGET, EXIT = order("ENTRY"), order("STOP"), order("TARGET"), order("EXIT", "x1")
STOP1, TARGET1 = order("STOP", attempt=1), order("TARGET", attempt=1)


def statuses(desk: Desk) -> tuple[str, str]:
    """How the stop and the target stand."""
    return desk.state.orders[STOP].status, desk.state.orders[TARGET].status


def test_a_position_with_a_target_is_guarded_by_a_pair_written_ahead():
    """A position with a target is guarded by a pair, both orders of which are written ahead of the one request."""
    desk = Desk().tell(approval(target_px=D(52_000)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED")
    assert [each.cl_ord_id for each in desk.published(OrderSubmitting)] == [STOP, TARGET]
    sent = desk.request(SubmitPair)
    assert (sent.order_qty, sent.stop_px, sent.target_px) == (D("0.01"), D(49_000), D(52_000))
    assert uncovered(desk.state) == {BTC: D("0.01")}
    assert uncovered(desk.pair(STOP).state) == {}


def test_a_target_that_fills_ends_the_stop_and_the_position():
    """A target that fills ends the stop and the position; nothing is sold twice and nothing is put back."""
    desk = Desk().targeted()
    desk.stream(desk.shown(STOP, "EXPIRED"))
    assert desk.asked() == []
    desk.stream(desk.shown(TARGET, "FILLED", "0.01"), desk.sold("s", TARGET, "0.01"))
    assert statuses(desk) == ("EXPIRED", "FILLED")
    assert desk.asked() == []
    assert desk.state.holdings[BTC].qty == 0


def test_while_a_target_has_begun_to_sell_no_stop_is_placed_over_it():
    """A stop that expires beside its target is asked about, not replaced, until the target's fate is known."""
    desk = Desk().targeted()
    desk.stream(desk.shown(STOP, "EXPIRED"))
    assert f"look:{TARGET}" in desk.timers
    assert desk.asked() == []
    desk.fire(f"look:{TARGET}").look(
        TARGET, "FOUND", desk.sold("s", TARGET, "0.004"), status="PARTIALLY_FILLED", cum="0.004"
    )
    assert desk.asked() == [f"cancel:{TARGET}"]
    desk.canceled(TARGET, "0.004")
    sent = desk.request(SubmitPair)
    assert (sent.stop_id, sent.order_qty) == (STOP1, D("0.006"))


def test_an_exit_takes_the_whole_pair_back_with_one_cancel():
    """An exit takes the whole pair back with one cancel, and leaves when both are gone."""
    desk = Desk().targeted().tell(exit_approval())
    assert desk.asked() == [f"unpair:{STOP}"]
    assert desk.request(CancelPair).list_id == STOP
    desk.pair(STOP, kind="unpair", statuses=("CANCELED", "CANCELED"))
    assert desk.request(SubmitOrder).cl_ord_id == EXIT


def test_a_pair_nobody_answered_for_is_two_questions_and_no_third_order():
    """A pair nobody answered for quarantines the instrument; both orders are looked up and nothing is sent meanwhile."""
    desk = Desk().tell(approval(target_px=D(52_000)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED").pair(STOP, "UNKNOWN", code="TIMEOUT")
    assert statuses(desk) == ("UNKNOWN", "UNKNOWN")
    assert desk.only(InstrumentQuarantined).instrument == BTC
    assert desk.asked() == []
    desk.fire(f"look:{STOP}").look(STOP, "FOUND").fire(f"look:{TARGET}").look(TARGET, "FOUND")
    assert statuses(desk) == ("NEW", "NEW")
    assert uncovered(desk.state) == {}
    assert desk.asked() == []


def test_an_interrupted_pair_is_unknown_and_an_expired_one_was_never_sent():
    """After a crash a pair is unknown; one that was too old to be sent is placed anew."""
    desk = Desk().tell(approval(target_px=D(52_000)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED").interrupt(f"pair:{STOP}")
    assert statuses(desk) == ("UNKNOWN", "UNKNOWN")
    desk = Desk().tell(approval(target_px=D(52_000)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED").expire(f"pair:{STOP}")
    assert statuses(desk) == ("EXPIRED", "EXPIRED")
    assert desk.asked() == [f"pair:{STOP1}"]


def test_an_answer_that_names_only_one_order_leaves_the_other_a_question():
    """An answer that names only one order of a pair leaves the other a question."""
    desk = Desk().tell(approval(target_px=D(52_000)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED")
    desk.stream(desk.shown(STOP)).pair(STOP, "UNKNOWN", code="TIMEOUT")
    assert statuses(desk) == ("NEW", "UNKNOWN")
    assert f"look:{TARGET}" in desk.timers


def test_a_cancel_nobody_answered_for_asks_about_both_orders():
    """When nobody answers the cancel of a pair, both orders are looked up; alive, they guard on and are cancelled later."""
    desk = Desk().targeted().tell(exit_approval()).pair(STOP, "UNKNOWN", kind="unpair", code="TIMEOUT")
    desk.fire(f"look:{STOP}").look(STOP, "FOUND").fire(f"look:{TARGET}").look(TARGET, "FOUND")
    assert statuses(desk) == ("NEW", "NEW")
    assert desk.asked() == []
    assert desk.fire(f"again:{STOP}").asked() == [f"unpair:{STOP}"]


def test_an_answer_for_a_pair_that_is_none_of_ours_is_poison():
    """An answer for a pair that is none of ours is refused, and changes nothing."""
    stranger = PairAnswered(
        request_id="pair:x",
        instrument=BTC,
        list_id="x",
        outcome="UNKNOWN",
        orders=(),
        fills=(),
        code="TIMEOUT",
        detail="",
    )
    (effect,) = Desk().tell(stranger).effects
    assert isinstance(effect, Reject)
    assert effect.reason == "UNKNOWN_ORDER"


def test_a_second_target_moves_the_pair():
    """A second entry with another target and the same stop moves the first pair to the new target, where pairs cannot be replaced."""
    desk = Desk(replaces=False).targeted().tell(approval("a2", target_px=D(53_000)))
    second = order("ENTRY", "a2")
    desk.confirm(second, fill("2", second, "0.01"), status="FILLED")
    assert desk.asked() == [f"pair:{order('STOP', 'a2')}"]
    desk.pair(order("STOP", "a2"))
    assert desk.asked() == [f"unpair:{STOP}"]


def test_the_pair_whose_target_has_begun_is_renewed_before_a_guard_that_is_whole():
    """What a target's first fill has left without a stop is seen to; the other guard, which is whole, keeps its size."""
    desk = Desk().targeted()
    desk.tell(approval("a2", target_px=D(52_000)))
    desk.confirm(order("ENTRY", "a2"), fill("e-a2", order("ENTRY", "a2"), "0.01"), status="FILLED").pair(
        order("STOP", "a2")
    )
    desk.stream(desk.shown(TARGET, "PARTIALLY_FILLED", "0.004"), desk.sold("t", TARGET, "0.004"))
    assert desk.asked() == [f"unpair:{STOP}"]
