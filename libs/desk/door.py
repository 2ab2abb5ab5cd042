"""An operator's door as a process: health pages, the clock, the desk, and what is done beside it. Gateway and bot are each one.

    key ─▶ health pages ─▶ clock ─▶ desk and what is beside it ─▶ told to stop, or one of them has ended
                                     ─▶ the others end, the last begun first; the desk goes last: it takes their last words

A lost lease, a bus that refuses us, a defect beside the desk ends the process, and a restart reads what is on record. While the bus is only away, a door stays
and says so. What it shows in between is what it has known.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import structlog

from libs.desk.desk import Desk
from libs.runtime.clock import open_clock
from libs.runtime.contract import Contract
from libs.runtime.health import HealthServer
from libs.runtime.metrics import ServiceMetrics
from libs.runtime.nats_config import check_key
from libs.runtime.readiness import Readiness
from libs.runtime.settings import ServiceSettings
from libs.runtime.stopping import Stopped, unless

_log = structlog.get_logger(__name__)


class Door(ABC):
    """One life of a door: `run` until `stop`. `pages` are where the services say how they are, `idle` why there is nothing to do ("": there is)."""

    idle = ""

    def __init__(self, contract: Contract, settings: ServiceSettings, pages: Mapping[str, str], code_version: str):
        self.settings = settings
        self.port = 0
        self._contract = contract
        self._pages = pages
        self._code_version = code_version
        self._metrics = ServiceMetrics(contract.service)
        self._clock = open_clock(settings.clock_url)
        self._stopping = asyncio.Event()
        self._desk: Desk | None = None

    @abstractmethod
    def beside(self, desk: Desk) -> Sequence[Coroutine[Any, Any, object]]:
        """What this door does while it follows the log, in the order in which it is to begin.

        Raises:
            SettingsError, PortTaken: it cannot be done here.
        """

    @property
    def trouble(self) -> str:
        """Why what is beside the desk does not work at the moment; "": it does."""
        return ""

    def stop(self) -> None:
        """End soon, and cleanly."""
        self._stopping.set()

    async def run(self) -> None:
        """Until told to stop.

        Raises:
            KeysError, SettingsError: only a human can help. BusError, ClockUnavailable, PortTaken: begin again.
        """
        settings = self.settings
        check_key(settings.home, self._contract.service)
        health = HealthServer(settings.http_host, settings.http_port, self.readiness, self._metrics)
        try:
            self.port = await health.start()
            _log.info("listening", port=self.port)
            if self.idle:
                _log.info("idle", reason=self.idle)
                await self._stopping.wait()
            else:
                await self._open()
        finally:
            await self._clock.close()
            await health.stop()

    def readiness(self) -> Readiness:
        """Ready while the log is followed and nothing beside it is in trouble; or when there is nothing to do."""
        version = self._code_version
        if self.idle:
            return Readiness(ready=True, reasons=[self.idle], quiescent=True, code_version=version)
        if self._desk is None:
            return Readiness(ready=False, reasons=["waiting for the clock"], code_version=version)
        phase = self._desk.phase
        is_live = phase.state == "LIVE"
        reasons = [] if is_live else [f"{phase.state.lower()}: {phase.reason}"]
        reasons += [self.trouble] if self.trouble else []
        return Readiness(
            ready=not reasons,
            reasons=reasons,
            processed_seq=phase.processed_seq,
            lag=phase.lag,
            quiescent=is_live and not phase.lag,
            code_version=version,
        )

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            await unless(self._stopping, self._clock.connect())
        except Stopped:
            return
        desk = self._desk = Desk(
            self._contract, self.settings, self._clock, self._pages, code_version=self._code_version
        )
        try:
            await self._while_open(desk)
        finally:
            desk.close()

    async def _while_open(self, desk: Desk) -> None:
        beside = self.beside(desk)
        tasks = [asyncio.create_task(each) for each in (desk.run(), *beside)]
        told = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait({told, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            for task in (*reversed(tasks), told):
                task.cancel()  # once: whoever has last words must not be cancelled while he says them
                await asyncio.wait({task})
        for task in tasks:
            if not task.cancelled():
                task.result()
