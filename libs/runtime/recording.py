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
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from libs.common.codec import BadEvent, decode, encode
from libs.common.messages import Bar, Message
from libs.common.subjects import subject_of
from libs.common.timeframe import SECOND
from libs.runtime.adapter import LogEntry
from libs.runtime.recording_manifest import MANIFEST, Gap, RecordingError, first_seq_of, read_manifest
from libs.runtime.recording_tables import TABLES, UNKNOWN, PartHead, head_of

ROWS_READ = 8192
BAR_FOLDER = "bar"
_FAR = 1 << 62


class Part(msgspec.Struct, frozen=True):
    """One file of a dataset: its folder under the root (`trade`, `quote`, `bar`, `unknown`), and what its path says.

    `begins_at` is its first seq; in an imported dataset the beginning of its day (ns).
    """

    path: Path
    kind: str
    shared: dict[str, str]
    begins_at: int


class Choice(msgspec.Struct, frozen=True):
    """What a reader wants; an empty collection means everything of that sort."""

    kinds: Collection[str] = ()
    instruments: Collection[str] = ()
    venues: Collection[str] = ()
    since: int = 0
    until: int = _FAR
    with_unknown: bool = False

    def takes(self, part: Part) -> bool:
        """Whether there may be something of it in a part."""
        if part.kind == UNKNOWN:
            return self.with_unknown
        return part.kind != BAR_FOLDER and self._fits(
            part.kind, part.shared.get("instrument"), part.shared.get("venue")
        )

    def wants(self, message: Message) -> bool:
        """Whether a message is of it."""
        if not self.since <= message.ts_init < self.until:
            return False
        instrument, venue = getattr(message, "instrument", None), getattr(message, "venue", None)
        return self._fits(message.suffix.partition(".")[0], instrument, venue)

    def _fits(self, kind: str, instrument: str | None, venue: str | None) -> bool:
        return (
            (not self.kinds or kind in self.kinds)
            and (not self.instruments or instrument in self.instruments)
            and (not self.venues or venue in self.venues)
        )


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
        parts = filter(Choice((kind,), venues=(venue,) if venue else ()).takes, self.parts)
        return tuple(sorted({part.shared["instrument"] for part in parts if "instrument" in part.shared}))

    def entries(
        self, *, kinds: Collection[str] = (), instruments: Collection[str] = (), venues: Collection[str] = ()
    ) -> Iterator[LogEntry]:
        """The recorded entries as they stood in the stream, byte for byte (empty: all of them).

        What the recorder could not read is among them when nothing is chosen, or with the kind `unknown`.

        Raises:
            RecordingError: a part cannot be read.
        """
        is_all = not kinds and not instruments and not venues
        choice = Choice(kinds, instruments, venues, with_unknown=is_all or UNKNOWN in kinds)
        for seq, found in self._merged(choice):
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
        """(seq, message) with `since <= ts_init < until`, in the order of seq.

        What the recorder did not know and this code does is among them; what nobody can read is not (see `entries`).

        Raises:
            RecordingError: a part cannot be read.
        """
        choice = Choice(kinds, instruments, venues, since, until, with_unknown=True)
        for seq, found in self._merged(choice):
            message = _decoded(found) if isinstance(found, LogEntry) else found
            if message is not None and choice.wants(message):
                yield seq, message

    def bars(self, instrument: str, timeframe: str, venue: str = "binance") -> Iterator[Bar]:
        """Imported bars of one series, oldest first.

        Raises:
            RecordingError: a part cannot be read.
        """
        wanted = {"venue": venue, "instrument": instrument, "timeframe": timeframe}
        for part in self.parts:
            if part.kind == BAR_FOLDER and wanted.items() <= part.shared.items():
                for batch in _batches(part.path, Choice())[1]:
                    for row in batch.to_pylist():
                        yield Bar(**wanted, **row)

    def _merged(self, choice: Choice) -> Iterator[tuple[int, Message | LogEntry]]:
        """Rows of all parts in order; a part is opened when the first of its rows may be due, and closed behind its last."""
        parts = sorted(filter(choice.takes, self.parts), key=lambda part: (part.begins_at, part.path))
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
                open_rows[opened] = _rows(parts.pop(), choice, by_time=self.is_imported)
                step(opened)
            if due:
                _, number, seq, found = heapq.heappop(due)
                yield seq, found
                step(number)


def _rows(part: Part, choice: Choice, *, by_time: bool) -> Iterator[tuple[int, int, Message | LogEntry]]:
    """(key, seq, message or entry) of one part, in its order."""
    head, batches = _batches(part.path, choice)
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


def _batches(path: Path, choice: Choice) -> tuple[PartHead, Iterator[pa.RecordBatch]]:
    try:
        file = pq.ParquetFile(path)
        head = head_of(file.schema_arrow)
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: cannot be read ({error})") from None
    return head, _read(path, file, choice)


def _read(path: Path, file: pq.ParquetFile, choice: Choice) -> Iterator[pa.RecordBatch]:
    with file:
        try:
            for group in range(file.num_row_groups):
                if _may_hold(file, group, choice):
                    yield from file.iter_batches(ROWS_READ, row_groups=[group], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise RecordingError(f"{path}: cannot be read ({error})") from None


def _may_hold(file: pq.ParquetFile, group: int, choice: Choice) -> bool:
    """Whether rows of a group may lie in the span, by the least and the greatest `ts_init` that its footer names."""
    names = file.schema_arrow.names
    if "ts_init" not in names:
        return True
    found = file.metadata.row_group(group).column(names.index("ts_init")).statistics
    return found is None or not found.has_min_max or (found.max >= choice.since and found.min < choice.until)


def _part(folder: Path, path: Path) -> Part:
    kind, *rest = path.relative_to(folder).parts[:-1]
    shared = dict(name.split("=", 1) for name in rest if "=" in name)
    if path.stem.startswith("part-"):
        return Part(path, kind, shared, first_seq_of(path))
    try:
        day = datetime.fromisoformat(shared.get("date", "1970-01-01")).replace(tzinfo=UTC)
    except ValueError:
        raise RecordingError(f"{path}: {shared['date'][:20]!r} is not a day") from None
    return Part(path, kind, shared, int(day.timestamp()) * SECOND)


def _decoded(entry: LogEntry) -> Message | None:
    try:
        return decode(entry.payload)
    except BadEvent:
        return None
