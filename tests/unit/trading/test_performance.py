"""Performance figures: by hand, against independent formulas, and the published examples of what luck does to a Sharpe ratio."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist

import numpy as np
import pytest

from libs.trading.bootstrap import bootstrapped
from libs.trading.performance import (
    Drawdown,
    Moments,
    cagr,
    calmar,
    deflated,
    drawdown,
    expected_best,
    growth,
    min_track_record,
    moments,
    psr,
    returns_of,
    sharpe,
    sortino,
    volatility,
)


def series(count: int = 400, seed: int = 3, mean: float = 0.001, sd: float = 0.02) -> list[float]:
    """Daily returns of a market that drifts."""
    random = Random(seed)
    return [random.gauss(mean, sd) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_the_textbook(seed: int) -> None:
    """Written once more with numpy, from the definitions: equal to twelve digits."""
    returns = series(seed=seed)
    x = np.array(returns)
    equity = np.concatenate([[1.0], np.cumprod(1 + x)])
    falls = equity / np.maximum.accumulate(equity) - 1
    assert sharpe(returns) == pytest.approx(x.mean() / x.std(ddof=1) * math.sqrt(365), rel=1e-12)
    assert sortino(returns) == pytest.approx(
        x.mean() / math.sqrt(np.mean(np.minimum(x, 0) ** 2)) * math.sqrt(365), rel=1e-12
    )
    assert volatility(returns) == pytest.approx(x.std(ddof=1) * math.sqrt(365), rel=1e-12)
    assert growth(returns) == pytest.approx(equity[-1], rel=1e-12)
    assert cagr(returns) == pytest.approx(equity[-1] ** (365 / 400) - 1, rel=1e-12)
    assert drawdown(returns).depth == pytest.approx(falls.min(), rel=1e-12)
    assert calmar(returns) == pytest.approx(cagr(returns) / -falls.min(), rel=1e-12)


def test_a_drawdown_by_hand() -> None:
    """100, 110, 99, 104.5, 88, 120: the deepest is 20 %, the longest three days; the first equity is a high, too."""
    returns = returns_of([100, 110, 99, 104.5, 88, 120])
    assert drawdown(returns) == Drawdown(pytest.approx(-0.2), 3)
    assert drawdown(returns_of([100, 90, 95])) == Drawdown(pytest.approx(-0.1), 2)  # it lasts
    assert drawdown(returns_of([100, 101, 102])) == Drawdown(0.0, 0)


def test_what_cannot_be_known_is_not_infinite() -> None:
    """No movement, no fall, no data: NaN, and no exception."""
    still = [0.0] * 30
    assert math.isnan(sharpe(still))
    assert math.isnan(sortino([0.01, 0.02]))
    assert math.isnan(calmar([0.01, 0.02]))
    assert math.isnan(sharpe([]))
    assert math.isnan(cagr([]))
    assert math.isnan(psr(moments(still)))


@pytest.mark.parametrize("equity", [[100.0], [], [100.0, 0.0], [100.0, math.nan], [100.0, -5.0], [math.inf, 1.0]])
def test_there_is_no_return_on_nothing(equity: list[float]) -> None:
    """Too few equities, or one that is none, is refused by its place."""
    with pytest.raises(ValueError, match=r"equit"):
        returns_of(equity)


def published() -> Moments:
    """The example of Bailey and Lopez de Prado (2014): 2.5 a year over 250 days, five years, skewness -3, kurtosis 10."""
    return Moments(sharpe=2.5 / math.sqrt(250), skewness=-3.0, kurtosis=10.0, count=1250)


def test_the_deflated_ratio_of_the_published_example() -> None:
    """A hundred trials whose ratios vary by 1/2 a year: 0.1132 a day is expected of the best, and the ratio deflates to 0.9004; 46 give 0.9505."""
    variance = 0.5 / 250
    assert expected_best(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated(published(), 100, variance) == pytest.approx(0.9004, abs=5e-5)
    assert deflated(published(), 46, variance) == pytest.approx(0.9505, abs=5e-5)
    assert deflated(published(), 1, variance) == psr(published())


def test_the_published_minimum_track_record() -> None:
    """Two a year by daily normal returns is above one with 95 % confidence after 2.73 years."""
    found = Moments(sharpe=2 / math.sqrt(250), skewness=0.0, kurtosis=3.0, count=100)
    assert min_track_record(found, 1 / math.sqrt(250)) / 250 == pytest.approx(2.73, abs=5e-3)
    assert min_track_record(found, 2 / math.sqrt(250)) == math.inf


def test_the_wait_is_over_when_the_probability_says_so() -> None:
    """At the minimum track record the probability is the confidence asked for."""
    found = Moments(sharpe=0.12, skewness=-0.5, kurtosis=6.0, count=100)
    needed = min_track_record(found, 0.02, 0.9)
    there = Moments(found.sharpe, found.skewness, found.kurtosis, round(needed))
    assert psr(there, 0.02) == pytest.approx(0.9, abs=1e-3)


def test_moments_are_those_of_numpy() -> None:
    """Population skewness and kurtosis; a normal sample has about 0 and 3."""
    returns = series(5_000)
    x = np.array(returns)
    z = (x - x.mean()) / x.std()
    found = moments(returns)
    assert found.skewness == pytest.approx((z**3).mean(), rel=1e-9, abs=1e-12)
    assert found.kurtosis == pytest.approx((z**4).mean(), rel=1e-9)
    assert (found.skewness, found.kurtosis) == pytest.approx((0.0, 3.0), abs=0.15)


def test_more_trials_deflate_more() -> None:
    """Whoever tries more must show more."""
    found, variance = moments(series()), 0.002
    shown = [deflated(found, trials, variance) for trials in (1, 2, 10, 100, 1000)]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > shown[-1]


@pytest.mark.no_cover
def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of 60 samples with a known ratio nine tenths of the 90 % intervals hold it, within what 60 samples can show."""
    truth = 0.001 / 0.02 * math.sqrt(365)
    held = 0
    for seed in range(60):
        found = bootstrapped(series(250, seed), sharpe, rounds=200, confidence=0.9, seed=seed)
        held += found.low <= truth <= found.high
    assert 46 <= held <= 60


def test_the_same_sample_gives_the_same_interval() -> None:
    """A report is the same when it is made again; the standard error is near the textbook's."""
    returns = series(365)
    found = bootstrapped(returns, sharpe)
    assert found == bootstrapped(returns, sharpe)
    assert found.value == sharpe(returns)
    half = NormalDist().inv_cdf(0.975)
    assert (found.high - found.low) / 2 / half == pytest.approx(1.0, abs=0.25)  # one year: about one


def test_an_interval_of_nothing_is_not_known() -> None:
    """No returns, or none that ever move."""
    assert all(math.isnan(each) for each in (bootstrapped([], sharpe).low, bootstrapped([0.0] * 9, sharpe).high))
