"""The volume profile by hand: rows on an absolute grid, a value area grown by pairs, nodes that stand out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.trading.volume_profile import (
    ROWS_MAX,
    VALUE_SHARE,
    Profile,
    bin_of,
    histogram,
    profile_of,
    prominent,
    smoothed,
    value_area,
)

HAND = [1.0, 2.0, 3.0, 10.0, 8.0, 2.0, 1.0]


def profile(*bars: tuple[float, float, float], bin_px: float = 1.0) -> Profile:
    found = profile_of(bars, bin_px)
    assert found is not None
    return found


def test_the_hand_example() -> None:
    """Rows 1 2 3 10 8 2 1 from 100 on: the pair above (8 + 2) beats the pair below (3 + 2): 103 to 106 with 20 of 27."""
    found = profile(*[(100.9 + row, 100.1 + row, volume) for row, volume in enumerate(HAND)])
    assert (found.poc, found.val, found.vah) == (103.5, 103.0, 106.0)
    assert found.share == pytest.approx(20 / 27, rel=1e-12)


@pytest.mark.parametrize(
    ("volumes", "poc", "lo", "hi"),
    [
        ([5, 4, 10, 4, 5], 2, 0, 4),  # equal pairs: up first; 19 of 28 is not enough, so the pair below follows
        ([2, 2, 10, 2, 2], 2, 2, 4),  # equal pairs: up, and 14 of 18 is enough
        ([1, 1, 6, 6, 1, 1], 3, 1, 3),  # of equal rows the upper is the POC; the pair below it (6 + 1) is the heavier
        ([9, 1, 0, 0, 10], 4, 0, 4),  # at the end of the histogram there is only one side left
        ([10, 1, 1, 1, 1], 0, 0, 0),
        ([7], 0, 0, 0),
        ([3, 0, 0, 10, 2], 3, 3, 4),  # one row left above, two below: what is left is weighed as it is
    ],
)
def test_the_value_area_grows_by_the_heavier_pair(volumes: list[float], poc: int, lo: int, hi: int) -> None:
    """Two rows at a time, the heavier side first, ties up, until 70 % is inside."""
    found = value_area(volumes)
    assert found[:3] == (poc, lo, hi)
    assert found[3] == pytest.approx(sum(volumes[lo : hi + 1]) / sum(volumes))


def test_a_bar_is_spread_over_its_range() -> None:
    """From 100.5 to 103.0 is a fifth in the first row, two fifths in each of the next; a flat bar is all in one row."""
    assert histogram([(103.0, 100.5, 10.0)], 1.0) == (100, [2.0, 4.0, 4.0])
    assert histogram([(100.25, 100.25, 3.0)], 1.0) == (100, [3.0])
    assert histogram([(100.0, 99.0, 3.0)], 1.0) == (99, [3.0])


def test_the_grid_is_absolute() -> None:
    """A price falls into the same row whatever else was traded."""
    alone = histogram([(103.0, 100.5, 10.0)], 1.0)
    first, volumes = histogram([(103.0, 100.5, 10.0), (90.2, 90.1, 1.0)], 1.0)
    assert (first, volumes[alone[0] - first :]) == (90, alone[1])


def test_a_row_is_a_tenth_of_an_atr_and_ten_ticks_at_least() -> None:
    """A grid finer than the venue's prices would be full of holes."""
    assert bin_of(50.0, 0.01) == 5.0
    assert bin_of(50.0, 1.0) == 10.0
    assert bin_of(50.0, 0.0) == 5.0


def test_two_humps_have_a_valley_between_them() -> None:
    """Volume around 110 and 130 and little in between: two high nodes and one low one."""
    bars = [(110.9 + d, 110.1 + d, 10.0 - abs(d)) for d in range(-6, 7)]
    bars += [(130.9 + d, 130.1 + d, 8.0 - abs(d)) for d in range(-6, 7)]
    found = profile(*bars)
    assert found.hvn == (110.5, 130.5)
    assert found.lvn == (pytest.approx(120.5, abs=1.0),)
    assert found.poc == 110.5


def test_what_hardly_stands_out_is_no_node() -> None:
    """A peak counts from its higher saddle: 9 over 8 is less than 10 % of the highest, 9 over 7 is more."""
    assert prominent([0, 10, 8, 8.9, 0], 1.0, 6) == [1]
    assert prominent([0, 10, 7, 9, 0], 1.0, 6) == [1, 3]
    assert prominent([0, 10, 7, 9, 0], 1.0, 1) == [1]
    assert prominent([0, 5, 5, 5, 0], 1.0, 6) == [2]
    assert prominent([5, 4, 5], 1.0, 6) == []


def test_no_volume_no_profile() -> None:
    """Bars in which nothing changed hands say nothing; neither does a grid without rows."""
    assert profile_of([(101.0, 100.0, 0.0)], 1.0) is None
    assert profile_of([], 1.0) is None
    assert profile_of([(1000.0, 100.0, 5e-324)], 1.0) is None
    with pytest.raises(ValueError, match="bin_px is 0"):
        profile_of([(101.0, 100.0, 1.0)], 0.0)


def test_a_wild_stretch_gets_a_coarser_grid() -> None:
    """A bar over ten decades must not cost memory; nor must rows be thinner than floats can tell apart."""
    wild = profile((1e10, 1.0, 5.0), (101.0, 100.0, 5.0), bin_px=0.01)
    assert 1e10 / wild.bin_px <= ROWS_MAX
    assert profile((1e90, 1e89, 1.0), bin_px=1e-9).share >= VALUE_SHARE
    assert math.isfinite(profile((1e15 + 2, 1e15, 1.0), bin_px=1e-9).poc)


_BARS = st.lists(st.tuples(st.floats(1.0, 300.0), st.floats(0.0, 60.0), st.floats(0.0, 1e6)), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(_BARS, st.sampled_from([0.25, 1.0, 3.0]))
def test_no_volume_is_lost_and_the_area_holds_its_share(bars: list[tuple[float, float, float]], bin_px: float) -> None:
    """Whatever the bars: rows sum to the volume, the value area holds 70 % around the POC, nodes lie inside and in order."""
    rows = [(low + reach, low, volume) for low, reach, volume in bars]
    traded = sum(volume for _, _, volume in bars)
    _, volumes = histogram(rows, bin_px)
    assert sum(volumes) == pytest.approx(traded, rel=1e-9, abs=1e-9)
    assert min(volumes) >= -1e-9 * (1 + traded)
    found = profile_of(rows, bin_px)
    if found is None:
        assert traded < 1e-90
        return
    assert found.val < found.poc < found.vah
    assert found.share >= VALUE_SHARE - 1e-12
    for nodes in (found.hvn, found.lvn):
        assert list(nodes) == sorted(nodes)
        assert len(nodes) <= 6


def test_smoothing_keeps_the_middle() -> None:
    """A single row becomes a bell around it, and nothing is added."""
    bell = smoothed([0.0] * 10 + [1.0] + [0.0] * 10, 2.0)
    assert max(bell) == bell[10]
    assert bell[:10] == bell[:10:-1]
    assert sum(bell) == pytest.approx(1.0)
