"""Where rows of weight budgets stand: on the bus for all hosts (`SharedRows`), in a file for this host (`HostRows`).

On the bus each writer has a subject of its own, which only it may publish, and a row is written on the condition that no row of
that venue and address has changed: the condition covers all subjects below `$KV.BUDGETS.<venue>.<egress>`. In the file whoever
runs on this host writes under one lock; it is what remains when the bus is away, and it is never synced: a host that lost its power
has not called anybody for longer than a window.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from libs.runtime.bus import Bus
from libs.runtime.streams import BUDGETS
from libs.runtime.weight_budget import Row

ROOT = "$KV.BUDGETS"
LOCK_TRIES = 10
LOCK_PAUSE_S = 0.0005


class HostRowsBusy(Exception):
    """Another process holds the file's lock, or the file cannot be used; the text says which."""


class SharedRows:
    """The rows on the bus of one writer and everybody who leaves through the same address."""

    def __init__(self, bus: Bus, writer: str, egress: str):
        self._bus = bus
        self._writer = writer
        self._egress = egress

    @property
    def is_connected(self) -> bool:
        """Whether the bus can be asked now."""
        return self._bus.is_connected

    async def last_seq(self, venue: str) -> int:
        """What changes when any row does."""
        found = await self._bus.last_row(BUDGETS, self._filter(venue))
        return found.seq if found is not None else 0

    async def read(self, venue: str) -> tuple[dict[str, Row], int]:
        """Every readable row by its writer, and the sequence that `write` expects if nothing changes meanwhile."""
        rows: dict[str, Row] = {}
        seq, prefix = 0, len(self._filter(venue)) - 1
        while (entry := await self._bus.first_on(self._filter(venue), seq + 1, BUDGETS)) is not None:
            seq = entry.seq
            row = decoded(entry.payload)
            if row is not None:
                rows[entry.subject[prefix:]] = row
        return rows, seq

    async def write(self, venue: str, row: Row, expected_seq: int) -> int:
        """Write our row if no row has changed since `expected_seq`; the new sequence.

        Raises:
            Fenced: one has.
            BusError: nobody answered, or it is forbidden.
        """
        subject = f"{ROOT}.{venue}.{self._egress}.{self._writer}"
        return await self._bus.put_row(subject, self._filter(venue), msgspec.json.encode(row), expected_seq)

    def _filter(self, venue: str) -> str:
        return f"{ROOT}.{venue}.{self._egress}.>"


class HostRows:
    """The rows of this host's processes, in one file a venue."""

    def __init__(self, folder: Path, venue: str, egress: str):
        self._folder = folder
        self._file = folder / f"{venue}.{egress}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the file. Waits some milliseconds at most: whoever holds it holds it for less than one.

        Raises:
            HostRowsBusy
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HostRowsBusy(f"{self._folder} cannot be used: {error.strerror}") from error
        try:
            for _ in range(LOCK_TRIES):
                if _is_ours(descriptor):
                    break
                time.sleep(LOCK_PAUSE_S)
            else:
                raise HostRowsBusy(f"{self._file} is held by another process")
            yield
        except OSError as error:
            raise HostRowsBusy(f"{self._file} cannot be used: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def read(self) -> dict[str, Row]:
        """Every row; a file that is no such file holds none."""
        try:
            raw = self._file.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            return {}
        return {writer: row for writer, text in found.items() if (row := decoded(bytes(text))) is not None}

    def write(self, rows: Mapping[str, Row]) -> None:
        """Replace all rows, in the lock."""
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(rows))
        draft.replace(self._file)


def _is_ours(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def decoded(payload: bytes) -> Row | None:
    """The row in these bytes; None where there is none: whoever wrote it has only hidden his own use."""
    try:
        return msgspec.json.decode(payload, type=Row)
    except (msgspec.DecodeError, RecursionError):
        return None
