"""A log as a file: one JSON line for each entry, in order, so that it can be kept, sent and replayed elsewhere.

    {"seq":41,"subject":"risk.approved.BTC-USDT","payload":"{\\"type\\":...}"}

`payload` is the message's bytes as text; what is not UTF-8 stands in `payload_base64` instead. A line that is missing, doubled or
out of order is found when the file is read; one that was altered is found by the replay.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, overload

import msgspec

from libs.runtime.adapter import LogEntry


class BadDump(Exception):
    """The file is not a dump of a log; the text names the line and what is wrong with it."""


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    seq: int
    subject: str
    payload: str | None = None
    payload_base64: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def line_of(entry: LogEntry) -> bytes:
    """An entry as a line, newline included."""
    try:
        line = _Line(entry.seq, entry.subject, payload=entry.payload.decode())
    except UnicodeDecodeError:
        line = _Line(entry.seq, entry.subject, payload_base64=base64.b64encode(entry.payload).decode())
    return _encoder.encode(line) + b"\n"


def entry_of(line: bytes) -> LogEntry:
    """The entry in a line.

    Raises:
        BadDump: without the line's number, which only the reader of the file knows.
    """
    try:
        found = _decoder.decode(line)
        if (found.payload is None) == (found.payload_base64 is None):
            raise BadDump("wants either payload or payload_base64")
        if found.payload is not None:
            return LogEntry(found.seq, found.subject, found.payload.encode())
        return LogEntry(found.seq, found.subject, base64.b64decode(found.payload_base64 or "", validate=True))
    except (msgspec.MsgspecError, binascii.Error, UnicodeError) as error:
        raise BadDump(f"is not an entry of a log: {error}") from error


def read_dump(path: Path) -> Iterator[LogEntry]:
    """The entries of a dump, in order and without a gap.

    Raises:
        BadDump, OSError.
    """
    last = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                entry = entry_of(line)
            except BadDump as error:
                raise BadDump(f"{path}, line {number} {error}") from error
            if last and entry.seq != last + 1:
                raise BadDump(
                    f"{path}, line {number} holds entry {entry.seq} after {last}: lines are missing or out of order"
                )
            last = entry.seq
            yield entry
    if not last:
        raise BadDump(f"{path} is empty")


class Spool(Sequence[LogEntry]):
    """A log on disk, in a file that is gone when it is closed: eight bytes of memory an entry, readable in any order."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="bulkhead-log-")  # noqa: SIM115  (closed by `close`)
        self._offsets = array("Q")
        self._end = 0
        self._at_end = True

    def append(self, entry: LogEntry) -> None:
        """Add an entry at the end."""
        line = line_of(entry)
        if not self._at_end:
            self._file.seek(self._end)
            self._at_end = True
        self._file.write(line)
        self._offsets.append(self._end)
        self._end += len(line)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> LogEntry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LogEntry]: ...
    def __getitem__(self, index: int | slice) -> LogEntry | Sequence[LogEntry]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return self._entry_from(self._offsets[index])

    def _entry_from(self, offset: int) -> LogEntry:
        self._at_end = False
        self._file.seek(offset)
        return entry_of(self._file.readline())
