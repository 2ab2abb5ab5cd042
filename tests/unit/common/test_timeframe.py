"""Where bars begin and end."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.timeframe import DAY, SECOND, STEP, TIMEFRAMES, WEEK, bar_open, closes_at

INSTANTS = st.integers(0, 4_000_000_000 * SECOND)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@given(INSTANTS, st.sampled_from(TIMEFRAMES))
def test_every_instant_is_in_exactly_one_bar(ts: int, timeframe: str) -> None:
    """A bar holds [open, open + step); its end is the next one's beginning."""
    opened = bar_open(ts, timeframe)
    assert opened <= ts < opened + STEP[timeframe]
    assert bar_open(opened, timeframe) == opened
    assert bar_open(opened + STEP[timeframe], timeframe) == opened + STEP[timeframe]
    assert closes_at(opened, timeframe)


@given(INSTANTS)
def test_shorter_bars_fill_longer_ones(ts: int) -> None:
    """Where a long bar ends all shorter ones end, so that it can be built from closed children."""
    for short, long in pairwise(TIMEFRAMES):
        assert closes_at(bar_open(ts, long), short)
        assert STEP[long] % STEP[short] == 0


@pytest.mark.parametrize(
    ("instant", "timeframe", "opened"),
    [
        ("2024-08-08T12:34:56", "1m", "2024-08-08T12:34:00"),
        ("2024-08-08T12:34:56", "15m", "2024-08-08T12:30:00"),
        ("2024-08-08T12:34:56", "4h", "2024-08-08T12:00:00"),
        ("2024-08-08T23:59:59", "1d", "2024-08-08T00:00:00"),
        ("2024-08-08T12:00:00", "1w", "2024-08-05T00:00:00"),
        ("2024-08-11T23:59:59", "1w", "2024-08-05T00:00:00"),
        ("2024-08-12T00:00:00", "1w", "2024-08-12T00:00:00"),
    ],
)
def test_boundaries_are_utc_and_weeks_begin_on_monday(instant: str, timeframe: str, opened: str) -> None:
    """As Binance cuts them."""
    assert bar_open(ns(instant), timeframe) == ns(opened)


def test_the_first_week_began_before_the_epoch() -> None:
    """1970-01-01 was a Thursday."""
    assert bar_open(0, "1w") == 4 * DAY - WEEK
