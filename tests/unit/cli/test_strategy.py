"""Agents of a user at the operator's command: begun, checked, admitted into a stack or refused before anything starts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from libs.runtime.plugin import load_plugin
from libs.runtime.plugin_trial import Verdict
from libs.runtime.registry import plug_in, plugged_in
from services.cli import admission
from services.cli.admission import admit, heard, recall
from services.cli.app import app
from services.cli.claiming import home_lock
from services.cli.doctor_stack import check_agents
from services.cli.environment import unknown_settings
from services.cli.exit_codes import CANNOT_WRITE, CONFIG, FINDING, OK, UNAVAILABLE, USAGE, Failure
from services.cli.stack import AGENTS_EXTRA_MAX, RUNNING, Ports, StackSettings, running, service_specs
from tests.plugins import NOT_CLOSED, NOT_ONCE, TEMPLATE, changed, plugin_file

LEAKING = changed(NOT_CLOSED, NOT_ONCE)


@pytest.fixture(autouse=True)
def _no_settings_and_no_agents_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    yield
    plug_in()


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were tried; the verdict on these two texts is known."""
    found: list[str] = []

    def tried(path: Path, *_: object) -> Verdict:
        found.append(path.name)
        flaw = "it looks ahead" if path.read_text() == LEAKING else ""
        return Verdict(agent_id="breakout", version=load_plugin(str(path)).version, flaw=flaw)

    monkeypatch.setattr(admission, "tried", tried)
    return found


def bulkhead(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def admitted(home: Path, *items: object, **told: str) -> list[str]:
    """What `up` says of the agents."""
    said: list[str] = []
    settings = StackSettings(home=home, agents_extra=tuple(str(item) for item in items))
    admit(settings, {**os.environ, **told}, said.append)
    return said


def test_a_new_agent_has_its_own_name_and_passes_the_check(tmp_path: Path) -> None:
    """As it stands, before a line was changed; and it is never written over."""
    result = bulkhead("strategy", "new", "my_rule")
    assert result.exit_code == OK, result.output
    plugin = load_plugin("my_rule.py")
    assert (plugin.service, plugin.machine_class.__name__) == ("agent-my-rule", "MyRuleMachine")
    assert "BULKHEAD_AGENT_MY_RULE_<NAME>" in Path("my_rule.py").read_text()
    checked = bulkhead("strategy", "check", "my_rule.py", "--bars", "12", "--json")
    assert checked.exit_code == OK, checked.output
    found = json.loads(checked.stdout)
    assert (found["ok"], found["agent_id"], found["rehearsals"][0]["bars"]) == (True, "my_rule", 12)
    Path("my_rule.py").write_text("mine")
    again = bulkhead("strategy", "new", "my_rule")
    assert again.exit_code == CANNOT_WRITE
    assert again.stderr.splitlines()[-1].startswith("what to do: name another file with --out")
    assert Path("my_rule.py").read_text() == "mine"
    told = bulkhead("strategy", "new", "my_rule", "--out", "other.py", "--json")
    assert json.loads(told.stdout) == {"file": "other.py", "agent_id": "my_rule"}


@pytest.mark.parametrize("name", ["trend", "llm", "My-Rule", "", "a" * 25])
def test_a_name_that_cannot_be_is_refused_before_a_file_is_written(tmp_path: Path, name: str) -> None:
    """Ours, or none that could stand in a subject."""
    assert bulkhead("strategy", "new", name).exit_code == USAGE
    assert list(tmp_path.iterdir()) == []


def test_a_check_says_what_the_agent_told_and_what_it_was(tmp_path: Path) -> None:
    """A finding, with the instant, for people and for scripts; a file that is not there is a wrong command line."""
    path = plugin_file(tmp_path, LEAKING)
    result = bulkhead("strategy", "check", str(path), "--bars", "16", "--json")
    assert result.exit_code == FINDING
    found = json.loads(result.stdout)
    assert not found["ok"]
    assert found["leak"]["kind"] == "future"
    assert found["leak"]["told"] != found["leak"]["was"]
    impure = bulkhead("strategy", "check", str(plugin_file(tmp_path, "import os", "impure.py")))
    assert impure.exit_code == FINDING
    assert "impure.py may not run" in impure.stdout
    assert "line 1: imports os" in impure.stdout
    assert bulkhead("strategy", "check", "nowhere.py").exit_code == USAGE


def test_up_refuses_an_agent_that_looks_ahead_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No bus, no keys; and what is wrong is told with its instant."""
    monkeypatch.setenv("BULKHEAD_AGENTS_EXTRA", str(plugin_file(tmp_path, LEAKING)))
    monkeypatch.setenv("BULKHEAD_HOME", "home")
    result = bulkhead("up")
    assert result.exit_code == CONFIG
    for words in (
        "breakout.py: it looks ahead: the future decides",
        "instant 17",
        "it told",
        "and it was",
        "strategy check",
    ):
        assert words in result.stderr
    assert {path.name for path in Path("home").iterdir()} == {"agents", "supervisor.lock"}
    assert list(Path("home/agents").glob("*.*")) == []


def test_what_was_tried_is_what_runs(tmp_path: Path, trials: list[str]) -> None:
    """A copy in the state folder is started, so that an edit waits for the next `up`; and nothing is tried twice for nothing."""
    home, path = tmp_path / "home", plugin_file(tmp_path, TEMPLATE.read_text())
    first = admitted(home, path)
    assert [line.partition(" ")[0] for line in first] == ["agent-breakout:", "agent-breakout:", "the"]
    assert "trying" in first[0]
    assert "does not look ahead" in first[1]
    assert trials == ["breakout.py"]
    assert plugged_in()[0].path == home / "agents" / "breakout.py"
    assert "trying" not in admitted(home, path)[0]
    path.write_text(LEAKING)
    assert (home / "agents" / "breakout.py").read_text() == TEMPLATE.read_text()
    with pytest.raises(Failure, match="it looks ahead"):
        admitted(home, path)
    assert (home / "agents" / "breakout.py").read_text() == TEMPLATE.read_text()


def test_a_verdict_is_about_one_text_and_one_setting(
    tmp_path: Path, trials: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another setting, a copy that somebody touched, another way of trying: each is tried again."""
    home, path = tmp_path / "home", plugin_file(tmp_path, TEMPLATE.read_text())
    admitted(home, path)
    admitted(home, path)
    assert trials == ["breakout.py"]
    admitted(home, path, BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS="5")
    assert len(trials) == 2
    (home / "agents" / "breakout.py").write_text(LEAKING)
    admitted(home, path, BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS="5")
    assert len(trials) == 3
    assert (home / "agents" / "breakout.py").read_text() == TEMPLATE.read_text()
    monkeypatch.setattr(admission, "trial_version", lambda: "another")
    admitted(home, path, BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS="5")
    assert len(trials) == 4


def test_the_copies_of_a_running_stack_are_left_alone(tmp_path: Path, trials: list[str]) -> None:
    """It starts its agents from them again after a crash."""
    home, path = tmp_path / "home", plugin_file(tmp_path, TEMPLATE.read_text())
    with home_lock(home), pytest.raises(Failure, match="in use by another supervisor") as caught:
        admitted(home, path)
    assert caught.value.code == UNAVAILABLE
    assert trials == []
    assert not (home / "agents").exists()


ENDLESS = {
    "when it is imported": ('AGENT_ID = "breakout"\n', 'AGENT_ID = "breakout"\nwhile True:\n    pass\n'),
    "when it is asked": ("        new = []\n", "        new = []\n        while True:\n            pass\n"),
}


@pytest.mark.parametrize("where", ENDLESS)
def test_an_agent_that_never_answers_is_refused(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trial has a deadline, and is another process than ours."""
    monkeypatch.setattr(admission, "TRIAL_S_MAX", 2.0)
    with pytest.raises(Failure, match="its trial was not over after 2 s") as caught:
        admitted(tmp_path / "home", plugin_file(tmp_path, changed(ENDLESS[where])))
    assert caught.value.code == CONFIG


def test_one_bad_agent_keeps_all_out(tmp_path: Path, trials: list[str]) -> None:
    """A stack that runs half of what was asked would be read as the whole."""
    good, bad = plugin_file(tmp_path, TEMPLATE.read_text()), plugin_file(tmp_path, "import os", "bad.py")
    with pytest.raises(Failure, match="imports os"):
        admitted(tmp_path / "home", good, bad)
    assert plugged_in() == ()
    with pytest.raises(Failure, match="two agents have one name"):
        admitted(tmp_path / "home", good, good)
    assert trials == ["breakout.py"]


def test_an_agent_is_a_process_after_ours(tmp_path: Path) -> None:
    """On the next free port, with the common variables and its own, and without anybody's secret."""
    plugin = load_plugin(str(TEMPLATE))
    before = [spec for spec in service_specs(StackSettings(home=tmp_path), {})]
    plug_in(plugin)
    environment = {"BULKHEAD_AGENT_BREAKOUT_ATR_N": "9", "BULKHEAD_EXEC_API_KEY_FILE": "x", "PATH": "/bin"}
    specs = service_specs(StackSettings(home=tmp_path, port_base=5200), environment)
    assert [spec.name for spec in specs] == [*RUNNING, "agent-breakout"] == list(running())
    spec = specs[-1]
    assert spec.command[1:] == ("-m", "libs.runtime.plugin_process", str(TEMPLATE))
    assert spec.port == Ports(5200).service(RUNNING[-1]) + 1
    assert spec.env["BULKHEAD_AGENT_BREAKOUT_ATR_N"] == "9"
    assert "BULKHEAD_EXEC_API_KEY_FILE" not in spec.env
    plug_in()
    assert [each.name for each in service_specs(StackSettings(home=tmp_path), {})] == [each.name for each in before]


def test_more_agents_than_there_are_ports_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the setting's name."""
    monkeypatch.setenv("BULKHEAD_AGENTS_EXTRA", ",".join(f"a{number}.py" for number in range(AGENTS_EXTRA_MAX + 1)))
    result = bulkhead("up")
    assert result.exit_code == CONFIG
    assert "BULKHEAD_AGENTS_EXTRA: got" in result.stderr


def test_a_misspelt_setting_of_an_agent_is_noticed() -> None:
    """Its variables are known as long as it is plugged in."""
    plug_in(load_plugin(str(TEMPLATE)))
    names = ["BULKHEAD_AGENT_BREAKOUT_ATR_N", "BULKHEAD_AGENTS_EXTRA", "BULKHEAD_AGENT_BREAKOUT_CHANEL_BARS"]
    assert unknown_settings(names) == [
        "BULKHEAD_AGENT_BREAKOUT_CHANEL_BARS is not a setting; did you mean BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS?"
    ]


def test_the_portfolio_hears_only_whom_it_is_told_to_hear() -> None:
    """And `up` says so, with the variable that changes it."""
    assert heard(("a", "b"), {}) == "the portfolio does not hear a, b; BULKHEAD_PORTFOLIO_AGENTS=trend,a,b lets it"
    told = {"BULKHEAD_PORTFOLIO_AGENTS": "trend,a"}
    assert heard(("a", "b"), told) == "the portfolio does not hear b; BULKHEAD_PORTFOLIO_AGENTS=trend,a,b lets it"
    assert (
        heard(("a",), told)
        == "the portfolio hears trend, a: it enters when all of them are ready and enough of them LONG"
    )


def test_the_portfolio_is_told_by_the_file_whom_to_hear(tmp_path: Path) -> None:
    """Where the environment says nothing."""
    file = tmp_path / "bulkhead.toml"
    file.write_text('[portfolio]\nagents = "trend,mine"\n')
    assert heard(("mine",), {"BULKHEAD_CONFIG": str(file)}).startswith("the portfolio hears trend, mine:")


def test_a_log_is_proved_with_the_agents_that_wrote_it(tmp_path: Path) -> None:
    """Those kept in the state folder, and those named; the named one wins, and one that is gone is told."""
    (tmp_path / "agents").mkdir()
    kept = plugin_file(tmp_path / "agents", TEMPLATE.read_text())
    plugin_file(tmp_path / "agents", "import os", "spoilt.py")
    missing = recall(tmp_path, ())
    assert [plugin.path for plugin in plugged_in()] == [kept]
    assert len(missing) == 1
    assert "spoilt.py" in missing[0]
    named = plugin_file(tmp_path, changed(("channel_bars: int = 20", "channel_bars: int = 30")))
    recall(tmp_path, (str(named),))
    assert [plugin.path for plugin in plugged_in()] == [named]
    assert recall(tmp_path / "nowhere", ()) == []
    assert plugged_in() == ()


def test_the_doctor_looks_at_agents_too(tmp_path: Path) -> None:
    """Each is a finding; a bad one says what to do."""
    bad = plugin_file(tmp_path, "import os", "bad.py")
    found = check_agents(StackSettings(home=tmp_path, agents_extra=(str(TEMPLATE), str(bad))))
    assert [each.level for each in found] == ["OK", "FAIL"]
    assert "imports os" in found[1].text
    assert "bulkhead strategy check" in found[1].cure
    assert [plugin.service for plugin in plugged_in()] == ["agent-breakout"]
