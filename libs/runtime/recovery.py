"""What a start reads of the past, and the core it rebuilds from it.

The position is carried by every message of the writer, so the newest one under its prefix tells where to go on. A snapshot
only shortens the way: if it is not usable the inputs are replayed from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from libs.common.codec import BadEvent, decode, decode_from
from libs.common.messages import ServiceStarted
from libs.common.subjects import writer_filter
from libs.runtime.adapter import LogEntry
from libs.runtime.contract import Contract
from libs.runtime.core import Core
from libs.runtime.engine import Position, Recovery
from libs.runtime.machine import Machine
from libs.runtime.snapshots import Snapshot


class LogWentBackwards(RuntimeError):
    """The log ends before a point it is known to have reached: acknowledged events are gone. A human must restore it."""


class PastLog(Protocol):
    """The three reads of the log that a recovery needs."""

    async def last_under(self, subject_filter: str) -> LogEntry | None: ...

    async def first_on(self, subject_filter: str, from_seq: int = 1) -> LogEntry | None: ...

    async def last_seq(self) -> int: ...

    async def entry_at(self, seq: int) -> LogEntry | None: ...


class Restart(msgspec.Struct, frozen=True):
    """A core at the end of its snapshot (or at the beginning), and where its own record ends."""

    core: Core
    recovery: Recovery
    begins_at: int
    used_snapshot: bool


async def restart(
    log: PastLog,
    contract: Contract,
    machine_class: type[Machine],
    settings: Any,
    load_snapshot: Callable[[], Snapshot | None],
    watermark: int,
) -> Restart:
    """Read the past and return the core to go on with.

    Raises:
        LogWentBackwards: the log is shorter than `watermark` or than the snapshot says.
    """
    last_seq = await log.last_seq()
    snapshot = load_snapshot()
    known = max(watermark, snapshot.in_seq if snapshot else 0, snapshot.tail_seq if snapshot else 0)
    if last_seq < known:
        raise LogWentBackwards(
            f"{contract.service}: the log ends at {last_seq} but is known to have reached {known}; "
            "acknowledged events are gone. Restore the log from a copy before anything writes into it"
        )
    tail_seq, position = await _tail(log, contract.writer)
    core = Core(contract.writer, machine_class, await _first_settings(log, contract.writer, machine_class, settings))
    if snapshot is not None:
        core.restore(snapshot.core)
        position = max(position, Position(snapshot.in_seq, snapshot.out_index))
    recovery = Recovery(tail_seq=tail_seq, position=position)
    return Restart(core, recovery, core.memory.in_seq + 1, snapshot is not None)


async def _tail(log: PastLog, writer: str) -> tuple[int, Position]:
    """Where the writer's prefix ends, and the position its newest valid message carries.

    Somebody with our key may have written what we cannot read; our position is then in an older message.
    """
    entry = await log.last_under(writer_filter(writer))
    tail_seq = entry.seq if entry else 0
    while entry is not None:
        if entry.subject.startswith(f"{writer}."):
            try:
                message = decode_from(entry.subject, entry.payload)
                return tail_seq, Position(message.done_in_seq, message.done_out_index)
            except BadEvent:
                pass
        entry = await _before(log, entry.seq)
    return tail_seq, Position()


async def _before(log: PastLog, seq: int) -> LogEntry | None:
    return await log.entry_at(seq - 1) if seq > 1 else None


async def _first_settings(log: PastLog, writer: str, machine_class: type[Machine], settings: Any) -> Any:
    """The settings of the writer's first start: what was decided before the next `started` was decided under them."""
    entry = await log.first_on(f"{writer}.started")
    if entry is None:
        return settings
    started = decode(entry.payload)
    if not isinstance(started, ServiceStarted):
        return settings
    return msgspec.convert(started.settings, machine_class.Settings, strict=False)
