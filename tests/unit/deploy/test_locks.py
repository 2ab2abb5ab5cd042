"""Locks: exact, hashed, from no place in particular, and made by a resolver for which what came out this week does not exist."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.style.tree import ROOT, files, text_of
from tests.unit.deploy.images import locked

LOCKS = [path for path in files() if path.suffix == ".lock"]
PROJECT = (ROOT / "pyproject.toml").read_text()
COOL_DOWN_DAYS_MIN = 7
OPTION = re.compile(r"^\s*(?!--hash=sha256:)-", re.MULTILINE)
PIN = re.compile(r"[A-Za-z0-9._-]+(?:\[[^\]]*\])?==[^ ;\\]+(?: ;[^\\]+)? \\")


@pytest.mark.parametrize("path", LOCKS, ids=str)
def test_every_line_of_a_lock_is_a_hashed_version(path) -> None:
    """No range, no folder, no address, no option that names an index: what is installed is what was hashed, wherever it comes from."""
    blocks = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text_of(path), flags=re.MULTILINE).strip())
    assert [block.split("\n")[0] for block in blocks if not PIN.fullmatch(block.split("\n")[0])] == []
    assert [block.split("\n")[0] for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}", block)] == []
    assert re.findall(r"\S+://\S+|\S+ @ \S+", text_of(path)) == []
    assert OPTION.findall(text_of(path)) == []


def test_there_are_locks_to_look_at() -> None:
    """Rules over no files hold always."""
    assert {path.name for path in LOCKS} >= {"dev.lock", "oracles.lock", "load.lock", "audit.lock", "executor.lock"}
    assert not PIN.fullmatch("aiohttp>=3.14 \\")
    assert OPTION.search("--index-url x")


def test_what_is_installed_side_by_side_agrees() -> None:
    """What tests compare our figures with is installed beside the rest, and changes no version of it."""
    tested = locked(ROOT / "requirements" / "dev.lock")
    beside = locked(ROOT / "requirements" / "oracles.lock")
    assert {name: version for name, version in beside.items() if tested.get(name, version) != version} == {}


def test_a_release_cools_down_before_it_is_locked() -> None:
    """The resolver sees nothing younger than a week, unless it is named with a day and a reason; nothing on a command line overrules that."""
    settings = tomllib.loads(PROJECT)["tool"]["uv"]
    count, unit = settings["exclude-newer"].split(" ")
    assert unit == "days"
    assert int(count) >= COOL_DOWN_DAYS_MIN
    assert settings["required-version"].startswith(">=0.9.17"), "an older uv may not understand a span of days"
    assert "--exclude-newer" not in (ROOT / "Makefile").read_text()
    assert bare_exceptions(PROJECT) == []


def bare_exceptions(project: str) -> list[str]:
    """Packages that need not cool down, without a day and a reason beside them."""
    table = re.search(r"^\[tool\.uv\.exclude-newer-package\]\n((?:(?!\[).*\n?)*)", project, re.MULTILINE)
    inline = re.findall(r"^exclude-newer-package\s*=.*", project, re.MULTILINE)
    lines = [line for line in (table[1] if table else "").splitlines() if line.strip() and not line.startswith("#")]
    return inline + [
        line for line in lines if not re.fullmatch(r'[\w.-]+ = "\d{4}-\d\d-\d\d"  # \S.{14,}', line.strip())
    ]


def test_an_exception_has_a_day_and_a_reason() -> None:
    """A fix that cannot wait is let in until a day, not for ever, and says which hole it closes."""
    head = "[tool.uv.exclude-newer-package]\n"
    assert bare_exceptions(head + 'aiohttp = "2026-11-27"  # CVE-2026-1234: smuggled requests\n') == []
    assert (
        len(bare_exceptions(head + 'aiohttp = "2026-11-27"\nx = false  # because it is wanted\n\n[tool.y]\nz = 1\n'))
        == 2
    )
    assert len(bare_exceptions('exclude-newer-package = { aiohttp = "2026-11-27" }\n')) == 1
