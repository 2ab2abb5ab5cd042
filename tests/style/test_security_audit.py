"""The audit says what was seen, never what was hoped: its page is whole, what it names exists, and whatever did not run did not pass."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.audit.facts import Seen, Tool
from tests.audit.judging import Result, Row, judged, read_results
from tests.audit.page import overall, page
from tests.audit.subjects import SUBJECTS, Subject
from tests.style.tree import ROOT, tree_of

PAGE = ROOT / "docs" / "security-audit.md"
ASKED_FOR = {
    "key storage",
    "credentials",
    "hard-coded secrets",
    "input validation",
    "rate limits",
    "SQL injection",
    "bot token",
    "log contents",
    "dependency updates",
    "start-up hooks",
    "imports of each image",
    "forbidden packages",
    "container hardening",
    "network zones",
    "model output",
}
"""What an audit without it would not be called one for."""
ROW = re.compile(r"^\| (.+?) \| (PASS|FAIL|NOT RUN) \| (.+?) \| (.+) \|$", re.MULTILINE)


def told(verdict: str) -> Tool:
    return Tool("tool --now", lambda: Seen(verdict, "what it said"))  # type: ignore[arg-type]


def subject(*tests: str, tool: Tool | None = None) -> Subject:
    return Subject(name="x", holds="it holds", tests=tests, tool=tool)


def test_the_page_is_whole() -> None:
    """Every subject has its row with a verdict, what was seen and a command; the verdict above is that of the rows; day and commit are told."""
    text = PAGE.read_text()
    rows = {name: (verdict, seen) for name, verdict, _, seen in ROW.findall(text)}
    assert list(rows) == [each.name for each in SUBJECTS]
    assert set(rows) >= ASKED_FOR
    verdicts = {verdict for verdict, _ in rows.values()}
    assert f"Verdict: {'FAIL' if 'FAIL' in verdicts else 'PASS'}\n" in text
    assert all(seen.strip() for _, seen in rows.values())
    assert re.search(r"^Made on \d{4}-\d\d-\d\d \d\d:\d\d UTC of commit `[0-9a-f]{7,}", text, re.MULTILINE)
    assert [each.name for each in SUBJECTS if f"```sh\n{each.command}\n```" not in text] == []


@pytest.mark.parametrize("each", SUBJECTS, ids=lambda each: each.name)
def test_what_the_audit_names_exists(each: Subject) -> None:
    """A test by its file and name, a tool by its recipe or module: a row that runs nothing shows nothing."""
    assert each.tests or each.tool
    for test in each.tests:
        place, _, name = test.partition("::")
        assert (ROOT / place).is_file(), test
        names = {
            node.name for node in tree_of(Path(place)).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert not name or name in names, test
    if each.tool is not None:
        targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        named = re.findall(r"make ([\w-]+)", each.tool.command)
        assert set(named) <= set(targets)
        modules = re.findall(r"-m (services[\w.]+)", each.tool.command)
        assert all((ROOT / module.replace(".", "/") / "__main__.py").is_file() for module in modules)
        assert named or modules or re.match(r"\.(?:venv|bulkhead-audit)/bin/(?:ruff|pip-audit) ", each.tool.command)


def test_a_test_that_fails_fails_its_subject() -> None:
    """And names itself; others' failures are none of its."""
    results = [
        Result("a.py::test_x[1]", "passed"),
        Result("a.py::test_x[2]", "failed"),
        Result("b.py::test_y", "failed"),
    ]
    row = judged(subject("a.py"), results)
    assert (row.verdict, row.seen) == ("FAIL", "1 of 2 tests failed: a.py::test_x[2]")
    assert judged(subject("a.py::test_x"), results[:1]).verdict == "PASS"
    assert judged(subject("a.py::test_x"), results[:1] + results[2:]).seen == "1 tests passed"


def test_what_did_not_run_did_not_pass() -> None:
    """A test that is gone fails, one that was skipped says why, and where nothing ran the verdict is that nothing ran."""
    results = [Result("a.py::test_x", "skipped", "haproxy is not installed"), Result("a.py::test_z", "passed")]
    assert judged(subject("gone.py"), results).verdict == "FAIL"
    assert judged(subject("a.py", "gone.py"), results).verdict == "FAIL"
    some = judged(subject("a.py"), results)
    assert (some.verdict, some.seen) == ("PASS", "1 tests passed; 1 skipped: haproxy is not installed")
    assert judged(subject("a.py::test_x"), results).verdict == "NOT RUN"


@pytest.mark.parametrize(("said", "verdict"), [("PASS", "PASS"), ("NOT RUN", "NOT RUN"), ("FAIL", "FAIL")])
def test_the_worst_that_was_seen_counts(said: str, verdict: str) -> None:
    """Tests that pass do not outweigh a tool that fails, or could not be asked."""
    assert judged(subject("a.py", tool=told(said)), [Result("a.py::test_x", "passed")]).verdict == verdict


def test_one_failure_fails_the_audit() -> None:
    """What could not be asked is told and fails nothing; but where nothing at all was asked, nothing passed."""
    passed, failed, silent = (Row(subject("a.py"), verdict, "seen") for verdict in ("PASS", "FAIL", "NOT RUN"))
    assert overall([passed, failed, silent]) == "FAIL"
    assert overall([passed, silent]) == "PASS"
    assert overall([silent]) == "NOT RUN"
    text = page([passed, silent, failed], datetime(2026, 11, 27, 12, 0, tzinfo=UTC))
    assert "Verdict: FAIL\n" in text
    assert "1 of 3 subjects passed; not run: x." in text
    assert "Made on 2026-11-27 12:00 UTC of commit" in text


def test_results_are_read_as_pytest_wrote_them() -> None:
    """Passed, failed, broken at its setup, and skipped, with the reason."""
    case = '<testcase classname="tests.unit.test_a" name="{}">{}</testcase>'
    report = "".join(
        (
            case.format("test_1[x]", ""),
            case.format("test_2", '<failure message="assert 1 == 2">trace</failure>'),
            case.format("test_3", '<error message="no server">trace</error>'),
            case.format("test_4", '<skipped message="no docker" />'),
        )
    )
    found = read_results(f"<testsuites><testsuite>{report}</testsuite></testsuites>")
    assert [each.outcome for each in found] == ["passed", "failed", "failed", "skipped"]
    assert (found[0].test, found[3].why) == ("tests/unit/test_a.py::test_1[x]", "no docker")
