"""The log as rows: what an operator's door looks up by id, by kind or by time without reading the whole log again.

An SQLite file in the door's state folder, made from the log alone: whoever deletes it loses nothing but the time to read again. Rows and the position
they reach to go in one commit. Prices, most of a log, are left out; of long events the text is left out too, and read from the log when asked for.

    events   one row an event: where it stands, what it is, who caused it, its text
    names    what of an order's life it names (story_target.names_in), so that an order, a trade or an intent finds its events
    place    which log this is, and how far it was read
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    create_engine,
    event,
    func,
    or_,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from libs.common.messages import Message
from libs.desk.story import role_of
from libs.desk.story_target import Target, names_in
from libs.runtime.adapter import LogEntry

LEFT_OUT = ("feed.marks", "feed.history.")
"""Subjects that get no row."""
TEXT_BYTES_MAX = 64 * 1024
"""Of longer events the text stays in the log."""
NAMES_AT_ONCE = 500
VERSION = "1"
"""Of the tables; a file of another version is made anew."""

_metadata = MetaData()
events = Table(
    "events",
    _metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("role", String, nullable=False),
    Column("producer", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("instrument", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("causation_id", String, nullable=False),
    Column("done_in_seq", BigInteger, nullable=False),
    Column("ts_init", BigInteger, nullable=False),
    Column("payload", LargeBinary),
    Index("events_id", "id"),
    Index("events_correlation", "correlation_id"),
    Index("events_causation", "causation_id"),
    Index("events_role", "role", "seq"),
    Index("events_type", "type", "seq"),
    Index("events_instrument", "instrument", "seq"),
)
names = Table(
    "names",
    _metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("instrument", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
)
place = Table("place", _metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is on record here; times in ns UTC. `payload` is None where the text is in the log only."""

    seq: int
    id: str
    type: str
    role: str
    producer: str
    subject: str
    instrument: str
    correlation_id: str
    causation_id: str
    done_in_seq: int
    ts_init: int
    payload: bytes | None

    @property
    def entry(self) -> LogEntry | None:
        """The entry of the log, where its text is here."""
        return None if self.payload is None else LogEntry(self.seq, self.subject, self.payload)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: of these kinds, roles and writers (none named: all), about this instrument or story, between two places (0: no bound; both exclusive)."""

    kinds: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    producers: tuple[str, ...] = ()
    instrument: str = ""
    correlation_id: str = ""
    before_seq: int = 0
    after_seq: int = 0


class LogIndex:
    """The file and what is asked of it. Every call waits for the disk: call it from a thread."""

    def __init__(self, path: Path):
        self._path = path
        self._engine = _open(path)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    # --- how far it was read ------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The seq of the last event that was read into it; 0: none."""
        return int(self._place("position") or 0)

    def last_digest(self) -> str:
        """The digest of the entry at `position`: a log that has another entry there is another log."""
        return self._place("digest")

    def begin(self, stream: str) -> None:
        """Make it the index of `stream`; what it holds of another one, or in tables of another version, is dropped."""
        if (self._place("stream"), self._place("version")) == (stream, VERSION):
            return
        with self._engine.begin() as connection:
            _metadata.drop_all(connection)
            _metadata.create_all(connection)
            connection.execute(
                place.insert(), [{"key": "stream", "value": stream}, {"key": "version", "value": VERSION}]
            )

    def forget(self) -> None:
        """Drop everything: it was read from another log."""
        with self._engine.begin() as connection:
            _metadata.drop_all(connection)
            _metadata.create_all(connection)

    def _place(self, key: str) -> str:
        with self._engine.connect() as connection:
            found = connection.execute(select(place.c.value).where(place.c.key == key)).scalar()
        return str(found or "")

    # --- writing ------------------------------------------------------------------------------------------------

    def add(self, read: Sequence[tuple[LogEntry, Message | None]]) -> None:
        """Record entries in log order, with the position they reach to, in one commit. What is no event (None) only moves the position."""
        if not read:
            return
        kept = [(entry, said) for entry, said in read if said is not None and not entry.subject.startswith(LEFT_OUT)]
        rows = [_row_of(entry, said) for entry, said in kept]
        named = [each for entry, said in kept for each in _names_of(entry, said)]
        last = read[-1][0]
        with self._engine.begin() as connection:
            if rows:
                connection.execute(events.insert(), rows)
            if named:
                connection.execute(names.insert(), named)
            for key, value in (("position", str(last.seq)), ("digest", digest_of(last))):
                connection.execute(place.delete().where(place.c.key == key))
                connection.execute(place.insert(), {"key": key, "value": value})

    # --- asking -------------------------------------------------------------------------------------------------

    def page(self, wanted: Wanted, limit: int, *, newest_first: bool = True) -> list[Row]:
        """At most `limit` events, the newest or the oldest first."""
        query = select(events)
        if wanted.kinds:
            query = query.where(events.c.type.in_(wanted.kinds))
        if wanted.roles:
            query = query.where(events.c.role.in_(wanted.roles))
        if wanted.producers:
            query = query.where(events.c.producer.in_(wanted.producers))
        if wanted.instrument:
            query = query.where(events.c.instrument == wanted.instrument)
        if wanted.correlation_id:
            query = query.where(events.c.correlation_id == wanted.correlation_id)
        if wanted.before_seq:
            query = query.where(events.c.seq < wanted.before_seq)
        if wanted.after_seq:
            query = query.where(events.c.seq > wanted.after_seq)
        order = events.c.seq.desc() if newest_first else events.c.seq.asc()
        return self._rows(query.order_by(order).limit(limit))

    def all_after(self, seq: int, at_once: int = 5_000) -> Iterable[Row]:
        """Every event after `seq`, in log order, read in pieces."""
        while True:
            found = self.page(Wanted(after_seq=seq), at_once, newest_first=False)
            yield from found
            if len(found) < at_once:
                return
            seq = found[-1].seq

    def with_ids(self, ids: Iterable[str]) -> list[Row]:
        """The events that are called so."""
        return self._in_pieces(ids, lambda piece: select(events).where(events.c.id.in_(piece)))

    def caused_by(self, ids: Iterable[str]) -> list[Row]:
        """The events whose direct parents are called so."""
        return self._in_pieces(ids, lambda piece: select(events).where(events.c.causation_id.in_(piece)))

    def of_story(self, correlation_id: str) -> list[Row]:
        """Everything of one story."""
        same = or_(events.c.correlation_id == correlation_id, events.c.id == correlation_id)
        return self._rows(select(events).where(same))

    def naming(self, target: Target) -> list[Row]:
        """The events that name this intent, order or trade."""
        same = (names.c.name == target.id) & (names.c.kind == target.kind) & (names.c.instrument == target.instrument)
        return self._rows(select(events).join(names, names.c.seq == events.c.seq).where(same))

    def called(self, text: str) -> set[Target]:
        """What is called `text`, or begins so: messages, stories, and what orders' lives name."""
        upper = text + "\U0010ffff"
        found: set[Target] = set()
        with self._engine.connect() as connection:
            for column, kind in ((events.c.id, "message"), (events.c.correlation_id, "correlation")):
                query = select(column).where(column >= text, column < upper).distinct().limit(NAMES_AT_ONCE)
                found.update(Target(kind, value) for value in connection.execute(query).scalars())  # type: ignore[arg-type]
            query = select(names.c.kind, names.c.name, names.c.instrument).where(
                names.c.name >= text, names.c.name < upper
            )
            found.update(Target(*each) for each in connection.execute(query.distinct().limit(NAMES_AT_ONCE)))
        return found

    def count(self) -> int:
        """How many events are on record."""
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(events)).scalar_one())

    def _in_pieces(self, ids: Iterable[str], asking: Any) -> list[Row]:
        wanted, found = [each for each in dict.fromkeys(ids) if each], []
        for start in range(0, len(wanted), NAMES_AT_ONCE):
            found += self._rows(asking(wanted[start : start + NAMES_AT_ONCE]))
        return found

    def _rows(self, query: Select[Any]) -> list[Row]:
        with self._engine.connect() as connection:
            return [Row(**each) for each in connection.execute(query).mappings()]


def digest_of(entry: LogEntry) -> str:
    """What tells one entry of a log from every other."""
    return hashlib.blake2b(entry.subject.encode() + b"\n" + entry.payload, digest_size=16).hexdigest()


def _open(path: Path) -> Engine:
    """The file, with its tables; one that is no database, or broken, is made anew: everything in it stands in the log."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for is_last in (False, True):
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})
        event.listen(engine, "connect", _prepared)
        try:
            _metadata.create_all(engine)
        except SQLAlchemyError:
            engine.dispose()
            if is_last:
                raise
            for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                each.unlink(missing_ok=True)
        else:
            path.chmod(0o600)
            return engine
    raise AssertionError


def _prepared(connection: Any, _record: Any) -> None:
    """Readers do not wait for the writer; what a crash takes back, the log still has."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _row_of(entry: LogEntry, said: Message) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "id": said.id,
        "type": str(said.__struct_config__.tag),
        "role": role_of(said),
        "producer": said.producer,
        "subject": entry.subject,
        "instrument": getattr(said, "instrument", ""),
        "correlation_id": said.correlation_id or said.id,
        "causation_id": said.causation_id,
        "done_in_seq": said.done_in_seq,
        "ts_init": said.ts_init,
        "payload": entry.payload if len(entry.payload) <= TEXT_BYTES_MAX else None,
    }


def _names_of(entry: LogEntry, said: Message) -> list[dict[str, Any]]:
    found = {(each.id, each.kind, each.instrument) for each in names_in(said) if each.id}
    return [{"name": name, "kind": kind, "instrument": on, "seq": entry.seq} for name, kind, on in sorted(found)]
