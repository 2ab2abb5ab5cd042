"""Bars come out of any file as they went in, or the file is refused with its row and what to do about it."""

from __future__ import annotations

import gzip
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather

from libs.common.timeframe import MINUTE, SECOND
from libs.research.bar_files.naming import identify
from libs.research.bar_files.series import BarSeries, open_bars
from libs.research.bar_files.terms import MEANING, RefusedFile, RepairKind, Told
from libs.runtime.recording_imports import LINE, ImportedDataset
from tests.style.tree import ROOT
from tests.unit.research.bar_files.bad_files import BAD_FILES, HEADER, JAN_1, BadFile, lines, row

DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[5] / "shared" / "data"))
FIELDS = ("open", "high", "low", "close", "volume")
Row = tuple[int, float, float, float, float, float]
SOME: list[Row] = [(JAN_1 * SECOND + n * MINUTE, 100.0 + n, 110.5 + n, 90.25, 101.1, 0.1 * n) for n in range(40)]


def text(rows: list[Row], time: str = "ms") -> str:
    iso = time == "iso"
    unit = {"s": SECOND, "ms": 10**6, "us": 1000, "ns": 1, "iso": 1}[time]
    made = [HEADER]
    for ts, *cells in rows:
        when = datetime.fromtimestamp(ts // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if iso else ts // unit
        made.append(",".join([str(when), *(repr(cell) for cell in cells)]))
    return "\n".join(made) + "\n"


def table(rows: list[Row], kind: pa.DataType) -> pa.Table:
    ts = pa.array([each[0] for each in rows], pa.int64())
    when = ts if kind == pa.int64() else ts.cast(pa.timestamp("ns", "UTC")).cast(kind)
    return pa.table({"date": when, **{name: [each[1 + n] for each in rows] for n, name in enumerate(FIELDS)}})


def written(folder: Path, how: str, rows: list[Row]) -> Path:
    """The rows in one of the formats."""
    path = folder / {"feather": "BTC_USDT-1m.feather", "zip": "BTCUSDT-1m-2025-01.zip"}.get(how, "BTCUSDT_1m.csv")
    match how.split(" "):
        case ["csv", time]:
            path.write_text(text(rows, time))
        case ["bare"]:
            path.write_text(text(rows).partition("\n")[2])
        case ["gz"]:
            path = folder / "BTC-USDT_1m_2025.csv.gz"
            path.write_bytes(gzip.compress(text(rows).encode()))
        case ["zip"]:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("BTCUSDT-1m-2025-01.csv", text(rows))
        case ["parquet", kind]:
            path = folder / "BTC-USDT_1m.parquet"
            pq.write_table(table(rows, pa.int64() if kind == "int" else pa.timestamp(kind, "UTC")), path)
        case ["feather"]:
            feather.write_feather(table(rows, pa.timestamp("ms", "UTC")), str(path))
        case ["dataset"]:
            path = folder / "dataset"
            made = table(rows, pa.int64()).rename_columns(["ts_open", *FIELDS])
            made = made.append_column("ts_close", pa.array([each[0] + MINUTE for each in rows]))
            made = made.append_column("synthetic", pa.repeat(False, len(rows)))
            made = made.append_column(LINE, pa.array(range(len(rows))))
            dataset = ImportedDataset(path)
            dataset.stage_bars({"venue": "binance", "instrument": "BTC-USDT", "timeframe": "1m"}, 2025, made)
            dataset.commit()
            dataset.close()
    return path


HOWS = (
    *(f"csv {time}" for time in ("s", "ms", "us", "ns", "iso")), "bare", "gz", "zip",
    "parquet int", "parquet ms", "parquet us", "parquet ns", "feather", "dataset",
)  # fmt: skip


def only(*paths: Path, told: Told = Told(), repair: tuple[str, ...] = (), **span: int) -> BarSeries:  # noqa: B008  frozen
    (found,) = open_bars(paths, told, frozenset(map(RepairKind, repair)), **span)
    return found


def rows_of(series: BarSeries) -> list[Row]:
    return [tuple(each[name] for name in ("ts_open", *FIELDS)) for b in series.batches() for each in b.to_pylist()]


@pytest.mark.parametrize("how", HOWS)
def test_the_same_bars_have_the_same_digest_in_every_format(tmp_path: Path, how: str) -> None:
    """What a backtest stood on is known by its bars, not by the file they came in."""
    series = only(written(tmp_path, how, SOME))
    assert (series.instrument, series.timeframe, series.bars) == ("BTC-USDT", "1m", 40)
    assert (series.first_ts_open, series.end_ts) == (SOME[0][0], SOME[-1][0] + MINUTE)
    assert rows_of(series) == SOME
    (tmp_path / "other").mkdir()
    assert series.digest == only(written(tmp_path / "other", "csv iso", SOME)).digest
    assert series.digest != only(written(tmp_path / "other", "csv iso", SOME[:-1])).digest


def _bars(cells: list[tuple[float, float, float, float, float]]) -> list[Row]:
    made = []
    for place, (a, b, c, d, volume) in enumerate(cells):
        low, first, last, high = sorted((a, b, c, d))
        made.append((JAN_1 * SECOND + place * MINUTE, first, high, low, last, volume))
    return made


PRICE = st.floats(1e-6, 1e9)
CELLS = st.lists(st.tuples(PRICE, PRICE, PRICE, PRICE, st.floats(0, 1e12)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(cells=CELLS, how=st.sampled_from(HOWS[:-1]))
def test_whatever_clean_bars_are_written_are_read_back(tmp_path_factory: pytest.TempPathFactory, cells, how) -> None:
    """No format bends a number or loses a row."""
    rows = _bars(cells)
    assert rows_of(only(written(tmp_path_factory.mktemp("bars"), how, rows))) == rows


def refusal_of(folder: Path, bad: BadFile) -> RefusedFile:
    path = folder / bad.file
    path.write_text("\n".join(bad.text) + "\n")
    with pytest.raises(RefusedFile) as caught:
        open_bars([path])
    return caught.value


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.name)
def test_a_bad_file_is_refused_with_its_row_and_a_remedy(tmp_path: Path, bad: BadFile) -> None:
    """Nobody is left alone with a file that does not work; the page of the docs shows these very words."""
    refusal = refusal_of(tmp_path, bad)
    for part in (bad.file, *bad.says):
        assert part in str(refusal)
    for kinds in bad.repaired:
        if kinds[0] != "keep-first" or "two truths" in bad.name:
            assert f"--repair {kinds[0]}" in refusal.remedy
    assert str(refusal).replace(f"{tmp_path}/", "") in (ROOT / "docs/bar-files.md").read_text()


REPAIRED = [(bad, kinds) for bad in BAD_FILES for kinds in bad.repaired]


@pytest.mark.parametrize(("bad", "kinds"), REPAIRED, ids=lambda each: getattr(each, "name", each))
def test_a_repair_that_was_asked_for_is_made_and_named(tmp_path: Path, bad: BadFile, kinds: tuple[str, ...]) -> None:
    """A repair is never silent: its kind, its first row and its extent stand in the series."""
    path = tmp_path / bad.file
    path.write_text("\n".join(bad.text) + "\n")
    series = only(path, repair=kinds)
    assert series.bars == len(rows_of(series)) == bad.repaired[kinds]
    assert {each.kind.value for each in series.repairs} == set(kinds) - {"allow-gaps"}
    assert all(each.count > 0 and each.row > 1 and each.path == path for each in series.repairs)
    assert bool(series.gaps) == bool({"allow-gaps", "fill-gaps"} & set(kinds))


def test_the_row_that_is_believed_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    """`keep-first` and `keep-last` differ in what they keep, and cannot be asked for together."""
    path = tmp_path / "BTCUSDT_1m.csv"
    path.write_text("\n".join([*lines(0, 1), row(1, c=99.0), row(2)]))
    assert [only(path, repair=(kind,)) and rows_of(only(path, repair=(kind,)))[1][4] for kind in ("keep-first", "keep-last")] == [101.0, 99.0]  # fmt: skip
    with pytest.raises(ValueError, match="contradict"):
        only(path, repair=("keep-first", "keep-last"))


def test_filled_bars_are_flat_and_say_so(tmp_path: Path) -> None:
    """At the last close, nothing traded, synthetic."""
    path = tmp_path / "BTCUSDT_1m.csv"
    path.write_text("\n".join(lines(0, 1, 4)))
    (batch,) = [pa.Table.from_batches(only(path, repair=("fill-gaps",)).batches())]
    assert batch["synthetic"].to_pylist() == [False, False, True, True, False]
    flat = batch.slice(2, 1).to_pylist()[0]
    assert [flat[name] for name in FIELDS] == [101.0, 101.0, 101.0, 101.0, 0.0]


def test_files_of_one_series_join_and_must_agree(tmp_path: Path) -> None:
    """Months come in any order; what two files tell is taken once, or refused with both places."""
    late, early = tmp_path / "BTCUSDT-1m-a.csv", tmp_path / "BTCUSDT-1m-b.csv"
    late.write_text(text(SOME[20:]))
    early.write_text(text(SOME[:25], "us"))
    assert rows_of(only(late, early)) == rows_of(only(tmp_path)) == SOME
    other = [*SOME[:24], (*SOME[24][:4], 100.0, 1.0)]
    early.write_text(text(other))
    with pytest.raises(RefusedFile, match="one truth") as caught:
        only(late, early)
    assert str(late) in str(caught.value)
    assert str(early) in str(caught.value)


def test_only_the_span_that_is_asked_for_is_read_and_judged(tmp_path: Path) -> None:
    """A hole outside the span is nobody's business; a bar belongs to it if it opened and closed in it."""
    path = tmp_path / "BTCUSDT_1m.csv"
    path.write_text("\n".join(lines(0, 5, 6, 7, 8)))
    begin = JAN_1 * SECOND + 5 * MINUTE
    assert [each[0] for each in rows_of(only(path, begin=begin, end=begin + 2 * MINUTE))] == [begin, begin + MINUTE]


def test_a_file_of_several_symbols_is_several_series(tmp_path: Path) -> None:
    """In a column, or side by side."""
    path = tmp_path / "all_1m.csv"
    ordinary = [each.rpartition(",") for each in lines(0, 1)[1:]]
    head = f"{HEADER},symbol"
    path.write_text("\n".join([head, *(f"{a},{v},{s}" for a, _, v in ordinary for s in ("BTCUSDT", "ETH/USDT"))]))
    assert [(each.instrument, each.bars) for each in open_bars([path])] == [("BTC-USDT", 2), ("ETH-USDT", 2)]
    assert only(path, told=Told(instrument="ETH-USDT")).bars == 2
    wide = tmp_path / "venue__BTC_ETH_USD_1m.csv"
    wide.write_text(
        ",".join(["date_utc", *(f"{s}:{name}" for s in ("BTC", "ETH") for name in FIELDS)])
        + "\n2025-01-01 00:00,1,2,1,2,5,,,,,\n2025-01-01 00:01,1,2,1,2,5,3,4,3,4,6\n"
    )
    assert [(each.instrument, each.bars) for each in open_bars([wide])] == [("BTC-USD", 2), ("ETH-USD", 1)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTCUSDT_1m_2025.csv.gz", ("BTC-USDT", "1m")),
        ("BTCUSDT-1m-2025-01.zip", ("BTC-USDT", "1m")),
        ("BTC_USDT-1h.feather", ("BTC-USDT", "1h")),
        ("BTC_USDT_USDT-1h-futures.feather", ("BTC-USDT", "1h")),
        ("BTC-USDT_5m.parquet", ("BTC-USDT", "5m")),
        ("Coinbase_BTCUSD_d.csv.gz", ("BTC-USD", "1d")),
        ("ETHUSDT/15m/2025-01.csv", ("ETH-USDT", "15m")),
        ("venue=binance/instrument=BTC-USDT/timeframe=1m/year=2025/bars.parquet", ("BTC-USDT", "1m")),
    ],
)
def test_names_say_what_files_hold(name: str, expected: tuple[str, str]) -> None:
    """As their makers name them."""
    found = identify(Path(name), Told())
    assert (found.instrument, found.timeframe) == expected


def test_a_truncated_archive_and_a_bomb_are_refused(tmp_path: Path) -> None:
    """Half a download is not half the truth, and nobody unpacks without a bound."""
    path = tmp_path / "BTCUSDT_1m.csv.gz"
    whole = gzip.compress(text(_many(20_000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RefusedFile, match="not a sound gzip file"):
        only(path)
    path.write_bytes(whole)
    with pytest.raises(RefusedFile, match="max-mb"):
        only(path, told=Told(max_mb=0.5))


def test_a_file_that_changed_after_it_was_checked_is_not_read(tmp_path: Path) -> None:
    """What was checked is what is used."""
    path = written(tmp_path, "csv ms", SOME)
    series = only(path)
    path.write_text(text(SOME[:-1]))
    with pytest.raises(RefusedFile, match="changed"):
        list(series.batches())


def _many(count: int) -> list[Row]:
    return [(JAN_1 * SECOND + n * MINUTE, 100.0, 110.5, 90.25, 101.1, 1.5) for n in range(count)]


def test_memory_does_not_grow_with_the_bars(tmp_path: Path) -> None:
    """Six hundred thousand bars take hardly more than a quarter of them: batches, never the whole."""
    peaks = []
    for count in (150_000, 600_000):
        path = tmp_path / f"BTCUSDT_1m_{count}.parquet"
        pq.write_table(table(_many(count), pa.int64()), path, row_group_size=50_000)
        held, peak = pa.total_allocated_bytes(), 0
        for batch in only(path).batches():
            assert batch.num_rows <= 65536
            peak = max(peak, pa.total_allocated_bytes() - held)
        peaks.append(peak)
    assert peaks[1] < 1.5 * peaks[0]


def test_real_files_are_read_or_say_what_they_lack() -> None:
    """Minutes of Binance as they are; hours of Coinbase stand newest first."""
    minutes, hours = DATA / "ohlcv_1m/BTCUSDT_1m_2025.csv.gz", DATA / "ohlcv_long/Coinbase_BTCUSD_1h.csv.gz"
    if not minutes.exists() or not hours.exists():
        pytest.skip(f"recorded bars are not here: {minutes.name} (set BULKHEAD_DATA_DIR)")
    assert only(minutes, told=Told(assume_utc=True)).bars == 50_000
    with pytest.raises(RefusedFile, match=r"line 4: newest first.*--repair sort"):
        only(hours)
    assert only(hours, repair=("sort",)).bars == 20_111


def test_every_repair_is_described() -> None:
    """The page lists what can be asked for, in the words of the code."""
    page = (ROOT / "docs/bar-files.md").read_text()
    assert set(MEANING) == set(RepairKind)
    assert [kind for kind, words in MEANING.items() if f"| `{kind.value}` | {words} |" not in page] == []
