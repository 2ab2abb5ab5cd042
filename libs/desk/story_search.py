"""A story looked up in the index: the same as `story.tell` finds by reading the whole log, and found without reading it.

What may belong to the story is gathered by its names, its causes and its effects; `tell` then judges that handful as it would the log. Prices stand
in the log only: one that caused something is where its effect says it stands (`done_in_seq`), or a little before the answer it led to.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from libs.common.messages import ExecutionReport, OrderIntent
from libs.desk.index import LogIndex, Row, Wanted
from libs.desk.story import OF_ORDERS, SUBMITTING, Story, is_hub, tell
from libs.desk.story_target import LATEST, PREFIX_CHARS_MIN, Target, asked_for, decoded, names_in
from libs.runtime.adapter import LogEntry

PRICES = "feed.marks"
PRICES_BACK_MAX = 400
"""So far (in events) before an answer the price that led to it is looked for."""
LATEST_LOOK_BACK = 200


class NothingCalled(Exception):
    """Nothing in this log is called so; the text says what was asked, and how to ask."""


class Ambiguous(Exception):
    """An id may mean any of `targets`."""

    def __init__(self, wanted: str, targets: list[Target]):
        super().__init__(f"{wanted} may mean {len(targets)} things")
        self.wanted = wanted
        self.targets = targets


class ReadsLog(Protocol):
    """Where single entries are read."""

    async def entry_at(self, seq: int) -> LogEntry | None:
        """The entry at `seq`."""
        ...

    async def first_on(self, subject_filter: str, from_seq: int) -> LogEntry | None:
        """The oldest entry on a subject at or after `from_seq`."""
        ...


async def find_story(index: LogIndex, log: ReadsLog, wanted: str) -> Story:
    """The one story that `wanted` means (see `story_target.resolve`).

    Raises:
        Ambiguous, NothingCalled
    """
    targets = await asyncio.to_thread(_targets, index, wanted)
    if not targets:
        raise NothingCalled(
            f"nothing in this log is called {wanted!r}: give a whole id, at least its first {PREFIX_CHARS_MIN} characters,"
            f" or {LATEST} for the newest fill"
        )
    if len(targets) > 1:
        raise Ambiguous(wanted, targets)
    rows = await asyncio.to_thread(_gathered, index, targets[0])
    prices = await _prices(log, rows)
    entries = [await _entry_of(log, row) for row in rows.values()]
    found = {entry.seq: entry for entry in (*prices, *entries) if entry is not None}
    return tell([found[seq] for seq in sorted(found)], targets[0])


def _targets(index: LogIndex, wanted: str) -> list[Target]:
    if wanted == LATEST:
        return _latest(index)
    asked = asked_for(wanted)
    return asked.meant(index.called(asked.text)) if asked.text else []


def _latest(index: LogIndex) -> list[Target]:
    """The intent whose order was filled last; while there are no fills, the last intent."""
    for roles in (("fill",), ("intent",)):
        for row in index.page(Wanted(roles=roles), LATEST_LOOK_BACK):
            said = None if row.entry is None else decoded(row.entry)
            if isinstance(said, ExecutionReport | OrderIntent) and said.intent_id:
                return [Target("intent", said.intent_id)]
    return []


def _gathered(index: LogIndex, target: Target) -> dict[int, Row]:
    """Everything on record that may belong to the story, by place."""
    found = {row.seq: row for row in _named(index, target)}
    if target.kind != "correlation":
        parents = [row.id for row in found.values()]
        while parents:
            new = [row for row in index.caused_by(parents) if row.seq not in found]
            found.update((row.seq, row) for row in new)
            parents = [row.id for row in new if not is_hub(row.type)]
    known = {row.id for row in found.values()}
    wanted = {row.causation_id for row in found.values()} - known
    while wanted:
        new = [row for row in index.with_ids(wanted) if row.seq not in found]
        found.update((row.seq, row) for row in new)
        known |= {row.id for row in new}
        wanted = {row.causation_id for row in new} - known
    return found


def _named(index: LogIndex, target: Target) -> list[Row]:
    match target.kind:
        case "message":
            return index.with_ids([target.id])
        case "correlation":
            rows = index.of_story(target.id)
        case _:
            rows = index.naming(target)
    if target.kind in ("correlation", "intent"):
        sent = [row.entry for row in rows if row.type == SUBMITTING and row.entry is not None]
        said = [message for entry in sent if (message := decoded(entry)) is not None]
        orders = {each for message in said for each in names_in(message) if each.kind == "order"}
        rows += [row for order in sorted(orders) for row in index.naming(order) if row.type in OF_ORDERS]
    return rows


async def _prices(log: ReadsLog, rows: dict[int, Row]) -> list[LogEntry]:
    """The prices among the causes of these events."""
    known, found = {row.id for row in rows.values()}, dict[str, LogEntry]()
    for row in sorted(rows.values(), key=lambda each: each.seq):
        cause = row.causation_id
        if not cause or cause in known or cause in found:
            continue
        entry = await _price_called(log, cause, row)
        if entry is not None:
            found[cause] = entry
    return list(found.values())


async def _price_called(log: ReadsLog, cause: str, effect: Row) -> LogEntry | None:
    if effect.done_in_seq:
        entry = await log.entry_at(effect.done_in_seq)
        if entry is not None and _is_called(entry, cause):
            return entry
    seq = max(effect.seq - PRICES_BACK_MAX, 1)
    while (entry := await log.first_on(PRICES, seq)) is not None and entry.seq < effect.seq:
        if _is_called(entry, cause):
            return entry
        seq = entry.seq + 1
    return None


def _is_called(entry: LogEntry, wanted: str) -> bool:
    said = decoded(entry) if wanted.encode() in entry.payload else None
    return said is not None and said.id == wanted


async def _entry_of(log: ReadsLog, row: Row) -> LogEntry | None:
    return row.entry or await log.entry_at(row.seq)
