"""Writes .env.example from the settings classes, so that it names every variable and no other."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from libs.runtime.registry import SERVICES
from libs.runtime.settings import ServiceSettings
from services.cli.stack import StackSettings

HEAD = """\
# Every variable Bulkhead reads, with its default. `make dev` needs none of them.
# Written by docs/generate.py from the settings; `make docs` writes it again. All of it may stand in bulkhead.toml as well
# (deploy/bulkhead.example.toml, docs/configuration.md); what stands in the environment wins.
# Secrets are never values here: a variable that ends in _FILE names a file that only its owner can read (mode 0600).
"""

SIMULATORS = {
    "exchange-sim": "services.exchange_sim",
    "model-sim": "services.model_sim",
    "telegram-sim": "services.telegram_sim",
}
"""What speaks on no bus, and yet has settings."""


def env_example() -> str:
    """The text of .env.example."""
    lines = [HEAD]
    shared = set(ServiceSettings.model_fields)
    lines.append(
        "# --- Everybody ---\n\n# a file of settings (docs/configuration.md); empty: bulkhead.toml, if it is there\n#BULKHEAD_CONFIG=\n"
    )
    lines += _section("Every service", ServiceSettings, set())
    lines += _section("`bulkhead up`", StackSettings, shared)
    for service, module in [*SERVICES.items(), *SIMULATORS.items()]:
        if service == "cli":
            continue
        kind = importlib.import_module(f"{module}.settings").Settings
        lines += _section(service, kind, shared)
    return "\n".join(lines)


def _section(title: str, kind: type[BaseSettings], known: set[str]) -> Iterator[str]:
    yield f"# --- {title} ---\n"
    for name, field in kind.model_fields.items():
        if name in known:
            continue
        yield from textwrap.wrap(field.description or "", 100, initial_indent="# ", subsequent_indent="# ")
        yield f"#{_variable(kind, name, field)}={_default(field)}\n"


def _variable(kind: type[BaseSettings], name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, str):
        return field.validation_alias
    return (str(kind.model_config.get("env_prefix", "")) + name).upper()


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if field.is_required() or value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple | list):
        return ",".join(str(each) for each in value)
    return str(value)
