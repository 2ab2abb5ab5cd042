"""Who was turned away, as events: told together, so that nobody can fill the log, and never in the way of an answer.

The first of a kind (who, why) is told at once, then one a minute with its count; beyond `EVENTS_A_MINUTE_MAX` over all kinds the rest is one MANY.
`Tally` is pure and is told the time (s, any steady clock). While the log is away the counts wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

EVERY_S = 60.0
EVENTS_A_MINUTE_MAX = 30
KINDS_MAX = 1_024
LOOK_EVERY_S = 0.2
LAST_WORDS_S_MAX = 1.0
AFTER_FAILURE_S = 1.0
MANY = "MANY"

_log = structlog.get_logger(__name__)


class Kind(NamedTuple):
    """Refusals that are told together."""

    who: str
    why: str


class Turned(NamedTuple):
    """`count` refusals of a kind; `what` was tried last, in `chat`."""

    kind: Kind
    what: str
    chat: str
    count: int


class Tally:
    """What is to be told, and when. Bounded, whoever comes."""

    def __init__(self) -> None:
        self._waiting: dict[Kind, Turned] = {}
        self._told_at: dict[Kind, float] = {}
        self._told: deque[float] = deque()
        self._rest = 0
        self._rest_told_at = float("-inf")

    def note(self, kind: Kind, what: str, chat: str) -> None:
        """One more was turned away."""
        before = self._waiting.get(kind)
        if before is None and len(self._waiting) >= KINDS_MAX:
            self._rest += 1
        else:
            self._waiting[kind] = Turned(kind, what, chat, 1 if before is None else before.count + 1)

    def due(self, now: float, *, is_last: bool = False) -> list[Turned]:
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
            found.append(Turned(Kind("", MANY), "", "", self._rest))
            self._rest, self._rest_told_at = 0, now
        return found

    def again(self, turned: Turned) -> None:
        """It could not be told: it waits."""
        if turned.kind.why == MANY:
            self._rest += turned.count
            self._rest_told_at = float("-inf")
            return
        self._told_at.pop(turned.kind, None)
        if self._told:
            self._told.pop()
        newer = self._waiting.get(turned.kind)
        count = turned.count + (newer.count if newer is not None else 0)
        what, chat = (newer.what, newer.chat) if newer is not None else (turned.what, turned.chat)
        self._waiting[turned.kind] = Turned(turned.kind, what, chat, count)


class Refusals:
    """Brings refusals into the log beside whatever else goes on; `locked` holds users whose codes were locked, to be alerted of."""

    def __init__(self, tell: Callable[[Turned], Awaitable[object]], tell_locked: Callable[[int], Awaitable[object]]):
        self._tally = Tally()
        self._tell = tell
        self._tell_locked = tell_locked
        self._locked: deque[int] = deque(maxlen=KINDS_MAX)

    def note(self, who: str, why: str, what: str, chat: str) -> None:
        """Somebody was turned away; never waits, never fails."""
        self._tally.note(Kind(who, why), what, chat)

    def locked(self, user: int) -> None:
        """Somebody has guessed codes."""
        self._locked.append(user)

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
            while self._locked:
                await self._tell_locked(self._locked[0])
                self._locked.popleft()
        except Exception as error:  # noqa: BLE001  whatever keeps the log from taking it must not keep people out or the count lost
            _log.warning("refusals_untold", kinds=len(waiting), reason=type(error).__name__)
            if not is_last:
                await asyncio.sleep(AFTER_FAILURE_S)
        finally:
            for each in waiting:
                self._tally.again(each)
