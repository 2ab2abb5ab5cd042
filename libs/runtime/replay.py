"""The replay proof: step a recorded log through the same machines and compare every derived event byte for byte.

Source events (prices, timers, recorded answers, commands) are taken as input; derived events are derived again and compared
with what stands in the log. Settings come from the log's `started` events, never from today's files. What was written by
another version of a machine's code is counted as such: it is neither a match nor a mismatch.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from libs.common.approval import unsigned
from libs.common.codec import BadEvent, decode_from, encode
from libs.common.messages import Message, OrderApproved, ServiceStarted
from libs.common.subjects import subject_matches
from libs.runtime.adapter import LogEntry
from libs.runtime.contract import Contract
from libs.runtime.core import Core, Output, settings_of
from libs.runtime.engine import Position
from libs.runtime.machine import Machine

MISMATCHES_SHOWN = 20


class Part(msgspec.Struct, frozen=True):
    """One writer to be replayed: its contract, its machine, the digest of the code at hand."""

    contract: Contract
    machine_class: type[Machine]
    code_version: str


class Mismatch(msgspec.Struct, frozen=True):
    """Where the log and its replay disagree."""

    seq: int
    writer: str
    kind: str
    detail: str


class ReplayReport(msgspec.Struct):
    """What a replay found. `events` = `taken_as_input` + `verified` + `other_code` + `undecodable` + mismatching ones.

    `unpublished` outputs were derived from the log's last inputs but are not in it yet (their writer lags or is down).
    """

    events: int = 0
    taken_as_input: int = 0
    verified: int = 0
    other_code: int = 0
    undecodable: int = 0
    unpublished: int = 0
    mismatch_count: int = 0
    mismatches: list[Mismatch] = []
    digest: str = ""
    last_seq: int = 0
    spans: dict[str, list[str]] = {}

    @property
    def is_clean(self) -> bool:
        """Whether every derived event of the code at hand was derived again, byte for byte."""
        return self.mismatch_count == 0


class _Writer:
    """One writer during a replay."""

    def __init__(self, part: Part, starts: list[tuple[int, ServiceStarted]]):
        self.part = part
        self.name = part.contract.writer
        settings = _settings(part.machine_class, starts)
        self.core = Core(self.name, part.machine_class, settings) if settings is not None else None
        self.expected: deque[Message] = deque()
        self.starts = deque(starts)
        self.code_version = ""

    def digest_differences(self, next_seq: int) -> list[tuple[int, str]]:
        """Starts whose recorded state digest is due for comparison before the input `next_seq` is stepped."""
        found = []
        while self.core and self.starts and self.starts[0][1].done_in_seq < next_seq:
            seq, started = self.starts.popleft()
            if started.code_version == self.part.code_version and started.state_digest != self.core.digest():
                found.append((seq, f"state after input {started.done_in_seq} differs from the recorded digest"))
        return found

    def begin(self, started: ServiceStarted) -> None:
        """A span begins. What other code has passed over without a word is not this code's loss."""
        while self.is_other and self.expected and _position(self.expected[0]) <= _position(started):
            self.expected.popleft()
        self.code_version = started.code_version

    @property
    def is_other(self) -> bool:
        """Whether other code than that at hand wrote what comes now."""
        return self.code_version != self.part.code_version


class Replay:
    """Feeds a log, in order, to all writers; `report` says what was found so far."""

    def __init__(self, parts: Iterable[Part], starts: dict[str, list[tuple[int, ServiceStarted]]]):
        self.report = ReplayReport()
        self._writers = {part.contract.writer: _Writer(part, starts.get(part.contract.writer, [])) for part in parts}
        self._hearers: dict[str, list[_Writer]] = {}
        self._digest = hashlib.blake2b(digest_size=16)

    def take(self, entry: LogEntry) -> None:
        """Account for one entry of the log, then let every machine that hears its subject step it."""
        self.report.events += 1
        self.report.last_seq = entry.seq
        try:
            message: Message | None = decode_from(entry.subject, entry.payload)
            error = None
        except BadEvent as bad:
            message, error = None, bad
        if message is None:
            self.report.undecodable += 1
        else:
            self._account(entry, message)
        for writer in self._hearers_of(entry.subject):
            self._step(writer, entry, message, error)

    def finish(self) -> ReplayReport:
        """Count what the log does not hold yet, and close the digest."""
        for writer in self._writers.values():
            self.report.unpublished += len(writer.expected)
        self.report.digest = self._digest.hexdigest()
        return self.report

    def _account(self, entry: LogEntry, message: Message) -> None:
        writer = self._writers.get(message.producer)
        if isinstance(message, ServiceStarted) and writer is not None:
            writer.begin(message)
            spans = self.report.spans.setdefault(writer.name, [])
            if not spans or spans[-1] != message.code_version:
                spans.append(message.code_version)
        if message.is_source or writer is None:
            self.report.taken_as_input += 1
        else:
            self._compare(writer, entry, message)

    def _compare(self, writer: _Writer, entry: LogEntry, message: Message) -> None:
        position = Position(message.done_in_seq, message.done_out_index)
        if message.done_in_seq >= entry.seq:  # its writer cannot have said it; it says nothing about what went before
            self._mismatch(entry.seq, writer, "unexpected", f"{type(message).__name__} answers what comes after it")
            return
        is_other = writer.is_other
        while writer.expected and _position(writer.expected[0]) < position:
            lost = writer.expected.popleft()
            if not is_other:
                self._mismatch(
                    entry.seq, writer, "lost", f"{type(lost).__name__} of input {lost.done_in_seq} is missing"
                )
        found = writer.expected[0] if writer.expected else None
        matches_place = found is not None and _position(found) == position
        if matches_place:
            writer.expected.popleft()
        if is_other:
            self.report.other_code += 1
        elif found is None or not matches_place:
            self._mismatch(entry.seq, writer, "unexpected", f"{type(message).__name__} is not derived by the replay")
        elif encode(found) != _unsealed_bytes(entry, message):
            self._mismatch(entry.seq, writer, "different", _difference(found, message))
        else:
            self.report.verified += 1
            self._digest.update(entry.payload if not isinstance(message, OrderApproved) else encode(found))

    def _step(self, writer: _Writer, entry: LogEntry, message: Message | None, error: BadEvent | None) -> None:
        if writer.core is None:
            return
        for seq, detail in writer.digest_differences(entry.seq):
            self._mismatch(seq, writer, "state", detail)
        if message is not None:
            results = writer.core.step(entry.seq, message)
        else:
            results = writer.core.step_poison(
                entry.seq, entry.subject, entry.payload, error or BadEvent("MALFORMED", "")
            )
        writer.expected.extend(result.message for result in results if isinstance(result, Output))

    def _hearers_of(self, subject: str) -> list[_Writer]:
        known = self._hearers.get(subject)
        if known is None:
            known = [
                writer
                for writer in self._writers.values()
                if any(subject_matches(each, subject) for each in writer.part.contract.filters)
            ]
            self._hearers[subject] = known
        return known

    def _mismatch(self, seq: int, writer: _Writer, kind: str, detail: str) -> None:
        self.report.mismatch_count += 1
        if len(self.report.mismatches) < MISMATCHES_SHOWN:
            self.report.mismatches.append(Mismatch(seq, writer.name, kind, detail))


def replay(read: Callable[[], Iterable[LogEntry]], parts: Iterable[Part]) -> ReplayReport:
    """Replay a whole log; `read` is called twice (first for the `started` events) and yields it in order."""
    proof = Replay(parts, starts_in(read()))
    for entry in read():
        proof.take(entry)
    return proof.finish()


def starts_in(entries: Iterable[LogEntry]) -> dict[str, list[tuple[int, ServiceStarted]]]:
    """Every `started` event by writer."""
    starts: dict[str, list[tuple[int, ServiceStarted]]] = {}
    for entry in entries:
        if entry.subject.endswith(".started"):
            try:
                message = decode_from(entry.subject, entry.payload)
            except BadEvent:
                continue
            if isinstance(message, ServiceStarted):
                starts.setdefault(message.producer, []).append((entry.seq, message))
    return starts


def _settings(machine_class: type[Machine], starts: list[tuple[int, ServiceStarted]]) -> Any:
    """Those of the first start that this code can be set to, as a recovery does; None without any."""
    for _, started in starts:
        with suppress(msgspec.ValidationError):
            return settings_of(machine_class, started)
    return None


def _position(message: Message) -> Position:
    return Position(message.done_in_seq, message.done_out_index)


def _unsealed_bytes(entry: LogEntry, message: Message) -> bytes:
    """The bytes to compare: an approval's signature was made with a key that a replay does not have."""
    return encode(unsigned(message)) if isinstance(message, OrderApproved) else entry.payload


def _difference(derived: Message, recorded: Message) -> str:
    ours, theirs = msgspec.to_builtins(derived), msgspec.to_builtins(recorded)
    names = [name for name in ours if ours[name] != theirs.get(name) and name not in ("signature", "key_id")]
    shown = ", ".join(f"{name}: derived {ours[name]!r:.80}, recorded {theirs.get(name)!r:.80}" for name in names[:3])
    return f"{type(recorded).__name__}: {shown or 'bytes differ'}"
