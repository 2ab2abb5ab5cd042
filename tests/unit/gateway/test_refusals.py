"""Refusals are counted, told without holding anybody up, and watched for who guesses."""

from __future__ import annotations

import asyncio

from libs.desk.refusals import Kind, Refused
from libs.runtime.metrics import ServiceMetrics
from services.gateway.refusals import OFTEN, Guesses, Often, Refusals

BAD = Kind("api", "", "10.0.0.1", "BAD_TOKEN")


def test_who_guesses_often_is_an_alert_once() -> None:
    """More than so many bad tokens from one address within ten minutes."""
    guesses = Guesses()
    assert [guesses.note("10.0.0.1", float(second)) for second in range(OFTEN)] == [None] * OFTEN
    assert guesses.note("10.0.0.1", 30.0) == Often("10.0.0.1", OFTEN + 1)
    assert guesses.note("10.0.0.1", 31.0) is None
    slow = Guesses()
    assert [guess for number in range(100) if (guess := slow.note("10.0.0.1", number * 60.0))] == []


async def test_a_log_that_takes_nothing_loses_nothing_and_holds_nobody_up() -> None:
    """Noting returns at once; what failed is told later, with what came meanwhile."""
    told: list[Refused] = []
    broken = True

    async def tell(refused: Refused) -> None:
        if broken:
            raise ConnectionError
        told.append(refused)

    async def tell_often(often: Often) -> None:
        raise AssertionError(often)

    metrics = ServiceMetrics("gateway")
    refusals = Refusals(metrics, tell, tell_often)
    running = asyncio.create_task(refusals.run())
    refusals.note("api", "", "10.0.0.1", "GET /a", "BAD_TOKEN")
    await asyncio.sleep(0.3)
    broken = False
    refusals.note("api", "", "10.0.0.1", "GET /a", "BAD_TOKEN")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told == [Refused(BAD, "GET /a", 2)]
    text = metrics.exposition()[0].decode()
    assert 'bulkhead_access_refused_total{door="api",service="gateway",why="BAD_TOKEN"} 2.0' in text


async def test_a_guesser_is_known_in_whatever_address_of_his_network() -> None:
    """An IPv6 customer has 2^64 addresses, and is one guesser all the same."""
    often: list[Often] = []

    async def tell(_: Refused) -> None:
        return

    async def tell_often(found: Often) -> None:
        often.append(found)

    refusals = Refusals(ServiceMetrics("gateway"), tell, tell_often)
    for number in range(OFTEN + 1):
        refusals.note("api", "", f"2001:db8::{number + 1:x}", "GET /a", "BAD_TOKEN")
    running = asyncio.create_task(refusals.run())
    async with asyncio.timeout(5):
        while not often:  # noqa: ASYNC110  (it tells a few times a second)
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert often == [Often("2001:db8::", OFTEN + 1)]
