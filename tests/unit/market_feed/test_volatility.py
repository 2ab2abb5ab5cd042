"""How far a price may move follows from how it moves, and not from the wild ones among its moves."""

from __future__ import annotations

import random

import pytest

from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from services.market_feed.volatility import SAMPLES_MAX, SAMPLES_MIN, Volatility, prior_of
from tests.unit.market_feed.tape import T0


def walked(steps: list[tuple[float, int]], px: float = 100.0) -> Volatility:
    """A price that made these relative moves, each after so many milliseconds."""
    volatility, now = Volatility(), T0
    volatility.sample(px, now)
    for move, after_ms in steps:
        px, now = px * (1 + move), now + after_ms * MILLISECOND
        volatility.sample(px, now)
    return volatility


@pytest.mark.parametrize("after_ms", [250, 1_000, 4_000, 25_000])
def test_quiet_and_busy_spells_have_one_scale(after_ms: int) -> None:
    """Normal moves of 0.1 % per square root of a second are found again, however often they are looked at."""
    chance = random.Random(1)
    steps = [(chance.gauss(0, 0.001) * (after_ms / 1000) ** 0.5, after_ms) for _ in range(SAMPLES_MAX)]
    assert walked(steps).scale_now == pytest.approx(0.001, rel=0.25)


def test_a_few_wild_moves_change_nothing() -> None:
    """One in ten is a hundred times as large: the scale is that of the rest, within a fifth."""
    chance = random.Random(2)
    calm = [(chance.gauss(0, 0.001), 1_000) for _ in range(SAMPLES_MAX)]
    wild = [(move * 100 if place % 10 == 0 else move, wait) for place, (move, wait) in enumerate(calm)]
    assert walked(wild).scale_now == pytest.approx(walked(calm).scale_now, rel=0.25)


def test_a_bounce_between_bid_and_offer_is_a_move() -> None:
    """Half of the trades are where the last one was, half at the other side: the spread is not lost between the two."""
    chance = random.Random(3)
    sides = [chance.choice((100.0, 101.0)) for _ in range(SAMPLES_MAX)]
    volatility = Volatility()
    for place, px in enumerate(sides):
        volatility.sample(px, T0 + place * SECOND)
    assert volatility.band(SECOND, 8.0, 0.005, 0.05) > 0.01


def test_moves_closer_than_a_quarter_of_a_second_are_not_counted() -> None:
    """A burst of a thousand prints in one second says no more than four of them."""
    volatility = walked([(0.0001, 1)] * 1_000)
    assert len(volatility.moves) <= 4


def test_a_thin_market_has_a_scale_too() -> None:
    """A trade a minute: its moves count as those of half a minute, rather than not at all."""
    assert len(walked([(0.001, 60_000)] * 20).moves) == 20


def test_few_moves_do_not_outvote_the_prior() -> None:
    """Right after a start the scale is what the bars before suggest."""
    volatility = walked([(0.0, 1_000)] * (SAMPLES_MIN - 1))
    volatility.prior = 0.002
    assert volatility.scale_now == 0.002
    assert walked([(0.0, 1_000)] * SAMPLES_MIN).scale_now == 0.0


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    """A market that calms down is calm after as many moves as it remembers."""
    volatility = walked([(0.01, 1_000)] * SAMPLES_MAX + [(0.0, 1_000)] * SAMPLES_MAX)
    assert (len(volatility.moves), volatility.scale_now) == (SAMPLES_MAX, 0.0)


def test_the_band_has_a_floor_and_a_ceiling() -> None:
    """A market that stood still is not one that cannot move; one that raced may not do anything. Time set back is none."""
    assert walked([(0.0, 1_000)] * 20).band(SECOND, 8.0, 0.005, 0.05) == 0.005
    racing = walked([(0.05, 1_000), (-0.05, 1_000)] * 20)
    assert racing.band(SECOND, 8.0, 0.005, 0.05) == 0.05
    assert racing.band(-MINUTE, 8.0, 0.005, 0.05) == racing.band(0, 8.0, 0.005, 0.05)


def test_a_jump_that_was_believed_is_no_usual_move() -> None:
    """After a re-anchoring the scale goes on from the new price."""
    volatility = walked([(0.0, 1_000)] * 20)
    volatility.restart(50.0, T0 + MINUTE)
    volatility.sample(50.0, T0 + MINUTE + SECOND)
    assert volatility.scale_now == 0.0


def test_closes_of_bars_suggest_a_scale() -> None:
    """A standard deviation of one percent a minute is 0.13 % per square root of a second; of three bars nobody can tell."""
    chance, closes = random.Random(4), [100.0]
    for _ in range(400):
        closes.append(closes[-1] * (1 + chance.gauss(0, 0.01)))
    assert prior_of(closes, MINUTE) == pytest.approx(0.01 / 60**0.5, rel=0.15)
    assert prior_of(closes[:3], MINUTE) == 0.0
