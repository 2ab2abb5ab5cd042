"""Where a page begins: an opaque word that stands for a place in the log, and the parameters every page has."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import Query

from libs.desk.desk import Desk
from libs.desk.index import Row, Wanted
from services.gateway.problems import Problem

LIMIT_MAX = 500
SEQ_MAX = 2**53
_VERSION = b"\x01"

Before = Annotated[str | None, Query(max_length=32, description="a page's `next`: what is older than that")]
After = Annotated[str | None, Query(max_length=32, description="a page's `previous`: what is newer than that")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="how many at most")]
Instrument = Annotated[str, Query(max_length=40, description="only of this instrument, like BTC-USDT")]


class LogPage(msgspec.Struct, frozen=True):
    """Some rows, newest first, and the cursors beside them."""

    rows: Sequence[Row]
    next: str | None
    previous: str | None


def cursor_of(seq: int) -> str:
    """The word for a place."""
    return base64.urlsafe_b64encode(_VERSION + seq.to_bytes(8, "big")).decode()


def seq_of(cursor: str | None, name: str) -> int:
    """The place that a word stands for; 0 where there is none.

    Raises:
        Problem: 422.
    """
    if cursor is None:
        return 0
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    seq = int.from_bytes(raw[1:], "big")
    if len(raw) != 9 or raw[:1] != _VERSION or not 0 < seq < SEQ_MAX or cursor_of(seq) != cursor:
        fault = {"where": f"query.{name}", "what": "this is no cursor of ours"}
        raise Problem(422, "invalid", "the request is not as it should be; see faults", faults=[fault])
    return seq


async def page_of(desk: Desk, wanted: Wanted, before: str | None, after: str | None, limit: int) -> LogPage:
    """The newest rows before `before`, or the next ones after `after`.

    Raises:
        Problem: a cursor is none.
    """
    older_than, newer_than = seq_of(before, "before"), seq_of(after, "after")
    wanted = msgspec.structs.replace(wanted, before_seq=older_than, after_seq=newer_than)
    forwards = newer_than > 0 and not older_than
    rows = await desk.page(wanted, limit, newest_first=not forwards)
    if forwards:
        rows.reverse()
    is_more_below = len(rows) == limit or forwards
    return LogPage(
        rows,
        next=cursor_of(rows[-1].seq) if rows and is_more_below else None,
        previous=cursor_of(rows[0].seq) if rows else after,
    )
