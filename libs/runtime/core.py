"""The deterministic half of a service: its machine, its timers, its unanswered requests, its position. All four shells share it.

`step` takes one event of the log in its turn and returns what follows, stamped with ids, times and positions that depend on
nothing but the log. Stepping the same events through the same code therefore gives the same bytes: that is the replay proof.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from libs.common.codec import BadEvent
from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    Answer,
    EventRejected,
    Message,
    ServiceStarted,
    TimerFired,
)
from libs.common.subjects import subject_of
from libs.runtime.machine import CancelTimer, Effect, Machine, Perform, Publish, Reject, Request, SetTimer

AGENTS_WITH_A_CLOCK = ("agent.trend", "agent.macro", "agent.levels")
"""Of the agents only these are ours and rules: the `ts_init` of a model agent or a plug-in never advances `now`, or it could move time."""
EDGE_WRITERS = frozenset({"notify", "ops.gateway", "ops.telegram"})
"""Who stands where strangers knock: their clock moves nobody's `now` but their own."""

_replace = msgspec.structs.replace
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_%-]{25,}")


class Output(msgspec.Struct, frozen=True):
    """A derived event ready to be appended; `poison` means the input must be in DEAD first."""

    message: Message
    poison: bool = False


class Asked(msgspec.Struct, frozen=True):
    """A request whose turn to be performed comes once every output before it is in the log."""

    request_id: str
    request: Request
    in_seq: int
    outputs_before: int
    correlation_id: str
    causation_id: str


class Pending(msgspec.Struct):
    """A request without a recorded answer: enough to tell whether it may have left, and to answer `interrupted`."""

    kind: str
    in_seq: int
    outputs_before: int
    correlation_id: str
    causation_id: str


class Memory(msgspec.Struct):
    """Everything a core remembers besides its machine's state."""

    now: int = 0
    in_seq: int = 0
    started: bool = False
    timers: dict[str, int] = {}
    pending: dict[str, Pending] = {}


class CoreSnapshot(msgspec.Struct):
    """A core frozen after it has finished `memory.in_seq`."""

    memory: Memory
    settings: msgspec.Raw
    state: msgspec.Raw


class ContractBroken(RuntimeError):
    """A machine did what its contract forbids; the process must end (a defect, not an operating error)."""


class Core:
    """One writer's machine with its timers and requests, driven event by event."""

    def __init__(self, writer: str, machine_class: type[Machine], settings: Any):
        self.writer = writer
        self._machine_class = machine_class
        self.machine = machine_class(settings)
        self.memory = Memory()
        self.timers_moved = True
        """Since whoever looks at the timers last looked; theirs to take back."""

    def step(self, seq: int, message: Message) -> list[Output | Asked]:
        """Handle the event at `seq`; returns outputs and requests in the order the machine gave them."""
        memory, producer = self.memory, message.producer
        if seq <= memory.in_seq:
            raise ContractBroken(f"{self.writer}: seq {seq} after {memory.in_seq}")
        memory.in_seq = seq
        if message.ts_init > memory.now and _tells_time(producer, self.writer):
            memory.now = message.ts_init
        if producer == self.writer:
            if isinstance(message, ServiceStarted):
                flaw = self._configure(message)
                if flaw:
                    return self._stamp(seq, message, [Reject("BAD_SETTINGS", flaw)])
            if not self._is_current(message):
                return []
        effects = self.machine.handle(message, memory.now)
        return self._stamp(seq, message, effects) if effects else []

    def step_poison(self, seq: int, subject: str, payload: bytes, error: BadEvent) -> list[Output | Asked]:
        """Answer an event that cannot be decoded: a rejected event and an alert, whose parent is the payload's digest."""
        self.memory.in_seq = seq
        parent = Message(id=derive_id("poison", seq, hashlib.blake2b(payload).hexdigest()))
        return self._stamp(seq, parent, [Reject(error.reason, error.detail)], subject)

    def _is_current(self, message: Message) -> bool:
        """Settle what an event of our own ends (a timer, a request); False for the echo of one already settled."""
        if isinstance(message, TimerFired):
            if self.memory.timers.get(message.name) != message.due:
                return False
            del self.memory.timers[message.name]
            self.timers_moved = True
        elif isinstance(message, Answer):
            return self.memory.pending.pop(message.request_id, None) is not None
        return True

    def _configure(self, started: ServiceStarted) -> str:
        """Settings take effect when their `started` event is reached, so a replay reads them from the log, not from files.

        Returns what is wrong with them, if this code cannot be set so: those in force stay.
        """
        try:
            settings = settings_of(self._machine_class, started)
        except msgspec.ValidationError as error:
            return str(error)
        self.memory.started = True
        if settings != self.machine.settings:
            state = self.machine.state
            self.machine = self._machine_class(settings)
            self.machine.state = state
        return ""

    def _stamp(self, seq: int, parent: Message, effects: list[Effect], subject: str = "") -> list[Output | Asked]:
        results: list[Output | Asked] = []
        place = 0
        for effect in effects:
            if isinstance(effect, Publish):
                place += 1
                results.append(Output(self._complete(effect.message, seq, place, parent)))
            elif isinstance(effect, SetTimer):
                self.memory.timers[effect.name] = effect.due
                self.timers_moved = True
            elif isinstance(effect, CancelTimer):
                self.memory.timers.pop(effect.name, None)
                self.timers_moved = True
            elif isinstance(effect, Perform):
                results.append(self._ask(effect.request_id, effect.request, seq, place, parent))
            elif isinstance(effect, Reject):
                for message in self._rejection(seq, subject or subject_of(parent), effect.reason, effect.detail):
                    place += 1
                    results.append(Output(self._complete(message, seq, place, parent), poison=True))
        return results

    def _ask(self, request_id: str, request: Request, seq: int, place: int, parent: Message) -> Asked:
        if request_id in self.memory.pending:
            raise ContractBroken(f"{self.writer}: request {request_id} is still unanswered")
        if request.write_ahead and place == 0:
            raise ContractBroken(f"{self.writer}: {type(request).__name__} has no Publish before it")
        correlation_id = parent.correlation_id or parent.id
        self.memory.pending[request_id] = Pending(type(request).__name__, seq, place, correlation_id, parent.id)
        return Asked(request_id, request, seq, place, correlation_id, parent.id)

    def _complete(self, message: Message, seq: int, place: int, parent: Message) -> Message:
        now = self.memory.now
        return _replace(
            message,
            id=derive_id(parent.id, self.writer, type(message).__name__, place),
            ts_event=message.ts_event or now,
            ts_init=now,
            correlation_id=message.correlation_id or parent.correlation_id or parent.id,
            causation_id=message.causation_id or parent.id,
            done_in_seq=seq,
            done_out_index=place,
            producer=self.writer,
        )

    def _rejection(self, seq: int, subject: str, reason: str, detail: str) -> tuple[Message, Message]:
        subject, detail = shortened(subject[:200]), shortened(detail[:500])
        text = f"{self.writer} refuses event {seq} on {subject}: {reason}: {detail}"
        return (
            EventRejected(rejected_seq=seq, rejected_subject=subject, reason=reason, detail=detail),
            AlertRaised(code="EVENT_REJECTED", severity="ticket", text=text[:600]),
        )

    def digest(self) -> str:
        """A digest of everything that can influence a later output."""
        return hashlib.blake2b(self.snapshot(), digest_size=16).hexdigest()

    def snapshot(self) -> bytes:
        """The core's state as bytes; only meaningful between two steps."""
        encode = msgspec.json.encode
        raw = CoreSnapshot(
            self.memory, msgspec.Raw(encode(self.machine.settings)), msgspec.Raw(encode(self.machine.state))
        )
        return encode(raw)

    def restore(self, raw: bytes) -> None:
        """Become the core that made this snapshot.

        Raises:
            msgspec.ValidationError: the snapshot was made by code with another idea of the state.
        """
        snapshot = msgspec.json.decode(raw, type=CoreSnapshot)
        settings = msgspec.json.decode(snapshot.settings, type=self._machine_class.Settings)
        machine = self._machine_class(settings)
        machine.state = msgspec.json.decode(snapshot.state, type=self._machine_class.State)
        self.machine, self.memory = machine, snapshot.memory
        self.timers_moved = True


def _tells_time(producer: str, listener: str) -> bool:
    if producer in EDGE_WRITERS:
        return producer == listener
    return producer in AGENTS_WITH_A_CLOCK or not producer.startswith("agent.")


def settings_of(machine_class: type[Machine], started: ServiceStarted) -> Any:
    """The settings that a start recorded, for a machine of this code.

    Raises:
        msgspec.ValidationError: they do not fit: the event was made by other code, or by somebody else.
    """
    return msgspec.convert(started.settings, machine_class.Settings, strict=False)


def shortened(text: str) -> str:
    """`text` of somebody we do not believe, with long words cut: enough to find the event again, not enough to spread a secret."""
    return _LONG_WORD.sub(lambda word: f"{word[0][:8]}…", text)
