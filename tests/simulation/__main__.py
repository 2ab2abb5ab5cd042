"""`python -m tests.simulation --seeds 300 | --seed 7 [--bug NAME]`: run seeds; a failing one prints how to replay it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter

from tests.simulation.bugs import BUGS, planted
from tests.simulation.run import run_seed

Outcome = tuple[int, Counter[str] | None, str]


def _attempt(work: tuple[int, str | None]) -> Outcome:
    seed, bug = work
    with planted(bug):
        try:
            return seed, run_seed(seed), ""
        except Exception as error:  # noqa: BLE001  whatever a seed brings to light is its finding, and the other seeds go on
            return seed, None, "".join(traceback.format_exception(error, limit=-4))


def main() -> int:
    """Exit code 0 when every seed held."""
    parser = argparse.ArgumentParser(prog="make sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds, from --first")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="only this one, in this process")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant this bug; finding it is then the expected outcome")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    seeds = [given.seed] if given.seed is not None else list(range(given.first, given.first + given.seeds))
    began = time.monotonic()
    totals: Counter[str] = Counter()
    longest_ms = 0
    failures: list[Outcome] = []
    with multiprocessing.Pool(min(given.workers, len(seeds))) as pool:
        for done, outcome in enumerate(pool.imap_unordered(_attempt, [(seed, given.bug) for seed in seeds]), 1):
            seed, counts, text = outcome
            if counts is None:
                failures.append(outcome)
                bug = f" BUG={given.bug}" if given.bug else ""
                print(f"seed {seed} failed; replay it with: make sim SEED={seed}{bug}\n{text}", flush=True)
            else:
                longest_ms = max(longest_ms, counts.pop("uncovered_ms", 0))
                totals += counts
            if done % 50 == 0:
                print(
                    f"{done}/{len(seeds)} seeds, {len(failures)} failed, {time.monotonic() - began:.0f} s", flush=True
                )
    facts = (
        "steps",
        "starts",
        "restores",
        "fills",
        "OrderApproved",
        "OrderDenied",
        "InstrumentQuarantined",
        "PairAnswered",
        "ReplaceAnswered",
        "BreakerChanged",
        "CapitalMoved",
        "verified",
    )
    print(", ".join(f"{name} {totals[name]}" for name in facts))
    incidents = sorted(name for name in totals if name.startswith("incident "))
    print(", ".join(f"{name.removeprefix('incident ')} {totals[name]}" for name in incidents))
    print(
        f"positions sold by hand or by the venue {totals['hands']}; longest time without cover while it could be had: {longest_ms} ms"
    )
    print(f"{len(seeds) - len(failures)} of {len(seeds)} seeds held, {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
