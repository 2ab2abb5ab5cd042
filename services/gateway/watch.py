"""What the gateway watches beside the log: whose work does not get on, how far the database is behind, and figures that take a while to work out."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Literal

import aiohttp
import msgspec

from libs.desk.desk import Desk
from libs.desk.findings import Finding, findings_of
from libs.desk.services import PROBE_S_MAX, ServiceLine, work_left
from libs.research.result import metrics_of, targets_of
from libs.trading.track_record import Trials, book_record
from services.gateway.answers import Coverage, DayLine, FeedLine, Health, Performance, Projection, Target

LOOK_EVERY_S = 1.0
PERFORMANCE_EVERY_S = 60.0
STORE_EVERY_S = 30.0
LAG_S_MAX = 60.0
"""A database further behind than this is a reason to look."""
VITAL = ("market-feed", "risk-gate", "order-executor", "ledger")
"""While one of these does not answer, nothing works as it should."""
_GAUGE = re.compile(
    r"^bulkhead_ledger_projection_(up|lag_events|lag_seconds)(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE
)


class Store(msgspec.Struct, frozen=True):
    """The bytes that the bus has stored, and how many it may."""

    bytes: int
    bytes_max: int


class _JszConfig(msgspec.Struct):
    max_storage: int


class _Jsz(msgspec.Struct):
    storage: int
    config: _JszConfig


class Watch:
    """One gateway's watch. `run` looks once a second."""

    def __init__(self, desk: Desk, health_pages: dict[str, str], bus_monitor_url: str = ""):
        self._desk = desk
        self._pages = health_pages
        self._before: dict[str, ServiceLine] = {}
        self._now: dict[str, ServiceLine] = {}
        self._database: Projection | None = None
        self._bus_monitor_url = bus_monitor_url.rstrip("/")
        self._store: Store | None = None
        self._store_asked_at = -STORE_EVERY_S
        self._performance: tuple[float, Performance] | None = None
        self._working = asyncio.Lock()
        self.answered_at: dict[str, float] = {}
        """When each service answered last (wall time, s); one that never did is not in it."""

    async def run(self) -> None:
        """Look, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=PROBE_S_MAX)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                if self._desk.services is not self._now:
                    self._before, self._now = self._now, self._desk.services
                    self.answered_at.update({name: time.time() for name, line in self._now.items() if line.up})
                self._database = await self._ask_ledger(session)
                if time.monotonic() - self._store_asked_at >= STORE_EVERY_S:
                    self._store_asked_at, self._store = time.monotonic(), await self._ask_bus(session)
                self._desk.remarks = tuple(self._remarks(self._work_left()[1]))
                await asyncio.sleep(LOOK_EVERY_S)

    @property
    def database(self) -> Projection | None:
        """How far the database is behind; None where nobody says."""
        return self._database

    @property
    def store(self) -> Store | None:
        """How full the bus's store is; None where nobody says."""
        return self._store

    def health(self) -> Health:
        """How the system is."""
        desk, facts, standing = self._desk, self._desk.view.standing.facts, self._desk.view.standing
        phase, services = desk.phase, [desk.services[name] for name in sorted(desk.services)]
        catching_up, stuck = self._work_left()
        reasons = [f"gateway is {phase.state}: {phase.reason}"] if phase.state != "LIVE" else []
        reasons += [each.text for each in (*findings_of(desk.status()), *self._remarks(stuck))]
        return Health(
            status=self._word(reasons),
            reasons=reasons,
            book=facts.book,
            mode=facts.mode,
            as_of=facts.as_of,
            desk=phase,
            services=services,
            catching_up=catching_up,
            feed=FeedLine(**standing.feed),
            doubts=facts.doubts,
            reconciled=facts.reconciled,
            mismatches=facts.mismatches,
            stops=Coverage(is_whole=not standing.uncovered, uncovered=standing.uncovered, dust=standing.dust),
            database=self._database,
            model=facts.model,
            trading_state=facts.trading_state,
            trading_reason=facts.trading_reason,
        )

    async def performance(self) -> Performance:
        """What the book has earned; worked out beside the event loop, by one at a time."""
        async with self._working:
            if self._performance is None or time.monotonic() - self._performance[0] > PERFORMANCE_EVERY_S:
                self._performance = time.monotonic(), await self._worked_out()
            return self._performance[1]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _work_left(self) -> tuple[list[str], list[str]]:
        """Whose work has stayed: who catches up, and who does not get on."""
        return work_left(self._before, {name: line for name, line in self._now.items() if name in self._before})

    def _word(self, reasons: list[str]) -> Literal["up", "degraded", "down"]:
        silent = [name for name in VITAL if (line := self._desk.services.get(name)) is not None and not line.up]
        if silent or self._desk.phase.state != "LIVE":
            return "down"
        return "degraded" if reasons else "up"

    def _remarks(self, stuck: list[str]) -> list[Finding]:
        """What is found here beside what every door finds."""
        found = [] if self._pages else ["no service's health page is known here (BULKHEAD_GATEWAY_SERVICES)"]
        return [Finding("warn", text) for text in (*found, *stuck, *self._of_the_database())]

    def _of_the_database(self) -> list[str]:
        lag = self._database
        if "ledger" not in self._pages:
            return []
        if lag is None:
            return ["the ledger does not say how far the database is"]
        if not lag.follows or lag.lag_s > LAG_S_MAX:
            return [f"the database is {lag.lag_events} events and {lag.lag_s:.0f} s behind"]
        return []

    async def _ask_ledger(self, session: aiohttp.ClientSession) -> Projection | None:
        url = self._pages.get("ledger")
        if url is None:
            return None
        try:
            async with session.get(f"{url}/metrics") as answer:
                text = (await answer.read()).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        found = {name: float(value) for name, value in _GAUGE.findall(text)}
        if len(found) < 3:
            return None
        return Projection(follows=found["up"] == 1, lag_events=int(found["lag_events"]), lag_s=found["lag_seconds"])

    async def _ask_bus(self, session: aiohttp.ClientSession) -> Store | None:
        """What nats-server's monitoring page says of JetStream's store."""
        if not self._bus_monitor_url:
            return None
        try:
            async with session.get(f"{self._bus_monitor_url}/jsz") as answer:
                page = msgspec.json.decode(await answer.read(), type=_Jsz)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
            return None
        return Store(page.storage, page.config.max_storage)

    async def _worked_out(self) -> Performance:
        as_of = self._desk.view.standing.facts.as_of
        book = self._desk.view.record.book()
        if book is None:
            return Performance(as_of=as_of, live_return=None, days=[], trades=0, trades_open=0, metrics={}, targets=[])
        record = await asyncio.to_thread(lambda: book_record(book.daily, book.trips, trials=Trials()))
        days = [
            DayLine(ts=day.ts, equity=str(day.equity), flow=str(day.flow), growth=day.growth, carried=day.is_carried)
            for day in book.daily.days
        ]
        return Performance(
            as_of=as_of,
            live_return=book.daily.live_return,
            days=days,
            trades=record.trades.count,
            trades_open=record.trades_open,
            metrics=metrics_of(record),
            targets=[msgspec.convert(each, Target) for each in targets_of(record)],
        )
