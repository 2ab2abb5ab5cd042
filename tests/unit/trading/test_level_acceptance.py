"""The levels find what was planted, find next to nothing in noise, and say at each instant what could be known at it.

The parameters (0.2, 0.4 and 1.2 ATR, a tail of 0.001) were chosen beforehand; on seeds 0-14 of this generator neighbouring values did no
better all in all, so they were kept. Everything below is scored on other seeds: 100-111 planted, 200-211 random walks. The bounds of the
acceptance (0.90, 0.80, 1.0) were fixed beforehand, too; those of stress and placebo were set around what was measured. The generator is
ours: this proves that the detector finds what is there and nothing else, not that markets respect levels.
"""

from __future__ import annotations

import random
from functools import cache
from statistics import mean

import msgspec
import pytest

from libs.trading.levels import WITHIN_ATR, levels_of
from libs.trading.price_map import PriceMap
from tests.unit.trading.planted import HOUR_NS, Planted, Row, Said, moved, planted, scored, walk
from tests.unit.trading.test_zigzag import pivots_by_hand

PLANTED_SEEDS = range(100, 112)
WALK_SEEDS = range(200, 212)
TAU = 1000 * HOUR_NS


def mapped(rows: list[Row]) -> PriceMap:
    price_map = PriceMap(bars_max=1500, tau=TAU)
    for row in rows:
        price_map.update(*row)
    return price_map


@cache
def series(**terms: float) -> list[tuple[Planted, PriceMap]]:
    """The planted series of the scoring seeds with their maps."""
    made = [planted(seed, **terms) for seed in PLANTED_SEEDS]  # type: ignore[arg-type]
    return [(truth, mapped(truth.rows)) for truth in made]


def said_of(**terms: float) -> list[Said]:
    return [Said(truth, it.atr, [zone.mid for zone in it.levels()]) for truth, it in series(**terms)]


def test_planted_levels_are_found_and_little_else() -> None:
    """With 20 % decoys and 0.1 ATR of jitter: recall at least 0.90, precision at least 0.80."""
    recall, precision, wanted = scored(said_of())
    assert wanted > 40
    assert recall >= 0.90
    assert precision >= 0.80


@pytest.mark.parametrize(
    ("terms", "recall_min"),
    [({"jitter": 0.2}, 0.80), ({"decoys": 0.4}, 0.70), ({"hold": 0.6}, 0.90), ({"count": 10}, 0.85)],
    ids=str,
)
def test_stress_costs_recall_not_truth(terms: dict[str, float], recall_min: float) -> None:
    """More jitter, more decoys, levels that break, more levels: fewer may be found, what is said stays true."""
    recall, precision, _ = scored(said_of(**terms))
    assert recall >= recall_min
    assert precision >= 0.90


def test_noise_has_no_levels() -> None:
    """A random walk turns, too; on average at most one level is seen in 1,500 bars of it."""
    counts = [len(mapped(walk(seed)).levels()) for seed in WALK_SEEDS]
    assert mean(counts) <= 1.0


def test_random_levels_at_the_same_distances_do_not_pass() -> None:
    """The placebo: the same levels, moved together by a random part of the range, find little and are mostly wrong."""
    rng = random.Random(7)
    recall, precision, _ = scored([each for _ in range(5) for each in moved(said_of(), rng)])
    assert recall < 0.2
    assert precision < 0.2


def _held(zones: list[tuple[float, float]], later: list[float], reach: float) -> float:
    """The share of `later` turns within `reach` of a zone."""
    return mean(any(lo - reach <= px <= hi + reach for lo, hi in zones) for px in later)


def test_levels_hold_turns_that_come_later() -> None:
    """Found in the first 1,000 bars, they are where the price turns in the next 500; moved ones are not."""
    rng = random.Random(11)
    real, placebo = [], []
    for truth, whole in series():
        it = mapped(truth.rows[:1000])
        later = [pivot.px for pivot in whole.pivots if pivot.ts > truth.rows[999].ts]
        zones = [(zone.lo, zone.hi) for zone in it.levels()]
        by = it.atr * rng.uniform(1.0, 3.0)
        real.append(_held(zones, later, WITHIN_ATR / 2 * it.atr))
        placebo.append(_held([(lo + by, hi + by) for lo, hi in zones], later, WITHIN_ATR / 2 * it.atr))
    assert mean(real) >= 2 * mean(placebo)
    assert mean(real) >= 0.5


@pytest.mark.no_cover
@pytest.mark.parametrize("make", [lambda: planted(100).rows, lambda: walk(200)], ids=["planted", "walk"])
def test_a_thousand_prefixes_are_never_repainted(make) -> None:
    """At each of 1,000 instants the map says what the definition finds in the bars up to it, and takes no pivot back.

    The definition (with TA-Lib's ATR) sees the prefix only; the map is one object that lived through all of them. Now and then
    it is also rebuilt from nothing and thawed from a snapshot.
    """
    rows = make()[:1150]
    live = PriceMap(bars_max=1500, tau=TAU)
    before: list[object] = []
    for place, row in enumerate(rows, 1):
        live.update(*row)
        assert live.pivots[: len(before)] == before
        before = list(live.pivots)
        if place <= 150:
            continue
        prefix = rows[:place]
        known = pivots_by_hand(prefix)
        assert live.pivots == known
        assert live.levels() == levels_of(known, [each.close for each in prefix], live.atr, row.ts, TAU)
        if place % 100 == 0:
            assert mapped(prefix) == live == msgspec.json.decode(msgspec.json.encode(live), type=PriceMap)


def test_another_future_changes_nothing_that_was_said() -> None:
    """Up to the instant at which two histories part, both maps are one; a map does not know which future it has."""
    rows, other = planted(101).rows, walk(201)
    for parts in (400, 700, 1000):
        last = rows[parts - 1]
        ratio = last.close / other[0].close
        future = [Row(last.ts + row.ts, *(px * ratio for px in row[1:4]), row.volume) for row in other[:200]]
        until = last.ts
        one, two = mapped(rows[: parts + 200]), mapped([*rows[:parts], *future])
        known = [pivot for pivot in one.pivots if pivot.confirmed_ts <= until]
        assert known
        assert known == [pivot for pivot in two.pivots if pivot.confirmed_ts <= until]
