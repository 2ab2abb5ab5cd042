"""Files of market data as batches of rows: CSV, CSV in a zip, and the feather files of freqtrade.

Nothing is unpacked to disk, and names inside an archive are only looked at. A zip must hold one plain file; what it says it unpacks
to is bounded before a byte is read, and the reader stops there.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow as pa
from pyarrow import csv, ipc

MEGABYTE = 1_000_000
BLOCK_BYTES = 4 * MEGABYTE
FIRST_LINE_MAX = 4096
RATIO_MAX = 200
PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1


class RefusedFile(Exception):
    """A file that is not imported; the text says where in it, what stands there, and what was expected."""


def csv_batches(path: Path, bytes_max: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(line of the first row, rows), all columns as text and named `0`, `1`, ...; a header line is passed over.

    Raises:
        RefusedFile: not a table, or an archive that is not taken. OSError.
    """
    with opened(path, bytes_max) as file:
        first = file.readline(FIRST_LINE_MAX)
    cells = first.rstrip(b"\r\n").split(b",")
    if not first.strip():
        raise RefusedFile(f"{path}, line 1: empty; expected a table of numbers, separated by commas")
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
            raise RefusedFile(f"{path}: {_in_words(error)}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise RefusedFile(f"{path}: the archive is damaged ({error})") from None


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
                    raise RefusedFile(
                        f"{path}: holds more than {bytes_max / MEGABYTE:,.0f} MB (--max-mb); is it what it says it is?"
                    )
                yield batch
    except pa.ArrowInvalid as error:
        raise RefusedFile(f"{path}: not a feather file ({error}); expected one of freqtrade's") from None


@contextmanager
def opened(path: Path, bytes_max: int) -> Iterator[IO[bytes]]:
    """The one file in an archive, or the file itself.

    Raises:
        RefusedFile, OSError.
    """
    if path.suffix != ".zip":
        with path.open("rb") as plain:
            yield plain
        return
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(path, archive, bytes_max)) as member:
            yield member
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise RefusedFile(f"{path}: not a sound zip archive ({error})") from None


def _only_member(path: Path, archive: zipfile.ZipFile, bytes_max: int) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise RefusedFile(f"{path}: holds {len(members)} files; expected one CSV file, as in Binance's archives")
    member = members[0]
    name = member.filename
    if PurePosixPath(name).name != name or "\\" in name or ":" in name or not name.endswith(".csv"):
        raise RefusedFile(f"{path}: holds {name[:120]!r}; expected a plain name that ends in .csv")
    if member.flag_bits & ENCRYPTED or member.compress_type not in PLAIN_METHODS:
        raise RefusedFile(f"{path}: encrypted or packed in an unusual way; expected a plain (deflated) zip")
    if member.file_size > bytes_max:
        size, most = member.file_size / MEGABYTE, bytes_max / MEGABYTE
        raise RefusedFile(f"{path}: unpacks to {size:,.0f} MB, at most {most:,.0f} are taken (--max-mb)")
    if member.file_size > MEGABYTE and member.file_size > RATIO_MAX * max(member.compress_size, 1):
        raise RefusedFile(
            f"{path}: {member.compress_size:,} bytes unpack to {member.file_size:,}; market data are never packed"
            f" {RATIO_MAX} to 1"
        )
    return member


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _in_words(error: pa.ArrowInvalid) -> str:
    """Arrow counts rows, the header included, as people count lines."""
    text = str(error).removeprefix("CSV parse error: ")
    row, _, rest = text.removeprefix("Row #").partition(": ")
    if text.startswith("Row #") and row.isdigit():
        return f"line {int(row)}: {rest[:200]}"
    return f"not a table ({text[:200]})"
