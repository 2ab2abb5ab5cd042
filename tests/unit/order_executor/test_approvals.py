"""Approvals in; one order, an honest report, or a refusal out."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from libs.common.messages import ExecutionReport, FeedMarks, FeedStatus, GenesisDeclared, OrderSubmitting
from libs.runtime.machine import Perform, Publish, Reject
from services.order_executor.requests import SubmitOrder
from tests.playbook import START, like
from tests.unit.order_executor.desk import (
    BTC,
    ETH,
    SECOND,
    SPECS,
    STRANGER,
    Desk,
    approval,
    exit_approval,
    marks,
    order,
)


def refused(desk: Desk) -> str:
    """The reason of the one Reject in the last answer."""
    (reason,) = [effect.reason for effect in desk.effects if isinstance(effect, Reject)]
    return reason


def test_an_approved_entry_is_written_ahead_and_then_sent_once():
    """An approved entry is written ahead and then sent once."""
    desk = Desk().tell(approval())
    desk.expect(
        like(
            OrderSubmitting,
            cl_ord_id=order("ENTRY"),
            role="ENTRY",
            order_qty=D("0.01"),
            valid_until=START + 10 * SECOND,
            correlation_id="story-a1",
        ),
        like(SubmitOrder, cl_ord_id=order("ENTRY"), ord_type="MARKET", valid_until=START + 10 * SECOND),
    )
    assert isinstance(desk.effects[0], Publish)
    assert isinstance(desk.effects[1], Perform)
    assert desk.effects[1].request_id == f"submit:{order('ENTRY')}"


def test_the_same_approval_again_is_ignored():
    """The same approval again is ignored."""
    Desk().tell(approval()).tell(approval()).expect()


def test_an_intent_with_another_content_is_poison_and_touches_nothing():
    """An intent with another content is poison and touches nothing."""
    desk = Desk().tell(approval()).tell(approval(order_qty=D("0.02")))
    assert refused(desk) == "INTENT_CHANGED"
    assert len(desk.effects) == 1


@pytest.mark.parametrize(
    "forged",
    [
        approval(key=STRANGER),
        msgspec.structs.replace(approval(), order_qty=D("0.05")),
    ],
    ids=["another key", "altered after signing"],
)
def test_an_approval_that_the_gate_did_not_sign_is_poison_and_says_nothing_of_the_intent(forged):
    """An approval that the gate did not sign is poison and says nothing of the intent."""
    desk = Desk().tell(forged)
    assert refused(desk) == "BAD_SIGNATURE"
    assert len(desk.effects) == 1
    assert desk.tell(approval()).asked() == [f"submit:{order('ENTRY')}"]


def test_an_approval_that_arrives_too_late_is_reported_expired_and_never_sent():
    """An approval that arrives too late is reported expired and never sent."""
    desk = Desk().after(11).tell(approval())
    desk.expect(
        like(ExecutionReport, cl_ord_id=order("ENTRY"), exec_type="EXPIRED", ord_status="EXPIRED", leaves_qty=D(0))
    )
    desk.tell(approval()).expect()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instrument": "DOGE-USDT"}, "UNKNOWN_INSTRUMENT"),
        ({"order_qty": D(3)}, "NOTIONAL"),
        ({"order_qty": D("0.000001")}, "ORDER_QTY"),
        ({"ref_px": D(55_000)}, "PRICE_BAND"),
        ({"ord_type": "LIMIT", "limit_px": D(45_000), "time_in_force": "IOC"}, "PRICE_BAND"),
        ({"ord_type": "LIMIT"}, "LIMIT_PX"),
        ({"limit_px": D(50_000)}, "LIMIT_PX"),
        ({"ord_type": "STOP_LOSS"}, "ORD_TYPE"),
        ({"stop_px": None}, "STOP_PX"),
        ({"stop_px": D(50_001)}, "STOP_PX"),
        ({"side": "SELL", "stop_px": D(51_000)}, "SHORT_ON_SPOT"),
    ],
)
def test_an_entry_beyond_the_executors_own_limits_is_poison_and_ends_its_intent(changes, reason):
    """An entry beyond the executor's own limits is poison and ends its intent."""
    desk = Desk(notional_max=D(100_000)).tell(approval(**changes))
    assert refused(desk) == reason
    assert desk.reports() == [("ENTRY", "REJECTED", "REJECTED")]
    assert desk.asked() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"side": "BUY"}, "REDUCE_SIDE"),
        ({"ord_type": "LIMIT", "limit_px": D(50_000), "time_in_force": "GTC"}, "RESTING_EXIT"),
        ({"instrument": "DOGE-USDT"}, "UNKNOWN_INSTRUMENT"),
    ],
)
def test_an_exit_must_make_sense_too(changes, reason):
    """An exit must make sense too."""
    desk = Desk().covered().tell(exit_approval(**changes))
    assert refused(desk) == reason
    assert desk.asked() == []


def test_nothing_is_bought_before_books_and_venue_were_seen_to_agree():
    """Nothing is bought before books and venue were seen to agree."""
    desk = Desk(opened=False)
    desk.tell(FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=SPECS)).tell(marks())
    desk.tell(approval("before genesis"))
    desk.expect(like(ExecutionReport, exec_type="REJECTED", ord_status="REJECTED"))
    assert "NOT_CHECKED" in desk.only(ExecutionReport).reason
    desk.tell(GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli")).checked()
    assert "NOT_RECONCILED" in desk.tell(approval("checked")).only(ExecutionReport).reason
    desk.account()
    assert "NOT_RECONCILED" in desk.tell(approval("read once")).only(ExecutionReport).reason
    desk.fire("reconcile").account().tell(approval("read twice"))
    assert desk.asked() == [f"submit:{order('ENTRY', 'read twice')}"]


def test_nothing_is_bought_without_a_recent_mark():
    """Nothing is bought without a recent mark."""
    desk = Desk(mark_age_ms_max=5_000).after(6).tell(approval())
    assert "NO_MARK" in desk.only(ExecutionReport).reason
    desk = Desk(mark_age_ms_max=5_000).after(6)
    desk.tell(FeedMarks(venue="binance", as_of=START + 5 * SECOND, marks=(), alive=(BTC, ETH, "DOGE-USDT"))).tell(
        approval()
    )
    assert desk.asked() == [f"submit:{order('ENTRY')}"]


def test_the_rules_of_another_venue_are_not_ours():
    """The rules of another venue are not ours."""
    desk = Desk(venue="kraken").tell(approval())
    assert "NO_SPEC" in desk.only(ExecutionReport).reason


def test_quantity_and_limit_are_put_on_the_venues_grid_never_beyond_what_was_approved():
    """Quantity and limit are put on the venue's grid never beyond what was approved."""
    desk = Desk().tell(
        approval(ord_type="LIMIT", time_in_force="IOC", limit_px=D("49999.999"), order_qty=D("0.010009"))
    )
    sent = desk.request(SubmitOrder)
    assert (sent.order_qty, sent.limit_px) == (D("0.01"), D("49999.99"))


def test_an_instrument_taken_off_the_list_may_still_be_left():
    """An instrument taken off the list may still be left."""
    desk = Desk().covered()
    desk.machine.settings = type(desk.machine.settings)(
        gate_public_key=desk.machine.settings.gate_public_key, instruments=(ETH,)
    )
    desk.tell(exit_approval())
    assert desk.asked() == [f"cancel:{order('STOP')}"]


@pytest.mark.parametrize("rules", [{"qty_step": D(0)}, {"px_tick": D(0)}, {"px_tick": D(-1)}])
def test_rules_that_cannot_be_kept_are_not_learned(rules):
    """A venue's step of nothing is no step: the rules known before hold, and nobody divides by it."""
    desk = Desk()
    broken = tuple(msgspec.structs.replace(spec, **rules) for spec in SPECS)
    desk.tell(FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=broken))
    assert desk.state.specs[BTC] == SPECS[0]
    desk.tell(approval(ord_type="LIMIT", limit_px=D(50_000)))
    assert desk.asked() == [f"submit:{order('ENTRY')}"]
