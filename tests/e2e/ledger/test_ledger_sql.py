"""The SQL projection on real databases: exactly what was read, whatever dies when."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, func, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError

from libs.common.codec import encode
from libs.common.messages import OrderDenied
from libs.runtime.adapter import LogEntry
from services.ledger.adapters.database import downgrade, migrate, open_engine
from services.ledger.adapters.projection import PositionMoved, Projection, WrongLog
from services.ledger.adapters.tables import EQUITY, METADATA, ORDERS, PROJECTION_POSITION
from tests.e2e.ledger.databases import Databases, LocalPostgres, SqliteFiles, content, position, store
from tests.e2e.ledger.followable_log import poisons
from tests.e2e.ledger.victim import BATCH

ROOT = Path(__file__).parents[3]
D = Decimal


# --- what is stored -----------------------------------------------------------------------------------------------------


def test_the_story_of_an_order_is_in_the_tables(databases: Databases, log: list[LogEntry]) -> None:
    """From signal to posting, with exact money and the checks of the verdict."""
    url = databases.new()
    store(url, log, batch=50)
    found = content(url)
    counts = {name: len(rows) for name, rows in found.items()}
    assert counts == {
        "signals": 120,
        "intents": 60,
        "verdicts": 60,
        "orders": 48,
        "fills": 96,
        "journal_entries": 97,
        "postings": 96 * 6 + 2,
        "positions": 1,
        "equity": 97,
        "projection_skipped": 0,
        "verdict_checks": 60,
        "decisions": 60,
        "ballots": 120,
        "judgements": 60,
        "model_calls": 60,
        "equity_daily": 1,
    }
    order = dict(zip(ORDERS.c.keys(), found["orders"][0], strict=True))
    assert (order["ord_status"], order["cum_qty"], order["ord_type"], order["avg_px"]) == (
        "FILLED",
        D("0.01"),
        "MARKET",
        D(60001),
    )
    verdicts = {row[4]: row for row in found["verdicts"]}
    assert {name: sum(row[4] == name for row in found["verdicts"]) for name in verdicts} == {
        "APPROVED": 48,
        "DENIED": 12,
    }
    assert verdicts["DENIED"][-2:] == (
        ["MAX_NOTIONAL"],
        [{"code": "MAX_NOTIONAL", "passed": False, "value": "600.00", "limit": "5000"}],
    )
    sums: dict[str, Decimal] = {}
    for *_, asset, amount in found["postings"]:
        sums[asset] = sums.get(asset, D(0)) + amount
    assert sums == {"BTC": 0, "USDT": 0}
    assert position(url) == log[-1].seq


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_the_size_of_batches_leaves_no_trace(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any], batch: int
) -> None:
    """One by one or all at once, into either database: the same rows."""
    url = databases.new()
    store(url, log, batch=batch)
    assert content(url) == expected(log[-1].seq)


def test_applied_twice_books_nothing_twice(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any]
) -> None:
    """A crash between two batches: what is told again, from anywhere before, adds nothing."""
    url = databases.new()
    store(url, log[:200], batch=50)
    store(url, log[100:150], batch=50)
    assert content(url) == expected(log[199].seq)
    store(url, log, batch=64)
    assert content(url) == expected(log[-1].seq)


def test_a_lost_position_turns_nothing_back(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any]
) -> None:
    """Somebody deletes only the position: while the log is read again, no order and no position falls back to an older state."""
    url = databases.new()
    store(url, log, batch=100)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(PROJECTION_POSITION.delete())
    engine.dispose()
    store(url, log[:100], batch=10)
    assert position(url) == log[99].seq
    assert content(url) == expected(log[-1].seq)


def test_rebuilt_from_the_log_it_is_the_same(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any]
) -> None:
    """Dropping everything and reading the log again gives the same tables; the schema goes down and up cleanly."""
    url = databases.new()
    store(url, log, batch=50)
    engine = open_engine(url)
    downgrade(engine)
    with engine.begin() as connection:
        assert not [name for name in METADATA.tables if engine.dialect.has_table(connection, name)]
    migrate(engine)
    engine.dispose()
    store(url, log, batch=33)
    assert content(url) == expected(log[-1].seq)


def test_the_migrations_make_the_tables_the_code_uses(databases: Databases) -> None:
    """Nobody changes a table without a step in the schema's history."""
    engine = open_engine(databases.new())
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


async def test_two_processes_may_open_an_empty_database_at_once(databases: Databases) -> None:
    """The second waits for the first one's migration instead of failing on its tables."""
    url = databases.new()
    opened = await asyncio.gather(*(asyncio.to_thread(Projection.open, url) for _ in range(4)), return_exceptions=True)
    for each in opened:
        assert isinstance(each, Projection)
        each.close()


def test_a_migration_waits_for_who_has_locked_the_file(tmp_path: Path) -> None:
    """Longer than anything else waits for a SQLite file: the first process may be slow with its own migration."""
    file = tmp_path / "ledger.db"
    holder = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    holder.execute("PRAGMA journal_mode=WAL")
    holder.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(1.6, lambda: holder.execute("COMMIT"))
    ending.start()
    engine = open_engine(make_url(f"sqlite:///{file}"))
    try:
        migrate(engine)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 1000, (
                "and then as impatient as ever"
            )
    finally:
        ending.join()
        holder.close()
        engine.dispose()


def test_money_is_exact_in_every_database(databases: Databases) -> None:
    """Thirty digits go in and the same thirty come out."""
    engine = open_engine(databases.new())
    migrate(engine)
    exact = D("123456789012345678.123456789012345678")
    names = [column.name for column in EQUITY.c if column.name not in ("seq", "ts_event", "correlation_id")]
    with engine.begin() as connection:
        connection.execute(
            EQUITY.insert(), {"seq": 1, "ts_event": 1, "correlation_id": "c", **dict.fromkeys(names, exact)}
        )
        assert connection.execute(select(EQUITY.c.equity)).scalar_one() == exact
        assert connection.execute(select(func.count()).select_from(EQUITY)).scalar_one() == 1
    engine.dispose()


# --- what is refused -----------------------------------------------------------------------------------------------------


def test_a_database_of_another_log_is_refused(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any]
) -> None:
    """The event at our position must be the one we stored; otherwise nothing is written."""
    url = databases.new()
    store(url, log[:100], batch=50)
    place = log[99]
    other = LogEntry(place.seq, place.subject, place.payload + b" ")
    for history in ([*log[:99], other, *log[100:200]], log[100:200]):
        with pytest.raises(WrongLog, match=f"stands at event {place.seq} of its log"):
            store(url, history, batch=50)
    assert content(url) == expected(place.seq)


def test_a_database_moved_by_somebody_else_is_not_written(databases: Databases, log: list[LogEntry]) -> None:
    """Another process stored more: the commit is refused, and whoever asks for the position starts over from there."""
    url = databases.new()
    slow, fast = Projection.open(url), Projection.open(url)
    fast.apply(log[:20])
    with pytest.raises(PositionMoved):
        slow.apply(log[:10])
    assert position(url) == log[19].seq
    slow.close()
    fast.close()


def test_an_event_that_cannot_be_stored_does_not_stop_those_behind_it(databases: Databases) -> None:
    """It is named in a table of its own, with its kind of fault and without its content; the others are all there."""
    url = databases.new()
    projection = Projection.open(url)
    skipped = projection.apply(poisons())
    projection.close()
    found = content(url)
    assert [row[0] for row in found["equity"]] == [2, 4, 6, 8, 10, 12]
    assert [each.seq for each in skipped] == [row[0] for row in found["projection_skipped"]] == [1, 3, 5, 7, 9, 11]
    assert [row[2] for row in found["projection_skipped"]][3:] == ["MALFORMED", "MALFORMED", "WRONG_SUBJECT"]
    assert position(url) == 12


@pytest.mark.parametrize("text", ["\x00", "x" * 300])
def test_texts_postgres_cannot_hold_are_skipped(local_postgres: LocalPostgres, text: str) -> None:
    """A NUL character or a key of hundreds of characters is the event's fault, not an outage to wait for."""
    url = local_postgres.new()
    denied = OrderDenied(
        intent_id=text, instrument="BTC-USDT", side="BUY", order_qty=D(1), reasons=(), checks=(), producer="risk"
    )
    projection = Projection.open(url)
    (skipped,) = projection.apply([LogEntry(1, "risk.denied.BTC-USDT", encode(denied))])
    assert skipped.seq == 1
    assert (projection.position(), len(content(url)["verdicts"])) == (1, 0)
    projection.close()


def test_a_full_disk_loses_nothing(tmp_path: Path, log: list[LogEntry], expected: Callable[[int], Any]) -> None:
    """A full disk is an outage: nothing of the batch is there, and the same batch goes in once there is room."""
    url = SqliteFiles(tmp_path).new()
    projection = Projection.open(url)
    projection.apply(log[:10])
    with projection._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 3}")
    with pytest.raises(OperationalError, match="full"):
        projection.apply(log[10:])
    assert content(url) == expected(log[9].seq)
    with projection._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    projection.apply(log[10:])
    projection.close()
    assert content(url) == expected(log[-1].seq)


def test_a_missing_table_is_an_outage(databases: Databases, log: list[LogEntry]) -> None:
    """Somebody dropped a table: no event is blamed for it and passed over; the position stays where it is."""
    url = databases.new()
    projection = Projection.open(url)
    projection.apply(log[:10])
    engine = open_engine(url)
    with engine.begin() as connection:
        EQUITY.drop(connection)
    engine.dispose()
    with pytest.raises(DBAPIError, match="equity"):
        projection.apply(log[10:])
    projection.close()
    assert position(url) == log[9].seq


# --- what dies -----------------------------------------------------------------------------------------------------------


def start_victim(url: URL, how: str, count: int) -> subprocess.Popen[str]:
    victim = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.ledger.victim", how, str(count)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    assert victim.stdin is not None
    victim.stdin.write(url.render_as_string(hide_password=False) + "\n")
    victim.stdin.flush()
    return victim


def end(victim: subprocess.Popen[str]) -> int:
    victim.communicate(timeout=60)
    return victim.returncode


def test_killed_around_a_commit_rows_and_position_agree(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any]
) -> None:
    """SIGKILL just before the commit is sent, and just after it was acknowledged: all of the batch or nothing of it."""
    url = databases.new()
    Projection.open(url).close()
    # in the first life the very first commit event is the migration's
    assert end(start_victim(url, "before_commit", 6)) == -signal.SIGKILL
    cut = position(url)
    assert cut in {entry.seq for entry in log[BATCH - 1 :: BATCH]}
    assert content(url) == expected(cut)
    assert end(start_victim(url, "after_commit", 3)) == -signal.SIGKILL
    assert position(url) > cut
    assert content(url) == expected(position(url))
    assert end(start_victim(url, "run", 0)) == 0
    assert content(url) == expected(log[-1].seq)


def test_killed_anywhere_rows_and_position_agree(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any]
) -> None:
    """SIGKILL from outside at points a seed chooses, life after life, until the log is stored."""
    url, chance, lives = databases.new(), random.Random(7), 0
    while position_or_zero(url) < log[-1].seq:
        victim = start_victim(url, "run", 0)
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        lives += 1
        if lives <= 4:
            try:
                victim.wait(chance.uniform(0.0, 0.08))
            except subprocess.TimeoutExpired:
                victim.kill()
        end(victim)
        assert content(url) == expected(position(url))
    assert content(url) == expected(log[-1].seq)


def position_or_zero(url: URL) -> int:
    projection = Projection.open(url)
    projection.close()
    return projection.position()
