"""`bulkhead deploy monitoring`: what the watchers of a deployment read, with its own thresholds and no key of the watched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from libs.desk.tokens import Token, TokenBook
from services.cli.app import app
from services.cli.deploy import fleet
from services.cli.deploy.key_files import make_keys, token_path
from tests.style.tree import ROOT


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)


def written(home: Path, *words: str, code: int = 0) -> str:
    """What the command says."""
    found = CliRunner().invoke(app, ["deploy", "monitoring", "--home", str(home), *words])
    assert found.exit_code == code, found.output
    return found.output


def test_alertmanager_may_bring_alerts_and_nothing_else(tmp_path: Path) -> None:
    """Its token is one of scope alerts that the gateway knows, made once; it finds the authority's certificate, and no key of anybody."""
    make_keys(tmp_path)
    written(tmp_path)
    secrets = tmp_path / "monitoring" / "alertmanager" / "secrets"
    token = (secrets / "alerts_token").read_text()
    known = TokenBook(token_path(tmp_path)).check(token, 1, 0)
    assert isinstance(known, Token)
    assert known.scopes == ("alerts",)
    written(tmp_path)
    assert (secrets / "alerts_token").read_text() == token
    assert len(json.loads(token_path(tmp_path).read_text())["tokens"]) == 1
    assert sorted(path.name for path in secrets.iterdir()) == ["alerts_token", "authority.pem"]
    text = "".join(path.read_text() for path in (tmp_path / "monitoring").rglob("*.yml"))
    assert token not in text


def test_services_are_told_where_traces_go(tmp_path: Path) -> None:
    """From their next start on: the file is one that docker-compose.yml reads, and the variable one that they know."""
    make_keys(tmp_path)
    written(tmp_path)
    (line,) = (tmp_path / "monitoring" / "traces.env").read_text().splitlines()
    assert line == f"BULKHEAD_OTLP_ENDPOINT={fleet.TRACES_URL}"
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    files = {each["path"]: each.get("required", True) for each in compose["x-service"]["env_file"]}
    assert files["${DEPLOY_HOME:-./.bulkhead-deploy}/monitoring/traces.env"] is False
    assert list(files)[-1].endswith("settings.env"), "what you say yourself wins"


def test_where_its_files_are_is_where_it_looks(tmp_path: Path) -> None:
    """Every file that the configuration names is in the folder that is mounted, or is said to be missing."""
    make_keys(tmp_path)
    said = written(tmp_path)
    config = yaml.safe_load((tmp_path / "monitoring" / "alertmanager" / "alertmanager.yml").read_text())
    named = {value for value in _strings(config) if value.startswith("/etc/alertmanager/secrets/")}
    folder = tmp_path / "monitoring" / "alertmanager" / "secrets"
    missing = {Path(each).name for each in named if not (folder / Path(each).name).exists()}
    assert missing == {"telegram_token", "watchdog_url"}
    assert all(name in said for name in missing)
    assert (tmp_path / "monitoring" / "prometheus" / "rules" / "money.yml").exists()


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [each for inner in value.values() for each in _strings(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in _strings(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(("mode", "seconds"), [("sim", 240), ("paper", 30)])
def test_prices_of_a_simulated_market_may_be_older(tmp_path: Path, mode: str, seconds: int) -> None:
    """Its clock runs faster than ours; a live market's prices are old after half a minute."""
    make_keys(tmp_path)
    written(tmp_path, "--mode", mode)
    rules = (tmp_path / "monitoring" / "prometheus" / "rules" / "money.yml").read_text()
    assert f"min(bulkhead_mark_age_seconds) > {seconds}'" in rules


def test_without_a_deployment_nothing_is_written(tmp_path: Path) -> None:
    """A folder from which nothing was deployed is told apart."""
    assert "nothing was deployed" in written(tmp_path / "x", code=2)
    assert not (tmp_path / "x").exists()
