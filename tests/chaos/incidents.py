"""Every named incident of the execution edge, one after the other, as a table: what it is, how it ended, how long it took."""

from __future__ import annotations

from pathlib import Path

import pytest

FILES = ("submission", "reports", "position_protection", "replacing", "crashes", "bus_outages", "venue_limits")
FOLDER = Path(__file__).parent
WIDTH = 84


class Table:
    """A pytest plugin that prints a line for each incident as it ends."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.counts: dict[str, int] = {}
        self._spent: dict[str, float] = {}
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of an incident has ended; with the last one its line is due."""
        self._spent[report.nodeid] = self._spent.get(report.nodeid, 0.0) + report.duration
        if report.when == "call" or report.failed:
            self._outcomes[report.nodeid] = _outcome(report)
        if report.when == "teardown":
            outcome, seconds = self._outcomes.get(report.nodeid, report.outcome), self._spent[report.nodeid]
            self.counts[outcome] = self.counts.get(outcome, 0) + 1
            self.seconds += seconds
            print(f"{_named(report.nodeid):{WIDTH}} {outcome:8} {seconds:6.1f} s", flush=True)
        if report.failed:
            print(report.longreprtext, flush=True)


def run_incidents(*, long: bool) -> bool:
    """Run them all, with their long forms if wanted; whether all held (what is awaited, and says so, may fail)."""
    table = Table()
    files = [str(FOLDER / f"test_{name}.py") for name in FILES]
    chosen = [] if long else ["-m", "not slow"]
    quietly = ["-o", "addopts=--timeout=600", "-p", "no:cacheprovider", "-p", "no:terminal"]
    code = pytest.main([*files, *chosen, *quietly], plugins=[table])
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(table.counts.items()))
    print(f"{sum(table.counts.values())} incidents: {counted}; {table.seconds:.0f} s", flush=True)
    return code == pytest.ExitCode.OK


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "awaited" if report.skipped else "held"
    return "held" if report.passed else "FAILED"


def _named(nodeid: str) -> str:
    file, _, name = nodeid.rpartition("::")
    theme = file.rpartition("/")[2].removeprefix("test_").removesuffix(".py").replace("_", " ")
    return f"{theme}: {name.removeprefix('test_').replace('_', ' ')}"[:WIDTH]
