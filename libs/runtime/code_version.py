"""Which code a machine is: the modules of this project it can reach, and a digest of their text.

Only `libs` and `services` count: a library's version is pinned by the lock file, and an indicator or a rule that changes an
output is ours. A plug-in's one file counts, under the name it is imported by.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

PLUGINS = "bulkhead_agents"
"""What plug-ins are imported under."""
ROOT = Path(__file__).resolve().parents[2]
OURS = ("libs", "services", PLUGINS)
ASIDE = ("services/cli/", "services/exchange_sim/", "services/model_sim/", "services/telegram_sim/")
"""The operator's command and the simulators: they decide nothing in a live stack."""
_PARTS = ("body", "orelse", "handlers", "finalbody", "cases")
"""Where statements stand in statements."""
ALWAYS = ("libs.runtime.core", "libs.common.codec")


def reachable_modules(*modules: str) -> dict[str, Path]:
    """Every module of this project that `modules` import, directly or not, themselves included, with its file."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name.split(".")[0] not in OURS:
            continue
        path = _file_of(name)
        if path is None:
            continue
        found[name] = path
        waiting.extend(_imports_of(path.read_text()))
    return dict(sorted(found.items()))


def code_version(module: str) -> str:
    """A digest of the source of everything reachable from `module` and from the core that drives it."""
    files = reachable_modules(module, *ALWAYS)
    digest = hashlib.blake2b(digest_size=8)
    for name, path in sorted(files.items()):
        digest.update(f"{name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def tree_version(root: Path = ROOT) -> str:
    """A digest of everything of ours that a deployment runs: every source file below `root` but those of `ASIDE`."""
    files = {path.relative_to(root).as_posix(): path for top in OURS[:2] for path in (root / top).rglob("*.py")}
    digest = hashlib.blake2b(digest_size=8)
    for name, path in sorted(files.items()):
        if not name.startswith(ASIDE):
            digest.update(f"{name}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _file_of(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # `from package import name` where name is not a module
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


@cache
def _imports_of(text: str) -> list[str]:
    """Of one text: a file that was changed is another one."""
    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        for part in _PARTS:  # imports are statements: what stands in expressions, most of a text, is passed over
            waiting += getattr(node, part, ())
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names
