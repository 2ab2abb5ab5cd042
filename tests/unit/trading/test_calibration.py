"""What probabilities were worth: hit rate with its interval, Brier score, calibration error."""

from __future__ import annotations

from random import Random

import pytest

from libs.trading.calibration import Tally, wilson


def test_a_tally_counts_by_hand() -> None:
    """Three votes: 0.6 right, 0.8 wrong, 0.8 right."""
    tally = Tally()
    for p, was_right in ((0.6, True), (0.8, False), (0.8, True)):
        tally.add(p, was_right)
    assert (tally.votes, tally.hits) == (3, 2)
    assert tally.hit_rate == pytest.approx(2 / 3)
    assert tally.brier == pytest.approx((0.16 + 0.64 + 0.04) / 3)
    assert tally.ece == pytest.approx((abs(0.6 - 1) + abs(1.6 - 1)) / 3)  # the bin of 0.6, and that of 0.8


def test_a_coin_that_knows_it_is_one_scores_a_quarter() -> None:
    """And it is perfectly calibrated, in the long run."""
    random, tally = Random(1), Tally()
    for _ in range(20_000):
        tally.add(0.5, random.random() < 0.5)
    assert tally.brier == 0.25
    assert tally.ece < 0.01


def test_boasting_costs_calibration() -> None:
    """An agent that is always sure and right as often as a coin is far from what it claims."""
    random, tally = Random(2), Tally()
    for _ in range(20_000):
        tally.add(0.95, random.random() < 0.5)
    assert tally.ece == pytest.approx(0.45, abs=0.02)
    assert tally.brier > 0.4


@pytest.mark.parametrize(
    ("hits", "votes", "low", "high"),
    [(8, 10, 0.490162, 0.943318), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0), (530, 1000, 0.499010, 0.560760)],
)
def test_the_interval_is_wilsons(hits: int, votes: int, low: float, high: float) -> None:
    """Against the closed form, worked out by hand: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)."""
    assert wilson(hits, votes) == pytest.approx((low, high), abs=1e-6)


def test_nothing_is_known_before_the_first_vote() -> None:
    """No votes: every rate is possible."""
    assert wilson(0, 0) == (0.0, 1.0)
    assert (Tally().hit_rate, Tally().brier, Tally().ece) == (0.0, 0.25, 0.0)


@pytest.mark.parametrize("p", [0.49, 1.01, float("nan")])
def test_a_claim_that_is_no_probability_of_a_side_is_refused(p: float) -> None:
    """Below a half it would be the other side."""
    with pytest.raises(ValueError, match=r"in \[0.5, 1\]"):
        Tally().add(p, True)
