"""Imported bars and trades in the layout of a recording: merged into what is there, so that a repeated import changes nothing.

    bar/venue=binance/instrument=BTC-USDT/timeframe=1m/year=2025/bars.parquet
    trade/venue=binance/instrument=BTC-USDT/date=2025-01-02/trades.parquet

Rows are known by `ts_open` (bars) or `trade_id` (trades). A row that is there already and says the same is passed over; one that says
something else is refused, with its place in the source. Everything of one source is staged beside its place first and put there
when all of it is sound: a source is imported as a whole or not at all.
"""

from __future__ import annotations

import fcntl
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from libs.runtime.recording import BAR_FOLDER
from libs.runtime.recording_manifest import (
    DRAFT_SUFFIX,
    MANIFEST,
    Manifest,
    RecordingError,
    draft_of,
    open_manifest,
    settle,
)
from libs.runtime.recording_tables import TABLES, PartHead, head_of, with_head

LINE = "line"
"""The column that says where in its source a row stands; it is not written."""

BAR_TYPE = "bar"
TRADE = TABLES["trade.v1"]
BAR_SCHEMA = pa.schema(
    [pa.field(name, pa.int64(), nullable=False) for name in ("ts_open", "ts_close")]
    + [pa.field(name, pa.float64(), nullable=False) for name in ("open", "high", "low", "close", "volume")]
    + [pa.field("synthetic", pa.bool_(), nullable=False)]
)


class Contradiction(RecordingError):
    """A row says something else than the dataset does; `line` is its place in the source."""

    def __init__(self, line: int, text: str):
        super().__init__(text)
        self.line = line


class Merged(msgspec.Struct):
    """What came of rows: so many were new, so many there already."""

    added: int = 0
    repeated: int = 0


class ImportedDataset:
    """A dataset that sources are imported into, one after the other."""

    def __init__(self, folder: Path):
        """Open the dataset in `folder`, or begin one.

        Raises:
            RecordingError: the folder holds something else. OSError.
        """
        self.folder = folder
        open_manifest(folder / MANIFEST, Manifest(origin="imported"))
        self._lock = (folder / MANIFEST).open("rb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise RecordingError(f"{folder}: another import writes into it") from None
        for draft in folder.rglob(f".*{DRAFT_SUFFIX}"):
            draft.unlink()
        self._staged: list[tuple[Path, Path]] = []

    def stage_bars(self, shared: dict[str, str], year: int, rows: pa.Table) -> Merged:
        """Bars of one series and year, ascending, with their lines.

        Raises:
            Contradiction, RecordingError, OSError.
        """
        path = self._place(BAR_FOLDER, shared) / f"year={year}" / "bars.parquet"
        return self._stage(path, PartHead(type=BAR_TYPE, shared=shared), rows, BAR_SCHEMA, "ts_open")

    def stage_trades(self, shared: dict[str, str], day: str, source: str, rows: pa.Table) -> Merged:
        """Trades of one instrument and day, ascending, with their lines; `source` is what kind of trades they are.

        Raises:
            Contradiction, RecordingError, OSError.
        """
        path = self._place(TRADE.folder, shared) / f"date={day}" / "trades.parquet"
        head = PartHead(type=TRADE.tag, shared=shared, source=source)
        return self._stage(path, head, trade_rows(rows), TRADE.schema, "trade_id")

    def commit(self) -> int:
        """Put everything staged into its place; returns how many files changed."""
        count = len(self._staged)
        for draft, path in self._staged:
            settle(draft, path)
        self._staged.clear()
        return count

    def close(self) -> None:
        """Let others import."""
        self.forget()
        self._lock.close()

    def forget(self) -> None:
        """Nothing staged shall remain."""
        for draft, _ in self._staged:
            draft.unlink(missing_ok=True)
        self._staged.clear()

    def _place(self, kind: str, shared: dict[str, str]) -> Path:
        place = self.folder / kind
        for name, value in shared.items():
            place /= f"{name}={value}"
        return place

    def _stage(self, path: Path, head: PartHead, rows: pa.Table, schema: pa.Schema, key: str) -> Merged:
        there = _read(path, head) if path.exists() else schema.empty_table()
        places = pc.index_in(rows[key], value_set=there[key])
        _must_agree(rows, there, places, schema, key)
        new = rows.filter(pc.is_null(places)).select(schema.names)
        if new.num_rows:
            merged = pa.concat_tables([there.select(schema.names).cast(schema), new.cast(schema)])
            merged = _in_order(merged, key).combine_chunks()
            table = with_head(merged, head)
            draft = draft_of(path, lambda file: pq.write_table(table, file, compression="zstd"))
            self._staged.append((draft, path))
        return Merged(new.num_rows, rows.num_rows - new.num_rows)


def trade_rows(rows: pa.Table) -> pa.Table:
    """Trades as the columns of the message: they were in no stream (seq 0), and entered the system when they happened."""
    count = rows.num_rows
    constant = {"seq": 0, "done_in_seq": 0, "done_out_index": 0, "producer": "market"}
    columns = {"ts_init": rows["ts_event"]}
    for field in TRADE.schema:
        if field.name not in rows.schema.names and field.name not in columns:
            columns[field.name] = pa.repeat(pa.scalar(constant.get(field.name, ""), field.type), count)
    for name, values in columns.items():
        rows = rows.append_column(name, values)
    return rows


def _read(path: Path, head: PartHead) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            there = file.read()
        found = head_of(there.schema)
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: cannot be read ({error})") from None
    if found.source != head.source:
        raise RecordingError(
            f"{path} was imported from {found.source}: {head.source} of the same day would count everything twice"
        )
    return there


def _must_agree(rows: pa.Table, there: pa.Table, places: pa.ChunkedArray, schema: pa.Schema, key: str) -> None:
    """Rows that are there already say the same.

    Raises:
        Contradiction
    """
    known = pc.is_valid(places)
    mine, theirs = rows.filter(known), there.take(places.filter(known))
    for name in schema.names:
        differs = pc.not_equal(mine[name], theirs[name])
        at = pc.index(differs, True).as_py()
        if at >= 0:
            raise Contradiction(
                mine[LINE][at].as_py(),
                f"{name} is {mine[name][at].as_py()}, but the dataset already says {theirs[name][at].as_py()} for"
                f" {key} {mine[key][at].as_py()}",
            )


def _in_order(rows: pa.Table, key: str) -> pa.Table:
    """By time; trades of one instant by their ids, which are numbers."""
    if key == "ts_open":
        return rows.sort_by("ts_open")
    numbers = pc.cast(rows["trade_id"], pa.int64())
    order = pc.sort_indices(
        pa.table({"ts": rows["ts_event"], "number": numbers}), sort_keys=[("ts", "ascending"), ("number", "ascending")]
    )
    return rows.take(order)
