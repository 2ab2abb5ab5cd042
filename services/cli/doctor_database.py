"""What `bulkhead doctor` asks the database of the SQL projection: does it answer, and does it have the tables of this code.

The ledger migrates its database when it starts, so an older schema is no failure in paper mode. Before live trading it is one: a
migration that fails should fail before there is money, and books that nobody can read are not to be opened.
"""

from __future__ import annotations

import os
import sqlite3
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from libs.runtime.redaction import redact
from libs.runtime.registry import module_of
from services.cli.doctor import Finding, Level, existing

SQL_S_MAX = 3
CHECK = "database"
FILE_CURE = "set BULKHEAD_DATABASE_URL_FILE or DATABASE_URL to another place"


def check_database(ledger: Any, home: Path, *, live: bool = False) -> Finding:
    """Reachable, and its schema that of this code. A SQLite file that is not there yet is made, with its tables, by the ledger."""
    url = ledger.sql_url()
    if url.get_backend_name() != "sqlite":
        found = _look(url.render_as_string(hide_password=True), _postgres(url), live)
        return _with_its_file(found, ledger.database_url_file)
    file = Path(url.database or ":memory:")
    file = home / file.name if file.parent == ledger.home else file  # these settings may have had a spare home
    if not os.access(existing(file), os.W_OK):
        return Finding(CHECK, "FAIL", f"{file} cannot be written", FILE_CURE)
    if not file.exists():
        return Finding(CHECK, "OK", f"SQLite, {file}; the ledger makes it")
    return _look(f"SQLite, {file}", _sqlite(file), live)


def _with_its_file(found: Finding, file: Path | None) -> Finding:
    if found.level != "OK" or file is None or not file.stat().st_mode & 0o077:
        return found
    return Finding(
        CHECK, "WARN", f"{found.text}; but others can read {file}, which may hold its password", f"chmod 600 {file}"
    )


def migration_heads() -> set[str]:
    """The newest revision that this code knows; one, unless two branches of the schema were never joined."""
    return set(_scripts().get_heads())


def _scripts() -> Any:
    from alembic.script import ScriptDirectory  # here, because every command imports this module, and few need it

    spec = find_spec(f"{module_of('ledger')}.migrations")
    assert spec is not None
    assert spec.submodule_search_locations
    return ScriptDirectory(spec.submodule_search_locations[0])


def _look(shown: str, engine: Engine, live: bool) -> Finding:
    from alembic.migration import MigrationContext

    try:
        with engine.connect() as connection:
            found = set(MigrationContext.configure(connection).get_current_heads())
    except SQLAlchemyError as error:
        reason = redact(str(getattr(error, "orig", None) or error))[:300].strip()
        cure = "start it, or correct its address; once trading, its tables catch up after an outage"
        return Finding(CHECK, _serious(live), f"{shown} does not answer: {reason}", cure)
    finally:
        engine.dispose()
    return _judged(shown, found, migration_heads(), live)


def _judged(shown: str, found: set[str], wanted: set[str], live: bool) -> Finding:
    if found == wanted:
        return Finding(CHECK, "OK", f"{shown} answers, its tables are at {_revision(wanted)}")
    text = f"{shown} answers; its tables are at {_revision(found)}, this code's at {_revision(wanted)}"
    if _schema().fits(_revision(found), _revision(wanted)):
        return Finding(CHECK, "OK", f"{text}, which runs on them: a later release has only added to them")
    if found and not found <= _known():
        cure = "it was made by another version: run that one, or name another database; the log can fill it again"
        return Finding(CHECK, "FAIL", text, cure)
    return Finding(CHECK, _serious(live), text, "start the ledger once in paper mode: it migrates its database")


def _schema() -> Any:
    return import_module(f"{module_of('ledger')}.adapters.schema")


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _serious(live: bool) -> Level:
    return "FAIL" if live else "WARN"


def _revision(revisions: set[str]) -> str:
    return " and ".join(sorted(revisions)) or "no revision (empty)"


def _postgres(url: URL) -> Engine:
    return create_engine(url, hide_parameters=True, connect_args={"connect_timeout": SQL_S_MAX})


def _sqlite(file: Path) -> Engine:
    """Read-only: looking makes no file and takes no lock that the ledger would wait for."""
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True))
