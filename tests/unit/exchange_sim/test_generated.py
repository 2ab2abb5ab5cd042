"""The generated market is one market: the same for a seed, and the same whether it is read as bars or lived as trades."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.instruments import instrument_of, symbol_of
from libs.common.timeframe import DAY, HOUR, MINUTE, WEEK
from services.exchange_sim.bars import FIRST_TS, PlannedBar, chance, normal, shared_out, split
from services.exchange_sim.generated import GeneratedHistory, GeneratedMarket
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import (
    INTERVALS,
    Quote,
    Trade,
    bar_between,
    bar_of_trades,
    bar_start,
    klines,
)

START = FIRST_TS + 470 * WEEK
LISTINGS = {name: listing_of(name) for name in ("BTC-USDT", "ETH-USDT", "DOGE-USDT")}


def market(seed: int = 7) -> GeneratedMarket:
    return GeneratedMarket(seed, LISTINGS, START)


def agree(planned, printed) -> bool:
    names = ("open", "high", "low", "close", "lots", "trade_count", "first_trade_id", "last_trade_id")
    return all(getattr(planned, name) == getattr(printed, name) for name in names)


def test_a_seed_is_a_market() -> None:
    """The same seed gives the same events and bars in any order of asking; another seed does not."""
    one, other = market(), market()
    other.histories["BTC-USDT"].minute_trades(START // MINUTE + 7000, START * 2)
    klines(other.histories["ETH-USDT"], "1d", None, None, 500, START)
    assert list(islice(one.events((START, 0)), 2000)) == list(islice(other.events((START, 0)), 2000))
    assert list(islice(market(8).events((START, 0)), 50)) != list(islice(one.events((START, 0)), 50))
    assert one.histories["BTC-USDT"].piece("1h", START) == other.histories["BTC-USDT"].piece("1h", START)


@pytest.mark.parametrize("interval", [name for name, step in INTERVALS.items() if step <= 4 * HOUR])
def test_bars_are_what_their_trades_make(interval) -> None:
    """Every finished bar of every interval equals the aggregation of the trades streamed for it."""
    for name, history in market().histories.items():
        step = INTERVALS[interval]
        opens = bar_start(START + 3 * DAY + 5 * HOUR, interval)
        printed = [
            trade
            for minute in range(opens // MINUTE, (opens + step) // MINUTE)
            for trade in history.minute_trades(minute, opens + step)
            if trade.ts < opens + step
        ]
        planned = bar_between(history, opens, opens + step, opens + 2 * step)
        assert agree(planned, bar_of_trades(printed, history.listing)), name


def test_weeks_and_days_add_up_too() -> None:
    """The long bars are the sum of the minutes, without anybody having to add them."""
    history = market().histories["BTC-USDT"]
    minutes = [history.piece("1m", opens) for opens in range(START, START + WEEK, MINUTE)]
    whole = history.piece("1w", START)
    assert whole.open == minutes[0].open
    assert whole.close == minutes[-1].close
    assert whole.high == max(bar.high for bar in minutes)
    assert whole.low == min(bar.low for bar in minutes)
    assert whole.lots == sum(bar.lots for bar in minutes)
    days = [history.piece("1d", START + day * DAY) for day in range(7)]
    assert [bar.close for bar in days] == [minutes[1440 * day - 1].close for day in range(1, 8)]


def test_each_minute_begins_at_its_first_instant_with_the_last_price_and_an_unchanged_quote() -> None:
    """Whoever rests at a boundary is told of it at the boundary, and nothing moves there."""
    last: dict[str, float] = {}
    quote: dict[str, Quote] = {}
    openings = 0
    for event in islice(market().events((START - MINUTE, 0)), 5000):
        if isinstance(event, Quote):
            assert event.bid_px < event.ask_px
            quote[event.instrument] = event
            continue
        if event.ts % MINUTE == 0 and event.instrument in last and event.instrument in quote:
            assert event.px == last[event.instrument]
            openings += 1
        if event.instrument in quote:
            standing = quote[event.instrument]
            assert event.px == (standing.bid_px if event.is_sell else standing.ask_px)
        last[event.instrument] = event.px
    assert openings > 50
    assert {event.ts for event in islice(market().events((START - 1, 0)), 3)} == {START}


def test_ids_and_keys_only_go_up() -> None:
    """Trade ids and update ids have no gaps, and no two events share a key."""
    trade_ids: dict[str, int] = {}
    update_ids: dict[str, int] = {}
    key = (0, 0)
    for event in islice(market().events((START, 0)), 4000):
        assert (event.ts, event.rank) > key
        key = (event.ts, event.rank)
        ids, mine = (trade_ids, event.trade_id) if isinstance(event, Trade) else (update_ids, event.update_id)
        assert ids.get(event.instrument, mine - 1) == mine - 1
        ids[event.instrument] = mine


def test_events_go_on_exactly_behind_a_position() -> None:
    """A restart from any key continues with the very next event."""
    whole = list(islice(market().events((START, 0)), 500))
    for at in (0, 1, 137, 400):
        rest = islice(market().events((whole[at].ts, whole[at].rank)), 20)
        assert list(rest) == whole[at + 1 : at + 21]


def test_trades_can_be_asked_for_by_id_and_by_count() -> None:
    """Old trades come back with the ids they were streamed under."""
    history = market().histories["ETH-USDT"]
    now = START + 90 * MINUTE + 30 * 10**9
    recent = history.recent_trades(100, now)
    assert len(recent) == 100
    assert recent[-1].ts <= now
    assert history.trades_from(recent[0].trade_id, 1000, now) == recent
    assert history.trades_from(recent[3].trade_id, 5, now) == recent[3:8]
    assert history.trades_from(0, 2, now)[0].trade_id == 1
    assert history.recent_trades(10, FIRST_TS + 10**9) == history.minute_trades(FIRST_TS // MINUTE, FIRST_TS + 10**9)
    assert history.minute_trades(FIRST_TS // MINUTE - 1, now) == []


def test_klines_are_chosen_as_binance_does() -> None:
    """From startTime on, else the last ones; the bar in progress comes last; nothing from before the beginning."""
    history = market().histories["BTC-USDT"]
    now = START + 10 * HOUR + 30 * MINUTE
    assert [opens for opens, _ in klines(history, "1h", None, None, 3, now)] == [START + n * HOUR for n in (8, 9, 10)]
    assert [o for o, _ in klines(history, "1h", START + 1, None, 2, now)] == [START + HOUR, START + 2 * HOUR]
    assert [o for o, _ in klines(history, "1h", START, START + HOUR, 9, now)] == [START, START + HOUR]
    assert [o for o, _ in klines(history, "1h", None, START + HOUR - 1, 1, now)] == [START]
    assert klines(history, "1h", now + DAY, None, 5, now) == []
    assert klines(history, "1w", 0, None, 2, now)[0][0] == FIRST_TS
    assert history.piece("1d", FIRST_TS - DAY) is None
    progress = klines(history, "1h", None, None, 1, now)[0][1]
    assert progress.trade_count == 30 * 12 + 1  # the minute that begins now has had its first trade


def test_prices_wander_without_leaving() -> None:
    """Ten years of weeks stay within an order of magnitude, and move."""
    history = market().histories["BTC-USDT"]
    weeks = [bar for _, bar in klines(history, "1w", None, None, 1000, START)]
    closes = [bar.close for bar in weeks]
    assert 6_000 < min(closes) < max(closes) < 600_000
    assert max(closes) / min(closes) > 1.5


@given(
    st.floats(10, 1e5), st.floats(0, 0.2), st.floats(0, 1), st.floats(0, 1), st.integers(2, 15), st.integers(0, 10**6)
)
@settings(max_examples=300, deadline=None)
def test_children_add_up_to_their_parent(low, span, opens, closes, count, seed) -> None:
    """However flat or wild the parent is: ends meet, extremes are reached and not passed, no lot is lost."""
    high = low * (1 + span)
    inside = [min(high, max(low, low + (high - low) * share)) for share in (opens, closes)]
    parent = PlannedBar(inside[0], high, low, inside[1], 12 * count + seed)
    children = split(parent, count, chance(seed, "x").random, lots_min=12)
    assert children[0].open == parent.open
    assert children[-1].close == parent.close
    assert all(before.close == after.open for before, after in pairwise(children))
    assert max(child.high for child in children) == parent.high
    assert min(child.low for child in children) == parent.low
    assert sum(child.lots for child in children) == parent.lots
    assert all(child.low <= min(child.open, child.close) for child in children)
    assert all(child.high >= max(child.open, child.close) for child in children)
    assert all(child.lots >= 12 for child in children)


def test_chance_is_named_and_about_normal() -> None:
    """The same name draws the same; the sum of uniforms has mean 0 and variance 1."""
    assert chance("a", 1).random() == chance("a", 1).random() != chance("a1").random()
    draw = chance("n").random
    drawn = [normal(draw) for _ in range(20_000)]
    assert abs(sum(drawn) / len(drawn)) < 0.03
    assert abs(sum(x * x for x in drawn) / len(drawn) - 1) < 0.05
    assert shared_out(10, [1.0, 1.0, 2.0], 1) == [2, 3, 5]


def test_a_scaled_plan_keeps_bars_and_trades_together() -> None:
    """Joining a recording multiplies prices; rounding to ticks is monotone, so nothing comes apart."""
    history = GeneratedHistory(7, "BTC-USDT", LISTINGS["BTC-USDT"], scale=1.2345, trade_id_offset=5, update_id_offset=9)
    for minute in range(START // MINUTE, START // MINUTE + 200):
        printed = bar_of_trades(history.minute_trades(minute, START * 2), history.listing)
        assert agree(history.piece("1m", minute * MINUTE), printed)


@pytest.mark.parametrize(("symbol", "instrument"), [("BTCUSDT", "BTC-USDT"), ("ETHBTC", "ETH-BTC"), ("FOO", None)])
def test_symbols_and_instruments_name_each_other(symbol, instrument) -> None:
    """Binance writes no dash; where it stood follows from the quote asset."""
    assert instrument_of(symbol.lower()) == instrument
    assert instrument is None or symbol_of(instrument) == symbol
