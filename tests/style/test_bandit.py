"""What bandit finds dangerous is not there, or somebody said beside it why it is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.style.tree import ROOT, python_files, text_of

TOPS = ("benchmarks", "deploy", "docs", "libs", "services")
EXCUSED = re.compile(r"# nosec\b(?! B\d+(?:,B\d+)*  # \S.{9,})")
"""An excuse without its rule, or without a reason."""


def said_by_bandit(*paths: str) -> dict[str, object]:
    """Its findings of severity medium and above, with what it could not read."""
    bandit = [sys.executable, "-m", "bandit", "--quiet", "--recursive", "--configfile", "pyproject.toml"]
    command = [*bandit, "--severity-level", "medium", "--exit-zero", "--format", "json", *paths]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=240)
    report: dict[str, object] = json.loads(said.stdout)
    return report


def found(report: dict[str, object]) -> list[str]:
    results: list[dict[str, object]] = report["results"]  # type: ignore[assignment]
    return [f"{each['filename']}:{each['line_number']}: {each['test_id']} {each['issue_text']}" for each in results]


def test_bandit_finds_nothing_of_weight() -> None:
    """Severity medium and above is a failure, everywhere but in tests; and every file could be read."""
    report = said_by_bandit(*TOPS)
    assert found(report) == []
    assert report["errors"] == []
    assert len(report["metrics"]) > 300  # type: ignore[arg-type]


def test_the_rules_are_switched_on(tmp_path: Path) -> None:
    """A planted shell, a pickle, a statement put together and an interface open to all are found with our configuration."""
    (tmp_path / "planted.py").write_text(
        "import pickle\nimport subprocess\n\n"
        "def f(x, cursor):\n"
        "    subprocess.run(x, shell=True)\n"
        "    pickle.loads(x)\n"
        '    cursor.execute(f"SELECT * FROM t WHERE x = {x}")\n'
        '    bind("0.0.0.0")\n'
    )
    codes = {line.split(": ")[1][:4] for line in found(said_by_bandit(str(tmp_path)))}
    assert codes == {"B602", "B301", "B608", "B104"}


def test_every_excuse_names_its_rule_and_its_reason() -> None:
    """`# nosec` alone would excuse everything on its line, for ever."""
    lines = [
        f"{path}:{number}"
        for path in python_files(*TOPS)
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if EXCUSED.search(line)
    ]
    assert lines == []
    assert EXCUSED.search("x = 1  # nosec")
    assert EXCUSED.search("x = 1  # nosec B104")
    assert not EXCUSED.search("x = 1  # nosec B104  # in its own namespace")
