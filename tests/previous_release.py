"""The code of the release before this one, checked out once for all tests of a process; what runs it says when it cannot be had."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from deploy.release.previous import NoHistory, Previous, checked_out, previous


@cache
def _tree() -> tuple[Previous, Path] | str:
    try:
        release = previous()
        folder = Path(tempfile.mkdtemp(prefix="bulkhead-previous-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return release, checked_out(release, folder / "tree")
    except NoHistory as error:
        return str(error)


def previous_tree() -> Path:
    """Its source tree. A test is skipped where git's history is not there."""
    found = _tree()
    if isinstance(found, str):
        pytest.skip(f"the previous release cannot be had: {found}")
    return found[1]


def environment_of(tree: Path, **settings: str) -> dict[str, str]:
    """The environment in which Python finds the code of `tree`, and none of our settings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("BULKHEAD_", "DATABASE_URL"))}
    return {**ours, "PYTHONPATH": str(tree), **settings}
