"""The settings of every process of the stack, loaded here as each would load them there: with exactly its environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pydantic_settings import BaseSettings

from libs.common.messages import AgentSignals
from libs.runtime.registry import contract_of, settings_of
from libs.runtime.setting_rules import Verdict, dangers_in, judged, questions_in
from libs.runtime.settings import SettingsError, load_settings
from libs.runtime.visible_settings import own_values
from services.cli.child import ChildRefused, ChildSpec
from services.cli.stack import running

VENUE = "exchange-sim"


def settings_class(name: str) -> type[BaseSettings]:
    """What the process `name` reads from its environment."""
    if name != VENUE:
        return settings_of(name)
    settings: type[BaseSettings] = import_module("services.exchange_sim.settings").Settings
    return settings


def load_child(spec: ChildSpec) -> Any:
    """The settings that the child will have.

    Raises:
        SettingsError: as it will say it.
    """
    with _as_environment(spec.env):
        return load_settings(settings_class(spec.name))


def refuse_bad_settings(specs: Iterable[ChildSpec]) -> list[str]:
    """Nothing is started that would refuse to run, or that is dangerous together. Returns what is questionable, a line each.

    Raises:
        ChildRefused: with every child's complaints; what several complain about is told once.
    """
    complaints: dict[str, None] = {}
    loaded = []
    for spec in specs:
        try:
            loaded.append(load_child(spec))
        except SettingsError as error:
            complaints |= dict.fromkeys(str(error).splitlines())
    verdicts = judged_together(loaded)
    if not complaints:
        complaints = dict.fromkeys(each.text for each in dangers_in(verdicts))
    if complaints:
        raise ChildRefused("\n".join(["bulkhead refuses to start, bad settings:", *complaints]))
    return [*(each.text for each in questions_in(verdicts)), *nobody_there(loaded)]


def venue_url_of(specs: Iterable[ChildSpec]) -> str:
    """Where orders go; empty where there is no executor among them."""
    executor = next((spec for spec in specs if spec.name == "order-executor"), None)
    return "" if executor is None else str(load_child(executor).exec_venue_url).rstrip("/")


def nobody_there(loaded: Iterable[BaseSettings]) -> list[str]:
    """A line if the portfolio is told to hear somebody who does not run: by default an entry needs all that are named."""
    running_agents = {name: contract_of(name) for name in running() if name.startswith("agent-")}
    speakers = [each.writer.removeprefix("agent.") for each in running_agents.values() if AgentSignals in each.produces]
    named = [name for each in loaded for name in str(getattr(each, "portfolio_agents", "")).split(",") if name]
    if not (missing := [name for name in named if name not in speakers]):
        return []
    told, there = ",".join(named), ", ".join(speakers)
    return [
        f"BULKHEAD_PORTFOLIO_AGENTS: got '{told}'; no {', '.join(missing)} with an opinion runs here (there is {there}):"
        " nothing is bought while one that is waited for says nothing"
    ]


def judged_together(loaded: Iterable[BaseSettings]) -> list[Verdict]:
    """What is dangerous or questionable in the settings of all these processes, as one."""
    values: dict[str, Any] = {}
    for settings in loaded:
        values |= own_values(settings)
    return judged(values)


@contextmanager
def _as_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Our environment is these variables, for a moment; nothing else runs in this process."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
