"""The story of an id: what led to it, what names it, what came of it, in the order of the log. Pure.

    a correlation     everything of that story, and what stood outside of it and moved it (the venue's reports, timers)
    anything else     the messages that name it, and their ancestors and descendants along `causation_id`

A cause always stands before its effects, so one pass forward finds what is named and all that follows, and one backward all
that led there; the log may be a list or a file. A reading of the whole account answers for many orders at once: it is told, but
what else follows from it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from libs.common.messages import (
    AccessRefused,
    AccountRead,
    AgentSignals,
    AgentsScored,
    AlertRaised,
    Answer,
    BackupMade,
    BaselineDeclared,
    BookRestored,
    CancelCommanded,
    DecisionsMade,
    EntriesProposed,
    EntryJudged,
    EpochBegan,
    EquityChanged,
    EventRejected,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FlattenCommanded,
    FlattenOrdered,
    GenesisDeclared,
    InstrumentQuarantined,
    InstrumentReleased,
    JournalHeadDeclared,
    JournalPosted,
    LevelsMapped,
    LiveUnlocked,
    MacroOverrideChanged,
    MacroOverrideCommanded,
    MacroRegimes,
    Message,
    MessageSent,
    MuteCommanded,
    OperatorCommanded,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
    PersonNotified,
    PositionChanged,
    Reconciled,
    RestoreProven,
    ServiceStarted,
    TextHeard,
    TimerFired,
    TradingStateChanged,
    VenueReported,
)
from libs.desk.story_target import Target, decoded, names_in
from libs.runtime.adapter import LogEntry

Relation = Literal["cause", "named", "effect"]

_HUBS = {str(kind.__struct_config__.tag) for kind in (AccountRead, Reconciled)}
SUBMITTING = str(OrderSubmitting.__struct_config__.tag)
OF_ORDERS = {str(kind.__struct_config__.tag) for kind in (VenueReported, InstrumentQuarantined, InstrumentReleased)}
"""What is said of an order belongs to the story it was sent in, though something else caused it."""
_ROLES: tuple[tuple[type[Message], str], ...] = (
    (FeedBars, "bars"),
    (FeedMarks, "marks"),
    (AgentSignals, "signals"),
    (MacroRegimes, "regimes"),
    (LevelsMapped, "levels"),
    (EntriesProposed, "proposal"),
    (EntryJudged, "judgement"),
    (DecisionsMade, "decision"),
    (AgentsScored, "scores"),
    (TextHeard, "text"),
    (OrderIntent, "intent"),
    (OrderApproved, "verdict"),
    (OrderDenied, "verdict"),
    (OrderSubmitting, "submitting"),
    (VenueReported, "venue"),
    (AccountRead, "account"),
    (JournalPosted, "posting"),
    (JournalHeadDeclared, "head"),
    (PositionChanged, "position"),
    (EquityChanged, "equity"),
    (PersonNotified, "notice"),
    (MessageSent, "sent"),
    (AlertRaised, "alert"),
    (EventRejected, "rejected"),
    (InstrumentQuarantined, "quarantine"),
    (InstrumentReleased, "release"),
    (Reconciled, "reconciliation"),
    (OperatorCommanded, "command"),
    (FlattenCommanded, "command"),
    (CancelCommanded, "command"),
    (MuteCommanded, "command"),
    (BackupMade, "backup"),
    (RestoreProven, "backup"),
    (BookRestored, "restore"),
    (EpochBegan, "epoch"),
    (FlattenOrdered, "flatten"),
    (AccessRefused, "refused"),
    (MacroOverrideCommanded, "override"),
    (MacroOverrideChanged, "override"),
    (GenesisDeclared, "genesis"),
    (LiveUnlocked, "unlock"),
    (BaselineDeclared, "baseline"),
    (TradingStateChanged, "state"),
    (TimerFired, "timer"),
    (ServiceStarted, "start"),
    (Answer, "answer"),
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a story. `depth`: how many generations of its ancestors are told.

    `latency_ns` is the time since its direct cause, where that is told too: by the log's own clock if `stored_at` is known
    (ns UTC, else 0), otherwise by the events' `ts_init`.
    """

    seq: int
    subject: str
    role: str
    relation: Relation
    depth: int
    cause_seq: int | None
    latency_ns: int | None
    stored_at: int
    message: Message

    def as_json(self) -> dict[str, Any]:
        """For scripts: as it is, with the event itself under `message`."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "message"}
        kind = self.message.__struct_config__.tag
        return {**fields, "type": kind, "id": self.message.id, "ts_init": self.message.ts_init, "message": self.message}


class Story(msgspec.Struct, frozen=True):
    """What `target` names, as events in log order. `instruments`: what it is about; empty: everything in it."""

    target: Target
    instruments: tuple[str, ...]
    events: tuple[Event, ...]


def tell(log: Sequence[LogEntry], target: Target) -> Story:
    """The story of `target` (see `story_target.resolve`)."""
    events: list[Event] = []
    by_id: dict[str, Event] = {}
    for index, relation in sorted(_Search(target).run(log).items()):
        entry = log[index]
        message = decoded(entry)
        if message is None:  # it was a parent in name only: what cannot be decoded is told by who refused it
            continue
        cause = by_id.get(message.causation_id)
        by_id[message.id] = event = Event(
            seq=entry.seq,
            subject=entry.subject,
            role=role_of(message),
            relation=relation,
            depth=0 if cause is None else cause.depth + 1,
            cause_seq=None if cause is None else cause.seq,
            latency_ns=None if cause is None else message.ts_init - cause.message.ts_init,
            stored_at=0,
            message=message,
        )
        events.append(event)
    return Story(target, _instruments(events, target), tuple(events))


def timed(story: Story, stored_at: dict[int, int]) -> Story:
    """The same story with latencies by the log's own clock (`stored_at`: ns UTC by seq)."""
    events = []
    for event in story.events:
        at, cause_at = stored_at.get(event.seq, 0), stored_at.get(event.cause_seq or 0, 0)
        latency_ns = at - cause_at if at and cause_at else event.latency_ns
        events.append(msgspec.structs.replace(event, stored_at=at, latency_ns=latency_ns))
    return Story(story.target, story.instruments, tuple(events))


def is_hub(kind: str) -> bool:
    """Whether events of this type (its tag) answer for so much that what else follows from them is no part of a story."""
    return kind in _HUBS


def role_of(message: Message) -> str:
    """The part an event plays in a story: bars, signals, intent, verdict, submitting, answer, report, fill, posting, ..."""
    if isinstance(message, ExecutionReport):
        return "fill" if message.exec_type == "TRADE" else "report"
    return next((role for kind, role in _ROLES if isinstance(message, kind)), "other")


def _instruments(events: list[Event], target: Target) -> tuple[str, ...]:
    """Of a whole story everything is told; of an order only what is about its instrument."""
    if target.kind in ("correlation", "message"):
        return ()
    named = (getattr(event.message, "instrument", "") for event in events if event.relation == "named")
    return tuple(sorted({instrument for instrument in named if instrument}))


# --- search -------------------------------------------------------------------------------------------------------


class _Ids(msgspec.Struct):
    """What the search reads of every entry; whether it is a proper event is asked only of what is told."""

    type: str = ""
    id: str = ""
    correlation_id: str = ""
    causation_id: str = ""


_ids = msgspec.json.Decoder(_Ids)


class _Search:
    """Which entries belong to the story of a target, by index."""

    def __init__(self, target: Target):
        self._target = target
        self._needle = target.id.encode()
        self._found: dict[int, Relation] = {}
        self._parents: set[str] = set()
        self._wanted: set[str] = set()
        self._orders: set[Target] = set()

    def run(self, log: Sequence[LogEntry]) -> dict[int, Relation]:
        for index, entry in enumerate(log):
            self._look_forward(index, entry)
        for index in range(len(log) - 1, -1, -1):
            if not self._wanted:
                break
            self._look_back(index, log[index])
        return self._found

    def _look_forward(self, index: int, entry: LogEntry) -> None:
        ids = _ids_of(entry)
        if ids is None:
            return
        if self._is_named(entry, ids):
            self._found[index] = "named"
            self._parents.add(ids.id)
            self._remember_order(entry, ids)
        elif self._target.kind != "correlation" and ids.causation_id in self._parents:
            self._found[index] = "effect"
            if ids.type not in _HUBS:
                self._parents.add(ids.id)
        else:
            return
        if ids.causation_id and ids.causation_id not in self._parents:
            self._wanted.add(ids.causation_id)

    def _look_back(self, index: int, entry: LogEntry) -> None:
        ids = _ids_of(entry)
        if ids is None or ids.id not in self._wanted:
            return
        self._wanted.discard(ids.id)
        self._found.setdefault(index, "cause")
        if ids.causation_id:
            self._wanted.add(ids.causation_id)

    def _is_named(self, entry: LogEntry, ids: _Ids) -> bool:
        target = self._target
        if target.kind == "message":
            return ids.id == target.id
        if target.kind == "correlation" and target.id in (ids.correlation_id, ids.id):
            return True
        if ids.type in OF_ORDERS and self._orders:
            return not self._orders.isdisjoint(_names(entry))
        return target.kind != "correlation" and self._needle in entry.payload and target in _names(entry)

    def _remember_order(self, entry: LogEntry, ids: _Ids) -> None:
        if ids.type == SUBMITTING and self._target.kind in ("correlation", "intent"):
            self._orders.update(each for each in _names(entry) if each.kind == "order")


def _ids_of(entry: LogEntry) -> _Ids | None:
    try:
        return _ids.decode(entry.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _names(entry: LogEntry) -> Iterable[Target]:
    message = decoded(entry)
    return () if message is None else tuple(names_in(message))
