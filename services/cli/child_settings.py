"""The settings of every process of the stack, loaded here as each would load them there: with exactly its environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pydantic_settings import BaseSettings

from libs.runtime.registry import settings_of
from libs.runtime.setting_rules import Verdict, dangers_in, judged, questions_in
from libs.runtime.settings import SettingsError, load_settings
from libs.runtime.visible_settings import own_values
from services.cli.child import ChildRefused, ChildSpec

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
    return [each.text for each in questions_in(verdicts)]


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
