"""Adding to an archive: entries one by one, copies of files, and the moment from which both count.

    writer.add(stored) ...  -> tail, not on disk yet
    writer.commit(now)      -> tail on disk, then the manifest that says so, replaced whole: a kill leaves the archive as it was or as it is

A killed writer leaves at most bytes that no manifest names; the next one cuts them off.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from libs.runtime.adapter import LogEntry
from services.cli.backup.archive import (
    FILES,
    LOCK,
    MANIFEST,
    BadArchive,
    KeptFile,
    Manifest,
    Segment,
    Tail,
    next_head,
    read_manifest,
    size_of,
)
from services.cli.log_lines import Stored, line_of, stored_of

SEGMENT_ENTRIES_MAX = 50_000
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
"""A tail is sealed at the first of both."""
GZIP_LEVEL = 6


class ArchiveWriter:
    """An archive to which entries are added. One at a time: whoever has it open must hold its folder (`holding`)."""

    def __init__(self, folder: Path, stream: str):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (folder / MANIFEST).exists():
            self.manifest = read_manifest(folder)
        elif any(each.name != LOCK for each in folder.iterdir()):
            raise BadArchive(f"{folder} is not empty, and holds no backup")
        else:
            self.manifest = Manifest(stream=stream)
        if self.manifest.stream != stream:
            raise BadArchive(f"{folder} holds the log {self.manifest.stream}, and this is {stream}")
        self._head = bytes.fromhex(self.manifest.head)
        self._file: IO[bytes] | None = None
        self._tail_entries = 0
        self._open_tail()

    @property
    def last_seq(self) -> int:
        """The last entry that is in it."""
        return self.manifest.last_seq

    def last_entry(self) -> LogEntry | None:
        """The last entry that is in it, read from its file; None while there is none.

        Raises:
            BadArchive
        """
        manifest, tail = self.manifest, self.manifest.tail
        if tail is not None and tail.bytes:
            return stored_of(_last_line(self._folder / tail.file, tail.bytes)).entry
        if manifest.segments:
            with gzip.open(self._folder / manifest.segments[-1].file, "rb") as file:
                (line,) = deque(file, maxlen=1)
            return stored_of(line).entry
        return None

    def add(self, stored: Stored) -> None:
        """Append one entry; it counts once `commit` has returned.

        Raises:
            BadArchive: it is not the next one.
        """
        manifest, entry = self.manifest, stored.entry
        if manifest.last_seq and entry.seq != manifest.last_seq + 1:
            raise BadArchive(f"entry {entry.seq} does not follow {manifest.last_seq}: the log has a hole")
        if self._file is None:
            self._begin_tail(entry.seq)
        assert self._file is not None
        self._head = next_head(self._head, entry)
        if not manifest.origin:
            manifest.first_seq, manifest.origin = entry.seq, self._head.hex()
        self._file.write(line_of(entry, stored.stored_at))
        manifest.last_seq, self._tail_entries = entry.seq, self._tail_entries + 1
        if self._tail_entries >= SEGMENT_ENTRIES_MAX or self._file.tell() >= SEGMENT_BYTES_MAX:
            self.seal()

    def commit(self, now_ns: int, files: list[KeptFile] | None = None) -> Manifest:
        """Make all that was added count, on disk, at `now_ns` (wall time); with the copies of files as they are now."""
        manifest = self.manifest
        if self._file is not None and manifest.tail is not None:
            _to_disk(self._file)
            manifest.tail = msgspec.structs.replace(manifest.tail, bytes=self._file.tell())
        manifest.head, manifest.made_at = self._head.hex(), now_ns
        if files is not None:
            manifest.files = files
        _replace(self._folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        self._sweep()
        return manifest

    def seal(self) -> None:
        """Close the tail for good; it counts, like what was added, from the next `commit` on."""
        file, tail, manifest = self._file, self.manifest.tail, self.manifest
        if file is None or tail is None or not self._tail_entries:
            return
        _to_disk(file)
        file.close()
        name = f"{manifest.stream}-{tail.first_seq:012d}-{manifest.last_seq:012d}.jsonl.gz"
        size, digest = _compressed(self._folder / tail.file, self._folder / name)
        manifest.segments = [
            *manifest.segments,
            Segment(
                file=name,
                first_seq=tail.first_seq,
                last_seq=manifest.last_seq,
                bytes=size,
                sha256=digest,
                head=self._head.hex(),
            ),
        ]
        manifest.tail, self._file, self._tail_entries = None, None, 0

    def close(self) -> None:
        """Let go of the files; what was not committed does not count."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open_tail(self) -> None:
        """Go on where the manifest ends: what a killed writer left behind it is cut off."""
        tail = self.manifest.tail
        if tail is None:
            return
        path = self._folder / tail.file
        size = size_of(path)
        if size < tail.bytes:
            raise BadArchive(f"{path} has {size} bytes of the {tail.bytes} it should have")
        self._file = path.open("r+b")
        self._file.truncate(tail.bytes)
        self._file.seek(tail.bytes)
        self._tail_entries = self.manifest.last_seq - tail.first_seq + 1

    def _begin_tail(self, first_seq: int) -> None:
        name = f"{self.manifest.stream}-{first_seq:012d}.jsonl"
        self._file = (self._folder / name).open("wb")
        self.manifest.tail = Tail(file=name, first_seq=first_seq, bytes=0)
        self._tail_entries = 0

    def _sweep(self) -> None:
        """Remove what the manifest does not name: a sealed tail, a former copy, what a killed writer left."""
        manifest = self.manifest
        named = {each.file for each in manifest.segments} | ({manifest.tail.file} if manifest.tail else set())
        for path in self._folder.glob(f"{manifest.stream}-*.jsonl*"):
            if path.name not in named:
                path.unlink()
        copies = {each.file for each in manifest.files}
        with suppress(FileNotFoundError):
            for path in (self._folder / FILES).iterdir():
                if path.name not in copies:
                    path.unlink()


def _last_line(path: Path, size: int) -> bytes:
    """The last line of the first `size` bytes, which end with a newline: found from there backwards."""
    with path.open("rb") as file:
        begin, found = size, b""
        while begin > 0 and found.count(b"\n") < 2:
            step = min(begin, 64 * 1024)
            begin -= step
            file.seek(begin)
            found = file.read(step) + found
    return found.splitlines(keepends=True)[-1]


def keep_file(folder: Path, content: bytes, path: str) -> KeptFile:
    """Put a copy of what stands at `path` of the state folder into the archive; it counts with the next `commit`."""
    digest = hashlib.sha256(content).hexdigest()
    name = f"{path.replace('/', '.')}.{digest[:8]}"
    (folder / FILES).mkdir(exist_ok=True, mode=0o700)
    if not (folder / FILES / name).exists():
        _replace(folder / FILES / name, content)
    return KeptFile(path=path, file=name, bytes=len(content), sha256=digest)


def _compressed(source: Path, target: Path) -> tuple[int, str]:
    """Make `target` of `source`, on disk; returns its size and SHA-256. The file's time is not in it: the same entries, the same bytes."""
    with source.open("rb") as plain, target.open("wb") as raw:
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=GZIP_LEVEL, mtime=0) as packed:
            while chunk := plain.read(1 << 20):
                packed.write(chunk)
        _to_disk(raw)
    with target.open("rb") as file:
        return target.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        _to_disk(file)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
