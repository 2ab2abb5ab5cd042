"""`open_bars`: files and folders of bars as checked series, one for each instrument and timeframe.

Everything is read and checked once before anything is given out; `BarSeries.batches` reads the files again. So memory grows with the
number of series and not with their bars.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from libs.common.timeframe import BAR_STEP
from libs.research.bar_files.columns import FIELDS, layouts, symbol_place
from libs.research.bar_files.naming import SUFFIXES, identify, suffix_of
from libs.research.bar_files.rows import Source, Wish
from libs.research.bar_files.sequence import Joined, Unsorted
from libs.research.bar_files.tables import head_of, symbols_of
from libs.research.bar_files.terms import MEGABYTE, Missing, RefusedFile, Repair, RepairKind, Told
from libs.runtime.recording_manifest import is_dataset

BAR_FOLDER = "bar"
FAR = 1 << 62


class BarSeries:
    """One instrument and timeframe, checked. Instants in ns; `end_ts` is when the last bar closes.

    `gaps` are the first holes (at most 100, filled or passed over), `missing` the bars in all of them. `digest` is a blake2b-128 over
    the instants, prices and volumes of all bars: the same for the same bars, whatever they were read from.
    """

    def __init__(self, sources: Sequence[Source], wish: Wish):
        """Read it to its end.

        Raises:
            RefusedFile, OSError.
        """
        file, self.instrument = sources[0].file, sources[0].layout.instrument
        self.timeframe, self.venue = file.timeframe, file.venue
        self._sources, self._wish = tuple(sources), wish
        self._unsorted: set[Source] = set()
        self._states = {each.file.path: _state(each.file.path) for each in sources}
        self.bars = self.first_ts_open = last = 0
        while True:
            reading, sums = Joined(self._sources, wish, self._unsorted), _Sums()
            self.bars = 0
            try:
                for batch in reading.batches():
                    self.first_ts_open = batch["ts_open"][0].as_py() if not self.bars else self.first_ts_open
                    last = batch["ts_open"][-1].as_py()
                    self.bars += batch.num_rows
                    sums.add(batch)
                break
            except Unsorted as error:
                self._unsorted.add(error.source)
        self.end_ts = last + BAR_STEP[self.timeframe]
        self.digest = sums.digest()
        self.gaps: tuple[Missing, ...] = tuple(reading.gaps)
        self.missing = reading.missing
        self.repairs: tuple[Repair, ...] = reading.repairs.all()
        if not self.bars:
            raise RefusedFile(file.path, f"no bars of {self.instrument}", "at least one in the span asked for")

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from."""
        return tuple(source.file.path for source in self._sources)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """`ts_open` (int64, ns), `open`, `high`, `low`, `close`, `volume` (float64), `synthetic` (bool), oldest first.

        Raises:
            RefusedFile: a file changed since it was checked. OSError.
        """
        for path, state in self._states.items():
            if _state(path) != state:
                raise RefusedFile(path, "the file changed after it was checked", "", "run again when nobody writes it")
        yield from Joined(self._sources, self._wish, self._unsorted).batches()


class _Sums:
    """A digest over columns, the same however rows are cut into batches."""

    def __init__(self) -> None:
        self._columns = {name: hashlib.blake2b(digest_size=16) for name in ("ts_open", *FIELDS)}

    def add(self, batch: pa.RecordBatch) -> None:
        for name, digest in self._columns.items():
            column = batch[name]
            start = column.offset * 8
            digest.update(memoryview(column.buffers()[1])[start : start + len(column) * 8])

    def digest(self) -> str:
        together = b"".join(each.digest() for each in self._columns.values())
        return hashlib.blake2b(together, digest_size=16).hexdigest()


def open_bars(
    paths: Sequence[Path],
    told: Told = Told(),  # noqa: B008  it is frozen
    repair: frozenset[RepairKind] = frozenset(),
    begin: int | None = None,
    end: int | None = None,
) -> list[BarSeries]:
    """The series in files and folders, by instrument and timeframe, of bars that open at `begin` or later and close by `end` (ns).

    Raises:
        RefusedFile: the first thing that is wrong, with its row and what to do. OSError.
    """
    if {RepairKind.KEEP_FIRST, RepairKind.KEEP_LAST} <= repair:
        raise ValueError("keep-first and keep-last contradict each other: ask for one")
    wish = Wish(
        frozenset(map(RepairKind, repair)), begin or 0, end or FAR, told.assume_utc, int(told.max_mb * MEGABYTE)
    )
    found: dict[tuple[str, str], list[Source]] = {}
    for path in _files(paths, told):
        for source in _sources(path, told, wish):
            found.setdefault((source.layout.instrument, source.file.timeframe), []).append(source)
    for (instrument, _), sources in found.items():
        venues = sorted({each.file.venue for each in sources})
        if len(venues) > 1:
            remedy = f"tell which: `--venue {venues[-1]}`"
            raise RefusedFile(sources[0].file.path, f"{instrument} of {', '.join(venues)}", "one venue", remedy)
    return [BarSeries(sources, wish) for _, sources in sorted(found.items(), key=lambda each: each[0])]


def _sources(path: Path, told: Told, wish: Wish) -> Iterator[Source]:
    file = identify(path, told)
    head = head_of(path, wish.bytes_max)
    place = symbol_place(head.names)
    symbols = symbols_of(path, head, place, wish.bytes_max) if place >= 0 else []
    for layout in layouts(file, head.names, symbols, told):
        yield Source(file, head, layout)


def _files(paths: Sequence[Path], told: Told) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path] = None
            continue
        is_ours = is_dataset(path)
        below = path / BAR_FOLDER if is_ours else path
        files = sorted(each for each in below.rglob("*") if suffix_of(each) and each.is_file() and each.name[0] != ".")
        if is_ours and (told.instrument or told.venue):
            wanted = {f"instrument={told.instrument}", f"venue={told.venue}"} - {"instrument=", "venue="}
            files = [each for each in files if wanted <= set(each.parts)]
        if not files:
            what = (
                f"no bars{' of ' + told.instrument if told.instrument else ''} in the dataset"
                if is_ours
                else "no files of bars"
            )
            raise RefusedFile(
                path,
                what,
                f"files that end in {', '.join(SUFFIXES)}",
                "`bulkhead import` makes such a dataset" if is_ours else "",
            )
        found.update(dict.fromkeys(files))
    return list(found)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
