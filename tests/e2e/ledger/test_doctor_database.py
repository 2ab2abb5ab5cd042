"""The doctor looks at real databases: there or not, with the tables of this code or of another; looking changes nothing."""

from __future__ import annotations

import stat
from pathlib import Path

from sqlalchemy import URL, text

from services.cli.doctor import Finding
from services.cli.doctor_database import check_database, migration_heads
from services.ledger.adapters.database import downgrade, migrate, newest_revision, open_engine
from services.ledger.settings import Settings
from tests.e2e.ledger.databases import Databases, LocalPostgres, SqliteFiles


def settings_for(url: URL, folder: Path, mode: int = 0o600) -> Settings:
    """A ledger that reads its URL from a file."""
    file = folder / "database-url"
    file.write_text(url.render_as_string(hide_password=False))
    file.chmod(mode)
    return Settings(home=folder, database_url_file=file)


def look(url: URL, folder: Path, *, live: bool = False) -> Finding:
    """What the doctor says; with a cure whenever it is not well."""
    found = check_database(settings_for(url, folder), folder, live=live)
    assert bool(found.cure) == (found.level != "OK")
    return found


def migrated(url: URL) -> URL:
    """A database with every table."""
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    return url


def test_a_database_with_the_tables_of_this_code_is_well(databases: Databases, tmp_path: Path) -> None:
    """Whatever kind it is, and also before live trading."""
    url = migrated(databases.new())
    found = look(url, tmp_path, live=True)
    assert (found.level, found.text.endswith(f"its tables are at {newest_revision()}")) == ("OK", True)


def test_a_database_without_tables_stops_live_trading_alone(databases: Databases, tmp_path: Path) -> None:
    """The ledger would make them; with money in it, that is to be seen before."""
    url = migrated(databases.new())
    engine = open_engine(url)
    downgrade(engine)
    engine.dispose()
    assert look(url, tmp_path).level == "WARN"
    found = look(url, tmp_path, live=True)
    assert found.level == "FAIL"
    assert f"its tables are at no revision (empty), this code's at {newest_revision()}" in found.text


def test_tables_of_another_version_are_refused(databases: Databases, tmp_path: Path) -> None:
    """Nobody knows what this code would write into them."""
    url = migrated(databases.new())
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    found = look(url, tmp_path)
    assert (found.level, "made by another version" in found.cure) == ("FAIL", True)


def test_later_tables_that_were_only_added_to_are_well(databases: Databases, tmp_path: Path) -> None:
    """As a release finds them that was rolled back, also before live trading."""
    url = migrated(databases.new())
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0009_needs_0002'"))
    engine.dispose()
    found = look(url, tmp_path, live=True)
    assert (found.level, "runs on them" in found.text) == ("OK", True)


def test_a_server_that_is_down_stops_live_trading_alone(local_postgres: LocalPostgres, tmp_path: Path) -> None:
    """Once trading, losing it degrades and no more."""
    gone = URL.create("postgresql+psycopg", username="ada", password="hunter2secret", host="127.0.0.1", port=1)
    assert [look(gone, tmp_path, live=live).level for live in (False, True)] == ["WARN", "FAIL"]
    assert "hunter2secret" not in str(look(gone, tmp_path))
    nowhere = local_postgres.admin.set(database="no_such_database")
    assert "does not exist" in look(nowhere, tmp_path).text


def test_a_url_file_that_others_can_read_is_told(local_postgres: LocalPostgres, tmp_path: Path) -> None:
    """There may be a password in it."""
    ledger = settings_for(migrated(local_postgres.new()), tmp_path, mode=0o644)
    found = check_database(ledger, tmp_path)
    assert (found.level, found.cure) == ("WARN", f"chmod 600 {ledger.database_url_file}")


def test_looking_at_sqlite_makes_no_file_and_writes_into_none(tmp_path: Path) -> None:
    """A file that is not there is made by the ledger; one that is there is opened to be read."""
    url = SqliteFiles(tmp_path).new()
    assert url.database is not None
    file = Path(url.database)
    found = look(url, tmp_path, live=True)
    assert (found.level, found.text) == ("OK", f"SQLite, {file}; the ledger makes it")
    assert not file.parent.exists()
    migrated(url)
    before = (file.read_bytes(), stat.S_IMODE(file.stat().st_mode))
    assert look(url, tmp_path).level == "OK"
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == before
    file.write_text("this is no database")
    assert look(url, tmp_path).level == "WARN"


def test_the_schema_has_one_newest_revision() -> None:
    """Two branches that were never joined would leave nobody knowing which one is meant."""
    assert len(migration_heads()) == 1
