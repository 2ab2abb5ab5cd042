"""Files of market data as batches of rows: CSV, CSV in a gzip or a zip, and the feather files of freqtrade.

Nothing is unpacked to disk, and names inside an archive are only looked at. A zip must hold one plain file; what it says it unpacks
to is bounded before a byte is read, and the reader stops there. A gzip says nothing that can be believed: it is counted as it is read.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow as pa
from pyarrow import csv, ipc

from libs.research.bar_files.terms import MEGABYTE, RefusedFile

BLOCK_BYTES = MEGABYTE // 2
"""A reader of text holds several blocks, and several times over: this is what memory rests on, and larger ones are no faster."""
FIRST_LINE_MAX = 4096
RATIO_MAX = 200
PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
FETCH_AGAIN = "fetch it again"


def csv_batches(path: Path, bytes_max: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(line of the first row, rows), all columns as text and named `0`, `1`, ...; a header line is passed over.

    Raises:
        RefusedFile: not a table, or an archive that is not taken. OSError.
    """
    with opened(path, bytes_max) as file:
        first = file.readline(FIRST_LINE_MAX)
    cells = first.rstrip(b"\r\n").split(b",")
    if not first.strip():
        raise RefusedFile(path, "empty", "a table of numbers, separated by commas", row=1)
    has_header = not any(_is_number(cell) for cell in cells)
    names = [str(place) for place in range(len(cells))]
    with opened(path, bytes_max) as file:
        try:
            reader = csv.open_csv(
                file,
                csv.ReadOptions(
                    use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=int(has_header)
                ),
                csv.ParseOptions(ignore_empty_lines=False),
                csv.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
            line = 1 + has_header
            for batch in reader:
                yield line, batch
                line += batch.num_rows
        except pa.ArrowInvalid as error:
            raise not_a_table(path, error) from None


def feather_batches(path: Path, bytes_max: int) -> Iterator[pa.RecordBatch]:
    """The rows of a feather file.

    Raises:
        RefusedFile: it is none, or holds more than `bytes_max`. OSError.
    """
    taken = 0
    try:
        with path.open("rb") as source, ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                taken += batch.nbytes
                if taken > bytes_max:
                    raise too_large(path, bytes_max)
                yield batch
    except pa.ArrowInvalid as error:
        raise RefusedFile(path, f"not a feather file ({error})", "one of freqtrade's", FETCH_AGAIN) from None


@contextmanager
def opened(path: Path, bytes_max: int) -> Iterator[IO[bytes]]:
    """The one file in an archive, or the file itself; what is wrong with the archive is told wherever it shows.

    Raises:
        RefusedFile, OSError.
    """
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(_only_member(path, archive, bytes_max)) as member:
                yield member
        elif path.suffix == ".gz":
            with gzip.open(path) as packed:
                yield io.BufferedReader(_Counted(path, packed, bytes_max), BLOCK_BYTES)
        else:
            with path.open("rb") as plain:
                yield plain
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, NotImplementedError, EOFError) as error:
        kind = "gzip file" if path.suffix == ".gz" else "zip archive"
        raise RefusedFile(path, f"not a sound {kind} ({error})", "", FETCH_AGAIN) from None


def not_a_table(path: Path, error: pa.ArrowInvalid) -> RefusedFile:
    """What Arrow says of a text file, with the line: it counts rows, the header included, as people count lines."""
    text = str(error).removeprefix("CSV parse error: ")
    row, _, rest = text.removeprefix("Row #").partition(": ")
    if text.startswith("Row #") and row.isdigit():
        return RefusedFile(path, rest[:200], "", "mend or remove that line", row=int(row))
    return RefusedFile(path, f"not a table ({text[:200]})")


def too_large(path: Path, bytes_max: int) -> RefusedFile:
    """More than anybody expected; a bound, so that a file cannot fill the memory or run for ever."""
    return RefusedFile(path, f"holds more than {bytes_max / MEGABYTE:,.0f} MB (--max-mb); is it what it says it is?")


class _Counted(io.RawIOBase):
    """A packed stream that ends with a refusal where it becomes larger than anybody expected."""

    def __init__(self, path: Path, packed: IO[bytes], bytes_max: int):
        self._path, self._packed, self._bytes_max, self._taken = path, packed, bytes_max, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._packed.read(len(buffer))
        self._taken += len(chunk)
        if self._taken > self._bytes_max:
            raise too_large(self._path, self._bytes_max)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _only_member(path: Path, archive: zipfile.ZipFile, bytes_max: int) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise RefusedFile(path, f"holds {len(members)} files", "one CSV file, as in Binance's archives")
    member = members[0]
    name = member.filename
    if PurePosixPath(name).name != name or "\\" in name or ":" in name or not name.endswith(".csv"):
        raise RefusedFile(path, f"holds {name[:120]!r}", "a plain name that ends in .csv")
    if member.flag_bits & ENCRYPTED or member.compress_type not in PLAIN_METHODS:
        raise RefusedFile(path, "encrypted or packed in an unusual way", "a plain (deflated) zip")
    if member.file_size > bytes_max:
        size, most = member.file_size / MEGABYTE, bytes_max / MEGABYTE
        raise RefusedFile(path, f"unpacks to {size:,.0f} MB, at most {most:,.0f} are taken (--max-mb)")
    if member.file_size > MEGABYTE and member.file_size > RATIO_MAX * max(member.compress_size, 1):
        raise RefusedFile(
            path,
            f"{member.compress_size:,} bytes unpack to {member.file_size:,}; market data are never packed {RATIO_MAX} to 1",
        )
    return member


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
