"""What a file of bars is about, as its name says, else its folders, else nobody: then options must tell.

    BTCUSDT-1m-2025-01.zip   BTCUSDT_1m_2025.csv.gz   BTC_USDT-1h.feather   BTC-USDT_1m.parquet   Coinbase_BTCUSD_d.csv.gz
    BTCUSDT/1m/2025-01.csv   instrument=BTC-USDT/timeframe=1m/year=2025/bars.parquet

A name is cut into words at `-`, `_`, `.` and spaces. One word must be a timeframe; the instrument is one word that ends in a known
quote asset, or two neighbours of which the second is one. What can be read in two ways is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from libs.common.instruments import QUOTE_ASSETS
from libs.common.subjects import TOKEN
from libs.common.timeframe import BAR_STEP
from libs.research.bar_files.terms import BarFile, RefusedFile, Told

SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet", ".feather")
QUOTES = (*QUOTE_ASSETS, "TUSD", "BUSD", "USD", "GBP", "JPY", "TRY", "DAI")
"""Assets that prices are told in; longer names before those they end in."""

SPELLINGS = {
    "d": "1d", "1D": "1d", "daily": "1d", "day": "1d", "1440m": "1d",
    "h": "1h", "1H": "1h", "hourly": "1h", "hour": "1h", "60m": "1h", "60min": "1h",
    "minute": "1m", "1min": "1m", "1T": "1m", "3min": "3m", "5min": "5m", "15min": "15m", "30min": "30m",
    "2H": "2h", "4H": "4h", "6H": "6h", "8H": "8h", "12H": "12h", "240m": "4h", "240min": "4h",
    "w": "1w", "1W": "1w", "weekly": "1w", "week": "1w",
}  # fmt: skip
_CUT = re.compile(r"[-_. ]+")
_NAME_OF_TRADES = {"trades", "aggTrades"}


def stem_of(path: Path) -> str:
    """The name without its (double) suffix."""
    return path.name.removesuffix(suffix_of(path))


def suffix_of(path: Path) -> str:
    """The one of `SUFFIXES` that the name ends in; empty if none."""
    return next((each for each in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(each)), "")


def steps() -> str:
    """Every timeframe that can be read, shortest first, for people."""
    return ", ".join(sorted(BAR_STEP, key=lambda name: BAR_STEP[name]))


def identify(path: Path, told: Told) -> BarFile:
    """What the file holds; the instrument is left empty where only its columns can say it.

    Raises:
        RefusedFile: not a file of bars by its name, or nobody says its timeframe.
    """
    if not suffix_of(path):
        raise RefusedFile(path, f"the name ends in {path.suffix or 'nothing'!r}", f"one of {', '.join(SUFFIXES)}")
    words = [word for word in _CUT.split(stem_of(path)) if word]
    if trades := _NAME_OF_TRADES.intersection(words):
        remedy = "name the files of bars, or make bars of them: `bulkhead import` takes trades"
        raise RefusedFile(path, f"{trades.pop()} by its name", "bars (klines)", remedy)
    hive = dict(part.split("=", 1) for part in path.parts[:-1] if "=" in part)
    folders = [part for part in reversed(path.parts[-3:-1]) if "=" not in part]
    timeframe = told.timeframe or hive.get("timeframe") or _timeframe(words) or _first(_timeframe, folders)
    instrument = told.instrument or hive.get("instrument") or instrument_in(words) or _first(_folder_name, folders)
    timeframe = SPELLINGS.get(timeframe, timeframe)
    if not timeframe:
        raise RefusedFile(
            path, "the name does not say the timeframe", "one like BTCUSDT_1m.csv", "tell it: `--timeframe 1m`"
        )
    if timeframe not in BAR_STEP:
        raise RefusedFile(path, f"timeframe {timeframe!r}", f"one of {steps()}", "tell it: `--timeframe 1m`")
    if instrument and not TOKEN.fullmatch(instrument):
        raise RefusedFile(path, f"{instrument!r} is no name of an instrument", "one like BTC-USDT")
    return BarFile(path, instrument, timeframe, told.venue or hive.get("venue", ""))


def instrument_of_symbol(symbol: str) -> str:
    """`BTCUSDT`, `BTC/USDT`, `BTC_USDT`, `btc-usdt` as we write it; empty if its quote asset is not one we know."""
    words = [word for word in re.split(r"[-_/:. ]+", symbol.strip()) if word]
    return instrument_in(words)


def quote_in(path: Path) -> str:
    """The one quote asset among the words of a name; empty if there is none, or more than one stands at the end."""
    words = [word.upper() for word in _CUT.split(stem_of(path)) if word]
    found = [word for word in words if word in QUOTES and word not in ("BTC", "ETH", "BNB")]
    return found[0] if len(set(found)) == 1 else ""


def instrument_in(words: list[str]) -> str:
    """The instrument that some words name; empty if they name none, or more than one."""
    words = [word for word in words if word not in BAR_STEP and word not in SPELLINGS]
    found = {each for word in words if (each := _whole(word))}
    found |= {
        f"{base.upper()}-{quote.upper()}"
        for base, quote in pairwise(words)
        if quote.upper() in QUOTES and base.upper() != quote.upper() and _is_asset(base) and _is_asset(quote)
    }
    return found.pop() if len(found) == 1 else ""


def _whole(word: str) -> str:
    if not _is_asset(word):
        return ""
    upper = word.upper()
    for quote in QUOTES:
        if upper.endswith(quote) and len(upper) > len(quote) + 1:
            return f"{upper.removesuffix(quote)}-{quote}"
    return ""


def _is_asset(word: str) -> bool:
    return word.isascii() and word.isalnum() and not word.isdigit() and word in (word.upper(), word.lower())


def _timeframe(words: list[str]) -> str:
    found = {SPELLINGS.get(word, word) for word in words if word in BAR_STEP or word in SPELLINGS}
    return found.pop() if len(found) == 1 else ""


def _folder_name(words: list[str]) -> str:
    return instrument_in([word for part in words for word in _CUT.split(part)])


def _first(read: Callable[[list[str]], str], folders: list[str]) -> str:
    return next((found for each in folders if (found := read([each]))), "")
