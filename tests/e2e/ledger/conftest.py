"""Real databases of every kind, and what they must hold after reading a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from libs.runtime.adapter import LogEntry
from tests.e2e.ledger.databases import (
    Databases,
    LocalPostgres,
    Postgres,
    SqliteFiles,
    container_or_skip,
    content,
    store,
    up_to,
)
from tests.e2e.ledger.followable_log import a_log
from tests.e2e.ledger.victim import CYCLES


@pytest.fixture(scope="session")
def local_postgres() -> Iterator[LocalPostgres]:
    """One real Postgres server for the session."""
    server = LocalPostgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def container_postgres() -> Iterator[Postgres]:
    """One Postgres container for the session."""
    container = container_or_skip()
    yield Postgres(make_url(container.get_connection_url()))
    container.stop()


@pytest.fixture(params=["sqlite", "postgres", "container"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Each kind of database in turn."""
    if request.param == "sqlite":
        return SqliteFiles(tmp_path)
    found: Databases = request.getfixturevalue(
        "local_postgres" if request.param == "postgres" else "container_postgres"
    )
    return found


@pytest.fixture(scope="session")
def log() -> list[LogEntry]:
    """A log of sixty wishes, some 500 events."""
    return a_log(CYCLES)


@pytest.fixture(scope="session")
def expected(log: list[LogEntry], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Any]]:
    """What a database that has read up to a `seq` must hold: one batch into a fresh SQLite file."""
    files = SqliteFiles(tmp_path_factory.mktemp("expected"))
    known: dict[int, dict[str, Any]] = {}

    def at(seq: int) -> dict[str, Any]:
        if seq not in known:
            url = files.new()
            store(url, up_to(log, seq), batch=100_000)
            known[seq] = content(url)
        return known[seq]

    return at
