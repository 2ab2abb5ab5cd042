"""The first event of a book. Appended once, on the condition that the subject is still empty: a second try changes nothing."""

from __future__ import annotations

import json

from nats.aio.client import Client

from libs.common.codec import BadEvent, decode_from, encode
from libs.common.ids import derive_id
from libs.common.messages import GenesisDeclared
from libs.common.subjects import subject_of
from libs.runtime.bus import Bus
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of
from libs.runtime.streams import TRADING

WRITER = "ops.cli"
WRONG_LAST_SEQUENCE = (10071, 10164)


class GenesisError(Exception):
    """The bus refused the first event, for another reason than that there is one."""


class OtherWorld(Exception):
    """The log of this state folder was begun in another world, or for another book; the text says which, `cure` what to do."""

    cure = "give each mode and each book a state folder of its own (--home)"


async def refuse_other_world(client: Client, *, book: str, mode: str) -> None:
    """Return if the log has no beginning yet, or one that goes with this start.

    Real and simulated never share a log, in neither direction: orders and balances of one would be read as those of the other. Between sim and
    paper it is the paper venue that refuses (a simulated book once called itself paper).

    Raises:
        OtherWorld. GenesisError: the log's beginning cannot be read. BusError: the bus does not say.
    """
    bus = Bus(client, TRADING, api=api_prefix(contract_of("cli")))
    entry = await bus.first_on(f"{WRITER}.genesis")
    if entry is None:
        return
    try:
        said = decode_from(entry.subject, entry.payload)
    except BadEvent as error:
        raise GenesisError(f"the first event of this log cannot be read: {error}") from error
    assert isinstance(said, GenesisDeclared)
    if "live" in (said.mode, mode) and said.mode != mode:
        raise OtherWorld(
            f"this state folder holds the log of a book in mode {said.mode}, and mode {mode} does not go on with it"
        )
    if mode == "live" and said.book != book:
        raise OtherWorld(f"this state folder holds the log of the book {said.book!r}, and this is {book!r}")


async def declare_genesis(client: Client, *, book: str, mode: str, author: str, now: int) -> int | None:
    """Begin the book at `now` (ns, of the clock that the services follow); returns its seq, None if the book has begun before.

    Raises:
        GenesisError: the bus refused.
        nats.errors.Error, TimeoutError: it did not answer; asking again is safe.
    """
    bus = Bus(client, TRADING, api=api_prefix(contract_of("cli")))
    if await bus.first_on(f"{WRITER}.genesis") is not None:  # the condition below holds for one epoch of the log only
        return None
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
