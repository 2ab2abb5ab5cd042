"""What stands in Postgres and in no log goes with the backup, and comes back: trials that were counted, studies that were run."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

from libs.common.messages import RestoreProven
from libs.research.sweep import Sweep, parsed, study_storage
from libs.research.trials import TrialCounter
from services.cli.backup import copying, drilling
from services.cli.backup.archive import BadArchive, read_manifest
from services.cli.backup.copying import Made
from services.cli.backup.drilling import Drilled, is_due, keep_drilled, last_drill
from services.cli.backup.project_facts import EXPORT, NotEmpty, exported, put_back, read_facts
from services.cli.exit_codes import FINDING, NOT_YET, UNAVAILABLE, Failure
from services.cli.observer import observing
from services.cli.place import find_place
from services.ledger.adapters.projection import Projection
from tests.e2e.ledger.databases import LocalPostgres
from tests.e2e.research.noting import a_trial
from tests.e2e.test_cli import SEED, answer_of, write, write_map
from tests.nats_stack import NatsStack
from tests.recorded_log import message_of, recorded_log

RANGES = (parsed("BULKHEAD_A=0:10"), parsed("BULKHEAD_B=x|y"))
STUDIED = 6
LOG = recorded_log(SEED)


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)
    return


@pytest.fixture
async def stack(nats: NatsStack) -> NatsStack:
    """A server with a day's log in miniature, and the map that `bulkhead up` would have written."""
    await write(nats, LOG)
    write_map(nats.home, nats.url)
    return nats


@pytest.fixture
def researched(postgres: LocalPostgres) -> URL:
    """A database with the ledger's tables, three trials and a study."""
    url = postgres.new()
    Projection.open(url).close()
    counter = TrialCounter.open(url)
    for place, ratio in enumerate((0.05, -0.01, float("nan"))):
        counter.note(a_trial(settings_digest=f"s{place}", sharpe=ratio))
    counter.close()
    study(url, STUDIED)
    return url


def study(url: URL, until: int) -> Sweep:
    """Take part in the study until it has so many trials."""
    storage = study_storage(url)
    found = Sweep(storage, "hill", RANGES, seed=1)
    found.run(until, hill)
    storage.engine.dispose()
    return found


def hill(settings: Mapping[str, str]) -> tuple[float, dict[str, Any]]:
    """Best at 7."""
    return -float((int(settings["BULKHEAD_A"]) - 7) ** 2), {"trades": 3}


def told(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def dropped(url: URL) -> None:
    """The database as after a loss: there, and empty."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA IF EXISTS sweeps CASCADE"))
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


def test_a_database_that_was_lost_counts_on_where_it_was(researched: URL) -> None:
    """Out and back is the same bytes; the next trial is a new row, the repeated one is counted again, and the study goes on."""
    content = exported(researched)
    names = {table.name for part in read_facts(content).parts for table in part.tables}
    assert "trials" in names
    assert "studies" in names
    assert "fills" not in names, "the ledger's tables come from the log"
    dropped(researched)
    assert put_back(content, researched) == read_facts(content).count > 3 + STUDIED
    assert exported(researched) == content
    counter = TrialCounter.open(researched)
    assert not counter.note(a_trial(settings_digest="s0"))
    assert counter.note(a_trial(settings_digest="new"))
    assert (counter.count(), counter.runs()) == (4, 5)
    counter.close()
    assert study(researched, STUDIED + 2).ended == STUDIED + 2


def test_it_goes_back_into_a_file_too_and_never_among_what_is_there(researched: URL, tmp_path: Path) -> None:
    """SQLite takes what Postgres held; a database that holds a single trial is left as it is, and so is one when the file is damaged."""
    content = exported(researched)
    file = URL.create("sqlite", database=str(tmp_path / "trials.db"))
    put_back(content, file)
    assert read_facts(exported(file)) == read_facts(content)
    with pytest.raises(NotEmpty, match="holds rows already"):
        put_back(content, researched)
    assert exported(researched) == content
    for bad in (b"{", content.replace(b'"format":1', b'"format":2'), content.replace(b'"sharpe"', b'"shape"')):
        with pytest.raises(BadArchive, match=EXPORT):
            put_back(bad, URL.create("sqlite", database=str(tmp_path / f"{len(bad)}.db")))


async def test_one_command_covers_the_log_and_what_no_log_makes(
    stack: NatsStack, researched: URL, postgres: LocalPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup holds them, the drill brings them back into an empty database, `backup trials` into the lost one. Whoever backs up without knowing of
    the database takes nothing out of the backup."""
    folder, content = tmp_path / "backup", exported(researched)
    monkeypatch.setenv("DATABASE_URL", told(researched))
    made = await answer_of(stack.home, "backup", "--to", str(folder))
    assert made["files"] == [EXPORT]
    drilled = await answer_of(stack.home, "backup", "drill", str(folder))
    assert drilled["facts"] == read_facts(content).count
    refused = await answer_of(stack.home, "backup", "trials", str(folder), code=NOT_YET)
    assert "holds rows already" in refused["error"]
    monkeypatch.delenv("DATABASE_URL")
    assert (await answer_of(stack.home, "backup", "--to", str(folder)))["files"] == [EXPORT]
    dropped(researched)
    monkeypatch.setenv("DATABASE_URL", told(researched))
    back = await answer_of(stack.home, "backup", "trials", str(folder))
    assert back["rows"] == drilled["facts"]
    assert exported(researched) == content


async def test_a_restored_book_has_them_where_its_settings_say(
    stack: NatsStack, researched: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file of the new state folder where there is no Postgres; beside a database that still has them nothing is touched, and it is said where they are."""
    folder, content = tmp_path / "backup", exported(researched)
    monkeypatch.setenv("DATABASE_URL", told(researched))
    await answer_of(stack.home, "backup", "--to", str(folder))
    beside = await answer_of(tmp_path / "beside", "restore", str(folder))
    assert "not put back" in beside["facts"]
    assert (tmp_path / "beside" / EXPORT).read_bytes() == content
    monkeypatch.delenv("DATABASE_URL")
    alone = await answer_of(tmp_path / "alone", "restore", str(folder))
    assert "put back into sqlite" in alone["facts"]
    file = URL.create("sqlite", database=str(tmp_path / "alone" / "trials.db"))
    assert read_facts(exported(file)) == read_facts(content)
    none = await answer_of(tmp_path / "alone", "backup", "trials", str(folder), code=NOT_YET)
    assert "nothing was put back" in none["error"]


async def test_a_database_that_is_away_does_not_hold_up_the_log(
    stack: NatsStack, researched: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is copied and told, the former copy of the trials stays, and the command says that something is missing."""
    folder = tmp_path / "backup"
    monkeypatch.setenv("DATABASE_URL", told(researched))
    await answer_of(stack.home, "backup", "--to", str(folder))
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    made = await answer_of(stack.home, "backup", "--to", str(folder), code=UNAVAILABLE)
    assert "trials and studies were not copied" in made["missing"]
    assert made["event"] > 0
    assert made["files"] == [EXPORT]
    heard: list[Made | Failure] = []
    monkeypatch.setattr(copying, "LOOK_EVERY_S", 0.05)
    stop = asyncio.Event()
    following = asyncio.create_task(copying.keep_backed_up(find_place(stack.home), folder, heard.append, stop))
    async with asyncio.timeout(30):
        while not any(isinstance(each, Failure) for each in heard):
            assert not following.done()
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.wait_for(following, 20)
    assert len([each for each in heard if isinstance(each, Failure)]) == 1, "it is complained of once"
    assert read_manifest(folder).last_seq > made["last_seq"]


# --- drills on a schedule -------------------------------------------------------------------------------------------


def test_a_drill_is_due_when_none_was_or_the_last_is_old_or_failed() -> None:
    """A failed one is tried again after an hour, a good one after so many days."""
    hour, now = 3600 * 10**9, time.time_ns()
    good, bad = Drilled(ended_at=now, code=0, said=""), Drilled(ended_at=now, code=FINDING, said="")
    assert is_due(None, 7, now)
    assert [is_due(good, 7, now + days * 24 * hour) for days in (6, 7)] == [False, True]
    assert [is_due(bad, 7, now + hours * hour) for hours in (0, 1)] == [False, True]


async def test_a_follower_proves_its_own_backup(
    stack: NatsStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once there is something to prove it is brought back in a process of its own; the log holds that it worked, the folder when; the next one waits."""
    folder, heard, stop = tmp_path / "backup", list[Drilled | Failure](), asyncio.Event()
    monkeypatch.setattr(drilling, "LOOK_EVERY_S", 0.05)
    drilled = asyncio.create_task(keep_drilled(stack.home, folder, 7, heard.append, stop))
    await asyncio.sleep(0.2)
    assert not heard, "there is nothing yet"
    await answer_of(stack.home, "backup", "--to", str(folder))
    async with asyncio.timeout(60):
        while not heard:
            assert not drilled.done()
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    stop.set()
    await drilled
    (one,) = heard
    assert isinstance(one, Drilled), one
    answer = json.loads(one.said)
    assert last_drill(folder) == one
    async with observing(find_place(stack.home)) as observer:
        entry = await observer.entry_at(answer["event"])
    assert entry is not None
    assert isinstance(message_of(entry), RestoreProven)


async def test_a_drill_that_fails_is_told_and_one_that_is_ended_leaves_nothing(
    stack: NatsStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged backup is a finding, and tried again later; who stops meanwhile ends the bus that was being filled."""
    folder, heard = tmp_path / "backup", list[Drilled | Failure]()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(drilling, "LOOK_EVERY_S", 0.05)
    await answer_of(stack.home, "backup", "--to", str(folder))
    stop = asyncio.Event()
    drilled = asyncio.create_task(keep_drilled(stack.home, folder, 7, heard.append, stop))
    async with asyncio.timeout(30):
        while not list(scratch.glob("bulkhead-drill-*/home")):  # noqa: ASYNC110  (another process makes it)
            await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(drilled, 30)
    assert (heard, list(scratch.glob("bulkhead-drill-*")), last_drill(folder)) == ([], [], None)
    tail = folder / "TRADING_0001-000000000001.jsonl"
    tail.write_bytes(tail.read_bytes().replace(b"feed.marks", b"feed.marxs", 1))
    stop = asyncio.Event()
    drilled = asyncio.create_task(keep_drilled(stack.home, folder, 7, heard.append, stop))
    async with asyncio.timeout(60):
        while not heard:
            assert not drilled.done()
            await asyncio.sleep(0.05)
    stop.set()
    await drilled
    (failed,) = heard
    assert isinstance(failed, Failure)
    assert "was altered" in failed.text
    last = last_drill(folder)
    assert last is not None
    assert last.code != 0
