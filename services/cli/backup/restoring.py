"""From an archive to a book that goes on: an empty bus is filled, read back and compared, and the book is halted before anybody can trade on it.

    archive proven ─▶ own nats-server over an empty state folder ─▶ streams ─▶ every entry at its own sequence ─▶ read back: the same head
                   ─▶ files ─▶ BookRestored and HALT into the log ─▶ nats-server ended, all on disk

A backup is older than the world: what happened after its last entry is known to the venue alone. The restored book therefore wakes HALTED; the
executor compares it with the venue before anything else, stops and exits work, and a human who has looked says RESUME.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path, PurePosixPath

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy.exc import SQLAlchemyError

from libs.common.codec import BadEvent, decode_from
from libs.common.ids import derive_id
from libs.common.messages import BookRestored, Message
from libs.desk import commands
from libs.desk.commands import Order, command_id_of, message_of, stamped
from libs.desk.saying import day_and_time_of
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus
from libs.runtime.nats_config import ADMIN_USER, api_prefix, connect_options
from libs.runtime.provision import ProvisionError, provision
from libs.runtime.registry import contract_of, contracts
from libs.runtime.settings import SettingsError
from services.cli import command
from services.cli.backup.archive import (
    NOTHING,
    BadArchive,
    Manifest,
    Walk,
    entries_of,
    kept_content,
    next_head,
    read_manifest,
)
from services.cli.backup.copying import DATABASES, STATES
from services.cli.backup.holding import own_bus
from services.cli.backup.project_facts import EXPORT, NotEmpty, put_back
from services.cli.exit_codes import BAD_DUMP, CANNOT_WRITE, FINDING, Failure
from services.cli.lost_log import UNFINISHED
from services.cli.observer import connected, observing
from services.cli.place import Place
from services.cli.stretches import RESTORED, write_stretches
from services.cli.trial_counting import FILE as TRIALS_FILE
from services.cli.trial_counting import place_of

ON_THE_WAY = 256
"""So many entries are on their way to the bus at once."""
ANSWER_S_MAX = 30.0
CURE_FOLDER = "name a new state folder with --home, or move the old one away; never restore over a log"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought back, and how long each part of it took (s). `head` is the restored log's own, read back from its bus; `facts` says what became of
    the trials and studies that stood in Postgres."""

    home: str
    first_seq: int
    last_seq: int
    head: str
    origin: str
    backup_made_at: int
    files: list[str]
    facts: str = ""
    proving_s: float
    filling_s: float
    reading_back_s: float


def proven(folder: Path, to_seq: int | None = None) -> tuple[Manifest, int, str]:
    """What the archive says, the last entry that is asked for, and the chain's head there; every file and entry up to it was held against its digest.

    Raises:
        Failure
    """
    try:
        manifest = read_manifest(folder)
        if not manifest.last_seq:
            raise BadArchive(f"{folder} is a backup of nothing yet")
        if to_seq is not None and not manifest.first_seq <= to_seq <= manifest.last_seq:
            raise BadArchive(f"{folder} holds entries {manifest.first_seq} to {manifest.last_seq}, and not {to_seq}")
        walk = Walk(folder, manifest)
        for _ in walk.entries(to_seq):
            pass
        for kept in manifest.files:
            kept_content(folder, kept)
    except BadArchive as error:
        cure = "take another copy of the backup; `bulkhead backup verify` says which of them are whole"
        raise Failure(BAD_DUMP, str(error), cure) from error
    return manifest, walk.last_seq, walk.head.hex()


async def restore(folder: Path, home: Path, to_seq: int | None = None) -> Restored:
    """Make the book in the archive anew in `home`, which must be empty or not there, and halt it.

    Raises:
        Failure, NatsServerError, ProvisionError
    """
    async with refilled(folder, home, to_seq) as (place, restored, manifest):
        if to_seq is None:
            _put_back(folder, manifest, home)
            said = _facts_back(folder, manifest, home)
            restored = msgspec.structs.replace(restored, facts=said)
        await _begin_again(place, restored)
    write_stretches(home, [RESTORED])
    return restored


def facts_in(folder: Path, manifest: Manifest) -> bytes | None:
    """The trials and studies that the archive holds, proven; None if it holds none."""
    kept = next((each for each in manifest.files if each.path == EXPORT), None)
    return None if kept is None else kept_content(folder, kept)


def _facts_back(folder: Path, manifest: Manifest, home: Path) -> str:
    """Into the project's database, as the settings say; what cannot go there stays a file of the new state folder."""
    content = facts_in(folder, manifest)
    if content is None:
        return ""
    later = f"{home / EXPORT} has them; `bulkhead backup trials {folder}` puts them back"
    try:
        url = place_of("", {**os.environ, "BULKHEAD_HOME": str(home)})
        if url.get_backend_name() == "sqlite":
            url = url.set(database=str(home / TRIALS_FILE))
        return f"{put_back(content, url)} rows of trials and studies put back into {url.get_backend_name()}"
    except (SQLAlchemyError, SettingsError) as error:
        cause = type(error.__cause__ or error).__name__
        return f"trials and studies were not put back: the project's database cannot be had ({cause}); {later}"
    except (NotEmpty, BadArchive) as error:
        return f"trials and studies were not put back: {error}; {later}"


@asynccontextmanager
async def refilled(
    folder: Path, home: Path, to_seq: int | None = None
) -> AsyncIterator[tuple[Place, Restored, Manifest]]:
    """A bus of its own over `home` that holds what the archive holds, read back and compared; ended, and all on disk, afterwards.

    Raises:
        Failure, NatsServerError, ProvisionError
    """
    began = time.monotonic()
    manifest, last_seq, head = await asyncio.to_thread(proven, folder, to_seq)
    _must_be_empty(home)
    proved = time.monotonic()
    unfinished, is_whole = home / UNFINISHED, False
    try:
        await asyncio.to_thread(_begin, unfinished)
        async with own_bus(home, is_bulk=True) as place:
            await _fill(place, (stored.entry for stored in entries_of(folder, manifest, to_seq)))
            filled = time.monotonic()
            found = await _head_of(place, manifest.first_seq, last_seq)
            if found != head:
                text = f"the restored log is not the one in the backup: its head is {found[:16]}, and should be {head[:16]}"
                raise Failure(FINDING, text, "this is a defect of bulkhead, or of the disk; keep the backup")
            restored = Restored(
                home=str(home),
                first_seq=manifest.first_seq,
                last_seq=last_seq,
                head=found,
                origin=manifest.origin,
                backup_made_at=manifest.made_at,
                files=[each.path for each in manifest.files] if to_seq is None else [],
                proving_s=round(proved - began, 3),
                filling_s=round(filled - proved, 3),
                reading_back_s=round(time.monotonic() - filled, 3),
            )
            yield place, restored, manifest
        is_whole = True
    finally:  # a process that is killed here leaves the mark, and `bulkhead up` refuses half a book
        if not is_whole:
            await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)  # it was empty: all that is in it is ours
        unfinished.unlink(missing_ok=True)


def _must_be_empty(home: Path) -> None:
    try:
        found = sorted(each.name for each in home.iterdir()) if home.exists() else []
    except OSError as error:
        raise Failure(CANNOT_WRITE, f"{home} cannot be used: {error.strerror}", CURE_FOLDER) from error
    if found:
        raise Failure(CANNOT_WRITE, f"{home} is not empty: {', '.join(found[:5])} stand in it", CURE_FOLDER)


def _begin(unfinished: Path) -> None:
    unfinished.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished.write_text("a restore into this folder has begun and not ended\n")


# --- filling --------------------------------------------------------------------------------------------------------


async def _fill(place: Place, entries: Iterable[LogEntry]) -> None:
    client = Client()
    await client.connect(**connect_options(place.home, ADMIN_USER, place.nats_url))
    try:
        await provision(client, contracts())
        async with _Filling(client) as filling:
            for entry in entries:
                await filling.put(entry)
    finally:
        await client.close()


class _Filling:
    """Puts entries into the log in order, many on their way at once, each where it stood or not at all."""

    def __init__(self, client: Client):
        self._client = client
        self._inbox = client.new_inbox()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._room = asyncio.Semaphore(ON_THE_WAY)
        self._failure: ProvisionError | None = None

    async def __aenter__(self) -> _Filling:
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            for _ in range(ON_THE_WAY):
                await self._have_room()
        if self._failure is not None:
            raise self._failure

    async def put(self, entry: LogEntry) -> None:
        """Send it; raises what became of an earlier one."""
        await self._have_room()
        if self._failure is not None:
            raise self._failure
        headers = {"Nats-Expected-Last-Sequence": str(entry.seq - 1)}
        if entry.traceparent:
            headers["traceparent"] = entry.traceparent
        await self._client.publish(entry.subject, entry.payload, reply=f"{self._inbox}.{entry.seq}", headers=headers)

    async def _have_room(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await self._room.acquire()
        except TimeoutError:
            raise ProvisionError(f"the bus has not answered for {ANSWER_S_MAX:g} s; see logs/nats.log") from None

    async def _answered(self, message: Msg) -> None:
        self._room.release()
        wanted = int(message.subject.rpartition(".")[2])
        answer = json.loads(message.data) if message.data else {"error": {"description": "nobody takes it"}}
        if self._failure is None and (answer.get("seq") != wanted or answer.get("duplicate")):
            said = answer.get("error", {}).get("description", f"it stands at {answer.get('seq')}")
            self._failure = ProvisionError(f"entry {wanted} was not taken by the bus: {said}")


async def _head_of(place: Place, first_seq: int, last_seq: int) -> str:
    """The chain's head over what the bus holds, which must be exactly these entries."""
    head = NOTHING
    async with observing(place) as observer:
        size = await observer.size()
        if (size.first_seq, size.last_seq) != (first_seq, last_seq):
            return f"of entries {size.first_seq} to {size.last_seq}"
        async with aclosing(observer.entries(first_seq, last_seq)) as entries:
            async for entry in entries:
                head = next_head(head, entry)
    return head.hex()


# --- going on -------------------------------------------------------------------------------------------------------


def _put_back(folder: Path, manifest: Manifest, home: Path) -> None:
    for kept in manifest.files:
        path = PurePosixPath(kept.path)
        if kept.path not in (*STATES, EXPORT) and not (
            len(path.parts) == 1 and any(path.match(each) for each in DATABASES)
        ):
            text = f"{folder} wants to put back {kept.path!r}, which no backup holds"
            raise Failure(BAD_DUMP, text, "do not trust this backup; take another copy of it")
        target = home / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.write_bytes(kept_content(folder, kept))


async def _begin_again(place: Place, restored: Restored) -> None:
    """Say in the log that it was restored, and halt it, at the time of its newest event: nobody's clock is moved by a restore."""
    author = command.operator_name()
    async with connected(place, command.USER, api_prefix(contract_of(command.USER))) as bus:
        now = await _newest_time(bus, restored.last_seq)
        restored_at = time.time_ns()
        made = day_and_time_of(restored.backup_made_at)

        def says_restored(tail: int) -> Message:
            fact = BookRestored(
                origin=restored.origin,
                last_seq=restored.last_seq,
                head=restored.head,
                backup_made_at=restored.backup_made_at,
                restored_at=restored_at,
                author=author,
            )
            return stamped(fact, WRITER, derive_id("restored", tail, restored.head, restored_at), now)

        reason = (
            f"restored from a backup of {made}, up to event {restored.last_seq}: compare with the venue, then resume"
        )
        halt = Order(word="HALT", reason=reason, author=author)
        sayings: tuple[tuple[str, Callable[[int], Message]], ...] = (
            ("the restore", says_restored),
            ("HALT", lambda tail: message_of(halt, WRITER, command_id_of(WRITER, str(tail), halt), now)),
        )
        for what, saying in sayings:
            await commands.append(bus, WRITER, what, saying)


WRITER = contract_of(command.USER).writer


async def _newest_time(bus: Bus, last_seq: int) -> int:
    """The time (ns) of the newest event that can be read."""
    for seq in range(last_seq, 0, -1):
        entry = await bus.entry_at(seq)
        if entry is None:
            break
        try:
            return decode_from(entry.subject, entry.payload).ts_init
        except BadEvent:
            continue
    return 0
