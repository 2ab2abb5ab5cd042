"""What stands in Postgres and in no log: trials that were counted and studies that were run, as one file of an archive, and back from it.

    Postgres ──▶ every row of `trials` and of the schema `sweeps`, sorted ──▶ files/project-database.json.<digest>
             ◀── tables made anew, rows put in, read out again: the same rows

The ledger's tables beside them are left out: the log makes them. The file says its format and, for the studies, the revision of Optuna's tables, and goes back
into Postgres or SQLite alike, but never among rows that are there already: two counts that were added up would be neither.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, DateTime, Engine, MetaData, NullPool, Table, create_engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from libs.research.trials import TRIALS, TrialCounter
from libs.runtime.settings import SettingsError
from services.cli.backup.archive import BadArchive, KeptFile
from services.cli.backup.archive_writer import keep_file
from services.cli.trial_counting import place_of

EXPORT = "project-database.json"
FORMAT = 1
COUNTED, STUDIED = "trials", "sweeps"
CONNECT_S = 5
_REVISION = "alembic_version"
_NO_FACTS = frozenset((_REVISION, "version_info"))
"""Tables of Optuna's about its own tables: whoever makes them writes them."""


class NotEmpty(Exception):
    """The database holds trials or studies already."""


class Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table: its columns' names, and every row."""

    name: str
    columns: list[str]
    rows: list[list[Any]]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tables that are made by one hand; `revision` is theirs, empty where nobody numbers them. In an order in which each is there before who points at it."""

    name: str
    revision: str
    tables: list[Rows]


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    format: int
    parts: list[Part]

    @property
    def count(self) -> int:
        """How many rows it holds."""
        return sum(len(table.rows) for part in self.parts for table in part.tables)


def exported(url: URL) -> bytes:
    """What the database at `url` holds of trials and studies; each of the two as of one moment. Nothing there is changed.

    Raises:
        SQLAlchemyError: the database cannot be had.
    """
    parts = [found for name in (COUNTED, STUDIED) if (found := _part(name, url)) is not None]
    return msgspec.json.encode(Facts(FORMAT, parts))


def read_facts(content: bytes) -> Facts:
    """The file, understood.

    Raises:
        BadArchive: it is none, or one of a format that this version does not read.
    """
    try:
        found = msgspec.json.decode(content, type=Facts)
    except msgspec.MsgspecError as error:
        raise BadArchive(f"{EXPORT} cannot be read: {error}") from error
    if found.format != FORMAT or not {each.name for each in found.parts} <= {COUNTED, STUDIED}:
        raise BadArchive(f"{EXPORT} is of format {found.format}; this version of bulkhead reads {FORMAT}")
    return found


def put_back(content: bytes, url: URL) -> int:
    """Make tables in the database at `url` and put every row into them; returns how many. They are read out again, and must be the same.

    Raises:
        NotEmpty: there are rows already; nothing was changed. BadArchive: it does not fit the tables of this version.
        SQLAlchemyError: the database cannot be had.
    """
    facts = read_facts(content)
    for part in facts.parts:
        _make_tables(part.name, url)
    for part in facts.parts:  # nothing is put anywhere before everything is known to be empty
        with _engine(part.name, url).connect() as connection:
            _must_fit(part, connection, _schema(part.name, url))
    for part in facts.parts:
        with _engine(part.name, url).begin() as connection:
            _insert(part, connection, _schema(part.name, url))
    if read_facts(exported(url)) != facts:  # values, not bytes: a SQLite file knows no minus zero
        raise BadArchive(f"{EXPORT} went back into the database and reads otherwise than it was written")
    return facts.count


class FactsCopier:
    """Copies the facts of the project's database into an archive when they are due. What was copied stays there until a newer copy takes its place, also for
    somebody who knows of no such database."""

    def __init__(self, environment: Mapping[str, str], every_s: float = 0.0):
        self._environment = environment
        self._every_s = every_s
        self._looked_at = float("-inf")
        self._url: URL | None = None
        self._trouble = ""

    def look(self) -> None:
        """Find out whether they are due, and where they stand. It reads settings, so it wants the thread that everybody else reads them in."""
        self._url = None
        if time.monotonic() - self._looked_at < self._every_s:
            return
        self._looked_at, self._trouble = time.monotonic(), ""
        try:
            found = place_of("", self._environment)
        except SettingsError as error:
            self._trouble = f"trials and studies were not copied: bad settings ({error})"
            return
        if (
            found.get_backend_name() == "postgresql"
        ):  # else they are files of the state folder, which are copied as files
            self._url = found

    def kept(self, folder: Path, before: list[KeptFile]) -> tuple[list[KeptFile], str]:
        """The copy that counts from now on (none: there never was anything to copy), and why it is not a new one, if it should be."""
        former = [each for each in before if each.path == EXPORT]
        if self._url is None:
            return former, self._trouble
        try:
            content = exported(self._url)
        except SQLAlchemyError as error:
            cause = type(error.__cause__ or error).__name__
            self._trouble = f"trials and studies were not copied: the project's database cannot be had ({cause})"
            return former, self._trouble
        return ([keep_file(folder, content, EXPORT)] if read_facts(content).count else former), ""


def _part(name: str, url: URL) -> Part | None:
    if url.get_backend_name() == "sqlite" and not _has_file(name, url):
        return None
    with _engine(name, url).connect() as connection:
        if url.get_backend_name() == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        tables = _tables(name, connection, _schema(name, url))
        if not tables:
            return None
        revision = next((each for each in tables if each.name == _REVISION), None)
        number = "" if revision is None else str(connection.execute(select(revision)).scalar_one())
        facts = [_rows(table, connection) for table in tables if table.name not in _NO_FACTS]
    return Part(name, number, facts)


def _rows(table: Table, connection: Connection) -> Rows:
    names = sorted(str(column.name) for column in table.columns)
    found = connection.execute(select(*(table.c[name] for name in names)))
    rows = [[each.isoformat() if isinstance(each, datetime) else each for each in row] for row in found]
    return Rows(str(table.name), names, sorted(rows, key=msgspec.json.encode))


def _must_fit(part: Part, connection: Connection, schema: str | None) -> None:
    tables = {each.name: each for each in _tables(part.name, connection, schema)}
    if part.revision:
        number = str(connection.execute(select(tables[_REVISION])).scalar_one())
        if number != part.revision:
            raise BadArchive(
                f"{EXPORT} holds studies of revision {part.revision}; this version of Optuna makes {number}"
            )
    for each in part.tables:
        table = tables.get(each.name)
        if table is None or set(each.columns) != {column.name for column in table.columns}:
            raise BadArchive(f"{EXPORT} holds a table {each.name} as this version does not make it")
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise NotEmpty(f"its table {each.name} holds rows already")


def _insert(part: Part, connection: Connection, schema: str | None) -> None:
    tables = {each.name: each for each in _tables(part.name, connection, schema)}
    for each in part.tables:
        table = tables[each.name]
        moments = {place for place, name in enumerate(each.columns) if isinstance(table.c[name].type, DateTime)}
        rows = [
            {
                name: datetime.fromisoformat(value) if place in moments and value is not None else value
                for place, (name, value) in enumerate(zip(each.columns, row, strict=True))
            }
            for row in each.rows
        ]
        if rows:
            connection.execute(table.insert(), rows)
            _go_on_counting(table, connection)


def _go_on_counting(table: Table, connection: Connection) -> None:
    """The next row that the database numbers itself comes after those that were put in."""
    keys = list(table.primary_key.columns)
    if connection.dialect.name != "postgresql" or len(keys) != 1:
        return
    asked = text("SELECT pg_get_serial_sequence(:table, :column)")
    name = connection.execute(asked, {"table": table.fullname, "column": keys[0].name}).scalar_one()
    if name is not None:
        last = connection.execute(select(func.max(keys[0]))).scalar_one()
        connection.execute(text("SELECT setval(cast(:name AS regclass), :last)"), {"name": name, "last": last})


# --- where each part is ---------------------------------------------------------------------------------------------


def _make_tables(name: str, url: URL) -> None:
    if name == COUNTED:
        TrialCounter.open(url).close()
        return
    from libs.research.sweep import study_storage  # Optuna takes a second to load

    study_storage(url).engine.dispose()


def _tables(name: str, connection: Connection, schema: str | None) -> list[Table]:
    """As they stand in the database, each after those it points at."""
    found = MetaData(schema=schema)
    found.reflect(connection, only=None if name == STUDIED else lambda each, _: each == TRIALS.name)
    return found.sorted_tables


def _schema(name: str, url: URL) -> str | None:
    return STUDIED if name == STUDIED and url.get_backend_name() == "postgresql" else None


def _has_file(name: str, url: URL) -> bool:
    return Path(_place(name, url).database or "").is_file()


def _place(name: str, url: URL) -> URL:
    """Beside a SQLite file studies have one of their own (libs.research.sweep)."""
    if name == COUNTED or url.get_backend_name() != "sqlite":
        return url
    return url.set(database=f"{(url.database or '').removesuffix('.db')}-{STUDIED}.db")


def _engine(name: str, url: URL) -> Engine:
    told = {"connect_timeout": CONNECT_S} if url.get_backend_name() == "postgresql" else {}
    return create_engine(_place(name, url), poolclass=NullPool, hide_parameters=True, connect_args=told)
