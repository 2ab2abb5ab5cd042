"""A market drawn through recorded bars: its trades make the recorded bars, and it goes on smoothly on both sides of them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from libs.common.timeframe import DAY, HOUR, MINUTE, WEEK
from libs.runtime.recording_manifest import RecordingError
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import INTERVALS, Trade, bar_of_trades, bar_start, klines
from services.exchange_sim.recorded_bars import bars_market
from services.exchange_sim.settings import Settings

FIRST = datetime(2025, 1, 1, 21, 30, tzinfo=UTC)
BEGINS = int(FIRST.timestamp()) * 1_000_000_000
MINUTES = 600
LISTINGS = {name: listing_of(name) for name in ("BTC-USDT", "ETH-USDT")}
Row = tuple[str, str, str, str, str, str]


def recorded() -> list[Row]:
    chance, px, rows = Random(5), 94_000.0, []
    for n in range(MINUTES):
        opens, px = round(px, 2), round(px * (1 + chance.gauss(0, 0.001)), 2)
        high, low = round(max(opens, px) * 1.0003, 2), round(min(opens, px) * 0.9997, 2)
        stamp = f"{FIRST + timedelta(minutes=n):%Y-%m-%d %H:%M:%S}"
        rows.append((stamp, f"{opens}", f"{high}", f"{low}", f"{px}", f"{chance.uniform(0, 9):.5f}"))
    return rows


def folder_of(place: Path, rows: list[Row]) -> Path:
    with (place / "BTCUSDT_1m_2025.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("timestamp", "open", "high", "low", "close", "volume"), *rows])
    return place


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return recorded()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]):
    return bars_market(folder_of(tmp_path_factory.mktemp("bars"), rows), 7, LISTINGS, None)


def trades_of(history, minute: int) -> list[Trade]:
    return history.minute_trades(minute, (minute + 1) * MINUTE)


def test_the_trades_of_a_minute_make_its_recorded_bar(market, rows) -> None:
    """Prices of the bar come back to the tick, its volume to the lot."""
    history = market.histories["BTC-USDT"]
    for n, (_, opens, high, low, close, volume) in enumerate(rows):
        bar = bar_of_trades(trades_of(history, BEGINS // MINUTE + n), history.listing)
        assert (bar.open, bar.high, bar.low, bar.close) == pytest.approx(tuple(map(float, (opens, high, low, close))))
        assert bar.lots == max(12, round(float(volume) * history.listing.lots_per_unit))


@pytest.mark.parametrize("interval", ["15m", "1h", "4h", "1d"])
def test_longer_bars_are_made_of_the_minutes(market, interval) -> None:
    """Also those that begin before the recording, or end after it."""
    history, step = market.histories["BTC-USDT"], INTERVALS[interval]
    for at in (BEGINS, BEGINS + 3 * HOUR, BEGINS + MINUTES * MINUTE - 1):
        opens = bar_start(at, interval)
        minutes = [
            bar_of_trades(trades_of(history, m), history.listing)
            for m in range(opens // MINUTE, (opens + step) // MINUTE)
        ]
        ((_, bar),) = klines(history, interval, opens, None, 1, opens + WEEK)
        assert (bar.open, bar.close) == (minutes[0].open, minutes[-1].close)
        assert (bar.high, bar.low) == (max(m.high for m in minutes), min(m.low for m in minutes))
        assert bar.lots == sum(m.lots for m in minutes)


def test_the_generated_market_around_meets_the_recording_at_its_prices(market, rows) -> None:
    """No jump at either end, and years of history before."""
    history = market.histories["BTC-USDT"]
    before = history.piece("1m", BEGINS - MINUTE)
    after = history.piece("1m", BEGINS + MINUTES * MINUTE)
    assert before.close == pytest.approx(float(rows[0][1]), abs=0.02)
    assert after.open == pytest.approx(float(rows[-1][4]), abs=0.02)
    assert len(klines(history, "1d", None, None, 500, BEGINS)) == 500


def test_instruments_without_a_file_are_generated(market) -> None:
    """As they would be on a market that is generated as a whole."""
    assert market.histories["ETH-USDT"].piece("1h", BEGINS - DAY) is not None
    assert market.identity["market"] == "bars"


def test_it_begins_with_the_first_whole_day(market) -> None:
    """Or when the settings say."""
    assert market.starts_at == BEGINS // DAY * DAY + DAY


def test_a_broken_file_is_refused_with_its_row(tmp_path, rows) -> None:
    """What `bulkhead backtest` would say of it."""
    broken = [*rows[:40], (rows[40][0], "nan", *rows[40][2:]), *rows[41:]]
    with pytest.raises(RecordingError, match=r"BTCUSDT_1m_2025\.csv.*42"):
        bars_market(folder_of(tmp_path, broken), 7, LISTINGS, None)


def test_files_of_other_instruments_are_no_market(tmp_path, rows) -> None:
    """The venue lists what it is told to list."""
    with pytest.raises(RecordingError, match="BULKHEAD_SIM_INSTRUMENTS"):
        bars_market(folder_of(tmp_path, rows), 7, {"ETH-USDT": LISTINGS["ETH-USDT"]}, None)


def test_a_market_comes_from_one_place(tmp_path) -> None:
    """Bars and a recording at once are refused by name."""
    with pytest.raises(ValueError, match="BULKHEAD_SIM_DATA and BULKHEAD_SIM_BARS"):
        Settings(home=tmp_path, sim_data=tmp_path, sim_bars=tmp_path)
