"""What an id names: a story, an intent, an order, a trade, a single message. Pure.

Whole ids are found at any length, the beginning of one from 8 characters on. At a venue, order and trade ids are numbers that are
unique within an instrument only, so the same number may well name several things: then all of them are listed, each under a
`key` that means exactly it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import (
    AccountRead,
    DecisionsMade,
    ExecutionReport,
    JournalPosted,
    Message,
    OrderIntent,
    VenueFill,
    VenueOrder,
)
from libs.runtime.adapter import LogEntry

PREFIX_CHARS_MIN = 8
LATEST = "latest"

Kind = Literal["correlation", "intent", "order", "venue-order", "exec", "message"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What an id may name; where one id names several kinds of thing, the first of these is meant."""


REQUESTS = ("submit", "cancel", "lookup")
"""What the executor asks the venue about one order: `submit:<order id>` is the id of such a request."""


class Target(msgspec.Struct, frozen=True, order=True):
    """Something an id names; `instrument` where the id is unique within it only."""

    kind: Kind
    id: str
    instrument: str = ""

    @property
    def key(self) -> str:
        """How to ask for exactly this: `order:57c58...`, `exec:BTC-USDT:17`."""
        return ":".join(part for part in (self.kind, self.instrument, self.id) if part)


def resolve(log: Iterable[LogEntry], wanted: str) -> list[Target]:
    """What `wanted` (an id, the beginning of one, or a `Target.key`) may mean; empty: nothing in this log.

    An exact match leaves out what only begins so.
    """
    asked = asked_for(wanted)
    if not asked.text:
        return []
    needle, found = asked.text.encode(), set[Target]()
    for entry in log:
        if needle in entry.payload and (message := decoded(entry)) is not None:
            found.update(each for each in _targets(message) if each.id.startswith(asked.text))
    return asked.meant(found)


class Asked(msgspec.Struct, frozen=True):
    """What somebody has asked for: a `text` that something is called, and perhaps what kind of thing, where."""

    kind: str
    instrument: str
    text: str

    def meant(self, found: set[Target]) -> list[Target]:
        """Which of what is called so, or begins so, may be meant."""
        if self.kind:
            found = {each for each in found if (each.kind, each.instrument) == (self.kind, self.instrument)}
        exact = {each for each in found if each.id == self.text}
        if not exact and len(self.text) < PREFIX_CHARS_MIN:
            return []
        return sorted(exact or found) if self.kind else _most_telling(exact or found)


def newest(log: Iterable[LogEntry]) -> list[Target]:
    """The intent whose order was filled last; while there are no fills, the last intent; at most one."""
    intent = filled = ""
    for entry in log:
        if entry.subject.startswith(("portfolio.intent.", "exec.report.")):
            match decoded(entry):
                case OrderIntent(intent_id=intent_id):
                    intent = intent_id
                case ExecutionReport(exec_type="TRADE", intent_id=intent_id):
                    filled = intent_id
    return [Target("intent", filled or intent)] if filled or intent else []


def decoded(entry: LogEntry) -> Message | None:
    """The event in an entry; None for what no machine would act on."""
    try:
        return decode_from(entry.subject, entry.payload)
    except BadEvent:
        return None


def names_in(message: Message) -> Iterable[Target]:
    """What of an order's life a message names, in its own fields and in what the venue said of one order.

    A reading of the whole account names nothing: it is about everything.
    """
    instrument = getattr(message, "instrument", "")
    if intent_id := getattr(message, "intent_id", ""):
        yield Target("intent", intent_id)
    if isinstance(message, DecisionsMade):
        yield from (Target("intent", each.intent_id) for each in message.decisions if each.intent_id)
    if cl_ord_id := getattr(message, "cl_ord_id", ""):
        yield Target("order", cl_ord_id)
    if venue_order_id := getattr(message, "venue_order_id", ""):
        yield Target("venue-order", venue_order_id, instrument)
    if exec_id := getattr(message, "exec_id", ""):
        yield Target("exec", exec_id, instrument)
    if isinstance(message, JournalPosted) and message.kind == "FILL":
        yield Target("exec", message.source_id, instrument)
    if not isinstance(message, AccountRead):
        for part in (getattr(message, "order", None), getattr(message, "fill", None), *getattr(message, "fills", ())):
            yield from _names_of(part)


def _names_of(part: VenueOrder | VenueFill | None) -> Iterable[Target]:
    if part is None:
        return
    yield Target("order", part.cl_ord_id)
    yield Target("venue-order", part.venue_order_id, part.instrument)
    if isinstance(part, VenueFill):
        yield Target("exec", part.exec_id, part.instrument)


def _targets(message: Message) -> Iterable[Target]:
    yield Target("message", message.id)
    yield Target("correlation", message.correlation_id or message.id)
    yield from names_in(message)


def asked_for(wanted: str) -> Asked:
    """`wanted` taken apart: an id, the beginning of one, a `Target.key`, or the id of a request about an order."""
    kind, separator, rest = wanted.partition(":")
    if separator and kind in REQUESTS:  # a request is named after its order
        return Asked("order", "", rest.partition(":")[0])
    if not separator or kind not in KINDS:
        return Asked("", "", wanted)
    instrument, _, text = rest.rpartition(":")
    return Asked(kind, instrument, text)


def _most_telling(found: set[Target]) -> list[Target]:
    """For each id the first kind that it names; a venue's number for two instruments stays two things."""
    best: dict[str, int] = {}
    for each in found:
        rank = KINDS.index(each.kind)
        best[each.id] = min(rank, best.get(each.id, rank))
    return sorted(each for each in found if each.instrument or KINDS.index(each.kind) == best[each.id])
