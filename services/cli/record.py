"""`bulkhead record`: the MARKET stream into files, from where the last recording ended to where somebody says stop.

MARKET is bounded: it drops its oldest messages whatever a recorder does. Until then it is the recorder's memory, so nothing is
acknowledged and a recorder may be killed at any moment: the files say which message they end with, and the next one is asked for.
Every message between two committed ones is either in the files or in a gap that the manifest names. A stream that is not the one
recorded before, or that has lost its end, is refused: its numbers would mean other messages.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec
from nats.errors import Error as NatsError

from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.recording_manifest import Gap, Manifest, RecordingError
from libs.runtime.recording_writer import RecordingWriter
from libs.runtime.stopping import cancelled
from libs.runtime.streams import MARKET, RECORDER_DURABLE
from services.cli.exit_codes import CANNOT_WRITE, NOT_YET, Failure
from services.cli.observer import connected
from services.cli.place import Place
from services.cli.raw_frames import RawFrameWriter

ROLL_MB = 32.0
ROLL_S = 300.0
MEGABYTE = 1_000_000
COMMIT_LOOK_S = 0.05

Tell = Callable[[str], None]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to record where, and until when (neither a duration nor `until_caught_up`: until somebody says stop)."""

    out: Path | None = None
    raw: Path | None = None
    roll_mb: float = ROLL_MB
    roll_s: float = ROLL_S
    for_s: float | None = None
    until_caught_up: bool = False


class Recorded(msgspec.Struct, kw_only=True):
    """What one run has recorded."""

    folders: list[str]
    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0
    parts: int = 0
    unknown: int = 0
    gaps: list[Gap] = []
    gaps_before: list[Gap] = []
    stopped_by: str = ""


class Sink(Protocol):
    """A folder that entries are recorded into."""

    folder: Path
    manifest: Manifest
    last_seq: int
    pending_bytes: int

    def note_gap(self, gap: Gap) -> None:
        """These messages are gone for ever."""
        ...

    def add(self, entry: LogEntry) -> None:
        """Take the next entry."""
        ...

    def commit(self) -> list[Path]:
        """Put everything taken so far on disk."""
        ...


class _Stream(msgspec.Struct, frozen=True):
    created: str
    first_seq: int
    last_seq: int


def record(place: Place, wish: Wish, tell: Tell) -> Recorded:
    """Record; what happens meanwhile is told line by line.

    Raises:
        Failure, KeysError, BusError.
    """
    with _one_recorder(place):
        return asyncio.run(_record(place, wish, tell))


@contextmanager
def _one_recorder(place: Place) -> Iterator[None]:
    """There is one durable for recorders, so there is one recorder for each bus."""
    place.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(place.home / "recorder.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                NOT_YET,
                f"another `bulkhead record` records the market of {place.home}",
                "end it first; one recorder can write Parquet and raw frames together (--out and --raw)",
            ) from None
        yield
    finally:
        os.close(descriptor)


async def _record(place: Place, wish: Wish, tell: Tell) -> Recorded:
    market = msgspec.structs.replace(place, stream=MARKET)
    async with connected(market, OBSERVER_USER, GUEST_API, stays=True) as bus:
        recorder = _Recorder(bus, wish, tell)
        with _writing(wish):
            await recorder.open()
            async with _stop_signals() as stopping:
                return await recorder.run(stopping)


@contextmanager
def _writing(wish: Wish) -> Iterator[None]:
    """What goes wrong with the files is a failure with a cure."""
    where = " or ".join(str(each) for each in (wish.out, wish.raw) if each)
    try:
        yield
    except RecordingError as error:
        raise Failure(CANNOT_WRITE, str(error), "name another folder with --out or --raw") from error
    except OSError as error:
        raise Failure(
            CANNOT_WRITE,
            f"cannot write {error.filename or where}: {error.strerror or error}",
            "make room or name another folder; the same command goes on behind the last message written",
        ) from error


@asynccontextmanager
async def _stop_signals() -> AsyncIterator[asyncio.Event]:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    for number in numbers:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class _Recorder:
    """One run."""

    def __init__(self, bus: Bus, wish: Wish, tell: Tell):
        self._bus = bus
        self._wish = wish
        self._tell = tell
        self._sinks: list[Sink] = []
        self._last_seq = 0
        self._last_entry: LogEntry | None = None
        self._uncommitted = 0
        self._committed_at = 0.0
        self.done = Recorded(folders=[str(each) for each in (wish.out, wish.raw) if each])

    async def open(self) -> None:
        """Open the folders, and see where to go on and whether anything was lost meanwhile."""
        stream = await self._stream()
        kinds: list[tuple[Path | None, type[RecordingWriter] | type[RawFrameWriter]]] = [
            (self._wish.out, RecordingWriter),
            (self._wish.raw, RawFrameWriter),
        ]
        self._sinks = [
            kind(folder, MARKET, stream.created, max(stream.first_seq, 1)) for folder, kind in kinds if folder
        ]
        for sink in self._sinks:
            self._must_be_of(stream, sink)
        self._last_seq = min(sink.last_seq for sink in self._sinks)
        self.done.gaps_before = [gap for sink in self._sinks[:1] for gap in sink.manifest.gaps]
        self.done.first_seq = self._last_seq + 1
        if stream.first_seq > self._last_seq + 1:
            self._lost(stream.first_seq - 1)
        self._commit()

    async def run(self, stopping: asyncio.Event) -> Recorded:
        """Read until it is time to stop, then commit what was read."""
        reading, committing = asyncio.create_task(self._read()), asyncio.create_task(self._commit_in_time())
        stopped = asyncio.create_task(stopping.wait())
        try:
            tasks = {reading, committing, stopped}
            await asyncio.wait(tasks, timeout=self._wish.for_s, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            self.done.stopped_by = "caught up" if reading.done() else "a signal" if stopped.done() else "its time"
        finally:
            await cancelled(stopped, reading, committing)
            self._commit()
        self.done.last_seq = self._last_seq
        self.done.unknown = self._sinks[0].manifest.unknown
        return self.done

    async def _read(self) -> None:
        """Take messages for ever, or until there is no more."""
        pull = OrderedPull(self._bus, RECORDER_DURABLE, self._last_seq + 1)
        resets = 0
        try:
            while True:
                pulled = await pull.next()
                if pull.resets != resets:
                    await self._look_again(pull.resets > 1)
                    resets = pull.resets
                if pulled is not None:
                    self._take(pulled.entry)
                elif self._wish.until_caught_up and pull.is_idle:
                    return
        finally:
            with suppress(NatsError):
                await pull.close()

    async def _look_again(self, is_again: bool) -> None:
        """After an interruption: is it still the stream we know? A bus that is away again is looked at after its return."""
        try:
            stream, last = await self._stream(), self._last_entry
            there = await self._bus.entry_at(last.seq) if last else None
        except BusError:
            return
        if is_again:
            self._tell("reading goes on after an interruption of the bus")
        for sink in self._sinks:
            self._must_be_of(stream, sink)
        if last and there and (there.subject, there.payload) != (last.subject, last.payload):
            raise RecordingError(f"{MARKET} has lost its tail: message {last.seq:,} is another one than was recorded")

    def _take(self, entry: LogEntry) -> None:
        if entry.seq > self._last_seq + 1:
            self._lost(entry.seq - 1)
        for sink in self._sinks:
            sink.add(entry)
        self._last_seq, self._last_entry = entry.seq, entry
        self._uncommitted += 1
        if any(sink.pending_bytes >= self._wish.roll_mb * MEGABYTE for sink in self._sinks):
            self._commit()

    def _lost(self, up_to: int) -> None:
        """The stream no longer has what comes next."""
        for sink in self._sinks:
            if sink.last_seq < up_to:
                sink.note_gap(Gap(sink.last_seq + 1, up_to))
        gap = Gap(self._last_seq + 1, up_to)
        self.done.gaps.append(gap)
        self._last_seq = up_to
        self._tell(
            f"GAP: messages {gap.first_seq:,} to {gap.last_seq:,} ({gap.count:,}) are lost: {MARKET} had dropped them before they"
            " were read; the manifest says so, too"
        )

    async def _commit_in_time(self) -> None:
        """What was read is not kept waiting for what comes next, nor for a bus that is away."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(COMMIT_LOOK_S, self._committed_at + self._wish.roll_s - loop.time()))
            if self._uncommitted and loop.time() >= self._committed_at + self._wish.roll_s:
                self._commit()

    def _commit(self) -> None:
        for sink in self._sinks:
            self.done.parts += len(sink.commit())
        if self._uncommitted:
            self._tell(f"{self._uncommitted:,} messages, up to {self._last_seq:,}")
        self.done.messages += self._uncommitted
        self._uncommitted = 0
        self._committed_at = asyncio.get_running_loop().time()

    async def _stream(self) -> _Stream:
        answer = await self._bus.api(f"STREAM.INFO.{MARKET}")
        if "error" in answer:
            raise BusError(f"cannot read {MARKET}: {answer['error']['description']}")
        state = answer["state"]
        return _Stream(answer["created"], state["first_seq"], state["last_seq"])

    def _must_be_of(self, stream: _Stream, sink: Sink) -> None:
        """The stream is the one this folder was recorded from, and still holds its end.

        Raises:
            RecordingError
        """
        if sink.manifest.stream_created != stream.created:
            raise RecordingError(
                f"{sink.folder} is a recording of another {MARKET} (made {sink.manifest.stream_created}, this one"
                f" {stream.created})"
            )
        if sink.last_seq > stream.last_seq:
            raise RecordingError(
                f"{sink.folder} ends with message {sink.last_seq:,}, but {MARKET} ends with {stream.last_seq:,}: it has lost its"
                " tail, and its numbers are given a second time"
            )
