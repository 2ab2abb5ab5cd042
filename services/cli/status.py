"""`bulkhead status`: the services' own words about their readiness, and the log's about everything else.

The log is folded once; what was learnt is kept in the state folder with a digest of the entry it ends at, so that the next
call reads on from there. A log that does not hold that entry is another log, and is read from its beginning.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from libs.desk.findings import findings_of
from libs.desk.services import ServiceLine, is_busy, probe, work_left
from libs.desk.standing import Facts, StatusView
from libs.desk.status import LogSize, Status, status_of, take_entry
from libs.runtime.adapter import LogEntry
from libs.runtime.code_version import code_version
from libs.runtime.registry import writer_of
from libs.runtime.snapshots import SnapshotFolder
from services.cli.exit_codes import UNAVAILABLE, Failure, failing_clearly
from services.cli.market_watch import venue_line
from services.cli.observer import Observer, observing
from services.cli.place import Place, processes_of

MOMENT_S = 1.0
KEPT_FILE = "status.view.json"


class WithoutLog(Failure):
    """The bus does not answer; `services` is what the services say all the same."""

    def __init__(self, failure: Failure, services: dict[str, ServiceLine]):
        super().__init__(failure.code, failure.text, failure.cure)
        self.services = services

    def answer(self) -> dict[str, Any]:
        """For scripts."""
        return {"error": self.text, "what_to_do": self.cure, "exit_code": self.code, "services": self.services}


class _Kept(msgspec.Struct):
    """What a status before this one had learnt, by this code, up to the entry `seq`."""

    stream: str
    code: str
    seq: int
    digest: str
    facts: Facts


async def gather(place: Place) -> Status:
    """Ask everybody.

    Raises:
        Failure: `WithoutLog` if the services run and the bus does not answer.
    """
    known_seq = watermark(place)  # before the log's end is asked for: a log that grows meanwhile has lost nothing
    try:
        with failing_clearly():
            async with observing(place) as observer:
                size = await observer.size()
                view = await read_standing(place, observer, size)
    except Failure as failure:
        if failure.code == UNAVAILABLE:
            await _ask_without_log(place, failure)
        raise
    before = await probe(place.services)
    lines = await _later(place, before)
    status = _status(place, size, view, lines)
    status.known_seq = known_seq
    if place.is_supervised:
        status.venue, status.venue_trouble = await venue_line(place.mode, place.venue_url, place.market_url)
    status.catching_up, status.stuck = work_left(before, lines)
    status.findings = [each.text for each in findings_of(status)]
    return status


async def _ask_without_log(place: Place, failure: Failure) -> None:
    lines, pids = await probe(place.services), processes_of(place)
    if not any(line.up for line in lines.values()):
        return
    for name, line in lines.items():
        line.pid = pids.get(name, 0)
    raise WithoutLog(failure, lines) from failure


def watermark(place: Place) -> int:
    """How far the services of this state folder have seen the log reach; 0 when nothing is known."""
    known = 0
    for path in (place.home / "snapshots").glob("*.watermark"):
        with suppress(ValueError, OSError):  # one that says nothing; `bulkhead up` refuses it and names it
            known = max(known, SnapshotFolder(place.home, path.stem).watermark(place.stream))
    return known


def _status(place: Place, size: LogSize, view: StatusView, lines: dict[str, ServiceLine]) -> Status:
    facts, pids = view.facts, processes_of(place)
    for name, line in lines.items():
        line.starts = facts.starts.get(writer_of(name), 0)
        line.pid = pids.get(name, 0)
    processes = {"supervisor": place.supervisor_pid, **pids} if place.is_supervised else {}
    return status_of(view, lines, size, home=str(place.home), processes=processes)


# --- the log ------------------------------------------------------------------------------------------------------


async def read_standing(place: Place, observer: Observer, size: LogSize) -> StatusView:
    """The fold over the whole log to its end, read on from where the last command of this state folder was."""
    path = place.home / KEPT_FILE
    kept = await _still_true(_load(path), observer, size)
    view, seq = StatusView(kept.facts if kept else None), kept.seq if kept else 0
    last: LogEntry | None = None
    async for entry in observer.entries(seq + 1, size.last_seq):
        take_entry(view, entry)
        last = entry
    if last is not None:
        _keep(path, _Kept(size.stream, _code(), last.seq, _digest(last), view.facts))
    return view


async def _still_true(kept: _Kept | None, observer: Observer, size: LogSize) -> _Kept | None:
    if kept is None or kept.stream != size.stream or not 0 < kept.seq <= size.last_seq:
        return None
    entry = await observer.entry_at(kept.seq)
    return kept if entry is not None and _digest(entry) == kept.digest else None


def _load(path: Path) -> _Kept | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):  # none yet, or of other code: the log has it all
        return None
    return kept if kept.code == _code() else None


def _keep(path: Path, kept: _Kept) -> None:
    draft = path.with_name(f"{path.name}.draft")
    with suppress(OSError):  # a state folder that is read-only here: the next call reads everything again
        draft.write_bytes(msgspec.json.encode(kept))
        draft.replace(path)


def _digest(entry: LogEntry) -> str:
    return hashlib.blake2b(entry.subject.encode() + b"\n" + entry.payload, digest_size=16).hexdigest()


def _code() -> str:
    return code_version("libs.desk.standing")


async def _later(place: Place, before: dict[str, ServiceLine]) -> dict[str, ServiceLine]:
    """The same a moment later, if anybody had work left over: what stays of it is worth a word."""
    if not any(is_busy(line) for line in before.values()):
        return before
    await asyncio.sleep(MOMENT_S)
    return await probe(place.services)
