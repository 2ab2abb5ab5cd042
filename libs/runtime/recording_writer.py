"""Records a stream into a folder, commit by commit (the layout and the theory of operation: `recording`)."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from libs.common.timeframe import SECOND
from libs.runtime.adapter import LogEntry
from libs.runtime.recording_manifest import (
    DRAFT_SUFFIX,
    MANIFEST,
    Gap,
    Manifest,
    first_seq_of,
    open_manifest,
    save_manifest,
    write_durably,
)
from libs.runtime.recording_tables import TABLES, UNKNOWN, PartHead, Row, row_of, unknown_table, with_head

_FAR = 1 << 62

Group = tuple[str, tuple[tuple[str, str], ...], str]
"""Rows of one file: the message type, what they share, and their day."""


def write_parquet(path: Path, table: pa.Table) -> None:
    """A table as a file, whole or not at all."""
    write_durably(path, lambda file: pq.write_table(table, file, compression="zstd"))


def day_of(ts: int) -> str:
    """The day (UTC) of an instant in nanoseconds."""
    return datetime.fromtimestamp(ts // SECOND, UTC).date().isoformat()


class RecordingWriter:
    """Records entries of a stream, in their order, into a folder; one writer at a time."""

    def __init__(self, folder: Path, stream: str, stream_created: str, begins_at: int):
        """Go on with the recording in `folder`, or begin one with the message `begins_at`.

        Raises:
            RecordingError: the folder holds something else, or a recording of another stream. OSError.
        """
        self.folder = folder
        fresh = Manifest(
            origin="recorded",
            stream=stream,
            stream_created=stream_created,
            first_seq=begins_at,
            last_seq=begins_at - 1,
        )
        self.manifest = open_manifest(folder / MANIFEST, fresh)
        _sweep(folder, self.manifest.last_seq)
        self.last_seq = self.manifest.last_seq
        self.pending_bytes = 0
        self._groups: dict[Group, list[Row]] = defaultdict(list)
        self._ts = 0

    def note_gap(self, gap: Gap) -> None:
        """These messages are gone for ever; they count as passed."""
        self.manifest.gaps.append(gap)
        self.last_seq = max(self.last_seq, gap.last_seq)

    def add(self, entry: LogEntry) -> None:
        """Take the next entry; one that stands in the recording already is passed over."""
        if entry.seq <= self.last_seq:
            return
        row = row_of(entry)
        self._ts = _ts_of(row) or self._ts
        tag = row.table.tag if row.table else ""
        self._groups[tag, row.shared, day_of(self._ts)].append(row)
        self.last_seq = entry.seq
        self.pending_bytes += len(entry.payload)
        self.manifest.messages += 1
        self.manifest.unknown += row.table is None

    def commit(self) -> list[Path]:
        """Put everything taken so far on disk; returns the new parts."""
        paths = [self._write(group, rows) for group, rows in self._groups.items()]
        self.manifest.last_seq = self.last_seq
        save_manifest(self.folder / MANIFEST, self.manifest)
        self._groups.clear()
        self.pending_bytes = 0
        return paths

    def _write(self, group: Group, rows: list[Row]) -> Path:
        tag, shared, day = group
        first, last = rows[0].entry.seq, rows[-1].entry.seq
        head = PartHead(type=tag, shared=dict(shared), first_seq=first, last_seq=last)
        if tag:
            kept = [row.message for row in rows if row.message is not None]
            table = TABLES[tag].table([row.entry.seq for row in rows], kept)
        else:
            table = unknown_table([row.entry for row in rows])
        place = self.folder / (TABLES[tag].folder if tag else UNKNOWN)
        for name, value in shared:
            place /= f"{name}={value}"
        path = place / f"date={day}" / f"part-{first:012d}.parquet"
        write_parquet(path, with_head(table, head))
        return path


class _Timed(msgspec.Struct):
    ts_event: int = 0


def _ts_of(row: Row) -> int:
    """When it happened; 0: it does not say."""
    if row.message is not None:
        return row.message.ts_event
    try:
        found = msgspec.json.decode(row.entry.payload, type=_Timed).ts_event
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    return found if 0 < found < _FAR else 0


def _sweep(folder: Path, last_seq: int) -> None:
    """Remove what a killed writer left: drafts, and parts behind the end."""
    for path in [*folder.rglob(f".*{DRAFT_SUFFIX}"), *folder.rglob("part-*.parquet")]:
        if path.name.endswith(DRAFT_SUFFIX) or first_seq_of(path) > last_seq:
            path.unlink()
