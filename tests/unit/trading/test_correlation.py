"""How instruments move together, against numpy on the same returns, and what follows for clusters and sizes."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from libs.common.messages import Bar
from libs.common.timeframe import HOUR
from libs.trading.correlation import DECAY, KEPT, Comovement, Series, cluster_of, combined

START = 1_700_000_000 // 3600 * 3600 * 1_000_000_000


def bar(instrument: str, number: int, close: float, timeframe: str = "1h") -> Bar:
    """The so-manieth hour of an instrument."""
    end = START + number * HOUR
    return Bar(
        instrument=instrument,
        venue="binance",
        timeframe=timeframe,  # type: ignore[arg-type]
        ts_open=end - HOUR,
        ts_close=end,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=1.0,
    )


def walked(seed: int, count: int) -> list[float]:
    """Closes of a random walk."""
    random, close, closes = Random(seed), 100.0, []
    for _ in range(count):
        close *= math.exp(random.gauss(0, 0.01))
        closes.append(close)
    return closes


def told(**closes: list[float]) -> Comovement:
    """Everything heard, one instrument after the other."""
    made = Comovement(timeframe="1h")
    for name, series in closes.items():
        made.observe(bar(name, number, close) for number, close in enumerate(series))
    return made


def test_it_is_the_weighted_correlation_of_common_returns() -> None:
    """Equal to numpy's arithmetic over the same returns with weights 0.97 apart, newest first."""
    a, b = walked(1, 200), walked(2, 200)
    b = [x * y for x, y in zip(a, b, strict=True)]
    ra, rb = np.diff(np.log(a)), np.diff(np.log(b))
    weights = DECAY ** np.arange(len(ra) - 1, -1, -1)
    expected = (weights * ra * rb).sum() / math.sqrt((weights * ra * ra).sum() * (weights * rb * rb).sum())
    assert told(a=a, b=b).correlation("a", "b", 60) == pytest.approx(expected, rel=1e-12)


def test_the_order_in_which_bars_arrive_does_not_matter() -> None:
    """Histories come after live bars, and overlap: the same closes give the same correlation."""
    a, b = walked(1, 100), walked(2, 100)
    shuffled = Comovement(timeframe="1h")
    bars = [bar(name, number, close) for name, series in (("a", a), ("b", b)) for number, close in enumerate(series)]
    Random(3).shuffle(bars)
    shuffled.observe(bars + bars[:50])
    assert shuffled.correlation("a", "b", 60) == told(a=a, b=b).correlation("a", "b", 60)


def test_a_hole_is_no_return() -> None:
    """Across a missing bar there is no return: what happened in between is not one step."""
    series = Series()
    for number in (0, 1, 3, 4):
        series.add(START + number * HOUR, 100.0 + number)
    assert list(series.returns(HOUR)) == [START + HOUR, START + 4 * HOUR]


def test_too_few_common_returns_and_a_still_market_are_no_number() -> None:
    """None is not zero."""
    a, b = walked(1, 60), walked(2, 60)
    assert told(a=a, b=b).correlation("a", "b", 60) is None
    assert told(a=walked(1, 61), b=walked(2, 61)).correlation("a", "b", 60) is not None
    assert told(a=a, b=[100.0] * 60).correlation("a", "b", 10) is None
    assert told(a=a).correlation("a", "nobody", 1) is None
    assert told(a=a).correlation("a", "a", 60) == 1.0


def test_memory_is_bounded_and_bars_of_nothing_are_not_heard() -> None:
    """The newest closes are kept; another timeframe, or a close that is no price, says nothing."""
    made = told(a=walked(1, KEPT + 50))
    assert len(made.series["a"].closes) == KEPT
    made.observe([bar("b", 1, math.nan), bar("b", 1, -1.0), bar("b", 1, math.inf), bar("b", 1, 5.0, "4h")])
    assert "b" not in made.series


def test_a_cluster_is_a_chain() -> None:
    """Single link: a and c belong together because b does to both."""
    known = {("a", "b"): 0.7, ("b", "c"): 0.9, ("a", "c"): 0.1, ("a", "d"): 0.69}

    def correlation(x: str, y: str) -> float:
        return known.get((min(x, y), max(x, y)), 0.0)

    assert cluster_of("a", ["b", "c", "d"], correlation, 0.7) == ["a", "b", "c"]
    assert cluster_of("d", ["a", "b", "c"], correlation, 0.7) == ["d"]


@pytest.mark.parametrize(
    ("weights", "rho", "size"),
    [((0.2, 0.2), 0.9, 0.3899), ((0.2, 0.2), 0.0, 0.2828), ((0.2, -0.2), 0.9, 0.0894)],
)
def test_several_positions_as_one(weights: tuple[float, float], rho: float, size: float) -> None:
    """Correlated, uncorrelated, hedged."""
    found = combined(dict(zip("ab", weights, strict=True)), lambda x, y: rho)
    assert found == pytest.approx(size, abs=5e-5)
