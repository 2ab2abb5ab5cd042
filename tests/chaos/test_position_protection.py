"""Incidents of a position: its stop is refused, jumped over, taken away; the position itself is taken away."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.messages import AlertRaised, ExecutionReport, OrderSubmitting
from services.exchange_sim.faults import OrderFault
from tests.chaos.execution_stand import BTC, START_PX, ExecutionStand

pytestmark = [pytest.mark.timeout(60), pytest.mark.no_cover]
NO_STOPS = '{"code":-1013,"msg":"Stop loss orders are not supported for this symbol."}'


async def _filled_without_a_stop(stand: ExecutionStand, refusals: int) -> str:
    """An entry that rested, so that the next orders, which are its stops, can be refused; it has filled."""
    limit_px = Decimal(str(START_PX * 0.999))
    wish = await stand.enter("0.01", ord_type="LIMIT", limit_px=limit_px, valid_s=5.0)
    await stand.until(lambda: stand.venue.account.open_orders(BTC), "the entry to rest")
    stand.refuse(400, NO_STOPS, path="/api/v3/order", method="POST", times=refusals)
    stand.price(START_PX * 0.998)
    return wish


async def test_a_stop_the_venue_no_longer_takes_leaves_no_naked_position(stand: ExecutionStand) -> None:
    """An API change: the venue refuses the stop on its merits. Another stop, or the market: nothing stays unprotected."""
    await _filled_without_a_stop(stand, 1)
    await stand.until(lambda: stand.log.said(AlertRaised), "an alert")
    await stand.check_books("STOP_REJECTED")


async def test_a_stop_limit_that_is_gapped_through_does_not_keep_the_position(stand: ExecutionStand) -> None:
    """Where only a stop-limit is to be had, a gap jumps over its limit: the position is sold all the same."""
    await _filled_without_a_stop(stand, 1)
    await stand.until(
        lambda: any(each.ord_type == "STOP_LOSS_LIMIT" for each in stand.log.said(OrderSubmitting)), "a stop-limit", 3
    )
    await stand.until(stand.covered, "a stop under the position")
    stand.price(START_PX * 0.90)
    await stand.until(stand.flat, "a flat book")
    await stand.check_books()


async def test_a_gap_through_the_stop_fills_at_the_gap(stand: ExecutionStand) -> None:
    """The market opens five per cent below the stop: it fills there, and is booked for what it brought."""
    await stand.position()
    stand.price(START_PX * 0.94)
    await stand.until(stand.flat, "the stop to fill")
    await stand.check_books()
    last = [each for each in stand.log.said(ExecutionReport) if each.exec_type == "TRADE"][-1]
    assert last.last_px is not None
    assert last.last_px < Decimal(57_000)


async def test_a_stop_taken_away_by_hand_is_put_back(stand: ExecutionStand) -> None:
    """Somebody cancels the stop in the web page: it stands again at once, and a person is told."""
    await stand.position()
    (stop,) = stand.venue.account.open_orders(BTC)
    stand.venue.server.exchange.cancel(BTC, stop.cl_ord_id, None)
    await stand.until(lambda: stand.covered() and stand.venue.accepted.keys() > {stop.cl_ord_id}, "another stop")
    await stand.check_books("STOP_LOST")


async def test_a_rejected_exit_leaves_the_stop_standing(stand: ExecutionStand) -> None:
    """The venue refuses the exit after the stop was taken away for it: the stop is put back, and a person is told."""
    await stand.position()
    stand.venue.faults.add(OrderFault(kind="reject"))
    wish = await stand.exit("0.01")
    await stand.until(lambda: "EXIT_REJECTED" in stand.log.alerts, "the refusal")
    await stand.until(stand.covered, "the stop to be put back")
    await stand.check_books("EXIT_REJECTED", unsent=(wish,))


async def test_a_fee_in_base_leaves_dust_and_no_quarrel(stand: ExecutionStand) -> None:
    """The fee is taken from the coin that was bought: the stop is of what is left, the exit too, and the dust stays in the books."""
    await stand.position("0.01003")
    assert stand.resting() == Decimal("0.01001")
    wish = await stand.exit("0.01003")
    await stand.until(stand.flat, "the exit")
    await stand.check_books(filled={wish: "0.01001"})
    assert stand.venue.total("BTC") == Decimal("0.00000997")
    await stand.position("0.01")
    await stand.check_books(filled={wish: "0.01001"})


async def test_a_position_closed_by_hand_is_closed_in_the_books(stand: ExecutionStand) -> None:
    """Somebody takes the stop back and sells in the web page: the books follow, a person is told, nothing is sold twice."""
    await stand.position()
    (stop,) = stand.venue.account.open_orders(BTC)
    hands = stand.venue.server.hands  # both at one instant: a moment later the stop stands again
    hands.cancel(BTC, stop.cl_ord_id)
    hands.sell(BTC, Decimal("0.00999"))
    await stand.until(lambda: stand.log.alerts, "somebody to be told")
    await stand.check_books("POSITION_CLOSED_OUTSIDE", seconds=6)


async def test_a_liquidation_is_booked_and_told(stand: ExecutionStand) -> None:
    """The venue sells the position itself: the books follow, a person is told, and no stop is tried for what is gone."""
    await stand.position()
    stand.venue.server.hands.liquidate(BTC)
    await stand.until(lambda: stand.log.alerts, "somebody to be told")
    await stand.check_books("LIQUIDATED", seconds=6)


async def test_a_delisting_with_a_position_is_told_and_not_hammered(stand: ExecutionStand) -> None:
    """Trading ends with a position in the book: a person is told, and the venue is not asked for stops without end."""
    await stand.position()
    stand.venue.server.hands.delist(BTC)
    await stand.until(lambda: stand.log.alerts, "somebody to be told", 5)
    submitted = len(stand.log.said(OrderSubmitting))
    await stand.reconciled(5)
    assert len(stand.log.said(OrderSubmitting)) - submitted <= 3
    stand.venue.server.hands.relist(BTC)
    await stand.until(lambda: stand.covered() or stand.flat(), "a position under its stop, or none", 8)
    await stand.check_books()
