"""Files as people have them: what is wrong, what the refusal says, and what a repair makes of it."""

from __future__ import annotations

import msgspec

HEADER = "open_time,open,high,low,close,volume"
JAN_1 = 1_735_689_600


def row(minute: int, **changed: object) -> str:
    """One minute of 2025 as a line."""
    cells = {"ts": JAN_1 + 60 * minute, "o": 100.0 + minute, "h": 110.0 + minute, "l": 90.0, "c": 101.0, "v": 2.5}
    return ",".join(str(each) for each in (cells | changed).values())


def lines(*minutes: int) -> list[str]:
    return [HEADER, *(row(minute) for minute in minutes)]


class BadFile(msgspec.Struct, frozen=True):
    """`says`: parts of the refusal. `repaired`: how many bars are left under each choice of repairs."""

    name: str
    text: list[str]
    says: tuple[str, ...]
    repaired: dict[tuple[str, ...], int] = {}
    file: str = "BTCUSDT_1m.csv"


BAD_FILES = (
    BadFile("unsorted", lines(0, 2, 1, 3, 4), ("line 4", "00:01:00Z stands behind"), {("sort",): 5}),
    BadFile("newest first", lines(4, 3, 2, 1, 0), ("line 3", "newest first"), {("sort",): 5}),
    BadFile("a row twice", lines(0, 1, 1, 2), ("line 4", "twice"), {("drop-repeated",): 3, ("keep-first",): 3}),
    BadFile(
        "two truths of one bar",
        [*lines(0, 1), row(1, c=99.0), row(2)],
        ("line 4", "close", "99.0", "101.0"),
        {("keep-first",): 3, ("keep-last",): 3},
    ),
    BadFile("a hole", lines(0, 1, 4, 5), ("line 4", "2 bars missing"), {("allow-gaps",): 4, ("fill-gaps",): 6}),
    BadFile(
        "NaN in a row",
        [*lines(0, 1), row(2, c="NaN"), row(3)],
        ("line 4", "close is empty or NaN"),
        {("drop-incomplete", "allow-gaps"): 3, ("drop-incomplete", "fill-gaps"): 4},
    ),
    BadFile("no volume in a row", [*lines(0), row(1, v="")], ("line 3", "volume is empty"), {("drop-incomplete",): 1}),
    BadFile("a text for a price", [*lines(0), row(1, o="abc")], ("line 3", "open is 'abc'", "Mend")),
    BadFile("a price of zero", [*lines(0), row(1, l=0)], ("line 3", "low cannot be"), {("drop-broken",): 1}),
    BadFile("a high below the low", [*lines(0), row(1, h=80)], ("line 3", "high"), {("drop-broken",): 1}),
    BadFile("a close outside", [*lines(0), row(1, c=150)], ("line 3", "within"), {("drop-broken",): 1, ("widen",): 2}),
    BadFile("a negative volume", [*lines(0), row(1, v=-1)], ("line 3", "volume"), {("drop-broken",): 1}),
    BadFile("off the grid", [*lines(0, 1), row(1, ts=JAN_1 + 90)], ("line 4", "30 s after"), {("drop-off-grid",): 2}),
    BadFile("another timeframe", lines(0, 5, 10, 15, 20), ("300 s apart", "--timeframe 5m")),
    BadFile("no volume column", ["time,open,high,low,close", "1,2,3,4,5"], ("volume", "'high'")),
    BadFile("wrong columns", ["a,b", "1,2"], ("'a', 'b'", "expected a time")),
    BadFile("two units", [*lines(0, 1), row(2, ts=(JAN_1 + 120) * 1000)], ("line 4", "milliseconds", "seconds", "cut")),
    BadFile("no timezone", [HEADER, row(0, ts="2025-01-01 00:00:00")], ("line 2", "no timezone", "--assume-utc")),
    BadFile(
        "two timezones",
        [HEADER, row(0, ts="2025-01-01T00:00:00Z"), row(1, ts="2025-01-01T01:01:00+01:00")],
        ("line 3", "+01:00", "line 2", "+00:00"),
    ),
    BadFile(
        "an offset in one row only",
        [HEADER, row(0, ts="2025-01-01T00:00:00Z"), row(1, ts="2025-01-01T00:01:00")],
        ("line 3", "no offset", "line 2"),
    ),
    BadFile("a cell too few", [*lines(0), "1,2,3"], ("line 3", "Mend or remove")),
    BadFile("nothing", [""], ("empty", "Fetch it again")),
    BadFile("no rows", [HEADER], ("no bars of BTC-USDT",)),
    BadFile("no instrument in the name", lines(0, 1), ("--instrument",), file="prices_1m.csv"),
    BadFile("no timeframe in the name", lines(0, 1), ("--timeframe",), file="BTCUSDT.csv"),
    BadFile("trades", lines(0, 1), ("trades by its name",), file="BTCUSDT-trades-2025-01.csv"),
    BadFile("no gzip file", lines(0, 1), ("not a sound gzip file", "Fetch it again"), file="BTCUSDT_1m.csv.gz"),
    BadFile("no zip archive", lines(0, 1), ("not a sound zip archive", "Fetch it again"), file="BTCUSDT_1m.zip"),
    BadFile("no Parquet file", lines(0, 1), ("not a sound Parquet", "Fetch it again"), file="BTCUSDT_1m.parquet"),
    BadFile("no feather file", lines(0, 1), ("not a feather file",), file="BTC_USDT-1m.feather"),
)
