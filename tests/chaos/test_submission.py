"""Incidents while an order is on its way to the venue: it must become one order, or provably none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.messages import EventRejected, ExecutionReport, InstrumentReleased, OrderLookedUp
from services.exchange_sim.faults import OrderFault, RestFault, VenueFault
from tests.chaos.execution_stand import ExecutionStand

pytestmark = [pytest.mark.timeout(60), pytest.mark.no_cover]
ORDER = "/api/v3/order"


async def test_accepted_and_then_timed_out_is_one_order_when_the_stream_tells_it(stand: ExecutionStand) -> None:
    """The venue takes the entry and never answers; the user stream is faster than the time-out."""
    stand.venue.faults.add(OrderFault(kind="timeout_after_accept"))
    await stand.enter("0.01")
    await stand.until(stand.covered, "a stop under the position")
    await stand.check_books()


async def test_accepted_and_then_timed_out_is_one_order_when_nobody_tells_it(stand: ExecutionStand) -> None:
    """No answer, a deaf stream and no account: the order is UNKNOWN, a person is told, it is looked up by its id, booked and protected."""
    stand.blind(2.0)
    stand.venue.faults.add(OrderFault(kind="timeout_after_accept"))
    await stand.enter("0.01")
    await stand.until(stand.covered, "a stop under the position")
    await stand.check_books("ORDER_UNKNOWN")
    assert stand.log.said(InstrumentReleased)


async def test_accepted_and_then_reset_is_one_order(stand: ExecutionStand) -> None:
    """A TCP reset instead of an answer says nothing about the order, which is there."""
    stand.blind(1.0)
    stand.venue.faults.add(OrderFault(kind="reset_after_accept"))
    await stand.enter("0.01")
    await stand.until(stand.covered, "a stop under the position")
    await stand.check_books("ORDER_UNKNOWN")


async def test_a_truncated_answer_is_no_answer(stand: ExecutionStand) -> None:
    """Status 200 and half a body: ccxt sees an order without an id; we see that we know nothing, and ask."""
    stand.blind(1.0)
    stand.venue.faults.add(RestFault(kind="truncated", path=ORDER, method="POST"))
    await stand.enter("0.01")
    await stand.until(stand.covered, "a stop under the position")
    await stand.check_books("ORDER_UNKNOWN")


async def test_an_order_that_never_arrived_is_refused_only_once_that_is_certain(stand: ExecutionStand) -> None:
    """The connection broke before the venue took it: not found is believed after nothing can arrive any more, and then final."""
    stand.venue.faults.add(OrderFault(kind="reset_before_accept"))
    wish = await stand.enter("0.01", valid_s=0.8)
    await stand.until(lambda: stand.log.said(InstrumentReleased), "a verdict")
    report = stand.log.said(ExecutionReport)[-1]
    assert (report.exec_type, report.ord_status) == ("REJECTED", "REJECTED")
    looked = [each for each in stand.log.said(OrderLookedUp) if each.outcome == "NOT_FOUND"]
    assert len(looked) >= 3, "the first answers came too early to mean anything"
    await stand.check_books("ORDER_UNKNOWN", unsent=(wish,))


async def test_nothing_is_guessed_while_the_order_cannot_be_looked_up(stand: ExecutionStand) -> None:
    """Look-ups and account are answered 503 for longer than anybody waits: the instrument stays quarantined until they are not."""
    stand.deafen(4.0)
    stand.venue.faults.add(OrderFault(kind="timeout_after_accept"))
    stand.refuse(503, method="GET", seconds=3.0)
    await stand.enter("0.01", valid_s=0.8)
    await stand.until(lambda: len(stand.log.said(OrderLookedUp)) >= 5, "several look-ups in vain")
    second = await stand.enter("0.02")
    await stand.until(lambda: stand.log.said(ExecutionReport)[-1].ord_status == "REJECTED", "a refusal of the second")
    assert "QUARANTINED" in stand.log.said(ExecutionReport)[-1].reason
    await stand.until(stand.covered, "a stop under the position")
    await stand.check_books("ORDER_UNKNOWN", unsent=(second,))


async def test_an_entry_while_the_venue_is_down_is_never_sent_twice(stand: ExecutionStand) -> None:
    """The whole venue is away when the entry leaves: it ends as never arrived, and the next one is an order like any other."""
    stand.venue.faults.add(VenueFault(kind="down", seconds=1.0))
    lost = await stand.enter("0.01", valid_s=0.8)
    await stand.until(
        lambda: stand.log.said(ExecutionReport)[-1:] and stand.log.said(ExecutionReport)[-1].ord_status == "REJECTED",
        "a verdict",
    )
    await stand.reconciled()
    await stand.position("0.02")
    await stand.check_books(unsent=(lost,))


async def test_what_even_the_gate_may_not_approve_is_refused_by_the_executor_itself(stand: ExecutionStand) -> None:
    """Signed and in time, but off the price band, beyond the cap, or an intent known with another content: told, and nothing is sent."""
    await stand.position()
    accepted = dict(stand.venue.accepted)
    far = Decimal(str(stand.venue.quote("BTC-USDT").ask_px)) * 2
    await stand.enter("0.01", ord_type="LIMIT", limit_px=far.quantize(Decimal("0.01")))
    await stand.enter("900")
    await stand.enter("0.02", intent_id=next(iter(stand.wishes)))
    await stand.until(lambda: stand.log.alerts.count("EVENT_REJECTED") == 3, "three refusals, and their alerts")
    assert [each.reason for each in stand.log.said(EventRejected)] == ["PRICE_BAND", "NOTIONAL", "INTENT_CHANGED"]
    assert stand.venue.accepted == accepted
    assert stand.covered()
