"""The words of this package: what may be told of files, what may be repaired, and how a file is refused.

Nothing here needs pyarrow, so that a command line may name the options without loading it.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

MEGABYTE = 1_000_000


class RepairKind(StrEnum):
    """What is done to rows when somebody asked for it by name, and never otherwise."""

    SORT = "sort"
    DROP_REPEATED = "drop-repeated"
    KEEP_FIRST = "keep-first"
    KEEP_LAST = "keep-last"
    DROP_INCOMPLETE = "drop-incomplete"
    DROP_BROKEN = "drop-broken"
    WIDEN = "widen"
    DROP_OFF_GRID = "drop-off-grid"
    FILL_GAPS = "fill-gaps"
    ALLOW_GAPS = "allow-gaps"


MEANING: dict[RepairKind, str] = {
    RepairKind.SORT: "put the rows of a file in the order of time (holds that one file in memory)",
    RepairKind.DROP_REPEATED: "take a row that is there twice, saying the same, once",
    RepairKind.KEEP_FIRST: "of rows that say different things of one bar, believe the first",
    RepairKind.KEEP_LAST: "of rows that say different things of one bar, believe the last",
    RepairKind.DROP_INCOMPLETE: "leave out rows in which a time, a price or the volume is missing",
    RepairKind.DROP_BROKEN: "leave out rows that no market can have made: prices of 0, a high below the low, a negative volume",
    RepairKind.WIDEN: "where open or close lie outside low and high, move low or high out to them",
    RepairKind.DROP_OFF_GRID: "leave out rows that do not begin where a bar of the timeframe begins",
    RepairKind.FILL_GAPS: "put flat bars at the last close, of volume 0 and marked synthetic, where bars are missing",
    RepairKind.ALLOW_GAPS: "go on over missing bars as if nothing had been there to see",
}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What options say of every file; empty: its name, its folder or its columns say it.

    `assume_utc`: times without an offset are UTC. `max_mb`: the most that one file may hold when it is unpacked.
    """

    instrument: str = ""
    timeframe: str = ""
    venue: str = ""
    assume_utc: bool = False
    max_mb: float = 4096.0


class BarFile(msgspec.Struct, frozen=True):
    """One file and what it is about. No instrument: its columns name the instruments."""

    path: Path
    instrument: str
    timeframe: str
    venue: str = ""


class Missing(msgspec.Struct, frozen=True):
    """A hole in the series: the first and the last that is missing (opening instants in ns, or trade ids), and how many."""

    first: int
    last: int
    count: int


class Repair(msgspec.Struct, frozen=True):
    """What was done to rows of one file: the first of them (its line in a CSV file, else its row) and how many they were.

    For filled gaps: the row behind the first hole, and how many bars were put in.
    """

    kind: RepairKind
    path: Path
    row: int
    count: int
    unit: str = "line"

    def __str__(self) -> str:
        rows = "bars put in" if self.kind is RepairKind.FILL_GAPS else "rows"
        return f"{self.path}, from {self.unit} {self.row} on: {self.kind.value}, {self.count:,} {rows}"


class RefusedFile(Exception):
    """A file that is not taken: where in it, what stands there, what was expected, and what to do about it.

    `wrong` is the text without the remedy; `row` counts from 1 and is a `unit` (a line of a text file with its header, else a row); 0: the file as a whole.
    """

    def __init__(
        self, path: Path | str, found: str, expected: str = "", remedy: str = "", *, row: int = 0, unit: str = "line"
    ):
        self.path, self.found, self.expected, self.remedy = Path(path), found, expected, remedy
        self.row, self.unit = row, unit
        where = f"{path}, {unit} {row}" if row else str(path)
        self.wrong = f"{where}: {found}" + (f"; expected {expected}" if expected else "")
        super().__init__(f"{self.wrong}. {remedy[0].upper()}{remedy[1:]}" if remedy else self.wrong)


def by(*kinds: RepairKind) -> str:
    """The options that ask for repairs, as a person types them."""
    return " or ".join(f"`--repair {kind.value}`" for kind in kinds)
