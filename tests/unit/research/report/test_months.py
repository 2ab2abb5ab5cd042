"""Returns by month: they compound to the result, whatever hour the backtest begins and ends at."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import pytest

from libs.research.report.months import monthly
from libs.research.result import BacktestResult
from libs.trading.daily_equity import DAY_NS, Observed, daily_equity
from tests.unit.research.report.samples import (
    CASH,
    HOUR,
    START,
    fills_of,
    forty_days,
    nothing_happened,
    result_of_fills,
)


def course(*observed: tuple[int, int], end: int) -> BacktestResult:
    """A backtest of which only its equity is known: so much at so many ns after the beginning of 30 January 2025."""
    seen = [Observed(START + after, Decimal(equity)) for after, equity in observed]
    daily = daily_equity(seen, now=START + end)
    return msgspec.structs.replace(nothing_happened(), daily=daily, equity_final=seen[-1].equity)


def test_the_months_compound_to_the_result() -> None:
    """Forty days over three months: their product is the last equity over the first."""
    result = forty_days()
    found = monthly(result)
    assert list(found) == [(2025, 1), (2025, 2), (2025, 3)]
    assert math.prod(found.values()) == pytest.approx(float(result.equity_final / CASH), rel=1e-12)
    assert found[2025, 1] == pytest.approx(1.004)  # two trips of 20 on the 30th and 31st


@pytest.mark.parametrize("begin", [0, 5 * HOUR])
@pytest.mark.parametrize("end", [3 * DAY_NS, 3 * DAY_NS + 7 * HOUR])
def test_parts_of_days_at_both_ends_count(begin: int, end: int) -> None:
    """What happens before the first midnight and after the last one is in the months."""
    result = course(
        (begin, 10_000),
        (begin + HOUR, 10_100),
        (DAY_NS, 10_200),
        (2 * DAY_NS, 9_900),
        (3 * DAY_NS - 1, 9_000),
        (end, 9_090),
        end=end,
    )
    found = monthly(result)
    assert math.prod(found.values()) == pytest.approx(0.909, rel=1e-12)
    assert found[2025, 1] == pytest.approx(0.99, rel=1e-12)
    assert list(found) == [(2025, 1), (2025, 2)]


def test_a_backtest_of_hours_has_one_month() -> None:
    """One that ends before its first midnight has no day and still a return, which is counted once."""
    result = course((5 * HOUR, 10_000), (6 * HOUR, 10_500), end=7 * HOUR)
    assert result.daily.days == ()
    assert monthly(result) == {(2025, 1): pytest.approx(1.05)}


def test_what_ends_at_midnight_belongs_to_the_month_before() -> None:
    """A trip of the last day of January that is seen at the first midnight of February is January's."""
    result = course((0, 10_000), (2 * DAY_NS, 11_000), (3 * DAY_NS, 11_000), end=3 * DAY_NS)
    assert monthly(result) == {(2025, 1): pytest.approx(1.1), (2025, 2): pytest.approx(1.0)}


def test_a_month_that_was_not_reached_is_not_told() -> None:
    """A backtest that ends at the last midnight of January has no February."""
    result = result_of_fills(fills_of(0, Decimal(20)), days=2)
    assert list(monthly(result)) == [(2025, 1)]
