"""Bars are what the venue would print, or they do not leave."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import Bar
from libs.common.timeframe import DAY, HOUR, MILLISECOND, MINUTE, SECOND, STEP, TIMEFRAMES, WEEK, bar_open
from libs.trading.bars import BarBuilder, Closing, Rollup, volume_units

MONDAY = 1_499_040_000_000 * MILLISECOND
DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[4] / "shared" / "data")) / "binance_spot_raw"

Trade = tuple[int, float, float]


def builder_from(since: int | None = MONDAY) -> BarBuilder:
    return BarBuilder("BTC-USDT", "binance", since=since)


def bar(timeframe: str, opens: int, px: float = 100.0, volume: float = 1.0, close: float | None = None) -> Bar:
    return Bar(
        instrument="BTC-USDT",
        venue="binance",
        timeframe=timeframe,
        ts_open=opens,
        ts_close=opens + STEP[timeframe],
        open=px,
        high=max(px, close or px),
        low=min(px, close or px),
        close=close or px,
        volume=volume,
        synthetic=volume == 0,
    )


def all_bars(closings: list[Closing]) -> list[Bar]:
    return [each for closing in closings for each in closing.bars]


def run(trades: list[Trade], until: int, since: int | None = MONDAY) -> list[Closing]:
    builder = builder_from(since)
    for ts, px, qty in trades:
        builder.trade(ts, px, qty)
    return builder.close_until(until)


def random_trades(seed: int, count: int, span: int) -> list[Trade]:
    """Trades in bursts and lulls; the first stands on the opening, so that a price is known from there on."""
    chance = random.Random(seed)
    instants = sorted(MONDAY + chance.randrange(span) for _ in range(count))
    px, trades = 100.0, []
    for ts in [MONDAY, *instants]:
        px = round(max(1.0, px + chance.gauss(0, 0.5)), 2)
        trades.append((ts, px, round(chance.uniform(0.00001, 3), 5)))
    return trades


def aggregated(trades: list[Trade], timeframe: str, until: int) -> list[Bar]:
    """The oracle: every bar of one timeframe straight from the trades, quantities added as decimals."""
    buckets: dict[int, list[Trade]] = defaultdict(list)
    for trade in trades:
        buckets[bar_open(trade[0], timeframe)].append(trade)
    bars, last_px = [], trades[0][1]
    opens = bar_open(MONDAY, timeframe)
    while opens + STEP[timeframe] <= until:
        inside = buckets.get(opens, [])
        begins_flat = not inside or inside[0][0] >= opens + MINUTE
        prices = [last_px] * begins_flat + [px for _, px, _ in inside]
        last_px = prices[-1]
        bars.append(
            Bar(
                instrument="BTC-USDT",
                venue="binance",
                timeframe=timeframe,
                ts_open=opens,
                ts_close=opens + STEP[timeframe],
                open=prices[0],
                high=max(prices),
                low=min(prices),
                close=last_px,
                volume=float(sum((Decimal(str(qty)) for *_, qty in inside), Decimal(0))),
                synthetic=not inside,
            )
        )
        opens += STEP[timeframe]
    return bars


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 3000), days=st.integers(1, 16))
def test_resampling_closed_children_equals_aggregating_trades(seed: int, count: int, days: int) -> None:
    """1m → 15m → 1h → 4h → 1d → 1w gives what the trades give directly, to the last digit of the volume."""
    until = MONDAY + days * DAY
    trades = random_trades(seed, count, days * DAY)
    built = all_bars(run(trades, until))
    for timeframe in TIMEFRAMES:
        assert [each for each in built if each.timeframe == timeframe] == aggregated(trades, timeframe, until)


@pytest.mark.no_cover
def test_two_hundred_thousand_trades_of_two_weeks() -> None:
    """The same at the size of a real fortnight: both weeks come out whole."""
    until = MONDAY + 2 * WEEK
    trades = random_trades(7, 200_000, 2 * WEEK)
    built = all_bars(run(trades, until))
    for timeframe in TIMEFRAMES:
        assert [each for each in built if each.timeframe == timeframe] == aggregated(trades, timeframe, until)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.floats(0, 1))
def test_what_left_does_not_depend_on_what_comes(seed: int, cut: float) -> None:
    """A prefix of the trades gives a prefix of the bars: nothing said is ever revised."""
    trades = random_trades(seed, 400, 6 * HOUR)
    at = bar_open(MONDAY + int(cut * 6 * HOUR), "1m")
    whole = run(trades, MONDAY + 6 * HOUR)
    assert run([trade for trade in trades if trade[0] < at], at) == [each for each in whole if each.end_ts <= at]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_closing_often_or_once_is_the_same(seed: int, steps: list[int]) -> None:
    """How often the caller closes changes nothing about the bars."""
    until = MONDAY + sum(steps) * MINUTE
    trades = [trade for trade in random_trades(seed, 300, 5 * HOUR) if trade[0] < until]
    builder, waiting, piecewise, now = builder_from(), list(trades), [], MONDAY
    for step in steps:
        now += step * MINUTE
        while waiting and waiting[0][0] < now:
            builder.trade(*waiting.pop(0))
        piecewise += builder.close_until(now)
    assert piecewise == run(trades, until)


@pytest.mark.parametrize("year_day", ["2024-03-31", "2024-10-27"])
def test_no_local_clock_enters(year_day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The night the clocks change has 24 hours of bars like any other."""
    import calendar
    import time

    since = calendar.timegm(time.strptime(year_day, "%Y-%m-%d")) * SECOND
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        built = all_bars(run([(since, 10.0, 1.0)], since + DAY, since))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert {tf: sum(each.timeframe == tf for each in built) for tf in TIMEFRAMES} == {
        "1m": 1440,
        "15m": 96,
        "1h": 24,
        "4h": 6,
        "1d": 1,
        "1w": 0,
    }


def test_weeks_begin_on_monday() -> None:
    """The venue's own documented week, 1499040000000, begins Monday 2017-07-03 and ends with Sunday."""
    closings = run([(MONDAY, 1.0, 1.0), (MONDAY + WEEK - MILLISECOND, 2.0, 1.0)], MONDAY + WEEK)
    week = closings[-1].bars[0]
    assert (week.timeframe, week.ts_open, week.ts_close - MILLISECOND) == (
        "1w",
        MONDAY,
        1_499_644_799_999 * MILLISECOND,
    )
    assert (week.open, week.close, week.volume) == (1.0, 2.0, 2.0)


def test_all_bars_of_one_instant_leave_together_longest_first() -> None:
    """At midnight of a Monday all six close at once."""
    last = run([(MONDAY, 1.0, 1.0)], MONDAY + WEEK)[-1]
    assert [each.timeframe for each in last.bars] == ["1w", "1d", "4h", "1h", "15m", "1m"]
    assert {each.ts_close for each in last.bars} == {last.end_ts}


def test_a_trade_on_the_boundary_opens_the_next_minute() -> None:
    """[open, close): the instant of the close belongs to the next bar."""
    first, second = run([(MONDAY, 1.0, 1.0), (MONDAY + MINUTE, 2.0, 1.0)], MONDAY + 2 * MINUTE)
    assert (first.bars[0].close, second.bars[0].open) == (1.0, 2.0)


def test_the_first_minute_of_a_late_start_never_leaves() -> None:
    """Who came at 00:00:20 has not seen that minute, nor the quarter of an hour around it."""
    start = MONDAY + 20 * SECOND
    built = all_bars(run([(start, 1.0, 1.0)], MONDAY + 30 * MINUTE, since=None))
    assert built[0].ts_open == MONDAY + MINUTE
    assert [each.ts_open for each in built if each.timeframe == "15m"] == [MONDAY + 15 * MINUTE]


def test_a_start_on_the_boundary_is_whole() -> None:
    """A first trade exactly on the opening starts a bar that may leave."""
    built = all_bars(run([(MONDAY, 1.0, 1.0)], MONDAY + MINUTE, since=None))
    assert [each.ts_open for each in built] == [MONDAY]


def test_history_completes_the_bars_that_were_running() -> None:
    """Started at 10:07, the minutes 10:00 to 10:07 come from history, and the quarter of 10:00 leaves at 10:15."""
    ten = MONDAY + 10 * HOUR
    builder = builder_from(None)
    builder.seed(bar("1m", ten + minute * MINUTE, px=50.0 + minute) for minute in range(7))
    builder.trade(ten + 7 * MINUTE, 40.0, 2.0)
    last = builder.close_until(ten + 15 * MINUTE)[-1]
    quarter = last.bars[0]
    assert (quarter.timeframe, quarter.ts_open) == ("15m", ten)
    assert (quarter.open, quarter.high, quarter.low, quarter.close, quarter.volume) == (50.0, 56.0, 40.0, 40.0, 9.0)


def test_seeding_every_timeframe_counts_nothing_twice() -> None:
    """A quarter that history gives both whole and as its minutes enters its hour once."""
    ten = MONDAY + 10 * HOUR
    builder = builder_from(None)
    seeds = [bar("1m", ten + minute * MINUTE) for minute in range(20)]
    seeds += [bar("15m", ten, volume=15.0), bar("4h", MONDAY + 4 * HOUR), bar("4h", MONDAY, volume=240.0)]
    seeds += [bar("1h", MONDAY + hour * HOUR, volume=60.0) for hour in range(8, 10)]
    builder.seed(seeds)
    builder.trade(ten + 20 * MINUTE, 100.0, 40.0)
    closed = builder.close_until(MONDAY + 12 * HOUR)
    volumes = {(each.timeframe, each.ts_open): each.volume for each in all_bars(closed)}
    assert volumes["1h", ten] == 60.0
    assert volumes["4h", MONDAY + 8 * HOUR] == 180.0


def test_a_missing_child_keeps_every_bar_above_it_back() -> None:
    """A quarter with a minute unseen is no quarter; the next one is."""
    builder = builder_from()
    builder.trade(MONDAY, 1.0, 1.0)
    builder.damage(MONDAY + 3 * MINUTE, MONDAY + 3 * MINUTE)
    built = all_bars(builder.close_until(MONDAY + 2 * HOUR))
    assert MONDAY + 3 * MINUTE not in [each.ts_open for each in built if each.timeframe == "1m"]
    assert next(each.ts_open for each in built if each.timeframe == "15m") == MONDAY + 15 * MINUTE
    assert [each.ts_open for each in built if each.timeframe == "1h"] == [MONDAY + HOUR]


def test_a_repaired_minute_is_the_venues() -> None:
    """The venue's own bar replaces what was folded, before and after."""
    builder = builder_from()
    builder.trade(MONDAY, 1.0, 1.0)
    builder.damage(MONDAY, MONDAY + 10)
    assert builder.is_damaged(MONDAY)
    builder.repair(MONDAY, bar("1m", MONDAY, px=5.0, volume=9.0))
    builder.trade(MONDAY + 30 * SECOND, 1.0, 1.0)
    assert builder.close_until(MONDAY + MINUTE)[0].bars == (bar("1m", MONDAY, px=5.0, volume=9.0),)


def test_an_empty_minute_of_the_venue_is_flat_at_our_last_price() -> None:
    """Whatever a venue prints for a minute without trades, ours is the last price, volume 0 and marked."""
    builder = builder_from()
    builder.trade(MONDAY, 7.0, 1.0)
    builder.repair(MONDAY + MINUTE, bar("1m", MONDAY + MINUTE, px=3.0, volume=0.0))
    builder.repair(MONDAY + 2 * MINUTE, None)
    flat = [each.bars[0] for each in builder.close_until(MONDAY + 3 * MINUTE)[1:]]
    assert [(each.close, each.volume, each.synthetic) for each in flat] == [(7.0, 0.0, True)] * 2


def test_without_any_price_only_the_venue_can_say_one() -> None:
    """Nothing is made up before the first price; the venue's flat bar is one."""
    builder = builder_from()
    assert builder.close_until(MONDAY + MINUTE) == []
    builder.repair(MONDAY + MINUTE, bar("1m", MONDAY + MINUTE, px=3.0, volume=0.0))
    assert builder.close_until(MONDAY + 2 * MINUTE)[0].bars[0].close == 3.0


def test_late_trades_are_counted_not_folded() -> None:
    """What has left is never revised; a repair that comes too late is not either."""
    builder = builder_from()
    builder.trade(MONDAY, 1.0, 1.0)
    left = builder.close_until(MONDAY + MINUTE)
    assert builder.trade(MONDAY + 1, 99.0, 1.0) is False
    builder.repair(MONDAY, bar("1m", MONDAY, px=99.0))
    assert builder.late == 1
    assert left[0].bars[0].high == 1.0
    assert builder.close_until(MONDAY + 2 * MINUTE)[0].bars[0].high == 1.0


def test_a_minute_is_proven_by_a_trade_after_it() -> None:
    """The next minute's first trade proves the one before; a damaged one waits for its repair."""
    builder = builder_from()
    builder.trade(MONDAY, 1.0, 1.5)
    assert (builder.proven_until, builder.volume_of(MONDAY)) == (MONDAY, 1.5)
    builder.damage(MONDAY + MINUTE, MONDAY + MINUTE)
    builder.trade(MONDAY + 3 * MINUTE, 1.0, 1.0)
    assert builder.proven_until == MONDAY + MINUTE
    builder.repair(MONDAY + MINUTE, None)
    assert builder.proven_until == MONDAY + 3 * MINUTE
    assert builder.volume_of(MONDAY + MINUTE) == 0.0


def test_a_builder_that_has_seen_nothing_has_proven_nothing() -> None:
    """Without a start there is no minute to close."""
    builder = builder_from(None)
    assert (builder.proven_until, builder.close_until(MONDAY)) == (0, [])


def test_a_start_off_the_boundary_is_refused() -> None:
    """`since` is a minute's boundary, or a bar would begin half."""
    with pytest.raises(ValueError, match="minute's boundary"):
        builder_from(MONDAY + 1)


def test_a_rollup_that_begins_in_the_middle_waits_for_the_next_opening() -> None:
    """The first whole quarter is the one whose first minute was seen."""
    rollup = Rollup("15m")
    said = [rollup.fold(bar("1m", MONDAY + minute * MINUTE)) for minute in range(5, 30)]
    assert [each.ts_open for each in said if each] == [MONDAY + 15 * MINUTE]


@given(whole=st.integers(0, 10**12), units=st.integers(0, 99_999_999))
def test_volume_units_are_exact_where_floats_are(whole: int, units: int) -> None:
    """A volume that a float can hold to eight decimals has exactly its units."""
    volume = float(f"{whole}.{units:08d}")
    if whole < 10**7:
        assert volume_units(volume) == whole * 10**8 + units
    assert volume_units(volume) / 10**8 == volume


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded frames in {DATA} (BULKHEAD_DATA_DIR)")
@pytest.mark.parametrize("symbol", ["btcusdt", "ethusdt"])
def test_recorded_trades_across_midnight(symbol: str) -> None:
    """Real frames: every minute equals the sums of its trades, whose ids have no hole."""
    trades = []
    for day in ("20240808", "20240809"):
        with gzip.open(DATA / f"{symbol}_{day}.gz", "rt") as lines:
            for line in lines:
                if "@trade" in line:
                    data = json.loads(line.split(" ", 1)[1])["data"]
                    trades.append((data["t"], data["T"], data["p"], data["q"]))
    assert [one[0] for one in trades] == list(range(trades[0][0], trades[0][0] + len(trades)))

    minutes: dict[int, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    builder = builder_from(None)
    for _, ms, px, qty in trades:
        minutes[ms // 60_000].append((Decimal(px), Decimal(qty)))
        builder.trade(ms * MILLISECOND, float(px), float(qty))
    built = all_bars(builder.close_until(bar_open(trades[-1][1] * MILLISECOND, "1m")))

    expected = {}
    for minute in sorted(minutes)[1:-1]:
        prices, volume = [px for px, _ in minutes[minute]], sum(qty for _, qty in minutes[minute])
        expected[minute * MINUTE] = tuple(map(float, (prices[0], max(prices), min(prices), prices[-1], volume)))
    ones = {b.ts_open: (b.open, b.high, b.low, b.close, b.volume) for b in built if b.timeframe == "1m"}
    assert ones == expected
    assert len(ones) >= 9
