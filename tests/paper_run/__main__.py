"""`make paper-run DAYS=14 SYMBOLS=10`: weeks of market through the running stack with faults, and a page about what it met."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from tests.chaos.report import replayed
from tests.paper_run.driver import PaperRun
from tests.paper_run.market import market_of
from tests.paper_run.report import Circumstances, page, write
from tests.paper_run.weather import programme

HASH_SEEDS = ("0", "4711")


def _told(given: argparse.Namespace, wall_s: float) -> Circumstances:
    found = subprocess.run(("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=False)
    return Circumstances(
        command=f"make paper-run DAYS={given.days} SYMBOLS={given.symbols} SEED={given.seed}",
        commit=found.stdout.strip() or "an unknown commit",
        machine=f"{os.cpu_count()} cores, CPython {platform.python_version()}",
        on=f"{datetime.now(UTC):%Y-%m-%d}",
        wall_s=wall_s,
    )


async def _play(given: argparse.Namespace, home: Path) -> tuple[bool, str]:
    market = market_of(given.symbols, given.seed)
    incidents = programme(given.seed, given.days, given.incidents, market.instruments)
    run = PaperRun(home, market, given.days, incidents, wall_s_max=given.wall_minutes * 60)
    began = time.monotonic()
    try:
        await run.run()
    except (TimeoutError, aiohttp.ClientError) as error:  # what was met until then is worth a page all the same
        run.anomalies.add("broken off", market.begins, f"{type(error).__name__}: {error}"[:200], "the run itself")
    proofs = [await replayed(run.stack, seed) for seed in HASH_SEEDS]
    is_replayed = len({each["digest"] for each in proofs}) == 1 and not any(each["mismatch_count"] for each in proofs)
    held = is_replayed and run.looks > 0 and not run.anomalies.unpinned and "books" not in run.anomalies.met
    return held, page(run, _told(given, time.monotonic() - began), proofs)


def main() -> int:
    """Exit code 0: the books agreed, the log replays, and every anomaly is pinned by a test."""
    parser = argparse.ArgumentParser(prog="make paper-run", description=__doc__)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--incidents", type=int, default=8, help="a day")
    parser.add_argument("--wall-minutes", type=float, default=1e9, help="stop at the end of a day behind so many")
    parser.add_argument("--out", type=Path, default=Path("docs/paper-run.md"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkhead-paper-run-") as name:
        held, text = asyncio.run(_play(given, Path(name) / "home"))
    write(given.out, text)
    print(f"{given.out} is written; {'everything held' if held else 'NOT everything held'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
