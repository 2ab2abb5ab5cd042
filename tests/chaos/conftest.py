"""The stand of the execution edge, and the process that its services are forked from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.chaos.execution_stand import ExecutionStand, open_stand
from tests.chaos.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Starts services without their second and a half of imports."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
async def stand(tmp_path: Path, nursery: Nursery) -> AsyncIterator[ExecutionStand]:
    """An executor at work on an opened book."""
    async with open_stand(tmp_path / "home", nursery) as made:
        yield made
