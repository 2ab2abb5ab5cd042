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

import aiohttp
import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import TradingState
from libs.runtime.adapter import LogEntry
from libs.runtime.code_version import code_version
from libs.runtime.readiness import Readiness
from libs.runtime.registry import writer_of
from libs.runtime.snapshots import SnapshotFolder
from services.cli.exit_codes import UNAVAILABLE, Failure, failing_clearly
from services.cli.market_watch import venue_line
from services.cli.observer import LogSize, Observer, observing
from services.cli.place import Place, processes_of
from services.cli.saying import day_and_time_of
from services.cli.status_view import (
    NOISE,
    Books,
    Facts,
    ModelLine,
    OrderCounts,
    PositionLine,
    Quarantine,
    StatusView,
    Uncovered,
    Unlocked,
)

PROBE_S_MAX = 2.0
MOMENT_S = 1.0
OUTBOX_FEW = 10
"""So many events unwritten are usual for some moments after a restart."""
KEPT_FILE = "status.view.json"


class ServiceLine(msgspec.Struct, kw_only=True):
    """One service. `up`: its health page answers. `phase`: live, or in words what it waits for. `pid` 0: not known here."""

    name: str
    url: str
    up: bool
    ready: bool
    phase: str
    reasons: list[str] = []
    lag: int = 0
    processed_seq: int = 0
    outbox: int = 0
    pending_requests: int = 0
    quiescent: bool = False
    code_version: str = ""
    starts: int = 0
    pid: int = 0


class Status(msgspec.Struct, kw_only=True):
    """The whole answer. Money in quote currency; `equity` is None before the ledger has spoken.

    `dust`: instruments held in less than the venue would sell. `known_seq`: how far the services have seen the log reach.
    `venue`: which market is traded where, in words, and `venue_trouble` what is wrong there; empty where no supervisor says.
    Work left over, in words: `catching_up` becomes less, `stuck` does not.
    """

    home: str
    book: str
    mode: str
    as_of: int
    services: dict[str, ServiceLine]
    processes: dict[str, int]
    orders: OrderCounts
    positions: dict[str, PositionLine]
    equity: str | None
    books: Books | None
    trading_state: TradingState
    trading_reason: str
    reconciled: bool | None
    mismatches: tuple[str, ...]
    feed: dict[str, str]
    quarantined: list[Quarantine]
    uncovered: list[Uncovered]
    log: LogSize
    model: ModelLine | None = None
    venue: str = ""
    venue_trouble: str = ""
    unlocked: Unlocked | None = None
    dust: list[str] = []
    doubts: dict[str, str] = {}
    drifts: dict[str, str] = {}
    known_seq: int = 0
    catching_up: list[str] = []
    stuck: list[str] = []
    findings: list[str] = []

    def is_silent(self, service: str) -> bool:
        """Whether what the log says of this service's work is old: it does not answer."""
        line = self.services.get(service)
        return line is not None and not line.up


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
                view = await _read(place, observer, size)
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
    status.findings = findings_of(status)
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
    return Status(
        home=str(place.home),
        book=facts.book,
        mode=facts.mode,
        as_of=facts.as_of,
        services=lines,
        processes={"supervisor": place.supervisor_pid, **pids} if place.is_supervised else {},
        orders=view.orders,
        positions=dict(sorted(facts.positions.items())),
        equity=None if facts.books is None else str(facts.books.equity),
        books=facts.books,
        trading_state=facts.trading_state,
        trading_reason=facts.trading_reason,
        reconciled=facts.reconciled,
        mismatches=facts.mismatches,
        feed={"state": facts.feed_state, "venue": facts.feed_venue, "via": facts.feed_via, "home": facts.home_venue},
        doubts=dict(sorted(facts.doubts.items())),
        drifts=dict(sorted(facts.drifts.items())),
        quarantined=sorted(facts.quarantined.values(), key=lambda each: (each.instrument, each.cl_ord_id)),
        uncovered=view.uncovered,
        model=facts.model,
        log=size,
        dust=view.dust,
        unlocked=facts.unlocked,
    )


def findings_of(status: Status) -> list[str]:
    """What a person should look at, in words; empty when all is well."""
    found = [f"{line.name} is not ready: {line.phase}" for line in status.services.values() if not line.ready]
    found += [f"the venue: {status.venue_trouble}"] if status.venue_trouble else []
    found += _of_the_lock(status.unlocked, status.as_of) if status.unlocked is not None else []
    if status.known_seq > status.log.last_seq:
        found.append(f"the log ends at {status.log.last_seq}, but has reached {status.known_seq}: events are lost")
    found += status.stuck
    if status.trading_state != "ACTIVE":
        found.append(f"trading is {status.trading_state}: {status.trading_reason}")
    if status.reconciled is False:
        found.append(f"the books do not agree with the venue: {'; '.join(status.mismatches)}")
    if status.feed["state"] not in ("", "LIVE"):
        found.append(f"the feed of {status.feed['venue']} is {status.feed['state']}")
    if status.feed.get("via") == "POLLING":
        found.append(f"no sockets: the prices of {status.feed['venue']} are polled")
    home = status.feed.get("home")
    if home and status.feed["venue"] != home:
        found.append(f"{status.feed['venue']} stands in for {home}: positions are watched, nothing is bought")
    found += [f"the price of {name} is in doubt: {why}" for name, why in status.doubts.items()]
    found += list(status.drifts.values())
    found += [f"{each.instrument} is quarantined, order {each.cl_ord_id}: {each.reason}" for each in status.quarantined]
    found += [
        f"{each.instrument}: of {each.signed_qty} only {each.stopped_qty} has a stop" for each in status.uncovered
    ]
    return found


def _of_the_lock(unlocked: Unlocked, as_of: int) -> list[str]:
    """An override as long as its certificate is in force; and a certificate that no longer is."""
    until = day_and_time_of(unlocked.expires_at)
    if as_of >= unlocked.expires_at:
        return [f"the certificate of live trading ran out on {until}: the next start is refused"]
    if not unlocked.operator:
        return []
    missing = ", ".join(unlocked.unmet)
    return [f"live by the override of {unlocked.operator} until {until}: {unlocked.reason}; not shown: {missing}"]


# --- the log ------------------------------------------------------------------------------------------------------


async def _read(place: Place, observer: Observer, size: LogSize) -> StatusView:
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


def take_entry(view: StatusView, entry: LogEntry) -> None:
    """Let the view learn an entry; what is not an event is told by whoever it was meant for (`EventRejected`), not here."""
    if entry.subject.startswith(NOISE):
        return
    with suppress(BadEvent):
        view.take(decode_from(entry.subject, entry.payload))


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
    return code_version("services.cli.status_view")


# --- the services -------------------------------------------------------------------------------------------------


async def probe(services: dict[str, str]) -> dict[str, ServiceLine]:
    """What each service's `/readyz` says, all asked at once; `services` are health pages' roots by name."""
    timeout = aiohttp.ClientTimeout(total=PROBE_S_MAX)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        lines = await asyncio.gather(*(_ask(session, name, url) for name, url in services.items()))
    return {line.name: line for line in lines}


async def _later(place: Place, before: dict[str, ServiceLine]) -> dict[str, ServiceLine]:
    """The same a moment later, if anybody had work left over: what stays of it is worth a word."""
    if not any(_is_busy(line) for line in before.values()):
        return before
    await asyncio.sleep(MOMENT_S)
    return await probe(place.services)


def _is_busy(line: ServiceLine) -> bool:
    return line.ready and (line.outbox > 0 or not line.quiescent)


def work_left(before: dict[str, ServiceLine], after: dict[str, ServiceLine]) -> tuple[list[str], list[str]]:
    """Whose work has stayed from one look to the next, in words: those who catch up, and those who do not get on."""
    catching_up, stuck = [], []
    for name, line in after.items():
        if not (_is_busy(line) and _is_busy(before[name])):
            continue
        moved = line.processed_seq != before[name].processed_seq or line.outbox < before[name].outbox
        if line.outbox == 0 and moved:
            continue  # no more than at work
        work = f"{line.outbox} events to write, {line.lag} to read, {line.pending_requests} requests under way"
        if moved or line.outbox <= OUTBOX_FEW:
            catching_up.append(f"{name}: {work}")
        else:
            stuck.append(f"{name} does not get on: {work}")
    return catching_up, stuck


async def _ask(session: aiohttp.ClientSession, name: str, url: str) -> ServiceLine:
    try:
        async with session.get(f"{url}/readyz") as answer:
            said = msgspec.json.decode(await answer.read(), type=Readiness)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        phase = f"does not answer at {url} ({type(error).__name__})"
        return ServiceLine(name=name, url=url, up=False, ready=False, phase=phase, reasons=[phase])
    except msgspec.MsgspecError:
        phase = f"somebody else answers at {url}"
        return ServiceLine(name=name, url=url, up=False, ready=False, phase=phase, reasons=[phase])
    return ServiceLine(
        name=name,
        url=url,
        up=True,
        phase="live" if said.ready else ", ".join(said.reasons) or "not ready",
        **msgspec.structs.asdict(said),
    )
