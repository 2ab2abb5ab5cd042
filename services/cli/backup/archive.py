"""The log as files: an archive that only grows, proves itself without a server, and tells the log it belongs to from every other.

    <folder>/manifest.json                                          what is in it, and how far; replaced whole
             TRADING_0001-000000000001-000000050000.jsonl.gz        entries 1 to 50,000, sealed: never written again
             TRADING_0001-000000050001.jsonl                        the tail, to which entries are appended
             files/trials.db.1f0c9a7e                               what belongs to the book and is not in its log

Each line is a line of `bulkhead log dump` (libs' `log_dump`), with the time at which the log had stored it. What counts is what the manifest says: bytes
of the tail beyond it were being written when somebody pulled the plug, and are cut off by whoever goes on.

**The chain.** head(n) = SHA-256(head(n-1) + seq, subject, trace header and payload of entry n, each length-prefixed); before the first entry
it is 32 zero bytes. Two logs have the same head exactly if they are the same log, whatever file, server or time of storing they stand in: it is
what a restored book is compared by. `origin` is the head after the first entry: an archive is one log's, and no other's.

Headers of the bus (`Nats-*`: conditions of an append that have done their work) are not kept, and no reader of the log looks at them.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from libs.runtime.adapter import LogEntry
from services.cli.log_lines import BadDump, Stored, stored_of

FORMAT = 1
MANIFEST = "manifest.json"
FILES = "files"
LOCK = "writer.lock"
NOTHING = bytes(32)
_STREAM = re.compile(r"[A-Z0-9_]{1,64}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,160}")


class BadArchive(Exception):
    """The archive is not what it says; the text names the file and what is wrong with it."""


class Segment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sealed file: its entries, its size and digest as it stands, and the chain's head after its last entry (hex)."""

    file: str
    first_seq: int
    last_seq: int
    bytes: int
    sha256: str
    head: str


class Tail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file that grows: so many of its bytes count."""

    file: str
    first_seq: int
    bytes: int


class KeptFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A copy of a file that belongs to the book: where it stands in the state folder, and under which name here."""

    path: str
    file: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is in the archive. `last_seq` 0: nothing yet. `head` and `origin` are hex; `made_at` is wall time (ns UTC)."""

    format: int = FORMAT
    stream: str
    first_seq: int = 0
    last_seq: int = 0
    head: str = NOTHING.hex()
    origin: str = ""
    made_at: int = 0
    segments: list[Segment] = []
    tail: Tail | None = None
    files: list[KeptFile] = []


def next_head(head: bytes, entry: LogEntry) -> bytes:
    """The chain's head after `entry`."""
    digest = hashlib.sha256(head)
    digest.update(entry.seq.to_bytes(8, "big"))
    for part in (entry.subject.encode(), entry.traceparent.encode(), entry.payload):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def read_manifest(folder: Path) -> Manifest:
    """What `folder` says it holds.

    Raises:
        BadArchive: there is none, or it says something impossible.
    """
    path = folder / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BadArchive(f"{folder} holds no backup: there is no {MANIFEST} in it") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise BadArchive(f"{path} cannot be read: {error}") from error
    if found.format != FORMAT:
        raise BadArchive(f"{path} is of format {found.format}; this version of bulkhead reads {FORMAT}")
    names = [each.file for each in (*found.segments, *found.files)] + ([found.tail.file] if found.tail else [])
    if not _STREAM.fullmatch(found.stream) or not all(_PLAIN_NAME.fullmatch(name) for name in names):
        raise BadArchive(f"{path} names files as no archive does")
    return found


def entries_of(folder: Path, manifest: Manifest, to_seq: int | None = None) -> Iterator[Stored]:
    """Every entry up to `to_seq` (None: all), in order; each file is proven before its first entry is handed out.

    Raises:
        BadArchive: a file is missing or altered, or an entry is missing, doubled or out of order, or the chain does not end as it should.
    """
    return Walk(folder, manifest).entries(to_seq)


class Walk:
    """Reads files in order, and holds each entry against the place it should have; `head` is the chain's after the last one handed out."""

    def __init__(self, folder: Path, manifest: Manifest):
        self._folder = folder
        self._manifest = manifest
        self._next_seq = manifest.first_seq
        self.head = NOTHING

    @property
    def last_seq(self) -> int:
        """The last entry that was handed out."""
        return self._next_seq - 1

    def entries(self, to_seq: int | None = None) -> Iterator[Stored]:
        """As `entries_of`."""
        manifest = self._manifest
        for segment in manifest.segments:
            if to_seq is not None and segment.first_seq > to_seq:
                return
            yield from self._segment(segment, to_seq)
        if manifest.tail is not None and (to_seq is None or manifest.tail.first_seq <= to_seq):
            yield from self._tail(manifest.tail, to_seq)

    def _segment(self, segment: Segment, to_seq: int | None) -> Iterator[Stored]:
        path = self._folder / segment.file
        _must_be(path, segment.bytes, segment.sha256)
        try:
            with gzip.open(path, "rb") as file:
                yield from self._lines(path, file, to_seq)
        except (OSError, EOFError, zlib.error) as error:
            raise BadArchive(f"{path} cannot be read: {error}") from error
        self._must_end(path, segment.last_seq, segment.head, to_seq)

    def _tail(self, tail: Tail, to_seq: int | None) -> Iterator[Stored]:
        path = self._folder / tail.file
        size = size_of(path)
        if size < tail.bytes:
            raise BadArchive(
                f"{path} has {size} bytes of the {tail.bytes} it should have: it is damaged, or was copied while it was written"
            )
        with path.open("rb") as file:
            yield from self._lines(path, file, to_seq, tail.bytes)
        self._must_end(path, self._manifest.last_seq, self._manifest.head, to_seq)

    def _lines(self, path: Path, file: IO[bytes], to_seq: int | None, size: int | None = None) -> Iterator[Stored]:
        read = 0
        for number, line in enumerate(file, start=1):
            read += len(line)
            if size is not None and read > size:
                return
            try:
                stored = stored_of(line)
            except BadDump as error:
                raise BadArchive(f"{path}, line {number} {error}") from error
            entry = stored.entry
            if entry.seq != self._next_seq:
                raise BadArchive(f"{path}, line {number} holds entry {entry.seq} where {self._next_seq} belongs")
            if to_seq is not None and entry.seq > to_seq:
                return
            self._next_seq += 1
            self.head = next_head(self.head, entry)
            yield stored

    def _must_end(self, path: Path, last_seq: int, head: str, to_seq: int | None) -> None:
        if to_seq is not None and to_seq < last_seq:
            return
        if self._next_seq != last_seq + 1:
            raise BadArchive(f"{path} ends at entry {self._next_seq - 1}, where it should end at {last_seq}")
        if self.head.hex() != head:
            raise BadArchive(
                f"{path}: an entry up to {last_seq} was altered: the chain ends in {self.head.hex()[:16]}, not {head[:16]}"
            )


def kept_content(folder: Path, kept: KeptFile) -> bytes:
    """A copied file, proven.

    Raises:
        BadArchive
    """
    path = folder / FILES / kept.file
    _must_be(path, kept.bytes, kept.sha256)
    return path.read_bytes()


def _must_be(path: Path, size: int, sha256: str) -> None:
    found = size_of(path)
    if found != size:
        raise BadArchive(f"{path} has {found} bytes, and should have {size}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise BadArchive(f"{path} was altered: its SHA-256 is not the one in {MANIFEST}")


def size_of(path: Path) -> int:
    """Its bytes.

    Raises:
        BadArchive: it is not there.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise BadArchive(f"{path} cannot be read: {error.strerror}") from error
