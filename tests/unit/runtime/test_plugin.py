"""Agents that a user brings: what becomes of a file, and what is refused before a line of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.messages import AgentSignals, FeedBars, FeedHistory, FeedMarks
from libs.runtime import registry
from libs.runtime.contract import Zone
from libs.runtime.nats_config import account_of, grant_of
from libs.runtime.plugin import TAKEN, PluginRefused, find_file, load_plugin
from libs.runtime.plugin_settings import settings_class_of
from libs.runtime.registry import SERVICES, contract_of, contracts, machine_of, parts, plug_in, settings_of, writer_of
from libs.runtime.settings import SettingsError, load_settings
from tests.plugins import TEMPLATE, changed, plugin_file


@pytest.fixture(autouse=True)
def _nothing_stays_plugged_in() -> Iterator[None]:
    yield
    plug_in()


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(PluginRefused) as caught:
        load_plugin(str(plugin_file(folder, text)))
    assert str(folder / "breakout.py") in str(caught.value)
    return str(caught.value)


def test_a_file_becomes_a_service_in_an_account_of_its_own() -> None:
    """Its writer is its prefix, it hears what it names, and it may publish nothing but what it says of itself."""
    plugin = load_plugin(str(TEMPLATE))
    assert (plugin.agent_id, plugin.service, plugin.contract.writer) == ("breakout", "agent-breakout", "agent.breakout")
    assert plugin.contract.zone is Zone.MODEL
    assert account_of(plugin.contract) == "MODEL_AGENT_BREAKOUT"
    assert plugin.contract.consumes == (FeedBars, FeedHistory)
    said = [subject for subject in grant_of(plugin.contract).publish if not subject.startswith("$")]
    assert sorted(said) == sorted(
        [
            "dead.>",
            *(f"agent.breakout.{each}" for each in ("signals", "alert", "rejected", "started", "stopping", "timer")),
        ]
    )


def test_a_plugged_in_agent_is_a_service_like_all_others() -> None:
    """Permissions, replay and settings find it; once it is gone nobody does."""
    plugin = load_plugin(str(TEMPLATE))
    plug_in(plugin)
    assert contracts()[-1] == contract_of("agent-breakout") == plugin.contract
    assert machine_of("agent-breakout") is plugin.machine_class
    assert parts()[-1].code_version == plugin.version
    assert settings_of("agent-breakout").model_fields["agent_breakout_channel_bars"].default == 20
    plug_in()
    assert len(contracts()) == len(SERVICES)
    with pytest.raises(KeyError):
        contract_of("agent-breakout")


def test_the_writer_of_an_agent_is_known_by_its_name() -> None:
    """Whoever only looks at a stack does not run the agents of it."""
    assert writer_of("agent-my-rule") == "agent.my_rule"
    assert [writer_of(service) for service in SERVICES] == [contract_of(service).writer for service in SERVICES]


def test_two_agents_of_one_name_are_refused(tmp_path: Path) -> None:
    """They would fence each other out."""
    other = plugin_file(tmp_path, changed(("channel_bars: int = 20", "channel_bars: int = 30")))
    with pytest.raises(PluginRefused, match="two agents have one name: agent-breakout"):
        plug_in(load_plugin(str(TEMPLATE)), load_plugin(str(other)))
    assert registry.plugged_in() == ()


def test_another_text_is_another_version(tmp_path: Path) -> None:
    """Wherever the file stands; and the text that is there now is run, not what Python remembers of one of that size."""
    path = plugin_file(tmp_path, TEMPLATE.read_text())
    first = load_plugin(str(path))
    assert first.version == load_plugin(str(TEMPLATE)).version
    path.write_text(changed(("channel_bars: int = 20", "channel_bars: int = 21")))
    second = load_plugin(str(path))
    assert second.version != first.version
    assert second.machine_class.Settings().channel_bars == 21


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    """Its prefix is somebody's."""
    assert f"the name '{name}' is taken" in refusal(
        tmp_path, changed(('AGENT_ID = "breakout"', f'AGENT_ID = "{name}"'))
    )


def test_no_name_of_ours_is_forgotten() -> None:
    """An agent that joins us later takes its name from the users'."""
    ours = [service for service in SERVICES if contract_of(service).writer.startswith("agent.")]
    assert {service.removeprefix("agent-") for service in ours} <= set(TAKEN)
    assert len(ours) >= 4


@pytest.mark.parametrize("told", ['"Break-Out"', '"a.b"', '"9x"', '""', '"x" * 3', "7", f'"{"a" * 25}"'])
def test_a_name_that_is_no_subject_is_refused(tmp_path: Path, told: str) -> None:
    """It would stand in subjects, accounts and file names."""
    assert "must say once what it is called" in refusal(tmp_path, changed(('"breakout"', told)))


IMPURE = {
    "import time": "line 3: imports time",
    "from random import random": "imports random",
    "import os": "imports os",
    "import numpy": "imports numpy",
    "import requests": "imports requests",
    "from services.ledger import books": "imports services.ledger",
    "from libs.runtime.bus import Bus": "imports libs.runtime.bus",
    "from . import neighbour": "imports .",
    "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import socket": "imports socket",
    "from datetime import datetime\nx = datetime.now()": "reads the clock by datetime.now()",
    "from datetime import datetime as d\nx = d.now()": "calls .now()",
    "from statistics import NormalDist\nx = NormalDist().samples(1)": "calls .samples()",
    "x = open('keys')": "calls open()",
    "x = __import__('os')": "calls __import__()",
    "x = getattr(int, 'real')": "uses getattr",
    "x = (1).__class__": "uses __class__",
    "x = __builtins__": "uses __builtins__",
    "x = list({1, 2})": "gives a set's order to list()",
    "async def f():\n    pass": "is asynchronous",
}


@pytest.mark.parametrize("line", IMPURE)
def test_clock_chance_and_world_are_refused_before_a_line_runs(tmp_path: Path, line: str) -> None:
    """The machine's rules, told by line; what would have happened first never happens."""
    text = f'"""Boobytrapped."""\n\n{line}\nraise SystemExit("it ran")\nAGENT_ID = "breakout"\n'
    assert IMPURE[line] in refusal(tmp_path, text)


BROKEN = {
    "AGENT_ID = 'breakout'\nx = 1 / 0": "does not import: ZeroDivisionError",
    "AGENT_ID = 'breakout'\nraise SystemExit(3)": "does not import: SystemExit: 3",
    "def f(:": "breakout.py:1: is not Python",
    "AGENT_ID = 'breakout'\0": "is not Python",
    "AGENT_ID = 'breakout'": "must define one class named ...Machine (found none)",
    "from libs.common.messages import Nothing\nAGENT_ID = 'breakout'": "cannot import name 'Nothing'",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_is_no_agent_is_refused_with_the_reason(tmp_path: Path, text: str) -> None:
    """Whatever its import raises is its own fault, and told as that."""
    assert BROKEN[text] in refusal(tmp_path, text)


MISSHAPEN = (
    (("channel_bars: int = 20", "channel_bars: int"), "every setting needs a default; channel_bars has none"),
    (("    State = State\n", "    State = dict\n"), "BreakoutMachine.State must be a msgspec.Struct"),
    (("class State(", "class TrackMachine:\n    pass\n\n\nclass State("), "must define one class named ...Machine (found BreakoutMachine, TrackMachine)"),
    (("def handle(", "def manage("), "must have handle(self, event, now)"),
    (('AGENT_ID = "breakout"', 'AGENT_ID = "breakout"\nPRODUCES = (Signal,)'), "PRODUCES names Signal; an agent may name AgentSignals, AlertRaised"),
    (('AGENT_ID = "breakout"', 'AGENT_ID = "breakout"\nCONSUMES = (Message,)'), "CONSUMES names Message; an agent may name FeedBars"),
    (('AGENT_ID = "breakout"', 'AGENT_ID = "breakout"\nCONSUMES = ()'), "CONSUMES names nothing"),
)  # fmt: skip


@pytest.mark.parametrize(("change", "said"), MISSHAPEN)
def test_a_machine_of_another_shape_is_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """Settings that nobody can set, a memory that nobody can freeze, a contract wider than an agent's."""
    assert said in refusal(tmp_path, changed(change))


def test_a_library_of_ours_that_is_impure_is_no_place_for_a_machine(tmp_path: Path) -> None:
    """What a machine reaches counts as the machine."""
    text = changed(
        (
            "from libs.trading.indicators import ATR",
            "from libs.trading.indicators import ATR\nimport libs.trading.binance_ccxt",
        )
    )
    assert "reaches libs.trading.binance_ccxt, which is no place for a machine" in refusal(tmp_path, text)


def test_an_agent_may_hear_more_if_it_says_so(tmp_path: Path) -> None:
    """And may name what it says, of which an alert is everybody's."""
    names = 'AGENT_ID = "breakout"\nCONSUMES = [FeedBars, FeedMarks]\nPRODUCES = (AgentSignals, AlertRaised)'
    text = changed(
        ('AGENT_ID = "breakout"', names), ("import AgentSignals,", "import AgentSignals, AlertRaised, FeedMarks,")
    )
    contract = load_plugin(str(plugin_file(tmp_path, text))).contract
    assert contract.consumes == (FeedBars, FeedMarks)
    assert contract.produces == (AgentSignals,)


def test_an_installed_agent_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without running the package around it."""
    package = tmp_path / "bought_strategies"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('it ran')")
    path = plugin_file(package, TEMPLATE.read_text())
    metadata = tmp_path / "bought_strategies-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bought-strategies\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[bulkhead.agents]\nbought = bought_strategies.breakout\ngone = bought_strategies.gone\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_file("bought") == path
    assert load_plugin("bought").agent_id == "breakout"
    with pytest.raises(PluginRefused, match=r"names 'bought_strategies\.gone', which is not a Python file"):
        find_file("gone")
    with pytest.raises(PluginRefused, match=r"nobody: is neither a path .* nor an entry point .*\(bought, gone\)"):
        find_file("nobody")
    with pytest.raises(PluginRefused, match="there is no such file"):
        find_file(str(tmp_path / "nowhere.py"))


def test_an_agent_is_set_like_every_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """By variables that carry its name; a bad one is told with what it got."""
    kind = settings_class_of(load_plugin(str(TEMPLATE)))
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS", "55")
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_TIMEFRAME", "4h")
    settings = load_settings(kind).machine()  # type: ignore[attr-defined]
    assert (settings.channel_bars, settings.timeframe, settings.atr_n) == (55, "4h", 14)
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_TIMEFRAME", "5m")
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS", "many")
    with pytest.raises(SettingsError) as caught:
        load_settings(kind)
    assert "BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS: got 'many'" in str(caught.value)
    assert "BULKHEAD_AGENT_BREAKOUT_TIMEFRAME: got '5m'" in str(caught.value)


def test_a_setting_that_no_variable_can_hold_is_refused(tmp_path: Path) -> None:
    """In words, and not by a library's traceback."""
    path = plugin_file(tmp_path, changed(("    atr_n: int = 14\n", "    atr_n: int = 14\n    inner: Bounds | None = None\n"),
        ("class Settings(", "class Bounds(msgspec.Struct):\n    top: float = 1.0\n\n\nclass Settings(")))  # fmt: skip
    with pytest.raises(PluginRefused, match=r"Settings\.inner: numbers, texts and choices only, no Struct"):
        settings_class_of(load_plugin(str(path)))


def test_the_limits_of_a_setting_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one number, and those of several together."""
    text = changed(
        ("channel_bars: int = 20", "channel_bars: Annotated[int, msgspec.Meta(ge=2)] = 20"),
        ("    atr_n: int = 14\n", "    atr_n: int = 14\n\n    def __post_init__(self):\n        if self.atr_n > 99:\n            raise ValueError('atr_n is too large')\n"),
        ("import msgspec\n", "from typing import Annotated\n\nimport msgspec\n"),
    )  # fmt: skip
    kind = settings_class_of(load_plugin(str(plugin_file(tmp_path, text))))
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS", "1")
    with pytest.raises(SettingsError, match=r"BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS: got '1'.*>= 2"):
        load_settings(kind)
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS", "2")
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_ATR_N", "100")
    with pytest.raises(SettingsError, match=r"agent-breakout: .*atr_n is too large"):
        load_settings(kind)
