"""`bulkhead backtest` as a script and a person meet it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.exit_codes import BAD_DATA, OK, USAGE
from services.cli.log_dump import read_dump
from tests.baseline.market import bars

QUICK = [
    "--set", "BULKHEAD_TREND_TIMEFRAMES=15m",
    "--set", "BULKHEAD_RISK_MACRO=false",
    "--set", "BULKHEAD_PORTFOLIO_REGIMES=false",
]  # fmt: skip
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 quarters of an hour of one instrument."""
    path = tmp_path_factory.mktemp("bars") / "BTCUSDT-15m-2026.csv"
    rows = ["timestamp,open,high,low,close,volume"]
    for bar in bars("BTC-USDT", seed=3, count=400):
        at = datetime.fromtimestamp(bar.ts_open / SECOND, UTC).isoformat()
        rows.append(f"{at},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}")
    path.write_text("\n".join(rows) + "\n")
    return path


def run(*args: object) -> Result:
    """The command, as typed."""
    return CliRunner().invoke(app, ["backtest", *map(str, args)])


def answer(*args: object) -> dict[str, Any]:
    """What it prints with --json."""
    result = run(*args, *QUICK, "--json")
    assert result.exit_code == OK, result.output
    found: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    return found


@pytest.fixture(scope="module")
def first(file: Path) -> dict[str, Any]:
    """One run, read by several tests."""
    return answer(file)


def test_the_same_input_and_settings_give_the_same_answer(file: Path, first: dict[str, Any]) -> None:
    """Digest, trades and every figure: there is no chance and no clock in it."""
    assert first["trades"] > 3
    assert answer(file) == first


def test_another_setting_gives_another_digest(file: Path, first: dict[str, Any]) -> None:
    """The digest is over what was decided, the settings' digest over why."""
    other = answer(file, "--set", "BULKHEAD_PORTFOLIO_STOP_ATR=4", "--set", "BULKHEAD_PORTFOLIO_TARGET_ATR=6")
    assert other["digest"] != first["digest"]
    assert other["settings_digest"] != first["settings_digest"]


def test_what_is_dearer_earns_less(file: Path) -> None:
    """Of one and the same market: without fees and costs more is left than with three times as much."""
    free, dear = answer(file, "--fee-bps", 0, "--costs", 0), answer(file, "--fee-bps", 30, "--costs", 3)
    assert float(free["equity_final"]) > float(dear["equity_final"])


def test_the_log_it_writes_is_a_log(file: Path, tmp_path: Path) -> None:
    """Every event is in it, in order, from the start of the services to the last price."""
    path = tmp_path / "backtest.log"
    answer(file, "--log", path)
    entries = list(read_dump(path))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert sum(entry.subject == "feed.bars" for entry in entries) == 400
    assert CliRunner().invoke(app, ["replay", "--verify", "--from-file", str(path)]).exit_code == OK
    again = json.loads(
        run(path, "--json").stdout
    )  # a recorded log is a history as well, with the settings it was made by
    assert (again["series"][0]["timeframe"], again["series"][0]["bars"]) == ("15m", 400)
    assert again["trades"] > 3
    idle = run(path, "--log", tmp_path / "other.log", "--sensitivity")
    assert idle.exit_code == USAGE
    assert "--log, --sensitivity does not apply to the dump of a log" in idle.output


def test_a_bad_file_is_refused_with_its_line_and_the_remedy(file: Path, tmp_path: Path) -> None:
    """What is wrong stands in the first line, what to do in the last."""
    lines = file.read_text().splitlines()
    broken = tmp_path / file.name
    broken.write_text("\n".join([*lines[:100], *lines[103:]]) + "\n")
    result = run(broken, *QUICK)
    assert result.exit_code == BAD_DATA
    assert "line 101: 3 bars missing before this one" in result.output
    assert "what to do: `--repair allow-gaps`" in result.output


def test_bars_longer_than_what_the_agents_decide_on_are_refused(file: Path) -> None:
    """The trend agent would never hear a bar of its own: that is said, with the setting that mends it."""
    result = run(file, "--set", "BULKHEAD_TREND_TIMEFRAMES=1m")
    assert result.exit_code == USAGE
    assert "--set BULKHEAD_TREND_TIMEFRAMES=15m" in result.output


def test_a_history_too_short_for_any_opinion_is_said_to_be(file: Path) -> None:
    """No trades because nothing was seen is not the same as no trades because nothing was liked."""
    result = run(file, "--set", "BULKHEAD_TREND_TIMEFRAMES=15m,4h", "--set", "BULKHEAD_RISK_MACRO=false")
    assert result.exit_code == OK
    assert "nobody had an opinion that was ready" in result.output


@pytest.mark.parametrize("pair", ["TREND_TIMEFRAMES=15m", "BULKHEAD_TREND_TIMEFRAMES", "=1"])
def test_a_set_without_a_setting_is_a_usage_error(file: Path, pair: str) -> None:
    """The form that is wanted is shown."""
    result = run(file, "--set", pair)
    assert result.exit_code == USAGE
    assert "NAME=VALUE" in result.output


def test_a_setting_that_cannot_be_is_told_as_the_service_would(file: Path) -> None:
    """By variable, value and wish."""
    result = run(file, "--set", "BULKHEAD_RISK_POSITION_FRACTION_MAX=7")
    assert result.exit_code == 78
    assert "BULKHEAD_RISK_POSITION_FRACTION_MAX: got '7'" in result.output
