"""A file as columns, whatever its format: a header, and batches of the columns that are wanted, oldest line first.

Columns of a text file are texts; those of Parquet and feather files have their types. `rows` numbers each row as people find it: the
line of a text file (a header and a line above it are counted), the row of the others.
"""

from __future__ import annotations

import csv as text_csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv, ipc

from libs.research.bar_files.archives import BLOCK_BYTES, FETCH_AGAIN, not_a_table, opened, too_large
from libs.research.bar_files.columns import BARE, has_bars, wrong_columns
from libs.research.bar_files.naming import suffix_of
from libs.research.bar_files.terms import RefusedFile

HEAD_BYTES = 1 << 16
LINES_ABOVE_MAX = 5
BATCH_ROWS = 65536
SYMBOLS_MAX = 1000
DELIMITERS = ",;\t|"


class Head(msgspec.Struct, frozen=True):
    """What stands above the rows. `skip` lines are none of the table's rows; `says_utc`: a line above the columns does."""

    names: tuple[str, ...]
    unit: str = "row"
    skip: int = 0
    delimiter: str = ","
    says_utc: bool = False


def head_of(path: Path, bytes_max: int) -> Head:
    """The names of the columns.

    Raises:
        RefusedFile: no file of bars. OSError.
    """
    if not path.exists():
        raise RefusedFile(path, "there is no such file", "a file of bars")
    if path.stat().st_size == 0:
        raise RefusedFile(path, "the file is empty", "a table of bars", FETCH_AGAIN)
    match suffix_of(path):
        case ".parquet":
            with _parquet(path, bytes_max) as file:
                return Head(tuple(file.schema_arrow.names))
        case ".feather":
            with path.open("rb") as source, _feather(path, source) as file:
                return Head(tuple(file.schema.names))
    return _text_head(path, bytes_max)


def batches_of(
    path: Path, head: Head, places: Sequence[int], bytes_max: int
) -> Iterator[tuple[pa.Array, list[pa.Array]]]:
    """(rows, the columns at `places`), batch by batch.

    Raises:
        RefusedFile: the file is damaged. OSError.
    """
    match suffix_of(path):
        case ".parquet":
            found = _parquet_batches(path, head, places, bytes_max)
        case ".feather":
            found = _feather_batches(path, head, places, bytes_max)
        case _:
            found = _text_batches(path, head, places, bytes_max)
    first = head.skip + 1
    for batch in found:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            some = batch.slice(start, BATCH_ROWS)
            columns = [_undone(column) for column in some.columns]
            yield pa.arange(first, first + some.num_rows), columns
            first += some.num_rows


def symbols_of(path: Path, head: Head, place: int, bytes_max: int) -> list[str]:
    """The different values of a column of symbols, as they come.

    Raises:
        RefusedFile: they are too many to be symbols. OSError.
    """
    found: dict[str, None] = {}
    for _, (column,) in batches_of(path, head, (place,), bytes_max):
        found.update(dict.fromkeys(str(each) for each in pc.unique(column).to_pylist() if each))
        if len(found) > SYMBOLS_MAX:
            raise RefusedFile(path, f"more than {SYMBOLS_MAX} symbols in one column", "symbols")
    return list(found)


# --- text ---------------------------------------------------------------------------------------------------------


def _text_head(path: Path, bytes_max: int) -> Head:
    with opened(path, bytes_max) as file:
        raw = file.read(HEAD_BYTES)
    try:
        text = raw.decode("utf-8-sig", errors="strict" if len(raw) < HEAD_BYTES else "ignore")
    except UnicodeDecodeError as error:
        raise RefusedFile(path, f"not a text in UTF-8 ({error.reason})", "a CSV file", "save it as UTF-8") from None
    lines = text.splitlines()
    if not text.strip():
        raise RefusedFile(path, "the file is empty", "a table of bars", FETCH_AGAIN)
    above = ""
    for number, line in enumerate(lines[: LINES_ABOVE_MAX + 1]):
        for delimiter in DELIMITERS:
            cells = next(text_csv.reader([line], delimiter=delimiter), [])
            says_utc = "utc" in above.lower().replace(",", " ").split()
            if len(cells) > 4 and has_bars(cells):
                return Head(tuple(cells), "line", number + 1, delimiter, says_utc)
            if len(cells) >= len(BARE) and all(_is_number(cell) for cell in cells[1 : len(BARE)]):
                names = (*BARE, *(f"column {place}" for place in range(len(BARE), len(cells))))
                return Head(names, "line", number, delimiter, says_utc)
        above += f"{line} "
    shown = max((line.split(",") for line in lines[: LINES_ABOVE_MAX + 1]), key=len)
    raise wrong_columns(path, shown)


def _text_batches(path: Path, head: Head, places: Sequence[int], bytes_max: int) -> Iterator[pa.RecordBatch]:
    names = [str(place) for place in range(len(head.names))]
    wanted = [str(place) for place in places]
    with opened(path, bytes_max) as file:
        try:
            yield from csv.open_csv(
                file,
                csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=head.skip),
                csv.ParseOptions(delimiter=head.delimiter, ignore_empty_lines=False),
                csv.ConvertOptions(
                    column_types={name: pa.string() for name in wanted},
                    include_columns=wanted,
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise not_a_table(path, error) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()
    return True


# --- columns with types -------------------------------------------------------------------------------------------


def _parquet(path: Path, bytes_max: int) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise RefusedFile(path, f"not a sound Parquet file ({str(error)[:120]})", "", FETCH_AGAIN) from None
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    if sum(group.total_byte_size for group in groups) > bytes_max:
        file.close()
        raise too_large(path, bytes_max)
    return file


def _parquet_batches(path: Path, head: Head, places: Sequence[int], bytes_max: int) -> Iterator[pa.RecordBatch]:
    names = [head.names[place] for place in places]
    with _parquet(path, bytes_max) as file:
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
                yield batch.select(names)
        except (pa.ArrowException, OSError) as error:
            raise RefusedFile(path, f"the file is damaged ({str(error)[:120]})", "", FETCH_AGAIN) from None


def _feather(path: Path, source: object) -> ipc.RecordBatchFileReader:
    try:
        return ipc.open_file(source)
    except pa.ArrowException as error:
        raise RefusedFile(path, f"not a feather file ({str(error)[:120]})", "one of freqtrade's", FETCH_AGAIN) from None


def _feather_batches(path: Path, head: Head, places: Sequence[int], bytes_max: int) -> Iterator[pa.RecordBatch]:
    names, taken = [head.names[place] for place in places], 0
    with path.open("rb") as source, _feather(path, source) as file:
        for number in range(file.num_record_batches):
            try:
                batch = file.get_batch(number)
            except (pa.ArrowException, OSError) as error:
                raise RefusedFile(path, f"the file is damaged ({str(error)[:120]})", "", FETCH_AGAIN) from None
            taken += batch.nbytes
            if taken > bytes_max:
                raise too_large(path, bytes_max)
            yield batch.select(names)


def _undone(column: pa.Array) -> pa.Array:
    """Without a dictionary: what is stored once for many rows, as the rows say it."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
