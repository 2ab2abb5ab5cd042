"""Performance figures against empyrical, quantstats and scipy: equal to 1e-9, and where a definition differs, by what."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from libs.trading.beta import beta_below, chance_rate_above
from libs.trading.performance import (
    HEADLINE,
    Moments,
    cagr,
    calmar,
    drawdown,
    growth,
    headline,
    moments,
    psr,
    sharpe,
    sortino,
    volatility,
)

REASON = "an oracle is not installed (requirements/oracles.lock)"
DAYS = 365


def fixed() -> list[float]:
    """400 returns: a drift of 0.15 % a day and fat tails, from `Random(2014)`; a normal times a root of a chi-squared with five degrees."""
    random = Random(2014)
    return [
        0.0015 + 0.0215 * random.gauss(0, 1) / math.sqrt(random.gammavariate(2.5, 2) / 3)  # a scaled t(5)
        for _ in range(400)
    ]


def noise(count: int, seed: int, mean: float, sd: float) -> list[float]:
    random = Random(seed)
    return [random.gauss(mean, sd) for _ in range(count)]


SERIES: dict[str, list[float]] = {
    "fixed": fixed(),
    "all losses": [-abs(each) - 1e-4 for each in noise(60, 1, 0.0, 0.01)],
    "flat stretches": [0.0] * 40 + noise(50, 2, 0.001, 0.02) + [0.0] * 30 + noise(20, 3, -0.004, 0.03),
    "two days": [0.01, -0.02],
    "tiny moves": noise(300, 4, 1e-8, 1e-7),
    "ten years": noise(3_650, 5, 0.0008, 0.03),
    "a crash at once": [-0.6, *noise(100, 6, 0.004, 0.03)],
    "recovers at the end": [-0.1, 0.05, 0.04, 0.2, 0.01],
}


@pytest.fixture(scope="module")
def pandas() -> Any:
    """What the oracles take."""
    return pytest.importorskip("pandas", reason=REASON)


@pytest.fixture(scope="module")
def quantstats() -> Any:
    """Imported once: it takes two seconds."""
    return pytest.importorskip("quantstats", reason=REASON).stats


@pytest.fixture(scope="module")
def empyrical() -> Any:
    """The reloaded one."""
    return pytest.importorskip("empyrical", reason=REASON)


def as_series(pandas: Any, returns: list[float]) -> Any:
    return pandas.Series(returns, index=pandas.date_range("2023-01-01", periods=len(returns), freq="D"))


@pytest.mark.parametrize("name", SERIES)
def test_figures_equal_empyrical(pandas: Any, empyrical: Any, name: str) -> None:
    """Total, Sharpe, Sortino, volatility, CAGR, drawdown and Calmar by 365 days, to 1e-9."""
    returns = SERIES[name]
    x = as_series(pandas, returns)
    assert growth(returns) - 1 == pytest.approx(empyrical.cum_returns_final(x), rel=1e-9, abs=1e-13)
    assert sharpe(returns) == pytest.approx(empyrical.sharpe_ratio(x, annualization=DAYS), rel=1e-9)
    assert sortino(returns) == pytest.approx(empyrical.sortino_ratio(x, annualization=DAYS), rel=1e-9)
    assert volatility(returns) == pytest.approx(empyrical.annual_volatility(x, annualization=DAYS), rel=1e-9)
    assert cagr(returns) == pytest.approx(empyrical.cagr(x, annualization=DAYS), rel=1e-9, abs=1e-13)
    assert drawdown(returns).depth == pytest.approx(empyrical.max_drawdown(x), rel=1e-9, abs=1e-13)
    assert calmar(returns) == pytest.approx(empyrical.calmar_ratio(x, annualization=DAYS), rel=1e-9)


@pytest.mark.parametrize("name", SERIES)
def test_figures_equal_quantstats(pandas: Any, quantstats: Any, name: str) -> None:
    """The same seven with `periods=365` (it thinks of 252), to 1e-9."""
    returns = SERIES[name]
    x = as_series(pandas, returns)
    assert growth(returns) - 1 == pytest.approx(quantstats.comp(x), rel=1e-9, abs=1e-13)
    assert sharpe(returns) == pytest.approx(quantstats.sharpe(x, periods=DAYS), rel=1e-9)
    assert sortino(returns) == pytest.approx(quantstats.sortino(x, periods=DAYS), rel=1e-9)
    assert volatility(returns) == pytest.approx(quantstats.volatility(x, periods=DAYS), rel=1e-9)
    assert cagr(returns) == pytest.approx(quantstats.cagr(x, periods=DAYS), rel=1e-9, abs=1e-13)
    assert drawdown(returns).depth == pytest.approx(quantstats.max_drawdown(x), rel=1e-9, abs=1e-13)
    assert calmar(returns) == pytest.approx(quantstats.calmar(x, periods=DAYS), rel=1e-9)


@pytest.mark.parametrize("name", SERIES)
def test_the_fast_figures_are_the_slow_ones(name: str) -> None:
    """What the bootstrap takes of a thousand samples is what the page shows, but for rounding."""
    returns = SERIES[name]
    fall = drawdown(returns)
    slow = (
        sharpe(returns),
        sortino(returns),
        calmar(returns),
        cagr(returns),
        volatility(returns),
        fall.depth,
        float(fall.longest),
    )
    for what, fast, exact in zip(HEADLINE, headline(returns), slow, strict=True):
        assert fast == pytest.approx(exact, rel=1e-9, abs=1e-12), what


def test_where_nothing_can_be_known_ours_says_so(pandas: Any, empyrical: Any) -> None:
    """Without a fall empyrical's Calmar is unknown, too, and its Sortino infinite: ours is NaN. A still series has no Sharpe anywhere."""
    rising = [0.01, 0.02, 0.005]
    x = as_series(pandas, rising)
    assert math.isnan(empyrical.calmar_ratio(x, annualization=DAYS))
    assert math.isinf(empyrical.sortino_ratio(x, annualization=DAYS))
    assert math.isnan(calmar(rising))
    assert math.isnan(sortino(rising))
    assert math.isnan(sharpe([0.0] * 30))


@pytest.mark.parametrize("step", [0.1 / 3, 0.01, 1e-7, -0.003, 0.07])
@pytest.mark.parametrize("count", [3, 10, 365, 1_000])
def test_the_same_return_every_day_has_no_sharpe_ratio(step: float, count: int) -> None:
    """Rounding leaves a deviation of 1e-18 of such a series; divided by it, anything looks like skill."""
    assert math.isnan(sharpe([step] * count))
    assert math.isnan(headline([step] * count)[0])


def test_moments_and_probability_differ_from_quantstats_by_its_bias_correction(pandas: Any, quantstats: Any) -> None:
    """Theirs are the sample's corrected skewness and excess kurtosis, ours the population's as published: undone they are equal, and PSR is near."""
    returns = SERIES["fixed"]
    x, n, found = as_series(pandas, returns), len(returns), moments(returns)
    skew = quantstats.skew(x) * (n - 2) / math.sqrt(n * (n - 1))
    excess = (quantstats.kurtosis(x) * (n - 2) * (n - 3) / (n - 1) - 6) / (n + 1)
    assert found.skewness == pytest.approx(skew, rel=1e-9)
    assert found.kurtosis == pytest.approx(excess + 3, rel=1e-9)
    theirs = quantstats.probabilistic_ratio(x, periods=DAYS)
    corrected = Moments(found.sharpe, quantstats.skew(x), quantstats.kurtosis(x) + 3, n)
    assert psr(corrected) == pytest.approx(theirs, rel=1e-9)
    assert psr(found) == pytest.approx(theirs, abs=1e-3)
    assert psr(found) != theirs


@pytest.mark.parametrize("name", ["fixed", "flat stretches", "ten years"])
def test_moments_equal_scipy(name: str) -> None:
    """Population skewness and kurtosis."""
    stats = pytest.importorskip("scipy.stats", reason=REASON)
    found = moments(SERIES[name])
    assert found.skewness == pytest.approx(stats.skew(SERIES[name]), rel=1e-9)
    assert found.kurtosis == pytest.approx(stats.kurtosis(SERIES[name], fisher=False), rel=1e-9)


@pytest.mark.parametrize("count", [1, 10, 30, 400, 10_000, 1_000_000])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.55, 0.9, 1.0])
def test_the_beta_distribution_equals_scipy(count: int, share: float) -> None:
    """The posterior of a win rate, for few and many trades, near and far from the rate asked about."""
    stats = pytest.importorskip("scipy.stats", reason=REASON)
    hits = round(count * share)
    for rate in (0.001, 0.3, 0.5, 0.549, 0.55, 0.556, 0.9, 0.999):
        expected = stats.beta.sf(rate, hits + 0.5, count - hits + 0.5)
        assert chance_rate_above(hits, count, rate) == pytest.approx(expected, rel=1e-7, abs=1e-12)
    assert beta_below(2.0, 3.0, 0.4) == pytest.approx(stats.beta.cdf(0.4, 2, 3), rel=1e-12)


def test_the_fixed_series_by_its_own_numbers() -> None:
    """400 fixed returns, pinned: whoever changes a definition changes these, and both oracles must change with him."""
    returns = SERIES["fixed"]
    assert growth(returns) - 1 == pytest.approx(0.9657627204187, abs=1e-12)
    assert sharpe(returns) == pytest.approx(1.78186648366006, abs=1e-12)
    assert sortino(returns) == pytest.approx(2.75525005235659, abs=1e-12)
    assert volatility(returns) == pytest.approx(0.388511659627549, abs=1e-12)
    assert cagr(returns) == pytest.approx(0.85287927604964, abs=1e-12)
    assert calmar(returns) == pytest.approx(4.26218038609075, abs=1e-11)
    assert drawdown(returns).depth == pytest.approx(-0.200103984062462, abs=1e-12)
    assert drawdown(returns).longest == 135
