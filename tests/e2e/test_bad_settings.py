"""Every variable of every service, set wrong in every way its kind allows: exit code 78, its name, what it got, what it wants."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from libs.runtime.nats_config import ensure_keys, key_file
from libs.runtime.redaction import forget_secrets
from libs.runtime.registry import SERVICES
from libs.runtime.settings import EX_CONFIG, ServiceSettings, settings_or_exit
from services.cli.stack_keys import ensure_secrets

ROOT = Path(__file__).parents[2]
MODULES = {name: module for name, module in SERVICES.items() if name != "cli"}
EVERYBODY = {**MODULES, "exchange-sim": "services.exchange_sim"}
PASSWORD = "hunter2-hunter2"
FREE = {
    "home",
    "http_host",
    "sim_host",
    "sim_data",
    "sim_bars",
    "database_url_file",
    "sim_api_key_file",
    "sim_api_secret_file",
    "gateway_token_file",
}
FREE |= {"sim_api_passphrase_file"}
"""Any text is a path or a host; whether there is one is found out when it is used."""


def settings_class(service: str) -> type[ServiceSettings]:
    """The settings of a service."""
    return import_module(f"{EVERYBODY[service]}.settings").Settings


def variable_of(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    alias = field.validation_alias
    if isinstance(alias, str):
        return alias
    return f"BULKHEAD_{name.upper()}"


def number_bounds(field: FieldInfo) -> tuple[Any, Any]:
    """The lowest and the highest number allowed, wherever they are declared; None for no bound."""
    marks = [*field.metadata, *(mark for each in get_args(field.annotation) for mark in getattr(each, "metadata", ()))]
    found: dict[str, Any] = {}
    for mark in marks:
        found |= {name: getattr(mark, name) for name in ("gt", "ge", "lt", "le") if hasattr(mark, name)}
    return found.get("gt", found.get("ge")), found.get("lt", found.get("le"))


def wrong_values(name: str, field: FieldInfo) -> list[str]:
    """What must not be accepted for this setting."""
    kinds = (
        set(get_args(field.annotation)) if get_origin(field.annotation) in (Union, UnionType) else {field.annotation}
    )
    if name in FREE:
        return []
    if get_origin(field.annotation) is Literal:
        return ["no-such-word"]
    if SecretStr in kinds:
        return [f"mysql://me:{PASSWORD}@host/db", f"me:{PASSWORD}"]
    if kinds & {int, float, Decimal}:
        lowest, highest = number_bounds(field)
        beyond = [str(highest + 1)] if highest is not None else []
        below = [str(lowest - 1)] if lowest is not None else []
        return ["seven", "nan", "1e400", *beyond, *below]
    if bool in kinds:
        return ["perhaps"]
    if datetime in kinds:
        return ["yesterday", "2026-01-05T00:00:00"]
    if get_origin(field.annotation) is tuple:
        return [",", "not ok", "BTC,BTC"]
    if Path in kinds:
        return ["no/such/file", os.devnull]
    if field.annotation is bool:
        return ["perhaps"]
    pattern = next(mark.pattern for mark in field.metadata if hasattr(mark, "pattern"))
    return [value for value in ("no good!", "UPPER lower", "x" * 200) if not re.match(pattern, value)][:2]


def every_wrong_value() -> Iterator[Any]:
    for service in EVERYBODY:
        own, shared = settings_class(service).model_fields, ServiceSettings.model_fields
        for name, field in own.items():
            if name in shared and service != "ledger":  # once is enough for what all have
                continue
            values = wrong_values(name, field)
            assert values or name in FREE, f"{service}: {name} accepts everything"
            yield from (pytest.param(service, name, value, id=f"{service}-{name}-{value[:12]}") for value in values)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What every service needs to start, and nothing else."""
    for name in [name for name in os.environ if name.upper().startswith(("BULKHEAD_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)
    good = good_environment(tmp_path)
    for name, value in good.items():
        monkeypatch.setenv(name, value)
    yield good
    forget_secrets()


def good_environment(home: Path) -> dict[str, str]:
    """Settings with which every service can start."""
    secrets = ensure_secrets(home)
    return {
        "BULKHEAD_HOME": str(home),
        "BULKHEAD_NATS_URL": "nats://127.0.0.1:1",
        "BULKHEAD_RISK_SIGNING_KEY_FILE": str(secrets.gate_key),
        "BULKHEAD_EXEC_API_KEY_FILE": str(secrets.api_key),
        "BULKHEAD_EXEC_API_SECRET_FILE": str(secrets.api_secret),
        "BULKHEAD_EXEC_GATE_PUBLIC_KEY": secrets.gate_public_key,
    }


@pytest.mark.parametrize(("service", "name", "value"), list(every_wrong_value()))
def test_a_wrong_value_is_refused_by_name(
    service: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal names the variable and its purpose, shows what it got unless that is a secret, and exits with 78."""
    kind = settings_class(service)
    field = kind.model_fields[name]
    variable = variable_of(name, field)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        settings_or_exit(kind)
    assert caught.value.code == EX_CONFIG
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith(f"{variable}: got ")]
    assert lines, said
    is_hidden = (
        any(word in variable for word in ("SECRET", "KEY", "SEED", "TOKEN", "PASSPHRASE", "DATABASE_URL"))
        and value[0] != "/"
    )
    shown = "(not shown)" if is_hidden else repr(value[:80])
    assert [line for line in lines if shown not in line] == []
    assert any((field.description or "") in line for line in lines)
    assert PASSWORD not in said


@pytest.mark.parametrize("service", EVERYBODY)
def test_a_required_setting_that_is_empty_is_asked_for(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty variable is none: what has no default is asked for by name, and all of it at once."""
    kind = settings_class(service)
    required = [variable_of(name, field) for name, field in kind.model_fields.items() if field.is_required()]
    for name in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.setenv(name, "")
    if not required:
        assert settings_or_exit(kind).nats_url == "nats://127.0.0.1:4222"
        return
    with pytest.raises(SystemExit) as caught:
        settings_or_exit(kind)
    assert caught.value.code == EX_CONFIG
    said = capsys.readouterr().err
    assert [variable for variable in required if f"{variable}: got" not in said] == []


def test_two_settings_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bound above its counterpart is named with the value of the other."""
    for service, changes, told in (
        ("risk-gate", {"BULKHEAD_RISK_DRAWDOWN_HALT": "0.01"}, "BULKHEAD_RISK_DRAWDOWN_ENTRY_MAX, which is 0.10"),
        ("agent-trend", {"BULKHEAD_TREND_EMA_SLOW_SPAN": "20"}, "greater than the fast span, which is 20"),
        ("ledger", {"BULKHEAD_DATABASE_URL_FILE": "no/such/file"}, "BULKHEAD_DATABASE_URL_FILE (no/such/file)"),
    ):
        with monkeypatch.context() as patch:
            for name, value in changes.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit):
                settings_or_exit(settings_class(service))
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["BULKHEAD_SIM_API_KEY_FILE", "BULKHEAD_SIM_API_SECRET_FILE"])
def test_the_emulated_venue_names_the_file_it_cannot_read(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The venue refuses to start without the keys it was told to check."""
    monkeypatch.setenv(variable, "/no/such/file")
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("services.exchange_sim.__main__", run_name="__main__")
    assert caught.value.code == EX_CONFIG
    assert f"{variable}: /no/such/file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("service", MODULES)
@pytest.mark.parametrize("how", ["missing", "open to others", "no seed", "no folder"])
def test_a_key_of_the_bus_that_cannot_be_used_is_named(
    service: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its key a service does not start: exit code 78, the file's name, and never a word of what is in it."""
    ensure_keys(tmp_path, MODULES)
    path = key_file(tmp_path, service)
    seed = path.read_text()
    match how:
        case "missing":
            path.unlink()
        case "open to others":
            path.chmod(0o644)
        case "no seed":
            path.write_text("hello, this is no seed of any kind")
        case "no folder":
            (tmp_path / "file").write_text("")
            monkeypatch.setenv("BULKHEAD_HOME", str(tmp_path / "file"))
            path = key_file(tmp_path / "file", service)
    with pytest.raises(SystemExit) as caught:
        runpy.run_module(f"{MODULES[service]}.__main__", run_name="__main__")
    said = capsys.readouterr()
    assert caught.value.code == EX_CONFIG, said.out
    assert str(path) in said.err
    assert seed not in said.err + said.out
    assert "this is no seed" not in said.err + said.out


def test_a_process_reads_the_file_in_its_folder(environment: dict[str, str], tmp_path: Path) -> None:
    """Started alone, as in a cluster, a service refuses a bad line of its own and a misspelt one of another's."""
    (tmp_path / "bulkhead.toml").write_text("[risk]\ndrawdown_halt = 0.31\n[feed]\nvenuess = []\n")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_")}
    env = {**plain, **environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "services.risk_gate"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EX_CONFIG, done.stderr
    assert done.stderr.splitlines()[1:] == [
        "bulkhead.toml: [feed] venuess: got ''; there is no such setting; did you mean [feed] venues?",
        "BULKHEAD_RISK_DRAWDOWN_HALT: got '0.31'; more than 0.30 is refused: from 30 % down it takes 43 % to come back"
        " (bulkhead.toml: [risk] drawdown_halt)",
    ]


def test_every_process_refuses_all_of_it_at_once(environment: dict[str, str]) -> None:
    """`python -m services.x` with every variable wrong: exit code 78, and each of them is named on stderr in one go."""
    running: dict[str, tuple[subprocess.Popen[str], dict[str, str]]] = {}
    for service, module in EVERYBODY.items():
        fields = settings_class(service).model_fields.items()
        wrong = {variable_of(name, field): wrong_values(name, field)[0] for name, field in fields if name not in FREE}
        plain = {name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_")}
        command = [sys.executable, "-m", module]
        process = subprocess.Popen(
            command, cwd=ROOT, env={**plain, **wrong}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running[service] = (process, wrong)
    for service, (process, wrong) in running.items():
        out, said = process.communicate(timeout=60)
        assert process.returncode == EX_CONFIG, (service, out, said)
        assert [variable for variable in wrong if f"{variable}: got" not in said] == [], service
        assert "Traceback" not in said
        assert PASSWORD not in out + said
