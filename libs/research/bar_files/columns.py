"""Which columns of a file are the bars: the usual spellings, Binance's order where there is no header, several instruments side by side.

timestamp,open,high,low,close,volume                    one instrument, in the file's name
date,symbol,open,high,low,close,volume_btc,volume       instruments in a column; the volume in the base asset is the volume
,BTC:open,BTC:high,BTC:low,BTC:close,BTC:volume,ETH:…   instruments side by side
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from libs.research.bar_files.naming import instrument_of_symbol, quote_in
from libs.research.bar_files.terms import BarFile, RefusedFile, Told

FIELDS = ("open", "high", "low", "close", "volume")
PRICES = FIELDS[:4]
TIME_NAMES = (
    "ts_open", "open_time", "opentime", "time_open", "unix", "unix_timestamp", "timestamp", "time_stamp", "datetime",
    "date_time", "date", "time", "ts", "t", "start", "begin", "index", "unnamed_0", "index_level_0", "",
)  # fmt: skip
"""Spellings of the opening instant; of several that a file has, the first here."""

SPELLED = {
    "open": ("open", "o", "open_price", "price_open"),
    "high": ("high", "h", "high_price", "price_high", "max"),
    "low": ("low", "l", "low_price", "price_low", "min"),
    "close": ("close", "c", "close_price", "price_close", "last"),
    "volume": ("volume", "v", "vol", "base_volume", "volume_base", "volume_traded", "base_asset_volume"),
}
SYMBOL_NAMES = ("symbol", "pair", "ticker", "instrument", "market")
BARE = ("open_time", *FIELDS)
EXPECTED = "a time (timestamp, date, open_time, ...), open, high, low, close and volume"
_SIDE_BY_SIDE = re.compile(
    r"(?P<symbol>[A-Za-z0-9/_-]{2,32}?)[:._ ](?P<field>open|high|low|close|volume)", re.IGNORECASE
)


class Layout(msgspec.Struct, frozen=True):
    """The places of one instrument's columns. `symbol`: only rows whose `symbol_at` says so are of it."""

    instrument: str
    time: int
    fields: tuple[int, ...]
    says_utc: bool = False
    symbol_at: int = -1
    symbol: str = ""
    synthetic_at: int = -1
    is_wide: bool = False

    @property
    def places(self) -> tuple[int, ...]:
        """Every column that is read, in the order: time, fields, then symbol and synthetic if there are any."""
        more = (each for each in (self.symbol_at, self.synthetic_at) if each >= 0)
        return (self.time, *self.fields, *more)


def plain(name: str) -> str:
    """A column's name as it is compared: lower case, one underscore for whatever is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().strip('"').lower()).strip("_")


def has_bars(names: Sequence[str]) -> bool:
    """Whether a line of names can be the header of a table of bars."""
    known = {plain(name) for name in names}
    single = all(known & set(SPELLED[field]) for field in PRICES)
    return single or bool(_side_by_side(names))


def layouts(file: BarFile, names: Sequence[str], symbols: Sequence[str], told: Told) -> list[Layout]:
    """One layout for each instrument of the file; `symbols` are the values of its symbol column, if it has one.

    Raises:
        RefusedFile: a column is missing, or nobody says the instrument.
    """
    plains = [plain(name) for name in names]
    time, says_utc = _time_of(file.path, names, plains)
    groups = _side_by_side(names)
    if groups and not all(set(plains) & set(SPELLED[field]) for field in PRICES):
        return [
            Layout(_beside(file.path, symbol), time, tuple(places[field] for field in FIELDS), says_utc, is_wide=True)
            for symbol, places in groups.items()
        ]
    symbol_at = next((place for place, name in enumerate(plains) if name in SYMBOL_NAMES), -1)
    synthetic_at = plains.index("synthetic") if "synthetic" in plains else -1
    made = []
    for symbol in symbols or [""]:
        instrument = _instrument(file, symbol, len(symbols), told)
        fields = tuple(_field(file.path, names, plains, field, instrument) for field in FIELDS)
        is_one_of_many = len(symbols) > 1
        made.append(
            Layout(instrument, time, fields, says_utc, symbol_at if is_one_of_many else -1, symbol, synthetic_at)
        )
    if told.instrument and len(symbols) > 1:
        made = [each for each in made if each.instrument == told.instrument]
        if not made:
            raise RefusedFile(file.path, f"its symbols are {', '.join(symbols[:8])}", f"{told.instrument} among them")
    return made


def symbol_place(names: Sequence[str]) -> int:
    """Where the symbols stand; -1 if nowhere."""
    return next((place for place, name in enumerate(names) if plain(name) in SYMBOL_NAMES), -1)


def wrong_columns(path: Path, names: Sequence[str], missing: str = "") -> RefusedFile:
    """A file whose columns are not those of bars: says those found and those expected."""
    found = ", ".join(repr(name[:40]) for name in names[:20]) or "none"
    lacks = f"no column for {missing}: " if missing else ""
    return RefusedFile(
        path, f"{lacks}the columns are {found}", EXPECTED, "name the columns so, or take them from another source"
    )


def _time_of(path: Path, names: Sequence[str], plains: Sequence[str]) -> tuple[int, bool]:
    bare = [_without_zone(name) for name in plains]
    if "date" in bare and "time" in bare and not {"timestamp", "unix", "open_time", "datetime"} & set(bare):
        raise RefusedFile(path, "date and time stand in two columns", "one column of both", "join them")
    for wanted in TIME_NAMES:
        if wanted in bare:
            place = bare.index(wanted)
            return place, plains[place] != bare[place]
    raise wrong_columns(path, names, "the time")


def _without_zone(name: str) -> str:
    return "_".join(word for word in name.split("_") if word not in ("utc", "gmt"))


def _field(path: Path, names: Sequence[str], plains: Sequence[str], field: str, instrument: str) -> int:
    wanted = SPELLED[field]
    if field == "volume":
        base = instrument.partition("-")[0].lower()
        wanted = (f"volume_{base}", f"{base}_volume", *wanted)
    for name in wanted:
        if name in plains:
            if plains.count(name) > 1:
                raise RefusedFile(path, f"two columns are called {name!r}", "one", "name the other one otherwise")
            return plains.index(name)
    raise wrong_columns(path, names, field)


def _instrument(file: BarFile, symbol: str, count: int, told: Told) -> str:
    said = instrument_of_symbol(symbol) if symbol else ""
    if count > 1:
        if not said:
            raise RefusedFile(file.path, f"the symbol {symbol[:40]!r}", "one like BTCUSDT or BTC/USDT")
        return said
    if told.instrument:
        return told.instrument
    if said and file.instrument and said != file.instrument:
        remedy = "tell which it is: `--instrument`"
        raise RefusedFile(file.path, f"{said} in the column of symbols, {file.instrument} by its name", "one", remedy)
    if not said and not file.instrument:
        remedy = "tell it: `--instrument BTC-USDT`"
        raise RefusedFile(file.path, "the name does not say the instrument", "one like BTCUSDT_1m.csv", remedy)
    return file.instrument or said


def _side_by_side(names: Sequence[str]) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for place, name in enumerate(names):
        if found := _SIDE_BY_SIDE.fullmatch(name.strip()):
            groups.setdefault(found["symbol"], {})[found["field"].lower()] = place
    return {symbol: places for symbol, places in groups.items() if len(places) == len(FIELDS)}


def _beside(path: Path, symbol: str) -> str:
    whole = instrument_of_symbol(symbol)
    quote = quote_in(path)
    if not whole and not quote:
        raise RefusedFile(
            path, f"columns of {symbol!r}, without what it is priced in", "BTCUSDT:open", "name the columns so"
        )
    return whole or f"{symbol.upper()}-{quote}"
