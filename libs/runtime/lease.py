"""Who may be a writer now. Fencing is the log's condition on every append; the lease keeps two from trying."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError, Fenced
from libs.runtime.readiness import STANDING_BY

RETRY_S = 0.25


class LeaseLost(BusError):
    """Another instance holds the lease."""


class Lease:
    """The right to be a writer, for `ttl_s` at a time.

    A new instance of the same `holder` name takes its predecessor's lease over at once: whoever gives out instance names
    (the supervisor, a StatefulSet) guarantees that the predecessor has ended, and the log's condition guards the rest. A
    predecessor that lives all the same is told by its next renewal: what stands in the lease is the name and the process.
    """

    def __init__(self, bus: Bus, writer: str, holder: str, ttl_s: float):
        self._bus = bus
        self._writer = writer
        self._holder = holder
        self._process = f"{holder}/{secrets.token_hex(8)}"
        self.ttl_s = ttl_s
        self._revision = 0
        self._renewed_at = 0.0

    async def acquire(self) -> bool:
        """Try once to become the holder."""
        asked_at = time.monotonic()
        found = await self._bus.read_lease(self._writer)
        if found is not None and found.payload.decode().partition("/")[0] != self._holder:
            return False
        return await self._take(found, asked_at)

    async def _take(self, found: LogEntry | None, asked_at: float) -> bool:
        try:
            self._revision = await self._put(found.seq if found else 0)
        except Fenced:
            return False
        self._renewed_at = asked_at
        return True

    async def _put(self, expected_revision: int) -> int:
        """One write that is given up in time for another try before the lease has run out."""
        return await self._bus.put_lease(self._writer, self._process, expected_revision, self.ttl_s / 2)

    async def renew(self) -> None:
        """Hold on.

        Raises:
            LeaseLost: somebody else has it.
            BusError: nobody answered; what was held is held until it runs out.
        """
        asked_at = time.monotonic()
        try:
            self._revision = await self._put(self._revision)
            self._renewed_at = asked_at
        except Fenced as error:  # it ran out, or an earlier renewal was stored unheard, or another process has it
            found = await self._bus.read_lease(self._writer)
            is_ours = found is None or found.payload.decode() == self._process
            if not (is_ours and await self._take(found, asked_at)):
                raise LeaseLost(f"another instance holds the lease of {self._writer}") from error

    async def wait(self, told: Callable[[str], None]) -> None:
        """Become the holder, however long that takes; `told` hears every new reason to wait."""
        last = ""
        while True:
            try:
                if await self.acquire():
                    return
                reason = STANDING_BY
            except BusError as error:  # a standby has nothing to lose by waiting
                reason = f"waiting for the lease: {error}"
            if reason != last:
                told(reason)
            last = reason
            await asyncio.sleep(RETRY_S)

    async def keep(self, not_renewed: Callable[[BusError], None]) -> None:
        """Hold on for ever. What nobody renewed is held until it runs out: adapters ask `is_held`.

        Raises:
            LeaseLost: somebody else has it.
        """
        while True:
            await asyncio.sleep(self.ttl_s / 4)
            try:
                await self.renew()
            except LeaseLost:
                raise
            except BusError as error:
                not_renewed(error)

    def is_ours(self) -> bool:
        """Whether the lease is certainly still ours: counted on the monotonic clock, which runs while a process is frozen."""
        return self._renewed_at > 0 and time.monotonic() - self._renewed_at < self.ttl_s * 0.8

    async def is_held(self) -> bool:
        """`is_ours`, for whoever waits for the answer."""
        return self.is_ours()
