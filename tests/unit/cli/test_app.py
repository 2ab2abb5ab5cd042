"""The command line itself: exit codes that mean something, failures that say what to do, JSON that is only JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from libs.common.codec import encode
from libs.runtime.adapter import LogEntry
from services.cli import app as app_module
from services.cli import place as place_module
from services.cli.app import app, main
from services.cli.exit_codes import (
    BAD_DUMP,
    CONFIG,
    DEFECT,
    FINDING,
    INTERRUPTED,
    MEANINGS,
    OK,
    UNAVAILABLE,
    USAGE,
    Failure,
    failing_clearly,
)
from services.cli.log_lines import line_of
from services.cli.place import Place, find_place, is_alive, processes_of
from services.cli.stack import StackSettings
from tests.recorded_log import message_of, recorded_log

NEEDS_A_BUS = (
    ("status",),
    ("trace", "0123456789abcdef"),
    ("replay", "--verify"),
    ("halt", "--reason", "x"),
    ("reduce", "--reason", "x"),
    ("resume", "--reason", "x"),
    ("accept-balances", "--reason", "x"),
    ("log", "dump", "log.jsonl"),
    ("record", "--out", "rec"),
)


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)
    with socket.create_server(("127.0.0.1", 0)) as probe:  # free in a moment, so that nobody listens
        monkeypatch.setenv("BULKHEAD_NATS_URL", f"nats://127.0.0.1:{probe.getsockname()[1]}")
    monkeypatch.chdir(tmp_path)


def bulkhead(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def last_line(result: Result) -> str:
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line_of(entry) for entry in recorded_log(2)))
    return path


# --- failing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", NEEDS_A_BUS, ids=lambda words: words[0])
def test_without_a_stack_every_command_says_so(words: tuple[str, ...]) -> None:
    """Exit code 69, what to do on the last line, no traceback, and with --json one document on standard output."""
    plain = bulkhead(*words)
    assert (plain.exit_code, plain.stdout) == (UNAVAILABLE, "")
    assert last_line(plain).startswith("what to do: start one with `bulkhead up`")
    scripted = bulkhead(*words, "--json")
    answer = json.loads(scripted.stdout)
    assert (answer["exit_code"], scripted.exit_code) == (UNAVAILABLE, UNAVAILABLE)
    assert "no stack runs in .bulkhead" in answer["error"]
    assert "Traceback" not in plain.output + scripted.output


@pytest.mark.parametrize("words", NEEDS_A_BUS, ids=lambda words: words[0])
def test_bad_settings_are_named(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Exit code 78, the variable, what it got."""
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "seven")
    result = bulkhead(*words)
    assert result.exit_code == CONFIG
    assert "BULKHEAD_PORT_BASE: got 'seven'" in result.stderr
    assert last_line(result).startswith("what to do: ")


def test_what_is_wrong_with_anybodys_settings_is_told_at_once(tmp_path: Path) -> None:
    """A misspelt line, a wrong number and a dangerous one: corrected together, or found one start after the other. Each is told once."""
    file = tmp_path / "bulkhead.toml"
    file.write_text(
        '[risk]\ncooldown_msx = 1\ndrawdown_halt = 0.4\n[trend]\nfast = "abc"\n[feed]\nstaleness_ms_max = "soon"\n'
    )
    for told in (bulkhead("up").stderr, bulkhead("doctor", "--json").stdout):
        for line in ("[risk] cooldown_msx", "RISK_DRAWDOWN_HALT: got '0.4'", "got 'soon'"):
            assert told.count(line) == 1, told
    assert not (tmp_path / ".bulkhead").exists()


def test_doctor_looks_into_the_folder_that_is_named_though_a_setting_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not into another one."""
    monkeypatch.setenv("BULKHEAD_HOME", "elsewhere")
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "seven")
    assert "elsewhere will be made by" in bulkhead("doctor").stdout


def test_doctor_tells_of_a_variable_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `up` would."""
    monkeypatch.setenv("BULKHEAD_RISK_DAILY_LOS_MAX", "0.01")
    checks = json.loads(bulkhead("doctor", "--json").stdout)["checks"]
    (found,) = (each for each in checks if "DAILY_LOS_MAX" in each["text"])
    assert (found["check"], found["level"]) == ("settings", "WARN")


@pytest.mark.parametrize(
    "words",
    [
        ("trace",),
        ("halt",),
        ("resume", "--reason", "  "),
        ("risk", "override", "btcusdt", "--reason", "x"),
        ("agents", "tell", "btcusdt", "--source", "wire", "--text", "x"),
        ("accept-balances",),
        ("accept-balances", "--reason", "  "),
        ("fly",),
        ("status", "--colour"),
        ("halt", "--reason", "x", "--wait", "-1"),
        ("up", "--data", "no-such-folder"),
        ("record",),
        ("import", "no-such-file.csv", "--out", "data"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_usage_error(words: tuple[str, ...]) -> None:
    """Exit code 2, before anything is asked."""
    assert bulkhead(*words).exit_code == USAGE


def test_a_map_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A half-written file is no stack."""
    (tmp_path / ".bulkhead").mkdir()
    (tmp_path / ".bulkhead" / "stack.json").write_text("{")
    result = bulkhead("status")
    assert result.exit_code == UNAVAILABLE
    assert "stack.json cannot be read" in result.stderr


def test_the_exit_codes_stand_in_one_place() -> None:
    """`bulkhead --help` lists them; every command's own help says where they are, and no more."""
    text = re.sub(r"\s+", " ", bulkhead("--help").stdout)
    assert [code for code, meaning in MEANINGS.items() if f"{code} {meaning}" not in text] == []
    for words in (("status",), ("log",), ("log", "dump"), ("replay",)):
        text = re.sub(r"\s+", " ", bulkhead(*words, "--help").stdout)
        assert "Exit codes: see `bulkhead --help`." in text or "Exit codes: see bulkhead --help." in text, words
        assert MEANINGS[DEFECT] not in text


def test_the_port_of_a_stopped_stack_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bus of this state folder was configured with a port: that one is named; without a trace of one, none."""
    monkeypatch.delenv("BULKHEAD_NATS_URL")
    monkeypatch.setattr("services.cli.observer.somebody_listens", _nobody)
    assert "nobody answers at" not in bulkhead("status").stderr
    (tmp_path / ".bulkhead" / "nats").mkdir(parents=True)
    (tmp_path / ".bulkhead" / "nats" / "nats-server.conf").write_text('server_name: x\nlisten: "127.0.0.1:24100"\n')
    assert "nobody answers at nats://127.0.0.1:24100" in bulkhead("status").stderr
    assert find_place().services["market-feed"] == "http://127.0.0.1:24110"
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "24000")
    assert find_place().nats_url == "nats://127.0.0.1:24000", "what is said now wins"


async def _nobody(url: str) -> bool:
    return False


def test_operating_errors_have_codes_and_the_rest_is_a_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A timeout is an answer; what nobody foresaw is told in full, with a code of its own."""
    with pytest.raises(Failure) as failed, failing_clearly():
        raise TimeoutError
    assert failed.value.code == UNAVAILABLE

    def broken(home: Path | None) -> Place:
        raise ZeroDivisionError("two and two")

    monkeypatch.setattr(app_module, "find_place", broken)
    monkeypatch.setattr(sys, "argv", ["bulkhead", "status"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == DEFECT
    assert "two and two" in capsys.readouterr().err

    def interrupted(home: Path | None) -> Place:
        raise KeyboardInterrupt

    monkeypatch.setattr(app_module, "find_place", interrupted)
    assert bulkhead("status").exit_code == INTERRUPTED


# --- up -----------------------------------------------------------------------------------------------------------


def test_up_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the supervisor what it needs, to the processes below it through the environment they read."""
    told: list[StackSettings] = []
    monkeypatch.setattr(app_module, "run_up", lambda settings: told.append(settings) or 69)
    for variable in ("BULKHEAD_PORT_BASE", "BULKHEAD_SIM_DATA", "BULKHEAD_SIM_SPEED", "BULKHEAD_SIM_SEED"):
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone
    (tmp_path / "frames").mkdir()
    words = ["--home", "here", "up", "--port-base", "24000", "--data", "frames", "--speed", "20", "--seed", "7"]
    assert bulkhead(*words).exit_code == 69
    (settings,) = told
    assert (settings.home, settings.port_base) == (Path("here"), 24000)
    assert os.environ["BULKHEAD_SIM_DATA"] == str(tmp_path / "frames")
    assert (os.environ["BULKHEAD_SIM_SPEED"], os.environ["BULKHEAD_SIM_SEED"]) == ("20.0", "7")
    bad = bulkhead("up", "--port-base", "1")
    assert bad.exit_code == CONFIG
    assert "BULKHEAD_PORT_BASE: got '1'" in bad.stderr


# --- without a bus ------------------------------------------------------------------------------------------------


def test_a_dump_is_replayed_and_traced_without_a_stack(dump: Path) -> None:
    """The proof and the story need the file and the code, nothing else."""
    proof = bulkhead("replay", "--verify", "--from-file", str(dump), "--json")
    assert proof.exit_code == OK
    assert json.loads(proof.stdout)["mismatches"] == 0
    story = bulkhead("trace", "latest", "--from-file", str(dump))
    assert story.exit_code == OK
    assert "APPROVED" in story.stdout


def test_a_log_of_other_code_proves_nothing(dump: Path) -> None:
    """It is no mismatch, and no proof either."""
    lines = []
    for entry in recorded_log(2):
        if entry.subject.endswith(".started"):
            payload = re.sub(rb'"code_version":"[^"]*"', b'"code_version":"other"', encode(message_of(entry)))
            entry = LogEntry(entry.seq, entry.subject, payload)
        lines.append(line_of(entry))
    dump.write_bytes(b"".join(lines))
    assert bulkhead("replay", "--from-file", str(dump)).exit_code == OK
    strict = bulkhead("replay", "--verify", "--from-file", str(dump))
    assert strict.exit_code == FINDING
    assert "nothing was compared" in strict.stderr


def test_a_bad_dump_is_no_log(tmp_path: Path) -> None:
    """Missing, or something else."""
    (tmp_path / "letter").write_text("dear log\n")
    for words in (("replay",), ("trace", "latest")):
        for name in ("letter", "missing"):
            result = bulkhead(*words, "--from-file", name)
            assert result.exit_code == BAD_DUMP
            assert name in result.stderr


def test_a_misspelt_line_holds_up_who_starts_something_and_nobody_else() -> None:
    """An operator who wants to halt is told that no stack runs here, not that a setting of the feed is unknown."""
    Path("bulkhead.toml").write_text("[feed]\nvenuess = []\n[up]\nport_base = 24000\n")
    assert bulkhead("halt", "--reason", "x").exit_code == UNAVAILABLE
    for command in ("up", "doctor"):
        said = bulkhead(command)
        assert "did you mean [feed] venues?" in said.output
        assert said.exit_code == {"up": CONFIG, "doctor": FINDING}[command]
    Path("bulkhead.toml").write_text("[up]\nport_base = 1\n")
    assert bulkhead("halt", "--reason", "x").exit_code == CONFIG


def test_doctor_answers_scripts_and_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table for people, a list for scripts; bad settings are a finding like any other."""
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "24000")
    found = json.loads(bulkhead("doctor", "--json").stdout)
    assert found["ok"] == all(check["level"] != "FAIL" for check in found["checks"])
    assert "what to do" in bulkhead("doctor").stdout
    monkeypatch.setenv("BULKHEAD_PORT_BASE", "0")
    result = bulkhead("doctor")
    assert result.exit_code == FINDING
    assert "BULKHEAD_PORT_BASE: got '0'" in re.sub(r"\s+", " ", result.stdout)


# --- processes ----------------------------------------------------------------------------------------------------


def test_processes_are_known_by_what_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children of the supervisor are found by their module; a dead supervisor has none."""
    listing = "import time; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", listing, "-m", "services.ledger"])
    try:
        place = Place(home=Path(), nats_url="", stream="", supervisor_pid=os.getpid())
        assert processes_of(place) == {"ledger": child.pid}
        monkeypatch.setattr(place_module.sys, "platform", "darwin")
        assert processes_of(place) == ({"ledger": child.pid} if shutil.which("ps") else {})
        monkeypatch.setattr(place_module.shutil, "which", lambda name: None)
        assert processes_of(place) == {}
    finally:
        child.kill()
        child.wait()
    assert not is_alive(child.pid)
    assert processes_of(Place(home=Path(), nats_url="", stream="", supervisor_pid=child.pid)) == {}
    assert is_alive(1)


def test_the_map_says_where_things_are(tmp_path: Path) -> None:
    """What `bulkhead up` wrote wins over what the settings would say."""
    written = {"nats_url": "nats://127.0.0.1:7", "supervisor_pid": 1, "services": {"ledger": "http://x"}, "more": 1}
    (tmp_path / "stack.json").write_text(json.dumps(written))
    place = find_place(tmp_path)
    assert (place.nats_url, place.services, place.stream) == (
        "nats://127.0.0.1:7",
        {"ledger": "http://x"},
        "TRADING_0001",
    )
