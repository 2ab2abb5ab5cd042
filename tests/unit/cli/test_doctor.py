"""The doctor: each check sees what is wrong and says what to do, and looking changes nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime import nats_server
from libs.runtime.nats_config import ensure_keys
from libs.runtime.recording_manifest import MANIFEST, Gap, Manifest, save_manifest
from services.cli import doctor, doctor_stack
from services.cli.doctor import Finding
from services.cli.place import Place, find_place, stack_settings
from services.cli.stack import RUNNING, Ports, StackSettings
from services.cli.stack_keys import ensure_secrets

SECOND = 1_000_000_000
NOON_2026 = 1_767_960_000 * SECOND


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)


def is_told(finding: Finding, level: str) -> bool:
    """The level is as expected, and whatever is wrong comes with a cure."""
    return finding.level == level and bool(finding.cure) == (level != "OK")


# --- the machine --------------------------------------------------------------------------------------------------


def test_this_machine_is_well(tmp_path: Path) -> None:
    """Where the tests run, nothing fails, and no folder appears."""
    home = tmp_path / "home"
    findings = doctor.examine_machine(home)
    assert [finding for finding in findings if finding.level == "FAIL"] == []
    assert not home.exists()


def test_an_old_python_is_refused() -> None:
    """3.11 is enough, 3.10 is not."""
    assert is_told(doctor.check_python((3, 11, 0)), "OK")
    assert is_told(doctor.check_python((3, 10, 14)), "FAIL")


LOCK = """
aiohttp==3.14.5 \\
    --hash=sha256:00
    # via ccxt
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
numpy==2.4.6 ; python_full_version < '3.12' \\
numpy==2.5.5 ; python_full_version >= '3.12' \\
"""


def test_installed_packages_are_compared_with_the_lock() -> None:
    """Missing is a failure, another version a warning; what is for other platforms may be missing."""
    good = {"aiohttp": "3.14.5", "numpy": "2.5.5"}
    assert is_told(doctor.check_packages(LOCK, good.get), "OK")
    assert is_told(doctor.check_packages(LOCK, {"numpy": "2.4.6"}.get), "FAIL")
    other = doctor.check_packages(LOCK, {**good, "numpy": "1.0"}.get)
    assert is_told(other, "WARN")
    assert "numpy 1.0 (locked 2.4.6 or 2.5.5)" in other.text
    assert is_told(doctor.check_packages(LOCK, {name: f"v{version}" for name, version in good.items()}.get), "OK")
    assert is_told(doctor.check_packages(None, good.get), "WARN")
    many = "".join(f"package{number}==1.0 \\\n" for number in range(9))
    assert "and 4 more" in doctor.check_packages(many, {}.get).text


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo nats-server: v2.10.0", "too old"),
        ("echo hello", "not a version"),
        ("exit 3", "cannot be run"),
    ],
)
def test_a_bad_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str) -> None:
    """Too old, something else altogether, broken, or not there."""
    fake = tmp_path / "nats-server"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(nats_server, "binary", lambda: fake)
    found = doctor.check_nats_server()
    assert is_told(found, "FAIL")
    assert words in found.text


def test_a_missing_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And how to get it."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert is_told(doctor.check_nats_server(), "FAIL")


def test_the_state_folder_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be missing; it may not be a file, nor somebody else's."""
    assert "will be made" in doctor.check_home(tmp_path / "a" / "b").text
    assert is_told(doctor.check_home(tmp_path), "OK")
    file = tmp_path / "file"
    file.touch()
    assert is_told(doctor.check_home(file / "home"), "FAIL")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # a superuser may write anywhere
    assert is_told(doctor.check_home(tmp_path), "FAIL")


def test_a_key_that_others_can_read_is_named(tmp_path: Path) -> None:
    """The name and the mode of the file, and that a leaked key must be changed."""
    assert is_told(doctor.check_keys(tmp_path), "OK")
    ensure_keys(tmp_path, ["cli"])
    assert is_told(doctor.check_keys(tmp_path), "OK")
    (tmp_path / "keys" / "cli.nk").chmod(0o640)
    found = doctor.check_keys(tmp_path)
    assert is_told(found, "FAIL")
    assert "cli.nk (0640)" in found.text


def test_a_seed_that_is_none_is_named(tmp_path: Path) -> None:
    """Garbage with the right mode would only be noticed when nobody gets in."""
    ensure_keys(tmp_path, ["cli", "ledger"])
    (tmp_path / "keys" / "ledger.nk").write_text("garbage")
    found = doctor.check_keys(tmp_path)
    assert is_told(found, "FAIL")
    assert found.text == "no nkey seeds: ledger.nk"


def test_a_full_disk_stops_everything() -> None:
    """Under a gigabyte fails, under five warns."""
    levels = [doctor.check_disk(gigabytes * 10**9).level for gigabytes in (0, 2, 50)]
    assert levels == ["FAIL", "WARN", "OK"]


@given(st.integers(0, 10 * SECOND), st.integers(0, 2**40))
def test_a_steady_clock_is_well_however_long_the_look(elapsed: int, steady: int) -> None:
    """Both clocks going on equally is no jump."""
    samples = (NOON_2026, steady), (NOON_2026 + elapsed, steady + elapsed)
    assert is_told(doctor.check_clock(samples), "OK")


def test_a_clock_that_jumps_or_is_of_another_age_is_seen() -> None:
    """Wall time that moves otherwise than monotonic time was set; 1970 is a machine without a battery."""
    jumped = doctor.check_clock(((NOON_2026, 0), (NOON_2026 + 3 * SECOND, SECOND)))
    assert is_told(jumped, "WARN")
    assert "+2000 ms" in jumped.text
    assert is_told(doctor.check_clock(((0, 0), (SECOND, SECOND))), "FAIL")


# --- the stack ----------------------------------------------------------------------------------------------------


def settings_in(home: Path, base: int = 0) -> StackSettings:
    return StackSettings(home=home, port_base=base or 24_000)


def place_in(home: Path) -> Place:
    return Place(home=home, nats_url="nats://127.0.0.1:1", stream="TRADING_0001")


def test_a_fresh_folder_passes_and_stays_fresh(tmp_path: Path) -> None:
    """Settings that need keys are tried with keys made elsewhere."""
    home = tmp_path / "home"
    findings = doctor_stack.examine_stack(settings_in(home), place_in(home), None)
    assert {finding.check: finding.level for finding in findings} == dict.fromkeys(
        ("ports", "settings", "bus", "console", "database", "venue", "warm-up", "people", "silence", "model"), "OK"
    )
    assert not home.exists()
    assert str(home / "ledger.db") in next(finding.text for finding in findings if finding.check == "database")


def test_a_bad_variable_is_named_with_its_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One finding for each process that would refuse to start, and our own environment is as before."""
    monkeypatch.setenv("BULKHEAD_RISK_PRICE_AGE_MS_MAX", "soon")
    monkeypatch.setenv("BULKHEAD_LOG_LEVEL", "chatty")
    before = dict(os.environ)
    loaded, complaints = doctor_stack.load_all(settings_in(tmp_path), os.environ)
    assert dict(os.environ) == before
    assert loaded == {}
    assert len(complaints) == len(RUNNING) + 1
    (gate,) = [each for each in complaints if each.check == "settings of risk-gate"]
    assert is_told(gate, "FAIL")
    assert "BULKHEAD_RISK_PRICE_AGE_MS_MAX: got 'soon'" in gate.text


def test_settings_that_are_questionable_together_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process would start; the rules speak of all of them."""

    def levels(position: str) -> dict[str, str]:
        monkeypatch.setenv("BULKHEAD_PORTFOLIO_POSITION_PCT_MAX", position)
        found = doctor_stack.examine_stack(settings_in(tmp_path / "home"), place_in(tmp_path), None)
        assert all(is_told(each, each.level) for each in found)
        return {each.check: each.level for each in found if each.check.startswith("settings")}

    assert levels("19.9") == {"settings": "OK"}
    assert levels("20") == {"settings": "WARN"}
    refused = levels("20.1")
    assert set(refused.values()) == {"FAIL"}
    assert "settings of portfolio" not in refused, "it cannot know what the gate allows"


def test_a_key_file_of_this_home_is_looked_at(tmp_path: Path) -> None:
    """Once the first run has made them, it is these keys that must be right."""
    ensure_secrets(tmp_path)
    assert doctor_stack.load_all(settings_in(tmp_path), {})[1] == []
    (tmp_path / "keys" / "gate-signing.pem").chmod(0o644)
    (finding,) = doctor_stack.load_all(settings_in(tmp_path), {})[1]
    assert is_told(finding, "FAIL")
    assert "gate-signing.pem" in finding.text


def test_a_port_of_somebody_else_is_named(tmp_path: Path) -> None:
    """Before anything is started; unless it is this very stack that runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = taken.getsockname()[1] - 10
        settings = settings_in(tmp_path, base)
        found = doctor_stack.check_stack_ports(settings, place_in(tmp_path))
        assert is_told(found, "FAIL")
        assert f"{Ports(base).service(RUNNING[0])} ({RUNNING[0]})" in found.text
        assert "BULKHEAD_PORT_BASE" in found.cure
        assert "BULKHEAD_PORT_BASE" not in found.text, "said once"
        ours = Place(home=tmp_path, nats_url="", stream="", supervisor_pid=os.getpid())
        assert is_told(doctor_stack.check_stack_ports(settings, ours), "OK")


def test_recorded_data_must_be_there(tmp_path: Path) -> None:
    """A folder without recordings would be a market without prices."""
    assert is_told(doctor_stack.check_data(tmp_path), "FAIL")
    assert is_told(doctor_stack.check_data(tmp_path / "missing"), "FAIL")
    (tmp_path / "btcusdt_20240809.gz").write_bytes(b"x" * 1000)
    assert is_told(doctor_stack.check_data(tmp_path), "OK")
    manifest = Manifest(origin="recorded", last_seq=9)
    save_manifest(tmp_path / "parquet" / MANIFEST, manifest)
    assert is_told(doctor_stack.check_data(tmp_path / "parquet"), "OK")
    manifest.gaps.append(Gap(3, 5))
    save_manifest(tmp_path / "parquet" / MANIFEST, manifest)
    found = doctor_stack.check_data(tmp_path / "parquet")
    assert is_told(found, "WARN")
    assert "3 messages are missing" in found.text
    (tmp_path / "parquet" / MANIFEST).write_text("{")
    assert is_told(doctor_stack.check_data(tmp_path / "parquet"), "FAIL")
    findings = doctor_stack.examine_stack(settings_in(tmp_path), place_in(tmp_path), tmp_path)
    assert "data" in [finding.check for finding in findings]


def test_a_database_that_does_not_answer_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trading goes on without it; its password is not shown."""
    url_file = tmp_path / "database-url"
    url_file.write_text("postgresql://ada:hunter2secret@127.0.0.1:1/books")
    environment = {"BULKHEAD_DATABASE_URL_FILE": str(url_file)}
    loaded, complaints = doctor_stack.load_all(settings_in(tmp_path), environment)
    assert complaints == []
    found = doctor_stack.check_database(loaded["ledger"], tmp_path)
    assert is_told(found, "WARN")
    assert "hunter2secret" not in found.text
    assert "127.0.0.1:1/books" in found.text


def test_a_sqlite_file_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever DATABASE_URL puts it."""
    loaded, _ = doctor_stack.load_all(settings_in(tmp_path), {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db"})
    assert is_told(doctor_stack.check_database(loaded["ledger"], tmp_path), "OK")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert is_told(doctor_stack.check_database(loaded["ledger"], tmp_path), "FAIL")


async def test_a_listener_that_is_no_bus_is_a_failure(tmp_path: Path) -> None:
    """Something answers at the bus's address, and our keys do not fit it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = Place(home=tmp_path, nats_url=f"nats://127.0.0.1:{other.getsockname()[1]}", stream="TRADING_0001")
        found = await doctor_stack.check_bus(place)
    assert is_told(found, "FAIL")
    assert "admin.nk is missing" in found.text


# --- where a stack is ---------------------------------------------------------------------------------------------


def test_without_a_map_the_settings_say_where_things_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ports follow BULKHEAD_PORT_BASE; a bus named by hand wins."""
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "24000")
    place = find_place(tmp_path)
    assert (place.nats_url, place.is_supervised) == ("nats://127.0.0.1:24000", False)
    assert set(place.services) == set(RUNNING)
    monkeypatch.setenv("BULKHEAD_NATS_URL", "nats://10.0.0.1:4222")
    assert find_place(tmp_path).nats_url == "nats://10.0.0.1:4222"
    assert stack_settings(tmp_path).home == tmp_path
