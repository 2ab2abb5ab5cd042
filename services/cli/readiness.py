"""The eight things that are asked of a system before money is put behind it, each with where the proof of it is, or that there is none.

What is proved is proved in this source tree: by a gate of `make test`, or by the printed output of a long run under docs/proof. An installed package
without its tree proves nothing, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

TREE = Path(__file__).resolve().parents[2]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """One of the eight: what it is, whether there is proof, and where, or what is missing."""

    name: str
    met: bool
    evidence: str


def readiness(paper_days: int, days_min: int, tree: Path = TREE) -> list[Ready]:
    """All eight, in the order in which they were asked for."""
    proof, docs = tree / "docs" / "proof", tree / "docs"
    weeks = f"{paper_days} of {days_min} days count"
    return [
        _stands(
            "coverage", tree / "Makefile", "--cov-fail-under=90", "make test fails below 90 % of lines and branches"
        ),
        _stands(
            "errors handled",
            proof / "incidents.txt",
            " held; ",
            "docs/proof/incidents.txt: named incidents, each with its outcome",
        ),
        _some(
            "monitoring", tree / "deploy" / "prometheus" / "rules", "*.yml", "alert rules, tried by tests/unit/deploy"
        ),
        Ready(name="two weeks of paper trading", met=paper_days >= days_min, evidence=weeks),
        _audited(docs / "security-audit.md"),
        _there("deployment docs", docs / "DEPLOYMENT.md"),
        _there("rollback tested", proof / "rollback.txt"),
        _some("benchmarks", proof, "bench-*.txt", "figures beside their floors in docs/proof"),
    ]


def _ready(name: str, path: Path, is_proved: Callable[[], bool], told: str) -> Ready:
    try:
        met = is_proved()
    except OSError:
        met = False
    return Ready(
        name=name, met=met, evidence=told if met else f"there is none: {path.name} does not say so or is not there"
    )


def _audited(path: Path) -> Ready:
    """By its own verdict, and with the commit that was audited: a page that says FAIL is proof of something else."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        text = ""
    made = re.search(r"^Made on (.+ of commit `[^`]+`)", text, re.MULTILINE)
    is_passed = re.search(r"^Verdict: PASS$", text, re.MULTILINE) is not None
    told = f"{path.parent.name}/{path.name}: {made[1]}" if made else ""
    return _ready("security audit", path, lambda: is_passed and bool(told), told)


def _stands(name: str, path: Path, text: str, told: str) -> Ready:
    return _ready(name, path, lambda: text in path.read_text(encoding="utf-8"), told)


def _some(name: str, folder: Path, pattern: str, told: str) -> Ready:
    return _ready(name, folder, lambda: any(folder.glob(pattern)), told)


def _there(name: str, path: Path) -> Ready:
    return _ready(name, path, path.is_file, f"{path.parent.name}/{path.name}")
