"""From a log into an archive: what is new in it, and copies of what belongs to the book and stands in no log.

The log is read as the observer, who can change nothing; what is in the archive already is not read again, but it must be this log's: its first entry
and its last are compared, and a log that is shorter than its backup has lost acknowledged events.

The tables of the ledger are not copied: the log makes them again (`bulkhead ledger rebuild`); what stands beside them in Postgres and in no log is (`project_facts`). Keys
are not: a backup that holds them would have to be guarded like them, and every one can be made anew (docs/BACKUP_RECOVERY.md).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, suppress
from pathlib import Path

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import BackupMade
from libs.desk.commands import stamped
from services.cli import command
from services.cli.backup.archive import NOTHING, BadArchive, KeptFile, Manifest, next_head
from services.cli.backup.archive_writer import ArchiveWriter, keep_file
from services.cli.backup.holding import holding, own_bus
from services.cli.backup.project_facts import FactsCopier
from services.cli.exit_codes import BAD_DUMP, CANNOT_WRITE, FINDING, UNAVAILABLE, Failure, failing_clearly
from services.cli.observer import Observer, observing, somebody_listens
from services.cli.place import Place

COMMIT_EVERY = 20_000
"""After so many entries what was copied counts, so that a long copy that is ended goes on where it was."""
LOOK_EVERY_S = 2.0
TELL_EVERY_S = 3600.0
FACTS_EVERY_S = 60.0
"""So often a follower reads the project's database."""
DATABASES = ("trials*.db",)
"""SQLite databases that the log does not make: trials counted and studies run."""
STATES = ("exchange_sim/account.json", "exchange_sim/clock.json")
"""What a venue that runs in the state folder knows: for a paper book it is the world."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A backup as it is now. `added` entries are new in it; `event` is the log's own entry about it, 0 where none could be written. `missing`: what should be
    in it as of now and is not; the rest is."""

    folder: str
    stream: str
    first_seq: int
    last_seq: int
    head: str
    origin: str
    added: int
    files: list[str]
    seconds: float
    event: int = 0
    untold: str = ""
    missing: str = ""


async def back_up(place: Place, folder: Path) -> Made:
    """Bring the archive in `folder` up to the end of the log, and tell the log; starts the bus of a book that is not up.

    Raises:
        Failure, KeysError, BusError, NatsServerError
    """
    facts = FactsCopier(os.environ)
    async with holding(folder):
        if await somebody_listens(place.nats_url) and place.is_known:
            return await _told(place, await _copied(place, folder, facts))
        if not (place.home / "nats" / "store").is_dir():
            await _copied(place, folder, facts)  # raises: no stack, and nothing to start one over
        async with own_bus(place.home) as passing:
            made = await _copied(passing, folder, facts)
        return msgspec.structs.replace(made, untold="the stack is not up; the next backup of a running one is told")


async def copy_into(place: Place, folder: Path) -> Made:
    """Bring the archive in `folder` up to the end of a log whose bus runs, without a word into that log.

    Raises:
        Failure, KeysError, BusError
    """
    async with holding(folder):
        return await _copied(place, folder, FactsCopier(os.environ))


async def keep_backed_up(
    place: Place, folder: Path, said: Callable[[Made | Failure], None], stop: asyncio.Event
) -> None:
    """Until `stop`: what is new in the log is in the archive some seconds later, what was new when it was set at the end; `said` hears of each copy that
    brought something.

    The log is told once an hour. A bus that is away, and a folder that cannot be written, are waited for: `said` hears of that once.

    Raises:
        Failure: the archive is another log's, or this log has lost what the archive holds.
    """
    told_at, complaint, lacking = -TELL_EVERY_S, "", ""
    facts = FactsCopier(os.environ, FACTS_EVERY_S)
    while True:
        is_last = stop.is_set()
        try:
            with failing_clearly():
                async with holding(folder):
                    made = await _copied(place, folder, facts, only_news=True)
                if made.added and time.monotonic() - told_at >= TELL_EVERY_S:
                    made = await _told(place, made)
                    told_at = time.monotonic() if made.event else told_at
            if made.added:
                said(made)
                if made.missing and not lacking:
                    said(Failure(UNAVAILABLE, made.missing, FACTS_CURE))
                lacking = made.missing
            complaint = ""
        except Failure as failure:
            if failure.code in (BAD_DUMP, FINDING):
                raise
            if failure.text != complaint:
                said(failure)
            complaint = failure.text
        if is_last:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await stop.wait()


FACTS_CURE = "the log is copied; see `bulkhead doctor`, and back up again once the database answers"


async def _copied(place: Place, folder: Path, facts: FactsCopier, *, only_news: bool = False) -> Made:
    began, missing = time.monotonic(), ""
    try:
        writer = await asyncio.to_thread(ArchiveWriter, folder, place.stream)
        with closing(writer):
            before = writer.last_seq
            async with observing(place) as observer:
                await _must_be_its_log(observer, writer, place)
                await _copy(observer, writer)
            manifest = writer.manifest
            if writer.last_seq != before or not only_news:
                files = await asyncio.to_thread(lambda: list(_kept_files(place.home, folder)))
                facts.look()
                counted, missing = await asyncio.to_thread(facts.kept, folder, manifest.files)
                manifest = await asyncio.to_thread(writer.commit, time.time_ns(), files + counted)
    except OSError as error:
        cure = "make room there, or name another folder with --to"
        raise Failure(CANNOT_WRITE, f"cannot write into {folder}: {error.strerror}", cure) from error
    except BadArchive as error:
        cure = "keep it as it is for whoever asks why, and begin another backup in an empty folder"
        raise Failure(BAD_DUMP, str(error), cure) from error
    made = _made(folder, manifest, manifest.last_seq - (before or manifest.first_seq - 1), time.monotonic() - began)
    return msgspec.structs.replace(made, missing=missing)


async def _copy(observer: Observer, writer: ArchiveWriter) -> None:
    size = await observer.size()
    from_seq = writer.last_seq + 1 if writer.last_seq else max(size.first_seq, 1)
    async with aclosing(observer.stored(from_seq, size.last_seq)) as entries:
        count = 0
        async for stored in entries:
            writer.add(stored)
            count += 1
            if count % COMMIT_EVERY == 0:
                await asyncio.to_thread(writer.commit, time.time_ns())


async def _must_be_its_log(observer: Observer, writer: ArchiveWriter, place: Place) -> None:
    """Return if what is in the archive is the beginning of this log."""
    last = await asyncio.to_thread(writer.last_entry)
    if last is None:
        return
    manifest, size = writer.manifest, await observer.size()
    first = await observer.entry_at(manifest.first_seq)
    if first is None or next_head(NOTHING, first).hex() != manifest.origin:
        text = f"the backup is of another log than the one at {place.nats_url}: their first entries differ"
        raise Failure(BAD_DUMP, text, "name another folder with --to: one for each book")
    if size.last_seq < last.seq:
        text = f"events are lost: the backup holds the log up to {last.seq}, and it ends at {size.last_seq} now"
        raise Failure(FINDING, text, f"stop the stack, and restore: docs/BACKUP_RECOVERY.md; {_KEEP}")
    if await observer.entry_at(last.seq) != last:
        text = f"entry {last.seq} is not what it was when it was backed up: the log was restored or written anew since"
        raise Failure(BAD_DUMP, text, f"back it up into an empty folder; {_KEEP}")


_KEEP = "keep this backup as it is"


def _kept_files(home: Path, folder: Path) -> Iterator[KeptFile]:
    for pattern in DATABASES:
        for path in sorted(home.glob(pattern)):
            yield keep_file(folder, _database(path), path.name)
    for name in STATES:
        path = home / name
        if path.is_file():
            yield keep_file(folder, path.read_bytes(), name)


def _database(path: Path) -> bytes:
    """A SQLite database as one consistent file, whoever writes it meanwhile."""
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(":memory:")) as copy,
    ):
        source.backup(copy)
        return copy.serialize()


def _made(folder: Path, manifest: Manifest, added: int, seconds: float) -> Made:
    return Made(
        folder=str(folder),
        stream=manifest.stream,
        first_seq=manifest.first_seq,
        last_seq=manifest.last_seq,
        head=manifest.head,
        origin=manifest.origin,
        added=added,
        files=[each.path for each in manifest.files],
        seconds=round(seconds, 3),
    )


async def _told(place: Place, made: Made) -> Made:
    """The same, told in the log; a backup that cannot be told is one all the same."""
    if not made.last_seq:
        return made

    def message(writer: str, tail: int) -> BackupMade:
        fact = BackupMade(
            origin=made.origin,
            last_seq=made.last_seq,
            head=made.head,
            made_at=time.time_ns(),
            author=command.operator_name(),
        )
        return stamped(fact, writer, derive_id("backup", writer, tail, made.head), now)

    try:
        with failing_clearly():
            async with command.speaking(place) as (bus, now):
                seq, _ = await command.append(bus, "the backup", message)
    except Failure as failure:
        return msgspec.structs.replace(made, untold=failure.text)
    return msgspec.structs.replace(made, event=seq)
