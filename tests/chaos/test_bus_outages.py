"""Incidents of the bus: nats-server dies while an order leaves, and for longer, with a position in the book."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from libs.common.messages import ExecutionReport, OrderSubmitting
from tests.chaos.execution_stand import BTC, START_PX, ExecutionStand

pytestmark = [pytest.mark.timeout(400), pytest.mark.no_cover]
ENDS = ("REJECTED", "EXPIRED")


async def test_the_bus_dies_while_an_order_leaves(stand: ExecutionStand) -> None:
    """nats-server is killed when the order is written: it was sent or it was not, and after the outage that is known."""
    stand.supervise()
    stand.log.heard = lambda message: stand.stop_nats() if isinstance(message, OrderSubmitting) else None
    wish = await stand.enter("0.01", valid_s=1.0)
    await stand.until(lambda: stand.nats.process.poll() is not None, "the bus to die")
    stand.log.heard = lambda _: None
    await stand.start_nats()
    await stand.until(lambda: stand.covered() or _is_over(stand, wish), "the fate of the entry")
    await stand.check_books(filled={wish: str(stand.bought(wish))})


async def _outage_with_a_fill(stand: ExecutionStand, seconds: float) -> None:
    stand.supervise()
    await stand.position()
    stand.stop_nats()
    stand.price(START_PX * 0.985)
    await stand.until(stand.flat, "the stop to fill at the venue")
    await asyncio.sleep(seconds)
    await stand.start_nats()
    await stand.check_books(seconds=30)
    stand.price(START_PX)
    await stand.position("0.02")
    await stand.check_books()


async def test_a_stop_fills_while_the_bus_is_down(stand: ExecutionStand) -> None:
    """Ten seconds without a log; the stop rests at the venue and does its work; it is booked when the log is back."""
    await _outage_with_a_fill(stand, 10.0)


@pytest.mark.slow
async def test_a_stop_fills_while_the_bus_is_down_for_minutes(stand: ExecutionStand) -> None:
    """The same for five minutes."""
    await _outage_with_a_fill(stand, 300.0)


async def _rests_and_fills_without_a_bus(stand: ExecutionStand) -> str:
    stand.supervise()
    wish = await stand.enter("0.01", ord_type="LIMIT", limit_px=Decimal(str(START_PX * 0.999)), valid_s=20.0)
    await stand.until(lambda: stand.venue.account.open_orders(BTC), "the entry to rest")
    await stand.reconciled()
    stand.stop_nats()
    stand.price(START_PX * 0.998)
    await stand.until(lambda: stand.held() > 0, "the entry to fill")
    return wish


async def test_an_entry_that_fills_while_the_bus_is_down_is_protected_when_it_is_back(stand: ExecutionStand) -> None:
    """A fill nobody could write down is found by the first reading of the account, and gets its stop at once."""
    await _rests_and_fills_without_a_bus(stand)
    await stand.start_nats()
    await stand.until(stand.covered, "a stop under the position")
    await stand.check_books()


async def test_an_entry_that_fills_while_the_bus_is_down_is_protected_meanwhile(stand: ExecutionStand) -> None:
    """The stop does not wait for the log: it is placed from the local journal, which is told first when the log is back."""
    await _rests_and_fills_without_a_bus(stand)
    await stand.until(stand.covered, "a stop under the position, without a bus", 4)
    await stand.start_nats()
    await stand.check_books()


def _is_over(stand: ExecutionStand, intent: str) -> bool:
    name = stand.wishes[intent].cl_ord_id
    reports = [each for each in stand.log.said(ExecutionReport) if each.cl_ord_id == name]
    return bool(reports) and reports[-1].ord_status in ENDS
