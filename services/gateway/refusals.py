"""Who was turned away here: counted for /metrics, told by `libs.desk.refusals`, and watched for who guesses tokens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from libs.common.metrics.doors import ACCESS_REFUSED
from libs.desk.refusals import KINDS_MAX, Kind, Refused
from libs.desk.refusals import Refusals as Telling
from libs.runtime.made_metrics import counter_of
from libs.runtime.metrics import ServiceMetrics
from services.gateway.callers import Door
from services.gateway.rates import network_of

OFTEN, OFTEN_S = 20, 600.0
GUESSES = ("BAD_TOKEN",)


class Often(NamedTuple):
    """More than OFTEN bad tokens from one address (an IPv6 /64) within OFTEN_S."""

    address: str
    count: int


class Guesses:
    """Bad tokens by address. Pure and bounded; times in s of any steady clock."""

    def __init__(self) -> None:
        self._guesses: dict[str, deque[float]] = {}
        self._often: dict[str, float] = {}

    def note(self, address: str, now: float) -> Often | None:
        """One more; what to alert of, once for an address in OFTEN_S."""
        guesses = self._guesses.setdefault(address, deque(maxlen=OFTEN + 1))
        guesses.append(now)
        found = None
        if len(guesses) > OFTEN and now - guesses[0] <= OFTEN_S and now - self._often.get(address, -OFTEN_S) >= OFTEN_S:
            self._often[address] = now
            found = Often(address, len(guesses))
        if len(self._guesses) > KINDS_MAX:  # the address that has been quiet for longest
            oldest = min(self._guesses, key=lambda each: self._guesses[each][-1])
            del self._guesses[oldest]
            self._often.pop(oldest, None)
        return found


class Refusals:
    """The gateway's refusals."""

    def __init__(
        self,
        metrics: ServiceMetrics,
        tell: Callable[[Refused], Awaitable[object]],
        tell_often: Callable[[Often], Awaitable[object]],
    ):
        self._telling = Telling("api", tell, tell_often)
        self._guesses = Guesses()
        self._service = metrics.service
        self._counter = counter_of(ACCESS_REFUSED, metrics.registry)

    def note(self, door: Door, who: str, address: str, what: str, why: str) -> None:
        """Somebody was turned away; never waits, never fails."""
        self._counter.labels(self._service, door, why).inc()
        self._telling.note(Kind(door, who, address, why), what)
        if why in GUESSES and (often := self._guesses.note(network_of(address), time.monotonic())) is not None:
            self._telling.report(often)

    async def run(self) -> None:
        """Tell what is due, until cancelled; then the rest, as far as it goes within a second."""
        await self._telling.run()
