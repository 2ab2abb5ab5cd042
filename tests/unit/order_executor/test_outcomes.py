"""What answers, silence and crashes mean for an order; unknown is never a guess."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.common.messages import ExecutionReport, InstrumentQuarantined, InstrumentReleased, OrderAnswered
from libs.runtime.machine import Reject, SetTimer
from services.order_executor.requests import NEVER_SENT, LookUpOrder
from tests.unit.order_executor.desk import BTC, ETH, MS, SECOND, Desk, approval, fill, order

ENTRY = order("ENTRY")


def through_not_found(desk: Desk, name: str = ENTRY) -> Desk:
    """Two definitive "not found", after nothing can arrive any more."""
    desk.after(17).fire(f"look:{name}").look(name, "NOT_FOUND")
    return desk.fire(f"look:{name}").look(name, "NOT_FOUND")


def test_a_confirmed_market_order_is_reported_new_and_then_once_for_every_fill():
    """A confirmed market order is reported new and then once for every fill."""
    desk = Desk().tell(approval())
    desk.confirm(ENTRY, fill("1", ENTRY, "0.004"), fill("2", ENTRY, "0.006", px=D(50_010)), status="FILLED")
    assert desk.reports() == [
        ("ENTRY", "NEW", "NEW"),
        ("ENTRY", "TRADE", "PARTIALLY_FILLED"),
        ("ENTRY", "TRADE", "FILLED"),
    ]
    last = desk.published(ExecutionReport)[-1]
    assert (last.cum_qty, last.leaves_qty, last.avg_px) == (D("0.01"), D(0), D(50_006))
    assert (last.exec_id, last.last_qty, last.last_px, last.correlation_id) == ("2", D("0.006"), D(50_010), "story-a1")


def test_a_fill_carries_its_commission():
    """A fill carries its commission."""
    desk = Desk().tell(approval())
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01", commission=D("0.00001"), commission_asset="BTC"), status="FILLED")
    trade = desk.published(ExecutionReport)[-1]
    assert (trade.commission, trade.commission_asset, trade.liquidity_side) == (D("0.00001"), "BTC", "TAKER")


def test_a_rejected_entry_is_reported_with_the_venues_words():
    """A rejected entry is reported with the venue's words."""
    desk = Desk().tell(approval()).answer(ENTRY, "REJECTED", code="-2010")
    assert desk.reports() == [("ENTRY", "REJECTED", "REJECTED")]
    assert desk.only(ExecutionReport).reason == "-2010: as the test wants"
    assert desk.state.holdings[BTC].qty == 0


@pytest.mark.parametrize("silence", ["answered unknown", "interrupted"])
def test_silence_quarantines_the_instrument_pages_a_person_and_starts_looking(silence):
    """Silence quarantines the instrument pages a person and starts looking."""
    desk = Desk().tell(approval())
    if silence == "interrupted":
        desk.interrupt(f"submit:{ENTRY}")
    else:
        desk.answer(ENTRY, "UNKNOWN", code="TIMEOUT")
    assert desk.reports() == [("ENTRY", "UNKNOWN", "UNKNOWN")]
    assert desk.only(InstrumentQuarantined).cl_ord_id == ENTRY
    assert desk.alerts() == [("ORDER_UNKNOWN", "page")]
    assert SetTimer(f"look:{ENTRY}", desk.now + 200 * MS) in desk.effects
    assert desk.fire(f"look:{ENTRY}").request(LookUpOrder).cl_ord_id == ENTRY


def test_an_unknown_order_bars_entries_of_its_instrument_only():
    """An unknown order bars entries of its instrument only."""
    desk = Desk().uncertain().tell(approval("a2"))
    assert "QUARANTINED" in desk.only(ExecutionReport).reason
    desk.tell(approval("a3", instrument=ETH, ref_px=D(2_000), stop_px=D(1_900)))
    assert desk.asked() == [f"submit:{order('ENTRY', 'a3')}"]


def test_looking_backs_off_and_a_failed_question_decides_nothing():
    """Looking backs off and a failed question decides nothing."""
    desk = Desk().uncertain()
    waits = []
    for _ in range(6):
        desk.fire(f"look:{ENTRY}").look(ENTRY, "FAILED")
        assert desk.reports() == []
        waits.append((desk.timers[f"look:{ENTRY}"] - desk.now) // MS)
    assert waits == [500, 1_000, 2_000, 5_000, 5_000, 5_000]


def test_an_unknown_order_that_is_found_is_booked_and_its_instrument_released():
    """An unknown order that is found is booked and its instrument released."""
    desk = Desk().uncertain().fire(f"look:{ENTRY}")
    desk.look(ENTRY, "FOUND", fill("1", ENTRY, "0.01"), status="FILLED", cum="0.01")
    assert desk.reports() == [("ENTRY", "NEW", "NEW"), ("ENTRY", "TRADE", "FILLED")]
    assert desk.only(InstrumentReleased).cl_ord_id == ENTRY
    assert f"look:{ENTRY}" not in desk.timers
    assert desk.asked() == [f"submit:{order('STOP')}"]


def test_the_user_stream_may_answer_before_the_look_up():
    """The user stream may answer before the look up."""
    desk = Desk().uncertain()
    desk.stream(desk.shown(ENTRY))
    assert desk.reports() == [("ENTRY", "NEW", "NEW")]
    assert desk.only(InstrumentReleased).instrument == BTC
    assert f"look:{ENTRY}" not in desk.timers


def test_not_found_means_nothing_while_the_order_may_still_arrive():
    """Not found means nothing while the order may still arrive."""
    desk = Desk().uncertain()
    for _ in range(4):
        desk.fire(f"look:{ENTRY}").look(ENTRY, "NOT_FOUND")
    assert desk.now < desk.state.orders[ENTRY].valid_until + 6 * SECOND
    assert desk.state.orders[ENTRY].inquiry.not_found == 0


def test_a_question_that_failed_is_never_counted_as_not_found():
    """A question that failed is never counted as not found."""
    desk = Desk().uncertain().after(17)
    for _ in range(4):
        desk.fire(f"look:{ENTRY}").look(ENTRY, "FAILED")
        assert desk.asked() == []
    assert desk.state.orders[ENTRY].inquiry.not_found == 0


def test_not_found_is_final_after_a_second_one_and_an_account_that_does_not_show_it():
    """Not found is final after a second one and an account that does not show it."""
    desk = through_not_found(Desk().uncertain())
    assert desk.asked() == ["account"]
    desk.account()
    assert desk.reports() == [("ENTRY", "REJECTED", "REJECTED")]
    assert desk.only(InstrumentReleased).cl_ord_id == ENTRY
    assert desk.published(ExecutionReport)[0].reason == "never reached the venue"
    assert f"look:{ENTRY}" not in desk.timers


def test_an_account_that_cannot_be_read_is_no_proof():
    """An account that cannot be read is no proof."""
    desk = through_not_found(Desk().uncertain()).account(ok=False)
    desk.expect(SetTimer("reconcile", desk.now + SECOND))
    assert desk.state.orders[ENTRY].status == "UNKNOWN"
    desk.fire("reconcile").account()
    assert desk.state.orders[ENTRY].status == "REJECTED"


def test_an_account_reading_that_began_before_the_second_look_is_no_proof():
    """An account reading that began before the second look is no proof."""
    desk = Desk().uncertain().after(17).fire("reconcile")
    desk.fire(f"look:{ENTRY}").look(ENTRY, "NOT_FOUND")
    desk.fire(f"look:{ENTRY}").look(ENTRY, "NOT_FOUND")
    assert desk.asked() == []
    desk.account()
    assert desk.state.orders[ENTRY].status == "UNKNOWN"
    assert desk.asked() == ["account"]
    desk.account()
    assert desk.state.orders[ENTRY].status == "REJECTED"


def test_an_account_that_shows_the_order_after_all_overrules_not_found():
    """An account that shows the order after all overrules not found."""
    desk = through_not_found(Desk().uncertain())
    desk.account(fill("1", ENTRY, "0.01"), usdt="999500", btc="0.01")
    assert desk.state.orders[ENTRY].status == "FILLED"
    assert desk.published(InstrumentReleased) != []


def test_found_again_starts_the_count_anew():
    """Found again starts the count anew."""
    desk = Desk().uncertain().after(17).fire(f"look:{ENTRY}").look(ENTRY, "NOT_FOUND")
    desk.fire(f"look:{ENTRY}").look(ENTRY, "FOUND")
    assert desk.state.orders[ENTRY].status == "NEW"


def test_a_look_up_that_was_interrupted_or_outdated_is_simply_asked_again():
    """A look up that was interrupted or outdated is simply asked again."""
    desk = Desk().uncertain().fire(f"look:{ENTRY}")
    desk.interrupt(f"lookup:{ENTRY}")
    assert desk.asked() == [f"lookup:{ENTRY}"]
    desk.expire(f"lookup:{ENTRY}")
    assert desk.asked() == [f"lookup:{ENTRY}"]


def test_a_submission_that_was_too_old_to_send_is_expired_without_any_doubt():
    """A submission that was too old to send is expired without any doubt."""
    desk = Desk().tell(approval()).expire(f"submit:{ENTRY}")
    assert desk.reports() == [("ENTRY", "EXPIRED", "EXPIRED")]
    assert desk.published(InstrumentQuarantined) == []


def test_a_time_out_after_the_user_stream_has_shown_the_order_is_no_quarantine():
    """A time out after the user stream has shown the order is no quarantine."""
    desk = Desk().tell(approval())
    desk.stream(desk.shown(ENTRY)).answer(ENTRY, "UNKNOWN")
    assert desk.reports() == []
    assert f"look:{ENTRY}" in desk.timers


def test_a_refusal_of_what_the_user_stream_has_shown_is_looked_up():
    """A refusal of what the user stream has shown is looked up."""
    desk = Desk().tell(approval())
    desk.stream(desk.shown(ENTRY)).answer(ENTRY, "REJECTED", code="-2010")
    assert desk.state.orders[ENTRY].status == "NEW"
    assert f"look:{ENTRY}" in desk.timers


def test_two_unknown_orders_release_their_instrument_once_when_both_are_known():
    """Two unknown orders release their instrument once when both are known."""
    desk = Desk().bought().answer(order("STOP"), "UNKNOWN")
    first = desk.only(InstrumentQuarantined).cl_ord_id
    desk.tell(approval("a2"))
    assert "QUARANTINED" in desk.only(ExecutionReport).reason
    desk.fire(f"look:{order('STOP')}").look(order("STOP"), "FOUND")
    assert desk.only(InstrumentReleased).cl_ord_id == first


def test_an_order_declared_never_sent_that_the_venue_shows_is_taken_back_and_paged():
    """An order declared never sent that the venue shows is taken back and paged."""
    desk = Desk().tell(approval()).answer(ENTRY, "REJECTED", code=NEVER_SENT)
    desk.stream(None, fill("1", ENTRY, "0.004"))
    assert desk.alerts() == [("ORDER_SURFACED", "page")]
    assert desk.reports() == [("ENTRY", "NEW", "NEW"), ("ENTRY", "TRADE", "PARTIALLY_FILLED")]
    assert f"submit:{order('STOP')}" in desk.asked()


def test_a_report_that_cannot_be_is_told_and_changes_nothing():
    """A report that cannot be is told and changes nothing."""
    desk = Desk().tell(approval()).confirm(ENTRY)
    desk.expire(f"submit:{ENTRY}")
    assert desk.alerts() == [("IMPOSSIBLE_REPORT", "page")]
    assert desk.state.orders[ENTRY].status == "NEW"


def test_an_answer_about_an_order_nobody_made_is_poison():
    """An answer about an order nobody made is poison."""
    stray = OrderAnswered(
        request_id="submit:nobody",
        instrument=BTC,
        cl_ord_id="nobody",
        outcome="UNKNOWN",
        order=None,
        fills=(),
        code="",
        detail="",
    )
    Desk().tell(stray).expect(Reject("UNKNOWN_ORDER", "an answer for submit:nobody, which is no order of ours"))


def test_a_withdrawn_question_about_nothing_we_know_is_ignored():
    """A withdrawn question about nothing we know is ignored."""
    Desk().interrupt("submit:nobody").expect()
