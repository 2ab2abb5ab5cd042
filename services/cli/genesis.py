"""The first event of a book. Appended once, on the condition that the subject is still empty: a second try changes nothing."""

from __future__ import annotations

import json

from nats.aio.client import Client

from libs.common.codec import encode
from libs.common.ids import derive_id
from libs.common.messages import GenesisDeclared
from libs.common.subjects import subject_of

WRITER = "ops.cli"
WRONG_LAST_SEQUENCE = (10071, 10164)


class GenesisError(Exception):
    """The bus refused the first event, for another reason than that there is one."""


async def declare_genesis(client: Client, *, book: str, mode: str, author: str, now: int) -> int | None:
    """Begin the book at `now` (ns, of the clock that the services follow); returns its seq, None if the book has begun before.

    Raises:
        GenesisError: the bus refused.
        nats.errors.Error, TimeoutError: it did not answer; asking again is safe.
    """
    genesis_id = derive_id("genesis", book)
    message = GenesisDeclared(
        id=genesis_id,
        ts_event=now,
        ts_init=now,
        correlation_id=genesis_id,
        producer=WRITER,
        book=book,
        mode=mode,  # type: ignore[arg-type]
        author=author,
    )
    headers = {"Nats-Msg-Id": genesis_id, "Nats-Expected-Last-Subject-Sequence": "0"}
    reply = await client.request(subject_of(message), encode(message), timeout=5, headers=headers)
    answer = json.loads(reply.data)
    if "error" not in answer:
        return None if answer.get("duplicate") else int(answer["seq"])
    if answer["error"].get("err_code") in WRONG_LAST_SEQUENCE:
        return None
    raise GenesisError(f"the bus refused the first event of book {book!r}: {answer['error'].get('description')}")
