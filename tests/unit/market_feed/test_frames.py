"""A frame is believed field by field or not at all."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.market_feed.frames import FrameRefused, quote_of, symbol_of, to_ns, trade_of
from tests.unit.market_feed.tape import BTC, T0

TRADE = {
    "symbol": "BTC/USDT",
    "id": "42",
    "timestamp": T0 // 1_000_000,
    "price": 60_000.5,
    "amount": 0.25,
    "side": "sell",
}
QUOTE = {"symbol": "BTC/USDT", "bid": 60_000.0, "bidVolume": 1.5, "ask": 60_000.5, "askVolume": 2.5, "timestamp": None}


def refused(parse: Any, frame: dict[str, Any]) -> str:
    with pytest.raises(FrameRefused) as caught:
        parse(frame, BTC, "binance", T0)
    return str(caught.value)


def test_a_trade() -> None:
    """A print with the venue's own time, and an id that is the same whenever it is told."""
    trade = trade_of(TRADE, BTC, "binance", T0 + 5)
    assert (trade.px, trade.qty, trade.aggressor_side, trade.trade_id) == (60_000.5, 0.25, "SELL", "42")
    assert (trade.ts_event, trade.ts_init, trade.producer) == (T0, T0 + 5, "market")
    assert trade.id == trade_of(TRADE, BTC, "binance", T0 + 9).id


def test_a_trade_whose_aggressor_is_unknown() -> None:
    """The side is a courtesy of the venue, not a condition."""
    assert trade_of({**TRADE, "side": None}, BTC, "binance", T0).aggressor_side == ""


def test_a_quote() -> None:
    """A book ticker has no time of its own: it is as old as its arrival."""
    quote = quote_of(QUOTE, BTC, "binance", T0)
    assert (quote.bid_px, quote.bid_qty, quote.ask_px, quote.ask_qty) == (60_000.0, 1.5, 60_000.5, 2.5)
    assert (quote.ts_event, quote.producer) == (T0, "market")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("symbol", "ETH/USDT", "WRONG_SYMBOL"),
        ("symbol", None, "WRONG_SYMBOL"),
        ("id", None, "BAD_ID"),
        ("id", "4a", "BAD_ID"),
        ("id", "٤٢", "BAD_ID"),
        ("timestamp", None, "BAD_TIME"),
        ("timestamp", 17, "BAD_TIME"),
        ("price", None, "BAD_PRICE"),
        ("price", math.nan, "BAD_PRICE"),
        ("price", math.inf, "BAD_PRICE"),
        ("price", 0.0, "BAD_PRICE"),
        ("price", "60000", "BAD_PRICE"),
        ("price", True, "BAD_PRICE"),
        ("price", 10**400, "BAD_PRICE"),
        ("price", 1e300, "BAD_PRICE"),
        ("price", 5e-324, "BAD_PRICE"),
        ("amount", 1e308, "BAD_QUANTITY"),
        ("amount", -1.0, "BAD_QUANTITY"),
    ],
)
def test_a_bad_trade_is_refused(field: str, value: Any, reason: str) -> None:
    """Missing, of another instrument, not a number, not positive: none of it becomes a price."""
    assert refused(trade_of, {**TRADE, field: value}) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"symbol": "ETH/USDT"}, "WRONG_SYMBOL"),
        ({"bid": None}, "BAD_BID"),
        ({"bidVolume": 0.0}, "BAD_BID"),
        ({"ask": math.nan}, "BAD_ASK"),
        ({"askVolume": None}, "BAD_ASK"),
        ({"bid": 60_000.5}, "CROSSED_BOOK"),
        ({"bid": 60_001.0}, "CROSSED_BOOK"),
    ],
)
def test_a_bad_quote_is_refused(change: dict[str, Any], reason: str) -> None:
    """A book that is locked, crossed or half is no quote."""
    assert refused(quote_of, {**QUOTE, **change}) == reason


def test_whole_numbers_become_floats() -> None:
    """A venue may write 1 for 1.0; an event has one form."""
    trade = trade_of({**TRADE, "price": 60_000, "amount": 1}, BTC, "binance", T0)
    quote = quote_of({**QUOTE, "bid": 60_000, "askVolume": 2}, BTC, "binance", T0)
    assert [type(each) for each in (trade.px, trade.qty, quote.bid_px, quote.ask_qty)] == [float] * 4


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000])
def test_a_time_says_its_unit_by_its_size(unit: int) -> None:
    """Binance's archives changed from milliseconds to microseconds; both are the same instant."""
    assert to_ns(T0 // unit) == T0


@pytest.mark.parametrize("ts", [None, 1.5e12, "1723161600000", 10**11, 10**20, -1])
def test_what_is_no_time_is_refused(ts: Any) -> None:
    """Seconds, strings, floats and other epochs are not guessed at."""
    with pytest.raises(FrameRefused):
        to_ns(ts)


def test_the_venues_name_of_an_instrument() -> None:
    """A dash in our subjects is a slash at ccxt."""
    assert symbol_of(BTC) == "BTC/USDT"
