"""Incidents of a stop that is replaced: while it follows the price, and while a part of its position is sold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from libs.common.messages import OrderLookedUp
from services.exchange_sim.faults import OrderFault
from tests.chaos.execution_stand import BTC, START_PX, ExecutionStand, open_stand
from tests.chaos.nursery import Nursery

pytestmark = [pytest.mark.timeout(60), pytest.mark.no_cover]
AT_REST = 0.995
"""Where a stop does not follow before the price has moved."""
HIGHER = START_PX * 1.02
TRAILED = Decimal("60893.5")
"""0.5 % below the highest bid, on the grid."""


class Eye:
    """Looks at the venue's own books at every change of the account: the least that ever rested under a stop."""

    def __init__(self, stand: ExecutionStand):
        self._stand = stand
        self.least_resting = stand.resting()
        stand.venue.server.exchange.listeners.append(self)

    def on_market(self, event: Any) -> None:
        """Prices are nothing to it."""

    def on_transfer(self, asset: str, amount: Decimal, now: int) -> None:
        """Nor is money."""

    def on_account(self, updates: list[Any], now: int) -> None:
        """Orders changed."""
        self.least_resting = min(self.least_resting, self._stand.resting())


@pytest.fixture
async def trailing(tmp_path: Path, nursery: Nursery) -> AsyncIterator[ExecutionStand]:
    """An executor whose stops follow the price at half a per cent."""
    async with open_stand(tmp_path / "home", nursery, BULKHEAD_EXEC_TRAIL_BPS="50") as made:
        yield made


@pytest.fixture
async def slowly_reconciling(tmp_path: Path, nursery: Nursery) -> AsyncIterator[ExecutionStand]:
    """The same, which has just compared its books with the venue, and does so again only when a question to it has long run out of time."""
    settings = {"BULKHEAD_EXEC_TRAIL_BPS": "50", "BULKHEAD_EXEC_RECONCILE_INTERVAL_MS": "2000"}
    async with open_stand(tmp_path / "home", nursery, **settings) as made:
        yield made


def stop_at(stand: ExecutionStand) -> Decimal:
    """Where the one stop at the venue stands, if there is one."""
    found = [each.stop_px for each in stand.venue.account.open_orders(BTC) if each.stop_px is not None]
    return found[0] if len(found) == 1 else Decimal(0)


async def _trailed(stand: ExecutionStand, seconds: float = 15.0) -> None:
    await stand.until(lambda: stop_at(stand) == TRAILED and stand.covered(), "the stop to follow", seconds)


async def test_a_stop_that_follows_the_price_is_never_away(trailing: ExecutionStand) -> None:
    """The price rises by two per cent: at the venue there is a stop of the whole position at every instant."""
    await trailing.position(stop=AT_REST)
    eye, whole = Eye(trailing), trailing.held()
    trailing.price(HIGHER)
    await _trailed(trailing)
    await trailing.check_books()
    assert eye.least_resting == whole


async def test_the_pair_of_a_position_that_trails_is_replaced_by_a_stop(trailing: ExecutionStand) -> None:
    """A stop and its target give way to a higher stop in one step; the target is then taken by us when its price comes."""
    await trailing.position(stop=AT_REST, target_px=Decimal(63_000))
    eye, whole = Eye(trailing), trailing.held()
    trailing.price(HIGHER)
    await _trailed(trailing)
    assert eye.least_resting == whole
    trailing.price(63_010.0)
    await trailing.until(trailing.flat, "the target to be taken")
    await trailing.check_books("TARGET_REACHED")


@pytest.mark.parametrize("fault", ["timeout_after_accept", "reset_after_accept", "reset_before_accept", "http_503"])
async def test_a_replacement_without_an_answer_is_looked_up_on_both_sides(
    slowly_reconciling: ExecutionStand, fault: str
) -> None:
    """Whether the venue has replaced the stop or not, the position keeps one, and the next attempt is made only when that is known."""
    trailing = slowly_reconciling
    await trailing.position(stop=AT_REST)
    await trailing.reconciled()
    eye, whole = Eye(trailing), trailing.held()
    trailing.deafen(4.0)
    trailing.venue.faults.add(OrderFault(kind=fault))  # type: ignore[arg-type]
    trailing.price(HIGHER)
    await trailing.until(lambda: "ORDER_UNKNOWN" in trailing.log.alerts, "the replacement to be unknown")
    await trailing.until(lambda: trailing.log.said(OrderLookedUp), "the orders to be looked up")
    await _trailed(trailing)
    await trailing.check_books("ORDER_UNKNOWN")
    assert eye.least_resting == whole


async def test_a_venue_that_does_not_replace_is_asked_in_two_steps(trailing: ExecutionStand) -> None:
    """The venue refuses the step itself: the old stop stands until it is taken back for the next, and a person has a ticket."""
    await trailing.position(stop=AT_REST)
    text = '{"code":-2010,"msg":"Order cancel-replace is not supported for this symbol."}'
    trailing.refuse(400, text, path="/api/v3/order/cancelReplace", method="POST")
    trailing.price(HIGHER)
    await _trailed(trailing)
    await trailing.check_books("REPLACE_REFUSED")


async def test_the_executor_dies_while_a_stop_is_being_replaced(trailing: ExecutionStand) -> None:
    """Killed with the replacement on its way, the next life finds out which stop stands and goes on from there."""
    await trailing.position(stop=AT_REST)
    eye, whole = Eye(trailing), trailing.held()
    trailing.venue.faults.add(OrderFault(kind="timeout_after_accept"))
    trailing.price(HIGHER)
    await trailing.until(lambda: stop_at(trailing) == TRAILED, "the venue to have replaced the stop")
    trailing.kill()
    trailing.restart()
    await trailing.check_books()
    assert (stop_at(trailing), eye.least_resting) == (TRAILED, whole)


async def test_a_part_that_is_sold_leaves_the_rest_under_its_stop(stand: ExecutionStand) -> None:
    """An exit of a part takes from the stop what it sells: the rest is under a stop at every instant."""
    await stand.position("0.01")
    eye, held = Eye(stand), stand.held()
    await stand.exit("0.004")
    await stand.until(lambda: stand.held() < held and stand.covered(), "the exit")
    await stand.check_books()
    assert eye.least_resting == held - Decimal("0.004")


async def test_a_stop_that_sells_while_it_is_being_replaced_sells_once(trailing: ExecutionStand) -> None:
    """The price turns and takes the old stop out at the venue before the replacement arrives: one sale, and nothing is left behind."""
    await trailing.position(stop=0.998)
    trailing.refuse(503, path="/api/v3/order/cancelReplace", method="POST", seconds=1.0)
    trailing.price(HIGHER)
    await trailing.until(lambda: "ORDER_UNKNOWN" in trailing.log.alerts, "a replacement on its way")
    trailing.price(START_PX * 0.99)
    await trailing.until(trailing.flat, "the old stop to sell")
    await trailing.check_books()
