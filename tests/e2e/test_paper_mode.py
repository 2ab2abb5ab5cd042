"""`bulkhead up --mode paper`, whole: exchange_sim plays the live venue, the paper venue follows it, the stack trades there."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Container
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest
from rich.console import Console

from libs.common.codec import decode_from
from libs.common.messages import GenesisDeclared, Message, ServiceStarted
from libs.research.paper_days import paper_days
from libs.trading.binance_ccxt import ccxt_config
from services.cli.place import find_place
from services.cli.status import gather
from services.cli.status_text import status_text
from tests.e2e.stack_stand import Stack
from tests.e2e.venue_stand import open_venue
from tests.nats_stack import free_block

BTC = "BTC/USDT"


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Callable[..., Stack]]:
    stacks: list[Stack] = []

    def start(market_url: str, services: Container[str]) -> Stack:
        stacks.append(Stack(tmp_path / "home", services, mode="paper", market_url=market_url))
        return stacks[-1]

    yield start
    for stack in stacks:
        await stack.abandon()


async def test_a_live_market_is_traded_on_paper_without_a_key(begin: Callable[..., Stack], tmp_path: Path) -> None:
    """In wall time, at the live venue's prices and costs on top; status says which market it is, and the log in which world it was."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with open_venue(tmp_path / "live", sim_mode="free", sim_speed=1.0, sim_start=now) as live:
        stack = begin(live.url, ("market-feed", "risk-gate", "order-executor", "ledger"))
        await stack.until(lambda: stack.shows("services are live") and stack.shows("LIVE STARTED"))
        order = await _bought(client_of(stack), 0.01)
        ask = live.server.exchange.quotes["BTC-USDT"].ask_px
        assert order["average"] == pytest.approx(ask, rel=0.002)
        found = await gather(find_place(stack.settings.home))
        assert (found.mode, found.venue_trouble) == ("paper", "")
        assert f"the live market of {live.url} in wall time" in found.venue
        shown = io.StringIO()
        Console(file=shown, width=300).print(status_text(found))
        assert f"orders at the paper venue {stack.ports.sim_url}" in shown.getvalue()
        entries = await stack.log()
        told = [decode_from(entry.subject, entry.payload) for entry in entries]
        assert next(each.mode for each in told if isinstance(each, GenesisDeclared)) == "paper"
        assert _world_of("feed", told) == {"market_url": live.url, "clock_url": ""}
        assert _world_of("exec", told) == {"venue_url": stack.ports.sim_url, "clock_url": ""}
        assert abs(told[-1].ts_init - time.time_ns()) < 60 * 10**9
        (day, *_) = paper_days(entries)
        assert (day.counts, day.reason) == (False, "SIMULATED_MARKET")
        assert await stack.stop() == 0


async def test_without_a_market_it_says_so_and_waits(begin: Callable[..., Stack]) -> None:
    """What is wrong, and what to do; the feed pages, status tells it, and nothing crashes."""
    nobody = f"http://127.0.0.1:{free_block(1)}"
    stack = begin(nobody, ("market-feed", "order-executor"))
    await stack.until(lambda: stack.shows("FEED_DOWN"))
    assert stack.shows(f"NO PRICES: {nobody} does not answer")
    assert stack.shows("bulkhead up --mode sim")
    found = await gather(find_place(stack.settings.home))
    assert any("the market to follow cannot be had" in each for each in found.findings)
    assert any("feed of binance is DOWN" in each for each in found.findings)
    assert {name for name, line in found.services.items() if line.starts > 1} == set()
    assert await stack.stop() == 0
    assert not stack.shows("is started again")


def client_of(stack: Stack) -> ccxt.pro.binance:
    """A client of the stack's paper venue."""
    keys = stack.settings.home / "keys"
    key, secret = ((keys / name).read_text().strip() for name in ("venue-api-key", "venue-api-secret"))
    return ccxt.pro.binance(ccxt_config(stack.ports.sim_url, key, secret))


async def _bought(client: ccxt.pro.binance, qty: float) -> dict[str, Any]:
    try:
        order: dict[str, Any] = await client.create_order(BTC, "market", "buy", qty)
        async with asyncio.timeout(15):
            while order["status"] == "open":
                await asyncio.sleep(0.05)
                order = await client.fetch_order(order["id"], BTC)
        return order
    finally:
        await client.close()


def _world_of(producer: str, told: list[Message]) -> dict[str, Any]:
    started = next(each for each in told if isinstance(each, ServiceStarted) and each.producer == producer)
    return {name: value for name, value in started.settings.items() if name in ("market_url", "venue_url", "clock_url")}
