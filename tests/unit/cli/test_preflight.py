"""Live mode starts nothing: while a critical check fails it shows the table, and when all pass this stack has its lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app as app_module
from services.cli.app import app
from services.cli.doctor import Finding
from services.cli.exit_codes import CONFIG
from services.cli.preflight import CRITICAL, is_critical, marked, what_stands_against_it


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
    assert "live mode does not start while a critical check fails: database" in said.output
    assert "is not a database" in said.output
    assert "nats-server" in said.output
    assert not (tmp_path / ".bulkhead").exists()


def test_live_mode_is_refused_by_this_stack_even_when_all_is_well(tmp_path: Path) -> None:
    """The lock stays: it knows no venue but exchange_sim."""
    said = CliRunner().invoke(app, ["up"])
    assert said.exit_code == CONFIG
    assert "every critical check passes, but the native stack trades on exchange_sim only" in said.output
    assert not (tmp_path / ".bulkhead").exists()
