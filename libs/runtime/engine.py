"""The live shell's logic without its I/O: what to append next, what to ask the world, when a timer is due.

The live shell drives it over NATS with asyncio, the simulation over a simulated bus with a seeded scheduler: one logic.

Theory of operation. Every message of a writer carries its position: the last input finished and how many of its outputs are
in the log. A start is a recovery: inputs are stepped again from the snapshot (or from the beginning), outputs up to the
position are suppressed, what is missing is appended, life goes on. Appends leave one at a time, each on the condition that
the writer's prefix still ends where we believe it ends; a refusal means another instance lives, and this one must die.

    deliver(seq, ...) ──▶ core.step ──▶ outbox (FIFO) ──▶ next_append() ──▶ appended(seq)
                                           │ requests, once everything before them is in the log
                                           └──▶ take_requests() ──▶ adapter ──▶ source(answer) ──▶ outbox
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from libs.common.codec import BadEvent, decode_from, encode
from libs.common.ids import derive_id
from libs.common.messages import (
    Answer,
    Message,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    TimerFired,
)
from libs.common.subjects import subject_of
from libs.runtime.core import Asked, ContractBroken, Core, Output, Pending

BACKLOG_MAX = 256
"""Inputs are not pulled while this many outputs wait: a writer must not run far ahead of its own record."""


class Position(msgspec.Struct, frozen=True, order=True):
    """A writer's place in its input: `out_index` outputs of input `in_seq` are in the log."""

    in_seq: int = 0
    out_index: int = 0


class Append(msgspec.Struct, frozen=True):
    """One conditional append: refused unless the writer's prefix still ends at `expected_tail`.

    `dead_copy_of` is the seq of a poison input that must be in DEAD before this message is appended.
    """

    subject: str
    payload: bytes
    message: Message
    expected_tail: int
    dead_copy_of: int | None = None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What a start needs to know of the past: the end of the writer's own prefix, its position, whether it changed."""

    tail_seq: int = 0
    position: Position = Position()


class _Derived(msgspec.Struct, frozen=True):
    message: Message
    poison: bool


class _Source(msgspec.Struct, frozen=True):
    message: Message


class _Finished(msgspec.Struct, frozen=True):
    position: Position


class Engine:
    """One running (or recovering) instance of a writer."""

    def __init__(
        self,
        core: Core,
        recovery: Recovery,
        *,
        instance: str,
        code_version: str,
        started_at: int,
        seal: Callable[[Message], Message] | None = None,
    ):
        self.core = core
        self.instance = instance
        self.code_version = code_version
        self.started_at = started_at
        self.tail_seq = recovery.tail_seq
        self.done = recovery.position
        self.recovering = True
        self.appended_count = 0
        self._recovered_position = recovery.position
        self._seal = seal or (lambda message: message)
        self._outbox: deque[_Derived | _Source | _Finished | Asked] = deque()
        self._in_flight: Append | None = None
        self._ready: deque[Asked] = deque()
        self._firing: set[tuple[str, int]] = set()
        self._began = False
        self._start_settings: Any = core.machine.settings

    # --- in ---------------------------------------------------------------------------------------------------

    def deliver(self, seq: int, subject: str, payload: bytes) -> bool:
        """Take the next input of the log. Inputs come in `seq` order, each once. False: it was poison, and is answered so.

        Raises:
            ContractBroken, or whatever the machine raises: the process must end; a restart recovers.
        """
        if not self.recovering and seq <= self._recovered_position.in_seq:  # its requests would be taken for new ones
            raise ContractBroken(f"{self.core.writer}: input {seq} came after the end of the log had been announced")
        if not self._began and seq > self._recovered_position.in_seq:
            self._begin()
        try:
            message = decode_from(subject, payload)
        except BadEvent as error:
            self._take(seq, self.core.step_poison(seq, subject, payload, error))
            return False
        if isinstance(message, TimerFired) and message.producer == self.core.writer:
            self._firing.discard((message.name, message.due))
        self._take(seq, self.core.step(seq, message))
        return True

    def caught_up(self, now: int) -> None:
        """The end of the log was reached: settle what the last instance left unanswered, and begin to live."""
        if not self.recovering:
            return
        if not self._began:
            self._begin()
        self.recovering = False
        queued = {asked.request_id for asked in [*self._outbox, *self._ready] if isinstance(asked, Asked)}
        for request_id, pending in self.core.memory.pending.items():
            if request_id not in queued:
                self.source(_interrupted(request_id, pending, now))

    def source(self, message: Message) -> None:
        """Queue a source event (an answer, a price, a command) to be appended; `ts_init` is set by whoever read the clock."""
        self._outbox.append(_Source(message))

    def tick(self, now: int) -> None:
        """Fire the timers that are due at `now`; each firing is an event in the log, handled in its own turn."""
        if self.recovering:
            return
        for name, due in self.core.memory.timers.items():
            if due <= now and (name, due) not in self._firing:
                self._firing.add((name, due))
                self.source(TimerFired(name=name, due=due, ts_event=due, ts_init=now))

    def start_with(self, settings: Any) -> None:
        """Use these settings from this start's `started` event on (they may differ from those in the log)."""
        self._start_settings = settings

    # --- out --------------------------------------------------------------------------------------------------

    def next_append(self) -> Append | None:
        """The append to perform now; None while one is in flight or nothing waits. The outcome comes to `appended`."""
        while self._in_flight is None and self._outbox:
            head = self._outbox.popleft()
            match head:
                case _Finished(position):
                    self.done = position
                case Asked():
                    self._ready.append(head)
                case _Source(message):
                    self._in_flight = self._append(self._positioned(message), None)
                case _Derived(message, poison):
                    self._in_flight = self._append(self._seal(message), message.done_in_seq if poison else None)
            if self._in_flight is not None:
                return self._in_flight
        return None

    def appended(self, seq: int) -> None:
        """The append in flight is in the log at `seq`."""
        if self._in_flight is None:
            raise RuntimeError("no append in flight")
        message = self._in_flight.message
        self._in_flight = None
        self.tail_seq = seq
        self.done = Position(message.done_in_seq, message.done_out_index)
        self.appended_count += 1

    def take_requests(self, now: int) -> list[Asked]:
        """The requests to perform now; one older than its `valid_until` is answered `expired` instead, and never sent."""
        admitted: list[Asked] = []
        while self._ready and not self.recovering:
            asked = self._ready.popleft()
            if now > asked.request.valid_until:
                self.source(
                    RequestExpired(
                        request_id=asked.request_id,
                        ts_event=now,
                        ts_init=now,
                        correlation_id=asked.correlation_id,
                        causation_id=asked.causation_id,
                    )
                )
            else:
                admitted.append(asked)
        return admitted

    def answer(self, asked: Asked, answer: Answer) -> None:
        """Queue the adapter's answer to `asked`; it inherits the story of the request."""
        self.source(
            msgspec.structs.replace(answer, correlation_id=asked.correlation_id, causation_id=asked.causation_id)
        )

    @property
    def next_due(self) -> int | None:
        """When the next timer is due (ns), None without one."""
        waiting = [due for name, due in self.core.memory.timers.items() if (name, due) not in self._firing]
        return min(waiting, default=None)

    @property
    def backlog(self) -> int:
        """How many entries wait to be appended or released."""
        return len(self._outbox) + (self._in_flight is not None)

    @property
    def unsaid(self) -> list[Message]:
        """What is not known to be in the log, in order; the append in flight first."""
        waiting = [each.message for each in self._outbox if isinstance(each, _Source | _Derived)]
        return waiting if self._in_flight is None else [self._in_flight.message, *waiting]

    @property
    def is_full(self) -> bool:
        """Whether no further input should be pulled yet."""
        return self.backlog >= BACKLOG_MAX

    @property
    def is_quiescent(self) -> bool:
        """Whether everything decided so far is in the log: the only time a snapshot may be taken."""
        return not self.recovering and self.backlog == 0

    # --- inside -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._began = True
        self.source(
            ServiceStarted(
                instance=self.instance,
                code_version=self.code_version,
                settings=msgspec.to_builtins(self._start_settings),
                state_digest=self.core.digest(),
                ts_event=self.started_at,
                ts_init=self.started_at,
            )
        )

    def _take(self, seq: int, results: list[Output | Asked]) -> None:
        if not self._began and seq >= self._recovered_position.in_seq:
            self._begin()  # also before what the last life left unsaid: everything we append stands behind our `started`
        place = 0
        for result in results:
            if isinstance(result, Output):
                place = result.message.done_out_index
                if Position(seq, place) > self._recovered_position:
                    self._outbox.append(_Derived(result.message, result.poison))
            elif not self.recovering or self._has_not_left(result):
                self._outbox.append(result)
        if Position(seq, place) > self._recovered_position:
            self._outbox.append(_Finished(Position(seq, place)))

    def _has_not_left(self, asked: Asked) -> bool:
        """During recovery: whether an output before the request is missing from the log, so it cannot have been sent."""
        return asked.outputs_before > 0 and Position(asked.in_seq, asked.outputs_before) > self._recovered_position

    def _positioned(self, message: Message) -> Message:
        message_id = message.id or derive_id(self.core.writer, "source", self.tail_seq)
        return msgspec.structs.replace(
            message,
            id=message_id,
            correlation_id=message.correlation_id or message_id,
            done_in_seq=self.done.in_seq,
            done_out_index=self.done.out_index,
            producer=self.core.writer,
        )

    def _append(self, message: Message, dead_copy_of: int | None) -> Append:
        """The append of `message`. What no reader would accept must not enter the log: our own position would be lost with it.

        Raises:
            ContractBroken: the message would not be read back (too large, a NaN, a field beyond its bounds).
        """
        subject, payload = subject_of(message), encode(message)
        try:
            decode_from(subject, payload)
        except BadEvent as error:
            raise ContractBroken(
                f"{self.core.writer} would append on {subject} what nobody can read: {error}"
            ) from error
        return Append(subject, payload, message, self.tail_seq, dead_copy_of)


def _interrupted(request_id: str, pending: Pending, now: int) -> RequestInterrupted:
    return RequestInterrupted(
        request_id=request_id,
        ts_event=now,
        ts_init=now,
        correlation_id=pending.correlation_id,
        causation_id=pending.causation_id,
    )
