"""Writes .env.example and docs/ENVIRONMENT_VARIABLES.md from the settings classes and the compose file, so that they name every variable and no other."""

from __future__ import annotations

import importlib
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from libs.runtime.registry import SERVICES
from libs.runtime.settings import ServiceSettings
from services.cli.deploy.opening import OpeningSettings
from services.cli.monitoring.settings import AlertSettings
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
    lines.append(
        "# --- Everybody ---\n\n# a file of settings (docs/configuration.md); empty: bulkhead.toml, if it is there\n#BULKHEAD_CONFIG=\n"
    )
    for title, kind, known in _sections():
        lines += _section(title, kind, known)
    return "\n".join(lines)


def environment_page(written_by: str) -> str:
    """The text of docs/ENVIRONMENT_VARIABLES.md."""
    blocks = [
        "# Environment variables",
        written_by,
        "Every variable that Bulkhead reads. `make dev` needs none of them; where a setting may stand besides the environment, and what"
        " wins, says [configuration.md](configuration.md), which values are refused or asked about [limits.md](limits.md). A variable that ends in `_FILE`"
        " names a file with a secret (mode 0600); no variable holds one. `BULKHEAD_CONFIG` names a file of settings (empty: `bulkhead.toml`, if it is there).",
    ]
    for title, kind, known in _sections():
        rows = [_row(kind, name, field) for name, field in kind.model_fields.items() if name not in known]
        if rows:
            blocks += [
                f"## {title}",
                "\n".join(["| variable | default | values | meaning |", "|---|---|---|---|", *rows]),
            ]
    blocks += [
        "## `docker compose`",
        "Read by Compose itself, from the environment or from `.env` beside the file; no service sees them.",
        "\n".join(["| variable | default | meaning |", "|---|---|---|", *compose_rows(COMPOSE.read_text())]),
    ]
    return "\n\n".join(blocks) + "\n"


def compose_rows(text: str) -> list[str]:
    """A row for each variable of a compose file, with the default that stands there, and those of Compose's own that our pages use.

    Raises:
        ValueError: nobody has said what a variable means, or it has two defaults.
    """
    found: dict[str, set[str]] = {}
    for name, default in re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text):
        found.setdefault(name, set()).add(default)
    torn = sorted(name for name, defaults in found.items() if len(defaults) > 1)
    silent = sorted(name for name in found if not _compose_meaning(name))
    if torn or silent:
        raise ValueError(
            f"of two defaults in docker-compose.yml: {torn}; without a meaning in docs/environment.py: {silent}"
        )
    rows = [f"| `{name}` | `{defaults.pop()}` | {_compose_meaning(name)} |" for name, defaults in sorted(found.items())]
    return [
        *rows,
        "| `COMPOSE_PROFILES` |  | Compose's own; here `obs` (who watches), `outside` (the ways out), `telegram` (the bot), `tools`; several with commas |",
    ]


def _compose_meaning(name: str) -> str:
    if name.endswith("_IMAGE"):
        return f"the image of {name.removesuffix('_IMAGE').replace('_', ' ').lower()}; another registry, another version, or a digest"
    if name.endswith("_PORT"):
        return f"where {name.removesuffix('_PORT').replace('_', ' ').lower()} is, on 127.0.0.1 of this machine"
    return COMPOSE_MEANINGS.get(name, "")


COMPOSE = Path(__file__).parents[1] / "docker-compose.yml"
COMPOSE_MEANINGS = {
    "MODE": "`sim`: a simulated market; `paper`: the live market, orders at our own venue. Names the file of `deploy/compose`",
    "VERSION": "the tag of our own images: what is built is called so, and what is called so is run",
    "DOCKER_CONTAINERS": "where the engine keeps its containers' log files, which Alloy reads",
    "REVISION": "the commit that our images are labelled with; nothing: no label",
    "DEPLOY_HOME": "the folder of `bulkhead deploy keys`: secrets, the bus's configuration, `settings.env`",
    "DEPLOY_UID": "as whom everything of ours runs: the number of who owns that folder, where it is not root",
    "BACKUP_FOLDER": "where the copy of the log goes: a folder on another disk (`/mnt/backup`), or the name of a volume",
    "EGRESS_DNS": "who is asked by the ways out where a host is",
}


def _sections() -> Iterator[tuple[str, type[BaseSettings], set[str]]]:
    """Who reads settings: a title, their class, and the fields that were told before."""
    shared = set(ServiceSettings.model_fields)
    yield "Every service", ServiceSettings, set()
    yield "`bulkhead up`", StackSettings, shared
    for service, module in [*SERVICES.items(), *SIMULATORS.items()]:
        if service != "cli":
            yield service, importlib.import_module(f"{module}.settings").Settings, shared
    yield "`bulkhead deploy open`", OpeningSettings, shared
    yield (
        "`bulkhead monitoring`",
        AlertSettings,
        shared | {name for name in AlertSettings.model_fields if name.startswith("risk_")},
    )


def _row(kind: type[BaseSettings], name: str, field: FieldInfo) -> str:
    default = _default(field).replace("|", "\\|")
    cells = (
        f"`{_variable(kind, name, field)}`",
        f"`{default}`" if default else "",
        _values(field),
        field.description or "",
    )
    return "| " + " | ".join([*cells[:3], cells[3].replace("|", "\\|")]) + " |"


def _values(field: FieldInfo) -> str:
    """What it may be, as far as its type and bounds say."""
    kind = field.annotation
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(each for each in typing.get_args(kind) if each is not type(None))
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{each}`" for each in typing.get_args(kind))
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(each, bound)}"
        for each in field.metadata
        for bound, sign in signs.items()
        if getattr(each, bound, None) is not None
    ]
    word = _WORDS.get(kind, "list" if typing.get_origin(kind) is tuple else "") if kind is not None else ""
    return " ".join([word, ", ".join(bounds)]).strip()


_WORDS = {bool: "true, false", int: "whole number", float: "number", Decimal: "number", Path: "path"}


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
