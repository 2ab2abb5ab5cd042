"""A log as lines: one JSON line for each entry.

    {"seq":41,"subject":"risk.approved.BTC-USDT","payload":"{\\"type\\":...}"}

`payload` is the message's bytes as text; what is not UTF-8 stands in `payload_base64` instead. `traceparent` is its trace header, if it has one,
and `stored_at` when the log had stored it (ns UTC), where whoever wrote the line knew that.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from libs.runtime.adapter import LogEntry


class BadDump(Exception):
    """The file is not a dump of a log; the text names the line and what is wrong with it."""


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    seq: int
    subject: str
    payload: str | None = None
    payload_base64: str | None = None
    traceparent: str = ""
    stored_at: int = 0


class Stored(msgspec.Struct, frozen=True):
    """An entry, and when the log had stored it (ns UTC by the bus's clock; 0: not known)."""

    entry: LogEntry
    stored_at: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def line_of(entry: LogEntry, stored_at: int = 0) -> bytes:
    """An entry as a line, newline included."""
    payload, payload_base64 = None, None
    try:
        payload = entry.payload.decode()
    except UnicodeDecodeError:
        payload_base64 = base64.b64encode(entry.payload).decode()
    line = _Line(entry.seq, entry.subject, payload, payload_base64, entry.traceparent, stored_at)
    return _encoder.encode(line) + b"\n"


def entry_of(line: bytes) -> LogEntry:
    """The entry in a line.

    Raises:
        BadDump: without the line's number, which only the reader of the file knows.
    """
    return stored_of(line).entry


def stored_of(line: bytes) -> Stored:
    """The entry in a line, and when it was stored.

    Raises:
        BadDump: without the line's number, which only the reader of the file knows.
    """
    try:
        found = _decoder.decode(line)
        if (found.payload is None) == (found.payload_base64 is None):
            raise BadDump("wants either payload or payload_base64")
        if found.payload is not None:
            payload = found.payload.encode()
        else:
            payload = base64.b64decode(found.payload_base64 or "", validate=True)
        return Stored(LogEntry(found.seq, found.subject, payload, found.traceparent), found.stored_at)
    except (msgspec.MsgspecError, binascii.Error, UnicodeError) as error:
        raise BadDump(f"is not an entry of a log: {error}") from error
