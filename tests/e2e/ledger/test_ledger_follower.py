"""The reader that keeps SQL up to date: what it does while databases die, hang, move and lie."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import URL, Engine, event, update

from libs.common.messages import Message, ProjectionBreakerChanged
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import BusError
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from services.ledger.adapters import outage
from services.ledger.adapters.database import downgrade, migrate, open_engine
from services.ledger.adapters.follower import SqlProjection
from services.ledger.adapters.tables import PROJECTION_POSITION
from services.ledger.books import Books
from services.ledger.settings import Settings
from tests.e2e.ledger.databases import Databases, LocalPostgres, SqliteFiles, content, position, store, up_to
from tests.e2e.ledger.followable_log import FollowableLog, Lines, context_of, poisons


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (the condition lies in another process or thread)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def following(
    url: URL,
    log: FollowableLog,
    monkeypatch: pytest.MonkeyPatch,
    lines: Lines | None = None,
    said: list[Message] | None = None,
    registry: CollectorRegistry | None = None,
    state: Any = None,
    **settings: Any,
) -> AsyncIterator[SqlProjection]:
    """The adapter at work, as the shell would run it."""
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    adapter = SqlProjection(Settings(**{"projection_batch_ms": 20, **settings}))
    context = context_of(log, lines or Lines(), said, state)
    context.registry = registry
    await adapter.open(context)
    try:
        yield adapter
    finally:
        await adapter.close()


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
    said: list[Message] = []
    async with following(url, growing, monkeypatch, lines, said, projection_batch_max=10) as adapter:
        await until(lambda: adapter.lag().position == log[99].seq)
        await asyncio.to_thread(local_postgres.kill)
        growing.extend(log[100:300])
        await until(lambda: "OPEN" in _states(said))
        assert adapter.lag().state == "DOWN"
        await asyncio.to_thread(local_postgres.start)
        growing.extend(log[300:])
        await until(lambda: adapter.lag().position == log[-1].seq)
    assert len(lines.said("projection down")) == 1
    assert len(lines.said("projection following")) == 2
    assert _is_a_proper_outage(_states(said))
    assert content(url) == expected(log[-1].seq)


def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses a test can wait for."""
    quick = msgspec.structs.replace(outage.LIMITS, open_ns_first=50_000_000, open_ns_max=100_000_000)
    monkeypatch.setattr(outage, "LIMITS", quick)


def _states(said: list[Message]) -> list[str]:
    return [each.state for each in said if isinstance(each, ProjectionBreakerChanged)]


def _is_a_proper_outage(states: list[str]) -> bool:
    """OPEN, then a probe before every further OPEN and before CLOSED."""
    return states == ["OPEN", *["HALF_OPEN", "OPEN"] * ((len(states) - 3) // 2), "HALF_OPEN", "CLOSED"]


async def test_a_full_disk_opens_the_breaker_and_nothing_is_lost(
    tmp_path: Path, log: list[LogEntry], expected: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may not grow: it can be opened and read, no commit succeeds, and once there is room all of it is there."""
    url, growing, said, lines = SqliteFiles(tmp_path).new(), FollowableLog(log[:100]), [], Lines()
    _quick(monkeypatch)
    store(url, log[:50], batch=50)

    def fill_the_disk(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")  # becomes what it has

    event.listen(Engine, "connect", fill_the_disk)
    try:
        async with following(url, growing, monkeypatch, lines, said) as adapter:
            growing.extend(log[100:])
            await until(lambda: _states(said).count("OPEN") >= 3)
            assert "full" in said[0].reason
            assert (adapter.lag().state, position(url)) == ("DOWN", log[49].seq)
            lives = len(growing.asked_from)
            event.remove(Engine, "connect", fill_the_disk)
            await until(lambda: adapter.lag().position == log[-1].seq)
            assert adapter.lag().state == "FOLLOWING"
    finally:
        if event.contains(Engine, "connect", fill_the_disk):
            event.remove(Engine, "connect", fill_the_disk)
    assert lives < 20
    assert len(lines.said("projection down")) <= outage.LIMITS.failures_in_a_row_max
    assert _is_a_proper_outage(_states(said))
    assert content(url) == expected(log[-1].seq)


async def test_a_locked_sqlite_file_opens_the_breaker_until_it_is_free(
    tmp_path: Path, log: list[LogEntry], expected: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection holds the write lock: three tries, then only probes; when it lets go, the metric and the machine hear of it."""
    url, said, registry = SqliteFiles(tmp_path).new(), [], CollectorRegistry()
    _quick(monkeypatch)
    migrate(engine := open_engine(url))

    def metric(name: str) -> float | None:
        return registry.get_sample_value(f"bulkhead_breaker_{name}", {"service": "ledger", "name": "projection"})

    async with following(url, FollowableLog(log), monkeypatch, said=said, registry=registry) as adapter:
        with engine.begin():
            await until(lambda: "OPEN" in _states(said))
            assert "locked" in said[0].reason
            assert said[0].retry_at > said[0].ts_init
            assert metric("state") in (1, 2)
        await until(lambda: adapter.lag().position == log[-1].seq)
    engine.dispose()
    assert _states(said)[-2:] == ["HALF_OPEN", "CLOSED"]
    assert metric("state") == 0
    assert (metric("openings_total") or 0) >= 1
    assert content(url) == expected(log[-1].seq)


async def test_a_start_after_an_outage_tells_that_it_is_over(
    tmp_path: Path, log: list[LogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ended while its breaker was open: its machine still believes so until the first commit of the next one."""
    said: list[Message] = []
    books = Books(projection="OPEN")
    async with following(SqliteFiles(tmp_path).new(), FollowableLog(log), monkeypatch, said=said, state=books):
        await until(lambda: bool(said))
    assert _states(said) == ["CLOSED"]


async def test_a_log_that_ends_says_nothing_of_the_database(
    tmp_path: Path, log: list[LogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus goes away again and again: lives end, the breaker stays closed."""
    _quick(monkeypatch)
    said: list[Message] = []

    class Ending(FollowableLog):
        async def read(self, durable: str, from_seq: int) -> AsyncIterator[LogEntry]:
            self.asked_from.append(from_seq)
            raise BusError("away")
            yield

    ending = Ending(log)
    async with following(SqliteFiles(tmp_path).new(), ending, monkeypatch, said=said):
        await until(lambda: len(ending.asked_from) >= 4)
    assert said == []


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
    said: list[Message] = []
    async with following(url, wrong, monkeypatch, lines, said) as adapter:
        await until(lambda: adapter.lag().state == "REFUSED")
        assert "filled again" in adapter.lag().reason
    assert len(lines.said("projection refused")) == 1
    (told,) = said
    assert isinstance(told, ProjectionBreakerChanged)
    assert (told.state, told.retry_at, told.reason) == ("OPEN", 0, adapter.lag().reason)
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
    lines, entries = Lines(), poisons()
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
