"""What a service says, on its way into the log: one append in flight, each on the condition that nobody else has written.

It also knows best whether the log can be reached: an append that waits, a server that is silent, a connection that is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from libs.common.messages import EventRejected, Message
from libs.common.subjects import subject_matches, subject_of, writer_filter
from libs.runtime.bus import Bus, BusError, Fenced
from libs.runtime.contract import Contract
from libs.runtime.engine import Append, Engine
from libs.runtime.live_requests import Requests
from libs.runtime.metrics import ServiceMetrics
from libs.runtime.tracing import Tracer, traceparent

APPEND_WAIT_S = 2.0
NOTE_AFTER_S = 0.005
"""A log line costs a third of a millisecond, more where stdout is slow: whatever follows from an append goes first."""
SILENCE_S_MAX = 2.5
"""The server lets every reader hear something each second; after so long without, nothing is sent that may be lost."""


class Appends:
    """The engine's outputs, appended in order. `silent_s` tells for how long the server has owed us a word."""

    def __init__(
        self,
        bus: Bus,
        engine: Engine,
        contract: Contract,
        requests: Requests,
        silent_s: Callable[[], float],
        metrics: ServiceMetrics,
        tracer: Tracer,
        logger: Any,
    ):
        self.heard_tail = 0
        self.is_ending = False
        self.is_over = False
        self._bus = bus
        self._engine = engine
        self._contract = contract
        self._requests = requests
        self._silent_s = silent_s
        self._metrics = metrics
        self._tracer = tracer
        self._logger = logger
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._sent_at: float | None = None
        self._unnoted: list[tuple[Message, int]] = []

    def wake(self) -> None:
        """There is something to append, or to ask."""
        self._wake.set()

    async def wait_room(self) -> None:
        """Return once the engine takes further input."""
        while self._engine.is_full:
            self._room.clear()
            await self._room.wait()

    @property
    def is_reachable(self) -> bool:
        """Whether an append made now would probably be answered: what is in flight is not overdue, and the server speaks."""
        overdue = self._sent_at is not None and time.monotonic() - self._sent_at > APPEND_WAIT_S
        return self._bus.is_connected and not overdue and self._silent_s() < SILENCE_S_MAX

    async def run(self) -> None:
        """Append for ever.

        Raises:
            Fenced, AppendUnknown, BusError: this process must end. After `is_ending`, only `Fenced`: what was not said is the next
                life's to say.
        """
        try:
            await self._run()
        except Fenced:
            raise
        except BusError as error:
            if not self.is_ending:
                raise
            self._logger.warning("append_unknown_at_stop", reason=str(error))
            self.is_over = True
        finally:
            self._note()

    async def _run(self) -> None:
        engine = self._engine
        while True:
            append = engine.next_append()
            self._requests.start()
            if append is not None:
                await self._send(append)
                self._room.set()
                continue
            self._room.set()  # requests leave the queue without an append
            if not engine.backlog:  # one that has expired is answered at once
                self._wake.clear()
                await self._wake.wait()

    async def _send(self, append: Append) -> None:
        """Nothing is sent into silence: an append that stays unanswered ends the process."""
        await self._bus.wait_connected()
        while self._silent_s() >= SILENCE_S_MAX:
            await asyncio.sleep(0.02)
            await self._bus.wait_connected()
        if append.dead_copy_of is not None:
            await self._copy_to_dead(append)
        began = self._sent_at = time.monotonic()
        prefix = writer_filter(self._contract.writer)
        seq = await self._bus.append(append, prefix, {"traceparent": traceparent(append.message)})
        self._sent_at = None
        self._engine.appended(seq)
        if any(subject_matches(each, append.subject) for each in self._contract.filters):
            self.heard_tail = seq
        seconds = time.monotonic() - began
        trace_id = self._tracer.published(append.message, seq, seconds)
        self._metrics.appended(type(append.message).__name__, seconds, seq, self._engine.backlog, trace_id)
        self._note_soon(append.message, seq)

    async def _copy_to_dead(self, append: Append) -> None:
        entry = await self._bus.entry_at(append.dead_copy_of or 0)
        if entry is not None:
            await self._bus.copy_to_dead(entry, getattr(append.message, "reason", ""))

    def _note_soon(self, message: Message, seq: int) -> None:
        """One log line for each decision; prices and timers would drown it."""
        if isinstance(message, EventRejected):
            self._metrics.rejected(message.reason)
        if not message.is_source:
            if not self._unnoted:
                asyncio.get_running_loop().call_later(NOTE_AFTER_S, self._note)
            self._unnoted.append((message, seq))

    def _note(self) -> None:
        noted, self._unnoted = self._unnoted, []
        for message, seq in noted:
            self._logger.info(
                "appended",
                seq=seq,
                subject=subject_of(message),
                correlation_id=message.correlation_id,
                trace_id=traceparent(message).split("-")[1],
            )
