"""Recorded frames come back as they were, in the order of their event times, between two generated markets that join on."""

from __future__ import annotations

import gzip
import json
import os
from itertools import islice
from pathlib import Path

import pytest

from libs.common.timeframe import DAY, HOUR, MILLISECOND, MINUTE
from services.exchange_sim.market import DepthFrame, Quote, Trade, bar_between, bar_of_trades, klines
from services.exchange_sim.recorded import RecordedMarket, RecordingError

T0 = 1_723_161_255_000  # ms, 55 seconds before a minute ends
BEHIND_NS = 1_250_000_000  # the recorder's clock, as in the real recording
REAL = Path(os.environ.get("BULKHEAD_DATA_DIR", "../shared/data")) / "binance_spot_raw"


def line(at_ms: int, stream: str, data: dict) -> str:
    received = at_ms * MILLISECOND - BEHIND_NS
    return f"{received} " + json.dumps({"stream": stream, "data": data}, separators=(",", ":"))


def trade(at_ms: int, number: int, px: str, qty: str = "0.5", sold: bool = False, symbol: str = "BTCUSDT") -> str:
    data = {"e": "trade", "E": at_ms, "s": symbol, "t": number, "p": px, "q": qty, "T": at_ms - 1, "m": sold, "M": True}
    return line(at_ms, f"{symbol.lower()}@trade", data)


def quote(at_ms: int, number: int, bid: str, ask: str, symbol: str = "BTCUSDT") -> str:
    return line(
        at_ms, f"{symbol.lower()}@bookTicker", {"u": number, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "2"}
    )


def depth(at_ms: int, first: int, last: int, bids: list, asks: list, symbol: str = "BTCUSDT") -> str:
    data = {"e": "depthUpdate", "E": at_ms, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return line(at_ms, f"{symbol.lower()}@depth@100ms", data)


def write(path: Path, lines: list[str]) -> None:
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture
def folder(tmp_path) -> Path:
    snapshot = f"{(T0 + 50) * MILLISECOND - BEHIND_NS} " + json.dumps(
        {"lastUpdateId": 11, "bids": [["60000.00", "1"]], "asks": [["60000.01", "2"]]}
    )
    write(
        tmp_path / "btcusdt_20240808.gz",
        [
            depth(T0, 5, 9, [["59000.00", "1"]], []),
            quote(T0 + 10, 10, "60000.00", "60000.01"),
            snapshot,
            trade(T0 + 100, 700, "60000.01"),
            depth(T0 + 200, 12, 14, [["60000.00", "0.0"], ["59999.00", "3"]], []),
            f"{(T0 + 210) * MILLISECOND} " + '{"stream":"btcusdt@kline_1m","data":{}}',
        ],
    )
    write(
        tmp_path / "btcusdt_20240809.gz",
        [trade(T0 + 150, 701, "60010.00", sold=True), trade(T0 + 120_000, 702, "60020.00", "0.25")],
    )
    write(
        tmp_path / "ethusdt_20240808.gz",
        [quote(T0 + 5, 3, "2600.00", "2600.01", "ETHUSDT"), trade(T0 + 110, 40, "2600.00", symbol="ETHUSDT")],
    )
    (tmp_path / "SOURCES.md").write_text("not frames")
    return tmp_path


def test_frames_are_merged_by_event_time_and_never_go_back(folder) -> None:
    """Times are the exchange's: a bookTicker, which has none, takes the recorder's with the skew of its clock."""
    market = RecordedMarket(folder, 7)
    events = list(islice(market.events((market.starts_at, 0)), 9))
    seen = [(type(event).__name__, event.instrument[:3], event.ts // MILLISECOND - T0) for event in events]
    assert seen == [
        ("DepthFrame", "BTC", 0),
        ("Quote", "ETH", 5),
        ("Quote", "BTC", 10),
        ("DepthFrame", "BTC", 50),
        ("Trade", "BTC", 100),
        ("Trade", "ETH", 110),
        ("DepthFrame", "BTC", 200),
        ("Trade", "BTC", 200),  # stamped 150, but it came after 200
        ("Trade", "BTC", 120_000),
    ]
    assert json.loads(events[4].raw)["t"] == 700
    assert events[3].is_snapshot
    assert market.starts_at == T0 * MILLISECOND - 1
    assert market.identity["files"] == "btcusdt_20240808.gz,btcusdt_20240809.gz,ethusdt_20240808.gz"


def test_history_before_the_recording_ends_at_its_first_price(folder) -> None:
    """An agent that warms up on the past meets the recording without a jump."""
    market = RecordedMarket(folder, 7)
    history = market.histories["BTC-USDT"]
    rows = klines(history, "1m", None, None, 200, T0 * MILLISECOND - 1)
    assert rows[-1][1].close == 60000.01
    assert rows[-1][0] == (T0 * MILLISECOND // MINUTE - 1) * MINUTE
    assert rows[-1][1].first_trade_id == -1
    assert len(klines(history, "1d", None, None, 1000, T0 * MILLISECOND)) == 1000


def test_bars_of_the_recording_are_made_of_its_trades(folder) -> None:
    """By trade time; a minute nobody traded in is flat; longer bars join the generated and the recorded part."""
    market = RecordedMarket(folder, 7)
    history = market.histories["BTC-USDT"]
    stream = market.events((market.starts_at, 0))
    list(islice(stream, 9))
    now = (T0 + 120_000) * MILLISECOND
    minute = T0 * MILLISECOND // MINUTE * MINUTE
    first, flat, last = (bar for _, bar in klines(history, "1m", minute, None, 3, now))
    assert (first.open, first.high, first.close, first.lots) == (60000.01, 60010.0, 60010.0, 100_000)
    assert (first.trade_count, first.first_trade_id, first.last_trade_id, first.taker_buy_lots) == (2, 700, 701, 50_000)
    assert (flat.open, flat.close, flat.lots, flat.trade_count) == (60010.0, 60010.0, 0, 0)
    assert (last.open, last.close, last.lots) == (60020.0, 60020.0, 25_000)
    hour = bar_between(history, now // HOUR * HOUR, now // HOUR * HOUR + HOUR, now)
    assert hour.close == 60020.0
    assert hour.high >= 60020.0
    assert hour.last_trade_id == 702
    day = bar_between(history, now // DAY * DAY, now // DAY * DAY + DAY, now)
    assert day.lots > hour.lots


def test_after_the_end_a_generated_market_goes_on(folder) -> None:
    """From the last price, in the same minute, with ids that go on; bars still are what trades make."""
    market = RecordedMarket(folder, 7)
    events = list(islice(market.events((market.starts_at, 0)), 600))
    after = [event for event in events[9:] if event.instrument == "BTC-USDT"]
    trades = [event for event in after if isinstance(event, Trade)]
    quotes = [event for event in after if isinstance(event, Quote)]
    assert trades[0].trade_id == 703
    assert trades[0].px == pytest.approx(60020.0, rel=0.002)
    assert quotes[0].update_id == 11
    assert after[0].ts > (T0 + 120_000) * MILLISECOND
    history = market.histories["BTC-USDT"]
    now = after[-1].ts
    assert [found.trade_id for found in history.recent_trades(6, trades[2].ts)] == [700, 701, 702, 703, 704, 705]
    assert [found.trade_id for found in history.trades_from(701, 4, now)] == [701, 702, 703, 704]
    joint = trades[0].ts // MINUTE
    for minute in (joint, joint + 1):
        printed = [
            t for t in events if isinstance(t, Trade) and t.instrument == "BTC-USDT" and t.ts_trade // MINUTE == minute
        ]
        planned, made = history.piece("1m", minute * MINUTE), bar_of_trades(printed, history.listing)
        for field in ("open", "high", "low", "close", "lots", "trade_count", "first_trade_id"):
            assert getattr(planned, field) == getattr(made, field)
    assert history.piece("15m", (joint // 15 + 2) * 15 * MINUTE) is not None


def test_a_restart_inside_the_recording_gets_the_book_from_its_beginning(folder) -> None:
    """Quotes and trades behind the position only, but every change of the book."""
    market = RecordedMarket(folder, 7)
    whole = list(islice(market.events((market.starts_at, 0)), 9))
    again = list(islice(RecordedMarket(folder, 7).events((whole[4].ts, whole[4].rank)), 6))
    assert again == [whole[0], whole[3], *whole[5:9]]
    assert [isinstance(event, DepthFrame) for event in again] == [True, True, False, True, False, False]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "btcusdt_1.gz",
            gzip.compress(b'1723161255000000000 {"stream":"btcusdt@trade","data":{"E":1}}\n', mtime=0),
            "line 1",
        ),
        ("btcusdt_1.gz", gzip.compress(b"what is this\n", mtime=0), "cannot be read"),
        ("btcusdt_1.gz", b"not gzip", "cannot be read"),
        ("btcusdt_1.gz", gzip.compress(quote(T0, 1, "1", "2").encode(), mtime=0), "no trade of BTC-USDT"),
        ("notes.txt", b"", "no recorded frames"),
    ],
)
def test_an_unusable_recording_is_refused_with_its_place(tmp_path, name, content, says) -> None:
    """Nobody should search for the broken line by hand."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=says):
        RecordedMarket(tmp_path, 7)


def test_a_line_broken_in_the_middle_is_refused_when_it_is_reached(folder) -> None:
    """The head of a file may be sound."""
    path = folder / "ethusdt_20240809.gz"
    write(
        path,
        [trade(T0 + 400, 41, "2600.00", symbol="ETHUSDT"), '1723161255000000000 {"stream":"ethusdt@trade","data":{'],
    )
    market = RecordedMarket(folder, 7)
    with pytest.raises(RecordingError, match=r"ethusdt_20240809.gz, line 2"):
        list(islice(market.events((market.starts_at, 0)), 30))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recorded frames at {REAL} (set BULKHEAD_DATA_DIR)")
def test_the_real_recording_plays_in_order_and_without_gaps() -> None:
    """Ten minutes of real BTC and ETH frames: time never goes back, no trade is missing, and bars follow."""
    market = RecordedMarket(REAL, 7)
    key, trade_id, count = (0, 0), 0, 0
    for event in islice(market.events((market.starts_at, 0)), 60_000):
        assert event.ts >= key[0]
        key = (event.ts, event.rank)
        if isinstance(event, Trade) and event.instrument == "BTC-USDT":
            assert trade_id in (0, event.trade_id - 1)
            trade_id, count = event.trade_id, count + 1
    history = market.histories["BTC-USDT"]
    assert count > 5_000
    assert sum(bar.trade_count for _, bar in klines(history, "1m", market.starts_at - MINUTE, None, 9, key[0])) == count
