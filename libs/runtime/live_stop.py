"""The end of a life that was told to stop: bounded, because a stop must end, with the bus or without it.

told ─▶ `stopping` into the log ─▶ the machine hears it ─▶ its outputs, requests and their answers ─▶ it has heard itself out
     ─▶ requests still out are given up ─▶ adapter closed ─▶ its last words appended ─▶ snapshot
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from libs.runtime.engine import Engine
from libs.runtime.live_appends import Appends
from libs.runtime.live_requests import Requests

UNSAID_LISTED_MAX = 20


class Farewell:
    """The steps between the word to stop and the end of the tasks. `close_world` ends the adapter's input."""

    def __init__(
        self,
        engine: Engine,
        appends: Appends,
        requests: Requests,
        close_world: Callable[[], Awaitable[None]],
        logger: Any,
    ):
        self._engine = engine
        self._appends = appends
        self._requests = requests
        self._close_world = close_world
        self._logger = logger

    async def react(self, seconds_max: float) -> None:
        """Let the machine hear that it ends, and whatever follows from that, until nothing more follows."""
        await self._until(self._is_heard_out, seconds_max)

    async def leave(self, seconds_max: float) -> None:
        """Give up what is not answered, close the world, append what it said last."""
        await self._requests.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds_max * 2 / 3):
                await self._close_world()
        await self._until(lambda: not self._engine.backlog, seconds_max / 3)
        unsaid = self._engine.unsaid
        if unsaid:
            names = [f"{type(each).__name__} {each.id}".strip() for each in unsaid[:UNSAID_LISTED_MAX]]
            self._logger.warning("unsaid_at_stop", count=len(unsaid), messages=names)

    def _is_heard_out(self) -> bool:
        engine = self._engine
        return not engine.backlog and not self._requests.out and engine.core.memory.in_seq >= self._appends.heard_tail

    async def _until(self, condition: Callable[[], bool], seconds_max: float) -> None:
        """Return once `condition` holds, nothing can change any more, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                while not condition() and not (self._appends.is_over and not self._requests.out):  # noqa: ASYNC110  (tasks work)
                    await asyncio.sleep(0.01)
