"""The SQL projection on real databases: exactly what was read, whatever dies when."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, func, select, update
from sqlalchemy.exc import OperationalError

from libs.common.codec import encode
from libs.common.messages import EquityChanged, OrderDenied
from libs.runtime.adapter import LogEntry
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from services.ledger.adapters.database import downgrade, migrate, open_engine
from services.ledger.adapters.follower import SqlProjection
from services.ledger.adapters.projection import PositionMoved, Projection, WrongLog
from services.ledger.adapters.tables import EQUITY, METADATA, ORDERS, PROJECTION_POSITION
from services.ledger.settings import Settings
from tests.e2e.databases import (
    Databases,
    LocalPostgres,
    Postgres,
    SqliteFiles,
    container_or_skip,
    content,
    position,
    up_to,
)
from tests.e2e.ledger_log import FollowableLog, Lines, a_log, context_of
from tests.e2e.ledger_victim import BATCH, CYCLES

ROOT = Path(__file__).parents[2]
D = Decimal


@pytest.fixture(scope="session")
def local_postgres() -> Iterator[LocalPostgres]:
    """One real Postgres server for the session."""
    server = LocalPostgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def container_postgres() -> Iterator[Postgres]:
    """One Postgres container for the session."""
    from sqlalchemy import make_url

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


def store(url: URL, entries: list[LogEntry], *, batch: int) -> None:
    projection = Projection.open(url)
    for start in range(0, len(entries), batch):
        projection.apply(entries[start : start + batch])
    projection.close()


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (the condition lies in another process or thread)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def following(
    url: URL, log: FollowableLog, monkeypatch: pytest.MonkeyPatch, lines: Lines | None = None, **settings: Any
) -> AsyncIterator[SqlProjection]:
    """The adapter at work, as the shell would run it."""
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    adapter = SqlProjection(Settings(**{"projection_batch_ms": 20, **settings}))
    await adapter.open(context_of(log, lines or Lines()))
    try:
        yield adapter
    finally:
        await adapter.close()


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


def poisons(log: list[LogEntry]) -> list[LogEntry]:
    """Events that cannot be stored, each between two that can; `seq` from 1 on."""
    equity = EquityChanged(
        balance=D(1),
        equity=D(1),
        realized_pnl=D(0),
        unrealized_pnl=D(0),
        high_water_mark=D(1),
        drawdown=D(0),
        producer="ledger",
    )
    denied = OrderDenied(
        intent_id="i", instrument="BTC-USDT", side="BUY", order_qty=D(1), reasons=(), checks=(), producer="risk"
    )
    events = [
        ("ledger.equity", encode(msgspec.structs.replace(equity, balance=D("1E+999999")))),
        ("ledger.equity", encode(msgspec.structs.replace(equity, ts_event=2**70))),
        ("risk.denied.BTC-USDT", encode(msgspec.structs.replace(denied, ts_event=-(2**64)))),
        ("ledger.equity", b'{"type":"equity_changed.v1"}'),
        ("ledger.equity", b"\xff\x00"),
        ("ledger.position.BTC-USDT", encode(equity)),
    ]
    entries = []
    for index, (subject, payload) in enumerate(events):
        entries.append(LogEntry(2 * index + 1, subject, payload))
        entries.append(LogEntry(2 * index + 2, "ledger.equity", encode(equity)))
    return entries


def test_an_event_that_cannot_be_stored_does_not_stop_those_behind_it(
    databases: Databases, log: list[LogEntry]
) -> None:
    """It is named in a table of its own, with its kind of fault and without its content; the others are all there."""
    url = databases.new()
    projection = Projection.open(url)
    skipped = projection.apply(poisons(log))
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
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(OperationalError, match="full"):
        projection.apply(log[10:])
    assert content(url) == expected(log[9].seq)
    with projection._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    projection.apply(log[10:])
    projection.close()
    assert content(url) == expected(log[-1].seq)


# --- what dies -----------------------------------------------------------------------------------------------------------


def start_victim(url: URL, how: str, count: int) -> subprocess.Popen[str]:
    victim = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.ledger_victim", how, str(count)],
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


# --- the adapter ---------------------------------------------------------------------------------------------------------


async def test_the_projection_follows_the_log(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is stored, what comes is stored, and after a restart it goes on where the database stands."""
    url, growing = databases.new(), FollowableLog(log[:150])
    async with following(url, growing, monkeypatch, projection_batch_max=40) as adapter:
        await until(lambda: adapter.lag().position == log[149].seq)
        growing.extend(log[150:200])
        await until(lambda: adapter.lag().position == log[199].seq)
        lag = adapter.lag()
        assert (lag.state, lag.events, lag.oldest_s) == ("FOLLOWING", 0, 0.0)
    async with following(url, growing, monkeypatch) as adapter:
        growing.extend(log[200:])
        await until(lambda: adapter.lag().position == log[-1].seq)
    assert growing.asked_from == [1, log[199].seq]
    assert content(url) == expected(log[-1].seq)


async def test_a_killed_database_is_waited_for_and_caught_up(
    local_postgres: LocalPostgres, log: list[LogEntry], expected: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server crashes between batches and comes back: the state is told once each time, and nothing is missing or double."""
    url, growing, lines = local_postgres.new(), FollowableLog(log[:100]), Lines()
    async with following(url, growing, monkeypatch, lines, projection_batch_max=10) as adapter:
        await until(lambda: adapter.lag().position == log[99].seq)
        await asyncio.to_thread(local_postgres.kill)
        growing.extend(log[100:300])
        await until(lambda: adapter.lag().state == "DOWN")
        await asyncio.sleep(1.0)  # several attempts
        assert adapter.lag().state == "DOWN"
        await asyncio.to_thread(local_postgres.start)
        growing.extend(log[300:])
        await until(lambda: adapter.lag().position == log[-1].seq)
    assert len(lines.said("projection down")) == 1
    assert len(lines.said("projection following")) == 2
    assert content(url) == expected(log[-1].seq)


async def test_a_locked_sqlite_file_is_waited_for(
    tmp_path: Path, log: list[LogEntry], expected: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the file's write lock for longer than a commit waits."""
    url, growing = SqliteFiles(tmp_path).new(), FollowableLog(log)
    migrate(engine := open_engine(url))
    with engine.begin():
        async with following(url, growing, monkeypatch) as adapter:
            await until(lambda: adapter.lag().state == "DOWN")
            assert "locked" in adapter.lag().reason
    async with following(url, growing, monkeypatch) as adapter:
        await until(lambda: adapter.lag().position == log[-1].seq)
    engine.dispose()
    assert content(url) == expected(log[-1].seq)


async def test_a_hanging_database_stops_nobody(
    local_postgres: LocalPostgres, log: list[LogEntry], expected: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that waits for a lock shows as lag while everything else in the process goes on."""
    url, growing = local_postgres.new(), FollowableLog(log[:50])
    async with following(url, growing, monkeypatch) as adapter:
        await until(lambda: adapter.lag().position == log[49].seq)
        engine = open_engine(url)
        with engine.begin() as connection:
            connection.execute(update(PROJECTION_POSITION).values(seq=PROJECTION_POSITION.c.seq))
            growing.extend(log[50:])
            await until(lambda: adapter.lag().events == len(log) - 50)
            lag = adapter.lag()
            assert (lag.state, lag.position) == ("FOLLOWING", log[49].seq)
            assert 59 < lag.oldest_s <= 60
        engine.dispose()
        await until(lambda: adapter.lag().position == log[-1].seq)
    assert content(url) == expected(log[-1].seq)


async def test_a_database_emptied_under_it_is_filled_again(
    databases: Databases, log: list[LogEntry], expected: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old backup is restored while the ledger runs: it notices at the next commit and reads what is missing."""
    url, growing = databases.new(), FollowableLog(log[:300])
    async with following(url, growing, monkeypatch) as adapter:
        await until(lambda: adapter.lag().position == log[299].seq)
        engine = open_engine(url)
        downgrade(engine)
        migrate(engine)
        engine.dispose()
        growing.extend(log[300:])
        await until(lambda: position(url) == log[-1].seq)
    assert content(url) == expected(log[-1].seq)


@pytest.mark.parametrize("kind", ["shorter", "another"])
async def test_a_log_that_went_backwards_is_refused(
    databases: Databases,
    log: list[LogEntry],
    expected: Callable[[int], Any],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """The state folder was emptied, the database was not: it is left alone, and the reason says what to do."""
    url, lines = databases.new(), Lines()
    store(url, log[:100], batch=50)
    wrong = (
        _BackwardsLog(log[:50])
        if kind == "shorter"
        else FollowableLog([LogEntry(each.seq + 1, each.subject, each.payload) for each in log])
    )
    async with following(url, wrong, monkeypatch, lines) as adapter:
        await until(lambda: adapter.lag().state == "REFUSED")
        assert "filled again" in adapter.lag().reason
    assert len(lines.said("projection refused")) == 1
    assert content(url) == expected(log[99].seq)


class _BackwardsLog(FollowableLog):
    """A log that ends before the place asked for: what is appended next is all there is to read."""

    async def read(self, durable: str, from_seq: int) -> AsyncIterator[LogEntry]:
        assert from_seq > self.entries[-1].seq
        async for entry in super().read(durable, self.entries[-1].seq):
            yield entry


async def test_what_was_left_out_is_logged(
    tmp_path: Path, log: list[LogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event the tables lack is named in the service's log, without its content."""
    lines, entries = Lines(), poisons(log)
    async with following(SqliteFiles(tmp_path).new(), FollowableLog(entries), monkeypatch, lines) as adapter:
        await until(lambda: adapter.lag().position == entries[-1].seq)
    assert [fields["seq"] for fields in lines.said("event left out of SQL")] == [1, 3, 5, 7, 9, 11]


async def test_a_log_that_ends_is_opened_again(
    tmp_path: Path, log: list[LogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of the log gave up: what it had read is not lost, and the next life reads on."""

    class Ending(FollowableLog):
        async def read(self, durable: str, from_seq: int) -> AsyncIterator[LogEntry]:
            self.asked_from.append(from_seq)
            for entry in up_to(self.entries, 60 * len(self.asked_from)):
                if entry.seq >= from_seq:
                    yield entry
            await asyncio.sleep(0.1)

    ending = Ending(log)
    async with following(SqliteFiles(tmp_path).new(), ending, monkeypatch, projection_batch_ms=0) as adapter:
        await until(lambda: adapter.lag().position >= 120)
    assert len(ending.asked_from) >= 2


async def test_the_ledger_asks_the_world_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request would be a defect, and is said to be one."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    asked = Asked("r", Request(valid_until=0), 1, 0, "", "")
    with pytest.raises(NotImplementedError, match="asks the world for nothing"):
        await SqlProjection(Settings()).perform(asked)


async def test_a_password_never_reaches_the_service_log(monkeypatch: pytest.MonkeyPatch, log: list[LogEntry]) -> None:
    """A database that cannot be reached is described without the URL's password."""
    lines = Lines()
    url = URL.create("postgresql+psycopg", "bulkhead", "hunter2-hunter2", "127.0.0.1", 1, "book")
    async with following(url, FollowableLog(log), monkeypatch, lines) as adapter:
        await until(lambda: adapter.lag().state == "DOWN")
    assert lines.said("projection down")
    assert "hunter2" not in repr(lines.lines)


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
