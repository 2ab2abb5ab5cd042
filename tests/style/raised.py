"""Every alert that the code can raise, read from its syntax: which code, with which severities, where.

An alert is made by `AlertRaised(...)`, by the watchman's `Sight(...)` (which is also over, as `<CODE>_OVER`), or by a function that hands its own
`code` and `severity` on to one of them (`turn.alert`, `_alert`); such functions are found, not listed. A code that is put together,
`f"PRICE_{trust}"`, is a prefix. Whoever passes on `something.code` raises nothing of his own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import msgspec

from tests.style.tree import module_of, nodes, python_files, tree_of

ENDS_TOO = "Sight"
UNKNOWN = "?"
MAKERS = ("AlertRaised", ENDS_TOO)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Raised(msgspec.Struct, frozen=True):
    """One place that raises `code` (or, `is_prefix`, codes that begin so). `UNKNOWN` is among `severities` where it is found out only when it runs."""

    code: str
    is_prefix: bool
    severities: frozenset[str]
    where: str


class Way(msgspec.Struct, frozen=True):
    """How a function is told the code and the severity: as which positional argument; and whether what it makes is also told to be over."""

    code: int
    severity: int
    ends_too: bool


def raised_in(trees: dict[str, ast.Module]) -> list[Raised]:
    """All alerts that these modules (by name) can raise."""
    ways = _ways(trees)
    return [each for module in trees for each in _raised_by(module, trees, ways)]


@cache
def raised_here() -> list[Raised]:
    """All alerts that our services and libraries can raise."""
    return raised_in({module_of(path): tree_of(path) for path in python_files("libs", "services")})


def _ways(trees: dict[str, ast.Module]) -> dict[tuple[str, str], Way]:
    """The functions that hand code and severity on, by name and the module where they can be called (empty: anywhere), until no more are found."""
    ways: dict[tuple[str, str], Way] = {}
    size = -1
    while size != len(ways):
        size = len(ways)
        for module, tree in trees.items():
            for function in _functions(tree):
                names = [each.arg for each in function.args.args if each.arg != "self"]
                if not {"code", "severity"} <= set(names):
                    continue
                told = [each for call in _calls(function) for each in _told(call, module, ways)]
                on = [ends_too for code, severity, ends_too in told if _is(code, "code") and _is(severity, "severity")]
                if on:
                    home = module if function.name.startswith("_") else ""
                    ways[function.name, home] = Way(names.index("code"), names.index("severity"), any(on))
    return ways


def _raised_by(module: str, trees: dict[str, ast.Module], ways: dict[tuple[str, str], Way]) -> Iterator[Raised]:
    tree = trees[module]
    tables = {**_imported(tree, trees), **_assigned(tree)}
    for function in _functions(tree):
        hands_on = (function.name, module) in ways or (function.name, "") in ways
        known = {**tables, **_assigned(function)}
        for call in _calls(function):
            for code, severity, ends_too in _told(call, module, ways):
                if (hands_on and _is(code, "code")) or (isinstance(code, ast.Attribute) and code.attr == "code"):
                    continue
                where = f"{module}:{call.lineno}"
                for text, is_prefix in _texts(code, known):
                    yield Raised(text, is_prefix, frozenset(_severities(severity, known, tables)), where)
                    if ends_too:
                        yield Raised(f"{text}_OVER", is_prefix, frozenset({"note"}), where)


def _told(
    call: ast.Call, module: str, ways: dict[tuple[str, str], Way]
) -> Iterator[tuple[ast.expr, ast.expr | None, bool]]:
    """The code and the severity that a call names, if it raises an alert, and whether that is also told to be over."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    way = Way(0, 1, name == ENDS_TOO) if name in MAKERS else ways.get((name, module)) or ways.get((name, ""))
    if way is None:
        return
    keywords = {each.arg: each.value for each in call.keywords if each.arg}
    code = keywords.get("code") or (call.args[way.code] if len(call.args) > way.code else None)
    severity = keywords.get("severity") or (call.args[way.severity] if len(call.args) > way.severity else None)
    if code is not None:
        yield code, severity, way.ends_too


def _texts(node: ast.expr, known: dict[str, ast.expr]) -> Iterator[tuple[str, bool]]:
    """What a code can be: whole texts, or what they begin with."""
    match node:
        case ast.Constant(value=str(text)):
            yield text, False
        case ast.IfExp():
            yield from _texts(node.body, known)
            yield from _texts(node.orelse, known)
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            yield text, True
        case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id=name)), *_]) if name in known:
            yield from ((text, True) for text, _ in _texts(known[name], known))
        case ast.Name(id=name) if name in known:
            yield from _texts(known[name], known)
        case _:
            yield f"<{ast.unparse(node)}>", False


def _severities(node: ast.expr | None, known: dict[str, ast.expr], tables: dict[str, ast.expr]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from _severities(node.body, known, tables)
            yield from _severities(node.orelse, known, tables)
        case ast.Name(id=name) if name in known:
            yield from _severities(known[name], known, tables)
        case ast.Subscript(value=ast.Name(id=name)) if isinstance(tables.get(name), ast.Dict):
            for value in tables[name].values:  # type: ignore[attr-defined]  # a Dict, as was asked
                yield from _severities(value, known, tables)
        case _:
            yield UNKNOWN


@cache
def _assigned(scope: ast.AST) -> dict[str, ast.expr]:
    """What names are last set to in a function, or at the top of a module."""
    found: dict[str, ast.expr] = {}
    for node in scope.body if isinstance(scope, ast.Module) else ast.walk(scope):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


def _imported(tree: ast.Module, trees: dict[str, ast.Module]) -> dict[str, ast.expr]:
    """What names that are imported from one of our modules are set to there."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in trees:
            there = _assigned(trees[node.module])
            found |= {each.asname or each.name: there[each.name] for each in node.names if each.name in there}
    return found


@cache
def _functions(tree: ast.AST) -> tuple[Function, ...]:
    return tuple(node for node in nodes(tree) if isinstance(node, Function))


@cache
def _calls(function: Function) -> tuple[ast.Call, ...]:
    return tuple(node for node in ast.walk(function) if isinstance(node, ast.Call))


def _is(node: ast.expr | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
