"""A service's memory on disk: a shortcut for its next start, never a source of truth.

A snapshot that is missing, torn, of other code or ahead of the log is not used: the log is replayed instead. The watermark
is the one thing a log cannot tell about itself: how long it has been. A log that ends before it has lost acknowledged
events, and no service may write into it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec


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
