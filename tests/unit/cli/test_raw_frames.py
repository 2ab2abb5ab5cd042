"""Market messages as the frames Binance would have sent."""

from __future__ import annotations

import json

import pytest

from libs.common.timeframe import MILLISECOND
from libs.runtime.adapter import LogEntry
from services.cli.raw_frames import amount, frame_of
from tests.market_tape import NOON, odd_ones, published, quote, trade


def entry(message: object, seq: int = 7) -> LogEntry:
    return LogEntry(seq, *published([message])[0])  # type: ignore[list-item]


def test_a_trade_is_written_as_binance_writes_it() -> None:
    """Receive time, then the combined-stream frame, in the file of its symbol and day."""
    name, line = frame_of(entry(trade(42, NOON, px=61837.63, qty=0.02))) or ("", b"")
    assert name == "btcusdt_20260105.gz"
    received, _, text = line.partition(b" ")
    assert int(received) == NOON + 3 * MILLISECOND
    ms = NOON // MILLISECOND
    data = {"e": "trade", "E": ms, "s": "BTCUSDT", "t": 42, "p": "61837.63000000", "q": "0.02000000", "T": ms}
    assert json.loads(text) == {"stream": "btcusdt@trade", "data": {**data, "m": True, "M": True}}


def test_a_quote_is_numbered_by_its_place_in_the_stream() -> None:
    """The message does not carry the venue's own number, but numbers must count up."""
    name, line = frame_of(entry(quote(NOON, "ETH-USDT", 2600.5), seq=911)) or ("", b"")
    assert name == "ethusdt_20260105.gz"
    data = {"u": 911, "s": "ETHUSDT", "b": "2600.50000000", "B": "1.25000000", "a": "2600.51000000", "A": "2.50000000"}
    assert json.loads(line.partition(b" ")[2]) == {"stream": "ethusdt@bookTicker", "data": data}


@pytest.mark.parametrize("value", [61837.63, 0.00000812, 1e-11, 123456789.12345678, 1e15, 0.1 + 0.2, 5e-324])
def test_an_amount_is_the_same_number_when_it_is_read_again(value: float) -> None:
    """Eight decimals where they are enough, more where they are not, never an exponent."""
    assert float(amount(value)) == value
    assert "e" not in amount(value).lower()


def test_what_binance_has_no_frame_for_is_passed_over() -> None:
    """Another venue, an id that is no number, and what cannot be read at all."""
    assert frame_of(entry(trade(1, NOON, venue="kraken"))) is None
    assert frame_of(entry(quote(NOON, venue="kucoin"))) is None
    assert frame_of(entry(trade(1, NOON, trade_id="6f0ab"))) is None
    assert [frame_of(LogEntry(1, *each)) for each in odd_ones() if each[0].endswith("BTC-USDT")] == [None] * 3
