"""The settings of every process of the stack, loaded here as each would load them there: with exactly its environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pydantic_settings import BaseSettings

from libs.runtime.registry import settings_of
from libs.runtime.settings import SettingsError, load_settings
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


def refuse_bad_settings(specs: Iterable[ChildSpec]) -> None:
    """Nothing is started that would refuse to run.

    Raises:
        ChildRefused: with every child's complaints; what several complain about is told once.
    """
    complaints: dict[str, None] = {}
    for spec in specs:
        try:
            load_child(spec)
        except SettingsError as error:
            complaints |= dict.fromkeys(str(error).splitlines())
    if complaints:
        raise ChildRefused("\n".join(["bulkhead refuses to start, bad settings:", *complaints]))


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
