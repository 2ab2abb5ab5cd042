"""One projection of the log into SQL: rows and position in one commit, so that what is there is exactly what was read.

Synchronous; the reader runs it in a thread. It trusts nobody about where it stands: the position is read again, locked, in
every commit. If it is not where this object left it (another process, a restored backup, a commit whose answer got lost), the
commit is refused with `PositionMoved` and the reader starts over from what the database says.

An event that cannot be stored (undecodable, a figure no database can hold) must not stop all others behind it: the batch
is halved until the event stands alone; then the position passes it and `projection_skipped` names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, Engine, Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, StatementError

from libs.common.codec import BadEvent, decode_from
from libs.runtime.adapter import LogEntry
from services.ledger.adapters.bulk import Bulk
from services.ledger.adapters.database import migrate, open_engine
from services.ledger.adapters.rows import TableRow, rows_of
from services.ledger.adapters.tables import KEY_CHARS_MAX, METADATA, PROJECTION_POSITION, PROJECTION_SKIPPED

READER = "ledger-sql"
LIMIT_EXCEEDED = "54"  # the SQLSTATE class of "too large for an index row" and the like: the row's fault, not an outage


class PositionMoved(Exception):
    """The database stands elsewhere than we left it: read its position and go on from there."""


class WrongLog(Exception):
    """The database was filled from another log, or from one that has lost its end. Nothing was written."""


class Place(msgspec.Struct, frozen=True):
    """The last event in the database: its place in the log and a digest of its bytes; `seq` 0: none yet."""

    seq: int = 0
    payload_digest: str = ""


class Skipped(msgspec.Struct, frozen=True):
    """An event that could not be stored, and why (never its content)."""

    seq: int
    subject: str
    reason: str


class Projection:
    """The projection in one database."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._bulk = Bulk(engine.dialect.name)
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        with engine.begin() as connection:
            self._place = self._read_place(connection)
        self._is_same_log = self._place.seq == 0

    @classmethod
    def open(cls, url: URL) -> Projection:
        """Connect to `url` and bring its schema up to date.

        Raises:
            SQLAlchemyError: the database is not there, or not usable now.
        """
        engine = open_engine(url)
        try:
            migrate(engine)
            return cls(engine)
        except BaseException:  # whatever it was goes on to the caller; only the connections end here
            engine.dispose()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def position(self) -> int:
        """The `seq` of the last event in the database; 0 before the first."""
        return self._place.seq

    def apply(self, entries: Sequence[LogEntry]) -> list[Skipped]:
        """Store `entries`, which follow each other in the log; those already stored are passed over. Returns what was skipped.

        Raises:
            PositionMoved: the database stands elsewhere; nothing was written.
            WrongLog: `entries` are not of the log this database was filled from; nothing was written.
            SQLAlchemyError: the database is down, locked or full; what was not committed can be applied again.
        """
        fresh = self._fresh(entries)
        return self._store(fresh) if fresh else []

    def _store(self, entries: Sequence[LogEntry]) -> list[Skipped]:
        rows, skipped = _decoded(entries)
        try:
            self._commit(entries[-1], rows, skipped)
        except (StatementError, OverflowError, ValueError) as error:
            if not _is_the_rows_fault(error):
                raise
            if len(entries) > 1:
                half = len(entries) // 2
                return self._store(entries[:half]) + self._store(entries[half:])
            skipped = [_skip(entries[0], _named(error))]
            self._commit(entries[0], [], skipped)
        return skipped

    def _commit(self, last: LogEntry, rows: Iterable[TableRow], skipped: Sequence[Skipped]) -> None:
        place = Place(last.seq, _digest(last.payload))
        with self._engine.begin() as connection:
            if self._read_place(connection) != self._place:
                raise PositionMoved(f"expected {self._place.seq}")
            self._write(connection, [*rows, *(_skipped_row(each) for each in skipped)])
            statement = self._insert(PROJECTION_POSITION)
            statement = statement.on_conflict_do_update(
                index_elements=["reader"],
                set_={"seq": statement.excluded.seq, "payload_digest": statement.excluded.payload_digest},
                where=PROJECTION_POSITION.c.seq == self._place.seq,
            )
            statement = statement.execution_options(preserve_rowcount=True)
            moved = connection.execute(statement, {"reader": READER, **msgspec.structs.asdict(place)}).rowcount
            if moved != 1:  # before the first row there is nothing to lock: another process was faster
                raise PositionMoved(f"expected {self._place.seq}")
        self._place = place

    def _write(self, connection: Connection, rows: Sequence[TableRow]) -> None:
        once: dict[Table, list[dict[str, Any]]] = {}
        newer: dict[Table, dict[Any, dict[str, Any]]] = {}
        for row in rows:
            if row.is_newer:
                key = tuple(row.values[column.name] for column in row.table.primary_key)
                newer.setdefault(row.table, {})[key] = row.values
            else:
                once.setdefault(row.table, []).append(row.values)
        for table in METADATA.sorted_tables:
            if table in once:
                self._bulk.add(connection, table, once[table])
            if table in newer:
                self._bulk.replace_older(connection, table, list(newer[table].values()))

    def _read_place(self, connection: Connection) -> Place:
        table = PROJECTION_POSITION
        found = connection.execute(
            select(table.c.seq, table.c.payload_digest).where(table.c.reader == READER).with_for_update()
        ).one_or_none()
        return Place() if found is None else Place(*found)

    def _fresh(self, entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
        """The entries behind our place, once the log has shown the very event we stopped at."""
        for index, entry in enumerate(entries):
            if entry.seq < self._place.seq:
                continue
            if entry.seq == self._place.seq:
                self._is_same_log = self._is_same_log or _digest(entry.payload) == self._place.payload_digest
            if not self._is_same_log:
                raise WrongLog(_wrong_log(entry.seq, self._place.seq))
            return entries[index + (entry.seq == self._place.seq) :]
        return []


def _decoded(entries: Iterable[LogEntry]) -> tuple[list[TableRow], list[Skipped]]:
    rows: list[TableRow] = []
    skipped: list[Skipped] = []
    for entry in entries:
        try:
            rows += rows_of(entry.seq, decode_from(entry.subject, entry.payload))
        except BadEvent as error:
            skipped.append(_skip(entry, error.reason))
    return rows, skipped


def _skip(entry: LogEntry, reason: str) -> Skipped:
    return Skipped(entry.seq, entry.subject[:KEY_CHARS_MAX], reason)


def _skipped_row(skipped: Skipped) -> TableRow:
    return TableRow(PROJECTION_SKIPPED, msgspec.structs.asdict(skipped))


def _digest(payload: bytes) -> str:
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def _is_the_rows_fault(error: Exception) -> bool:
    """Whether this very row can never be stored; otherwise the database is in trouble and the row is fine."""
    if isinstance(error, OperationalError):
        return str(getattr(error.orig, "sqlstate", None) or "").startswith(LIMIT_EXCEEDED)
    return isinstance(error, DataError | IntegrityError) or not isinstance(error, DBAPIError)


def _named(error: Exception) -> str:
    orig = getattr(error, "orig", None)
    return type(orig if orig is not None else error).__name__


def _wrong_log(found: int, expected: int) -> str:
    return (
        f"the database stands at event {expected} of its log, but this log has another event there (found {found}): it was "
        "filled from another log. Point DATABASE_URL at the right database, or empty this one and it is filled again"
    )
