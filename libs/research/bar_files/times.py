"""A column of times, however it is written, as nanoseconds since 1970 UTC; a file writes all of them in one way.

Numbers tell their unit by their magnitude. Texts are ISO 8601, or CryptoDataDownload's `2019-10-17 09-AM`. A text or a timestamp
without an offset says nothing of where its clock hung: it is taken for UTC if the column's name says so (`date_utc`, `time (UTC)`), if
a line above the columns does, or if somebody said so (`assume_utc`), and refused otherwise. Offsets must be the same all over a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from libs.common.timeframe import MILLISECOND, SECOND
from libs.research.bar_files.terms import RefusedFile

UNITS = {
    "milliseconds": (10**12, 10**14, MILLISECOND),
    "microseconds": (10**14, 10**17, 1000),
    "nanoseconds": (10**17, 2**62, 1),
}
"""The least and the most (exclusive) number of each unit, and how many ns one is."""

ALL_UNITS = {"seconds": (10**8, 10**11, SECOND), **UNITS}
EARLIEST, LATEST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND for year in (2009, 2100))
ISO = "times in ISO 8601 (2025-01-31T23:59:00Z) or numbers since 1970"
ASSUME = "if they are UTC, say so: `--assume-utc`"
_HOURS_AM = "%Y-%m-%d %I-%p"
_OFFSET = re.compile(r"\d\d?:\d\d.*?(Z|[+-]\d\d(?::?\d\d)?)$|\d{2}T?\d{2}(Z)$")
_NS = pa.timestamp("ns", "UTC")

Refuse = Callable[[int, str, str, str], RefusedFile]
"""(place in the column, what stands there, what was expected, what to do) as a refusal that names the row."""


class Clock:
    """How one file writes its times: learned from its first row, demanded of all others."""

    def __init__(self, *, is_utc: bool):
        self._is_utc = is_utc
        self._unit = ""
        self._offset: str | None = None
        self._seen: tuple[int, str] = (0, "")

    def nanoseconds(self, column: pa.Array, rows: pa.Array, refuse: Refuse) -> pa.Array:
        """The column (no nulls) as int64; `rows` are the rows' own numbers.

        Raises:
            RefusedFile: what stands there is no time, or one written in another way than those before.
        """
        if not len(column):
            return pa.array([], pa.int64())
        kind = column.type
        if pa.types.is_timestamp(kind):
            self._require_zone(kind.tz is not None, column, refuse)
            made = pc.cast(pc.cast(column, pa.timestamp("ns", kind.tz)), pa.int64())
        elif pa.types.is_date(kind):
            self._require_zone(False, column, refuse)
            made = pc.cast(pc.cast(column, pa.timestamp("ns")), pa.int64())
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            made = self._numbers(column, rows, refuse)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            made = self._texts(column, rows, refuse)
        else:
            raise refuse(0, f"a time of type {kind}", ISO, "")
        is_real = pc.and_(pc.greater_equal(made, EARLIEST), pc.less(made, LATEST))
        if (at := pc.index(is_real, False).as_py()) >= 0:
            raise refuse(at, f"the time {str(column[at])[:60]!r}", "one between 2009 and 2100", "")
        return made

    # --- numbers --------------------------------------------------------------------------------------------------

    def _numbers(self, column: pa.Array, rows: pa.Array, refuse: Refuse) -> pa.Array:
        try:
            whole = pc.cast(column, pa.int64())
        except pa.ArrowInvalid:
            at = pc.index(pc.equal(pc.floor(column), column), False).as_py()
            raise refuse(max(at, 0), f"the time {column[max(at, 0)]}", "a whole number", "") from None
        if not self._unit:
            self._unit = _unit_of(whole[0].as_py())
            self._seen = (rows[0].as_py(), self._unit)
        if not self._unit:
            raise refuse(0, f"the time {whole[0]}", "a number since 1970 in s, ms, us or ns, or ISO 8601", "")
        least, most, factor = ALL_UNITS[self._unit]
        is_same = pc.and_(pc.greater_equal(whole, least), pc.less(whole, most))
        if (at := pc.index(is_same, False).as_py()) >= 0:
            other = _unit_of(whole[at].as_py()) or "no unit of time"
            raise refuse(
                at,
                f"the time {whole[at]} is in {other}",
                f"{self._unit}, as in row or line {self._seen[0]}",
                "one file has one unit: cut it in two where the unit changes",
            )
        return pc.multiply(whole, factor)

    # --- texts ----------------------------------------------------------------------------------------------------

    def _texts(self, column: pa.Array, rows: pa.Array, refuse: Refuse) -> pa.Array:
        column = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
        first = column[0].as_py()
        if re.fullmatch(r"[0-9]+(\.0*)?|[0-9.]+[eE]\+?[0-9]+", first):
            try:
                kind = pa.int64() if first.isdigit() else pa.float64()
                return self._numbers(pc.cast(column, kind), rows, refuse)
            except pa.ArrowInvalid:
                at = pc.index(pc.match_substring_regex(column, r"^[0-9.eE+]+$"), False).as_py()
                raise refuse(max(at, 0), f"the time {column[max(at, 0)]}", f"a number, as {first}", "") from None
        if self._unit:
            raise refuse(0, f"the time {first!r}", f"a number in {self._unit}, as in row or line {self._seen[0]}", "")
        offset = _offset_of(first)
        if self._offset is None:
            self._offset, self._seen = offset, (rows[0].as_py(), first)
        if not self._offset:
            self._require_zone(False, column, refuse)
        made = _parsed(column, self._offset)
        if made is None or not self._is_uniform(column):
            raise self._odd_one(column, refuse)
        return made

    def _is_uniform(self, column: pa.Array) -> bool:
        """Whether all offsets are those of the first row."""
        if not self._offset:
            return True  # Arrow takes no text with an offset for one without
        same = pc.match_substring_regex(column, _ends_in(self._offset))
        return bool(pc.all(same).as_py())

    def _odd_one(self, column: pa.Array, refuse: Refuse) -> RefusedFile:
        row, seen = self._seen
        for place, text in enumerate(column.to_pylist()):
            offset = _offset_of(text)
            if _parsed(pa.array([text]), offset) is None:
                return refuse(place, f"the time {text[:60]!r}", ISO, "")
            if offset != self._offset:
                return refuse(
                    place,
                    f"the time {text!r}, with {_zone(offset)}, but {seen!r} in row or line {row} has {_zone(self._offset or '')}",
                    "one timezone in a file",
                    "write all times in UTC with a Z",
                )
        return refuse(0, f"the time {column[0].as_py()!r}", ISO, "")

    def _require_zone(self, has_zone: bool, column: pa.Array, refuse: Refuse) -> None:
        if not has_zone and not self._is_utc:
            raise refuse(0, f"the time {str(column[0])[:60]!r} says no timezone", "an offset or a Z", ASSUME)


def _unit_of(number: int) -> str:
    return next((unit for unit, (least, most, _) in ALL_UNITS.items() if least <= number < most), "")


def _offset_of(text: str) -> str:
    """`+HH:MM` (a Z is +00:00); empty if the text has none."""
    found = _OFFSET.search(text)
    if found is None:
        return ""
    said = found[1] or found[2]
    if said in ("Z", "+00", "-00:00"):
        return "+00:00"
    digits = said[1:].replace(":", "").ljust(4, "0")
    return f"{said[0]}{digits[:2]}:{digits[2:]}"


def _ends_in(offset: str) -> str:
    hours, minutes = offset[:3].replace("+", r"\+"), offset[4:]
    optional = "?" if minutes == "00" else ""
    spelled = f"{hours}(:?{minutes}){optional}$"
    return f"(Z|-00:00|{spelled})$" if offset == "+00:00" else spelled


def _zone(offset: str) -> str:
    return f"the offset {offset}" if offset else "no offset"


def _parsed(column: pa.Array, offset: str | None) -> pa.Array | None:
    """None: not all of it can be read so."""
    try:
        return pc.cast(pc.cast(column, _NS if offset else pa.timestamp("ns")), pa.int64())
    except pa.ArrowInvalid:
        pass
    if offset:
        return None
    try:
        return pc.cast(pc.cast(pc.strptime(column, format=_HOURS_AM, unit="s"), pa.timestamp("ns")), pa.int64())
    except pa.ArrowInvalid:
        return None
