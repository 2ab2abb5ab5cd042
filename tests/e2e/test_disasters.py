"""What docs/runbooks/disasters.md says is walked: a lost database, a log that has gone backwards, a leaked key of a native stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from sqlalchemy import create_engine, text

from libs.research.trials import TrialCounter
from libs.runtime.nats_config import connect_options, key_file
from libs.runtime.snapshots import SnapshotFolder
from libs.runtime.streams import TRADING
from services.cli.backup.holding import own_bus
from services.cli.exit_codes import FINDING, UNAVAILABLE
from services.cli.observer import observing
from tests.e2e.ledger.databases import LocalPostgres, content, store
from tests.e2e.research.noting import a_trial
from tests.e2e.stack_stand import Stack
from tests.e2e.test_cli import SEED, answer_of, write, write_map
from tests.nats_stack import NatsStack
from tests.recorded_log import recorded_log

LOG = recorded_log(SEED)
END = LOG[-1].seq


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


async def test_a_lost_database_is_made_again_from_log_and_backup(
    stack: NatsStack, postgres: LocalPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped with all that was in it: the tables come from the log, row for row, the trials from the backup, and the books are proven against the log."""
    url, folder = postgres.new(), tmp_path / "backup"
    store(url, list(LOG), batch=500)
    counter = TrialCounter.open(url)
    counter.note(a_trial())
    counter.close()
    before = content(url)
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    await answer_of(stack.home, "backup", "--to", str(folder))
    admin = create_engine(postgres.admin, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {url.database} WITH (FORCE)"))
        gone = await answer_of(stack.home, "ledger", "verify", code=UNAVAILABLE)
        assert "database" in gone["error"]
        connection.execute(text(f"CREATE DATABASE {url.database}"))
    admin.dispose()
    place = url.render_as_string(hide_password=False)
    made = await answer_of(stack.home, "ledger", "rebuild", "--into", place)
    assert content(url) == before
    checked = await answer_of(stack.home, "ledger", "rebuild", "--check")
    assert (checked["digest"], checked["difference"]) == (made["digest"], None)
    assert (await answer_of(stack.home, "ledger", "verify"))["findings"] == []
    assert (await answer_of(stack.home, "backup", "trials", str(folder)))["rows"] == 1
    counter = TrialCounter.open(url)
    assert (counter.count(), counter.runs()) == (1, 1)
    counter.close()


async def test_a_log_that_went_backwards_is_refused_by_everybody_and_comes_back_beside_itself(
    stack: NatsStack, tmp_path: Path
) -> None:
    """Somebody has put an old copy of the bus's folder back. Nothing starts on it, nothing is copied over the longer backup; that one is restored into a folder
    of its own, whole, and the short log stays as it is for whoever asks why."""
    folder, old = tmp_path / "backup", tmp_path / "old"
    await answer_of(stack.home, "backup", "--to", str(folder))
    SnapshotFolder(stack.home, "ledger").save_watermark(TRADING, END)
    await stack.stop()
    store_folder = stack.home / "nats" / "store"
    await answer_of(old, "restore", str(folder), "--to-event", "40")
    shutil.rmtree(store_folder)
    shutil.copytree(old / "nats" / "store", store_folder)
    short = 42  # 40 events, the restore and its halt
    running = Stack(stack.home, ())
    assert await running.ended() == UNAVAILABLE
    assert running.shows(f"events are lost: the log {TRADING} held {END}")
    assert running.shows(f"the bus has {short}")
    refused = await answer_of(stack.home, "backup", "--to", str(folder), code=FINDING)
    assert f"the backup holds the log up to {END + 1}" in refused["error"] or f"up to {END}" in refused["error"]
    assert "restore" in refused["what_to_do"]
    new = tmp_path / "new"
    restored = await answer_of(new, "restore", str(folder))
    assert restored["last_seq"] >= END
    assert (await answer_of(new, "replay", "--from-file", str(folder)))["clean"]
    async with own_bus(new) as place, observing(place) as observer:
        assert [entry async for entry in observer.entries(1, END)] == list(LOG)
    async with own_bus(stack.home) as place, observing(place) as observer:
        assert (await observer.size()).last_seq == short, "nobody has written into the short one"


async def test_a_leaked_key_of_a_native_stack_is_made_anew_and_the_old_one_opens_nothing(
    stack: NatsStack, tmp_path: Path
) -> None:
    """Its file moved out while the stack is down: the next start makes another, lets that in and the leaked one no more; the log is as it was."""
    await stack.stop()
    key, leaked = key_file(stack.home, "cli"), tmp_path / "thief" / "keys" / "cli.nk"
    leaked.parent.mkdir(parents=True)
    shutil.move(key, leaked)
    thief = Client()
    async with own_bus(stack.home) as place, observing(place) as observer:
        assert key.read_bytes() != leaked.read_bytes()
        options = {**connect_options(stack.home, "cli", place.nats_url), "allow_reconnect": False}
        ours = Client()
        await ours.connect(**options)
        await ours.flush(5)
        await ours.close()
        with pytest.raises(Exception, match=r"(?i)authorization"):
            await thief.connect(
                **{**connect_options(tmp_path / "thief", "cli", place.nats_url), "allow_reconnect": False}
            )
        assert (await observer.size()).last_seq == END
    await thief.close()
