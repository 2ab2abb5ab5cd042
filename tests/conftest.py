"""Fixtures that start real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.nats_stack import NatsStack


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """A secured nats-server with every stream and durable, in a home of its own."""
    stack = NatsStack(tmp_path / "home")
    await stack.start()
    try:
        yield stack
    finally:
        await stack.stop()
