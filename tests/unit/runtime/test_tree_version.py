"""Which code a deployment is: everything that runs in it, and nothing that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.runtime.code_version import tree_version


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("libs/common/money.py", "services/order_executor/adapters/wire.py", "services/cli/app.py"):
        write(tmp_path / name)
    return tmp_path


def write(path: Path, text: str = "x = 1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "name",
    [
        "libs/common/money.py",
        "services/order_executor/adapters/wire.py",
        "libs/new.py",
        "services/a_new_one/machine.py",
    ],
)
def test_a_line_in_anything_that_runs_makes_it_other_code(tree: Path, name: str) -> None:
    """In an adapter no less than in a machine."""
    before = tree_version(tree)
    write(tree / name, "x = 2\n")
    assert tree_version(tree) != before


def test_a_file_under_another_name_is_other_code(tree: Path) -> None:
    """Its text alone does not tell."""
    before = tree_version(tree)
    (tree / "libs/common/money.py").rename(tree / "libs/common/coins.py")
    assert tree_version(tree) != before


@pytest.mark.parametrize(
    "name", ["services/cli/app.py", "services/exchange_sim/server.py", "tests/test_x.py", "libs/notes.md"]
)
def test_what_decides_nothing_in_a_live_stack_does_not_count(tree: Path, name: str) -> None:
    """The operator's command, the simulators, tests and prose."""
    before = tree_version(tree)
    write(tree / name, "x = 2\n")
    assert tree_version(tree) == before
