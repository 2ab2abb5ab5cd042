"""A service's memory on disk: a shortcut for its next start, never a source of truth.

A snapshot that is missing, torn, of other code or ahead of the log is not used: the log is replayed instead. The watermark
is the one thing a log cannot tell about itself: how long it has been. A log that ends before it has lost acknowledged
events, and no service may write into it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from libs.runtime.engine import Engine

SNAPSHOT_EVERY_S = 15.0
WATERMARK_EVERY_S = 1.0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A core after it has finished `in_seq`, with all outputs (`out_index` of them) in the log up to `tail_seq`."""

    writer: str
    stream: str
    code_version: str
    in_seq: int
    out_index: int
    tail_seq: int
    core: bytes


class SnapshotFolder:
    """Snapshots and watermarks of one service, under the state folder."""

    def __init__(self, home: Path, writer: str):
        self._folder = home / "snapshots"
        self._writer = writer

    def save(self, snapshot: Snapshot) -> None:
        """Write it so that a crash leaves the old one or the new one."""
        body = msgspec.msgpack.encode(snapshot)
        self._write("snapshot", hashlib.blake2b(body, digest_size=16).digest() + body)

    def load(self, stream: str, code_version: str) -> Snapshot | None:
        """The newest usable snapshot of this code and this log, or None."""
        try:
            raw = self._path("snapshot").read_bytes()
        except FileNotFoundError:
            return None
        body = raw[16:]
        if hashlib.blake2b(body, digest_size=16).digest() != raw[:16]:
            return None
        try:
            snapshot = msgspec.msgpack.decode(body, type=Snapshot)
        except msgspec.DecodeError:
            return None
        usable = (snapshot.writer, snapshot.stream, snapshot.code_version) == (self._writer, stream, code_version)
        return snapshot if usable else None

    def save_watermark(self, stream: str, seq: int) -> None:
        """Remember that the log was at least this long."""
        self._write("watermark", f"{stream} {seq}\n".encode())

    def watermark(self, stream: str) -> int:
        """How long the log is known to have been; 0 when nothing is known."""
        try:
            name, seq = self._path("watermark").read_text().split()
        except (FileNotFoundError, ValueError):
            return 0
        return int(seq) if name == stream else 0

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._writer}.{kind}"

    def _write(self, kind: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(kind)
        draft = path.with_name(f"{path.name}.draft")
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def snapshot_of(engine: Engine, stream: str) -> Snapshot:
    """The engine's memory; only meaningful while it is quiescent."""
    in_seq = engine.core.memory.in_seq
    return Snapshot(
        writer=engine.core.writer,
        stream=stream,
        code_version=engine.code_version,
        in_seq=in_seq,
        out_index=engine.done.out_index if engine.done.in_seq == in_seq else 0,
        tail_seq=engine.tail_seq,
        core=engine.core.snapshot(),
    )


class SnapshotKeeper:
    """Writes the watermark each second and a snapshot now and then, while the engine lives."""

    def __init__(self, folder: SnapshotFolder, engine: Engine, stream: str, saved: Callable[[], None]):
        self._folder = folder
        self._engine = engine
        self._stream = stream
        self._saved = saved
        self._saved_seq = 0

    async def keep(self) -> None:
        """For ever."""
        saved_at = time.monotonic()
        while True:
            await asyncio.sleep(WATERMARK_EVERY_S)
            seq = max(self._engine.tail_seq, self._engine.core.memory.in_seq)
            await asyncio.to_thread(self._folder.save_watermark, self._stream, seq)
            if time.monotonic() - saved_at > SNAPSHOT_EVERY_S and self.save():
                saved_at = time.monotonic()

    def save(self) -> bool:
        """Write a snapshot, if everything decided is in the log and something has happened since the last."""
        if not self._engine.is_quiescent or self._engine.core.memory.in_seq == self._saved_seq:
            return False
        snapshot = snapshot_of(self._engine, self._stream)
        self._folder.save(snapshot)
        self._saved_seq = snapshot.in_seq
        self._saved()
        return True
