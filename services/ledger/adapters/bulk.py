"""How the rows of one batch reach their table.

SQLite is told row by row, inside one transaction. Postgres gets all rows of a table as one JSON text, which it turns into rows itself
(`json_populate_recordset`): one statement a table and batch, instead of one a row. Money travels as text, so that not a digit is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import JSON, Connection, Table, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from services.ledger.adapters.tables import checked_money

Rows = Sequence[dict[str, Any]]
_encoder = msgspec.json.Encoder(decimal_format="string")


class Bulk:
    """Writes rows for one kind of database (`dialect`: "postgresql" or "sqlite")."""

    def __init__(self, dialect: str):
        self._is_postgres = dialect == "postgresql"
        self._statements: dict[tuple[Table, tuple[str, ...], bool], Any] = {}

    def add(self, connection: Connection, table: Table, rows: Rows) -> None:
        """Insert `rows`, all with the same columns; those that are there already stay as they are."""
        self._run(connection, table, rows, replaces=False)

    def replace_older(self, connection: Connection, table: Table, rows: Rows) -> None:
        """Insert `rows`, each key once, or replace the row of the key, if that is older (`updated_seq`)."""
        self._run(connection, table, rows, replaces=True)

    def _run(self, connection: Connection, table: Table, rows: Rows, *, replaces: bool) -> None:
        names = tuple(rows[0])
        key = (table, names, replaces)
        statement = self._statements.get(key)
        if statement is None:
            statement = self._statements[key] = self._statement(table, names, replaces)
        connection.execute(statement, {"rows": _text_of(rows)} if self._is_postgres else rows)

    def _statement(self, table: Table, names: tuple[str, ...], replaces: bool) -> Any:
        insert: Any = postgresql.insert(table) if self._is_postgres else sqlite.insert(table)
        if self._is_postgres:
            text = cast(bindparam("rows", type_=Text), JSON)
            given = func.json_populate_recordset(literal_column(f"NULL::{table.name}"), text).table_valued(*names)
            insert = insert.from_select(list(names), select(*(given.c[name] for name in names)))
        if not replaces:
            return insert.on_conflict_do_nothing()
        keys = [column.name for column in table.primary_key]
        return insert.on_conflict_do_update(
            index_elements=keys,
            set_={name: insert.excluded[name] for name in names if name not in keys},
            where=table.c.updated_seq < insert.excluded.updated_seq,
        )


def _text_of(rows: Rows) -> str:
    for row in rows:
        for value in row.values():
            if isinstance(value, Decimal):
                checked_money(value)
    return _encoder.encode(rows).decode()
