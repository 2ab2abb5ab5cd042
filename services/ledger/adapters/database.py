"""Opening the projection's database: the engine, and the schema brought up to date under a lock.

SQLite runs in WAL mode with `synchronous=NORMAL`: a power loss may take the last commits, but rows and position go together,
and the log still has what is missing. The driver's own idea of transactions is switched off, so that one is exactly what we
say, schema changes included, and takes the write lock when it begins.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select

from services.ledger.adapters.schema import MIGRATIONS, is_later, newest_revision, refuse_too_new, revision_in

__all__ = ["downgrade", "migrate", "newest_revision", "open_engine", "revision_of"]
MIGRATION_LOCK = 0x62756C6B  # "bulk": any constant that no other user of the same Postgres locks
CONNECT_S = 5
BUSY_S = 1
STATEMENT_MS_MAX = 10_000
MIGRATION_S = 10
"""So long a second process waits for the migration of the first, on either kind of database."""
POSTGRES_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "application_name": "bulkhead-ledger",
    "options": f"-c statement_timeout={STATEMENT_MS_MAX} -c lock_timeout={STATEMENT_MS_MAX}",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": STATEMENT_MS_MAX,
}


def open_engine(url: URL) -> Engine:
    """An engine for `url`; nothing is connected yet. Errors never show parameters."""
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_size=1, max_overflow=0, hide_parameters=True, connect_args=POSTGRES_ARGS)
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to `revision`; a second process waits for the first, in one transaction each. Later tables on which this code can run stay as
    they are.

    Raises:
        SchemaTooNew: they are later, and it cannot.
    """
    with engine.connect() as connection, _patient(connection), connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        found = revision_in(connection)
        if is_later(found):
            refuse_too_new(found, newest_revision())
            return
        command.upgrade(_config(connection), revision)


@contextmanager
def _patient(connection: Connection) -> Iterator[None]:
    """Wait longer than usual for whoever has locked a SQLite file whose tables are not up to date: he may be about to make them. (Postgres has
    its own limit, for every statement.)"""
    file = connection.connection.dbapi_connection
    if not isinstance(file, sqlite3.Connection) or _revision_of(file) == newest_revision():
        yield
        return
    file.execute(f"PRAGMA busy_timeout={MIGRATION_S * 1000}")
    try:
        yield
    finally:
        file.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")


def _revision_of(file: sqlite3.Connection) -> str:
    """Which tables it has; "" if none, or if it cannot be read now."""
    try:
        row = file.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return ""
    return str(row[0]) if row else ""


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take the schema back to `revision`; "base" drops every table (the log can fill them again)."""
    with engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def is_behind(engine: Engine) -> bool:
    """Whether there are tables that a migration of this code would change; an empty database has none."""
    with engine.connect() as connection:
        found = revision_in(connection)
    return found not in ("", newest_revision()) and not is_later(found)


def revision_of(engine: Engine) -> str:
    """The revision of the tables that are there; "" without any."""
    with engine.connect() as connection:
        return revision_in(connection)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _configure_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch to WAL, once in the life of a file; the switch itself does not wait for others as everything else does, so it is tried for as long as a migration may take."""
    deadline = time.monotonic() + MIGRATION_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
