"""The file list is the architecture: the same names everywhere, and nothing that nobody decided."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from libs.runtime.registry import SERVICES
from tests.style.tree import ROOT, files, python_files, text_of, tree_of

TOP_LEVEL = {
    ".ci",
    ".env.example",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "deploy",
    "docker-compose.yml",
    "docs",
    "libs",
    "pyproject.toml",
    "requirements",
    "services",
    "tests",
}
"""Everything that may stand at the top."""

NOT_YET = {"docker-compose.yml"}
"""Of these, what a later issue brings."""

LIBRARIES = {"common", "desk", "research", "runtime", "trading"}
SERVICE_FOLDERS = {
    "cli",
    "exchange_sim",
    "gateway",
    "ledger",
    "market_feed",
    "model_sim",
    "notifier",
    "order_executor",
    "risk_gate",
    "signal_agents",
    "telegram_bot",
    "telegram_sim",
}

SERVICE_FILES = ("__init__.py", "__main__.py", "contract.py", "machine.py", "settings.py")
WITHOUT_MACHINE = {
    "services.cli": "an operator's hand: it says commands and reads, it decides nothing",
    "services.exchange_sim": "a venue for tests: it does not speak on the bus",
    "services.gateway": "an operator's door: it shows what the log says and appends what operators say, it decides nothing",
    "services.telegram_bot": "an operator's door: it shows what the log says and appends what operators say, it decides nothing",
    "services.model_sim": "a model for tests: it does not speak on the bus",
    "services.telegram_sim": "Telegram for tests: it does not speak on the bus",
}
MAIN_LINES_MAX = 15
BAG_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "shared",
    "stuff",
    "tools",
    "functions",
    "base_utils",
}

DECIDING = [package for package in SERVICES.values() if package not in WITHOUT_MACHINE]


def folder_of(package: str) -> Path:
    return Path(*package.split("."))


def test_the_top_level_is_what_was_decided() -> None:
    """A new entry at the top is a decision: it belongs into this list, and into the design."""
    found = {path.parts[0] for path in files()}
    assert sorted(found - TOP_LEVEL) == []
    assert sorted(TOP_LEVEL - NOT_YET - found) == []


@pytest.mark.parametrize(("top", "expected"), [("libs", LIBRARIES), ("services", SERVICE_FOLDERS)])
def test_the_parts_are_what_was_decided(top: str, expected: set[str]) -> None:
    """Libraries and services are few and known by name."""
    assert {path.parts[1] for path in python_files(top) if len(path.parts) > 2} == expected


@pytest.mark.parametrize("package", DECIDING)
def test_every_service_has_the_same_files(package: str) -> None:
    """Who knows one service knows where to look in all others."""
    missing = [name for name in SERVICE_FILES if folder_of(package) / name not in files()]
    assert missing == []


@pytest.mark.parametrize("package", [*DECIDING, *WITHOUT_MACHINE])
def test_a_service_says_what_it_is_in_one_sentence(package: str) -> None:
    """The package's docstring is one sentence, and nothing else stands there."""
    tree = tree_of(folder_of(package) / "__init__.py")
    sentence = ast.get_docstring(tree) or ""
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0
    assert len(tree.body) == 1


@pytest.mark.parametrize("package", [*DECIDING, *WITHOUT_MACHINE])
def test_main_only_starts(package: str) -> None:
    """What a process does is in the shell; `__main__.py` says which machine."""
    path = folder_of(package) / "__main__.py"
    if path not in files():
        assert package in WITHOUT_MACHINE
        return
    assert len(text_of(path).splitlines()) <= MAIN_LINES_MAX


def test_machines_only_where_they_are_expected() -> None:
    """What decides is registered; what is not registered decides nothing."""
    found = {".".join(path.parts[:-1]) for path in python_files("services") if path.name == "machine.py"}
    assert sorted(found - set(DECIDING)) == []


def test_no_empty_adapters() -> None:
    """Only what touches the world has adapters."""
    folders = {path.parent for path in python_files("services") if path.parent.name == "adapters"}
    empty = sorted(str(each) for each in folders if {p.name for p in files() if p.parent == each} <= {"__init__.py"})
    assert empty == []


def test_no_bags() -> None:
    """A file is named for what it holds; what holds anything will hold everything."""
    bags = sorted(str(path) for path in python_files("libs", "services", "tests", "docs") if path.stem in BAG_NAMES)
    assert bags == []


def test_names_on_disk_are_snake_case() -> None:
    """Python files and folders: lower case, digits, underscores."""
    odd = sorted(
        str(path)
        for path in python_files("libs", "services", "tests", "docs")
        if not all(part.replace("_", "a").isalnum() and part == part.lower() for part in path.with_suffix("").parts)
    )
    assert odd == []


def test_decisions_are_numbered_once() -> None:
    """An ADR is known by its number."""
    numbers = [path.name.split("-")[0] for path in files() if path.parent == Path("docs/decisions")]
    assert sorted({number for number in numbers if numbers.count(number) > 1}) == []


def test_the_root_is_the_root() -> None:
    """The rules look at this project."""
    assert (ROOT / "pyproject.toml").exists()
    assert len(files()) > 50
