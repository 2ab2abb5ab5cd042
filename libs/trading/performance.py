"""How well something has done, from what it was worth at each 00:00 UTC: definitions that are stated, and doubt that is measured.

A series of `days + 1` equities gives `days` simple returns r. All ratios are per year of 365 days (crypto does not close), the risk-free rate is zero
and the standard deviation has n - 1 in its denominator. What cannot be known is NaN and never infinite: a ratio over a zero.

    Sharpe    mean(r) / std(r) x sqrt(365)
    Sortino   mean(r) / sqrt(mean(min(r, 0)^2)) x sqrt(365)
    CAGR      (last / first)^(365 / days) - 1
    drawdown  equity / highest equity so far (the first one included) - 1
    Calmar    CAGR / |deepest drawdown|

How much of a Sharpe ratio is luck (Bailey and Lopez de Prado, The Sharpe Ratio Efficient Frontier, 2012; The Deflated Sharpe Ratio, 2014):
`psr` is the probability that the true ratio is above a benchmark, given length, skewness and kurtosis of the returns; `expected_best` is the best
ratio that so many trials without any skill would show; `deflated` is the one against the other; `min_track_record` how long one must wait.
In these, ratios are per observation and not per year. How sure the other figures are is in `bootstrap`; `headline` takes them all at once for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import mul, truediv
from statistics import NormalDist

import msgspec

YEAR = 365
EULER = 0.5772156649015329
_NORMAL = NormalDist()
_STILL = 1e-12
"""A standard deviation that is this share of the mean (or less) is what rounding leaves of none."""


class Drawdown(msgspec.Struct, frozen=True):
    """The deepest fall below a former high (<= 0), and the longest time below one, in observations; one that lasts still counts."""

    depth: float
    longest: int


class Moments(msgspec.Struct, frozen=True):
    """Sharpe ratio per observation, skewness and kurtosis (3 for a normal distribution) of `count` returns."""

    sharpe: float
    skewness: float
    kurtosis: float
    count: int


def returns_of(equity: Sequence[float]) -> list[float]:
    """Simple returns from one observation to the next.

    Raises:
        ValueError: fewer than two observations, or one that is not positive and finite: there is no return on nothing.
    """
    if len(equity) < 2:
        raise ValueError(f"a return needs two equities, there are {len(equity)}")
    for place, value in enumerate(equity):
        if not 0.0 < value < math.inf:
            raise ValueError(f"equity {place} is {value}; it must be positive and finite")
    return [after / before - 1.0 for before, after in pairwise(equity)]


def sharpe(returns: Sequence[float]) -> float:
    """The Sharpe ratio per year."""
    return _ratio(_mean(returns), deviation(returns)) * math.sqrt(YEAR)


def sortino(returns: Sequence[float]) -> float:
    """The Sortino ratio per year: only falls count as risk."""
    downside = math.sqrt(math.fsum(min(each, 0.0) ** 2 for each in returns) / len(returns)) if returns else math.nan
    return _ratio(_mean(returns), downside) * math.sqrt(YEAR)


def volatility(returns: Sequence[float]) -> float:
    """The standard deviation per year."""
    return deviation(returns) * math.sqrt(YEAR)


def deviation(returns: Sequence[float]) -> float:
    """The standard deviation per observation, n - 1 in its denominator; NaN for fewer than two."""
    if len(returns) < 2:
        return math.nan
    mean = _mean(returns)
    found = math.sqrt(math.fsum((each - mean) ** 2 for each in returns) / (len(returns) - 1))
    return found if found > _STILL * abs(mean) else 0.0


def cagr(returns: Sequence[float]) -> float:
    """The growth per year that would have come to the same."""
    return float(growth(returns) ** (YEAR / len(returns)) - 1.0) if returns else math.nan


def growth(returns: Sequence[float]) -> float:
    """The last equity as a multiple of the first."""
    return math.prod(1.0 + each for each in returns)


def drawdown(returns: Sequence[float]) -> Drawdown:
    """The deepest and the longest, the starting value being the first high."""
    value = high = 1.0
    deepest, below, longest = 0.0, 0, 0
    for each in returns:
        value *= 1.0 + each
        if value >= high:
            high, below = value, 0
        else:
            below += 1
            longest = max(longest, below)
            deepest = min(deepest, value / high - 1.0)
    return Drawdown(deepest, longest)


def calmar(returns: Sequence[float]) -> float:
    """CAGR over the deepest drawdown."""
    return _ratio(cagr(returns), -drawdown(returns).depth)


HEADLINE = ("sharpe", "sortino", "calmar", "cagr", "volatility", "drawdown", "underwater")
"""What `headline` takes: ratios and shares per year, the deepest fall (<= 0), the longest time below a high."""


def headline(returns: Sequence[float]) -> tuple[float, ...]:
    """The figures named in `HEADLINE`, in one pass of the interpreter's own loops: for the thousand samples of a bootstrap.

    Equal to the functions above up to rounding (sums of squares instead of squares of differences).
    """
    count = len(returns)
    if not count:
        return (math.nan,) * len(HEADLINE)
    mean = sum(returns) / count
    falls = [each for each in returns if each < 0.0]
    downside = math.sqrt(sum(map(mul, falls, falls)) / count)
    square = sum(map(mul, returns, returns)) / count
    spread = math.sqrt(max(square - mean * mean, 0.0) * count / (count - 1)) if count > 1 else math.nan
    if spread * spread <= _STILL * square:
        spread = 0.0
    values = list(accumulate((1.0 + each for each in returns), mul, initial=1.0))
    highs = list(accumulate(values, max))
    deepest = min(map(truediv, values, highs)) - 1.0
    per_year = float(values[-1] ** (YEAR / count) - 1.0)
    root = math.sqrt(YEAR)
    return (
        _ratio(mean, spread) * root,
        _ratio(mean, downside) * root,
        _ratio(per_year, -deepest),
        per_year,
        spread * root,
        deepest,
        float(_longest_below(values, highs)),
    )


# --- how much of it is luck -----------------------------------------------------------------------------------------


def moments(returns: Sequence[float]) -> Moments:
    """What the probabilities below need to know of returns (population moments)."""
    count, mean = len(returns), _mean(returns)
    spread = deviation(returns) * math.sqrt((count - 1) / count) if count > 1 else math.nan
    third = _ratio(math.fsum((each - mean) ** 3 for each in returns) / count if count else math.nan, spread**3)
    fourth = _ratio(math.fsum((each - mean) ** 4 for each in returns) / count if count else math.nan, spread**4)
    return Moments(_ratio(mean, deviation(returns)), third, fourth, count)


def psr(found: Moments, benchmark: float = 0.0) -> float:
    """The probability that the true Sharpe ratio is above `benchmark` (both per observation)."""
    if found.count < 2 or math.isnan(found.sharpe):
        return math.nan
    z = (found.sharpe - benchmark) * math.sqrt(found.count - 1) / math.sqrt(_uncertainty(found))
    return _NORMAL.cdf(z)


def expected_best(trials: int, variance: float) -> float:
    """The largest Sharpe ratio that `trials` without skill show on average; `variance` is that of their ratios.

    Raises:
        ValueError: no trials, or a negative variance.
    """
    if trials < 1 or variance < 0:
        raise ValueError(f"trials {trials} must be at least 1, variance {variance} not negative")
    if trials == 1:
        return 0.0
    one, other = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER) * one + EULER * other)


def deflated(found: Moments, trials: int, variance: float) -> float:
    """The probability that the true ratio is above what the best of so many trials without skill would have shown."""
    return psr(found, expected_best(trials, variance))


def min_track_record(found: Moments, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """How many observations it takes until `psr` reaches `confidence`; infinite if the ratio is not above the benchmark."""
    if math.isnan(found.sharpe):
        return math.nan
    if found.sharpe <= benchmark:
        return math.inf
    return 1.0 + _uncertainty(found) * (_NORMAL.inv_cdf(confidence) / (found.sharpe - benchmark)) ** 2


def _longest_below(values: Sequence[float], highs: Sequence[float]) -> int:
    """The longest run of values below the high so far: the widest gap between places that are highs."""
    at_high = [place for place, (value, high) in enumerate(zip(values, highs, strict=True)) if value >= high]
    at_high.append(len(values))
    return max(after - before - 1 for before, after in pairwise(at_high))


def _uncertainty(found: Moments) -> float:
    """What non-normal returns do to the variance of a Sharpe ratio."""
    return 1.0 - found.skewness * found.sharpe + (found.kurtosis - 1.0) / 4.0 * found.sharpe**2


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _ratio(value: float, by: float) -> float:
    return value / by if by > 0 else math.nan
