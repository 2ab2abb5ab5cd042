"""Agents that a user brings: one Python file each, read, judged and turned into a service like every other.

    plugin = load_plugin("strategies/breakout.py")     # or the name of an entry point in the group `bulkhead.agents`

The file says `AGENT_ID` and defines one class `...Machine` (`libs/runtime/machine.py`). It becomes the service `agent-<id>` with the writer
`agent.<id>`, in zone MODEL: a NATS account of its own, which may publish under its own prefix and nothing else. It may hear what the feed,
the macro and the levels agent say, and say `AgentSignals` and `AlertRaised`.

Nothing of the file runs before its text was judged: what it imports (the language, arithmetic, the protocol), and that it asks for no
clock, no chance and no world. That keeps honest code honest. What keeps other code in its place is the process and the account.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from libs.common.messages import (
    AgentSignals,
    AlertRaised,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    LevelsMapped,
    MacroRegimes,
    Message,
)
from libs.runtime.code_version import PLUGINS, code_version, reachable_modules
from libs.runtime.contract import Contract, Zone
from libs.runtime.machine import Machine
from libs.runtime.purity import imports_of, impurities

GROUP = "bulkhead.agents"
"""The entry points that are agents; each names the module that is one."""
HEARD = (FeedBars, FeedHistory, FeedMarks, FeedStatus, MacroRegimes, LevelsMapped)
SAID = (AgentSignals, AlertRaised)
TAKEN = ("trend", "macro", "levels", "llm", "portfolio")
AGENT_ID = re.compile(r"[a-z][a-z0-9_]{0,23}")

_IMPORTS = frozenset(
    {
        *(
            "__future__",
            "abc",
            "bisect",
            "collections",
            "copy",
            "dataclasses",
            "datetime",
            "decimal",
            "enum",
            "fractions",
        ),
        *("functools", "heapq", "itertools", "math", "numbers", "operator", "re", "statistics", "string", "typing"),
        *("msgspec", "libs.common", "libs.trading", "libs.runtime.machine"),
    }
)
_REFLECTION = frozenset({"getattr", "setattr", "delattr", "globals", "locals", "vars", "exit", "quit"})
_ASKS = frozenset({"now", "utcnow", "today", "samples"})
"""Methods of what may be imported that know the time or draw lots, whatever their owner is called here."""
_DUNDERS = frozenset({"__init__", "__post_init__", "__name__", "__doc__"})


class PluginRefused(ValueError):
    """A file is no agent that may run here; the text says which file, where in it, and what is wrong."""


class Plugin(msgspec.Struct, frozen=True):
    """An agent somebody brought. `version` covers its file and everything of ours that it reaches."""

    agent_id: str
    path: Path
    contract: Contract
    machine_class: type[Machine]
    version: str

    @property
    def service(self) -> str:
        """Its kebab-case name: process, durable and user of the bus are called so."""
        return self.contract.service


def service_of(agent_id: str) -> str:
    """The service that an agent becomes."""
    return f"agent-{agent_id.replace('_', '-')}"


def find_file(item: str) -> Path:
    """The file that `item` means: a path if it looks like one, else the module of an entry point.

    Raises:
        PluginRefused: there is no such file or entry point.
    """
    if item.endswith(".py") or "/" in item:
        path = Path(item).expanduser().resolve()
        if not path.is_file():
            raise PluginRefused(f"{item}: there is no such file")
        return path
    found = [each for each in entry_points(group=GROUP) if each.name == item]
    if not found:
        named = ", ".join(sorted(each.name for each in entry_points(group=GROUP))) or "none is installed"
        raise PluginRefused(
            f"{item}: is neither a path (it would end in .py) nor an entry point in {GROUP!r} ({named})"
        )
    path = _origin(found[0].module)
    if path is None:
        raise PluginRefused(f"{item}: the entry point names {found[0].module!r}, which is not a Python file")
    return path


def load_plugin(item: str) -> Plugin:
    """Read, judge and import one agent.

    Raises:
        PluginRefused: it may not run.
    """
    path = find_file(item)
    text = _read(path)
    agent_id = judged(path, text)
    _refuse_impure_libraries(path, text)
    module = _imported(path, text, agent_id)
    machine_class = _machine_of(path, module)
    contract = _contract(path, agent_id, module)
    return Plugin(agent_id, path, contract, machine_class, code_version(module.__name__))


def imported_anew(plugin: Plugin) -> type[Machine]:
    """The machine of the same file in a module that nothing has lived in; the plug-in's own module stays the known one."""
    name = plugin.machine_class.__module__
    known = sys.modules[name]
    try:
        return load_plugin(str(plugin.path)).machine_class
    finally:
        sys.modules[name] = known


# --- the text -----------------------------------------------------------------------------------------------------


def judged(path: Path, text: str | None = None) -> str:
    """The agent's id, if the text of the file is one that may be run.

    Raises:
        PluginRefused: it is not; every line that is wrong is named.
    """
    try:
        tree = ast.parse(_read(path) if text is None else text)
    except SyntaxError as error:
        raise PluginRefused(f"{path}:{error.lineno}: is not Python: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a null byte; a tower of brackets
        raise PluginRefused(f"{path}: is not Python: {error}") from None
    flaws = {(each.line, each.what) for each in impurities(path.stem, tree)} | _liberties(tree)
    if flaws:
        lines = "\n".join(f"  line {line}: {what}" for line, what in sorted(flaws))
        raise PluginRefused(f"{path}: a machine has no clock, no chance, no files and no network:\n{lines}")
    return _agent_id(path, tree)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PluginRefused(f"{path}: cannot be read: {error}") from None


def _liberties(tree: ast.Module) -> set[tuple[int, str]]:
    """What a file of its own may not do beyond what no machine may: import at large, and reach around the language."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {(node.lineno, f"imports {each.name}") for each in names if not _may_import(each.name)}
            case ast.ImportFrom(module=module, level=level) if level or not _may_import(module or ""):
                found.add((node.lineno, f"imports {'.' * level}{module or ''}"))
            case ast.Call(func=ast.Attribute(attr=name)) if name in _ASKS:
                found.add((node.lineno, f"calls .{name}()"))
            case ast.Name(id=name) if name in _REFLECTION or (name.startswith("__") and name not in _DUNDERS):
                found.add((node.lineno, f"uses {name}"))
            case ast.Attribute(attr=name) if name.startswith("__") and name not in _DUNDERS:
                found.add((node.lineno, f"uses {name}"))
    return found


def _may_import(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:end]) in _IMPORTS for end in range(1, len(parts) + 1))


def _refuse_impure_libraries(path: Path, text: str) -> None:
    """What a machine reaches counts as the machine, in our own libraries, too."""
    for name, file in reachable_modules(*imports_of(ast.parse(text), path.stem)).items():
        if flaws := impurities(name, ast.parse(file.read_text())):
            raise PluginRefused(f"{path}: reaches {name}, which is no place for a machine ({flaws[0].what})")


def _agent_id(path: Path, tree: ast.Module) -> str:
    found = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and any(isinstance(target, ast.Name) and target.id == "AGENT_ID" for target in node.targets)
    ]
    if len(found) != 1 or not isinstance(found[0], str) or not AGENT_ID.fullmatch(found[0]):
        raise PluginRefused(
            f'{path}: must say once what it is called, AGENT_ID = "...": a letter, then at most 23 of a-z, 0-9 and _'
            f" (found {', '.join(map(repr, found)) or 'none'})"
        )
    if found[0] in TAKEN:
        raise PluginRefused(f"{path}: the name {found[0]!r} is taken; those of ours are {', '.join(TAKEN)}")
    return found[0]


# --- the module ---------------------------------------------------------------------------------------------------


def _origin(module: str) -> Path | None:
    """Where a module stands; nothing is run to find out, not even the packages around it."""
    where: Any = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, where)
        if spec is None:
            return None
        where = spec.submodule_search_locations
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


def _imported(path: Path, text: str, agent_id: str) -> ModuleType:
    """Run exactly this text: the bytecode that Python keeps of a file is told apart by size and second only."""
    name = f"{PLUGINS}.{agent_id}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise PluginRefused(f"{path}: is not a file that Python imports")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # msgspec and the code version look it up there
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102  # nosec B102  # that is what importing is
    except (Exception, SystemExit) as error:  # somebody else's code may raise anything; it is told, and refused
        del sys.modules[name]
        raise PluginRefused(f"{path}: does not import: {type(error).__name__}: {error}") from error
    return module


def _machine_of(path: Path, module: ModuleType) -> type[Machine]:
    found = [
        each
        for name, each in inspect.getmembers(module, inspect.isclass)
        if name.endswith("Machine") and each.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(each.__name__ for each in found) or "none"
        raise PluginRefused(f"{path}: must define one class named ...Machine (found {names})")
    machine: type[Machine] = found[0]
    for part in ("Settings", "State"):
        kind = getattr(machine, part, None)
        if not (inspect.isclass(kind) and issubclass(kind, msgspec.Struct)):
            raise PluginRefused(f"{path}: {machine.__name__}.{part} must be a msgspec.Struct")
    if not callable(getattr(machine, "handle", None)):
        raise PluginRefused(f"{path}: {machine.__name__} must have handle(self, event, now) -> list of effects")
    bare = [field.name for field in msgspec.structs.fields(machine.Settings) if field.required]
    if bare:
        raise PluginRefused(f"{path}: every setting needs a default; {', '.join(bare)} has none")
    return machine


def _contract(path: Path, agent_id: str, module: ModuleType) -> Contract:
    hears = _types(path, module, "CONSUMES", (FeedBars, FeedHistory), HEARD)
    says = _types(path, module, "PRODUCES", (AgentSignals,), SAID)
    return Contract(
        service=service_of(agent_id),
        writer=f"agent.{agent_id}",
        zone=Zone.MODEL,
        consumes=hears,
        produces=tuple(kind for kind in says if kind is not AlertRaised),  # that one everybody may say
    )


def _types(
    path: Path, module: ModuleType, name: str, default: tuple[type[Message], ...], allowed: tuple[type[Message], ...]
) -> tuple[type[Message], ...]:
    told = getattr(module, name, default)
    told = tuple(told) if isinstance(told, tuple | list) else (told,)
    wide = [getattr(kind, "__name__", repr(kind)) for kind in told if kind not in allowed]
    if wide or not told:
        names = ", ".join(kind.__name__ for kind in allowed)
        raise PluginRefused(f"{path}: {name} names {', '.join(wide) or 'nothing'}; an agent may name {names}")
    return tuple(dict.fromkeys(told))
