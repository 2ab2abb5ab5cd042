"""How far the venue's clock is from ours: measured, and added to the time our requests are signed with.

A measurement is worth half its round trip. An offset smaller than that proves nothing, and then our own clock counts. Measured is
at the start, every ten minutes, and whenever the venue refuses a time stamp (-1021); what is signed meanwhile waits a little for it.
"""

from __future__ import annotations

import asyncio

import msgspec

from libs.runtime.adapter import AdapterContext
from libs.runtime.weight_breaker import Lane
from services.order_executor.adapters.classify import Outcome
from services.order_executor.adapters.frames import BadFrame, venue_time
from services.order_executor.adapters.wire import CallFailed, Wire
from services.order_executor.refusals import kind_of

TIME_WEIGHT = 1
EVERY_S = 600.0
WAIT_S_MAX = 1.0
MS = 1_000_000


class Drift(msgspec.Struct, frozen=True):
    """The venue's clock less ours, and by how much that may be wrong at most; in milliseconds."""

    offset_ms: int
    error_ms: int

    @property
    def proven_ms(self) -> int:
        """What is added to our time."""
        return self.offset_ms if abs(self.offset_ms) > self.error_ms else 0


class ClockDrift:
    """Our clock as the venue's. `wire` is known once the adapter is open."""

    def __init__(self, context: AdapterContext):
        self._context = context
        self._wire: Wire | None = None
        self._drift = Drift(0, 0)
        self._is_measured = False
        self._measuring: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    def now_ns(self) -> int:
        """What to stamp a request with: nanoseconds of the venue's clock."""
        return self._context.clock.now() + self._drift.proven_ms * MS

    @property
    def offset_s(self) -> float | None:
        """The venue's clock less ours, as it was measured last; None: it was not."""
        return self._drift.offset_ms / 1e3 if self._is_measured else None

    def start(self, wire: Wire) -> None:
        """Measure now, and again and again."""
        self._wire = wire
        self._keeping = asyncio.create_task(self._keep(), name="clock drift")

    async def stop(self) -> None:
        """No more of that."""
        tasks = [task for task in (self._keeping, self._measuring) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def heed(self, outcome: Outcome) -> None:
        """A request failed: if the venue refused its time stamp, measure at once."""
        if kind_of(outcome.code, outcome.detail) == "CLOCK":
            self.doubt()

    def doubt(self) -> None:
        """A time stamp was refused: measure at once, in the lane of the orders that wait for it."""
        self._begin("orders")

    async def settled(self) -> None:
        """Return once no measurement is under way, or after a moment."""
        if self._measuring is not None and not self._measuring.done():
            await asyncio.wait({self._measuring}, timeout=WAIT_S_MAX)

    async def measure(self, lane: Lane = "data") -> Drift:
        """Ask the venue what time it is, and go by the answer.

        Raises:
            CallFailed, BadFrame
        """
        assert self._wire is not None
        await self._wire.take(TIME_WEIGHT, lane)  # before the clock is read: waiting for room is no round trip
        began = self._context.clock.now()
        shown_ms, error_ms = await self._shown(self._wire)
        ended = self._context.clock.now()
        drift = Drift(shown_ms - (began + ended) // 2 // MS, (ended - began) // 2 // MS + error_ms)
        if drift.proven_ms != self._drift.proven_ms:
            self._context.logger.info("venue_clock", offset_ms=drift.offset_ms, error_ms=drift.error_ms)
        self._drift, self._is_measured = drift, True
        return drift

    async def _shown(self, wire: Wire) -> tuple[int, int]:
        """What the venue's clock shows, and how coarse that is; milliseconds."""
        return venue_time(await wire.send(wire.exchange.public_get_time, {})), 0

    def _begin(self, lane: Lane) -> None:
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.create_task(self._try(lane), name="measuring the venue's clock")

    async def _try(self, lane: Lane) -> None:
        try:
            await self.measure(lane)
        except (CallFailed, BadFrame, TimeoutError) as error:
            reason = error.text if isinstance(error, CallFailed) else type(error).__name__
            self._context.logger.warning("venue_clock_unknown", detail=reason[:200])

    async def _keep(self) -> None:
        while True:
            self._begin("data")
            await asyncio.sleep(EVERY_S)
