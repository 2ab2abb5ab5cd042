"""What `bulkhead up` is told from outside: the environment, a `.env` file beside it, and names in either that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

from libs.runtime.config_file import CONFIG_VARIABLE
from libs.runtime.config_names import PREFIX, variables_of
from services.cli.child_settings import VENUE, settings_class
from services.cli.exit_codes import CONFIG, Failure
from services.cli.stack import TELEGRAM_BOT, StackSettings, running

NOT_SETTINGS = ("BULKHEAD_DATA_DIR",)
"""Variables of the tests."""


def read_dotenv(path: Path, environment: MutableMapping[str, str]) -> bool:
    """Add what the file says to `environment`, where it says nothing itself. False: there is no such file.

    Raises:
        Failure: it cannot be read.
    """
    if not path.is_file():
        return False
    try:
        found = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(CONFIG, f"{path} cannot be read: {error}", "correct it, or move it away") from error
    for name, value in found.items():
        if value is not None:
            environment.setdefault(name, value)
    return True


def unknown_settings(names: Iterable[str]) -> list[str]:
    """A line for each BULKHEAD_ variable that no process of the stack reads."""
    known = known_variables()
    lines = []
    for name in sorted(names):
        if not name.startswith(PREFIX) or name in known:
            continue
        near = get_close_matches(name, sorted(known), n=1)
        lines.append(f"{name} is not a setting; " + (f"did you mean {near[0]}?" if near else "nobody reads it"))
    return lines


def known_variables() -> set[str]:
    """Every variable that a process of the stack reads."""
    kinds = [StackSettings, *(settings_class(name) for name in (VENUE, *running(), TELEGRAM_BOT))]
    found = {variable for kind in kinds for name in kind.model_fields for variable in variables_of(kind, name)}
    return found | {CONFIG_VARIABLE, *NOT_SETTINGS}
