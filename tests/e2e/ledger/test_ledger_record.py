"""The tables as evidence: proven against the log, made again from it, guarded by the database itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from typer.testing import CliRunner

from libs.common.codec import as_written, encode
from libs.common.messages import JournalPosted
from libs.common.messages.retired import JournalPostedV1
from libs.runtime.adapter import LogEntry
from libs.trading.journal import ChainHead
from libs.trading.journal_audit import audit
from services.cli import trace
from services.cli.app import app
from services.cli.exit_codes import CONFIG, FINDING, OK, USAGE
from services.cli.ledger_books import Books, journal_in, tables_in, verify
from services.cli.log_lines import line_of
from services.ledger.adapters.database import downgrade, migrate, open_engine
from services.ledger.adapters.projection import Projection
from services.ledger.adapters.rebuild import digest_of, first_difference, rebuild
from services.ledger.adapters.record import NotOurs, Record
from services.ledger.adapters.roles import LEDGER, READER, grant_roles
from services.ledger.adapters.tables import FACTS
from tests.e2e.ledger.databases import Databases, LocalPostgres, SqliteFiles, content, position, store
from tests.recorded_log import recorded_log

SEED = 2


@contextmanager
def intruder(url: URL) -> Iterator[Connection]:
    """Somebody who owns the database and switches off what guards it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        else:
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))
        yield connection
    engine.dispose()


def filled(url: URL, log: list[LogEntry]) -> URL:
    store(url, log, batch=500)
    return url


def found_in(url: URL, log: list[LogEntry] | None, *known: ChainHead) -> Books:
    return verify(None if log is None else journal_in(log), tables_in(url), known)


def faults(found: Books) -> set[tuple[str, str]]:
    return {(where, each.fault) for where, each in found.findings}


# --- proof ----------------------------------------------------------------------------------------------------------


def test_a_clean_ledger_passes_with_the_log_and_alone(databases: Databases, log: list[LogEntry]) -> None:
    """Log and tables have the same head, the day's head is checked, and a database that lags is no finding."""
    url = filled(databases.new(), log)
    together, alone = found_in(url, log), found_in(url, None)
    assert together.findings == alone.findings == []
    assert together.log is not None
    assert together.tables is not None
    assert together.log.head == together.tables.head
    assert (together.log.entries, together.log.heads_checked) == (97, 1)
    lagging = filled(databases.new(), log[:100])
    assert found_in(lagging, log).findings == []


EDITS = {
    "amount": "UPDATE postings SET amount = '7.5' WHERE entry_id = :id AND line = 1",
    "account": "UPDATE postings SET account = 'fees:USDT' WHERE entry_id = :id AND line = 2",
    "asset": "UPDATE postings SET asset = 'DOGE' WHERE entry_id = :id AND line = 0",
    "line": "UPDATE postings SET line = 17 WHERE entry_id = :id AND line = 3",
    "posting": "DELETE FROM postings WHERE entry_id = :id AND line = 1",
    "memo": "UPDATE journal_entries SET memo = 'gift' WHERE entry_id = :id",
    "entry": "DELETE FROM journal_entries WHERE entry_id = :id",
    "order": "UPDATE journal_entries SET seq = 2000000 - seq WHERE entry_id = :id",
    "another": "INSERT INTO postings VALUES (:id, 6, 'asset:USDT', 'USDT', '1')",
}


@pytest.mark.parametrize("edit", EDITS)
def test_whatever_is_changed_in_the_tables_is_found(databases: Databases, log: list[LogEntry], edit: str) -> None:
    """By the log that has it otherwise, and by the chain alone; the entry is named."""
    url = filled(databases.new(), log)
    entry = [each for each in journal_in(log).entries if each.kind == "FILL"][20]
    with intruder(url) as connection:
        assert connection.execute(text(EDITS[edit]), {"id": entry.entry_id}).rowcount == 1
    for found in (found_in(url, log), found_in(url, None)):
        places = [each.place for where, each in found.findings if where == "tables"]
        names = (entry.entry_id, f"entry {entry.number + 1} ")
        assert any(name in place for place in places for name in names), found.findings


def test_any_single_change_of_any_posting_is_found(tmp_path: Path, log: list[LogEntry]) -> None:
    """Every posting of a book, every column: none can say something else without the chain telling."""
    url = filled(SqliteFiles(tmp_path).new(), log[:120])
    with Record(url) as record:
        assert audit(record.journal()).findings == []
    with intruder(url):
        pass
    changes = ("amount = amount || '1'", "account = account || 'x'", "asset = asset || 'x'", "line = line + 100")
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT rowid FROM postings")).scalars().all()
    passed = []
    for row in rows[::3]:
        for change in changes:
            with engine.begin() as connection:
                was = connection.execute(text("SELECT * FROM postings WHERE rowid = :row"), {"row": row}).one()
                connection.execute(text(f"UPDATE postings SET {change} WHERE rowid = :row"), {"row": row})
            with Record(url) as record:
                if not audit(record.journal()).findings:
                    passed.append((tuple(was), change))
            with engine.begin() as connection:
                restore = "UPDATE postings SET line = :line, account = :account, asset = :asset, amount = :amount WHERE rowid = :row"
                connection.execute(text(restore), {**was._mapping, "row": row})
    engine.dispose()
    assert passed == []
    assert len(rows) > 60


def test_a_missing_tail_is_found(databases: Databases, log: list[LogEntry]) -> None:
    """The last entries are gone: the log has them, and alone a head that people were told does."""
    url, last = filled(databases.new(), log), journal_in(log).entries[-1]
    known = ChainHead(last.digest, last.number)
    with intruder(url) as connection:
        for table in ("postings", "journal_entries"):
            connection.execute(text(f"DELETE FROM {table} WHERE entry_id = :id"), {"id": last.entry_id})
    assert faults(found_in(url, log)) == {("tables", "DROPPED")}
    assert faults(found_in(url, None)) == set()
    assert faults(found_in(url, None, known)) == {("tables", "TRUNCATED")}


def test_a_log_that_lost_its_end_is_found_by_the_tables(databases: Databases, log: list[LogEntry]) -> None:
    """The tables have read further than the log goes."""
    url = filled(databases.new(), log)
    assert {("tables", "TRUNCATED"), ("tables", "ADDED")} <= faults(found_in(url, log[:-30]))


# --- made again -----------------------------------------------------------------------------------------------------


def test_every_database_makes_the_same_canonical_text(
    local_postgres: LocalPostgres, tmp_path: Path, log: list[LogEntry]
) -> None:
    """SQLite or Postgres, event by event or at once: the same digest of everything."""
    digests = set()
    for url, batch in ((SqliteFiles(tmp_path).new(), 7), (local_postgres.new(), 500)):
        store(url, log, batch=batch)
        with Record(url) as record:
            digests.add(digest_of(record))
    assert len(digests) == 1


def test_what_is_rebuilt_is_the_same_to_the_byte_and_a_difference_is_named(
    databases: Databases, tmp_path: Path, log: list[LogEntry]
) -> None:
    """A database that was written live, and one made from its log; then one figure of one fill is changed."""
    url, again = filled(databases.new(), log[:300]), SqliteFiles(tmp_path / "again").new()
    assert rebuild(again, log, position(url)) == position(url)
    with Record(again) as wanted, Record(url) as found:
        assert first_difference(wanted, found) is None
    with intruder(url) as connection:
        connection.execute(text("UPDATE fills SET px = 1 WHERE exec_id = '7-1'"))
    with Record(again) as wanted, Record(url) as found:
        difference = first_difference(wanted, found)
    assert difference is not None
    assert difference.table == "fills"
    assert '"60007"' in difference.wanted
    assert '"1"' in difference.found
    with intruder(url) as connection:
        connection.execute(text("DELETE FROM ballots WHERE place = 1"))
    with Record(again) as wanted, Record(url) as found:
        difference = first_difference(wanted, found)
    assert difference is not None
    assert difference.table == "ballots"


def before_the_chain(log: list[LogEntry]) -> list[LogEntry]:
    """The same log as the code of that time wrote it."""
    entries = []
    for entry in log:
        message = as_written(entry.payload)
        if isinstance(message, JournalPosted):
            names = set(JournalPostedV1.__struct_fields__)
            own = {name: getattr(message, name) for name in message.__struct_fields__ if name in names}
            entry = LogEntry(entry.seq, entry.subject, encode(JournalPostedV1(**own)))
        if entry.subject != "ledger.head":
            entries.append(entry)
    return entries


def test_a_database_of_the_first_tables_is_refilled(databases: Databases, tmp_path: Path, log: list[LogEntry]) -> None:
    """It was filled before the new tables were there: after the step up it is the same, to the byte, as one that was filled today."""
    old = before_the_chain(log)
    url, fresh = filled(databases.new(), old), filled(SqliteFiles(tmp_path / "fresh").new(), old)
    engine = open_engine(url)
    downgrade(engine, "0001")
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM postings")).scalar_one() == 96 * 6 + 2
    with pytest.raises(NotOurs, match="revision 0001"), Record(url):
        pass
    migrate(engine)
    engine.dispose()
    assert position(url) == 0
    assert len(content(url)["fills"]) == 96
    store(url, old, batch=100)
    with Record(fresh) as wanted, Record(url) as found:
        assert first_difference(wanted, found) is None
        assert wanted.position() == found.position() == old[-1].seq
    assert found_in(url, old).findings == []


# --- guarded --------------------------------------------------------------------------------------------------------


def test_facts_refuse_to_be_changed(databases: Databases, log: list[LogEntry]) -> None:
    """Whoever may write, the owner included: no row of a fact is updated or deleted while its guard stands."""
    url = filled(databases.new(), log)
    engine = open_engine(url)
    for table in FACTS:
        column = next(iter(table.c)).name
        for statement in (f"UPDATE {table.name} SET {column} = {column}", f"DELETE FROM {table.name}"):
            with engine.connect() as connection, connection.begin():
                if not connection.execute(text(f"SELECT count(*) FROM {table.name}")).scalar_one():
                    continue
                with pytest.raises(DBAPIError, match="facts"):
                    connection.execute(text(statement))
    engine.dispose()


def test_the_ledgers_role_books_and_can_take_nothing_back(local_postgres: LocalPostgres, log: list[LogEntry]) -> None:
    """It projects a whole log into the owner's tables; it may not change, delete or empty postings, nor make a table."""
    owner = local_postgres.new()
    engine = open_engine(owner)
    migrate(engine)
    grant_roles(engine)
    grant_roles(engine)
    with engine.begin() as connection:
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    engine.dispose()
    as_ledger, as_reader = (owner.update_query_dict({"options": f"-c role={name}"}) for name in (LEDGER, READER))
    projection = Projection(open_as(as_ledger))
    projection.apply(log)
    projection.close()
    assert position(owner) == log[-1].seq
    refused = [
        *(f"UPDATE {name} SET entry_id = entry_id" for name in ("postings", "journal_entries")),
        *(
            f"{verb} {name}"
            for name in ("postings", "journal_entries", "fills")
            for verb in ("DELETE FROM", "TRUNCATE")
        ),
        "DELETE FROM orders",
        "DROP TABLE postings",
        "ALTER TABLE postings DISABLE TRIGGER ALL",
        "CREATE TABLE mine (id int)",
        "DELETE FROM alembic_version",
    ]
    for statement in refused:
        assert_refused(as_ledger, statement)
    for statement in (
        *refused,
        "INSERT INTO projection_position VALUES ('x', 1, 'x')",
        "UPDATE orders SET role = role",
    ):
        assert_refused(as_reader, statement)
    with Record(as_reader) as record:
        assert audit(record.journal()).findings == []


def open_as(url: URL) -> Any:
    """An engine whose sessions take the role that the URL names; its tables are up to date already, so migrating does nothing."""
    engine = create_engine(url)
    migrate(engine)
    return engine


def assert_refused(url: URL, statement: str) -> None:
    engine = create_engine(url)
    with (
        engine.connect() as connection,
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        connection.begin(),
    ):
        connection.execute(text(statement))
    engine.dispose()


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log that real machines wrote, as a file."""
    for name in ("DATABASE_URL", "BULKHEAD_DATABASE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line_of(entry) for entry in recorded_log(SEED)))
    return path


def bulkhead(home: Path, *words: str, code: int = OK) -> Any:
    result = CliRunner().invoke(app, ["--home", str(home), "ledger", *words, "--json"])
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    return json.loads(result.stdout)


def test_an_operator_rebuilds_checks_and_verifies(tmp_path: Path, dump: Path) -> None:
    """The ledger's own database is made from a dump, found the same, and proven; then an amount is changed in it."""
    home = tmp_path / "home"
    url = make_url(f"sqlite:///{home}/ledger.db")
    bulkhead(home, "verify", "--from-file", str(dump), code=CONFIG)
    made = bulkhead(home, "rebuild", "--into", str(url), "--from-file", str(dump))
    assert made["rows"] > 50
    bulkhead(home, "rebuild", "--into", str(url), "--from-file", str(dump), code=USAGE)
    checked = bulkhead(home, "rebuild", "--check", "--from-file", str(dump))
    assert (checked["digest"], checked["compared"], checked["difference"]) == (made["digest"], True, None)
    proven = bulkhead(home, "verify", "--from-file", str(dump))
    assert proven["ok"]
    assert proven["log"]["head"] == proven["tables"]["head"]
    assert bulkhead(home, "verify", "--without-log", "--head", proven["log"]["head"])["ok"]
    with intruder(url) as connection:
        connection.execute(text("UPDATE postings SET amount = '1' WHERE rowid = 1"))
    told = bulkhead(home, "verify", "--from-file", str(dump), code=FINDING)
    assert {each["fault"] for each in told["findings"]} == {"EDITED", "UNBALANCED"}
    assert (
        bulkhead(home, "rebuild", "--check", "--from-file", str(dump), code=FINDING)["difference"]["table"]
        == "postings"
    )
    head = f"{'0' * 64}:1"
    bulkhead(home, "verify", "--without-database", "--from-file", str(dump), "--head", head, code=FINDING)
    bulkhead(home, "verify", "--without-database", "--from-file", str(dump), "--head", "5f:1", code=USAGE)
    assert bulkhead(home, "migrate") == {"revision": "0002", "roles": False}


def test_an_edited_entry_of_a_log_is_named(tmp_path: Path, dump: Path) -> None:
    """Somebody changes one memo in the file: the event is named; without the database this is all there is to see."""
    lines = dump.read_bytes().splitlines(keepends=True)
    index = next(number for number, line in enumerate(lines) if b"journal_posted" in line and b"FILL" in line)
    lines[index] = lines[index].replace(b"BUY", b"SEL").replace(b"SELL", b"BUY")
    dump.write_bytes(b"".join(lines))
    told = bulkhead(tmp_path, "verify", "--without-database", "--from-file", str(dump), code=FINDING)
    (finding,) = told["findings"]
    assert (finding["in"], finding["fault"]) == ("log", "EDITED")
    assert f"event {index + 1}" in finding["place"]


def test_a_stack_that_lives_on_while_it_is_verified_is_not_accused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables follow the log: what they learn while the log is being read is not held against it."""
    log = list(recorded_log(SEED))
    read = log[: len(log) // 2]
    url = filled(SqliteFiles(tmp_path).new(), read)

    @contextmanager
    def living(_: Path) -> Iterator[list[LogEntry]]:
        yield read
        store(url, log, batch=500)

    monkeypatch.setattr(trace, "read_from", living)
    told = ["ledger", "verify", "--database", str(url), "--from-file", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, told)
    assert (result.exit_code, json.loads(result.stdout)["findings"]) == (0, [])
