"""What several of these tests stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.ledger.databases import LocalPostgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[LocalPostgres]:
    """One real Postgres server."""
    server = LocalPostgres()
    yield server
    server.close()
