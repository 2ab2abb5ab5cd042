"""Rows of somebody else's market data, checked before anything believes them: columns of text in, typed columns with lines out.

Every check is over whole columns; the first row that fails one is refused with its line, what stands there and what was expected.
Times are told by their magnitude (milliseconds, microseconds, nanoseconds), and a file has one unit: Binance's archives changed theirs
on 2025-01-01, and a file that mixes them was put together wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from libs.common.timeframe import ANCHOR, BAR_STEP
from libs.research.bar_files.terms import Missing, RefusedFile
from libs.research.bar_files.times import EARLIEST, LATEST, UNITS
from libs.runtime.recording_imports import LINE

GAPS_SHOWN = 20
PRICES = ("open", "high", "low", "close")

KLINE_COLUMNS = (
    "open_time",
    *PRICES,
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_volume",
    "taker_quote",
    "ignore",
)
TRADE_COLUMNS = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match")
AGG_TRADE_COLUMNS = ("id", "price", "qty", "first_id", "last_id", "time", "is_buyer_maker", "is_best_match")
COLUMNS = {"klines": KLINE_COLUMNS, "trades": TRADE_COLUMNS, "aggTrades": AGG_TRADE_COLUMNS}
OPTIONAL = {"klines": 0, "trades": 1, "aggTrades": 1}
"""How many of the last columns an archive may lack (futures have no `is_best_match`)."""


class Checked:
    """The checks over one file, batch by batch. `where` begins every refusal."""

    def __init__(self, where: str, kind: str, timeframe: str = ""):
        self.where = where
        self.rows = 0
        self.repeated = 0
        self.missing = 0
        self.gaps: list[Missing] = []
        self.unit = ""
        self.first_ts = 0
        self.last_ts = 0
        self.kind = kind
        self._step = BAR_STEP.get(timeframe, 0)
        self._anchor = ANCHOR.get(timeframe, 0)
        self._last: pa.Table | None = None

    def named(self, batch: pa.RecordBatch) -> pa.Table:
        """The columns under their names.

        Raises:
            RefusedFile: there are more or fewer than this kind of archive has.
        """
        names, found = COLUMNS[self.kind], batch.num_columns
        if not len(names) - OPTIONAL[self.kind] <= found <= len(names):
            expected = f"the {len(names)} of {self.kind}: {', '.join(names)}"
            raise RefusedFile(self.where, f"{found} columns", expected)
        return pa.Table.from_batches([batch]).rename_columns(list(names[:found]))

    def bars(self, rows: pa.Table, line: int, *, has_close_time: bool) -> pa.Table:
        """Rows with `open_time`, prices and `volume` as bars.

        Raises:
            RefusedFile
        """
        lines = _lines(line, rows.num_rows)
        ts = self._times(rows["open_time"], lines, "open_time")
        numbers = {name: self._numbers(rows[name], lines, name) for name in PRICES}
        volume = self._numbers(rows["volume"], lines, "volume", may_be_zero=True)
        for name in PRICES:
            self._require(
                pc.greater_equal(numbers["high"], numbers[name]), lines, name, numbers[name], "no price above high"
            )
            self._require(
                pc.less_equal(numbers["low"], numbers[name]), lines, name, numbers[name], "no price below low"
            )
        offset = pc.subtract(ts, self._anchor)
        aligned = pc.multiply(pc.divide(offset, self._step), self._step)
        self._require(pc.equal(aligned, offset), lines, "open_time", ts, "the beginning of a bar of this timeframe")
        if has_close_time:
            closes = self._times(rows["close_time"], lines, "close_time")
            is_inside = pc.and_(pc.greater_equal(closes, ts), pc.less(closes, pc.add(ts, self._step)))
            self._require(is_inside, lines, "close_time", closes, "an instant before the next bar opens")
        synthetic = pa.repeat(pa.scalar(False), rows.num_rows)
        made = {"ts_open": ts, "ts_close": pc.add(ts, self._step), **numbers, "volume": volume, "synthetic": synthetic}
        return self._ascending(pa.table({**made, LINE: lines}), "ts_open", self._step)

    def trades(self, rows: pa.Table, line: int) -> pa.Table:
        """Rows of `COLUMNS` as trades.

        Raises:
            RefusedFile
        """
        lines = _lines(line, rows.num_rows)
        ids = self._integers(rows["id"], lines, "id")
        self._require(pc.greater_equal(ids, 0), lines, "id", ids, "a number that counts up")
        ts = self._times(rows["time"], lines, "time")
        px, qty = (self._numbers(rows[name], lines, name) for name in ("price", "qty"))
        makers = pc.utf8_lower(rows["is_buyer_maker"])
        is_known = pc.is_in(makers, value_set=pa.array(["true", "false"]))
        self._require(is_known, lines, "is_buyer_maker", rows["is_buyer_maker"], "True or False")
        side = pc.if_else(pc.equal(makers, "true"), "SELL", "BUY")
        table = pa.table({"id": ids, "ts_event": ts, "px": px, "qty": qty, "aggressor_side": side, LINE: lines})
        kept = self._ascending(table, "id", 1)
        return kept.set_column(0, "trade_id", pc.cast(kept["id"], pa.string()))

    # --- one column -----------------------------------------------------------------------------------------------

    def _integers(self, column: pa.ChunkedArray, lines: pa.Array, name: str) -> pa.ChunkedArray:
        return self._cast(column, pa.int64(), lines, name, "a whole number")

    def _numbers(
        self, column: pa.ChunkedArray, lines: pa.Array, name: str, *, may_be_zero: bool = False
    ) -> pa.ChunkedArray:
        found = self._cast(column, pa.float64(), lines, name, "a number")
        is_good = pc.and_(pc.is_finite(found), pc.greater_equal(found, 0.0) if may_be_zero else pc.greater(found, 0.0))
        self._require(
            is_good, lines, name, column, "a finite number" + (", not negative" if may_be_zero else " above 0")
        )
        return found

    def _times(self, column: pa.ChunkedArray, lines: pa.Array, name: str) -> pa.ChunkedArray:
        """Nanoseconds."""
        found = self._integers(column, lines, name)
        if not self.unit and len(found):
            self.unit = _unit_of(found[0].as_py())
        least, most, factor = UNITS.get(self.unit, (1, 0, 1))
        is_good = pc.and_(pc.greater_equal(found, least), pc.less(found, most))
        other = pc.filter(found, pc.invert(is_good))
        if len(other) and _unit_of(other[0].as_py()) and self.unit:
            self._require(
                is_good, lines, name, found, f"{self.unit}, as in the rows before, not {_unit_of(other[0].as_py())}"
            )
        self._require(is_good, lines, name, found, "a time since 1970 in milliseconds or microseconds")
        is_real = pc.and_(pc.greater_equal(found, EARLIEST // factor), pc.less(found, LATEST // factor))
        self._require(is_real, lines, name, found, f"{self.unit} between 2009 and 2100")
        return pc.multiply(found, factor)

    def _cast(
        self, column: pa.ChunkedArray, kind: pa.DataType, lines: pa.Array, name: str, expected: str
    ) -> pa.ChunkedArray:
        self._require(pc.is_valid(column), lines, name, column, expected)
        try:
            return pc.cast(column, kind)
        except pa.ArrowInvalid:
            for place, cell in enumerate(column):
                try:
                    pc.cast(cell, kind)
                except pa.ArrowInvalid:
                    raise self._refusal(lines[place].as_py(), name, cell.as_py(), expected) from None
            raise

    # --- refusing -------------------------------------------------------------------------------------------------

    def _require(
        self, is_good: pa.ChunkedArray, lines: pa.Array, name: str, shown: pa.ChunkedArray, expected: str
    ) -> None:
        at = pc.index(is_good, False).as_py()
        if at >= 0:
            raise self._refusal(lines[at].as_py(), name, shown[at].as_py(), expected)

    def _refusal(self, line: int, name: str, shown: object, expected: str) -> RefusedFile:
        return RefusedFile(self.where, f"{name} is {str(shown)[:60]!r}", expected, row=line)

    # --- the sequence ---------------------------------------------------------------------------------------------

    def _ascending(self, rows: pa.Table, key: str, step: int) -> pa.Table:
        """Without the rows that only repeat the one before; holes are counted.

        Raises:
            RefusedFile: the key goes back, time goes back, or a key comes twice with different facts.
        """
        self.rows += rows.num_rows
        if not rows.num_rows:
            return rows
        before = rows.slice(0, rows.num_rows - 1)
        before = pa.concat_tables([self._last if self._last is not None else rows.slice(0, 1), before])
        self._last = rows.slice(rows.num_rows - 1)
        is_first = not self.first_ts
        lines, clock = rows[LINE], "ts_open" if key == "ts_open" else "ts_event"
        distance = pc.subtract(rows[key], before[key])
        self._require(pc.greater_equal(distance, 0), lines, key, rows[key], "rows in ascending order")
        self._require(
            pc.greater_equal(rows[clock], before[clock]), lines, clock, rows[clock], "times in ascending order"
        )
        is_repeat = pc.equal(distance, 0)
        for name in (each for each in rows.schema.names if each not in (key, LINE)):
            is_same = pc.or_(pc.invert(is_repeat), pc.equal(rows[name], before[name]))
            self._require(
                is_same, lines, name, rows[name], "what the row before says under the same key, or another key"
            )
        if is_first:
            self.first_ts = rows[clock][0].as_py()
            is_repeat = pa.chunked_array([pa.concat_arrays([pa.array([False]), *is_repeat.slice(1).chunks])])
        self.last_ts = rows[clock][-1].as_py()
        self._note_gaps(rows[key], before[key], distance, step)
        kept = rows.filter(pc.invert(is_repeat))
        self.repeated += rows.num_rows - kept.num_rows
        return kept

    def _note_gaps(self, keys: pa.ChunkedArray, before: pa.ChunkedArray, distance: pa.ChunkedArray, step: int) -> None:
        is_gap = pc.greater(distance, step)
        for key, last in zip(keys.filter(is_gap).to_pylist(), before.filter(is_gap).to_pylist(), strict=True):
            count = (key - last) // step - 1
            self.missing += count
            if len(self.gaps) < GAPS_SHOWN:
                self.gaps.append(Missing(last + step, key - step, count))


def by_period(rows: pa.Table, key: str, pattern: str) -> Iterator[tuple[str, pa.Table]]:
    """Ascending rows, cut where the period of `key` (a strftime pattern, UTC) changes."""
    if not rows.num_rows:
        return
    instants = pc.cast(rows[key], pa.timestamp("ns", "UTC"))
    ends = pc.strftime(instants.take([0, rows.num_rows - 1]), pattern).to_pylist()
    if ends[0] == ends[1]:
        yield ends[0], rows
        return
    labels: Sequence[str] = pc.strftime(instants, pattern).to_pylist()
    start = 0
    for place in range(1, len(labels) + 1):
        if place == len(labels) or labels[place] != labels[start]:
            yield labels[start], rows.slice(start, place - start)
            start = place


def _lines(first: int, count: int) -> pa.Array:
    return pa.array(range(first, first + count), pa.int64())


def _unit_of(ts: int) -> str:
    return next((unit for unit, (least, most, _) in UNITS.items() if least <= ts < most), "")
