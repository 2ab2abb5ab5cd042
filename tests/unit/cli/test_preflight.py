"""Live mode starts nothing while a critical check fails or no certificate unlocks it; it shows the table, and everything at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app as app_module
from services.cli.app import app
from services.cli.doctor import Finding
from services.cli.exit_codes import CONFIG, Failure
from services.cli.preflight import CRITICAL, is_critical, marked, refuse_live, what_stands_against_it
from services.cli.stack import StackSettings


@pytest.fixture(autouse=True)
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("BULKHEAD_MODE", "live")
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "24000")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app_module, "run_up", lambda settings: pytest.fail("something was started"))


def test_what_loses_money_is_critical_and_what_is_only_late_is_not() -> None:
    """By the name of the check."""
    assert [is_critical(name) for name in ("database", "venue key", "settings of ledger", "settings")] == [True] * 4
    assert [is_critical(name) for name in ("warm-up", "model", "packages", "ports", "instruments")] == [False] * 5
    findings = marked([Finding("model", "FAIL", "x", "y"), *(Finding(name, "WARN", "x", "y") for name in CRITICAL)])
    assert what_stands_against_it(findings) == []
    worse = [*findings, Finding("database", "FAIL", "x", "y")]
    assert [each.check for each in what_stands_against_it(worse)] == ["database"]
    assert [each.critical for each in findings] == [False] + [True] * len(CRITICAL)


def test_live_mode_is_refused_with_the_table_while_a_critical_check_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the database cannot be read; every check is shown, and nothing is started."""
    (tmp_path / "ledger.db").write_text("this is no database")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    said = CliRunner().invoke(app, ["up"])
    assert said.exit_code == CONFIG
    assert "live mode does not start: a critical check fails: settings of order-executor, database" in said.output
    assert "is not a database" in said.output
    assert "nats-server" in said.output
    assert not (tmp_path / ".bulkhead").exists()


def test_live_mode_says_which_keys_and_which_venue_it_wants(tmp_path: Path) -> None:
    """It has none of its own: the executor's settings name them, and nothing of the kind is made."""
    said = CliRunner().invoke(app, ["up"])
    assert said.exit_code == CONFIG
    assert "BULKHEAD_EXEC_API_KEY_FILE" in said.output
    assert "it is locked, and no certificate was given" in said.output
    assert "bulkhead graduate --home PAPER_HOME --out certificate.json" in said.output
    assert not (tmp_path / ".bulkhead").exists()


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's, which wins over the setting."""
    monkeypatch.setenv("BULKHEAD_CERTIFICATE", "another.json")
    path = tmp_path / "c.json"
    path.write_text("{}")
    said = CliRunner().invoke(app, ["up", "--certificate", "c.json"])
    assert said.exit_code == CONFIG
    assert f"its certificate {path} is refused: it is no certificate of this version" in said.output


def test_without_a_certificate_a_flawless_preflight_is_not_enough(tmp_path: Path) -> None:
    """The lock is its own."""
    settings = StackSettings(home=tmp_path, mode="live")
    with pytest.raises(
        Failure, match="live mode does not start: it is locked, and no certificate was given"
    ) as refused:
        refuse_live(settings, marked([Finding("venue key", "OK", "x")]))
    assert refused.value.code == CONFIG
