"""`bulkhead monitoring` writes what watches this stack: its addresses, its settings, and no secret."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.stack import RUNNING


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)


def written(folder: Path, *arguments: str, code: int = 0) -> str:
    found = CliRunner().invoke(
        app, ["--home", str(folder / "home"), "monitoring", "--to", str(folder / "m"), *arguments]
    )
    assert found.exit_code == code, found.output
    return found.output


def test_every_service_of_the_stack_is_a_target_under_its_name(tmp_path: Path, monkeypatch) -> None:
    """At the ports that the stack has."""
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "5200")
    answer = json.loads(written(tmp_path, "--json"))
    text = (tmp_path / "m" / "prometheus.yml").read_text()
    for place, name in enumerate(RUNNING):
        assert f'targets: ["127.0.0.1:{5210 + place}"]\n        labels: {{instance: {name}}}' in text
    assert sorted(answer["files"]) == [
        "alertmanager.yml",
        "prometheus.yml",
        *(f"rules/{each}.yml" for each in ("machines", "money", "recorded")),
    ]
    assert [each.split()[0] for each in answer["commands"]] == ["prometheus", "alertmanager"]


def test_thresholds_are_those_of_the_environment(tmp_path: Path, monkeypatch) -> None:
    """The gate's own setting moves the alert that is about it."""
    monkeypatch.setenv("BULKHEAD_RISK_DRAWDOWN_HALT", "0.12")
    monkeypatch.setenv("BULKHEAD_ALERT_TELEGRAM_CHAT", "4711")
    assert "wrote 5 files" in written(tmp_path)
    assert "bulkhead:drawdown:ratio >= 0.12'" in (tmp_path / "m" / "rules" / "money.yml").read_text()
    assert "chat_id: 4711" in (tmp_path / "m" / "alertmanager.yml").read_text()


def test_prices_of_a_simulated_market_may_be_older_unless_somebody_says_how_old(tmp_path: Path, monkeypatch) -> None:
    """Its clock runs faster than ours; elsewhere the default counts."""
    rules = tmp_path / "m" / "rules" / "money.yml"
    written(tmp_path)
    assert "min(bulkhead_mark_age_seconds) > 30'" in rules.read_text()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "stack.json").write_text(json.dumps({"nats_url": "nats://127.0.0.1:1", "mode": "sim"}))
    written(tmp_path)
    assert "min(bulkhead_mark_age_seconds) > 240'" in rules.read_text()
    monkeypatch.setenv("BULKHEAD_ALERT_DATA_AGE_S_MAX", "90")
    written(tmp_path)
    assert "min(bulkhead_mark_age_seconds) > 90'" in rules.read_text()


def test_a_threshold_that_is_none_is_refused(tmp_path: Path, monkeypatch) -> None:
    """With the name of what is wrong."""
    monkeypatch.setenv("BULKHEAD_ALERT_LIMIT_SHARE", "7")
    assert "BULKHEAD_ALERT_LIMIT_SHARE" in written(tmp_path, code=78)


def test_alerts_go_to_the_port_that_the_gateway_wrote_down(tmp_path: Path) -> None:
    """It may have picked one for itself."""
    written(tmp_path)
    config = tmp_path / "m" / "alertmanager.yml"
    assert "url: http://127.0.0.1:8080/api/v1/webhooks/alertmanager" in config.read_text()
    (tmp_path / "home" / "gateway").mkdir(parents=True)
    (tmp_path / "home" / "gateway" / "port").write_text("4203\n")
    written(tmp_path)
    assert "url: http://127.0.0.1:4203/api/v1/webhooks/alertmanager" in config.read_text()
