"""A log as a file, so that it can be kept, sent and replayed elsewhere: the lines of its entries (log_lines), in order.

A line that is missing, doubled or out of order is found when the file is read; one that was altered is found by the replay. A backup
(services/cli/backup) is a folder of such files, and is read as if it were one.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, overload

from libs.runtime.adapter import LogEntry
from services.cli.backup.archive import BadArchive, entries_of, read_manifest
from services.cli.log_lines import BadDump, entry_of, line_of


def read_dump(path: Path) -> Iterator[LogEntry]:
    """The entries of a dump, or of a backup where `path` is a folder, in order and without a gap.

    Raises:
        BadDump, OSError.
    """
    if path.is_dir():
        yield from _read_backup(path)
        return
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


def _read_backup(folder: Path) -> Iterator[LogEntry]:
    try:
        manifest = read_manifest(folder)
        if not manifest.last_seq:
            raise BadArchive(f"{folder} is a backup of nothing yet")
        for stored in entries_of(folder, manifest):
            yield stored.entry
    except BadArchive as error:
        raise BadDump(str(error)) from error


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
