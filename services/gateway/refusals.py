"""Who was turned away, as events: told together, so that an attack cannot fill the log, and never in the way of an answer.

    note() ─▶ counts by (door, who, address, why) ─▶ due(): the first of a kind at once, then one a minute with its count;
                                                     beyond 30 a minute over all kinds the rest is one MANY

`Tally` is pure and is told the time (s, any steady clock). `Refusals` puts what is due into the log; while the log is away the counts wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from prometheus_client import Counter

from libs.runtime.metrics import ServiceMetrics
from services.gateway.callers import Door

EVERY_S = 60.0
EVENTS_A_MINUTE_MAX = 30
KINDS_MAX = 1024
OFTEN, OFTEN_S = 20, 600.0
LOOK_EVERY_S = 0.2
LAST_WORDS_S_MAX = 1.0
MANY = "MANY"
GUESSES = ("BAD_TOKEN",)

_log = structlog.get_logger(__name__)


class Kind(NamedTuple):
    """Refusals that are told together."""

    door: Door
    who: str
    address: str
    why: str


class Refused(NamedTuple):
    """`count` refusals of a kind; `what` was tried last."""

    kind: Kind
    what: str
    count: int


class Often(NamedTuple):
    """More than OFTEN bad tokens from one address within OFTEN_S."""

    address: str
    count: int


class Tally:
    """What is to be told, and when. Bounded, whoever comes."""

    def __init__(self) -> None:
        self._waiting: dict[Kind, Refused] = {}
        self._told_at: dict[Kind, float] = {}
        self._told: deque[float] = deque()
        self._rest = 0
        self._rest_told_at = -EVERY_S
        self._guesses: dict[str, deque[float]] = {}
        self._often: dict[str, float] = {}
        self._alerts: list[Often] = []

    def note(self, kind: Kind, what: str, now: float) -> None:
        """One more was turned away."""
        before = self._waiting.get(kind)
        if before is None and len(self._waiting) >= KINDS_MAX:
            self._rest += 1
        else:
            self._waiting[kind] = Refused(kind, what, 1 if before is None else before.count + 1)
        if kind.why in GUESSES:
            self._count_guess(kind.address, now)

    def due(self, now: float, *, is_last: bool = False) -> list[Refused]:
        """What is to be told now; with `is_last` what would be told later, too. It counts as told."""
        while self._told and now - self._told[0] >= EVERY_S:
            self._told.popleft()
        self._told_at = {kind: at for kind, at in self._told_at.items() if now - at < EVERY_S}
        ripe = [each for kind, each in self._waiting.items() if is_last or kind not in self._told_at]
        found = []
        for each in ripe:
            del self._waiting[each.kind]
            if len(self._told) < EVENTS_A_MINUTE_MAX - 1:  # the last place is MANY's
                self._told.append(now)
                self._told_at[each.kind] = now
                found.append(each)
            else:
                self._rest += each.count
        if self._rest and (is_last or now - self._rest_told_at >= EVERY_S):
            found.append(Refused(Kind("api", "", "", MANY), "", self._rest))
            self._rest, self._rest_told_at = 0, now
        return found

    def again(self, refused: Refused) -> None:
        """It could not be told: it waits."""
        if refused.kind.why == MANY:
            self._rest += refused.count
            self._rest_told_at -= EVERY_S
            return
        self._told_at.pop(refused.kind, None)
        if self._told:
            self._told.pop()
        newer = self._waiting.get(refused.kind)
        count = refused.count + (newer.count if newer is not None else 0)
        self._waiting[refused.kind] = Refused(refused.kind, (newer or refused).what, count)

    def alerts(self) -> list[Often]:
        """Addresses that have guessed too often since the last call."""
        found, self._alerts = self._alerts, []
        return found

    def _count_guess(self, address: str, now: float) -> None:
        guesses = self._guesses.setdefault(address, deque(maxlen=OFTEN + 1))
        guesses.append(now)
        if len(guesses) > OFTEN and now - guesses[0] <= OFTEN_S and now - self._often.get(address, -OFTEN_S) >= OFTEN_S:
            self._often[address] = now
            self._alerts.append(Often(address, len(guesses)))
        if len(self._guesses) > KINDS_MAX:  # the address that has been quiet for longest
            oldest = min(self._guesses, key=lambda each: self._guesses[each][-1])
            del self._guesses[oldest]
            self._often.pop(oldest, None)


class Refusals:
    """Tells refusals: counts them at once, and brings them into the log beside whatever else goes on."""

    def __init__(
        self,
        metrics: ServiceMetrics,
        tell: Callable[[Refused], Awaitable[object]],
        tell_often: Callable[[Often], Awaitable[object]],
    ):
        self._tally = Tally()
        self._tell = tell
        self._tell_often = tell_often
        self._service = metrics.service
        self._counter = Counter(
            "bulkhead_access_refused",
            "requests turned away",
            ("service", "door", "why"),
            registry=metrics.registry,
        )

    def note(self, door: Door, who: str, address: str, what: str, why: str) -> None:
        """Somebody was turned away; never waits, never fails."""
        self._counter.labels(self._service, door, why).inc()
        self._tally.note(Kind(door, who, address, why), what, time.monotonic())

    async def run(self) -> None:
        """Tell what is due, until cancelled; then the rest, as far as it goes within a second."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                await self._tell_due()
        finally:
            try:
                async with asyncio.timeout(LAST_WORDS_S_MAX):
                    await self._tell_due(is_last=True)
            except TimeoutError:
                _log.warning("refusals_untold", reason="the log did not take them in time")

    async def _tell_due(self, *, is_last: bool = False) -> None:
        for refused in self._tally.due(time.monotonic(), is_last=is_last):
            try:
                await self._tell(refused)
            except Exception as error:  # noqa: BLE001  whatever keeps the log from taking it must not keep people out or the count lost
                _log.warning("refusal_untold", why=refused.kind.why, count=refused.count, reason=type(error).__name__)
                self._tally.again(refused)
                await asyncio.sleep(0 if is_last else 1.0)
        for often in self._tally.alerts():
            try:
                await self._tell_often(often)
            except Exception as error:  # noqa: BLE001  the same
                _log.warning("alert_untold", address=often.address, reason=type(error).__name__)
