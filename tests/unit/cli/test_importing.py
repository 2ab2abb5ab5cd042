"""Other people's market data become bars and trades of ours: whole files, each row believed or refused by its line."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import feather
from typer.testing import CliRunner, Result

from libs.common.messages import Bar, TradePrinted
from libs.common.timeframe import DAY, HOUR, MINUTE, SECOND, WEEK
from libs.runtime.recording import Recording
from libs.runtime.recording_imports import ImportedDataset
from services.cli.app import app
from services.cli.exit_codes import BAD_DATA, CANNOT_WRITE, OK, USAGE

JAN_1_2025 = 1_735_689_600 * SECOND
KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
AGG_HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,is_best_match"
MS, US, NS = 1_000_000, 1_000, 1


def kline(ts: int, unit: int = MS, step: int = MINUTE, **changed: object) -> str:
    """One row as Binance writes it."""
    row = {
        "open_time": ts // unit,
        "open": "100.00000000",
        "high": "110.50000000",
        "low": "99.00000000",
        "close": "101.25000000",
        "volume": "3.50000000",
        "close_time": (ts + step) // unit - 1,
    } | changed
    return ",".join([*(str(value) for value in row.values()), "350.1", "7", "1.5", "150.2", "0"])


def klines(count: int, unit: int = MS, begins: int = JAN_1_2025, step: int = MINUTE) -> list[str]:
    return [kline(begins + place * step, unit, step) for place in range(count)]


def agg_trade(number: int, ts: int, unit: int = MS, px: str = "94000.01000000", maker: str = "True") -> str:
    return f"{number},{px},0.00500000,{number * 2},{number * 2 + 1},{ts // unit},{maker},True"


def spot_trade(number: int, ts: int, unit: int = MS, px: str = "94000.01000000", maker: str = "False") -> str:
    return f"{number},{px},0.00500000,470.00005,{ts // unit},{maker},True"


def write(path: Path, rows: list[str], member: str = "") -> Path:
    """As CSV or, with the name, as an archive of it."""
    text = "\n".join(rows) + "\n"
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member or f"{path.stem}.csv", text)
    else:
        path.write_text(text)
    return path


def bulkhead(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", *(str(word) for word in words)])


def imported(out: Path, *words: str | Path, code: int = OK) -> Any:
    result = bulkhead(*words, "--out", out, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def refusal(tmp_path: Path, path: Path, *words: str) -> str:
    """Why a file was refused; nothing of it may be in the dataset."""
    answer = imported(tmp_path / "out", path, *words, code=BAD_DATA)
    assert (answer["refused"], answer["added"], answer["files_changed"]) == (1, 0, 0)
    assert [found for found in (tmp_path / "out").rglob("*") if found.is_file()] == [tmp_path / "out/recording.json"]
    return answer["files"][0]["refused"]


def tree(out: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(out)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in out.rglob("*")
        if path.is_file()
    }


# --- klines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [MS, US, NS], ids=["ms", "us", "ns"])
@pytest.mark.parametrize("header", [True, False], ids=["header", "bare"])
@pytest.mark.parametrize("suffix", ["csv", "zip"])
def test_klines_are_the_same_bars_however_they_are_packed(tmp_path: Path, unit: int, header: bool, suffix: str) -> None:
    """With and without a header, zipped or not, in milliseconds or in the microseconds of 2025."""
    path = write(tmp_path / f"BTCUSDT-1m-2025-01.{suffix}", [KLINE_HEADER] * header + klines(3, unit))
    answer = imported(tmp_path / "out", path)
    assert (answer["added"], answer["missing"]) == (3, 0)
    assert answer["files"][0]["first"] == "2025-01-01T00:00:00Z"
    bars = list(Recording(tmp_path / "out").bars("BTC-USDT", "1m"))
    assert bars[1] == Bar(
        instrument="BTC-USDT",
        venue="binance",
        timeframe="1m",
        ts_open=JAN_1_2025 + MINUTE,
        ts_close=JAN_1_2025 + 2 * MINUTE,
        open=100.0,
        high=110.5,
        low=99.0,
        close=101.25,
        volume=3.5,
    )
    assert [bar.ts_open for bar in bars] == [JAN_1_2025 + place * MINUTE for place in range(3)]


def test_importing_twice_changes_nothing_and_overlapping_files_join(tmp_path: Path) -> None:
    """A second import touches no file; a longer one adds only what is new; years are files of their own."""
    out, begins = tmp_path / "out", JAN_1_2025 - 2 * HOUR
    first = write(tmp_path / "ETHUSDT-1h-2025-01.csv", klines(5, begins=begins, step=HOUR))
    assert imported(out, first)["added"] == 5
    before = tree(out)
    again = imported(out, first)
    assert (again["added"], again["repeated"], again["files_changed"]) == (0, 5, 0)
    assert tree(out) == before
    longer = write(tmp_path / "ETHUSDT-1h-2025-02.csv", klines(9, US, begins=begins + 3 * HOUR, step=HOUR))
    assert imported(out, longer)["added"] == 7
    assert [bar.ts_open for bar in Recording(out).bars("ETH-USDT", "1h")] == [begins + n * HOUR for n in range(12)]
    years = sorted(path.parent.name for path in out.rglob("bars.parquet"))
    assert years == ["year=2024", "year=2025"]


def test_holes_are_counted_and_shown(tmp_path: Path) -> None:
    """An outage of the venue is part of the truth: told, not filled."""
    rows = klines(10)
    answer = imported(tmp_path / "out", write(tmp_path / "BTCUSDT-1m-2025-01.csv", rows[:3] + rows[5:6] + rows[7:]))
    assert (answer["rows"], answer["missing"]) == (7, 3)
    assert answer["files"][0]["gaps"] == [
        {"first": JAN_1_2025 + 3 * MINUTE, "last": JAN_1_2025 + 4 * MINUTE, "count": 2},
        {"first": JAN_1_2025 + 6 * MINUTE, "last": JAN_1_2025 + 6 * MINUTE, "count": 1},
    ]


def test_a_row_twice_is_taken_once_and_two_truths_are_refused(tmp_path: Path) -> None:
    """Identical repeats are dropped and counted; a row that contradicts the one before, or the dataset, has a line."""
    rows, name = klines(4), "BTCUSDT-1m-2025-01.csv"
    contradicted = [*rows[:2], kline(JAN_1_2025 + MINUTE, close="102.0"), *rows[2:]]
    assert "line 3: close is '102.0'; expected what the row before says" in refusal(
        tmp_path, write(tmp_path / name, contradicted)
    )
    answer = imported(tmp_path / "out", write(tmp_path / name, [rows[0], rows[0], *rows[1:], rows[3]]))
    assert (answer["added"], answer["repeated"], answer["rows"]) == (4, 2, 6)
    later = write(tmp_path / name, [KLINE_HEADER, rows[2], kline(JAN_1_2025 + 3 * MINUTE, high="111.0")])
    answer = imported(tmp_path / "out", later, code=BAD_DATA)
    assert "line 3: high is 111.0, but the dataset already says 110.5" in answer["files"][0]["refused"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"open_time": JAN_1_2025 // US + 60_000_000},
            "expected milliseconds, as in the rows before, not microseconds",
        ),
        ({"open_time": 1_735_689_660}, "expected a time since 1970 in milliseconds or microseconds"),
        ({"open_time": 99_999_999_999_999}, "expected milliseconds between 2009 and 2100"),
        ({"open_time": "2025-01-01"}, "open_time is '2025-01-01'; expected a whole number"),
        ({"open_time": (JAN_1_2025 + 90 * SECOND) // MS}, "expected the beginning of a bar of this timeframe"),
        (
            {"open_time": (JAN_1_2025 - MINUTE) // MS, "close_time": JAN_1_2025 // MS - 1},
            "expected rows in ascending order",
        ),
        ({"close_time": (JAN_1_2025 + 3 * MINUTE) // MS}, "expected an instant before the next bar opens"),
        ({"close": "nan"}, "close is 'nan'; expected a finite number above 0"),
        ({"close": "inf"}, "close is 'inf'; expected a finite number above 0"),
        ({"low": "-1"}, "low is '-1'; expected a finite number above 0"),
        ({"open": "0.00000000"}, "open is '0.00000000'; expected a finite number above 0"),
        ({"volume": "-0.5"}, "volume is '-0.5'; expected a finite number, not negative"),
        ({"close": "120"}, "close is '120.0'; expected no price above high"),
        ({"open": "98.5"}, "open is '98.5'; expected no price below low"),
        ({"open": "cheap"}, "open is 'cheap'; expected a number"),
        ({"open": ""}, "open is ''; expected a number"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(f"{name}-{each}" for name, each in value.items()),
)
def test_a_row_nobody_may_believe_refuses_its_file_by_line(tmp_path: Path, changed: dict, says: str) -> None:
    """The text names the file, the line, what stands there and what was expected; nothing of the file is kept."""
    rows = [kline(JAN_1_2025), kline(JAN_1_2025 + MINUTE, **changed), kline(JAN_1_2025 + 2 * MINUTE)]
    path = write(tmp_path / "BTCUSDT-1m-2025-01.csv", [KLINE_HEADER, *rows])
    why = refusal(tmp_path, path)
    assert f"{path}, line 3: " in why
    assert says in why


def test_the_line_is_right_in_a_long_file_too(tmp_path: Path) -> None:
    """A file is read in pieces, its lines are counted through."""
    rows = klines(120_000)
    rows[100_000] = kline(JAN_1_2025 + 100_000 * MINUTE, close="nan")
    path = write(tmp_path / "BTCUSDT-1m-2025-01.zip", rows)
    assert path.stat().st_size * 200 > 120_000 * len(rows[0]), "not refused for its ratio"
    assert "line 100001: close is 'nan'" in refusal(tmp_path, path)
    rows[100_000] = "1,2,3"
    assert "line 100001: Expected 12 columns, got 3" in refusal(tmp_path, write(path, rows))


def test_weeks_begin_on_monday(tmp_path: Path) -> None:
    """A weekly bar of a venue that begins its weeks on Thursday is no bar of ours."""
    monday = JAN_1_2025 - 2 * DAY
    assert imported(tmp_path / "out", write(tmp_path / "BTCUSDT-1w-2025-01.csv", klines(2, begins=monday, step=WEEK)))
    thursday = write(tmp_path / "BTCUSDT-1w-2025-02.csv", klines(2, begins=monday + 3 * DAY, step=WEEK))
    answer = imported(tmp_path / "out", thursday, code=BAD_DATA)
    assert "the beginning of a bar of this timeframe" in answer["files"][0]["refused"]


# --- trades -------------------------------------------------------------------------------------------------------


def test_trades_become_what_the_feed_would_have_said(tmp_path: Path) -> None:
    """Day by day, in the order of time over all instruments; a taker who met a buyer's order has sold."""
    begins, out = JAN_1_2025 + DAY - SECOND, tmp_path / "out"
    btc = [agg_trade(10 + n, begins + n * SECOND, US, maker="True" if n else "False") for n in range(3)]
    eth = [agg_trade(7, begins + SECOND // 2, US, "3300.5"), agg_trade(9, begins + SECOND * 3 // 2, US, "3300.6")]
    write(tmp_path / "BTCUSDT-aggTrades-2025-01-01.csv", [AGG_HEADER, *btc])
    write(tmp_path / "ETHUSDT-aggTrades-2025-01-01.zip", eth)
    answer = imported(out, tmp_path)
    assert (answer["added"], answer["missing"], answer["files_changed"]) == (5, 1, 4)
    found = [message for _, message in Recording(out).messages()]
    assert [(each.instrument[:3], each.trade_id) for each in found if isinstance(each, TradePrinted)] == [
        ("BTC", "10"),
        ("ETH", "7"),
        ("BTC", "11"),
        ("ETH", "9"),
        ("BTC", "12"),
    ]
    assert found[0] == TradePrinted(
        ts_event=begins,
        ts_init=begins,
        producer="market",
        venue="binance",
        instrument="BTC-USDT",
        trade_id="10",
        px=94000.01,
        qty=0.005,
        aggressor_side="BUY",
    )
    assert found[2].aggressor_side == "SELL"
    before = tree(out)
    again = imported(out, tmp_path / "BTCUSDT-aggTrades-2025-01-01.csv", tmp_path / "ETHUSDT-aggTrades-2025-01-01.zip")
    assert (again["added"], again["repeated"]) == (0, 5)
    assert tree(out) == before


def test_trades_and_their_aggregates_are_not_added_up(tmp_path: Path) -> None:
    """The same day from both archives would count every trade twice; futures archives lack a column and are taken."""
    out = tmp_path / "out"
    rows = [spot_trade(n, JAN_1_2025 + n * SECOND).removesuffix(",True") for n in range(4)]
    assert imported(out, write(tmp_path / "BTCUSDT-trades-2025-01-01.csv", rows))["added"] == 4
    more = write(tmp_path / "BTCUSDT-aggTrades-2025-01-01.csv", [agg_trade(900, JAN_1_2025 + 9 * SECOND)])
    why = imported(out, more, code=BAD_DATA)["files"][0]["refused"]
    assert "was imported from trades: aggTrades of the same day would count everything twice" in why


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (spot_trade(5, JAN_1_2025 + 9 * SECOND, px="94000.02"), "px is '94000.02'; expected what the row before says"),
        (spot_trade(4, JAN_1_2025 + 9 * SECOND), "id is '4'; expected rows in ascending order"),
        (spot_trade(6, JAN_1_2025 - SECOND), "ts_event is '1735689599000000000'; expected times in ascending order"),
        (spot_trade(6, JAN_1_2025 + 9 * SECOND, maker="maybe"), "is_buyer_maker is 'maybe'; expected True or False"),
        (spot_trade(6, JAN_1_2025 + 9 * SECOND, US), "expected milliseconds, as in the rows before, not microseconds"),
        (spot_trade(-6, JAN_1_2025 + 9 * SECOND), "id is '-6'; expected a number that counts up"),
        (spot_trade(6, JAN_1_2025 + 9 * SECOND, px="0"), "price is '0'; expected a finite number above 0"),
    ],
)
def test_a_trade_nobody_may_believe_refuses_its_file(tmp_path: Path, row: str, says: str) -> None:
    """Ids and times count up, numbers are numbers; days that were sound are not kept either."""
    rows = [spot_trade(5, JAN_1_2025 + 9 * SECOND), row]
    assert says in refusal(tmp_path, write(tmp_path / "BTCUSDT-trades-2025-01.csv", rows))


# --- freqtrade ----------------------------------------------------------------------------------------------------


def frame(count: int, unit: str = "ns", **changed: list) -> pa.Table:
    begins = JAN_1_2025 // {"ns": 1, "ms": 10**6}[unit]
    step = HOUR // {"ns": 1, "ms": 10**6}[unit]
    columns = {
        "date": pa.array([begins + place * step for place in range(count)], pa.timestamp(unit, "UTC")),
        **{name: [px] * count for name, px in (("open", 100.0), ("high", 110.5), ("low", 99.0), ("close", 101.25))},
        "volume": [3.5] * count,
    }
    return pa.table(columns | changed)


@pytest.mark.parametrize("unit", ["ns", "ms"])
def test_feather_files_of_freqtrade_are_bars(tmp_path: Path, unit: str) -> None:
    """The name says pair and timeframe; the same bars as Binance's own archive, so they join without a contradiction."""
    path = tmp_path / "BTC_USDT-1h.feather"
    feather.write_feather(frame(5, unit), str(path))
    assert imported(tmp_path / "out", path)["added"] == 5
    archive = write(tmp_path / "BTCUSDT-1h-2025-01.csv", klines(6, step=HOUR))
    answer = imported(tmp_path / "out", archive)
    assert (answer["added"], answer["repeated"]) == (1, 5)


def test_a_feather_file_that_lies_is_refused(tmp_path: Path) -> None:
    """A hole where a price should be, a missing column, another file under that name."""
    path = tmp_path / "BTC_USDT-1h.feather"
    feather.write_feather(frame(3, close=[101.0, float("nan"), 102.0]), str(path))
    assert "line 2: close is 'nan'; expected a finite number above 0" in refusal(tmp_path, path)
    feather.write_feather(frame(3, close=[101.0, None, 102.0]), str(path))
    assert "line 2: close is 'None'; expected a number" in refusal(tmp_path, path)
    feather.write_feather(frame(3).drop_columns("volume"), str(path))
    assert "no column volume" in refusal(tmp_path, path)
    path.write_bytes(b"PK\x03\x04 what is this")
    assert "not a feather file" in refusal(tmp_path, path)


# --- archives that are traps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member", ["../../evil.csv", "/etc/evil.csv", "a/b.csv", "..\\evil.csv", "C:evil.csv", "evil.exe"]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, member: str) -> None:
    """Nothing is unpacked to disk, and nobody should get used to such archives."""
    path = write(tmp_path / "BTCUSDT-1m-2025-01.zip", klines(1), member)
    assert "expected a plain name that ends in .csv" in refusal(tmp_path, path)
    assert not list(tmp_path.parent.rglob("evil.*"))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """By what it says it unpacks to, by its ratio, by how many files it holds; a lie about the size ends the reading there."""
    path = tmp_path / "BTCUSDT-1m-2025-01.zip"
    write(path, ["0" * 50_000_000])
    assert "market data are never packed 200 to 1" in refusal(tmp_path, path)
    write(path, klines(20_000))
    assert "unpacks to 2 MB, at most 1 are taken (--max-mb)" in refusal(tmp_path, path, "--max-mb", "1")
    packed = bytearray(path.read_bytes())
    entry = packed.rindex(b"PK\x01\x02")
    packed[entry + 24 : entry + 28] = struct.pack("<I", 900)
    path.write_bytes(packed)
    assert "Bad CRC-32" in refusal(tmp_path, path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, "1")
    assert "holds 2 files" in refusal(tmp_path, path)
    path.write_bytes(b"PK\x05\x06 half an archive")
    assert "not a sound zip archive" in refusal(tmp_path, path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """A flipped bit in the middle is found by the checksum, at the latest."""
    path = write(tmp_path / "BTCUSDT-1m-2025-01.zip", klines(3_000))
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    assert str(path) in refusal(tmp_path, path)


# --- names and places ---------------------------------------------------------------------------------------------


def test_options_say_what_a_name_does_not(tmp_path: Path) -> None:
    """Instrument, kind, timeframe and venue can be given; without them an unclear name is refused with examples."""
    path = write(tmp_path / "my_bars.csv", klines(2))
    assert "the name does not say what it is" in refusal(tmp_path, path)
    words = ("--instrument", "BTC-EUR", "--kind", "klines", "--timeframe", "1m", "--venue", "kraken")
    assert imported(tmp_path / "out", path, *words)["added"] == 2
    assert len(list(Recording(tmp_path / "out").bars("BTC-EUR", "1m", "kraken"))) == 2
    months = write(tmp_path / "BTCUSDT-1mo-2025.csv", klines(2))
    why = imported(tmp_path / "out", months, code=BAD_DATA)["files"][0]["refused"]
    assert "timeframe '1mo'; expected one of 1s, 1m, 3m" in why
    why = imported(tmp_path / "out", path, *words[:1], "../BTC", *words[2:], code=BAD_DATA)["files"][0]["refused"]
    assert "'../BTC' is no name of a venue or an instrument" in why
    assert bulkhead(path, "--out", tmp_path / "out", "--kind", "orders").exit_code == USAGE


@pytest.mark.parametrize(
    "content", ["", "\n", KLINE_HEADER + "\n", "a,b\n1,2\n"], ids=["empty", "blank", "header", "two"]
)
def test_files_without_bars_are_refused(tmp_path: Path, content: str) -> None:
    """An empty download is not an import of nothing."""
    path = tmp_path / "BTCUSDT-1m-2025-01.csv"
    path.write_text(content)
    assert "expected" in refusal(tmp_path, path)


def test_one_bad_file_does_not_keep_the_others_out(tmp_path: Path) -> None:
    """Each file is imported or refused by itself; the table shows both, the exit code says that one was refused."""
    write(tmp_path / "BTCUSDT-1m-2025-01.csv", klines(3))
    write(tmp_path / "BTCUSDT-1m-2025-02.csv", ["what is this"])
    result = bulkhead(tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == BAD_DATA
    assert "REFUSED" in result.stdout
    assert "1 of 2 files were refused" in result.stderr
    assert len(list(Recording(tmp_path / "out").bars("BTC-USDT", "1m"))) == 3


def test_two_imports_into_one_dataset_do_not_meet(tmp_path: Path) -> None:
    """The second is told to wait, whatever became of the first it may go on afterwards."""
    path = write(tmp_path / "BTCUSDT-1m-2025-01.csv", klines(3))
    dataset = ImportedDataset(tmp_path / "out")
    assert "another import writes into it" in imported(tmp_path / "out", path, code=CANNOT_WRITE)["error"]
    dataset.close()
    assert imported(tmp_path / "out", path)["added"] == 3


def test_a_first_line_is_a_header_only_if_it_holds_no_number(tmp_path: Path) -> None:
    """A damaged first row is refused as a row, not passed over as a header."""
    rows = [kline(JAN_1_2025, open_time="?"), kline(JAN_1_2025 + MINUTE)]
    path = write(tmp_path / "BTCUSDT-1m-2025-01.csv", rows)
    assert "line 1: open_time is '?'; expected a whole number" in refusal(tmp_path, path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Photos are not overwritten with bars."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    path = write(tmp_path / "BTCUSDT-1m-2025-01.csv", klines(3))
    assert "is not empty" in imported(tmp_path / "photos", path, code=CANNOT_WRITE)["error"]
    assert [each.name for each in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
