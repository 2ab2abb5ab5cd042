"""One weight budget per IP address and venue, as adapters see it: `AdapterContext.budget` of a service that calls venues.

`weight_budget` decides, `weight_breaker` knows when to be quiet, `purse` waits and writes, `budget_rows` is where it is written;
why it is so: docs/decisions/0008.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from libs.common.subjects import TOKEN
from libs.runtime.adapter import Unmetered
from libs.runtime.budget_metrics import BudgetMetrics
from libs.runtime.budget_rows import HostRows, SharedRows
from libs.runtime.bus import Bus
from libs.runtime.contract import Contract
from libs.runtime.purse import Purse
from libs.runtime.settings import ServiceSettings
from libs.runtime.venue_terms import terms_of
from libs.runtime.weight_breaker import Lane

SYNC_S = 1.0


class SharedBudget:
    """The budgets of all venues this process calls. `bus` None: shared on this host only."""

    def __init__(
        self,
        writer: str,
        egress: str,
        home: Path,
        bus: Bus | None,
        metrics: BudgetMetrics,
        logger: Any,
        now: Callable[[], int] = time.time_ns,
    ):
        self._writer = writer
        self._egress = egress or host_label()
        self._folder = home / "budgets"
        self._shared = SharedRows(bus, writer, self._egress) if bus is not None else None
        self._metrics = metrics
        self._logger = logger
        self._now = now
        self._purses: dict[str, Purse] = {}
        self._hurry = asyncio.Event()

    async def take(
        self, venue: str, weight: int, lane: Lane = "data", deadline_s: float = 60.0, *, orders: int = 0
    ) -> None:
        """Return once a request of this weight may leave; `orders`: how many new orders it places.

        Raises:
            NotGranted: not within `deadline_s`.
            ValueError: no window of this venue has room for so much.
        """
        await self.purse(venue).take(weight, lane, deadline_s, orders)

    def told(self, venue: str, status: int, headers: Mapping[str, str]) -> None:
        """The venue has answered a request: its status and headers."""
        purse = self.purse(venue)
        terms = purse.budget.terms
        lower = {str(name).lower(): str(value) for name, value in headers.items()}
        used, count = _number(lower, terms.used_header), _number(lower, terms.orders_header)
        if purse.told(status, _retry_after_s(lower), used, count):
            self._hurry.set()

    def purse(self, venue: str) -> Purse:
        """This process's share of one venue."""
        if venue not in self._purses:
            if not TOKEN.fullmatch(venue):
                raise ValueError(f"{venue!r} cannot be a venue's name; want letters, digits, _ and -")
            host = HostRows(self._folder, venue, self._egress)
            self._purses[venue] = Purse(
                venue, terms_of(venue), self._writer, self._shared, host, self._metrics, self._logger, self._now
            )
        return self._purses[venue]

    async def keep(self) -> None:
        """Keep in step with all others, for ever; at once after a venue's refusal."""
        while True:
            self._hurry.clear()
            for purse in tuple(self._purses.values()):
                await purse.sync()
            try:
                async with asyncio.timeout(SYNC_S):
                    await self._hurry.wait()
            except TimeoutError:
                continue


def open_budget(
    contract: Contract, settings: ServiceSettings, bus: Bus, registry: Any, now: Callable[[], int]
) -> SharedBudget | Unmetered:
    """The budget of a service, counted on the venue's clock, which is wall time except where exchange_sim runs at speed."""
    if not contract.calls_venues:
        return Unmetered()
    metrics, logger = BudgetMetrics(contract.service, registry), structlog.get_logger(f"services.{contract.service}")
    return SharedBudget(contract.writer, settings.egress, settings.home, bus, metrics, logger, now)


def host_label() -> str:
    """This host's name as one token of a subject."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())[:64] or "host"


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "") if name else ""
    return min(int(text), 10**9) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    seconds = _number(headers, "retry-after")
    if seconds is not None:
        return float(seconds)
    milliseconds = _number(headers, "gw-ratelimit-reset")
    return milliseconds / 1000 if milliseconds is not None else None
