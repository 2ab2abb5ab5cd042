"""How the regression watch does where the truth is known: how often it cries wolf, and how soon it finds what has changed.

    python -m benchmarks.drift [--runs 1000] [--seed 1]        docs/proof/drift.txt; some minutes of one core

Baseline and live samples are drawn from the distributions below, the live ones with a drift from the first sample on. Every run has a baseline of its own,
because its luck is part of what may go wrong. "found" is the share of runs that were called worse within 1,000 samples, and the number of samples by
which half and nine tenths of the runs were; without a drift it is the share of false alarms, to be held against `ALPHA_PER_THOUSAND`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from random import Random

import msgspec

from libs.common.messages import Metric
from libs.trading.baseline import distribution
from libs.trading.drift import ALPHA_PER_THOUSAND, Watched, add
from libs.trading.quantiles import quantile

SAMPLES = 1_000
COUNTS = (30, 100, 300)
Draw = Callable[[Random], float]


class Case(msgspec.Struct, frozen=True):
    """A metric, what its samples are like, and what they are like once it has drifted."""

    metric: Metric
    name: str
    usual: Draw
    drifted: Draw


def slip(random: Random) -> float:
    """Basis points: most orders lose a few, some many (a heavy tail), some gain."""
    return round(random.gauss(4, 4) + (random.expovariate(1 / 15) if random.random() < 0.1 else 0), 2)


def delay(random: Random) -> float:
    """Milliseconds: log-normal, half of them under 120."""
    return round(random.lognormvariate(math.log(120), 0.6), 2)


def result(random: Random) -> float:
    """Basis points of a round trip: 45 % stops at -100 or so, the others winners of any size."""
    return round(random.gauss(-100, 15) if random.random() < 0.45 else random.expovariate(1 / 120), 2)


RESULT_SD = 142.0
"""Of `result`."""


def wins(rate: float) -> Draw:
    """A round trip that wins at this rate."""
    return lambda random: float(random.random() < rate)


CASES = (
    Case("slippage", "slippage + 5 bp", slip, lambda random: slip(random) + 5),
    Case("latency", "latency x 3", delay, lambda random: delay(random) * 3),
    Case(
        "latency",
        "latency: 1 in 5 takes x 5",
        delay,
        lambda random: delay(random) * (5 if random.random() < 0.2 else 1),
    ),
    Case("return", "return - half a deviation", result, lambda random: result(random) - RESULT_SD / 2),
    Case("hit_rate", "hit rate 55 -> 40 %", wins(0.55), wins(0.40)),
)


def found_after(case: Case, baseline_count: int, random: Random, *, drifts: bool, samples: int = SAMPLES) -> int | None:
    """The live sample at which one run was called worse; None if it was not."""
    watched = Watched(distribution(case.metric, [case.usual(random) for _ in range(baseline_count)]))
    draw = case.drifted if drifts else case.usual
    for number in range(1, samples + 1):
        change = add(watched, draw(random))
        if change is not None and change.state == "WORSE":
            return number
    return None


def characteristic(case: Case, count: int, runs: int, seed: int, *, drifts: bool) -> list[int | None]:
    """When each of `runs` was called worse."""
    random = Random(f"{seed} {case.name} {count} {drifts}")  # noqa: S311  a simulation, not a secret
    return [found_after(case, count, random, drifts=drifts) for _ in range(runs)]


def lines(runs: int, seed: int, counts: Sequence[int] = COUNTS) -> Iterable[str]:
    """The table."""
    yield f"{runs} runs of {SAMPLES} live samples each, seed {seed}; stated bound of false alarms: {ALPHA_PER_THOUSAND:.1%}"
    yield f"{'drift':<28}{'baseline':>9}{'false alarms':>14}{'found':>8}{'half by':>9}{'9 of 10 by':>12}"
    for case in CASES:
        for count in counts:
            false = sum(each is not None for each in characteristic(case, count, runs, seed, drifts=False)) / runs
            found = characteristic(case, count, runs, seed, drifts=True)
            share = sum(each is not None for each in found) / runs
            yield f"{case.name:<28}{count:>9}{false:>14.1%}{share:>8.1%}{_by(found, 0.5):>9}{_by(found, 0.9):>12}"


def _by(found: Sequence[int | None], share: float) -> str:
    ordered = sorted(math.inf if each is None else float(each) for each in found)
    place = quantile([each if math.isfinite(each) else 1e9 for each in ordered], share)
    return f"{place:.0f}" if place <= SAMPLES else "-"


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    for line in lines(asked.runs, asked.seed):
        print(line, flush=True)
    print(f"({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
