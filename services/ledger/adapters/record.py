"""The tables as an auditor reads them: the journal as it was booked, and everything as one canonical text. Reads only.

The canonical text does not depend on the database: every table in the order of its name, every row in the order of its primary key (by bytes), one line
of JSON each, money as the plain decimal it is. Two databases that read the same log up to the same event have the same text, SQLite
or Postgres. What the database itself says of a row it could not hold (`projection_skipped.reason`) is left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, Column, Connection, Engine, String, Table, Text, cast, create_engine, select
from sqlalchemy.pool import NullPool

from libs.trading.journal import Booked, ChainHead, Line
from services.ledger.adapters.schema import fits, newest_revision, revision_in
from services.ledger.adapters.tables import (
    EQUITY_DAILY,
    JOURNAL_ENTRIES,
    METADATA,
    POSTINGS,
    PROJECTION_POSITION,
    PROJECTION_SKIPPED,
)

ROWS_AT_ONCE = 2_000
LEFT_OUT = {PROJECTION_SKIPPED.c.reason}


class NotOurs(Exception):
    """The database is not there, is empty, or has the tables of another version of this code."""


class Record:
    """One reading of a database: everything read inside `with` is of one moment, and nobody is kept from writing."""

    def __init__(self, url: URL):
        self._engine = _reader(url)

    def __enter__(self) -> Record:
        self._connection = self._engine.connect()
        try:
            found = revision_in(self._connection)
            if not fits(found, newest_revision()):
                raise NotOurs(
                    f"its tables are at revision {found or 'none (empty)'}, this code reads {newest_revision()}"
                )
        except BaseException:  # whatever it was goes on; only the connection ends here
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._engine.dispose()

    def position(self) -> int:
        """The `seq` of the last event in the tables; 0: none."""
        return self._connection.execute(select(PROJECTION_POSITION.c.seq)).scalar_one_or_none() or 0

    def journal(self) -> list[Booked]:
        """Every entry in the order of the log."""
        lines: dict[str, list[Line]] = {}
        amount = cast(POSTINGS.c.amount, Text)  # as it stands there, a number or not
        query = select(POSTINGS.c.entry_id, POSTINGS.c.line, POSTINGS.c.account, POSTINGS.c.asset, amount)
        for entry_id, *line in self._connection.execute(query.order_by(POSTINGS.c.entry_id, POSTINGS.c.line)):
            lines.setdefault(entry_id, []).append(Line(*line))
        names = [name for name in Booked.__struct_fields__ if name != "lines"]
        query = select(*(JOURNAL_ENTRIES.c[name] for name in names)).order_by(JOURNAL_ENTRIES.c.seq)
        found = [
            Booked(**dict(zip(names, row, strict=True)), lines=tuple(lines.pop(row[names.index("entry_id")], ())))
            for row in self._connection.execute(query)
        ]
        return found + [_stray(entry_id, left) for entry_id, left in sorted(lines.items())]

    def heads(self) -> list[tuple[str, ChainHead]]:
        """Every head that was declared, with who knows it."""
        table = EQUITY_DAILY
        query = select(table.c.day, table.c.digest, table.c.number).order_by(table.c.seq)
        return [
            (f"the head of {day} in the tables", ChainHead(*head)) for day, *head in self._connection.execute(query)
        ]

    def rows(self) -> Iterator[tuple[str, bytes, bytes]]:
        """The canonical text: table, primary key and row of each line."""
        for table in sorted(METADATA.tables.values(), key=lambda each: each.name):
            columns = [column for column in table.c if column not in LEFT_OUT]
            keys = [columns.index(column) for column in table.primary_key]
            query = select(*columns).order_by(*_by_bytes(table, self._connection))
            for row in self._connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query):
                values = [_canonical(value) for value in row]
                yield str(table.name), _encode([values[each] for each in keys]), _encode(values)


def _reader(url: URL) -> Engine:
    """Read-only, on one snapshot; a SQLite file that is not there is not made."""
    if url.get_backend_name() == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return create_engine(url, hide_parameters=True, poolclass=NullPool, execution_options=options)
    file = Path(url.database or "").absolute()
    if not file.is_file():
        raise NotOurs(f"there is no file {file}")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.execute("BEGIN")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)


def _by_bytes(table: Table, connection: Connection) -> list[Any]:
    is_postgres = connection.dialect.name == "postgresql"

    def ordered(column: Column[Any]) -> Any:
        return column.collate("C") if is_postgres and isinstance(column.type, String) else column

    return [ordered(column) for column in table.primary_key]


def _canonical(value: Any) -> Any:
    match value:
        case Decimal():
            return f"{value:f}" if value else f"{abs(value):f}"
        case float():
            return value + 0.0  # SQLite knows no -0.0
    return value


def _encode(values: list[Any]) -> bytes:
    return msgspec.json.encode(values)


def _stray(entry_id: str, lines: list[Line]) -> Booked:
    """Postings of an entry that is not there."""
    texts = dict.fromkeys(("previous", "digest", "kind", "source_id", "instrument", "memo"), "")
    return Booked(seq=0, number=0, ts_event=0, entry_id=entry_id, lines=tuple(lines), **texts)
