"""One rule makes the trades, quotes and bars of another venue, so they cannot contradict each other."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.timeframe import MINUTE
from services.exchange_sim.bars import FIRST_TS
from services.exchange_sim.generated import GeneratedHistory
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import Quote, bar_between, bar_of_trades
from services.exchange_sim.other_venues import KRAKEN, KUCOIN, OtherListing
from services.exchange_sim.sockets import Socket
from services.exchange_sim.streams import Streams

START = FIRST_TS + 5_000_000 * MINUTE
NAMES = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT")
RULES = (KRAKEN, KUCOIN)
ticks = st.integers(1, 20_000_000)


def listing(rules, name: str) -> OtherListing:
    return OtherListing(rules, listing_of(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rules", RULES)
@given(one=ticks, other=ticks)
def test_prices_keep_their_order(rules, name, one, other) -> None:
    """A higher price here is never a lower price there, and every price there is a whole number of ticks."""
    there, per_unit = listing(rules, name), listing_of(name).ticks_per_unit
    low, high = sorted((one, other))
    assert there.px(low / per_unit) <= there.px(high / per_unit)
    assert float(there.px_text(there.px(one / per_unit))) == there.px(one / per_unit)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rules", RULES)
@given(bid=ticks, spread=st.integers(1, 1000))
def test_quotes_do_not_cross_and_hold_their_trades(rules, name, bid, spread) -> None:
    """However coarse the tick: the bid stays below the offer, and trades at either lie between the two."""
    there, per_unit = listing(rules, name), listing_of(name).ticks_per_unit
    here = Quote(
        ts=0,
        rank=0,
        instrument=name,
        update_id=1,
        bid_px=bid / per_unit,
        bid_qty=1.0,
        ask_px=(bid + spread) / per_unit,
        ask_qty=1.0,
    )
    quote = there.quote(here)
    assert quote.bid_px < quote.ask_px
    assert quote.bid_px <= there.px(here.bid_px) <= there.px(here.ask_px) <= quote.ask_px


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rules", RULES)
def test_bars_there_are_what_trades_there_make(rules, name) -> None:
    """An hour of trades, each moved to the other venue, makes the bar that was moved as a whole."""
    history, there = GeneratedHistory(7, name, listing_of(name)), listing(rules, name)
    for opens in range(START, START + 6 * 60 * MINUTE, 60 * MINUTE):
        printed = [
            there.trade(trade)
            for minute in range(opens // MINUTE, opens // MINUTE + 60)
            for trade in history.minute_trades(minute, opens + 60 * MINUTE - 1)
        ]
        planned = bar_between(history, opens, opens + 60 * MINUTE, opens + 120 * MINUTE)
        made = bar_of_trades(printed, listing_of(name))
        moved = there.bar(planned)
        assert (moved.open, moved.high, moved.low, moved.close) == (made.open, made.high, made.low, made.close)
        assert (moved.lots, moved.trade_count) == (made.lots, made.trade_count)
        assert moved.low <= there.vwap(moved) <= moved.high


def test_ids_are_consecutive_at_kraken_only() -> None:
    """Kraken counts trades one by one; KuCoin's ids rise by uneven steps, never by one."""
    steps = {
        rules.venue: {
            after - before
            for before, after in pairwise(listing(rules, "BTC-USDT").trade_id(number) for number in range(1, 100))
        }
        for rules in RULES
    }
    assert steps["kraken"] == {1}
    assert len(steps["kucoin"]) > 1
    assert min(steps["kucoin"]) > 1


def test_no_frame_is_written_for_nobody() -> None:
    """Without a listener the frame is not even made, and the last one to leave makes the streams idle again."""
    streams, socket = Streams(), Socket("kraken")
    written: list[str] = []

    def frame() -> str:
        written.append("frame")
        return "frame"

    streams.emit("trade:BTC-USDT", frame)
    assert (written, streams.is_idle) == ([], True)
    streams.subscribe(socket, "trade:BTC-USDT")
    streams.subscribe(socket, "trade:ETH-USDT")
    streams.emit("trade:BTC-USDT", frame)
    assert (written, streams.is_idle) == (["frame"], False)
    streams.drop(socket)
    assert streams.is_idle
