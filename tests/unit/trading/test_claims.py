"""What may be claimed: the table of docs/performance.md, computed again."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from random import Random
from statistics import fmean, stdev

from libs.trading.bootstrap import bootstrapped
from libs.trading.calibration import wilson
from libs.trading.performance import (
    Moments,
    deflated,
    deviation,
    expected_best,
    min_track_record,
    moments,
    psr,
    sharpe,
)
from tests.unit.trading.test_performance_oracles import fixed

YEAR = 365
PAGE = Path(__file__).parents[3] / "docs" / "performance.md"


def normal(per_year: float, days: int = YEAR) -> Moments:
    """Normal daily returns with this Sharpe ratio a year."""
    return Moments(per_year / math.sqrt(YEAR), 0.0, 3.0, days)


def standard_error(per_year: float, days: int) -> float:
    """Of a Sharpe ratio a year (Lo, 2002)."""
    return math.sqrt((1 + (per_year / math.sqrt(YEAR)) ** 2 / 2) / (days - 1) * YEAR)


def years(observed: float, above: float) -> float:
    """How long until an observed ratio a year shows with 95 % that the truth is above another."""
    return min_track_record(normal(observed), above / math.sqrt(YEAR)) / YEAR


def trades_needed(rate: float) -> int:
    """The fewest trades from which on this win rate has its lower bound above one half."""
    return 1 + max(count for count in range(10, 2_000) if wilson(int(rate * count), count)[0] <= 0.5)


def noise(rounds: int, strategies: int, days: int) -> list[list[list[float]]]:
    """Returns of strategies without any skill."""
    random = Random(47)
    return [[[random.gauss(0, 0.02) for _ in range(days)] for _ in range(strategies)] for _ in range(rounds)]


def rows() -> list[str]:
    """The table's rows, from our own functions."""
    ratio = bootstrapped(fixed(), sharpe)
    null = [sharpe(each) for each in noise(1, 1_000, 2 * YEAR)[0]]
    beyond = fmean(abs(each) > 1.96 * math.sqrt(0.5) for each in null)
    best, lucky, believed = picked()
    return [
        f"| standard error of a Sharpe ratio a year, after 1 / 3 years | {standard_error(1, YEAR):.2f} / {standard_error(1, 3 * YEAR):.2f} |",
        f"| years until an observed 1.5 shows that the truth is above 0 | {years(1.5, 0):.1f} |",
        f"| years until 2.0 / 2.5 / 3.0 show that the truth is above 1.5 | {years(2, 1.5):.1f} / {years(2.5, 1.5):.1f} / {years(3, 1.5):.1f} |",
        f"| expected best of 10 strategies without skill, after 1 year | {expected_best(10, 1 / YEAR) * math.sqrt(YEAR):.2f} |",
        f"| the 400 fixed returns of the tests: Sharpe ratio and 95 % interval | {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] |",
        f"| their chance to be above 0 / above the target 1.5 | {psr(moments(fixed())):.1%} / {psr(moments(fixed()), 1.5 / math.sqrt(YEAR)):.1%} |",
        f"| 1,000 strategies without skill over 2 years: mean, deviation, share beyond 1.96 | {round(fmean(null), 2) + 0.0:.2f}, {stdev(null):.2f}, {beyond:.1%} |",
        f"| best of 47 without skill over 2 years, 12 times: mean, highest | {fmean(best):.2f}, {max(best):.2f} |",
        f"| ... how often probabilistic / deflated Sharpe are above 95 % for it | {lucky} of 12 / {believed} of 12 |",
        f"| trades until a win rate of 55 % has its lower bound above 50 % | {trades_needed(0.55)} |",
        f"| win rate of a fair coin with a target of 0.8 R and a stop of 1 R | {1 / 1.8:.1%} |",
    ]


@cache
def picked() -> tuple[list[float], int, int]:
    """Whoever picks the best of 47 without skill: its ratio a year, and how often each probability believes it."""
    best, lucky, believed = [], 0, 0
    for tried in noise(12, 47, 2 * YEAR):
        found = max((moments(each) for each in tried), key=lambda each: each.sharpe)
        variance = deviation([fmean(each) / deviation(each) for each in tried]) ** 2
        best.append(found.sharpe * math.sqrt(YEAR))
        lucky += psr(found) > 0.95
        believed += deflated(found, 47, variance) > 0.95
    return best, lucky, believed


def test_the_page_says_what_we_compute() -> None:
    """Every row of the table is what the functions say today."""
    page = PAGE.read_text()
    assert [row for row in rows() if row not in page] == []


def test_what_the_table_rests_on() -> None:
    """Luck is believed by the probabilistic ratio and not by the deflated one, and noise has no ratio."""
    best, lucky, believed = picked()
    assert lucky >= 9
    assert believed <= 1
    assert fmean(best) > 1.2
    assert years(1.5, 0) > 1
    assert years(2, 1.5) > 10
