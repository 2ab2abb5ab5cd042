"""The project as the house rules see it: its files, their syntax trees, who imports whom."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from functools import cache
from pathlib import Path

from libs.runtime.purity import imports_of

ROOT = Path(__file__).parents[2]
OURS = ("libs", "services")

_NEVER_OURS = {"__pycache__", "htmlcov", "build", "node_modules"}


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, relative to its root: what git knows or would add, or without git what is not generated."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        names = {name.decode() for name in listed.stdout.split(b"\0") if name}
        return tuple(sorted(Path(name) for name in names if (ROOT / name).is_file()))
    return tuple(sorted(path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file() and _is_source(path)))


def _is_source(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    hidden = [part for part in parts[:-1] if part.startswith(".") and part not in (".ci", ".github")]
    return not hidden and not _NEVER_OURS & set(parts) and not any(part.endswith(".egg-info") for part in parts)


def python_files(*tops: str) -> tuple[Path, ...]:
    """Python files below the given top-level folders."""
    return tuple(path for path in files() if path.suffix == ".py" and path.parts[0] in tops)


@cache
def text_of(path: Path) -> str:
    return (ROOT / path).read_text()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path), filename=str(path))


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """A node and all below it; many rules look at the same ones."""
    return tuple(ast.walk(tree))


def module_of(path: Path) -> str:
    """The dotted name of a file: `libs/common/__init__.py` is `libs.common`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Every module of `libs` and `services` by its dotted name."""
    return {module_of(path): path for path in python_files(*OURS)}


def module_imports(module: str) -> dict[str, int]:
    """`imports_of` for one of our modules."""
    path = modules()[module]
    return imports_of(tree_of(path), module, path.name == "__init__.py")


def reachable(module: str) -> set[str]:
    """Our modules that run when `module` is imported: what it imports, and the packages around each."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in modules():
            continue
        found.add(name)
        waiting.extend(module_imports(name))
        waiting.extend(packages_around(name))
    return found


@cache
def comment_lines(path: Path) -> set[int]:
    """Lines that carry a comment beside or instead of code."""

    tokens = tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}


def packages_around(module: str) -> list[str]:
    """The packages a module is in, the outermost first: importing it runs them all."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]
