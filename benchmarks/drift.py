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
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from random import Random

import msgspec

from libs.common.messages import Metric
from libs.trading.baseline import distribution
from libs.trading.drift import ALPHA_PER_THOUSAND, Watched, add
from libs.trading.quantiles import quantile

SAMPLES = 1_000
COUNTS = (30, 100, 300)
Draw = Callable[[Random], float]
Stream = Callable[[Random], Iterator[float]]


class Case(msgspec.Struct, frozen=True):
    """A metric, what its samples are like, and what they are like once it has drifted."""

    metric: Metric
    name: str
    usual: Stream
    drifted: Stream


def each(draw: Draw) -> Stream:
    """Samples that have nothing to do with each other."""

    def stream(random: Random) -> Iterator[float]:
        while True:
            yield draw(random)

    return stream


def in_runs(draw: Draw, spread: float, memory: float) -> Stream:
    """Samples about a level that moves: it keeps so much of itself from one to the next, and has this standard deviation."""

    def stream(random: Random) -> Iterator[float]:
        level = random.gauss(0, spread)
        while True:
            level = memory * level + random.gauss(0, spread * math.sqrt(1 - memory * memory))
            yield draw(random) + level

    return stream


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


def worse_slip(random: Random) -> float:
    """Five basis points more."""
    return slip(random) + 5


CASES = (
    Case("slippage", "slippage + 5 bp", each(slip), each(worse_slip)),
    Case("latency", "latency x 3", each(delay), each(lambda random: delay(random) * 3)),
    Case(
        "latency",
        "latency: 1 in 5 takes x 5",
        each(delay),
        each(lambda random: delay(random) * (5 if random.random() < 0.2 else 1)),
    ),
    Case("return", "return - half a deviation", each(result), each(lambda random: result(random) - RESULT_SD / 2)),
    Case("hit_rate", "hit rate 55 -> 40 %", each(wins(0.55)), each(wins(0.40))),
)
IN_RUNS = (
    Case("slippage", "in short runs, + 5 bp", in_runs(slip, 4, 0.5), in_runs(worse_slip, 4, 0.5)),
    Case("slippage", "in long runs, + 5 bp", in_runs(slip, 4, 0.9), in_runs(worse_slip, 4, 0.9)),
)
"""A level with as large a deviation as that of single orders, which halves within one order, or within seven."""


def found_after(
    case: Case, baseline_count: int, random: Random, *, drifts: bool, as_independent: bool = False
) -> int | None:
    """The live sample at which one run was called worse; None if it was not. `as_independent`: as if nobody knew that samples come in runs."""
    baseline = distribution(case.metric, list(islice(case.usual(random), baseline_count)))
    watched = Watched(msgspec.structs.replace(baseline, clumping=1.0) if as_independent else baseline)
    live = case.drifted if drifts else case.usual
    for number, value in enumerate(islice(live(random), SAMPLES), 1):
        change = add(watched, value)
        if change is not None and change.state == "WORSE":
            return number
    return None


def characteristic(
    case: Case, count: int, runs: int, seed: int, *, drifts: bool, as_independent: bool = False
) -> list[int | None]:
    """When each of `runs` was called worse."""
    random = Random(f"{seed} {case.name} {count} {drifts}")  # noqa: S311  a simulation, not a secret
    return [found_after(case, count, random, drifts=drifts, as_independent=as_independent) for _ in range(runs)]


def share_found(found: Sequence[int | None]) -> float:
    """The share of runs that were called worse."""
    return sum(each is not None for each in found) / len(found)


def lines(runs: int, seed: int, counts: Sequence[int] = COUNTS) -> Iterable[str]:
    """The table."""
    yield f"{runs} runs of {SAMPLES} live samples each, seed {seed}; stated bound of false alarms: {ALPHA_PER_THOUSAND:.1%}"
    yield f"{'drift':<28}{'baseline':>9}{'false alarms':>14}{'found':>8}{'half by':>9}{'9 of 10 by':>12}"
    for case in CASES + IN_RUNS:
        for count in counts:
            false = characteristic(case, count, runs, seed, drifts=False)
            found = characteristic(case, count, runs, seed, drifts=True)
            row = f"{case.name:<28}{count:>9}{share_found(false):>14.1%}{share_found(found):>8.1%}{_by(found, 0.5):>9}{_by(found, 0.9):>12}"
            if case in IN_RUNS:
                naive = characteristic(case, count, runs, seed, drifts=False, as_independent=True)
                row += f"   false alarms if the samples were taken for independent: {share_found(naive):.1%}"
            yield row


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
