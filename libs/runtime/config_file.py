"""`bulkhead.toml`: every setting in one file, in the working directory or where BULKHEAD_CONFIG says.

What it says ranks below the environment and above the profile. A value is taken as its text, as if it stood in the variable: one
way to read, one way to complain. Whatever is not a setting is a mistake, told with the nearest name that is one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from libs.runtime.bare_secrets import file_variable_of, instead
from libs.runtime.config_names import KEYS, PLACES, PREFIX, SECRET_WORDS, nearest, shown_place, variable_at
from libs.runtime.redaction import redact

CONFIG_VARIABLE = "BULKHEAD_CONFIG"
FILE = Path("bulkhead.toml")
SHOWN_CHARS_MAX = 80
CONFIG_BYTES_MAX = 1024 * 1024


class Entry(msgspec.Struct, frozen=True):
    """One line of the file: where it stands, and its value as text."""

    table: str
    key: str
    value: str

    @property
    def variable(self) -> str:
        """What it would be called in the environment."""
        return variable_at(self.table, self.key)


class ConfigFile(msgspec.Struct, frozen=True):
    """What the file says by variable, and a line for each thing in it that cannot be meant. No `path`: there is no file."""

    path: Path | None = None
    entries: dict[str, Entry] = {}
    problems: tuple[str, ...] = ()

    def shown(self, variable: str) -> str:
        """Where the file says it: `bulkhead.toml: [risk] drawdown_halt`."""
        entry = self.entries[variable]
        return f"{self.path}: {shown_place(entry.table, entry.key)}"


def read_config(environment: Mapping[str, str]) -> ConfigFile:
    """The file that `environment` names, or the one in the working directory, if there is one."""
    named = environment.get(CONFIG_VARIABLE, "")
    path = _as_seen_from_here(Path(named)) if named else FILE
    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        missing = f"{CONFIG_VARIABLE}: got {named!r}; there is no such file; name the file that holds the settings"
        return ConfigFile(problems=(missing,)) if named else ConfigFile()
    except OSError as error:
        return ConfigFile(problems=(f"{path}: cannot be read ({error.strerror}); let this user read it",))
    if len(raw) > CONFIG_BYTES_MAX:
        return ConfigFile(problems=(f"{path}: is larger than {CONFIG_BYTES_MAX} bytes; it should hold settings alone",))
    try:
        said = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # a decoder's text quotes nothing but single characters
        return ConfigFile(path=path, problems=(redact(f"{path}: is not TOML: {error}"),))
    return _understood(path, said)


def _as_seen_from_here(path: Path) -> Path:
    """Children are told the full path: what is wrong in one file is told once, in the words of who started them."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _understood(path: Path, said: Mapping[str, Any]) -> ConfigFile:
    entries: dict[str, Entry] = {}
    problems = []
    for table, key, value in _lines(said):
        problem = _problem(table, key, value)
        if problem:
            problems.append(redact(f"{path}: {problem}"))
        else:
            entry = Entry(table, key, _text(value))
            entries[entry.variable] = entry
    return ConfigFile(path, entries, tuple(problems))


def _lines(said: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name, value in said.items():
        if isinstance(value, dict) and (name in KEYS or name not in KEYS[""]):
            yield from ((name, key, inner) for key, inner in value.items())
            if name not in KEYS and not value:
                yield name, "", ""
        else:
            yield "", name, value


def _problem(table: str, key: str, value: Any) -> str:
    """What is wrong with one line; empty: nothing."""
    where, variable = shown_place(table, key), variable_at(table, key)
    wanted = file_variable_of(variable)
    if wanted:
        other = f" (here: {shown_place(*PLACES[wanted])})" if wanted in PLACES else ""
        return f"{where}: got (not shown); {instead(wanted)}{other}"
    if table not in KEYS:
        meant = nearest(table, [name for name in KEYS if name])
        return f"[{table}]: there is no such table; " + (f"did you mean [{meant}]?" if meant else f"want {_tables()}")
    if key not in KEYS[table]:
        return f"{where}: got {_shown(variable, value)}; there is no such setting; {_meant(table, key)}"
    if _is_nested(value):
        return f"{where}: got {_shown(variable, value)}; want one value, or a list of values"
    return ""


def _tables() -> str:
    return ", ".join(f"[{name}]" for name in KEYS if name)


def _meant(table: str, key: str) -> str:
    near = nearest(key, KEYS[table])
    if near:
        return f"did you mean {shown_place(table, near)}?"
    bare = key.upper().removeprefix(PREFIX)
    variable = next((each for each in (f"{PREFIX}{bare}",) if each in PLACES), "")
    variable = variable or nearest(variable_at(table, key), PLACES)
    return f"did you mean {shown_place(*PLACES[variable])}?" if variable else "nobody reads it"


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict | list) for each in value))


def _text(value: Any) -> str:
    """As it would stand in a variable."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return ",".join(_text(each) for each in value)
        case date():
            return value.isoformat()
    return str(value)


def _shown(variable: str, value: Any) -> str:
    if any(word in variable for word in SECRET_WORDS):
        return "(not shown)"
    return repr(redact(str(value) if _is_nested(value) else _text(value))[:SHOWN_CHARS_MAX])
