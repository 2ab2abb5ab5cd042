"""Who may be a writer now. Fencing is the log's condition on every append; the lease keeps two from trying."""

from __future__ import annotations

import time

from libs.runtime.bus import Bus, BusError, Fenced


class LeaseLost(BusError):
    """Another instance holds the lease."""


class Lease:
    """The right to be a writer, for `ttl_s` at a time.

    A new instance of the same `holder` name takes its predecessor's lease over at once: whoever gives out instance names
    (the supervisor, a StatefulSet) guarantees that the predecessor has ended, and the log's condition guards the rest.
    """

    def __init__(self, bus: Bus, writer: str, holder: str, ttl_s: float):
        self._bus = bus
        self._writer = writer
        self._holder = holder
        self.ttl_s = ttl_s
        self._revision = 0
        self._renewed_at = 0.0

    async def acquire(self) -> bool:
        """Try once to become the holder."""
        asked_at = time.monotonic()
        found = await self._bus.read_lease(self._writer)
        if found is not None and found.payload.decode() != self._holder:
            return False
        try:
            self._revision = await self._bus.put_lease(self._writer, self._holder, found.seq if found else 0)
        except Fenced:
            return False
        self._renewed_at = asked_at
        return True

    async def renew(self) -> None:
        """Hold on.

        Raises:
            LeaseLost: somebody else has it.
            BusError: nobody answered; what was held is held until it runs out.
        """
        asked_at = time.monotonic()
        try:
            self._revision = await self._bus.put_lease(self._writer, self._holder, self._revision)
            self._renewed_at = asked_at
        except Fenced as error:
            if not await self.acquire():
                raise LeaseLost(f"another instance holds the lease of {self._writer}") from error

    async def is_held(self) -> bool:
        """Whether the lease is certainly still ours: counted on the monotonic clock, which runs while a process is frozen."""
        return self._renewed_at > 0 and time.monotonic() - self._renewed_at < self.ttl_s * 0.8
