"""The tables made again from the log, and compared with those that stand. Every row must be the same, to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import zip_longest

import msgspec
from sqlalchemy import URL

from libs.common.subjects import subject_matches
from libs.runtime.adapter import LogEntry
from services.ledger.adapters.projection import Projection
from services.ledger.adapters.record import Record
from services.ledger.contract import PROJECTION

EVENTS_AT_ONCE = 1_000
SHOWN_CHARS_MAX = 300


class NotEmpty(Exception):
    """The database has read events already; what is rebuilt into it would not be a proof of anything."""


class Difference(msgspec.Struct, frozen=True):
    """The first row in which two databases differ; an empty row is one that is missing."""

    table: str
    wanted: str
    found: str


def projected(log: Iterable[LogEntry], up_to: int | None = None) -> Iterator[LogEntry]:
    """The events of the log that the projection reads."""
    for entry in log:
        if up_to is not None and entry.seq > up_to:
            return
        if any(subject_matches(each, entry.subject) for each in PROJECTION.filters):
            yield entry


def rebuild(url: URL, log: Iterable[LogEntry], up_to: int | None = None) -> int:
    """Fill the empty database at `url` from the log; returns the `seq` it stands at.

    Raises:
        NotEmpty: it is not empty. SQLAlchemyError: it is not usable.
    """
    projection = Projection.open(url)
    try:
        if projection.position():
            raise NotEmpty(f"the database stands at event {projection.position()} already")
        batch: list[LogEntry] = []
        for entry in projected(log, up_to):
            batch.append(entry)
            if len(batch) >= EVENTS_AT_ONCE:
                projection.apply(batch)
                batch = []
        if batch:
            projection.apply(batch)
        return projection.position()
    finally:
        projection.close()


def digest_of(record: Record) -> tuple[int, str]:
    """How many rows the canonical text has, and its SHA-256."""
    digest, count = hashlib.sha256(), 0
    for table, _, row in record.rows():
        digest.update(b"%s %s\n" % (table.encode(), row))
        count += 1
    return count, digest.hexdigest()


def first_difference(wanted: Record, found: Record) -> Difference | None:
    """The first line in which the canonical texts differ; None: they are the same, byte for byte."""
    ours, theirs = wanted.rows(), found.rows()
    for one, other in zip_longest(ours, theirs):
        if one == other:
            continue
        tables = sorted(each[0] for each in (one, other) if each is not None)
        table = tables[0]
        rows = [each[2].decode()[:SHOWN_CHARS_MAX] if each and each[0] == table else "" for each in (one, other)]
        return Difference(table, rows[0], rows[1])
    return None
