"""Fixtures that start real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.collecting import nothing_is_garbage, prepare
from tests.nats_stack import NatsStack

REAL_TIME = {"e2e", "chaos", "paper_run"}
"""The folders whose tests wait for real servers and processes."""


UNTRACED = {"style"}
"""The folders whose tests run nothing that coverage counts."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Every process that a test starts in this folder would read your settings.

    In a worker of xdist, pytest-cov starts twice: as if it were alone, and then as a worker. Whoever pauses the second wakes the first,
    so that `no_cover` would change nothing but the loss of what is counted. The first one ends here.
    """
    plugin = session.config.pluginmanager.getplugin("_cov")
    if hasattr(session.config, "workerinput") and plugin is not None and plugin.cov_controller is not None:
        plugin.cov_controller.cov.stop()
    if Path("bulkhead.toml").exists():
        pytest.exit(
            "bulkhead.toml in this folder would change what is tested: move it, and name it in BULKHEAD_CONFIG", 4
        )
    prepare(session.config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays until the end."""
    with nothing_is_garbage():
        return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where another chance is given at all (`--reruns`, as `make test` does), only what runs in real time gets it.

    On a shared machine a process may stand still for longer than a lease lives. The closing line counts every test that was run again.

    Properties run without being traced: the hundredth example costs as much tracing as the first and adds no line, and what
    they try at random is told in conversations as well.
    """
    for item in items:
        if UNTRACED.intersection(item.path.parts) or getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)
    if config.getoption("reruns", None):
        for item in items:
            if not REAL_TIME.intersection(item.path.parts):
                item.add_marker(pytest.mark.flaky(reruns=0))


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """A secured nats-server with every stream and durable, in a home of its own."""
    stack = NatsStack(tmp_path / "home")
    await stack.start()
    try:
        yield stack
    finally:
        await stack.stop()
