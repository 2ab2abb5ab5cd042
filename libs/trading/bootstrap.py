"""How sure a figure is: the stationary bootstrap (Politis and Romano, 1994), drawn in blocks so that a report costs a second and not a minute.

A sample is drawn again from itself, as long as it is, in blocks that begin anywhere, have geometric lengths of `BLOCK` on average and wrap around
at the end: what follows each other mostly still does, so that runs of good and bad days stay in the sample. The figure of every such sample is
taken, and the interval is between the quantiles of those figures. Chance comes from a seed: the same values and the same seed give the same
interval, on every machine.

A figure that is NaN for a sample (no losing trade in it, say) is unknown there. Where that happens in more than `UNKNOWN_SHARE_MAX` of the samples,
the bounds are unknown, too: what is left would be the interval of another, tamer sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

import msgspec

from libs.trading.quantiles import quantile

BLOCK = 10
ROUNDS = 1_000
CONFIDENCE = 0.95
SEED = 7
UNKNOWN_SHARE_MAX = 0.05

T = TypeVar("T")


class Interval(msgspec.Struct, frozen=True):
    """A figure and the range in which the bootstrap puts it with the confidence asked for; NaN where it is not known."""

    value: float
    low: float
    high: float


def bootstrapped(
    values: Sequence[T],
    figure: Callable[[Sequence[T]], float],
    *,
    rounds: int = ROUNDS,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> Interval:
    """One figure of these values with its interval."""
    found = bootstrapped_all(
        values, lambda sample: (figure(sample),), rounds=rounds, confidence=confidence, seed=seed, width=1
    )
    return found[0]


def bootstrapped_all(
    values: Sequence[T],
    figures: Callable[[Sequence[T]], Sequence[float]],
    *,
    width: int,
    rounds: int = ROUNDS,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> list[Interval]:
    """`width` figures that one function takes of a sample, each with its interval, from the same samples.

    Without values every figure is unknown.
    """
    if not values:
        return [Interval(math.nan, math.nan, math.nan)] * width
    columns: list[list[float]] = [[] for _ in range(width)]
    for sample in resamples(values, rounds, seed):
        for column, value in zip(columns, figures(sample), strict=True):
            if not math.isnan(value):
                column.append(value)
    tail = (1 - confidence) / 2
    return [
        Interval(value, *_bounds(column, rounds, tail)) for value, column in zip(figures(values), columns, strict=True)
    ]


def resamples(values: Sequence[T], rounds: int, seed: int, block: int = BLOCK) -> Iterator[list[T]]:
    """`rounds` samples as long as `values` (which must not be empty), drawn from them in blocks.

    A block's length is drawn at once instead of a coin per value: 1 + floor(log(1 - u) / log(1 - 1 / block)) is geometric.
    """
    random, count = Random(seed).random, len(values)  # noqa: S311  a sample, not a secret
    around, scale = [*values, *values], 1 / math.log1p(-1 / block) if block > 1 else 0.0
    for _ in range(rounds):
        drawn: list[T] = []
        left = count
        while left > 0:
            start = int(random() * count)
            length = min(left, 1 + int(math.log(1.0 - random()) * scale))
            drawn += around[start : start + length]
            left -= length
        yield drawn


def _bounds(found: list[float], rounds: int, tail: float) -> tuple[float, float]:
    if not found or len(found) < (1 - UNKNOWN_SHARE_MAX) * rounds:
        return math.nan, math.nan
    found.sort()
    return quantile(found, tail), quantile(found, 1 - tail)
