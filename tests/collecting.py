"""What makes thousands of tests quick to collect, in every process that runs some of them.

Each process of xdist collects all tests. Two things took most of that time: pytest rewrites the assertions of every test file, the same ones in each
process at the same moment; and the collector of garbage walks again and again over hundreds of thousands of objects that stay for good.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

TESTS = Path(__file__).parent


def share_the_rewriting(config: pytest.Config) -> None:
    """Rewrite this process's share of all test files, and leave it where the others look for it, as pytest itself would.

    Without a place to leave it (`PYTHONDONTWRITEBYTECODE`), or where only some tests are asked for, everybody does as before.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode or [Path(each).resolve() for each in config.args] != [TESTS]:
        return
    state = config.stash[rewrite.assertstate_key]
    first, step = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
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
