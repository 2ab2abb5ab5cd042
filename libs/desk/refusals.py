"""Who was turned away at a door, as events: told together, so that an attack cannot fill the log, and never in the way of an answer.

    note() ─▶ counts by (door, who, address, why) ─▶ due(): the first of a kind at once, then one a minute with its count;
                                                     beyond 30 a minute over all kinds the rest is one MANY

`Tally` is pure and is told the time (s, any steady clock). `Refusals` puts what is due into the log; while the log is away the counts wait, and so do alerts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, NamedTuple, TypeVar

import structlog

EVERY_S = 60.0
EVENTS_A_MINUTE_MAX = 30
KINDS_MAX = 1024
LOOK_EVERY_S = 0.2
LAST_WORDS_S_MAX = 1.0
AFTER_FAILURE_S = 1.0
MANY = "MANY"

Door = Literal["api", "console", "webhook", "telegram"]
A = TypeVar("A")
_log = structlog.get_logger(__name__)


class Kind(NamedTuple):
    """Refusals that are told together."""

    door: Door
    who: str
    address: str
    why: str


class Refused(NamedTuple):
    """`count` refusals of a kind; `what` was tried last, and `where`, if that does not tell kinds apart."""

    kind: Kind
    what: str
    count: int
    where: str = ""


class Tally:
    """What is to be told, and when. Bounded, whoever comes. `door` is whose MANY it is."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._waiting: dict[Kind, Refused] = {}
        self._told_at: dict[Kind, float] = {}
        self._told: deque[float] = deque()
        self._rest = 0
        self._rest_told_at = float("-inf")

    def note(self, kind: Kind, what: str, where: str = "") -> None:
        """One more was turned away."""
        before = self._waiting.get(kind)
        if before is None and len(self._waiting) >= KINDS_MAX:
            self._rest += 1
        else:
            self._waiting[kind] = Refused(kind, what, 1 if before is None else before.count + 1, where)

    def due(self, now: float, *, is_last: bool = False) -> list[Refused]:
        """What is to be told now; with `is_last` what would be told later, too. It counts as told."""
        while self._told and now - self._told[0] >= EVERY_S:
            self._told.popleft()
        self._told_at = {kind: at for kind, at in self._told_at.items() if now - at < EVERY_S}
        found = []
        for each in [each for kind, each in self._waiting.items() if is_last or kind not in self._told_at]:
            del self._waiting[each.kind]
            if len(self._told) < EVENTS_A_MINUTE_MAX - 1:  # the last place is MANY's
                self._told.append(now)
                self._told_at[each.kind] = now
                found.append(each)
            else:
                self._rest += each.count
        if self._rest and (is_last or now - self._rest_told_at >= EVERY_S):
            found.append(Refused(Kind(self._door, "", "", MANY), "", self._rest))
            self._rest, self._rest_told_at = 0, now
        return found

    def again(self, refused: Refused) -> None:
        """It could not be told: it waits."""
        if refused.kind.why == MANY:
            self._rest += refused.count
            self._rest_told_at = float("-inf")
            return
        self._told_at.pop(refused.kind, None)
        if self._told:
            self._told.pop()
        newer = self._waiting.get(refused.kind)
        count = refused.count + (newer.count if newer is not None else 0)
        last = newer or refused
        self._waiting[refused.kind] = Refused(refused.kind, last.what, count, last.where)


class Refusals(Generic[A]):
    """Counts refusals at once, and brings them, and what is to be alerted of, into the log beside whatever else goes on."""

    def __init__(
        self, door: Door, tell: Callable[[Refused], Awaitable[object]], tell_alert: Callable[[A], Awaitable[object]]
    ):
        self._tally = Tally(door)
        self._tell = tell
        self._tell_alert = tell_alert
        self._alerts: deque[A] = deque(maxlen=KINDS_MAX)

    def note(self, kind: Kind, what: str, where: str = "") -> None:
        """Somebody was turned away; never waits, never fails."""
        self._tally.note(kind, what, where)

    def report(self, about: A) -> None:
        """Somebody should be told of this; never waits, never fails."""
        self._alerts.append(about)

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
        waiting = deque(self._tally.due(time.monotonic(), is_last=is_last))
        try:
            while waiting:
                await self._tell(waiting[0])
                waiting.popleft()
            while self._alerts:
                await self._tell_alert(self._alerts[0])
                self._alerts.popleft()
        except Exception as error:  # noqa: BLE001  whatever keeps the log from taking it must not keep people out or the count lost
            _log.warning("refusals_untold", kinds=len(waiting), reason=type(error).__name__)
            if not is_last:
                await asyncio.sleep(AFTER_FAILURE_S)
        finally:
            for each in waiting:
                self._tally.again(each)
