"""A long entry's exits by hand: beyond the zone, out of the noise, not too far, and with room overhead."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import PriceZone
from libs.trading.level_plan import LongPlan, plan_long

TICK = Decimal("0.01")
NO_SPREAD = Decimal(0)


def zone(lo: float, hi: float) -> PriceZone:
    """A zone of which only the place matters; its role is deliberately of no use."""
    return PriceZone(
        lo=lo, hi=hi, mid=(lo + hi) / 2, role="SUPPORT", touches=5, score=3.0, first_ts=1, last_ts=2, confirmed_ts=3
    )


def plan(
    *zones: PriceZone, entry: str = "100", atr: float = 2.0, tick: Decimal = TICK, spread: Decimal = NO_SPREAD
) -> LongPlan:
    return plan_long(Decimal(entry), zones, atr, tick, spread)


def test_the_stop_lies_a_quarter_atr_beyond_the_zone() -> None:
    """Zone 97 to 98, ATR 2: stop 96.50, risk 3.50; 105.25 overhead is exactly room enough."""
    found = plan(zone(97.0, 98.0), zone(105.25, 106.0))
    assert (found.stop_px, found.risk) == (Decimal("96.50"), Decimal("3.50"))
    assert (found.target_px, found.room, found.room_min) == (Decimal("105.25"), Decimal("5.25"), Decimal("5.250"))
    assert found.block is None
    assert (found.below, found.above) == (zone(97.0, 98.0), zone(105.25, 106.0))


def test_a_wide_spread_or_a_coarse_tick_puts_it_further() -> None:
    """Two spreads or five ticks, whichever is more than a quarter ATR."""
    assert plan(zone(97.0, 98.0), spread=Decimal("0.4")).stop_px == Decimal("96.20")
    assert plan(zone(97.0, 98.0), tick=Decimal("0.2")).stop_px == Decimal("96.0")


def test_the_stop_is_rounded_away_from_the_entry() -> None:
    """96.503 becomes 96.50, not 96.51."""
    assert plan(zone(97.003, 98.0)).stop_px == Decimal("96.50")


def test_a_stop_in_the_noise_is_widened() -> None:
    """A zone right below would put it 0.7 away; less than 0.75 ATR is noise: 98.50."""
    found = plan(zone(99.8, 99.9))
    assert (found.stop_px, found.below) == (Decimal("98.50"), zone(99.8, 99.9))


def test_a_zone_too_far_below_is_no_support() -> None:
    """Beyond 3 ATR (stop 93.99) it is 2 ATR instead, on no zone; at exactly 3 ATR it still counts."""
    assert (plan(zone(94.49, 94.6)).stop_px, plan(zone(94.49, 94.6)).below) == (Decimal("96.00"), None)
    assert plan(zone(94.5, 94.6)).stop_px == Decimal("94.00")


def test_without_a_zone_below_the_stop_is_two_atr_away() -> None:
    """And without one above there is no target and no limit to the room."""
    found = plan()
    assert (found.stop_px, found.target_px, found.room, found.block) == (Decimal("96.00"), None, None, None)


@pytest.mark.parametrize(("lo", "hi"), [(99.0, 101.0), (100.0, 101.0), (99.0, 100.0)])
def test_inside_a_zone_nobody_enters(lo: float, hi: float) -> None:
    """Edges included: there the market decides, and has not."""
    found = plan(zone(95.5, 96.0), zone(lo, hi), zone(120.0, 121.0))
    assert found.block == "INSIDE_ZONE"
    assert f"[{lo}, {hi}]" in found.reason


def test_too_little_room_overhead_blocks() -> None:
    """One tick less than 1.5 x risk is too near, and the numbers are said."""
    found = plan(zone(97.0, 98.0), zone(105.24, 106.0))
    assert found.block == "NEAR_LEVEL"
    assert found.reason == "room 5.24 to [105.24, 106.0], at least 5.250 wanted"


def test_the_nearest_zones_decide() -> None:
    """Of several below the highest, of several above the lowest; in any order."""
    found = plan(zone(110.0, 111.0), zone(90.0, 91.0), zone(97.0, 98.0), zone(106.0, 107.0))
    assert (found.stop_px, found.target_px) == (Decimal("96.50"), Decimal("106.00"))


def test_a_target_is_not_beyond_the_zone_it_fears() -> None:
    """The near edge, rounded towards the entry."""
    assert plan(zone(97.0, 98.0), zone(106.019, 107.0)).target_px == Decimal("106.01")


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        ({"atr": 0.0}, "must be positive"),
        ({"atr": float("nan")}, "must be positive"),
        ({"atr": float("inf")}, "must be positive"),
        ({"entry": "0"}, "must be positive"),
        ({"spread": Decimal(-1)}, "spread -1 not negative"),
        ({"entry": "3"}, "the ATR is too large"),
    ],
)
def test_no_plan_without_numbers(terms: dict, fault: str) -> None:
    """What cannot be measured cannot be planned; a stop at or below zero is none."""
    with pytest.raises(ValueError, match=fault):
        plan(**terms)


_EDGES = st.lists(st.tuples(st.integers(5000, 15000), st.integers(0, 300)), max_size=8)


@settings(max_examples=80, deadline=None)
@given(_EDGES, st.integers(10, 600), st.sampled_from(["0.01", "0.05", "0.5"]), st.integers(0, 50))
def test_every_plan_keeps_its_bounds(edges: list[tuple[int, int]], atr: int, tick: str, spread: int) -> None:
    """Any zones: the stop is on the grid, 0.75 to 3 ATR away, beyond every zone it relies on; blocked exactly when it must be."""
    zones = [zone(lo / 100, (lo + height) / 100) for lo, height in edges]
    px_tick, size = Decimal(tick), Decimal(atr) / 100
    found = plan(*zones, atr=atr / 100, tick=px_tick, spread=Decimal(spread) / 100)
    entry = Decimal(100)
    assert found.stop_px % px_tick == 0
    assert Decimal("0.75") * size <= found.risk == entry - found.stop_px < 3 * size + px_tick
    assert found.below is None or found.stop_px < Decimal(str(found.below.lo))
    inside = any(each.lo <= 100.0 <= each.hi for each in zones)
    near = found.room is not None and found.room < found.room_min
    assert found.block == ("INSIDE_ZONE" if inside else "NEAR_LEVEL" if near else None)
    assert found.target_px is None or found.target_px > entry - px_tick
