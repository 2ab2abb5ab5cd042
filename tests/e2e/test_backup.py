"""A backup on real servers: what is copied, what is refused, what comes back, and what a restored book does before a human has looked."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from libs.common.messages import BackupMade, BookRestored, OperatorCommanded, RestoreProven
from libs.common.subjects import subject_of
from libs.runtime.adapter import LogEntry
from libs.runtime.nats_config import OBSERVER_USER, key_file
from services.cli.backup import copying, restoring
from services.cli.backup import holding as holding_module
from services.cli.backup.archive import MANIFEST, entries_of, read_manifest
from services.cli.backup.archive_writer import ArchiveWriter, keep_file
from services.cli.backup.copying import Made, back_up, keep_backed_up
from services.cli.backup.holding import holding, own_bus
from services.cli.exit_codes import BAD_DUMP, CANNOT_WRITE, CONFIG, FINDING, NOT_YET, OK, UNAVAILABLE, Failure
from services.cli.log_lines import Stored
from services.cli.lost_log import UNFINISHED
from services.cli.observer import observing
from services.cli.place import find_place
from tests.e2e.stack_stand import Stack
from tests.e2e.test_cli import SEED, answer_of, bulkhead, write, write_map
from tests.nats_stack import NatsStack
from tests.recorded_log import message_of, recorded_log

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the backup goes."""
    return tmp_path / "backup"


def archived(folder: Path, entries: tuple[LogEntry, ...] = LOG) -> Path:
    """A backup of the log, made without a server."""
    writer = ArchiveWriter(folder, "TRADING_0001")
    for entry in entries:
        writer.add(Stored(entry, entry.seq))
    writer.commit(1)
    writer.close()
    return folder


async def test_a_backup_is_the_log_and_only_what_is_new_is_copied_again(stack: NatsStack, folder: Path) -> None:
    """Every entry as it stands, with its time of storing; the log is told, and that is all that the next backup adds."""
    (stack.home / "exchange_sim").mkdir()
    (stack.home / "exchange_sim" / "clock.json").write_text('{"now_ns":1}')
    with closing(sqlite3.connect(stack.home / "trials.db")) as trials:
        trials.execute("create table trial (name)")
        trials.commit()
        first = await answer_of(stack.home, "backup", "--to", str(folder))
    assert (first["first_seq"], first["last_seq"], first["added"], first["event"]) == (1, END, END, END + 1)
    assert first["files"] == ["trials.db", "exchange_sim/clock.json"]
    found = list(entries_of(folder, read_manifest(folder)))
    assert [each.entry for each in found] == list(LOG)
    assert all(later.stored_at >= each.stored_at > 0 for each, later in pairwise(found))
    second = await answer_of(stack.home, "backup", "--to", str(folder))
    assert (second["added"], second["last_seq"], second["origin"]) == (1, END + 1, first["origin"])
    told = list(entries_of(folder, read_manifest(folder)))[-1].entry
    said = message_of(told)
    assert isinstance(said, BackupMade)
    assert (said.last_seq, said.head, told.subject) == (END, first["head"], subject_of(said))
    verified = await answer_of(stack.home, "backup", "verify", str(folder))
    assert (verified["head"], verified["replay"]["clean"]) == (second["head"], True)
    assert verified["replay"]["verified"] > 0


async def test_a_backup_of_another_log_or_a_longer_one_is_not_touched(stack: NatsStack, folder: Path) -> None:
    """Another book's, one whose last entry differs, and one that holds more than the log: each is said to be so, and stays as it is."""
    altered = LOG[-1]
    cases = {
        "of another log": (BAD_DUMP, (LogEntry(1, "feed.marks", b"{}"), *LOG[1:])),
        "is not what it was": (BAD_DUMP, (*LOG[:-1], LogEntry(END, altered.subject, b"{}"))),
        f"the backup holds the log up to {END + 1}, and it ends at {END}": (
            FINDING,
            (*LOG, LogEntry(END + 1, "feed.marks", b"{}")),
        ),
    }
    for number, (text, (code, entries)) in enumerate(cases.items()):
        place = archived(folder / str(number), entries)
        before = (place / MANIFEST).read_bytes()
        answer = await answer_of(stack.home, "backup", "--to", str(place), code=code)
        assert text in answer["error"]
        assert (place / MANIFEST).read_bytes() == before


async def test_a_book_that_is_not_up_is_backed_up_too(stack: NatsStack, folder: Path) -> None:
    """Its bus is started for the copy, and ended; where a stack runs or none ever was, that is said."""
    await stack.stop()
    made = await answer_of(stack.home, "backup", "--to", str(folder))
    assert (made["last_seq"], made["event"]) == (END, 0)
    assert "not up" in made["untold"]
    assert not list((stack.home / "nats").glob("passing*")), "the server that ran for it leaves nothing behind"
    empty = stack.home.parent / "nothing here"
    answer = await answer_of(empty, "backup", "--to", str(folder), code=UNAVAILABLE)
    assert "no stack runs" in answer["error"]
    async with own_bus(stack.home):
        answer = await answer_of(stack.home, "backup", "--to", str(folder), code=UNAVAILABLE)
    assert "in use by another" in answer["error"]


async def test_another_machine_needs_the_observers_key_and_nothing_else(
    stack: NatsStack, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can copy all of the log and change nothing of it; that the log was not told is said."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "keys").mkdir(parents=True)
    shutil.copy2(key_file(stack.home, OBSERVER_USER), key_file(elsewhere, OBSERVER_USER))
    monkeypatch.setenv("BULKHEAD_NATS_URL", stack.url)
    made = await answer_of(elsewhere, "backup", "--to", str(folder))
    assert (made["last_seq"], made["event"]) == (END, 0)
    assert "cli.nk" in made["untold"]
    assert [each.entry for each in entries_of(folder, read_manifest(folder))] == list(LOG)


async def test_two_do_not_write_into_one_backup(
    stack: NatsStack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is told to wait; and without a folder there is nothing to do."""
    monkeypatch.setattr(holding_module, "TRIES_MAX", 2)
    async with holding(folder):
        answer = await answer_of(stack.home, "backup", "--to", str(folder), code=NOT_YET)
    assert "another backup is being written" in answer["error"]
    assert "no folder is named" in (await answer_of(stack.home, "backup", code=CONFIG))["error"]
    (folder.parent / "a file").touch()
    answer = await answer_of(stack.home, "backup", "--to", str(folder.parent / "a file" / "x"), code=CANNOT_WRITE)
    assert "cannot write into" in answer["error"]


async def test_a_followed_log_is_copied_as_it_grows_and_through_an_outage(
    stack: NatsStack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said is in the backup a little later; a bus that is away is complained of once and waited for."""
    monkeypatch.setattr(copying, "LOOK_EVERY_S", 0.05)
    heard: list[Made | Failure] = []
    stop = asyncio.Event()
    following = asyncio.create_task(keep_backed_up(find_place(stack.home), folder, heard.append, stop))

    async def until(count: int) -> None:
        async with asyncio.timeout(20):
            while len(heard) < count:
                assert not following.done(), following.exception()
                await asyncio.sleep(0.02)

    try:
        await until(2)  # the log, and then the event that tells of it
        await stack.stop()
        await until(3)
        await stack.start(provisioned=False)
        assert (await bulkhead(stack.home, "halt", "--reason", "a drill", "--wait", "0")).exit_code != OK
        await until(4)
        monkeypatch.setattr(copying, "LOOK_EVERY_S", 3600.0)
        await asyncio.sleep(0.2)
        assert (await bulkhead(stack.home, "reduce", "--reason", "a drill", "--wait", "0")).exit_code != OK
        stop.set()
        await asyncio.wait_for(following, 20)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    copied, told, away, halted, last = heard
    assert isinstance(last, Made)
    assert last.last_seq == END + 3, "what was said before it was ended is in it"
    assert isinstance(copied, Made)
    assert isinstance(told, Made)
    assert isinstance(halted, Made)
    assert (copied.added, copied.event, told.added) == (END, END + 1, 1)
    assert isinstance(away, Failure)
    assert (halted.added, halted.last_seq) == (1, END + 2)


# --- back ---------------------------------------------------------------------------------------------------------


async def test_a_restored_book_is_the_same_log_and_halted(folder: Path, tmp_path: Path) -> None:
    """Entry by entry, and then two more: that it was restored, and a HALT, at the time of its newest event."""
    archived(folder)
    home = tmp_path / "new"
    restored = await answer_of(home, "restore", str(folder))
    assert (restored["last_seq"], restored["head"]) == (END, read_manifest(folder).head)
    async with own_bus(home) as place, observing(place) as observer:
        found = [entry async for entry in observer.entries(1, (await observer.size()).last_seq)]
    assert found[:END] == list(LOG)
    said, halt = map(message_of, found[END:])
    assert isinstance(said, BookRestored)
    assert isinstance(halt, OperatorCommanded)
    assert (said.last_seq, said.head) == (END, restored["head"])
    assert halt.command == "HALT"
    assert f"up to event {END}" in halt.reason
    assert said.ts_init == halt.ts_init == message_of(LOG[-1]).ts_init, "nobody's clock is moved by a restore"
    again = await answer_of(home, "restore", str(folder), code=CANNOT_WRITE)
    assert "is not empty" in again["error"]


async def test_a_log_restored_in_part_ends_where_it_was_told(folder: Path, tmp_path: Path) -> None:
    """As if nothing had been later: neither the entries nor the files."""
    writer = ArchiveWriter(archived(folder), "TRADING_0001")
    (folder / "files").mkdir()
    writer.commit(1, [keep_file(folder, b"{}", "exchange_sim/clock.json")])
    writer.close()
    home = tmp_path / "new"
    restored = await answer_of(home, "restore", str(folder), "--to-event", "40")
    assert (restored["last_seq"], restored["files"]) == (40, [])
    assert not (home / "exchange_sim").exists()
    answer = await answer_of(tmp_path / "x", "restore", str(folder), "--to-event", str(END + 1), code=BAD_DUMP)
    assert f"holds entries 1 to {END}, and not {END + 1}" in answer["error"]


async def test_a_damaged_backup_brings_nothing_back(folder: Path, tmp_path: Path) -> None:
    """It is refused before anything is made; a file that would be put back elsewhere is refused, too."""
    archived(folder)
    tail = folder / "TRADING_0001-000000000001.jsonl"
    content = tail.read_bytes()
    tail.write_bytes(content.replace(b"feed.marks", b"feed.marxs", 1))
    answer = await answer_of(tmp_path / "new", "restore", str(folder), code=BAD_DUMP)
    assert "was altered" in answer["error"]
    assert not (tmp_path / "new").exists()
    tail.write_bytes(content)
    writer = ArchiveWriter(folder, "TRADING_0001")
    writer.commit(1, [keep_file(folder, b"x", "../outside")])
    writer.close()
    answer = await answer_of(tmp_path / "new", "restore", str(folder), code=BAD_DUMP)
    assert "do not trust this backup" in answer["what_to_do"]
    assert not (tmp_path / "outside").exists()


async def test_a_restore_that_is_ended_leaves_no_half_book(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while the bus is filled: what was made is put away, and nobody takes it for a book."""
    archived(folder)
    home, is_filling, put = tmp_path / "new", asyncio.Event(), restoring._Filling.put

    async def stuck(filling: restoring._Filling, entry: LogEntry) -> None:
        if entry.seq > 50:
            is_filling.set()
            await asyncio.Event().wait()
        await put(filling, entry)

    monkeypatch.setattr(restoring._Filling, "put", stuck)
    task = asyncio.create_task(restoring.restore(folder, home))
    async with asyncio.timeout(20):
        await is_filling.wait()
    assert (home / "nats" / "store").exists()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not home.exists()


async def test_half_a_book_is_never_started(folder: Path, tmp_path: Path) -> None:
    """A restore that was killed leaves a mark; `bulkhead up` refuses, and nothing is restored over it."""
    archived(folder)
    home = tmp_path / "new"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "restore", str(folder), "--home", str(home)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(30):
        while not await asyncio.to_thread((home / UNFINISHED).exists):  # noqa: ASYNC110  (another process makes it)
            await asyncio.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert (home / UNFINISHED).exists()
    stack = Stack(home, ())
    assert await stack.ended() == UNAVAILABLE
    assert stack.shows("holds half a book")
    answer = await answer_of(home, "restore", str(folder), code=CANNOT_WRITE)
    assert "is not empty" in answer["error"]


async def test_a_drill_proves_the_way_back_and_tells_the_log(stack: NatsStack, folder: Path) -> None:
    """Filled, read back, replayed, taken away; the running log holds the head that was proven."""
    made = await answer_of(stack.home, "backup", "--to", str(folder))
    drilled = await answer_of(stack.home, "backup", "drill", str(folder))
    assert (drilled["head"], drilled["replay"]["clean"]) == (made["head"], True)
    async with observing(find_place(stack.home)) as observer:
        entry = await observer.entry_at(drilled["event"])
    assert entry is not None
    said = message_of(entry)
    assert isinstance(said, RestoreProven)
    assert (said.last_seq, said.head, said.origin) == (END, made["head"], made["origin"])


async def test_a_backup_is_read_like_a_dump(folder: Path) -> None:
    """Replay and the books take the folder where they take a file."""
    archived(folder)
    proof = await answer_of(folder, "replay", "--from-file", str(folder))
    assert (proof["clean"], proof["last_seq"]) == (True, END)
    books = await answer_of(folder, "ledger", "verify", "--without-database", "--from-file", str(folder))
    assert books["findings"] == []


async def test_a_backup_survives_that_its_maker_is_killed(stack: NatsStack, folder: Path) -> None:
    """Killed at any moment, the folder is as its last commit left it, and the next backup goes on from there."""
    killed = 0
    for delay_s in (0.0, 0.02, 0.05, 0.1):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli"),
            *("--home", str(stack.home), "backup", "--to", str(folder)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(folder.exists) and process.returncode is None:  # noqa: ASYNC110  (another process makes it)
                await asyncio.sleep(0.005)
        await asyncio.sleep(delay_s)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        await process.wait()
    assert killed
    made = await back_up(find_place(stack.home), folder)
    assert made.last_seq >= END
    assert [each.entry for each in entries_of(folder, read_manifest(folder), END)] == list(LOG)
