"""`bulkhead keys list`: what a state folder's keys are for and whether they are safe, and never a key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from libs.runtime.nats_config import ensure_keys, users_of
from libs.runtime.registry import contracts
from services.cli.app import app
from services.cli.keys_app import keys_in
from services.cli.stack_keys import ensure_secrets


@pytest.fixture
def home(tmp_path: Path) -> Path:
    ensure_keys(tmp_path, users_of(contracts()))
    ensure_secrets(tmp_path)
    return tmp_path


def said(home: Path, *words: str):
    return CliRunner().invoke(app, ["--home", str(home), "keys", "list", *words])


def test_every_key_of_a_first_run_is_known(home: Path) -> None:
    """No file is a stranger, each has its use, and the public halves are those of the bus's users."""
    found = {key.file: key for key in keys_in(home)}
    assert not [key for key in found.values() if key.used_for == "not one of ours" or key.flaw]
    assert found["risk-gate.nk"].public == ensure_keys(home, ["risk-gate"])["risk-gate"]
    assert len(found["gate-signing.pem"].public) == 64


def test_no_secret_is_shown(home: Path) -> None:
    """Neither for people nor for scripts does any secret half come out."""
    secrets = [path.read_text().strip() for path in (home / "keys").iterdir()]
    shown = said(home).output + said(home, "--json").output
    assert not [secret for secret in secrets if secret in shown or secret[:24] in shown]


def test_what_others_can_read_and_what_is_no_key_is_found(home: Path) -> None:
    """Both are said by name, with what to do, and the exit code says that something was found."""
    (home / "keys" / "cli.nk").chmod(0o644)
    (home / "keys" / "ledger.nk").write_text("rubbish")
    result = said(home, "--json")
    assert result.exit_code == 1
    flaws = {key["file"]: key["flaw"] for key in json.loads(result.stdout) if key["flaw"]}
    assert flaws == {"cli.nk": "others can read it (mode 0644)", "ledger.nk": "is no key"}


def test_before_the_first_run_there_are_none(tmp_path: Path) -> None:
    """An empty folder is no fault."""
    result = said(tmp_path)
    assert result.exit_code == 0
    assert "bulkhead up" in result.output
