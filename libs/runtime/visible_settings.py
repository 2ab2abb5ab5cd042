"""What a process can see of everybody's settings: all of its own, and of others what stands in its environment or in the file.

What nobody wrote down here is not guessed: another process may have been told otherwise, elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic_settings import BaseSettings

from libs.runtime.config_file import ConfigFile
from libs.runtime.config_names import PLACES, variables_of

_WORDS = {"true": True, "false": False}


def visible(settings: BaseSettings, config: ConfigFile, environment: Mapping[str, str]) -> dict[str, Any]:
    """Values by variable; numbers as Decimal."""
    said = {variable: entry.value for variable, entry in config.entries.items()}
    said |= {name.upper(): value for name, value in environment.items() if value and name.upper() in PLACES}
    return {name: _read(value) for name, value in said.items()} | own_values(settings)


def own_values(settings: BaseSettings) -> dict[str, Any]:
    """The values of one process by variable; secrets and files are left out."""
    kind = type(settings)
    return {
        variables_of(kind, name)[0]: _plain(getattr(settings, name))
        for name in kind.model_fields
        if variables_of(kind, name)[0] in PLACES
    }


def _read(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if number.is_finite() else text


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ",".join(str(each) for each in value) if isinstance(value, tuple) else value
    return Decimal(str(value))
