"""What a shell lends an adapter, for tests of the channels: a clock that stands still, a logger that remembers, a state."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from libs.common.timeframe import HOUR
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from libs.runtime.logs import configure
from services.notifier.machine import Memory
from services.notifier.requests import Level, SendMessage
from tests.playbook import START


class StoppedClock:
    """A clock that shows `time` (ns)."""

    def __init__(self, time: int = START):
        self.time = time

    def now(self) -> int:
        return self.time

    async def sleep_until(self, due: int) -> None:
        raise NotImplementedError


def context(
    *,
    registry: CollectorRegistry | None = None,
    memory: Memory | None = None,
    clock: StoppedClock | None = None,
    logger: Any = None,
) -> AdapterContext:
    """What the shell lends."""
    nothing: Callable[..., Any] = lambda *_: None  # noqa: E731
    return AdapterContext(
        emit=nothing,
        publish_market=nothing,
        clock=clock or StoppedClock(),
        state=lambda: memory,
        registry=registry,
        logger=logger or structlog.get_logger("services.notifier"),
        holds_lease=nothing,
        read_log=nothing,
    )


def asked(text: str = "trading is HALTED", level: Level = "page", channel: str = "console", number: int = 1) -> Asked:
    """A request to tell people `text`."""
    message = SendMessage(channel=channel, level=level, text=text, repeat=False, valid_until=START + HOUR)
    return Asked(f"r{number}", message, 1, 1, "story", "cause")


async def until(is_so: Callable[[], bool]) -> None:
    """Return once `is_so`, within five seconds."""
    async with asyncio.timeout(5):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.005)


def logged_to(out: io.StringIO) -> Any:
    """The log of a process, everything from `debug` on, written to `out`."""
    return configure("notifier", "debug", out)
