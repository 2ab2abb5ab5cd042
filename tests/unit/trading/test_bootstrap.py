"""The bootstrap: blocks that wrap around, lengths that are geometric, bounds that are unknown where too little is."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from random import Random
from statistics import fmean

import pytest

from libs.trading.bootstrap import BLOCK, bootstrapped, bootstrapped_all, resamples
from libs.trading.performance import HEADLINE, headline, sharpe
from libs.trading.quantiles import quantile


def test_samples_are_blocks_of_ten_on_average_that_wrap_around() -> None:
    """As long as the original; what follows each other does so nine times of ten, the first behind the last as well; all come equally often."""
    count, followed, pairs, seen = 97, 0, 0, Counter[int]()
    wrapped = False
    for sample in resamples(range(count), 400, 3):
        assert len(sample) == count
        seen.update(sample)
        for one, other in pairwise(sample):
            pairs += 1
            followed += other == (one + 1) % count
            wrapped |= (one, other) == (count - 1, 0)
    assert wrapped
    assert followed / pairs == pytest.approx(1 - 1 / BLOCK + 1 / BLOCK / count, abs=0.01)
    assert len(seen) == count
    assert max(seen.values()) / min(seen.values()) < 1.7


def test_lengths_of_blocks_are_geometric() -> None:
    """The share of blocks of one is 1/10, and that of blocks of more than ten 0.9^10, as of coins thrown one by one."""
    lengths: list[int] = []
    for sample in resamples(range(5_000), 20, 5):
        run = 1
        for one, other in pairwise(sample):
            if other == (one + 1) % 5_000:
                run += 1
            else:
                lengths.append(run)
                run = 1
    assert fmean(lengths) == pytest.approx(BLOCK, rel=0.05)
    assert fmean(each == 1 for each in lengths) == pytest.approx(0.1, abs=0.01)
    assert fmean(each > 10 for each in lengths) == pytest.approx(0.9**10, abs=0.02)


def test_a_block_of_one_is_the_plain_bootstrap() -> None:
    """Nothing hangs together."""
    sample = next(resamples(range(1_000), 1, 1, block=1))
    assert sum(other == one + 1 for one, other in pairwise(sample)) < 10


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    """2 x 1.96 / sqrt(n) for independent values; wider where they hang together."""
    random = Random(1)
    free = [random.gauss(0, 1) for _ in range(900)]
    tied = [0.0]
    for each in free:
        tied.append(0.7 * tied[-1] + each * math.sqrt(1 - 0.49))
    plain, wide = bootstrapped(free, fmean), bootstrapped(tied, fmean)
    assert plain.high - plain.low == pytest.approx(2 * 1.96 / 30, rel=0.2)
    assert wide.high - wide.low > 1.5 * (plain.high - plain.low)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    """A report is repeatable; its figures come from the same samples one by one or all at once."""
    random = Random(2)
    returns = [random.gauss(0.001, 0.02) for _ in range(200)]
    together = dict(zip(HEADLINE, bootstrapped_all(returns, headline, width=len(HEADLINE), seed=5), strict=True))
    alone = bootstrapped(returns, sharpe, seed=5)
    assert together["sharpe"].low == pytest.approx(alone.low, rel=1e-9)
    assert together["sharpe"].high == pytest.approx(alone.high, rel=1e-9)
    assert bootstrapped(returns, sharpe, seed=6) != alone


@pytest.mark.parametrize(("unknown", "is_known"), [(0.0, True), (0.03, True), (0.2, False), (1.0, False)])
def test_what_is_unknown_too_often_has_no_bounds(unknown: float, is_known: bool) -> None:
    """Leaving out one sample of five would give the interval of a tamer world."""
    random = Random(9)

    def figure(sample: list[float]) -> float:
        return math.nan if random.random() < unknown else fmean(sample)

    found = bootstrapped([1.0, 2.0, 3.0] * 10, figure)
    assert math.isnan(found.low) is not is_known


def test_quantiles_are_interpolated() -> None:
    """Of 0, 10, 20 the middle is 10 and a quarter 5; of nothing it is not known."""
    assert [quantile([0.0, 10.0, 20.0], share) for share in (0, 0.25, 0.5, 1)] == [0, 5, 10, 20]
    assert math.isnan(quantile([], 0.5))
