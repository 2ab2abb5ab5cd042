"""What the gateway shows of a log, and what it does with orders: against a running gateway and a real bus."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.e2e.gateway_stand import Gateway, gateway_on, write_log
from tests.nats_stack import NatsStack


@pytest.fixture
async def gateway(nats: NatsStack) -> AsyncIterator[Gateway]:
    """A gateway before a recorded log."""
    await write_log(nats)
    async with gateway_on(nats) as running:
        yield running


async def test_try(gateway: Gateway) -> None:
    """Try."""
    for path in (
        "portfolio",
        "positions",
        "orders",
        "fills",
        "signals",
        "decisions",
        "performance",
        "risk",
        "feeds",
        "agents",
        "alerts",
        "trace/latest",
        "events",
        "health",
    ):
        found = await gateway.ask(f"/api/v1/{path}", status=None)
        print(path, str(found)[:400])
    print(gateway.log.read_text())
    assert await gateway.stop() == 0
