"""When the next message may leave: at most one a second to a chat, 25 a second in all, and none before the server's `retry_after` is over.

A chat's messages take their turns in the order in which they came. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

import asyncio
import time

CHAT_S = 1.0
ALL_S = 1 / 25


class Pace:
    """The turns of one bot."""

    def __init__(self) -> None:
        self._locks: dict[int, asyncio.Lock] = {}
        self._chat_at: dict[int, float] = {}
        self._all_at = 0.0

    def hold(self, chat: int, wait_s: float) -> None:
        """The server wants nothing more for this chat for so long."""
        self._chat_at[chat] = max(self._chat_at.get(chat, 0.0), time.monotonic() + wait_s)

    def left_s(self, chat: int) -> float:
        """How long nothing may leave for this chat."""
        return max(0.0, self._chat_at.get(chat, 0.0) - time.monotonic())

    async def turn(self, chat: int, ends: float) -> bool:
        """Return once the next message to this chat may leave; False as soon as that would not be before `ends`."""
        lock = self._locks.setdefault(chat, asyncio.Lock())
        try:
            async with asyncio.timeout(max(0.0, ends - time.monotonic())), lock:
                while (left_s := self.left_s(chat)) > 0:
                    if time.monotonic() + left_s > ends:
                        return False
                    await asyncio.sleep(left_s)
                now = time.monotonic()
                self._chat_at[chat] = now + CHAT_S
                at = self._all_at = max(now, self._all_at + ALL_S)
                await asyncio.sleep(at - now)
        except TimeoutError:
            return False
        return True
