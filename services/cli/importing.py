"""`bulkhead import`: Binance's public archives and freqtrade's feather files into a dataset of bars and trades.

What a file holds is told by its name, as its makers name it, or by options. A file is imported as a whole or refused as a whole, with
the line; the others are imported all the same. Importing a file again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from libs.common.instruments import instrument_of
from libs.common.subjects import TOKEN
from libs.common.timeframe import BAR_STEP, SECOND
from libs.research.bar_files.archives import csv_batches, feather_batches
from libs.research.bar_files.terms import MEGABYTE, Missing, RefusedFile
from libs.runtime.recording_imports import Contradiction, ImportedDataset, Merged
from libs.runtime.recording_manifest import RecordingError
from services.cli.archive_rows import PRICES, Checked, by_period
from services.cli.exit_codes import CANNOT_WRITE, Failure

SUFFIXES = (".csv", ".zip", ".feather")
KINDS = ("klines", "trades", "aggTrades")
_BINANCE = re.compile(
    r"(?P<symbol>[A-Z0-9]{4,20})-(?P<what>trades|aggTrades|[0-9]+[a-zA-Z]+)(-[0-9]{4}(-[0-9]{2}){0,2})?"
)
_FREQTRADE = re.compile(r"(?P<base>[A-Z0-9]{1,16})_(?P<quote>[A-Z0-9]{2,8})-(?P<what>[0-9]+[a-zA-Z]+)")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What options say of every file; empty: the file's name says it."""

    venue: str = "binance"
    instrument: str = ""
    kind: str = ""
    timeframe: str = ""
    max_mb: float = 4096.0


class Imported(msgspec.Struct, kw_only=True):
    """What became of one file. `repeated` rows were there already, or twice in the file."""

    file: str
    kind: str = ""
    venue: str = ""
    instrument: str = ""
    timeframe: str = ""
    unit: str = ""
    rows: int = 0
    added: int = 0
    repeated: int = 0
    missing: int = 0
    gaps: list[Missing] = []
    first: str = ""
    last: str = ""
    files_changed: int = 0
    refused: str = ""


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those in the folders named, by name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
        else:
            found.append(path)
    return found


def import_all(paths: Sequence[Path], out: Path, told: Told, tell: Callable[[str], None]) -> list[Imported]:
    """Import every file; what is refused is among the answers.

    Raises:
        Failure: the dataset cannot be written, or holds something else.
    """
    try:
        with closing(ImportedDataset(out)) as dataset:
            done = []
            for path in files_in(paths):
                done.append(_import_one(dataset, path, told))
                if done[-1].refused:
                    tell(f"refused: {done[-1].refused}")
        return done
    except RecordingError as error:
        raise Failure(CANNOT_WRITE, str(error), "name another folder with --out") from error
    except OSError as error:
        raise Failure(
            CANNOT_WRITE,
            f"cannot write {error.filename or out}: {error.strerror or error}",
            "make room, or name another",
        ) from error


def _import_one(dataset: ImportedDataset, path: Path, told: Told) -> Imported:
    done = Imported(file=str(path))
    try:
        _identify(path, told, done)
        checked = Checked(str(path), done.kind, done.timeframe)
        shared = {"venue": done.venue, "instrument": done.instrument}
        bytes_max = int(told.max_mb * MEGABYTE)
        if done.kind == "klines":
            merged = _bars(dataset, path, checked, {**shared, "timeframe": done.timeframe}, bytes_max)
        else:
            merged = _trades(dataset, path, checked, shared, bytes_max)
        if not checked.rows:
            raise RefusedFile(path, "holds no rows", "at least one")
        done.files_changed = dataset.commit()
    except Contradiction as error:
        done.refused = f"{path}, line {error.line}: {error}"
    except (RefusedFile, RecordingError) as error:
        done.refused = str(error)
    except OSError as error:
        if error.filename is None or Path(error.filename) != path:
            raise
        done.refused = f"{path}: cannot be read ({error.strerror})"
    else:
        done.rows, done.unit, done.missing, done.gaps = checked.rows, checked.unit, checked.missing, checked.gaps
        done.added, done.repeated = merged.added, merged.repeated + checked.repeated
        done.first, done.last = _instant(checked.first_ts), _instant(checked.last_ts)
    finally:
        dataset.forget()
    return done


def _bars(dataset: ImportedDataset, path: Path, checked: Checked, shared: dict[str, str], bytes_max: int) -> Merged:
    batches = _feather_bars if path.suffix == ".feather" else _csv_bars
    rows = list(batches(path, checked, bytes_max))
    total = Merged()
    for year, some in by_period(pa.concat_tables(rows), "ts_open", "%Y") if rows else ():
        _add(total, dataset.stage_bars(shared, int(year), some))
    return total


def _csv_bars(path: Path, checked: Checked, bytes_max: int) -> Iterator[pa.Table]:
    for line, batch in csv_batches(path, bytes_max):
        yield checked.bars(checked.named(batch), line, has_close_time=True)


def _feather_bars(path: Path, checked: Checked, bytes_max: int) -> Iterator[pa.Table]:
    line = 1
    for batch in feather_batches(path, bytes_max):
        rows = pa.Table.from_batches([batch])
        if missing := [name for name in ("date", *PRICES, "volume") if name not in rows.schema.names]:
            raise RefusedFile(path, f"no column {missing[0]}", f"date, {', '.join(PRICES)}, volume")
        dates = rows["date"]
        if pa.types.is_timestamp(dates.type):
            dates = pc.cast(pc.cast(dates, pa.timestamp("ns", dates.type.tz)), pa.int64())
        yield checked.bars(rows.append_column("open_time", dates), line, has_close_time=False)
        line += batch.num_rows


def _trades(dataset: ImportedDataset, path: Path, checked: Checked, shared: dict[str, str], bytes_max: int) -> Merged:
    """Day by day, so that a month of trades is never in memory at once."""
    if path.suffix == ".feather":
        raise RefusedFile(path, "trades are read from CSV", "a feather file of bars")
    total, today, held = Merged(), "", []
    for line, batch in csv_batches(path, bytes_max):
        for day, rows in by_period(checked.trades(checked.named(batch), line), "ts_event", "%Y-%m-%d"):
            if today and day != today:
                _add(total, dataset.stage_trades(shared, today, checked.kind, pa.concat_tables(held)))
                held = []
            today = day
            held.append(rows)
    if held:
        _add(total, dataset.stage_trades(shared, today, checked.kind, pa.concat_tables(held)))
    return total


def _add(total: Merged, some: Merged) -> None:
    total.added += some.added
    total.repeated += some.repeated


# --- what a file is -----------------------------------------------------------------------------------------------


def _identify(path: Path, told: Told, done: Imported) -> None:
    """Fill in what the file holds.

    Raises:
        RefusedFile: neither its name nor the options say it.
    """
    if path.suffix not in SUFFIXES:
        raise RefusedFile(path, f"expected a name that ends in {', '.join(SUFFIXES)}")
    instrument, what = _named(path)
    kind = what if what in KINDS else "klines" if what else ""
    done.venue, done.instrument, done.kind = told.venue, told.instrument or instrument, told.kind or kind
    done.timeframe = (told.timeframe or (what if kind == "klines" else "")) if done.kind == "klines" else ""
    if not done.instrument or not done.kind:
        raise RefusedFile(
            path,
            "the name does not say what it is",
            "one like BTCUSDT-1m-2025-01.zip, BTCUSDT-trades-2025-01-02.csv or BTC_USDT-1h.feather, or --instrument and --kind",
        )
    if bad := [each for each in (done.venue, done.instrument) if not TOKEN.fullmatch(each)]:
        raise RefusedFile(path, f"{bad[0]!r} is no name of a venue or an instrument", "one like BTC-USDT")
    if done.kind == "klines" and done.timeframe not in BAR_STEP:
        steps = sorted(BAR_STEP, key=lambda name: BAR_STEP[name])
        raise RefusedFile(path, f"timeframe {done.timeframe!r}", f"one of {', '.join(steps)} (--timeframe)")


def _named(path: Path) -> tuple[str, str]:
    """The instrument, and a kind or a timeframe, as the file's name says; empty where it does not."""
    if found := _FREQTRADE.fullmatch(path.stem):
        return f"{found['base']}-{found['quote']}", found["what"]
    if found := _BINANCE.fullmatch(path.stem):
        return instrument_of(found["symbol"]) or "", found["what"]
    return "", ""


def _instant(ts: int) -> str:
    return datetime.fromtimestamp(ts // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def total(done: Sequence[Imported]) -> dict[str, Any]:
    """The answer for scripts."""
    names = ("rows", "added", "repeated", "missing", "files_changed")
    sums = {name: sum(getattr(each, name) for each in done) for name in names}
    return {**sums, "refused": sum(bool(each.refused) for each in done), "files": list(done)}
