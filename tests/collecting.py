"""What makes thousands of tests quick to collect, in every process that runs some of them.

Each process of xdist collects all tests. Three things took most of that time: pytest rewrites the assertions of every test file, the same ones in each
process at the same moment; the collector of garbage walks again and again over hundreds of thousands of objects that stay for good; and coverage
watches how large libraries of others are imported.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

TESTS = Path(__file__).parent
IMPORTED_BY_MANY = ("aiogram", "ccxt.pro", "fastapi", "hypothesis.strategies", "pyarrow", "sqlalchemy")
"""Of others, and large: their lines are never counted."""


def prepare(config: pytest.Config) -> None:
    """Do what a process of xdist that is to collect everything can do before coverage begins to look; anybody else needs none of it."""
    worker = getattr(config, "workerinput", None)
    if worker is None or [Path(each).resolve() for each in config.args] != [TESTS]:
        return
    for name in IMPORTED_BY_MANY:
        import_module(name)
    if not sys.dont_write_bytecode:
        share_the_rewriting(config, int(worker["workerid"].removeprefix("gw")), worker["workercount"])


def share_the_rewriting(config: pytest.Config, first: int, step: int) -> None:
    """Rewrite every `step`th test file, and leave it where the other processes look for it, as pytest itself would."""
    state = config.stash[rewrite.assertstate_key]
    for path in sorted(TESTS.rglob("test_*.py"))[first::step]:
        folder = rewrite.get_cache_dir(path)
        rewritten = folder / f"{path.stem}{rewrite.PYC_TAIL}"
        if rewrite.try_makedirs(folder) and rewrite._read_pyc(path, rewritten) is None:
            source_hash, code = rewrite._rewrite_test(path, config)
            rewrite._write_pyc(state, code, source_hash, rewritten)


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Look for no garbage meanwhile, and afterwards never again among what has been made."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
