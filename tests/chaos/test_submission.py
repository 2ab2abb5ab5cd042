"""Incidents while an order is on its way to the venue: it must become one order, or provably none."""

from __future__ import annotations

import pytest

from services.exchange_sim.faults import OrderFault, RestFault
from tests.chaos.execution_stand import ExecutionStand

pytestmark = [pytest.mark.timeout(60), pytest.mark.no_cover]


async def test_an_order_that_was_accepted_and_then_timed_out_is_one_order(stand: ExecutionStand) -> None:
    """The venue takes the entry and never answers: it is looked up, found, booked once and protected."""
    stand.venue.faults.add(OrderFault(kind="timeout_after_accept"))
    await stand.enter("0.01")
    await stand.until(stand.covered, "a stop under the position")
    await stand.check_books()
