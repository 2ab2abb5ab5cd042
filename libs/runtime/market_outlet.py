"""The way to the MARKET stream: best effort, bounded, never in the way of a decision."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from libs.common.codec import encode
from libs.common.messages import Message
from libs.common.subjects import subject_of
from libs.runtime.bus import Bus, BusError

BACKLOG_MAX = 20_000


class MarketOutlet:
    """A bounded queue in front of the bus; when it overflows the oldest is dropped and counted."""

    def __init__(self, bus: Bus, dropped: Callable[[], None]):
        self._bus = bus
        self._dropped = dropped
        self._queue: deque[Message] = deque(maxlen=BACKLOG_MAX)
        self._wake = asyncio.Event()

    def send(self, message: Message) -> None:
        """Queue one message; returns at once."""
        if len(self._queue) == BACKLOG_MAX:
            self._dropped()
        self._queue.append(message)
        self._wake.set()

    async def drain(self) -> None:
        """Send what is queued, for ever; a bus that is away costs market records, never a decision."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                message = self._queue.popleft()
                try:
                    await self._bus.publish_loose(subject_of(message), encode(message))
                except BusError:
                    self._dropped()
