"""`bulkhead validate` as an operator meets it: a leak is a finding without a ratio, and a clean strategy gets sentences with numbers."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from libs.common.timeframe import SECOND
from libs.research.trials import TrialCounter
from libs.research.validity import ahead
from libs.research.validity.noise import noise_market
from libs.runtime.plugin import load_plugin
from libs.runtime.plugin_trial import Rehearsal, Verdict
from libs.runtime.registry import plug_in
from services.cli import validate_runs
from services.cli.app import app
from services.cli.exit_codes import BAD_DATA, FINDING, OK, USAGE
from services.cli.trial_counting import FILE, place_of
from tests.plugins import NOT_CLOSED, NOT_ONCE, changed, plugin_file

ABOVE = ("or bar.ts_close > now or fault_of(bar)", "or (bar.ts_close > now and bar.close < 80000) or fault_of(bar)")
"""A leak that no rehearsal sees: it shows at prices above 80,000."""
QUICK = ("--runs", "2", "--shuffles", "20", "--votes-only")


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ahead, "CUTS_DENSE", 8)
    monkeypatch.setattr(ahead, "CUTS_SPREAD", 8)
    yield
    plug_in()


@pytest.fixture
def tried_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rehearsal found nothing: what it finds is told by the tests of `bulkhead strategy check`."""
    shown = Rehearsal("1h", 60, 300, 1, 500, 60, 100)

    def tried(path: Path, *_: object) -> Verdict:
        return Verdict(agent_id="breakout", version=load_plugin(str(path)).version, rehearsals=(shown,))

    monkeypatch.setattr(validate_runs, "tried", tried)


def bars_file(folder: Path, count: int = 700, px: float = 90_000.0) -> Path:
    """Hours of noise, as a file."""
    path = folder / "BTCUSDT_1h.csv"
    market = noise_market("cli", "1h", count, sd=0.005, px=px)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "open", "high", "low", "close", "volume"])
        for instant in market.instants:
            bar = instant.bars[0]
            at = datetime.fromtimestamp(bar.ts_open // SECOND, UTC).isoformat()
            rows.writerow(
                [at, *(f"{each:.2f}" for each in (bar.open, bar.high, bar.low, bar.close)), f"{bar.volume:.3f}"]
            )
    return path


def bulkhead(*words: object) -> Result:
    return CliRunner().invoke(app, ["validate", *map(str, words)])


def on_hours(*words: object) -> Result:
    return bulkhead(*words, "--set", "BULKHEAD_AGENT_BREAKOUT_TIMEFRAME=1h", *QUICK)


def test_a_planted_leak_is_a_finding_and_no_ratio_of_it_is_printed(tmp_path) -> None:
    """Caught before anybody reads its Sharpe ratio: in the text, in the JSON, on the page, and not counted as a trial either."""
    leaking = plugin_file(tmp_path, changed(NOT_CLOSED, NOT_ONCE))
    result = on_hours(leaking, bars_file(tmp_path), "--html", "page.html")
    assert result.exit_code == FINDING
    assert "it looks ahead" in result.stdout
    page = Path("page.html").read_text()
    for told in (result.stdout, page):
        assert "Sharpe" not in told
        assert "growth" not in told
    assert not Path(".bulkhead", FILE).exists()


def test_a_leak_that_no_rehearsal_sees_is_caught_on_the_history(tmp_path, tried_before) -> None:
    """It reads bars that have not closed only above 80,000, where no rehearsal walks."""
    leaking = plugin_file(tmp_path, changed(ABOVE, NOT_ONCE))
    result = on_hours(leaking, bars_file(tmp_path), "--json")
    assert result.exit_code == FINDING
    told = json.loads(result.stdout)
    assert (told["ok"], told["is_leak"], told["votes"], told["luck"], told["noise"]) == (False, True, [], [], None)
    assert told["ahead"]["leak"]["kind"] == "future"


def test_a_clean_strategy_gets_sentences_with_numbers_and_its_trials_are_counted(tmp_path, tried_before) -> None:
    """On noise nothing may be claimed of what it earns; every point of the grid is a trial, and a second look is not a new one."""
    clean, bars = plugin_file(tmp_path, changed()), bars_file(tmp_path, 900)
    words = (clean, bars, "--grid", "channel_bars=10", "--json", "--trials", "trials.db")
    result = on_hours(*words)
    assert result.exit_code == OK, result.output
    told = json.loads(result.stdout)
    assert told["settings_tried"] == ["as set", "channel_bars=10"]
    assert [row["name"] for row in told["votes"]] == [
        "costs x 0",
        "costs x 1",
        "costs x 2",
        "costs x 3",
        "one bar later",
    ]
    assert told["luck"][0]["trials"]["count"] == 2
    assert any("that it does not look ahead" in each for each in told["may_claim"])
    assert any("that it earns anything" in each for each in told["may_not_claim"])
    again = json.loads(on_hours(*words).stdout)
    assert (again["luck"][0]["trials"]["count"], again["luck"][0]["runs"]) == (2, 4)
    assert {key: value for key, value in again.items() if key != "luck"} == {
        key: value for key, value in told.items() if key != "luck"
    }
    counter = TrialCounter.open("sqlite:///trials.db")
    assert counter.count("breakout") == 2
    counter.close()


def test_the_full_backtests_are_run_under_other_costs_and_a_bar_later(tmp_path) -> None:
    """The trend agent through everything that would trade, five times; ten days say nothing about luck, and it is said."""
    result = bulkhead(
        "trend",
        bars_file(tmp_path, 240),
        *("--set", "BULKHEAD_TREND_TIMEFRAMES=1h", "--set", "BULKHEAD_TREND_EMA_SLOW_SPAN=21"),
        *("--runs", 2, "--shuffles", 20, "--trials", "trials.db", "--json"),
    )
    assert result.exit_code == OK, result.output
    told = json.loads(result.stdout)
    assert [row["name"] for row in told["pipeline"]] == [
        "costs x 0",
        "costs x 1",
        "costs x 2",
        "costs x 3",
        "one bar later",
    ]
    assert [each["of"] for each in told["luck"]] == ["its votes", "the full backtest"]
    assert all(each["psr"] is None for each in told["luck"])
    assert told["nulls"][-1]["name"].startswith("the same entries with stops")


def test_without_history_nothing_is_said_of_what_it_earns(tmp_path, tried_before) -> None:
    """Only that it does not look ahead on generated markets, and that it earns nothing on noise."""
    result = bulkhead(plugin_file(tmp_path, changed()), "--runs", 2, "--json")
    assert result.exit_code == OK, result.output
    told = json.loads(result.stdout)
    assert told["votes"] == []
    assert told["noise"]["runs"] == 2
    assert "anything about what it earns: no history was given" in told["may_not_claim"]


def test_an_agent_that_is_never_ready_on_the_history_has_shown_nothing(tmp_path, tried_before) -> None:
    """Its bars are minutes, the file holds hours."""
    result = bulkhead(plugin_file(tmp_path, changed()), bars_file(tmp_path, 200), *QUICK)
    assert result.exit_code == FINDING
    assert "no vote was ever ready on this history" in result.stdout
    assert "nothing has been shown" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nobody",), USAGE, "neither a path"),
        (("trend", "--grid", "x"), USAGE, "NAME=A,B"),
        (("trend", "--trials", "nothing://of the kind"), USAGE, "--trials"),
        (("trend", "--from", "2035-01-01"), BAD_DATA, "no bars"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_cure(tmp_path, words, code, said) -> None:
    """One line of what is wrong, one of what to do."""
    result = bulkhead(words[0], bars_file(tmp_path, 30), *words[1:], "--set", "BULKHEAD_TREND_TIMEFRAMES=1h", *QUICK)
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "what to do" in result.output


def test_trials_are_counted_beside_the_ledger_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """A file of its own in the state folder; the ledger's Postgres if it has one; or what was told."""
    monkeypatch.setenv("BULKHEAD_HOME", str(tmp_path / "home"))
    assert place_of("", {}).database == str(tmp_path / "home" / FILE)
    assert place_of("", {"DATABASE_URL": "postgresql://db/books"}).database == "books"
    assert place_of("here.db", {}).database == "here.db"
