"""The release before this one on the tables of this one: it starts, books and reads. And what becomes of code on tables that were made for its successors."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

from services.ledger.adapters.schema import MIGRATIONS
from tests.e2e.ledger.databases import LocalPostgres
from tests.e2e.ledger.migration_rule import planted, step
from tests.e2e.ledger.test_ledger_process import say
from tests.nats_stack import NatsStack
from tests.previous_release import environment_of, previous_tree
from tests.unit.ledger.conversation import marks, reconciled, status, trade

HERE = Path(__file__).parents[3]
FILLS = 6
EXPANDING = ("0003_needs_0002", "op.add_column('fills', sa.Column('note', sa.Text(), nullable=True))")
BREAKING = ("0003_needs_0002", "op.add_column('fills', sa.Column('note', sa.Text(), nullable=False))")
CONTRACT = ("0003_needs_0003", "op.drop_column('fills', 'liquidity_side')")


@contextmanager
def ledger_of(tree: Path, stack: NatsStack, url: URL) -> Iterator[subprocess.Popen[bytes]]:
    """The ledger of the code in `tree` as a process, writing into `url`."""
    settings = {"BULKHEAD_HOME": str(stack.home), "BULKHEAD_NATS_URL": stack.url, "BULKHEAD_PROJECTION_BATCH_MS": "10"}
    settings["DATABASE_URL"] = url.render_as_string(hide_password=False)
    with (stack.home / "ledger.log").open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.ledger"],
            cwd=tree,
            env=environment_of(tree, **settings),
            stdout=lines,
            stderr=lines,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


async def told_of_fills(stack: NatsStack) -> None:
    """The bus holds what a book of six purchases is made of."""
    feed, executor = await stack.connect("market-feed"), await stack.connect("order-executor")
    await say(feed, status(), 1)
    await say(feed, marks(BTC_USDT=60000.0), 2)
    await say(executor, reconciled(USDT="100000"), 3)
    for number in range(10, 10 + FILLS):
        await say(executor, trade(str(number), "BUY", "0.01", "60000", "0.00001", "BTC"), number)


def booked(url: URL) -> int:
    """How many fills stand in the tables."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = int(connection.execute(text("SELECT count(*) FROM fills")).scalar_one())
    engine.dispose()
    return found


async def until(holds: Callable[[], bool], process: subprocess.Popen[bytes], stack: NatsStack) -> None:
    """Return once it holds, while the process lives."""
    async with asyncio.timeout(40):
        while not holds():
            assert process.poll() is None, words_of(stack)
            await asyncio.sleep(0.1)


def words_of(stack: NatsStack) -> str:
    """What the ledger has said."""
    return (stack.home / "ledger.log").read_text()


def read_by(tree: Path, url: URL) -> dict[str, Any]:
    """What `bulkhead ledger verify` of that code says of the tables."""
    words = ["ledger", "verify", "--without-log", "--json", "--database", url.render_as_string(hide_password=False)]
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *words],
        cwd=tree,
        env=environment_of(tree),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def migrated_by(database: LocalPostgres, tmp_path: Path, plan: tuple[str, str] | None) -> URL:
    """A database with today's tables, or with those of a step that has yet to be made."""
    url = database.new()
    step(url, planted(tmp_path / "migrations", *plan) if plan else MIGRATIONS)
    return url


async def test_the_previous_release_books_on_todays_tables(
    nats: NatsStack, local_postgres: LocalPostgres, tmp_path: Path
) -> None:
    """Its own code, from git, against a database that this code has migrated: every fill is booked, and its own audit reads them."""
    tree, url = previous_tree(), migrated_by(local_postgres, tmp_path, None)
    await told_of_fills(nats)
    with ledger_of(tree, nats, url) as process:
        await until(lambda: booked(url) == FILLS, process, nats)
    answer = read_by(tree, url)
    assert (answer["ok"], answer["tables"]["entries"]) == (True, FILLS + 1)


async def test_this_release_books_on_tables_that_the_next_one_added_to(
    nats: NatsStack, local_postgres: LocalPostgres, tmp_path: Path
) -> None:
    """What is asked of the previous release today will be asked of this one tomorrow."""
    url = migrated_by(local_postgres, tmp_path, EXPANDING)
    await told_of_fills(nats)
    with ledger_of(HERE, nats, url) as process:
        await until(lambda: booked(url) == FILLS, process, nats)
    assert read_by(HERE, url)["ok"]


@pytest.mark.parametrize(("plan", "word"), [(BREAKING, "event left out of SQL"), (CONTRACT, "projection refused")])
async def test_a_breaking_step_is_seen(
    nats: NatsStack, local_postgres: LocalPostgres, tmp_path: Path, plan: tuple[str, str], word: str
) -> None:
    """Called an addition, a column that must be given makes the older code leave out every row. Called a contract, it is refused before it is touched."""
    url = migrated_by(local_postgres, tmp_path, plan)
    await told_of_fills(nats)
    with ledger_of(HERE, nats, url) as process:
        await until(lambda: word in words_of(nats), process, nats)
    assert booked(url) == 0
