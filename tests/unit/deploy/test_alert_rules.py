"""What Prometheus wakes people for: the rules are valid, fire when they should, and name only metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
SCENES = sorted((PROMETHEUS / "tests").glob("*.yml"))
PROMTOOL = shutil.which("promtool")
OURS = re.compile(r"\bbulkhead_[a-z0-9_]+")
OF_A_KIND = re.compile(r"_(bucket|count|sum|total)$")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed here")


def metrics_of(text: str) -> set[str]:
    """Our metrics in the expressions of a rules file, as the code names them."""
    expressions = re.findall(r"^\s*(?:- )?expr:\s*(.+(?:\n\s{10,}.+)*)", text, re.MULTILINE)
    return {OF_A_KIND.sub("", name) for expression in expressions for name in OURS.findall(expression)}


def made_here() -> str:
    """All code that could make a metric."""
    return "\n".join(path.read_text() for top in ("libs", "services") for path in (ROOT / top).rglob("*.py"))


def is_made(name: str, code: str) -> bool:
    """Whether the code has a metric of that name: whole, or behind a prefix that it shares with others."""
    parts = name.split("_")
    prefixes = ("_".join(parts[:count]) + "_" for count in (1, 2))
    behind = (name.removeprefix(prefix) for prefix in prefixes)
    return f'"{name}"' in code or any(f'"{rest}"' in code for rest in behind)


@needs_promtool
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_promtool_takes_the_rules(path: Path) -> None:
    """Promtool takes the rules."""
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    """Alerts fire when they should and only then."""
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_name_only_metrics_that_exist(path: Path) -> None:
    """An alert on a metric that nobody makes can never fire."""
    named, code = metrics_of(path.read_text()), made_here()
    assert named
    assert {name for name in named if not is_made(name, code)} == set()


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_every_alert_has_a_scene(path: Path) -> None:
    """An alert that was never seen to fire is a guess."""
    alerts = set(re.findall(r"^\s*- alert:\s*(\w+)", path.read_text(), re.MULTILINE))
    scenes = "\n".join(scene.read_text() for scene in SCENES)
    assert alerts
    assert {alert for alert in alerts if f"alertname: {alert}" not in scenes} == set()


def test_a_metric_that_nobody_makes_is_found() -> None:
    """The rule bites: on a name misspelt, in an expression of one line or of several."""
    text = "      - expr: bulkhead_no_such_thing > 0\n      - expr: |\n          rate(bulkhead_exec_submit_seconds_count[5m])\n          > bulkhead_typo\n"
    named, code = metrics_of(text), made_here()
    assert {name for name in named if not is_made(name, code)} == {"bulkhead_no_such_thing", "bulkhead_typo"}
    assert "bulkhead_exec_submit_seconds" in named
