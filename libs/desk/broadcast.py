"""What is told to everybody who listens: encoded once, shared by all, and never waited for.

A listener has a bounded queue. Whoever does not keep up is told so (`lagged`) and let go: he comes back and is shown everything as it is by then.
So five hundred listeners cost five hundred puts, and none of them can hold up who reads the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec

WAITING_MAX = 256


class Moment(msgspec.Struct, frozen=True):
    """Something to tell: `kind` names a section of the screen, or `lagged`; `seq` is how far the log was read; `body` is JSON."""

    seq: int
    kind: str
    body: bytes


LAGGED = Moment(0, "lagged", b"{}")


class Listener:
    """One who listens."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Moment] = asyncio.Queue(WAITING_MAX)
        self._is_over = False

    def tell(self, moment: Moment) -> None:
        """Let it wait for him; if too much does, he is let go."""
        if self._is_over:
            return
        try:
            self._waiting.put_nowait(moment)
        except asyncio.QueueFull:
            self._is_over = True

    async def moments(self) -> AsyncIterator[Moment]:
        """What is told, as it comes, until he is let go."""
        while True:
            if self._is_over and self._waiting.empty():
                yield LAGGED
                return
            yield await self._waiting.get()

    async def batch(self) -> tuple[Moment, ...]:
        """What waits, at least one; ends with `lagged` when he has been let go: after that nothing comes."""
        found = [] if self._is_over and self._waiting.empty() else [await self._waiting.get()]
        while not self._waiting.empty():
            found.append(self._waiting.get_nowait())
        return (*found, LAGGED) if self._is_over else tuple(found)


class Broadcast:
    """The sections of the screen as they were told last, and who listens."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._told: dict[str, Moment] = {}

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def tell(self, seq: int, kind: str, body: bytes) -> bool:
        """Tell everybody, unless it is what was told last; returns whether it was news."""
        last = self._told.get(kind)
        if last is not None and last.body == body:
            return False
        moment = self._told[kind] = Moment(seq, kind, body)
        for listener in self._listeners:
            listener.tell(moment)
        return True

    def tell_more(self, seq: int, kind: str, more: bytes, whole: bytes) -> None:
        """Tell everybody what is new in a list; who comes later is shown the `whole` of it."""
        self._told[kind] = Moment(seq, kind, whole)
        moment = Moment(seq, kind, more)
        for listener in self._listeners:
            listener.tell(moment)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener, who hears at once how everything stands."""
        listener = Listener()
        for moment in self._told.values():
            listener.tell(moment)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
