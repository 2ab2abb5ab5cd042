"""Levels by hand: what counts as one, where its zone lies, and what turns support into resistance."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import PriceZone
from libs.trading.levels import WITHIN_ATR, levels_of, poisson_tail, role_of
from libs.trading.price_map import PriceMap
from libs.trading.zigzag import Pivot
from tests.unit.trading.planted import HOUR_NS, Row, planted

DAY_NS = 24 * HOUR_NS
NOW = 1000 * HOUR_NS


def turns(*pxs: float, kind: str = "HIGH", begun: int = 0) -> list[Pivot]:
    """A turn an hour apart at each of `pxs`, each known an hour later."""
    return [
        Pivot(kind, px, ts=(begun + place) * HOUR_NS, confirmed_ts=(begun + place + 1) * HOUR_NS)  # type: ignore[arg-type]
        for place, px in enumerate(pxs)
    ]


def levels(pivots: list[Pivot], *closes: float, atr: float = 1.0, now: int = NOW) -> tuple[PriceZone, ...]:
    return levels_of(pivots, closes, atr, now, DAY_NS * 10)


SCATTER = turns(*[90.0 + 2.5 * place for place in range(11)], kind="LOW", begun=100)
"""Eleven turns spread evenly over 90 to 115: background."""
CROWD = turns(104.0, 103.9, 104.1, 104.05, 104.2, 103.95)


def test_a_crowd_of_turns_is_a_level_and_a_scatter_is_none() -> None:
    """Six turns within 0.3 ATR against eleven spread over 25 ATR: the zone is theirs, edge to edge, at their median."""
    assert levels(SCATTER, 100.0) == ()
    (zone,) = levels(SCATTER + CROWD, 100.0)
    assert (zone.lo, zone.hi, zone.mid, zone.touches, zone.role) == (103.9, 104.2, 104.025, 6, "RESISTANCE")
    assert (zone.first_ts, zone.last_ts, zone.confirmed_ts) == (0, 5 * HOUR_NS, 6 * HOUR_NS)


def test_the_score_fades_with_age() -> None:
    """Each turn is worth exp(-age / tau): the same level a tau later is worth 1/e of it."""
    (young,), (old,) = (levels(SCATTER + CROWD, 100.0, now=now) for now in (NOW, NOW + 10 * DAY_NS))
    assert young.score == pytest.approx(math.fsum(math.exp((each.ts - NOW) / (10 * DAY_NS)) for each in CROWD))
    assert old.score == pytest.approx(young.score / math.e)


def test_two_crowds_closer_than_their_separation_are_one_level() -> None:
    """Within 1.2 ATR the denser one stands for both; further apart they are two."""
    other = [msgspec.structs.replace(each, px=each.px + 1.0) for each in CROWD]
    denser = [*CROWD, *turns(104.0, 104.02)]
    assert [round(zone.mid) for zone in levels(SCATTER + denser + other, 100.0)] == [104]
    shoulder = turns(*[105.15] * 6, 105.25)
    assert [round(zone.mid) for zone in levels(SCATTER + turns(*[104.0] * 10) + shoulder, 100.0)] == [104]
    apart = [msgspec.structs.replace(each, px=each.px + 5.0) for each in CROWD]
    assert [round(zone.mid) for zone in levels(SCATTER + denser + apart, 100.0)] == [104, 109]


def test_a_weak_level_shows_when_a_strong_one_is_explained() -> None:
    """Four turns are nothing against a crowd taken for background, and something once the crowd is a level of its own."""
    crowd, four = turns(*[104.0] * 20), turns(97.0, 97.1, 97.2, 97.1)
    few = SCATTER[::4]
    share = 2 * WITHIN_ATR / (20.0 + 2 * WITHIN_ATR)
    assert poisson_tail(4, 27 * share) > 1e-3
    assert [zone.touches for zone in levels(crowd + four + few, 100.0)] == [4, 20]


def test_support_becomes_resistance_when_a_close_is_clearly_below() -> None:
    """A close within a quarter ATR of the zone breaks nothing; what decides is the last one that was clearly outside."""
    assert role_of(103.9, 104.2, [110.0], 0.25) == "SUPPORT"
    assert role_of(103.9, 104.2, [110.0, 103.7], 0.25) == "SUPPORT"
    assert role_of(103.9, 104.2, [110.0, 103.64], 0.25) == "RESISTANCE"
    assert role_of(103.9, 104.2, [110.0, 103.64, 104.4], 0.25) == "RESISTANCE"
    assert role_of(103.9, 104.2, [110.0, 103.64, 104.4, 104.46], 0.25) == "SUPPORT"
    assert role_of(103.9, 104.2, [104.0], 0.25) is None


def test_a_level_never_left_is_named_after_its_turns() -> None:
    """Where no close was ever outside, mostly highs make a resistance and mostly lows a support."""
    lows = [msgspec.structs.replace(each, kind="LOW") for each in CROWD]
    assert levels(SCATTER + CROWD, 104.0)[0].role == "RESISTANCE"
    assert levels(SCATTER + lows, 104.0)[0].role == "SUPPORT"


def test_after_a_doubling_distances_are_ratios() -> None:
    """One ATR at 400 is a quarter of one at 100: turns there are as close together as those here are in per cent."""
    far = [msgspec.structs.replace(each, px=each.px / 4) for each in CROWD]
    near = turns(25.5, 25.75, 26.0, 26.25)
    background = turns(*[20.0 + 9 * place for place in range(11)], begun=100)
    assert [zone.touches for zone in levels(background + far, 104.0)] == [6]
    assert levels(background + near, 104.0) == ()
    undoubled = turns(*[95.0 + 9 * place for place in range(10)], begun=100)
    assert [zone.touches for zone in levels(undoubled + turns(98.5, 98.75, 99.0, 99.25), 104.0)] == [3]


@pytest.mark.parametrize(("count", "expected"), [(0, 1.0), (1, 1 - math.exp(-2)), (3, 1 - 5 * math.exp(-2))])
def test_the_poisson_tail_by_hand(count: int, expected: float) -> None:
    """P(X >= n) for two expected: 1, 1 - e^-2, 1 - 5 e^-2."""
    assert poisson_tail(count, 2.0) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.floats(0.01, 50))
def test_the_poisson_tail_and_its_complement_are_one(count: int, expected: float) -> None:
    """What is not in the tail is below it; more expected is a fatter tail."""
    below = math.fsum(math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(count))
    assert poisson_tail(count, expected) + below == pytest.approx(1.0, abs=1e-9)
    assert poisson_tail(count, expected) <= poisson_tail(count, expected * 1.1) + 1e-12
    assert 0.0 < poisson_tail(40, 0.01) < 1e-120


def test_nobody_may_know_a_pivot_before_its_time() -> None:
    """Asking for levels at an instant at which a turn was not confirmed yet is an error, not a better answer."""
    with pytest.raises(ValueError, match="is not known at"):
        levels(CROWD, 100.0, now=CROWD[-1].confirmed_ts - 1)
    with pytest.raises(ValueError, match="must be positive"):
        levels(CROWD, 100.0, atr=0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=60), st.integers(0, 2**32))
def test_levels_are_apart_and_made_of_their_turns(ticks: list[int], seed: int) -> None:
    """Any turns in any order: zones do not overlap, hold the turns they count, and do not depend on the order told."""
    pivots = turns(*[100.0 + tick / 200 for tick in ticks])
    found = levels(pivots, 110.0)
    for zone in found:
        assert zone.lo <= zone.mid <= zone.hi <= zone.lo + 2 * WITHIN_ATR + 1e-9
        assert sum(zone.lo <= pivot.px <= zone.hi for pivot in pivots) == zone.touches
        assert zone.first_ts <= zone.last_ts < zone.confirmed_ts
    assert all(one.hi < other.lo for one, other in pairwise(found))
    random.Random(seed).shuffle(pivots)
    assert [(zone.lo, zone.hi, zone.touches) for zone in levels(pivots, 110.0)] == [
        (zone.lo, zone.hi, zone.touches) for zone in found
    ]


# --- the map, bar by bar --------------------------------------------------------------------------------------------


def built(rows: list[Row], bars_max: int = 1500) -> PriceMap:
    """The map after `rows`."""
    price_map = PriceMap(bars_max=bars_max, tau=1000 * HOUR_NS)
    for row in rows:
        price_map.update(*row)
    return price_map


def test_a_map_is_ready_when_its_atr_is() -> None:
    """Ten periods of the ATR; before that there are no levels, whatever the market did."""
    rows = planted(1).rows
    assert not built(rows[:139]).ready
    assert built(rows[:139]).levels() == ()
    assert built(rows[:139]).profile() is None
    assert built(rows[:140]).ready


def test_a_market_that_stands_still_has_no_levels() -> None:
    """Nothing can be measured in an ATR of nothing, nor in one that is about to be."""
    assert not built([Row(place + 1, 5.0, 5.0, 5.0, 1.0) for place in range(200)]).ready
    rows = planted(1).rows
    last = rows[-1]
    halted = [*rows, *(Row(last.ts + place + 1, *[last.close] * 3, 0.0) for place in range(400))]
    assert built(rows).levels()
    assert built(halted[:-300]).ready
    assert built(halted).atr > 0
    assert not built(halted).ready
    assert built(halted).levels() == ()


def test_a_map_remembers_so_many_bars_and_no_more() -> None:
    """What it keeps is bounded: bars by number, pivots by the oldest bar; a pivot inside is exactly the one that was said."""
    rows = planted(2).rows
    whole = built(rows)
    oldest = next(pivot for pivot in whole.pivots if pivot.ts >= rows[-450].ts)
    small = built(rows, bars_max=sum(row.ts >= oldest.ts for row in rows))
    assert [bar[0] for bar in small.bars] == [row.ts for row in rows if row.ts >= oldest.ts]
    assert small.pivots[0] == oldest
    assert small.pivots == [pivot for pivot in whole.pivots if pivot.ts >= small.bars[0][0]]
    assert 0 < len(small.pivots) < len(whole.pivots)
    assert len(msgspec.json.encode(small)) < 60_000


@pytest.mark.parametrize("scale", [2.0**-20, 4.0])
def test_the_unit_of_the_price_does_not_matter(scale: float) -> None:
    """The same market in satoshi or in dollars has the same levels."""
    rows = planted(4).rows
    scaled = built([Row(row.ts, row.high * scale, row.low * scale, row.close * scale, row.volume) for row in rows])
    expected = [(zone.lo * scale, zone.hi * scale, zone.touches, zone.role) for zone in built(rows).levels()]
    assert len(expected) >= 4
    assert [(zone.lo, zone.hi, zone.touches, zone.role) for zone in scaled.levels()] == expected


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (Row(9, 1.0, 1.0, 1.0, 1.0), "comes after"),
        (Row(11, 1.0, 2.0, 1.0, 1.0), "is below low"),
        (Row(11, 1.0, 1.0, math.nan, 1.0), "finite prices only"),
        (Row(11, 1.0, 1.0, 1.0, -1.0), "volume is -1"),
        (Row(11, 1.0, 1.0, 1.0, math.inf), "volume is inf"),
    ],
)
def test_what_is_no_bar_leaves_no_trace(row: Row, fault: str) -> None:
    """An older bar, one upside down, or one that is no number is refused by name, and the map is as before."""
    price_map = built([Row(10, 1.0, 1.0, 1.0, 1.0)])
    before = msgspec.json.encode(price_map)
    with pytest.raises(ValueError, match=fault):
        price_map.update(*row)
    assert msgspec.json.encode(price_map) == before
