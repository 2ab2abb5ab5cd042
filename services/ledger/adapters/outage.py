"""The breaker before the projection's database: when it may be tried, and who is told that it may not.

It counts lives of the follower that ended through the database, and good commits. Waits are real time (`monotonic`): how long a database is
down has nothing to do with the speed of a simulated venue. What the machine and people hear of it are `ProjectionBreakerChanged` events;
after a restart the machine's own memory says what they heard last.
"""

from __future__ import annotations

import asyncio
import time

from libs.common.messages import ProjectionBreakerChanged
from libs.runtime.adapter import AdapterContext
from libs.runtime.breaker import SECOND_NS, Breaker, BreakerChange, BreakerLimits
from libs.runtime.breaker_metrics import BreakerMetrics
from services.ledger.books import Books

NAME = "projection"
LIMITS = BreakerLimits(
    calls_min=20,
    slow_share_max=2.0,  # a slow database makes progress, and nobody waits for it
    failures_in_a_row_max=3,
    open_ns_first=1 * SECOND_NS,
    open_ns_max=15 * SECOND_NS,
    probe_ns_max=60 * SECOND_NS,
)


class DatabaseBreaker:
    """One breaker, its metric, and what was told of it."""

    def __init__(self, context: AdapterContext):
        self._context = context
        self._breaker = Breaker()
        self._metrics = BreakerMetrics("ledger", context.registry)
        self._metrics.stands(NAME, "CLOSED")
        books = context.state()
        self._told = books.projection if isinstance(books, Books) else "CLOSED"

    @property
    def is_closed(self) -> bool:
        """Whether nothing stands in the way."""
        return self._breaker.state == "CLOSED"

    async def allowed(self) -> None:
        """Return once the database may be tried; in HALF_OPEN the caller's try is the probe."""
        while True:
            now = time.monotonic_ns()
            self._heard(self._breaker.due(LIMITS, now))
            if self._breaker.allows(LIMITS, now):
                return
            due = self._breaker.due_at(LIMITS)
            await asyncio.sleep(max((due or 0) - now, SECOND_NS // 100) / SECOND_NS)

    def committed(self) -> None:
        """The database took what it was given."""
        change = self._breaker.note(LIMITS, time.monotonic_ns(), ok=True, latency_ns=0)
        if (
            change is None and self.is_closed and self._told != "CLOSED"
        ):  # what an earlier life of this process told is over
            change = BreakerChange("CLOSED", "CLOSED", "the first commit since the start", 0)
        self._heard(change)

    def failed(self, reason: str) -> None:
        """A life ended through the database; `reason` says how, without secrets."""
        change = self._breaker.note(LIMITS, time.monotonic_ns(), ok=False, latency_ns=0)
        self._heard(change, reason)

    def unproven(self) -> None:
        """A life ended, but not through the database: another try is needed to know."""
        self._breaker.give_back()

    def refused(self, reason: str) -> None:
        """The database is not ours to write: only a person can change that, and a new start."""
        self._heard(self._breaker.trip(LIMITS, time.monotonic_ns(), reason, latched=True))

    def _heard(self, change: BreakerChange | None, because: str = "") -> None:
        if change is None:
            return
        self._told = change.new
        self._metrics.stands(NAME, change.new)
        now = self._context.clock.now()
        retry_at = now + max(change.retry_at - time.monotonic_ns(), 0) if change.retry_at else 0
        self._context.emit(
            ProjectionBreakerChanged(
                ts_event=now,
                ts_init=now,
                state=change.new,
                reason=f"{change.reason}; {because}" if because else change.reason,
                retry_at=retry_at,
            )
        )
