"""What a start reads of the past, and the core it rebuilds from it.

The position is carried by every message of the writer, so the newest one under its prefix tells where to go on. A snapshot
only shortens the way: if it is not usable the inputs are replayed from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import ServiceStarted
from libs.common.subjects import writer_filter
from libs.runtime.adapter import LogEntry
from libs.runtime.contract import Contract
from libs.runtime.core import Core, settings_of
from libs.runtime.engine import Position, Recovery
from libs.runtime.machine import Machine
from libs.runtime.snapshots import Snapshot

WINDOW = 16
"""How far back the first look for a position goes, in events of the log."""


class LogWentBackwards(RuntimeError):
    """The log ends before a point it is known to have reached: acknowledged events are gone. A human must restore it."""


class PastLog(Protocol):
    """The three reads of the log that a recovery needs."""

    async def last_under(self, subject_filter: str) -> LogEntry | None: ...

    async def first_on(self, subject_filter: str, from_seq: int = 1) -> LogEntry | None: ...

    async def last_seq(self) -> int: ...


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
    snapshot = load_snapshot()
    last_seq = await log.last_seq()
    known = max(watermark, snapshot.in_seq if snapshot else 0, snapshot.tail_seq if snapshot else 0)
    if last_seq < known:
        raise LogWentBackwards(
            f"{contract.service}: the log ends at {last_seq} but is known to have reached {known}; "
            "acknowledged events are gone. Restore the log from a copy before anything writes into it"
        )
    tail_seq, position = await _tail(log, contract.writer)
    core = Core(contract.writer, machine_class, await _first_settings(log, contract.writer, machine_class, settings))
    if snapshot is not None and not _restored(core, snapshot):
        snapshot = None
    if snapshot is not None:
        position = max(position, Position(snapshot.in_seq, snapshot.out_index))
    recovery = Recovery(tail_seq=tail_seq, position=position)
    return Restart(core, recovery, core.memory.in_seq + 1, snapshot is not None)


def _restored(core: Core, snapshot: Snapshot) -> bool:
    """Whether the core now stands where the snapshot was taken. A file can be whole and yet not hold a state (a NaN has become null)."""
    try:
        core.restore(snapshot.core)
    except msgspec.MsgspecError:
        return False
    return True


async def _tail(log: PastLog, writer: str) -> tuple[int, Position]:
    """Where the writer's prefix ends, and the position its newest messages carry.

    Somebody with our key may have written what we cannot believe, or may have repeated an old word of ours: the highest
    position of a window counts, and windows double, so that a prefix that was quiet for long costs as little as a busy one.
    """
    entry = await log.last_under(writer_filter(writer))
    if entry is None:
        return 0, Position()
    position, end, width = None, entry.seq + 1, WINDOW
    while position is None and end > 1:
        begin = max(1, end - width)
        position = await _highest_position(log, writer, begin, end)
        end, width = begin, width * 2
    return entry.seq, position or Position()


async def _highest_position(log: PastLog, writer: str, begin: int, end: int) -> Position | None:
    """The highest position that a valid message of the writer carries, from `begin` on and before `end`."""
    highest = None
    while (entry := await log.first_on(writer_filter(writer), begin)) is not None and entry.seq < end:
        position = _position_in(entry, writer)
        if position is not None:
            highest = max(highest or position, position)
        begin = entry.seq + 1
    return highest


def _position_in(entry: LogEntry, writer: str) -> Position | None:
    """The position a message carries, if the writer can have said it: nobody has finished an input that comes after his words."""
    try:
        message = decode_from(entry.subject, entry.payload)
    except BadEvent:
        return None
    if message.producer != writer or message.done_in_seq >= entry.seq:
        return None
    return Position(message.done_in_seq, message.done_out_index)


async def _first_settings(log: PastLog, writer: str, machine_class: type[Machine], settings: Any) -> Any:
    """The settings of the writer's first start: what was decided before the next `started` was decided under them."""
    subject, seq = f"{writer}.started", 1
    while (entry := await log.first_on(subject, seq)) is not None:
        with suppress(BadEvent, msgspec.ValidationError):
            started = decode_from(entry.subject, entry.payload)
            if isinstance(started, ServiceStarted):
                return settings_of(machine_class, started)
        seq = entry.seq + 1
    return settings
