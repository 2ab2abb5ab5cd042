"""What a machine asks of the world: each request a task of its own, its answer queued for the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from libs.runtime import logs
from libs.runtime.adapter import Adapter, Clock
from libs.runtime.core import Asked
from libs.runtime.engine import Engine


class Requests:
    """The requests that are out. `answered` is told when an answer waits to be appended."""

    def __init__(
        self, service: str, adapter: Adapter | None, engine: Engine, clock: Clock, answered: Callable[[], None]
    ):
        self.group: asyncio.TaskGroup
        self._service = service
        self._adapter = adapter
        self._engine = engine
        self._clock = clock
        self._answered = answered
        self._out: set[asyncio.Task[None]] = set()
        self._is_asking = True

    @property
    def out(self) -> int:
        """How many are without an answer."""
        return len(self._out)

    def start(self) -> None:
        """Perform what may be performed now."""
        if not self._is_asking:
            return
        for asked in self._engine.take_requests(self._clock.now()):
            task = self.group.create_task(self._perform(asked), name=f"perform {asked.request_id}")
            self._out.add(task)
            task.add_done_callback(self._out.discard)

    async def end(self) -> None:
        """Ask nothing more, and wait for nothing: what is not answered is `interrupted` for the next life."""
        self._is_asking = False
        unanswered = list(self._out)
        for task in unanswered:
            task.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)

    async def _perform(self, asked: Asked) -> None:
        if self._adapter is None:
            raise RuntimeError(f"{self._service} asks the world but has no adapter")
        with logs.bind(asked.correlation_id):
            answer = await self._adapter.perform(asked)
        self._engine.answer(asked, answer)
        self._answered()
