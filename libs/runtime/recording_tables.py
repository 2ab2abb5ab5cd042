"""Messages of the MARKET stream as typed columns, and back, exactly.

A table holds messages of one type. Its columns are `seq` and the message's own fields, but for those that stand in the subject
(`venue`, `instrument`), which are the same for a whole file and stand in its path, as Parquet readers expect, and in its metadata.
Numbers, texts and truths are columns of that type; a field of any other type is a column of JSON text. So a type that joins the
language later is recorded without a change here, and one that this code does not know is kept as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import inspect

from libs.common.codec import BadEvent, decode
from libs.common.messages import ALL, Message
from libs.common.subjects import TOKEN, subject_of
from libs.runtime.adapter import LogEntry
from libs.runtime.recording_manifest import RecordingError

METADATA_KEY = b"bulkhead"
UNKNOWN = "unknown"
INT64 = 2**63
_FIELD = re.compile(r"\{(\w+)\}")


class PartHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file says of all its rows. An empty `type`: messages of types that the recorder did not know, as bytes."""

    type: str = ""
    shared: dict[str, str] = {}
    first_seq: int = 0
    last_seq: int = 0
    source: str = ""


class MessageTable:
    """The columns of one message type."""

    def __init__(self, kind: type[Message]):
        self.kind = kind
        self.tag = str(kind.__struct_config__.tag)
        self.folder = kind.suffix.partition(".")[0]
        self.shared = tuple(_FIELD.findall(kind.suffix))
        fields = [field for field in msgspec.structs.fields(kind) if field.name not in self.shared]
        self._types = {field.name: field.type for field in fields}
        self._columns = {field.name: _arrow_type(inspect.type_info(field.type)) for field in fields}
        self._as_json = [name for name, found in self._columns.items() if found is None]
        self._ints = [name for name, found in self._columns.items() if found == pa.int64()]
        self.schema = pa.schema(
            [pa.field("seq", pa.int64(), nullable=False)]
            + [pa.field(name, found or pa.string()) for name, found in self._columns.items()]
        )

    def fits(self, message: Message) -> bool:
        """Whether every number of the message fits its column."""
        return all(-INT64 <= (getattr(message, name) or 0) < INT64 for name in self._ints)

    def table(self, seqs: Sequence[int], messages: Sequence[Message]) -> pa.Table:
        """Messages as rows."""
        columns: list[Any] = [seqs]
        for name in self._columns:
            values = [getattr(message, name) for message in messages]
            columns.append([_as_text(value) for value in values] if name in self._as_json else values)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self.schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def messages(self, batch: pa.RecordBatch, shared: dict[str, str]) -> Iterator[tuple[int, Message]]:
        """Rows as (seq, message).

        Raises:
            RecordingError: a column is missing.
        """
        names = tuple(self._columns)
        if missing := [name for name in ("seq", *names) if name not in batch.schema.names]:
            raise RecordingError(f"the column {missing[0]} of {self.tag} is missing")
        columns = [batch.column(name).to_pylist() for name in names]
        for place, name in enumerate(names):
            if name in self._as_json:
                kind = self._types[name]
                columns[place] = [msgspec.json.decode(text, type=kind) for text in columns[place]]
        for seq, *values in zip(batch.column("seq").to_pylist(), *columns, strict=True):
            yield seq, self.kind(**shared, **dict(zip(names, values, strict=True)))


UNKNOWN_SCHEMA = pa.schema(
    [pa.field("seq", pa.int64(), nullable=False), pa.field("subject", pa.string()), pa.field("payload", pa.binary())]
)


class Row(msgspec.Struct, frozen=True):
    """One message on its way into a file: `table` is None when its type, its bytes or its subject are not what we know."""

    entry: LogEntry
    table: MessageTable | None
    message: Message | None
    shared: tuple[tuple[str, str], ...] = ()


def row_of(entry: LogEntry) -> Row:
    """How an entry of the stream is kept. Whatever it is, it is kept."""
    try:
        message = decode(entry.payload)
        table = TABLES.get(str(type(message).__struct_config__.tag))
        if table is None or subject_of(message) != entry.subject or not table.fits(message):
            return Row(entry, None, message)
    except BadEvent:
        return Row(entry, None, None)
    except ValueError:  # a field that cannot stand in a subject: certainly not the subject it came on
        return Row(entry, None, message)
    return Row(entry, table, message, tuple((name, str(getattr(message, name))) for name in table.shared))


def unknown_table(entries: Sequence[LogEntry]) -> pa.Table:
    """Entries as bytes."""
    columns = [[each.seq for each in entries], [each.subject for each in entries], [each.payload for each in entries]]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, UNKNOWN_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=UNKNOWN_SCHEMA)


def with_head(table: pa.Table, head: PartHead) -> pa.Table:
    """The table with its head in its metadata."""
    return table.replace_schema_metadata({METADATA_KEY: msgspec.json.encode(head)})


def head_of(schema: pa.Schema) -> PartHead:
    """The head that a file carries.

    Raises:
        RecordingError: it carries none of ours.
    """
    found = (schema.metadata or {}).get(METADATA_KEY)
    if found is None:
        raise RecordingError("a Parquet file, but not one of ours (it says nothing of its message type)")
    try:
        head = msgspec.json.decode(found, type=PartHead)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"its metadata cannot be read ({error})") from None
    if bad := [value for value in head.shared.values() if not TOKEN.fullmatch(value)]:
        raise RecordingError(f"its metadata names {bad[0][:80]!r}, which is no venue, instrument or timeframe")
    return head


def _arrow_type(found: inspect.Type) -> pa.DataType | None:
    """The column of a field; None: JSON text."""
    if isinstance(found, inspect.UnionType):
        rest = [each for each in found.types if not isinstance(each, inspect.NoneType)]
        return _arrow_type(rest[0]) if len(rest) == 1 else None
    if isinstance(found, inspect.LiteralType):
        return pa.string() if all(isinstance(value, str) for value in found.values) else None
    plain = {
        inspect.IntType: pa.int64(),
        inspect.FloatType: pa.float64(),
        inspect.StrType: pa.string(),
        inspect.BoolType: pa.bool_(),
    }
    return plain.get(type(found))


def _as_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


TABLES: dict[str, MessageTable] = {
    table.tag: table for table in (MessageTable(kind) for kind in ALL if kind.said_by == "market")
}
"""Every type of the MARKET stream that this code knows, by its tag."""
