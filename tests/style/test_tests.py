"""Tests are conversations: each says in one sentence what it is about, and can fail."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.style.tree import nodes, python_files, tree_of

TEST_FILES = [path for path in python_files("tests") if path.name.startswith("test_")]
RAISING = {"raises", "warns", "fail", "deprecated_call"}


def found_tests(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node
        for node in nodes(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


class Deeds(NamedTuple):
    """What a function does that may make a test fail: an assertion of its own, calls by their names, the operators of a conversation."""

    asserts: bool
    calls: frozenset[str]
    shifts: bool


@cache
def deeds(function: ast.AST) -> Deeds:
    below = list(ast.walk(function))
    return Deeds(
        any(isinstance(node, ast.Assert) for node in below),
        frozenset(called(node) for node in below if isinstance(node, ast.Call)),
        any(isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift | ast.RShift) for node in below),
    )


def asserts(function: ast.AST, asserting: set[str]) -> bool:
    """Whether a function can fail by itself, or through a function that can."""
    does = deeds(function)
    return does.asserts or bool(does.calls & (RAISING | asserting)) or (does.shifts and "__op__" in asserting)


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@cache
def asserting_names() -> frozenset[str]:
    """Names of the functions of our tests that assert, directly or through each other."""
    functions = [
        node
        for path in python_files("tests")
        for node in nodes(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("test_")
    ]
    found: set[str] = set()
    size = -1
    while size != len(found):
        size = len(found)
        found |= {node.name for node in functions if asserts(node, found)}
    if found & {"__lshift__", "__rshift__"}:
        found.add("__op__")
    return frozenset(found)


def silent(path: Path) -> list[str]:
    return [node.name for node in found_tests(tree_of(path)) if not ast.get_docstring(node)]


def harmless(path: Path) -> list[str]:
    asserting = set(asserting_names())
    return [node.name for node in found_tests(tree_of(path)) if not asserts(node, asserting)]


def twice(path: Path) -> list[str]:
    names = [node.name for node in tree_of(path).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted({name for name in names if names.count(name) > 1})


def mocks(path: Path) -> list[str]:
    return [
        alias.name
        for node in nodes(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.name in ("mock", "Mock", "MagicMock", "AsyncMock", "unittest.mock")
        or getattr(node, "module", "") == "unittest.mock"
    ]


def found_by(look: Callable[[Path], list[str]]) -> dict[str, list[str]]:
    """What `look` finds fault with, file by file."""
    assert len(TEST_FILES) > 100, "rules over no files hold always"
    return {str(path): found for path in TEST_FILES if (found := look(path))}


def test_every_test_says_what_it_is_about() -> None:
    """A sentence about the domain, so that a failure can be read by who did not write it."""
    assert found_by(silent) == {}


def test_every_test_can_fail() -> None:
    """A test without an assertion is a demonstration."""
    assert found_by(harmless) == {}


def test_no_two_tests_of_a_file_share_a_name() -> None:
    """The second would silently replace the first."""
    assert found_by(twice) == {}


def test_what_runs_in_production_is_not_mocked() -> None:
    """The bus, the database and the venue's client are real in our tests; what is faked is the world beyond them."""
    assert found_by(mocks) == {}


def test_the_rules_bite() -> None:
    """A silent test, a harmless one and one that fails through a friend are told apart."""
    tree = ast.parse("def test_a():\n    x = 1\n\ndef test_b():\n    check(1)\n\ndef test_c():\n    assert 1")
    first, second, third = found_tests(tree)
    assert ast.get_docstring(first) is None
    assert not asserts(first, {"check"})
    assert asserts(second, {"check"})
    assert not asserts(second, set())
    assert asserts(third, set())
