"""One instrument's rows of one file: times and numbers as such, and nothing that no market can have made.

Checks are over whole columns. The first row that fails one is refused, with what would repair it; or all that fail it are repaired and
counted, if somebody asked for that repair.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from libs.common.timeframe import ANCHOR, BAR_STEP
from libs.research.bar_files.columns import FIELDS, PRICES, Layout
from libs.research.bar_files.tables import Head, batches_of
from libs.research.bar_files.terms import BarFile, RefusedFile, Repair, RepairKind, by
from libs.research.bar_files.times import Clock

MAGNITUDE_MAX = 1e15
NOTHING = pa.array(["", "nan", "null", "none", "na", "n/a", "-"])
COLUMNS = ("ts_open", *FIELDS, "synthetic", "row")


class Wish(msgspec.Struct, frozen=True):
    """What a reader wants: which repairs, the span [begin, end) in ns, and the bound on a file's bytes."""

    repair: frozenset[RepairKind]
    begin: int
    end: int
    assume_utc: bool
    bytes_max: int


class Source(msgspec.Struct, frozen=True):
    """One instrument in one file."""

    file: BarFile
    head: Head
    layout: Layout

    def refusal(self, row: int, found: str, expected: str, remedy: str) -> RefusedFile:
        """A refusal of one of its rows."""
        return RefusedFile(self.file.path, found, expected, remedy, row=row, unit=self.head.unit)


class Repairs:
    """What was repaired so far, by file and kind."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, RepairKind], Repair] = {}

    def note(self, source: Source, kind: RepairKind, row: int, count: int) -> None:
        """So many rows more, the first of them at `row`."""
        key = (str(source.file.path), kind)
        old = self._found.get(key)
        self._found[key] = Repair(
            kind, source.file.path, old.row if old else row, (old.count if old else 0) + count, source.head.unit
        )

    def all(self) -> tuple[Repair, ...]:
        """In the order in which the first of each was made."""
        return tuple(self._found.values())


class Rows:
    """The rows of a source, read anew each time. Bars of the span only: what is not asked for is not judged."""

    def __init__(self, source: Source, wish: Wish, repairs: Repairs):
        self._source, self._wish, self._repairs = source, wish, repairs
        self._step = BAR_STEP[source.file.timeframe]
        self._anchor = ANCHOR.get(source.file.timeframe, 0)
        says_utc = source.head.says_utc or source.layout.says_utc or wish.assume_utc
        self._clock = Clock(is_utc=says_utc)
        self._judged_spacing = False

    def tables(self) -> Iterator[pa.Table]:
        """Columns `COLUMNS`, in the order of the file.

        Raises:
            RefusedFile, OSError.
        """
        source, layout = self._source, self._source.layout
        for rows, columns in batches_of(source.file.path, source.head, layout.places, self._wish.bytes_max):
            cells = dict(zip(("time", *FIELDS), columns, strict=False))
            more = columns[1 + len(FIELDS) :]
            cells["row"] = rows
            if layout.symbol_at >= 0:
                keep = pc.fill_null(pc.equal(pc.cast(more.pop(0), pa.string()), layout.symbol), False)
                cells, more = _filtered(cells, keep), [each.filter(keep) for each in more]
            cells["synthetic"] = (
                pc.fill_null(pc.cast(more[0], pa.bool_()), False) if more else pa.repeat(False, len(cells["row"]))
            )
            if len(cells["row"]):
                table = self._table(cells)
                if table.num_rows:
                    self._judge_spacing(table)
                    self._require_grid(table)
                    table = self._on_grid(table)
                    if table.num_rows:
                        yield table

    def _table(self, cells: dict[str, pa.Array]) -> pa.Table:
        is_late = _is_nothing(cells["time"])
        if self._source.layout.is_wide or pc.any(is_late).as_py():
            nothing = [_is_nothing(cells[name]) for name in FIELDS]
            is_blank = reduce(pc.and_, nothing if self._source.layout.is_wide else [is_late, *nothing])
            keep = pc.invert(is_blank)
            cells, is_late = _filtered(cells, keep), is_late.filter(keep)
        cells = self._complete(cells, {"time": is_late})
        rows = cells["row"]

        def refuse(place: int, found: str, expected: str, remedy: str) -> RefusedFile:
            return self._source.refusal(rows[place].as_py(), found, expected, remedy)

        cells["ts_open"] = self._clock.nanoseconds(cells.pop("time"), rows, refuse)
        upto = pc.add(cells["ts_open"], self._step)
        is_wanted = pc.and_(pc.greater_equal(cells["ts_open"], self._wish.begin), pc.less_equal(upto, self._wish.end))
        if not pc.all(is_wanted).as_py():
            cells = _filtered(cells, is_wanted)
        for name in FIELDS:
            cells[name] = self._numbers(cells[name], cells["row"], name)
        cells = self._complete(cells, {name: pc.is_null(cells[name], nan_is_null=True) for name in FIELDS})
        return pa.table({name: cells[name] for name in COLUMNS})

    # --- cells ----------------------------------------------------------------------------------------------------

    def _complete(self, cells: dict[str, pa.Array], holes: dict[str, pa.Array]) -> dict[str, pa.Array]:
        is_hole = reduce(pc.or_, holes.values())
        if not pc.any(is_hole).as_py():
            return cells
        at = pc.index(is_hole, True).as_py()
        row = cells["row"][at].as_py()
        if RepairKind.DROP_INCOMPLETE not in self._wish.repair:
            name = next(name for name, hole in holes.items() if hole[at].as_py())
            remedy = f"{by(RepairKind.DROP_INCOMPLETE)} leaves such rows out (where they stood, a bar is missing then)"
            raise self._source.refusal(row, f"{name} is empty or NaN", "a value", remedy)
        self._repairs.note(self._source, RepairKind.DROP_INCOMPLETE, row, pc.sum(is_hole).as_py())
        return _filtered(cells, pc.invert(is_hole))

    def _numbers(self, column: pa.Array, rows: pa.Array, name: str) -> pa.Array:
        kind = column.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
                return pc.cast(column, pa.float64(), safe=False)
            raise RefusedFile(self._source.file.path, f"the column for {name} is of type {kind}", "numbers")
        try:
            return pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            text = pc.utf8_trim_whitespace(column)
            text = pc.if_else(_is_nothing(text), pa.scalar(None, text.type), text)
        try:
            return pc.cast(text, pa.float64())
        except pa.ArrowInvalid:
            at = _first_bad(text)
            remedy = "mend or remove that line; decimals have a point, thousands no mark"
            raise self._source.refusal(
                rows[at].as_py(), f"{name} is {text[at].as_py()[:60]!r}", "a number", remedy
            ) from None

    # --- rows -----------------------------------------------------------------------------------------------------

    def _judge_spacing(self, table: pa.Table) -> None:
        """Whether the first rows are apart as bars of the timeframe are; judged once, by most of them."""
        if self._judged_spacing or table.num_rows < 4:
            return
        self._judged_spacing = True
        ts = table["ts_open"].combine_chunks()
        apart = pc.abs(pc.subtract(ts.slice(1), ts.slice(0, len(ts) - 1)))
        apart = apart.filter(pc.greater(apart, 0))
        most = pc.mode(apart, 1).to_pylist()
        if not most or most[0]["mode"] == self._step or most[0]["count"] * 2 <= len(apart):
            return
        found = next((name for name, step in BAR_STEP.items() if step == most[0]["mode"]), "")
        seconds = most[0]["mode"] / 1_000_000_000
        remedy = f"tell it: `--timeframe {found}`" if found else "no timeframe that can be read is so long"
        raise self._source.refusal(
            table["row"][1].as_py(),
            f"most rows are {seconds:g} s apart",
            f"{self._step // 1_000_000_000} s, as bars of {self._source.file.timeframe} are",
            remedy,
        )

    def _require_grid(self, table: pa.Table) -> None:
        if RepairKind.DROP_OFF_GRID in self._wish.repair:
            return
        if (at := pc.index(self._is_on_grid(table), False).as_py()) >= 0:
            ts = table["ts_open"][at].as_py()
            late = (ts - self._anchor) % self._step / 1_000_000_000
            raise self._source.refusal(
                table["row"][at].as_py(),
                f"a bar that begins {late:g} s after the grid",
                f"the beginning of a bar of {self._source.file.timeframe} (days begin at 00:00 UTC, weeks on Monday)",
                f"{by(RepairKind.DROP_OFF_GRID)} leaves such rows out; if all rows are so, they tell closing times or another timezone",
            )

    def _is_on_grid(self, table: pa.Table) -> pa.ChunkedArray:
        offset = pc.subtract(table["ts_open"], self._anchor)
        return pc.equal(pc.multiply(pc.divide(offset, self._step), self._step), offset)

    def _on_grid(self, table: pa.Table) -> pa.Table:
        if RepairKind.DROP_OFF_GRID in self._wish.repair:
            table = self._without(table, self._is_on_grid(table), RepairKind.DROP_OFF_GRID)
        return self._possible(table)

    def _possible(self, table: pa.Table) -> pa.Table:
        """Only bars that a market can have made."""
        for name in FIELDS:
            column = table[name]
            low = pc.greater_equal(column, 0.0) if name == "volume" else pc.greater(column, 0.0)
            expected = "a finite number" + (", not negative" if name == "volume" else " above 0")
            table = self._sound(table, pc.and_(low, pc.less(column, MAGNITUDE_MAX)), name, expected)
        if not table.num_rows:
            return table
        is_sound = pc.greater_equal(table["high"], table["low"])
        table = self._sound(table, is_sound, "high", "no high below the low")
        highest = pc.max_element_wise(*(table[name] for name in PRICES))
        lowest = pc.min_element_wise(*(table[name] for name in PRICES))
        is_inside = pc.and_(pc.equal(highest, table["high"]), pc.equal(lowest, table["low"]))
        if RepairKind.WIDEN in self._wish.repair:
            if (at := pc.index(is_inside, False).as_py()) >= 0:
                count = pc.sum(pc.invert(is_inside)).as_py()
                self._repairs.note(self._source, RepairKind.WIDEN, table["row"][at].as_py(), count)
                places = [table.schema.get_field_index(name) for name in ("high", "low")]
                table = table.set_column(places[0], "high", highest).set_column(places[1], "low", lowest)
            return table
        return self._sound(table, is_inside, "open or close", "prices within low and high", RepairKind.WIDEN)

    def _sound(
        self, table: pa.Table, is_good: pa.ChunkedArray, name: str, expected: str, *also: RepairKind
    ) -> pa.Table:
        if RepairKind.DROP_BROKEN in self._wish.repair:
            return self._without(table, is_good, RepairKind.DROP_BROKEN)
        at = pc.index(is_good, False).as_py()
        if at < 0:
            return table
        shown = ", ".join(f"{each} {table[each][at].as_py()!r}" for each in FIELDS)
        remedy = f"{by(RepairKind.DROP_BROKEN, *also)} repairs such rows"
        raise self._source.refusal(table["row"][at].as_py(), f"{name} cannot be ({shown})", expected, remedy)

    def _without(self, table: pa.Table, is_good: pa.ChunkedArray, kind: RepairKind) -> pa.Table:
        at = pc.index(is_good, False).as_py()
        if at < 0:
            return table
        self._repairs.note(self._source, kind, table["row"][at].as_py(), pc.sum(pc.invert(is_good)).as_py())
        return table.filter(is_good)


def _filtered(cells: dict[str, pa.Array], keep: pa.Array) -> dict[str, pa.Array]:
    return {name: column.filter(keep) for name, column in cells.items()}


def _is_nothing(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        if pc.min(pc.binary_length(column)).as_py() not in (None, 0) and not _has_words(column):
            return pc.is_null(column)
        text = pc.cast(pc.utf8_lower(pc.utf8_trim_whitespace(column)), pa.string())
        return pc.or_(pc.is_null(column), pc.is_in(text, value_set=NOTHING))
    return pc.is_null(column, nan_is_null=True)


def _has_words(column: pa.Array) -> bool:
    """Whether anything in a column of texts is no number or time: only then it is looked at word by word."""
    return bool(pc.any(pc.match_substring_regex(column, r"^\s*([nN]|-\s*$|\s*$)")).as_py())


def _first_bad(column: pa.Array) -> int:
    """The place of the first text that is no number; there is one."""
    start, count = 0, len(column)
    while count > 1:
        half = count // 2
        try:
            pc.cast(column.slice(start, half), pa.float64())
        except pa.ArrowInvalid:
            count = half
        else:
            start, count = start + half, count - half
    return start


def wants(repair: frozenset[RepairKind], kinds: Collection[RepairKind]) -> RepairKind | None:
    """The first of `kinds` that was asked for."""
    return next((kind for kind in kinds if kind in repair), None)
