"""From what ran to a verdict: tests by their results, tools by their answers, and whatever has not run by nobody's word."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from tests.audit.facts import Seen, Verdict
from tests.audit.subjects import Subject
from tests.style.tree import ROOT

RUN_S_MAX = 3000.0
WORST: tuple[Verdict, ...] = ("FAIL", "NOT RUN", "PASS")
SHOWN_MAX = 3


class Result(msgspec.Struct, frozen=True):
    """What became of one test: `passed`, `failed` or `skipped`, and why."""

    test: str
    outcome: str
    why: str = ""


class Row(msgspec.Struct, frozen=True):
    """A subject with its verdict and what was seen."""

    subject: Subject
    verdict: Verdict
    seen: str


def results_of(tests: Sequence[str], workers: int) -> list[Result]:
    """Run them, each once and none a second time, in so many processes, and read what pytest wrote down."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "results.xml"
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        words += ["-n", str(workers), "--dist", "worksteal"]
        done = subprocess.run([*words, *dict.fromkeys(tests)], cwd=ROOT, check=False, timeout=RUN_S_MAX)
        if not report.exists():
            return [Result("", "failed", f"pytest ended with {done.returncode}")]
        return read_results(report.read_text(encoding="utf-8"))


def read_results(report: str) -> list[Result]:
    """The results in a report of pytest's, by file and name."""
    found = []
    for case in ElementTree.fromstring(report).iter("testcase"):
        place = case.get("classname", "").replace(".", "/")
        told = {each.tag: each.get("message", "") for each in case}
        outcome = "failed" if told.keys() & {"failure", "error"} else "skipped" if "skipped" in told else "passed"
        found.append(Result(f"{place}.py::{case.get('name', '')}", outcome, next(iter(told.values()), "")))
    return found


def of_test(results: Sequence[Result], test: str) -> list[Result]:
    """The results of a file, or of one test with whatever parameters."""
    return [each for each in results if each.test == test or each.test.startswith((f"{test}::", f"{test}["))]


def judged(subject: Subject, results: Sequence[Result]) -> Row:
    """The worst of what was seen is the verdict."""
    seen = [_of_tests(subject.tests, results)] if subject.tests else []
    if subject.tool is not None:
        seen.append(subject.tool.look())
    verdict = min((each.verdict for each in seen), key=WORST.index)
    words = [each.words for each in seen] + ([subject.fact()] if subject.fact is not None else [])
    return Row(subject, verdict, "; ".join(words))


def _of_tests(tests: Sequence[str], results: Sequence[Result]) -> Seen:
    by_test: Mapping[str, list[Result]] = {test: of_test(results, test) for test in tests}
    if absent := [test for test, found in by_test.items() if not found]:
        return Seen("FAIL", f"did not run: {_some(absent)}")
    every = {each.test: each for found in by_test.values() for each in found}.values()
    if failed := [each.test for each in every if each.outcome == "failed"]:
        return Seen("FAIL", f"{len(failed)} of {len(every)} tests failed: {_some(failed)}")
    skipped = Counter(each.why for each in every if each.outcome == "skipped")
    left_out = f"; {skipped.total()} skipped: {_some(sorted(skipped))}" if skipped else ""
    if skipped.total() == len(every):
        return Seen("NOT RUN", f"no test could run{left_out}")
    return Seen("PASS", f"{len(every) - skipped.total()} tests passed{left_out}")


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_MAX
    return ", ".join(names[:SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
