"""What a setting is called: as a variable (`BULKHEAD_RISK_DRAWDOWN_HALT`) and in bulkhead.toml (`[risk] drawdown_halt`).

A table's word is the variable's: `[risk] x` is BULKHEAD_RISK_X. What several services share stands at the root: `x` is BULKHEAD_X.
Two tables hold variables that carry no such word, because they are older than the file: `[ledger] x` and `[up] x` are BULKHEAD_X.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from libs.runtime.setting_names import NAMES

PREFIX = "BULKHEAD_"
PROFILE = f"{PREFIX}PROFILE"
UNPREFIXED = ("", "ledger", "up")
SECRET_WORDS = ("SECRET", "KEY", "TOKEN", "PASSWORD", "PASSPHRASE", "SEED", "DATABASE_URL")


def variable_at(table: str, key: str) -> str:
    """The variable that `key` in `table` stands for, whether or not there is such a setting."""
    return f"{PREFIX}{key if table in UNPREFIXED else f'{table}_{key}'}".upper()


def _keys(names: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {"": []}
    keys = found[""]
    for word in names.split():
        if word.startswith("["):
            keys = found.setdefault(word.strip("[]"), [])
        else:
            keys.append(word)
    return {table: tuple(each) for table, each in found.items()}


KEYS = _keys(NAMES)
"""The keys of every table; the table without a name is the root."""
PLACES: dict[str, tuple[str, str]] = {
    variable_at(table, key): (table, key) for table, keys in KEYS.items() for key in keys
}
"""Every variable that may stand in the file, with its table and key."""


def shown_place(table: str, key: str) -> str:
    """`[risk] drawdown_halt`, or the key alone at the root."""
    return f"[{table}] {key}" if table else key


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The name that was probably meant; empty: none comes near (`likeness`: 1 is the same)."""
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=likeness)), "")


def variables_of(kind: type[BaseSettings], name: str) -> tuple[str, ...]:
    """The variables that the field `name` is read from, the most preferred first."""
    alias = kind.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(each).upper() for each in alias.choices if str(each).upper().startswith(PREFIX))
    return (str(alias or f"{kind.model_config.get('env_prefix', '')}{name}").upper(),)


def input_name(kind: type[BaseSettings], name: str) -> str:
    """What pydantic calls the field `name` in what it is given."""
    alias = kind.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else str(alias or name)
