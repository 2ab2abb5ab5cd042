"""Rule 2: time, ids and chance are arguments. Nothing a machine can reach knows them."""

from __future__ import annotations

import ast

import pytest

from libs.runtime.purity import impurities
from tests.style.tree import module_of, modules, python_files, reachable, tree_of

MACHINES = [module_of(path) for path in python_files("services") if path.name == "machine.py"]
CORE = ["libs.runtime.core", "libs.runtime.engine"]


@pytest.mark.parametrize("module", [*MACHINES, *CORE])
def test_a_machine_reaches_nothing_impure(module: str) -> None:
    """No clock, no chance, no client, no logger, no set's order: not in it, not in anything it imports."""
    found = [
        str(each)
        for name in sorted(reachable(module))
        for each in impurities(name, tree_of(modules()[name]), modules()[name].name == "__init__.py")
    ]
    assert found == []


def test_there_are_machines_to_look_at() -> None:
    """A rule that looks at nothing is always kept."""
    assert len(MACHINES) >= 5
    assert "libs.common.messages.base" in reachable(MACHINES[0])
    assert "libs.common" in reachable(MACHINES[0])


PLANTED = [
    ("import time", "imports time"),
    ("from random import random", "imports random"),
    ("import os.path", "imports os"),
    ("def f():\n    import uuid", "imports uuid"),
    ("from asyncio import sleep", "imports asyncio"),
    ("import logging", "imports logging"),
    ("import structlog", "imports structlog"),
    ("import ccxt.pro", "imports ccxt"),
    ("import threading, socket", "imports socket"),
    ("import importlib", "imports importlib"),
    ("from datetime import datetime\nx = datetime.now()", "reads the clock"),
    ("import datetime as d\nx = d.datetime.utcnow()", "reads the clock"),
    ("from datetime import date\nx = date.today()", "reads the clock"),
    ("x = id(object())", "calls id()"),
    ("x = hash('a')", "calls hash()"),
    ("x = open('f')", "calls open()"),
    ("print(1)", "calls print()"),
    ("async def f():\n    pass", "is asynchronous"),
    ("for x in {1, 2}:\n    pass", "iterates over a set"),
    ("for x in set(a):\n    pass", "iterates over a set"),
    ("x = [y for y in frozenset(a)]", "iterates over a set"),
    ("x = {y: 1 for y in {1, 2}}", "iterates over a set"),
    ("x = list({1, 2})", "order to list()"),
    ("x = tuple(set(a))", "order to tuple()"),
    ("x = sum({0.1, 0.2})", "order to sum()"),
    ("x = ','.join({'a', 'b'})", "order to join()"),
    ("x = dict.fromkeys({'a'})", "order to fromkeys()"),
    ("x = [*{1, 2}]", "unpacks a set"),
    ("f(*{1, 2})", "unpacks a set"),
    ("a, b = {1, 2}", "unpacks a set"),
    ("x = f'{set(a)}'", "shows a set"),
    ("s = {1, 2}\nfor x in s:\n    pass", "iterates over a set"),
    ("s = set()\nt = s | other\nx = list(t)", "order to list()"),
    ("def f(s: set[str]):\n    return [x for x in s]", "iterates over a set"),
    ("def f(s: 'frozenset[str] | None'):\n    return list(s)", "order to list()"),
    ("class A:\n    s: set[int]\n    def f(self):\n        return tuple(self.s)", "order to tuple()"),
    ("def f() -> set[int]:\n    return g\nfor x in f():\n    pass", "iterates over a set"),
    ("for x in a.keys() - b.keys():\n    pass", "iterates over a set"),
    ("for x in set(a).union(b):\n    pass", "iterates over a set"),
    ("def f():\n    yield from {1, 2}", "iterates over a set"),
    ("s = {1}\nx = s.pop()", "takes whichever element"),
    ("x = max({1, 2}, key=f)", "order to max()"),
    ("x = min((f(y) for y in {1, 2}), key=g)", "iterates over a set"),
    ("for x in ({1} if a else b):\n    pass", "iterates over a set"),
]

INNOCENT = [
    "from datetime import datetime, UTC\nx = datetime.fromtimestamp(1, UTC)",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asyncio",
    "x = sorted({1, 2})",
    "for x in sorted(set(a)):\n    pass",
    "x = sorted(f(y) for y in {1, 2})",
    "x = any(y > 1 for y in {1, 2})",
    "x = len(set(a)) == 1 and max({1, 2})",
    "s = {1, 2}\nx = 1 in s and s <= t",
    "x = {f(y) for y in {1, 2}}",
    "for x in {'a': 1}:\n    pass",
    "for x in {'a': 1}.values():\n    pass",
    "x = self.id\ny = m.hash\nz = event.now",
    "def f(now: int) -> int:\n    return now",
    "x = [1].pop()",
]


@pytest.mark.parametrize(("source", "what"), PLANTED)
def test_each_planted_violation_is_found(source: str, what: str) -> None:
    """The rule bites: one line of each kind of impurity is reported for what it is."""
    found = [each.what for each in impurities("planted", ast.parse(source))]
    assert any(what in each for each in found), found


@pytest.mark.parametrize("source", INNOCENT)
def test_innocent_code_is_left_alone(source: str) -> None:
    """What does not depend on an order, a clock or chance is nobody's business."""
    assert impurities("innocent", ast.parse(source)) == []
