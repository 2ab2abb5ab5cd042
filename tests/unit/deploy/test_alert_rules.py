"""What Prometheus wakes people for: the rules are valid, fire when they should and only then, and name only what exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from typer.main import get_command

from libs.common.alerts import alert_of
from libs.runtime.registry import SERVICES
from services.cli.app import app
from services.cli.monitoring.files import groups, rule_files
from services.cli.monitoring.rules import Record, Rule
from services.cli.monitoring.scraping import on_this_machine
from services.cli.monitoring.settings import AlertSettings
from tests.unit.deploy.contract import SETTINGS, faults
from tests.unit.deploy.rule_scenes import SCENES, Scene, healthy

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus" / "rules"
RULES = sorted(FOLDER.glob("*.yml"))
PROMTOOL = shutil.which("promtool")
ALERTS = [rule for each in groups(SETTINGS).values() for group in each for rule in group.rules if isinstance(rule, Rule)]  # fmt: skip
RECORDS = [rule for each in groups(SETTINGS).values() for group in each for rule in group.rules if isinstance(rule, Record)]  # fmt: skip

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed here")


def promtool(*arguments: str) -> None:
    done = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_hold_all_rules() -> None:
    """What is tried here is what is deployed; that the texts are current says tests/style/test_docs.py."""
    assert [path.name for path in RULES] == sorted(groups(SETTINGS))
    text = "\n".join(path.read_text() for path in RULES)
    assert text.count("- alert: ") == len(ALERTS) > 40
    assert text.count("- record: ") == len(RECORDS) > 10


@needs_promtool
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_promtool_takes_the_rules(path: Path) -> None:
    """Promtool takes the rules."""
    promtool("check", "rules", str(path))


@needs_promtool
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.alert} {scene.about}".strip())
def test_an_alert_fires_when_it_should_and_nothing_else_does(scene: Scene, tmp_path: Path) -> None:
    """A whole system that is well but for one thing: exactly the alerts that are about it fire, and before that none."""
    moments = {**dict.fromkeys(scene.silent, ()), **scene.fires} or {"1m": ()}
    fired = [
        {
            "expr": 'count by (alertname, severity) (ALERTS{alertstate="firing"})',
            "eval_time": moment,
            "exp_samples": [
                {"labels": _labels(*each.split("/")), "value": count}
                for each, count in Counter([*alerts, "Watchdog/watchdog"]).items()
            ],
        }
        for moment, alerts in moments.items()
    ]
    series = {**healthy(scene.step_s, scene.steps), **scene.changed}
    test = {
        "interval": f"{scene.step_s}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items() if values is not None],
        "promql_expr_test": fired,
    }
    file = tmp_path / "scene.yml"
    file.write_text(json.dumps({"rule_files": [str(each) for each in RULES], "evaluation_interval": f"{scene.step_s}s", "tests": [test]}))  # fmt: skip
    promtool("test", "rules", str(file))


def _labels(alert: str, severity: str) -> str:
    return f'{{alertname="{alert}", severity="{severity}"}}'


def test_every_alert_has_a_scene_for_each_of_its_severities() -> None:
    """An alert that was never seen to fire is a guess; so is one that was never seen silent."""
    fired = {each for scene in SCENES for alerts in scene.fires.values() for each in alerts}
    wanted = {f"{rule.alert}/{rule.severity}" for rule in ALERTS if rule.alert != "Watchdog"}
    assert sorted(wanted - fired) == []
    assert sorted({rule.alert for rule in ALERTS} - {scene.alert for scene in SCENES}) == []


@pytest.mark.parametrize("rule", [*ALERTS, *RECORDS], ids=lambda rule: getattr(rule, "alert", "") or rule.record)
def test_rules_name_only_metrics_labels_and_values_that_exist(rule: Rule | Record) -> None:
    """An alert on what nobody makes can never fire, and one on a label that nobody sets never ends."""
    assert faults(rule.expr) == []


def test_what_nobody_makes_is_found() -> None:
    """The rule bites: on a misspelt metric, a misspelt label, a value that never is, and a grouping by nothing."""
    assert faults("rate(bulkhead_no_such_thing[5m]) > 0") == ["nobody makes bulkhead_no_such_thing"]
    assert faults('bulkhead_leader{name="x"}') == ["bulkhead_leader has no label name"]
    assert faults('bulkhead_trading_state{state=~"HALTED|PAUSED"}') == ["bulkhead_trading_state never has state=PAUSED"]
    assert faults("sum by (venue) (bulkhead_log_lag)") == ["nothing here has the label venue"]
    assert faults("bulkhead:no_such:ratio > 1") == ["nobody makes bulkhead:no_such:ratio"]
    assert faults('up{job="bulkhead",instance="x"} == 0 or max by (service) (bulkhead_ready) == 0') == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule.alert}-{rule.severity}")
def test_an_alert_says_how_grave_it_is_what_to_do_and_where_that_is_written(rule: Rule) -> None:
    """The runbook is a heading that there is, as grave as the catalogue allows, and commands are ones that there are."""
    page, _, anchor = rule.runbook("docs/runbooks").partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert [each.lower().replace(" ", "-") for each in headings].count(anchor) == 1, f"{page} has no {anchor}"
    assert rule.severity in ("page", "ticket") or rule.alert == "Watchdog"
    assert rule.summary
    assert rule.action
    assert not rule.code or alert_of(rule.code) is not None
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group, because it has commands
    assert [each for each in re.findall(r"`bulkhead ([a-z-]+)", rule.action) if each not in commands] == []


def test_pages_are_few() -> None:
    """Whoever is woken for what can wait stops reading: pages are for money and safety, and for who guards them."""
    pages = {rule.alert for rule in ALERTS if rule.severity == "page"}
    assert len(pages) <= 20
    assert not pages & {"PriceStale", "ModelFailing", "BackupOld", "DatabaseBehind", "LimitNearlyUsed"}


def test_thresholds_are_settings() -> None:
    """Who changes the gate's drawdown or the model's share of failures changes the rules."""
    changed = AlertSettings.model_construct(
        risk_drawdown_halt="0.2", alert_model_failed_share_max="0.5", alert_runbooks_url="https://books.example/r"
    )
    before, after = ("\n".join(rule_files(each).values()) for each in (SETTINGS, changed))
    assert "bulkhead:drawdown:ratio >= 0.15" in before
    assert "bulkhead:drawdown:ratio >= 0.2'" in after
    assert "bulkhead:model_failed:ratio_increase1h > 0.5 " in after
    assert 'runbook_url: "https://books.example/r/positions.md#uncovered"' in after


@needs_promtool
def test_promtool_takes_the_scraping(tmp_path: Path) -> None:
    """In containers by name, on one machine by address; every service is a target under its own name."""
    native = on_this_machine({"ledger": "127.0.0.1:4215"}, "/r/*.yml", alertmanager="127.0.0.1:1", itself="127.0.0.1:2")
    (tmp_path / "native.yml").write_text(native)
    for path in (FOLDER.parent / "prometheus.yml", tmp_path / "native.yml"):
        promtool("check", "config", "--syntax-only", str(path))
    text = (FOLDER.parent / "prometheus.yml").read_text()
    assert [name for name in SERVICES if name != "cli" and not re.search(rf"\b{name}\b", text)] == []
    assert 'targets: ["127.0.0.1:4215"]\n        labels: {instance: ledger}' in native
