"""Rows of one or several files as one series: ascending, each bar once, holes told or filled.

Theory of operation. Each file's rows must ascend. Files are opened when their first bar is due, and their rows merged by time; a bar
that two files tell is taken once if they agree. Between batches one row is kept back, so that what is compared are always neighbours.
So memory holds a batch of every file that is open at one instant. Only a file that must be sorted is held whole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from libs.common.timeframe import BAR_STEP, SECOND
from libs.research.bar_files.columns import FIELDS
from libs.research.bar_files.rows import Repairs, Rows, Source, Wish, wants
from libs.research.bar_files.tables import BATCH_ROWS
from libs.research.bar_files.terms import Missing, RefusedFile, RepairKind, by

GAPS_SHOWN = 100
BATCH_COLUMNS = ("ts_open", *FIELDS, "synthetic")
ONCE = (RepairKind.KEEP_FIRST, RepairKind.KEEP_LAST, RepairKind.DROP_REPEATED)


class Unsorted(Exception):
    """A source must be sorted, and somebody asked for that: begin again, holding it whole."""

    def __init__(self, source: Source):
        super().__init__(source.file.path)
        self.source = source


class Joined:
    """One reading of a series. What was found on the way is known when it has been read to its end."""

    def __init__(self, sources: Sequence[Source], wish: Wish, unsorted: set[Source]):
        self.sources, self.wish, self._unsorted = list(sources), wish, unsorted
        self.repairs = Repairs()
        self.gaps: list[Missing] = []
        self.missing = 0
        self._step = BAR_STEP[sources[0].file.timeframe]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """`BATCH_COLUMNS`, oldest first, each of at most `BATCH_ROWS` rows.

        Raises:
            RefusedFile, Unsorted, OSError.
        """
        for table in self._whole(self._once(self._merged(), across=True)):
            yield from table.select(BATCH_COLUMNS).combine_chunks().to_batches(BATCH_ROWS)

    # --- one file -------------------------------------------------------------------------------------------------

    def first_ts(self, source: Source) -> int | None:
        """The first instant of a source; None if it has no rows in the span."""
        with closing(self._file(source, Repairs())) as tables:
            return next((table["ts_open"][0].as_py() for table in tables), None)

    def _file(self, source: Source, repairs: Repairs) -> Generator[pa.Table, None, None]:
        tables: Iterable[pa.Table] = Rows(source, self.wish, repairs).tables()
        if source in self._unsorted:
            tables = self._sorted(source, list(tables), repairs)
        number = self.sources.index(source)
        numbered = (table.append_column("file", pa.repeat(number, table.num_rows)) for table in tables)
        yield from self._once(self._ascending(source, numbered), across=False, repairs=repairs)

    def _sorted(self, source: Source, tables: list[pa.Table], repairs: Repairs) -> Iterator[pa.Table]:
        if not tables:
            return
        table = pa.concat_tables(tables)
        del tables
        back = pc.less(table["ts_open"].slice(1), table["ts_open"].slice(0, table.num_rows - 1))
        at = pc.index(back, True).as_py()
        if at >= 0:
            repairs.note(source, RepairKind.SORT, table["row"][at + 1].as_py(), pc.sum(back).as_py())
            table = table.sort_by([("ts_open", "ascending"), ("row", "ascending")])
        for start in range(0, table.num_rows, BATCH_ROWS):
            yield table.slice(start, BATCH_ROWS)

    def _ascending(self, source: Source, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        last: pa.Table | None = None
        for table in tables:
            both = table if last is None else pa.concat_tables([last, table])
            ts = both["ts_open"]
            if both.num_rows > 1:
                back = pc.less(ts.slice(1), ts.slice(0, both.num_rows - 1))
                if (at := pc.index(back, True).as_py()) >= 0:
                    if RepairKind.SORT in self.wish.repair:
                        raise Unsorted(source)
                    is_mostly = pc.sum(back).as_py() * 2 > len(back) > 1
                    found = "newest first" if is_mostly else f"{_instant(ts[at + 1])} stands behind {_instant(ts[at])}"
                    remedy = f"{by(RepairKind.SORT)} sorts the file"
                    raise source.refusal(both["row"][at + 1].as_py(), found, "rows in ascending order", remedy)
            last = table.slice(table.num_rows - 1)
            yield table

    # --- several files --------------------------------------------------------------------------------------------

    def _merged(self) -> Iterator[pa.Table]:
        """Rows of all sources by time; those of one instant in the order of the sources."""
        if len(self.sources) == 1:
            yield from self._file(self.sources[0], self.repairs)
            return
        firsts = {number: self.first_ts(source) for number, source in enumerate(self.sources)}
        waiting = sorted((number for number, ts in firsts.items() if ts is not None), key=lambda n: (firsts[n], n))
        streams: dict[int, Iterator[pa.Table]] = {}
        held: dict[int, pa.Table] = {}
        while waiting or held:
            if not held:
                self._open(waiting.pop(0), streams, held)
            upto = min(table["ts_open"][-1].as_py() for table in held.values())
            while waiting and (firsts[waiting[0]] or 0) <= upto:
                self._open(waiting.pop(0), streams, held)
                upto = min(table["ts_open"][-1].as_py() for table in held.values())
            due = []
            for number in sorted(held):
                table = held[number]
                count = pc.sum(pc.less_equal(table["ts_open"], upto)).as_py()
                due.append(table.slice(0, count))
                rest = table.slice(count) if count < table.num_rows else next(streams[number], None)
                if rest is None:
                    del held[number], streams[number]
                else:
                    held[number] = rest
            joined = pa.concat_tables(due)
            yield joined if len(due) == 1 else joined.sort_by([("ts_open", "ascending"), ("file", "ascending")])

    def _open(self, number: int, streams: dict[int, Iterator[pa.Table]], held: dict[int, pa.Table]) -> None:
        stream = self._file(self.sources[number], self.repairs)
        first = next(stream, None)
        if first is not None:
            streams[number], held[number] = stream, first

    def _once(self, tables: Iterable[pa.Table], *, across: bool, repairs: Repairs | None = None) -> Iterator[pa.Table]:
        """Each instant once. `across`: rows of different files that agree need nobody's leave."""
        kept: pa.Table | None = None
        for table in tables:
            both = table if kept is None else pa.concat_tables([kept, table])
            table = self._without_repeats(both, across, repairs or self.repairs)
            kept = table.slice(table.num_rows - 1)
            if table.num_rows > 1:
                yield table.slice(0, table.num_rows - 1)
        if kept is not None:
            yield kept

    def _without_repeats(self, rows: pa.Table, across: bool, repairs: Repairs) -> pa.Table:
        count = rows.num_rows - 1
        later, before = rows.slice(1), rows.slice(0, count)
        is_repeat = pc.equal(later["ts_open"], before["ts_open"])
        at = pc.index(is_repeat, True).as_py() if count else -1
        if at < 0:
            return rows
        differs = pa.repeat(False, count)
        for name in FIELDS:
            differs = pc.or_(differs, pc.not_equal(later[name], before[name]))
        differs = pc.and_(differs, is_repeat)
        first, second = (rows.slice(at + place, 1).to_pylist()[0] for place in (0, 1))
        source = self.sources[second["file"]]
        wish = self.wish.repair
        one_truth = wants(wish, ONCE[:2])
        clash = pc.index(differs, True).as_py()
        if clash >= 0 and one_truth is None:
            raise self._contradiction(*(rows.slice(clash + place, 1).to_pylist()[0] for place in (0, 1)))
        kind = one_truth or wants(wish, ONCE)
        if kind is None and not across:
            remedy = f"{by(RepairKind.DROP_REPEATED)} takes it once"
            found = f"{_instant(second['ts_open'])} is there twice, in {source.head.unit} {first['row']} too"
            raise source.refusal(second["row"], found, "each bar once", remedy)
        if kind is not None and (not across or clash >= 0):
            repairs.note(source, kind, second["row"], pc.sum(is_repeat).as_py())
        edge = pa.chunked_array([pa.array([True])])
        once = pc.invert(is_repeat)
        is_last = one_truth is RepairKind.KEEP_LAST
        chunks = [*once.chunks, *edge.chunks] if is_last else [*edge.chunks, *once.chunks]
        return rows.filter(pa.chunked_array(chunks))

    def _contradiction(self, first: dict[str, Any], second: dict[str, Any]) -> RefusedFile:
        mine, theirs = self.sources[second["file"]], self.sources[first["file"]]
        name = next(name for name in FIELDS if first[name] != second[name])
        where = f"{theirs.head.unit} {first['row']}"
        if mine != theirs:
            where = f"{theirs.file.path}, {where},"
        found = f"{name} of {_instant(second['ts_open'])} is {second[name]!r}, but {where} says {first[name]!r}"
        remedy = f"find out which is true; {by(*ONCE[:2])} believes one"
        return mine.refusal(second["row"], found, "one truth about each bar", remedy)

    # --- holes ----------------------------------------------------------------------------------------------------

    def _whole(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        last: pa.Table | None = None
        for table in tables:
            both = table if last is None else pa.concat_tables([last, table])
            ts = both["ts_open"]
            apart = pc.subtract(ts.slice(1), ts.slice(0, both.num_rows - 1))
            holes = pc.indices_nonzero(pc.greater(apart, self._step)).to_pylist() if both.num_rows > 1 else []
            done = 0 if last is None else 1
            for at in holes:
                self._note_hole(both.slice(at, 1).to_pylist()[0], both.slice(at + 1, 1).to_pylist()[0])
                if RepairKind.FILL_GAPS in self.wish.repair:
                    if at + 1 > done:
                        yield both.slice(done, at + 1 - done)
                    yield from self._flat(both.slice(at, 1).to_pylist()[0], ts[at + 1].as_py())
                    done = at + 1
            if both.num_rows > done:
                yield both.slice(done)
            last = table.slice(table.num_rows - 1)

    def _note_hole(self, before: dict[str, Any], behind: dict[str, Any]) -> None:
        """Note a hole, or refuse it."""
        count = (behind["ts_open"] - before["ts_open"]) // self._step - 1
        hole = Missing(before["ts_open"] + self._step, behind["ts_open"] - self._step, count)
        source = self.sources[behind["file"]]
        kind = wants(self.wish.repair, (RepairKind.FILL_GAPS, RepairKind.ALLOW_GAPS))
        if kind is None:
            upto = "" if count == 1 else f" to {_instant(hole.last)}"
            found = f"{count:,} bar{'s' * (count > 1)} missing before this one: {_instant(hole.first)}{upto}"
            remedy = (
                f"{by(RepairKind.ALLOW_GAPS)} goes on over holes, {by(RepairKind.FILL_GAPS)} puts flat bars of volume 0"
            )
            raise source.refusal(behind["row"], found, f"a bar every {source.file.timeframe}", remedy)
        if kind is RepairKind.FILL_GAPS:
            self.repairs.note(source, kind, behind["row"], count)
        self.missing += count
        if len(self.gaps) < GAPS_SHOWN:
            self.gaps.append(hole)

    def _flat(self, before: dict[str, Any], until: int) -> Iterator[pa.Table]:
        first = before["ts_open"] + self._step
        for start in range(first, until, self._step * BATCH_ROWS):
            ts = list(range(start, min(until, start + self._step * BATCH_ROWS), self._step))
            count, close = len(ts), before["close"]
            prices = {name: pa.repeat(close, count) for name in FIELDS[:4]}
            made = {"ts_open": ts, **prices, "volume": pa.repeat(0.0, count), "synthetic": pa.repeat(True, count)}
            yield pa.table(made)


def _instant(ts: object) -> str:
    number = ts if isinstance(ts, int) else ts.as_py()  # type: ignore[attr-defined]
    text = datetime.fromtimestamp(number // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = number % SECOND
    return f"{text}.{rest:09d}Z" if rest else f"{text}Z"
