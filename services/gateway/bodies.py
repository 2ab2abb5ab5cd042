"""Request bodies: small, in time, and JSON that means one thing only."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Scope

from services.gateway.problems import Problem

HEARD_OUT_S_MAX, HEARD_OUT_BYTES_MAX = 0.5, 1024 * 1024


class Gone(Exception):
    """The client has left before it had sent its body."""


async def read_body(scope: Scope, receive: Receive, bytes_max: int, s_max: float) -> bytes:
    """The whole body.

    Raises:
        Problem: 413 or 408; the connection is closed after either, because the rest may still be on its way.
        Gone
    """
    told = header(scope, b"content-length")
    is_too_large = bool(told) and (not told.isdigit() or int(told[:20]) > bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(s_max):
            while not is_too_large:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                body += message.get("body", b"")
                is_too_large = len(body) > bytes_max
                if not is_too_large and not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        text = f"the body did not arrive within {s_max:g} s"
        raise Problem(408, "slow-body", text, headers={"Connection": "close"}) from None
    await _let_it_pass(receive)
    raise Problem(413, "too-large", f"a body has at most {bytes_max} bytes", headers={"Connection": "close"})


def refuse_unshapely(scope: Scope, bytes_max: int) -> None:
    """Headers of a sane size, however they came, and one way only to say where a body ends.

    Raises:
        Problem: 431 or 400; the connection is closed after either.
    """
    close = {"Connection": "close"}
    size = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > bytes_max:
        raise Problem(431, "headers-too-large", f"the headers have at most {bytes_max} bytes", headers=close)
    names = {name for name, _ in scope["headers"]}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise Problem(400, "two-lengths", "a body has a length or comes in chunks, not both", headers=close)


def refuse_ambiguous(scope: Scope, body: bytes) -> None:
    """Only JSON in UTF-8, and none of which two readers could understand two things: no name twice, no NaN, no infinity, no broken text.

    Raises:
        Problem: 415 or 400.
    """
    if not body:
        return
    kind = header(scope, b"content-type").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Problem(415, "media-type", "a body is application/json")
    try:
        found = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        text = "the body is not JSON, or names a field twice, or holds what is no number or no text"
        raise Problem(400, "bad-json", text) from None


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body at once, and then what else comes."""
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


def header(scope: Scope, name: bytes) -> bytes:
    """A request's header; empty where there is none, or where there are several of them."""
    found = [value for each, value in scope["headers"] if each == name]
    return found[0] if len(found) == 1 else b""


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    listed = list(pairs)
    found = dict(listed)
    if len(found) != len(listed):
        raise ValueError("a name twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


async def _let_it_pass(receive: Receive) -> None:
    """Hear a little more of what is too large: on a line that is closed with something unread, our answer would be lost."""
    heard = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(HEARD_OUT_S_MAX):
            while heard < HEARD_OUT_BYTES_MAX:
                message = await receive()
                heard += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
