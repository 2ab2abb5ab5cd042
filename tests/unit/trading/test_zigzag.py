"""Turning points are said once, later than they happen, and never taken back."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.trading.indicators import ATR
from libs.trading.zigzag import REACH_ATR, Pivot, ZigZag
from tests.unit.trading.planted import Row, planted, walk

WARM = 15
"""The first true range stands at bar 1 and the first ATR(14) at bar 14: the legs begin there."""


def fold(rows: list[Row], zigzag: ZigZag | None = None) -> list[Pivot]:
    """The pivots of a series, in the order in which they are said."""
    zigzag = zigzag or ZigZag()
    said = [zigzag.update(row.ts, row.high, row.low, row.close) for row in rows]
    return [pivot for pivot in said if pivot is not None]


def pivots_by_hand(rows: list[Row]) -> list[Pivot]:
    """The definition over a whole series at once, with TA-Lib's ATR: what a causal reader could have known at its end."""
    high, low, close = (np.array([getattr(row, name) for row in rows]) for name in ("high", "low", "close"))
    if len(rows) < WARM:
        return []
    reach = (REACH_ATR * talib.ATR(high, low, close, 14)).tolist()
    high, low = high.tolist(), low.tolist()
    top = bottom = known = WARM - 1
    found: list[Pivot] = []
    seeking = "either"
    for at in range(WARM, len(rows)):
        turned_down = seeking != "LOW" and high[at] <= high[top] and high[top] - low[at] >= reach[at]
        turned_up = seeking != "HIGH" and low[at] >= low[bottom] and high[at] - low[bottom] >= reach[at]
        if turned_down and not (turned_up and bottom < top):
            found.append(Pivot("HIGH", high[top], rows[top].ts, rows[at].ts))
            seeking, bottom = "LOW", min(range(max(top + 1, known), at + 1), key=lambda place: (low[place], place))
        elif turned_up:
            found.append(Pivot("LOW", low[bottom], rows[bottom].ts, rows[at].ts))
            seeking, top = "HIGH", max(range(max(bottom + 1, known), at + 1), key=lambda place: (high[place], -place))
        else:
            top = at if high[at] > high[top] else top
            bottom = at if low[at] < low[bottom] else bottom
            continue
        known = at
    return found


def quiet(count: int, px: float = 100.0) -> list[Row]:
    """Bars of range 1 around `px`: their ATR is 1."""
    return [Row(place + 1, px + 0.5, px - 0.5, px, 1.0) for place in range(count)]


def then(rows: list[Row], *bars: tuple[float, float]) -> list[Row]:
    """`rows` and after them bars of these (high, low), closing in their middle."""
    begun = len(rows)
    return rows + [Row(begun + place + 1, high, low, (high + low) / 2, 1.0) for place, (high, low) in enumerate(bars)]


def gusts(seed: int) -> list[Row]:
    """A walk whose moves are now a hundredth and now all of what they were: the ATR collapses while a leg runs."""
    rng = random.Random(seed)
    calm = [max(0.01, rng.random() ** 6) for _ in range(160)]
    rows = walk(seed, bars=1600)
    pxs = [100.0]
    for place, (row, last) in enumerate(zip(rows[1:], rows, strict=False)):
        pxs.append(pxs[-1] * (row.close / last.close) ** calm[place // 10])
    reach = [(row.high / row.low - 1) * calm[place // 10] / 2 for place, row in enumerate(rows)]
    return [Row(row.ts, px * (1 + by), px * (1 - by), px, 1.0) for row, px, by in zip(rows, pxs, reach, strict=True)]


def test_where_both_sides_turn_at_once_the_older_extreme_counts() -> None:
    """At the start both directions are open. When the ATR fades between a top and a bottom, the older of the two is the turn."""
    wide = [(102.0, 98.0)] * 16
    calm = [(100.1, 99.9)] * 40
    top, bottom = (102.5, 98.5), (101.5, 97.5)
    assert fold(then([], *wide, top, bottom, *calm))[0].kind == "HIGH"
    assert fold(then([], *wide, bottom, top, *calm))[0].kind == "LOW"


def test_a_high_is_known_when_the_price_has_come_back_three_atr() -> None:
    """By hand: 104 in bar 31 is 4 ATR up and confirms the low before it; down again, 101.6 is not far enough, 99 in bar 34 is."""
    rows = then(quiet(30), (104.0, 103.0), (103.9, 103.0), (103.5, 101.6), (102.0, 99.0))
    low, high = Pivot("LOW", 99.5, ts=WARM, confirmed_ts=31), Pivot("HIGH", 104.0, ts=31, confirmed_ts=34)
    assert fold(rows) == [low, high]
    assert fold(rows[:33]) == [low]
    assert fold(rows[:30]) == []


def test_a_bar_cannot_be_extreme_and_reversal() -> None:
    """A bar that makes a new high and falls ten ATR is a new high: whether it fell first, nobody knows."""
    assert fold(then(quiet(30), (110.0, 90.0))) == []
    rows = then(quiet(30), (105.0, 104.0), (106.0, 96.0), (97.0, 95.0))
    assert fold(rows)[1:] == [Pivot("HIGH", 106.0, ts=32, confirmed_ts=33)]


def test_the_low_after_a_high_is_the_lowest_since() -> None:
    """The bar that confirms a high may itself be the low that follows; only a later one can confirm it."""
    rows = then(quiet(30), (104.0, 103.5), (104.0, 98.0), (99.0, 98.5), (103.5, 99.0), (105.0, 103.0))
    assert fold(rows)[1:] == [Pivot("HIGH", 104.0, ts=31, confirmed_ts=32), Pivot("LOW", 98.0, ts=32, confirmed_ts=35)]


def test_a_market_that_does_not_move_never_turns() -> None:
    """Its ATR is zero, and zero is no distance to come back."""
    assert fold([Row(place + 1, 5.0, 5.0, 5.0, 0.0) for place in range(300)]) == []


@pytest.mark.parametrize("seed", range(6))
def test_the_fold_is_the_definition(seed: int) -> None:
    """Bar by bar it says what the definition finds over the whole series, with TA-Lib's ATR."""
    for rows in (planted(seed).rows, walk(seed), gusts(seed)):
        ours, theirs = fold(rows), pivots_by_hand(rows)
        assert len(ours) > 20
        assert ours == theirs


@pytest.mark.parametrize("make", [lambda: planted(7).rows, lambda: walk(7)], ids=["planted", "walk"])
def test_upside_down_highs_are_lows(make) -> None:
    """The rule has no side: the mirrored series has the mirrored turns."""
    rows = make()
    mirrored = [Row(row.ts, -row.low, -row.high, -row.close, row.volume) for row in rows]
    swapped = {"HIGH": "LOW", "LOW": "HIGH"}
    assert fold(mirrored) == [Pivot(swapped[each.kind], -each.px, each.ts, each.confirmed_ts) for each in fold(rows)]


def test_the_lag_is_a_few_bars() -> None:
    """What not repainting costs: between a turn and its knowledge lie a handful of bars."""
    lags = sorted((each.confirmed_ts - each.ts) // 3_600_000_000_000 for seed in range(8) for each in fold(walk(seed)))
    assert lags[0] >= 1
    assert lags[len(lags) // 2] <= 8


_PRICES = st.lists(st.tuples(*[st.integers(1, 400)] * 3), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(_PRICES, st.integers(0, 80))
def test_whatever_comes_pivots_alternate_and_stay(prices: list[tuple[int, int, int]], cut: int) -> None:
    """Any series: sides alternate, time goes on, each is known later than it was, at least 3 ATR away, through any snapshot."""
    ordered = [sorted(each) for each in prices]
    rows = [Row(place + 1, float(hi), float(lo), float(mid), 1.0) for place, (lo, mid, hi) in enumerate(ordered)]
    whole = fold(rows)
    first = ZigZag(atr=ATR(14))
    before = fold(rows[:cut], first)
    thawed = msgspec.json.decode(msgspec.json.encode(first), type=ZigZag)
    assert thawed == first
    assert before + fold(rows[cut:], thawed) == whole
    assert whole == pivots_by_hand(rows)
    for one, other in pairwise(whole):
        assert one.kind != other.kind
        assert one.ts < other.ts
        assert one.confirmed_ts < other.confirmed_ts
    assert all(pivot.ts < pivot.confirmed_ts for pivot in whole)


def test_a_reach_of_nothing_is_refused() -> None:
    """A price that need not come back would turn at every bar."""
    with pytest.raises(ValueError, match="reach_atr is 0"):
        ZigZag(reach_atr=0.0)
