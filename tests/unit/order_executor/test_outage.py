"""The venue adapter's companion, where what it improvises and the log's return meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path

import pytest
import structlog

from libs.common.messages import Answer, Message, OrderAnswered
from libs.runtime.adapter import AdapterContext, LogEntry
from libs.runtime.core import Asked
from services.order_executor.adapters import outage
from services.order_executor.adapters.outage import LoglessVenue
from services.order_executor.requests import SubmitOrder
from services.order_executor.settings import Settings
from services.order_executor.state import State
from tests.unit.order_executor.desk import BTC, ETH, START, Desk, approval, fill, order


class StoppedClock:
    """It is always the same time."""

    def now(self) -> int:
        """Nanoseconds UTC."""
        return START

    async def sleep_until(self, due: int) -> None:
        """It never comes."""
        await asyncio.Event().wait()


class Bridge:
    """A way to the venue on which each order arrives, and across which the log comes back with the first of them."""

    def __init__(self) -> None:
        self.log_is_there = False
        self.sent: list[str] = []

    async def open(self, context: AdapterContext) -> None:
        """Nothing to connect."""

    async def perform(self, asked: Asked) -> Answer:
        """The order rests, and the log is back."""
        assert isinstance(asked.request, SubmitOrder)
        self.sent.append(asked.request.instrument)
        self.log_is_there = True
        return OrderAnswered(
            request_id=asked.request_id,
            instrument=asked.request.instrument,
            cl_ord_id=asked.request.cl_ord_id,
            outcome="CONFIRMED",
            order=None,
            fills=(),
            code="",
            detail="",
            ts_event=START,
            ts_init=START,
        )

    async def close(self) -> None:
        """Nothing to close."""


async def nothing_to_read(durable: str, from_seq: int) -> AsyncIterator[LogEntry]:
    """A log that is away."""
    while False:
        yield


async def yes() -> bool:
    """The lease is ours."""
    return True


def two_naked_positions() -> Desk:
    """BTC and ETH are held, and the log went away before their stops could be written down."""
    desk = Desk().bought()
    desk.tell(approval("a2", instrument=ETH, order_qty=D(1), ref_px=D(2_000), stop_px=D(1_900)))
    entry = order("ENTRY", "a2")
    desk.confirm(entry, fill("2", entry, "1", instrument=ETH, px=D(2_000)), status="FILLED")
    return desk


async def test_once_the_log_is_back_the_rest_is_left_to_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two positions are naked, and the log returns while the first stop is sent: the second is the machine's to send, not both's."""
    monkeypatch.setattr(outage, "LOOK_S", 0.01)
    monkeypatch.setattr(outage, "AWAY_S", 0.0)
    bridge, told, states = Bridge(), asyncio.Event(), [State()]

    def say(message: Message) -> None:
        told.set()

    venue = LoglessVenue(bridge, Settings.model_construct(home=tmp_path))
    await venue.open(
        AdapterContext(
            emit=say,
            publish_market=say,
            clock=StoppedClock(),
            state=lambda: states[-1],
            logger=structlog.get_logger(),
            holds_lease=yes,
            read_log=nothing_to_read,
            log_is_reachable=lambda: bridge.log_is_there,
        )
    )
    states.append(two_naked_positions().state)
    async with asyncio.timeout(5):
        await told.wait()
    await venue.close()
    assert bridge.sent == [BTC]
