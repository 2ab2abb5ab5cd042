"""The chain of the journal: every entry carries the digest of all before it. Pure.

    digest = SHA-256 over the canonical JSON of [previous, number, entry_id, kind, source_id, instrument, ts_event, memo, lines]
    lines  = [[account, asset, amount], ...], amounts as plain decimals ("0.1", never "1E-1"); previous of the first entry: ""

Whoever has written down one head (a digest and the number of its entry) can tell later whether anything up to it was edited, dropped,
added or reordered: the ledger declares its head at the end of every UTC day, and people are told. What a chain cannot do is to speak of what comes
after the last head somebody knows: there only the log itself, and its replay, can.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from libs.common.messages import JournalPosted

_encoder = msgspec.json.Encoder()


class ChainHead(msgspec.Struct, frozen=True):
    """Where the chain ends: the digest of entry `number`. Before the first entry: "" and 0."""

    digest: str = ""
    number: int = 0


class Line(msgspec.Struct, frozen=True):
    """One posting as text; `place` is its place in the entry from 0 on."""

    place: int
    account: str
    asset: str
    amount: str


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """A journal entry as it stands in the log or in a table; `number` 0: it was booked before there was a chain."""

    seq: int
    number: int
    previous: str
    digest: str
    entry_id: str
    kind: str
    source_id: str
    instrument: str
    ts_event: int
    memo: str
    lines: tuple[Line, ...]

    def digest_after(self, head: ChainHead) -> str:
        """The digest that this content has as the entry after `head`."""
        lines = [[line.account, line.asset, line.amount] for line in self.lines]
        content = [head.digest, head.number + 1, self.entry_id, self.kind, self.source_id, self.instrument]
        return hashlib.sha256(_encoder.encode([*content, self.ts_event, self.memo, lines])).hexdigest()


def booked(entry: JournalPosted, seq: int = 0) -> Booked:
    """An entry of the log at `seq`."""
    return Booked(
        seq=seq,
        number=entry.number,
        previous=entry.previous,
        digest=entry.digest,
        entry_id=entry.entry_id,
        kind=entry.kind,
        source_id=entry.source_id,
        instrument=entry.instrument,
        ts_event=entry.ts_event,
        memo=entry.memo,
        lines=tuple(
            Line(place, each.account, each.asset, f"{each.amount:f}") for place, each in enumerate(entry.postings)
        ),
    )


def next_entry(head: ChainHead, **content: Any) -> JournalPosted:
    """The entry of `content` after `head`: every field of its own but the chain's, and its `ts_event` as it will be in the log."""
    entry = JournalPosted(**content, number=head.number + 1, previous=head.digest, digest="")
    return msgspec.structs.replace(entry, digest=booked(entry).digest_after(head))
