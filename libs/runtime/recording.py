"""A folder of market data as zstd-compressed Parquet: written part by part, read back in the order in which it came.

    <folder>/recording.json                                      how far it reaches, and what is missing (recording_manifest)
    <folder>/trade/venue=binance/instrument=BTC-USDT/date=2026-01-05/part-000000004711.parquet
    <folder>/quote/venue=binance/instrument=BTC-USDT/date=2026-01-05/part-000000004712.parquet
    <folder>/unknown/date=2026-01-05/part-000000004713.parquet   subjects and bytes of what the recorder could not read
    <folder>/bar/venue=binance/instrument=BTC-USDT/timeframe=1m/year=2025/bars.parquet          (imported, recording_imports)

Theory of operation. A recorder collects rows of every kind and commits them together: all parts are written (each whole or not at
all), then the manifest says how far they reach. A part that begins behind that was written by a commit that never ended: readers
do not see it, the next writer removes it. So however a recorder ends, the next one goes on behind the last committed message, and
the stream itself holds what was not committed. A part is named for its first seq; `date` is the day (UTC) of `ts_event`.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from libs.common.codec import BadEvent, decode, encode
from libs.common.messages import Bar, Message
from libs.common.subjects import subject_of
from libs.runtime.adapter import LogEntry
from libs.runtime.recording_manifest import (
    DRAFT_SUFFIX,
    MANIFEST,
    Gap,
    Manifest,
    RecordingError,
    open_manifest,
    read_manifest,
    save_manifest,
    write_durably,
)
from libs.runtime.recording_tables import (
    TABLES,
    UNKNOWN,
    PartHead,
    Row,
    head_of,
    row_of,
    unknown_table,
    with_head,
)

SECOND_NS = 1_000_000_000
ROWS_READ = 8192
BAR_FOLDER = "bar"
_FAR = 1 << 62

Group = tuple[str, tuple[tuple[str, str], ...], str]
"""Rows of one file: the message type, what they share, and their day."""


def write_parquet(path: Path, table: pa.Table) -> None:
    """A table as a file, whole or not at all."""
    write_durably(path, lambda file: pq.write_table(table, file, compression="zstd"))


def day_of(ts: int) -> str:
    """The day (UTC) of an instant in nanoseconds."""
    return datetime.fromtimestamp(ts // SECOND_NS, UTC).date().isoformat()


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
        if path.name.endswith(DRAFT_SUFFIX) or _first_seq(path) > last_seq:
            path.unlink()


def _first_seq(path: Path) -> int:
    digits = path.stem.removeprefix("part-")
    if not digits.isdigit():
        raise RecordingError(f"{path}: not the name of a part (part-<first seq>.parquet)")
    return int(digits)


# --- reading ------------------------------------------------------------------------------------------------------


class Part(msgspec.Struct, frozen=True):
    """One file of a dataset: its folder under the root (`trade`, `quote`, `bar`, `unknown`), and what its path says.

    `begins_at` is its first seq; in an imported dataset the beginning of its day (ns).
    """

    path: Path
    kind: str
    shared: dict[str, str]
    begins_at: int


class Recording:
    """A dataset as it stood when it was opened. What is committed later is not seen.

    Recorded messages come in the order of the stream (`seq`), over all kinds and instruments; imported ones, which were never in a
    stream, have seq 0 and come in the order of `ts_event`.
    """

    def __init__(self, folder: Path):
        """Open the dataset in `folder`.

        Raises:
            RecordingError: there is none, or it cannot be read.
        """
        self.folder = folder
        self.manifest = read_manifest(folder / MANIFEST)
        self.is_imported = self.manifest.origin == "imported"
        found = [_part(folder, path) for path in sorted(folder.rglob("*.parquet"))]
        self.parts = tuple(part for part in found if self.is_imported or part.begins_at <= self.manifest.last_seq)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What the stream no longer had when it was recorded."""
        return tuple(self.manifest.gaps)

    def venues(self) -> tuple[str, ...]:
        """Every venue there is anything of."""
        return tuple(sorted({part.shared["venue"] for part in self.parts if "venue" in part.shared}))

    def instruments(self, kind: str = "trade", venue: str = "") -> tuple[str, ...]:
        """Every instrument that has messages of this kind (of this venue)."""
        parts = self._chosen((kind,), (), (venue,) if venue else ())
        return tuple(sorted({part.shared["instrument"] for part in parts if "instrument" in part.shared}))

    def entries(
        self,
        *,
        kinds: Collection[str] = (),
        instruments: Collection[str] = (),
        venues: Collection[str] = (),
    ) -> Iterator[LogEntry]:
        """The recorded entries as they stood in the stream, byte for byte, unknown ones included (empty: all of them).

        Raises:
            RecordingError: a part cannot be read.
        """
        for seq, found in self._merged(kinds, instruments, venues):
            yield found if isinstance(found, LogEntry) else LogEntry(seq, subject_of(found), encode(found))

    def messages(
        self,
        *,
        kinds: Collection[str] = (),
        instruments: Collection[str] = (),
        venues: Collection[str] = (),
        since: int = 0,
        until: int = _FAR,
    ) -> Iterator[tuple[int, Message]]:
        """(seq, message) with `since <= ts_init < until`; what still cannot be decoded is passed over (see `entries`).

        Raises:
            RecordingError: a part cannot be read.
        """
        for seq, found in self._merged(kinds, instruments, venues):
            message = _decoded(found) if isinstance(found, LogEntry) else found
            if message is not None and since <= message.ts_init < until:
                yield seq, message

    def bars(self, instrument: str, timeframe: str, venue: str = "binance") -> Iterator[Bar]:
        """Imported bars of one series, oldest first.

        Raises:
            RecordingError: a part cannot be read.
        """
        wanted = {"venue": venue, "instrument": instrument, "timeframe": timeframe}
        for part in self.parts:
            if part.kind == BAR_FOLDER and wanted.items() <= part.shared.items():
                for batch in _batches(part.path)[1]:
                    for row in batch.to_pylist():
                        yield Bar(**wanted, **row)

    def _chosen(self, kinds: Collection[str], instruments: Collection[str], venues: Collection[str]) -> Iterator[Part]:
        for part in self.parts:
            if part.kind == BAR_FOLDER or (kinds and part.kind not in kinds):
                continue
            if part.kind != UNKNOWN and (
                (instruments and part.shared.get("instrument") not in instruments)
                or (venues and part.shared.get("venue") not in venues)
            ):
                continue
            yield part

    def _merged(
        self, kinds: Collection[str], instruments: Collection[str], venues: Collection[str]
    ) -> Iterator[tuple[int, Message | LogEntry]]:
        """Rows of all parts in order; a part is opened when the first of its rows may be due, and closed behind its last."""
        parts = sorted(self._chosen(kinds, instruments, venues), key=lambda part: (part.begins_at, part.path))
        parts.reverse()
        due: list[tuple[int, int, int, Message | LogEntry]] = []
        open_rows: dict[int, Iterator[tuple[int, int, Message | LogEntry]]] = {}

        def step(number: int) -> None:
            row = next(open_rows[number], None)
            if row is None:
                del open_rows[number]
            else:
                heapq.heappush(due, (row[0], number, row[1], row[2]))

        opened = 0
        while parts or due:
            while parts and (not due or parts[-1].begins_at <= due[0][0]):
                opened += 1
                open_rows[opened] = _rows(parts.pop(), by_time=self.is_imported)
                step(opened)
            if due:
                _, number, seq, found = heapq.heappop(due)
                yield seq, found
                step(number)


def _rows(part: Part, *, by_time: bool) -> Iterator[tuple[int, int, Message | LogEntry]]:
    """(key, seq, message or entry) of one part, in its order."""
    head, batches = _batches(part.path)
    if head.type and head.type not in TABLES:
        raise RecordingError(f"{part.path}: holds {head.type}, which this code does not know")
    for batch in batches:
        if not head.type:
            columns = [batch.column(name).to_pylist() for name in ("seq", "subject", "payload")]
            for seq, subject, payload in zip(*columns, strict=True):
                yield seq, seq, LogEntry(seq, subject, payload)
            continue
        try:
            for seq, message in TABLES[head.type].messages(batch, head.shared):
                yield message.ts_event if by_time else seq, seq, message
        except RecordingError as error:
            raise RecordingError(f"{part.path}: {error}") from None


def _batches(path: Path) -> tuple[PartHead, Iterator[pa.RecordBatch]]:
    try:
        file = pq.ParquetFile(path)
        head = head_of(file.schema_arrow)
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: cannot be read ({error})") from None
    return head, _read(path, file)


def _read(path: Path, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    with file:
        try:
            yield from file.iter_batches(ROWS_READ, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise RecordingError(f"{path}: cannot be read ({error})") from None


def _part(folder: Path, path: Path) -> Part:
    kind, *rest = path.relative_to(folder).parts[:-1]
    shared = dict(name.split("=", 1) for name in rest if "=" in name)
    if path.stem.startswith("part-"):
        return Part(path, kind, shared, _first_seq(path))
    try:
        day = datetime.fromisoformat(shared.get("date", "1970-01-01")).replace(tzinfo=UTC)
    except ValueError:
        raise RecordingError(f"{path}: {shared['date'][:20]!r} is not a day") from None
    return Part(path, kind, shared, int(day.timestamp()) * SECOND_NS)


def _decoded(entry: LogEntry) -> Message | None:
    try:
        return decode(entry.payload)
    except BadEvent:
        return None
