"""Former versions of messages. Nobody says them any more, but a log of their time must be readable for ever.

The codec reads one by its own type (so its bytes are checked as strictly as any) and hands on what `upgraded` makes of it: the
machines know the newest version only.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from libs.common.messages.base import Message
from libs.common.messages.feed import FeedMarks, FeedStatus, InstrumentSpec, Mark
from libs.common.messages.ledger import JournalPosted, Posting


class Retired(Message, frozen=True, kw_only=True):
    """A version that is only read."""

    def upgraded(self) -> Message:
        """The same fact in today's words."""
        raise NotImplementedError


class MarkV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mark from before prices were judged: all of them were believed."""

    instrument: str
    bid_px: float
    ask_px: float
    last_px: float
    ts: int


class FeedMarksV1(Retired, frozen=True, kw_only=True, tag="feed_marks.v1"):
    """Marks from before a second venue could speak: the venue is the one of the last status, so none is named."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "marks"
    is_source: ClassVar[bool] = True

    as_of: int
    marks: tuple[MarkV1, ...]
    alive: tuple[str, ...] = ()

    def upgraded(self) -> FeedMarks:
        """Every price trusted, stops following the last trade."""
        marks = tuple(
            Mark(
                instrument=mark.instrument,
                bid_px=mark.bid_px,
                ask_px=mark.ask_px,
                last_px=mark.last_px,
                protective_px=mark.last_px,
                trust="TRUSTED",
                ts=mark.ts,
            )
            for mark in self.marks
        )
        return FeedMarks(**_metadata(self), venue="", as_of=self.as_of, marks=marks, alive=self.alive)


class FeedStatusV1(Retired, frozen=True, kw_only=True, tag="feed_status.v1"):
    """A status from before polling and health scores."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "status"
    is_source: ClassVar[bool] = True

    venue: str
    state: Literal["LIVE", "STALE", "DOWN"]
    reason: str
    specs: tuple[InstrumentSpec, ...]

    def upgraded(self) -> FeedStatus:
        """Sockets were the only way."""
        return FeedStatus(
            **_metadata(self),
            venue=self.venue,
            state=self.state,
            via="SOCKETS",
            reason=self.reason,
            health={},
            specs=self.specs,
        )


class JournalPostedV1(Retired, frozen=True, kw_only=True, tag="journal_posted.v1"):
    """An entry from before the journal was a chain."""

    said_by: ClassVar[str] = "ledger"
    suffix: ClassVar[str] = "entry"

    entry_id: str
    kind: Literal["OPENING", "FILL", "ADJUSTMENT"]
    source_id: str
    instrument: str
    postings: tuple[Posting, ...]
    memo: str

    def upgraded(self) -> JournalPosted:
        """No place in a chain, and no digest: nobody gave it one."""
        own = {
            name: getattr(self, name) for name in ("entry_id", "kind", "source_id", "instrument", "postings", "memo")
        }
        return JournalPosted(**_metadata(self), **own, number=0, previous="", digest="")


def _metadata(message: Message) -> dict[str, object]:
    return {name: getattr(message, name) for name in Message.__struct_fields__}


RETIRED: tuple[type[Retired], ...] = (FeedMarksV1, FeedStatusV1, JournalPostedV1)
