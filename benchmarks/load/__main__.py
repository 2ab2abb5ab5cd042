"""`make load`: python -m benchmarks.load [--symbols 10,50,100] [--seconds 75] [--speed 1] [--limit 100] [--locust <python>]

For each count of instruments one step, then more steps until it is known at how many the staleness limit breaks. Prints text.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvloop

from benchmarks import ledger_rows
from benchmarks.load import report
from benchmarks.load.breaking import Found, breaking_point, faults_of
from benchmarks.load.stand import ROOT, SPEED_MAX, Given, NotUp, Step, run_step
from benchmarks.load.symbols import SYMBOLS_MAX
from tests.e2e.ledger.databases import LocalPostgres


class Run:
    """All steps of one `make load`; each is printed when it is over."""

    def __init__(self, given: Given, folder: Path):
        self.steps: dict[int, Step] = {}
        self.broken: dict[int, bool] = {}
        self._given = given
        self._folder = folder

    async def breaks(self, count: int) -> bool:
        """One step; whether it broke."""
        say(f"# {count} instruments: starting (load average {os.getloadavg()[0]:.1f})", file=sys.stderr)
        postgres = LocalPostgres()
        try:
            step = await run_step(count, self._given, postgres, self._folder / f"stack-{count}")
        except NotUp as error:
            say(report.not_up(count, str(error)))
            self.broken[count] = True
            return True
        finally:
            postgres.close()
        self.steps[count] = step
        self.broken[count] = bool(faults_of(step.signs))
        say(report.of_step(step))
        return self.broken[count]


def say(text: str, file: object = None) -> None:
    """Print at once: a run takes minutes."""
    print(text, file=file or sys.stdout, flush=True)  # type: ignore[arg-type]


async def measure(counts: list[int], limit: int, given: Given) -> tuple[Run, Found | None]:
    """Every step that was asked for, then those that the breaking point takes (`limit` 0: none)."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-load-", ignore_cleanup_errors=True) as folder:
        run = Run(given, given.keep or Path(folder))
        for count in counts:
            await run.breaks(count)
        return run, await breaking_point(run.broken, limit, run.breaks) if limit else None


def circumstances(given: Given) -> str:
    """What a reader must know of the machine."""
    commit = ""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        commit = f" at {told.stdout.strip()}"
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"make load, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC{commit}: {os.cpu_count()} cores, load average before {loads},"
        f" CPython {platform.python_version()}\nmarket at {given.speed:g} times its speed, windows of {given.seconds:g} s; latencies in ms"
    )


def parsed() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", default="10,50,100", help="counts of instruments, separated by commas")
    parser.add_argument("--seconds", type=float, default=75.0, help="of a window, after the warm-up")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="how fast the market's clock goes; ages are set to the same time of ours",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=SYMBOLS_MAX,
        help="instruments, at most, to look for the breaking point with; 0: do not",
    )
    parser.add_argument(
        "--locust", type=Path, default=ROOT / ".bulkhead-load" / "bin" / "python", help="a Python with locust"
    )
    parser.add_argument(
        "--keep", type=Path, help="a folder for the stacks' homes, which are deleted otherwise: logs, the log"
    )
    given = parser.parse_args()
    if not 0 < given.speed <= SPEED_MAX:
        parser.error(f"--speed: more than 0, at most {SPEED_MAX:g}")
    if not 0 <= given.limit <= SYMBOLS_MAX:
        parser.error(f"--limit: 0 to {SYMBOLS_MAX}")
    if not all(each.isdigit() and 1 <= int(each) <= SYMBOLS_MAX for each in given.symbols.split(",")):
        parser.error(f"--symbols: counts of 1 to {SYMBOLS_MAX}, separated by commas; a book has no more instruments")
    if not given.locust.exists():
        parser.error(f"no Python with locust at {given.locust}; `make load` installs it")
    return given


def main() -> None:
    """Print the report as it comes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asked = parsed()
    given = Given(speed=asked.speed, seconds=asked.seconds, locust=asked.locust.absolute(), keep=asked.keep)
    counts = sorted({int(each) for each in asked.symbols.split(",")})
    say(circumstances(given))
    say(report.of_capacity(ledger_rows.measure(200, 500, 3)))
    run, found = uvloop.run(measure(counts, asked.limit, given))
    say(report.of_all(run.steps))
    if found is not None:
        say(report.of_breaking(found, asked.limit))


if __name__ == "__main__":
    main()
