"""Messages to bytes and back. Strict: an unknown type, an unknown field, a wrong subject or a wrong writer is refused.

JSON, so that `nats sub 'risk.>'` shows something a person can read. Encoding is canonical (field order of the class), so
equal messages have equal bytes: the replay proof compares bytes.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Union

import msgspec

from libs.common.messages import ALL, Message
from libs.common.messages.retired import RETIRED, Retired
from libs.common.subjects import may_say, subject_of

PAYLOAD_BYTES_MAX = 480 * 1024
"""Below the log's limit of 512 KiB a message, which counts headers too."""

_NOT_FINITE = re.compile(rb'"-?(?:s?NaN[0-9]*|Infinity|[0-9.]+E[+-][0-9]{3,})"')
"""How Decimal writes what is not a number or beyond all measure: valid, and poison to every comparison after it.

Words may be spelt like it; which it was, the types tell. One search of the bytes spares nearly every message that question.
"""
_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(Union[ALL + RETIRED])  # type: ignore[valid-type]  # noqa: UP007


class BadEvent(ValueError):
    """A message no machine should act on. `reason` is a slug, `detail` says what and where, without the payload."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:500]


def encode(message: Message) -> bytes:
    """The canonical bytes of a message."""
    return _encoder.encode(message)


def decode(payload: bytes) -> Message:
    """The message in `payload`; one of a former version comes in today's words.

    Raises:
        BadEvent: as `as_written`.
    """
    message = as_written(payload)
    return message.upgraded() if isinstance(message, Retired) else message


def as_written(payload: bytes) -> Message:
    """The message in `payload` in the version it was written in.

    Raises:
        BadEvent: TOO_LARGE; MALFORMED (not JSON, wrong field types, unknown fields); UNKNOWN_TYPE (no such type or version);
            NOT_CANONICAL (two spellings of one fact would be two digests, and a way around every check of bytes);
            NOT_FINITE.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise BadEvent("TOO_LARGE", f"{len(payload)} bytes, at most {PAYLOAD_BYTES_MAX}")
    try:
        message = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        unknown = "Invalid value" in str(error) and str(error).endswith("`$.type`")
        raise BadEvent("UNKNOWN_TYPE" if unknown else "MALFORMED", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent("MALFORMED", f"{type(error).__name__}: {error}") from None
    if _encoder.encode(message) != payload:
        raise BadEvent(
            "NOT_CANONICAL", "decodes, but is not how this message is written: escapes, doubled keys, odd numbers"
        )
    if _NOT_FINITE.search(payload) and _holds_no_number(msgspec.to_builtins(message, builtin_types=(Decimal,))):
        raise BadEvent("NOT_FINITE", "a number is NaN, infinite or beyond all measure")
    return message


def _holds_no_number(value: Any) -> bool:
    """Whether a Decimal anywhere in `value` (of dicts, lists and plain values) is none, or beyond all measure."""
    if isinstance(value, Decimal):
        return _NOT_FINITE.fullmatch(b'"%s"' % str(value).encode()) is not None
    if isinstance(value, dict):
        return any(_holds_no_number(each) for each in value.values())
    return isinstance(value, list | tuple) and any(_holds_no_number(each) for each in value)


def decode_from(subject: str, payload: bytes) -> Message:
    """`decode`, and the message must stand on its own subject, said by a writer that may say it.

    Raises:
        BadEvent: as `decode`, and WRONG_SUBJECT, WRONG_WRITER.
    """
    message = decode(payload)
    if not may_say(message.producer, type(message)):
        raise BadEvent("WRONG_WRITER", f"{type(message).__name__} cannot be said by {message.producer[:80]!r}")
    try:
        expected = subject_of(message)
    except ValueError as error:
        raise BadEvent("WRONG_SUBJECT", str(error)) from None
    if subject != expected:
        raise BadEvent("WRONG_SUBJECT", f"belongs on {expected!r}, stands on {subject[:200]!r}")
    return message
