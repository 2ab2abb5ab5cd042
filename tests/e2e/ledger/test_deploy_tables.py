"""`bulkhead deploy open` at the database: the owner's tables, the ledger's login, and a password that is changed by running it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError

from services.cli.deploy import fleet
from services.cli.deploy.opening import open_database
from services.cli.exit_codes import Failure
from services.ledger.adapters.database import newest_revision
from tests.e2e.ledger.databases import LocalPostgres


def url_file(path: Path, url: URL) -> Path:
    """A file that holds it."""
    path.write_text(url.render_as_string(hide_password=False))
    return path


def test_the_ledgers_login_books_and_owns_nothing(local_postgres: LocalPostgres, tmp_path: Path) -> None:
    """Tables are the owner's; the login reads and inserts, and cannot make or drop one. A quote in a password changes nothing but the password."""
    owner = local_postgres.new()
    ledger = owner.set(username="ledger_login", password="it's %s \\ 'quoted'; --")
    said: list[str] = []
    files = url_file(tmp_path / "owner", owner), url_file(tmp_path / "ledger", ledger)
    for _ in range(2):
        open_database(*files, said.append)
    assert said == [f"the tables are at {newest_revision()}"] * 2
    engine = create_engine(ledger)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_user, count(*) FROM postings")).one() == ("ledger_login", 0)
        for forbidden in ("DROP TABLE postings", "CREATE TABLE mine (id int)", "CREATE ROLE another"):
            with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                connection.execute(text(forbidden))
            connection.rollback()
    engine.dispose()


def test_a_new_password_in_the_file_is_a_new_password_there(local_postgres: LocalPostgres, tmp_path: Path) -> None:
    """Changing the ledger's password is changing its file and running the job: the stored one is the new one's, not the old one's."""
    owner = local_postgres.new()

    def stored() -> str:
        engine = create_engine(owner)
        with engine.connect() as connection:
            found = connection.execute(
                text("SELECT rolpassword FROM pg_authid WHERE rolname = 'ledger_login'")
            ).scalar_one()
        engine.dispose()
        return str(found)

    hashes = []
    for password in ("first-password", "second-password", "second-password"):
        ledger = owner.set(username="ledger_login", password=password)
        open_database(url_file(tmp_path / "owner", owner), url_file(tmp_path / "ledger", ledger), lambda _: None)
        hashes.append(stored())
    assert all(each.startswith("SCRAM-SHA-256$") for each in hashes)
    assert hashes[0] != hashes[1]
    assert "password" not in "".join(hashes)


def test_who_watches_the_database_sees_no_table(local_postgres: LocalPostgres, tmp_path: Path) -> None:
    """The exporter's login reads what Postgres counts, by a role that Postgres has for it; it reads no row, writes none, and takes few connections."""
    owner = local_postgres.new()
    (tmp_path / "watcher").write_text("watcher-password\n")
    for _ in range(2):
        open_database(url_file(tmp_path / "owner", owner), None, lambda _: None, tmp_path / "watcher")
    engine = create_engine(owner.set(username=fleet.WATCHER_LOGIN, password="watcher-password"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_stat_database")).scalar_one() > 0
        seen = connection.execute(text("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()")).scalar_one()
        assert "pg_stat_activity" in seen
        for forbidden in ("SELECT * FROM postings", "SELECT rolpassword FROM pg_authid", "CREATE TABLE mine (id int)"):
            with pytest.raises((ProgrammingError, InternalError), match=r"permission denied|read-only"):
                connection.execute(text(forbidden))
            connection.rollback()
        limit = connection.execute(text("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user")).scalar_one()
        assert limit == 3
    engine.dispose()


def test_a_database_that_refuses_is_named_without_its_password(
    local_postgres: LocalPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is not there ends the job with words: which host, and no password in them."""
    monkeypatch.setattr("services.cli.deploy.opening.WAIT_S_MAX", 0.0)
    gone = URL.create("postgresql", "bulkhead_owner", "very-secret-word", "127.0.0.1", 1, "bulkhead")
    with pytest.raises(Failure, match=r"127\.0\.0\.1 does not let us in") as refused:
        open_database(url_file(tmp_path / "owner", gone), None, lambda _: None)
    assert "very-secret-word" not in f"{refused.value.text}{refused.value.cure}"
    assert isinstance(refused.value.__cause__, OperationalError)
