"""Writes deploy/bulkhead.example.toml and the names of all settings from the settings classes, and docs/limits.md from the rules."""

from __future__ import annotations

import importlib
import json
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from libs.runtime.config_names import PREFIX, UNPREFIXED, variables_of
from libs.runtime.profiles import CONSERVATIVE
from libs.runtime.registry import SERVICES
from libs.runtime.setting_limits import CEILINGS, ORDERS, on_wall_time
from libs.runtime.setting_pairs import MATCHES
from libs.runtime.settings import ServiceSettings
from services.cli.monitoring.settings import AlertSettings
from services.cli.stack import StackSettings

SIMULATORS = {
    "exchange-sim": "services.exchange_sim",
    "model-sim": "services.model_sim",
    "telegram-sim": "services.telegram_sim",
}
WORDS = (
    "feed",
    "trend",
    "macro",
    "levels",
    "llm",
    "portfolio",
    "risk",
    "exec",
    "notify",
    "telegram_sim",
    "telegram",
    "gateway",
    "model_sim",
    "sim",
    "alert",
)
"""Words that variables begin with and tables are called by. A setting without one is its service's alone, or everybody's."""

NAMES_HEAD = '''\
"""Every setting by its table in bulkhead.toml. Written by docs/generate.py from the settings classes; `make docs` writes it again.

It is written down so that a service can refuse a misspelt line of any other without carrying that other's code.
"""

NAMES = """
'''
EXAMPLE_HEAD = """\
# Every setting of Bulkhead, with its default. Copy what you want to change into bulkhead.toml in the working directory,
# or anywhere, and say where in BULKHEAD_CONFIG. Written by docs/generate.py; `make docs` writes it again.
#
# Variables of the environment win over this file, this file over the profile, the profile over the defaults
# (docs/configuration.md). `[risk] x` is the variable BULKHEAD_RISK_X, `x` at the top is BULKHEAD_X; so are
# `[ledger] x` and `[up] x`. What is not a setting is refused. Secrets never stand here: a key that ends in _file
# names a file that only its owner can read (mode 0600).
"""


class Setting:
    """One setting, wherever it is read."""

    def __init__(self, name: str, field: FieldInfo, table: str, key: str):
        self.name, self.field, self.table, self.key = name, field, table, key


def settings() -> list[Setting]:
    """Every setting that may stand in the file, each once; shared ones first."""
    kinds = list(_kinds())
    owners: dict[str, set[str]] = {}
    for owner, kind in kinds:
        for variable in (each for name in kind.model_fields for each in variables_of(kind, name)):
            owners.setdefault(variable, set()).add(owner)
    shared = {variable for variable, names in owners.items() if len(names) > 1}
    found: dict[tuple[str, str], Setting] = {}
    for owner, kind in [("", ServiceSettings), *kinds]:
        for name, field in kind.model_fields.items():
            for variable in variables_of(kind, name):
                if variable.startswith(PREFIX):
                    place = _place(variable, "" if variable in shared else owner)
                    found.setdefault(place, Setting(name, field, *place))
    tables = ["", *dict.fromkeys(each.table for each in found.values())]  # each table once, however many read from it
    return sorted(found.values(), key=lambda each: tables.index(each.table))


def _kinds() -> Iterator[tuple[str, type[BaseSettings]]]:
    yield "up", StackSettings
    for service, module in [*SERVICES.items(), *SIMULATORS.items()]:
        if service != "cli":
            yield service.replace("-", "_"), importlib.import_module(f"{module}.settings").Settings
    yield "alert", AlertSettings  # last: those of risk are described where the gate reads them


def _place(variable: str, owner: str) -> tuple[str, str]:
    bare = variable.removeprefix(PREFIX).lower()
    word = next((each for each in WORDS if bare.startswith(f"{each}_")), "")
    if word:
        return word, bare.removeprefix(f"{word}_")
    if owner not in UNPREFIXED:
        raise ValueError(f"{variable}: add its first word to WORDS, so that it has a table")
    return owner, bare


def names_module() -> str:
    """The text of libs/runtime/setting_names.py."""
    tables: dict[str, list[str]] = {"": []}
    for each in settings():
        tables.setdefault(each.table, []).append(each.key)
    lines = [line for table, keys in tables.items() for line in textwrap.wrap(f"[{table}] {' '.join(keys)}", 118)]
    return f'''{NAMES_HEAD}{chr(10).join(lines)}\n"""\n"""Tables in brackets, each with its keys; the one without a name is the root."""\n'''


# --- the example --------------------------------------------------------------------------------------------------


def example() -> str:
    """The text of deploy/bulkhead.example.toml."""
    lines, table = [EXAMPLE_HEAD], ""
    for each in settings():
        if each.table != table:
            table = each.table
            lines.append(f"[{table}]\n")
        lines += _lines(each)
    return "\n".join(lines)


def _lines(setting: Setting) -> Iterator[str]:
    text = setting.field.description or ""
    numbers = {name: getattr(CONSERVATIVE, name) for name in CONSERVATIVE.__struct_fields__}
    if setting.name in numbers:
        text += f" (conservative: {numbers[setting.name]})"
    if setting.table == "" and setting.key == "venue_url":
        text = "one address for [feed] venue_url and [exec] venue_url"
    yield from textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")
    value = _value(setting.field)
    yield f"#{setting.key} = {value}\n"


def _value(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if field.is_required() or value is None or isinstance(value, SecretStr):
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(str(value))


# --- limits.md ----------------------------------------------------------------------------------------------------


def limits_page(written_by: str) -> str:
    """The text of docs/limits.md."""
    blocks = [
        "# What settings may say",
        written_by,
        "Checked at every start, by `bulkhead up` over the whole stack and by each service as far as it can see "
        "([configuration.md](configuration.md)). A limit may be met, not passed. Refused: nothing starts. Asked about: told once "
        "at the start, with the reason. *wall time*: only where the clock is real (`BULKHEAD_CLOCK_URL` is empty).",
        "## One number",
        _ceilings(),
        "## Two numbers",
        _orders(),
        "## Words that must agree",
        _matches(),
    ]
    return "\n\n".join(blocks) + "\n"


def _ceilings() -> str:
    lines = ["| setting | asked about above | refused above | why |", "|---|---|---|---|"]
    for each in CEILINGS:
        refused = "" if each.refused_above is None else str(each.refused_above)
        where = " (wall time)" if each.when is on_wall_time else ""
        lines.append(f"| `{each.variable}`{where} | {each.asked_above} | {refused} | {each.why} |")
    return "\n".join(lines)


def _orders() -> str:
    lines = ["| setting | | setting | else | why |", "|---|---|---|---|---|"]
    for each in ORDERS:
        unit = f"{each.low_unit:f} of " if each.low_unit != 1 else ""
        sign = "<" if each.is_strict else "≤"
        level = "refused" if each.level == "danger" else "asked about"
        lines.append(f"| {unit}`{each.low}` | {sign} | `{each.high}` | {level} | {each.why} |")
    return "\n".join(lines)


def _matches() -> str:
    lines = ["| settings | else | why |", "|---|---|---|"]
    for each in MATCHES:
        level = "refused" if each.level == "danger" else "asked about"
        lines.append(f"| {', '.join(f'`{name}`' for name in each.variables)} | {level} | {each.why} |")
    return "\n".join(lines)
