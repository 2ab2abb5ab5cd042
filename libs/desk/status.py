"""How things stand, whole: the fold over the log (standing.py) and the services' own words. What of it a person should look at is found in findings.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import TradingState
from libs.desk.services import ServiceLine
from libs.desk.standing import (
    BACKUP_S_MAX,
    NOISE,
    Backup,
    Books,
    ModelLine,
    OrderCounts,
    PositionLine,
    Quarantine,
    StatusView,
    Uncovered,
    Unlocked,
)
from libs.runtime.adapter import LogEntry


class LogSize(msgspec.Struct, frozen=True):
    """How much stands in the log."""

    stream: str
    first_seq: int
    last_seq: int
    messages: int
    bytes: int


class BackupLine(msgspec.Struct, frozen=True, kw_only=True):
    """The last backup: when it was made (wall time, ns UTC), up to which event, and how old (s) it and the last proof that one comes back are now."""

    made_at: int
    last_seq: int
    age_s: float
    unproven_s: float | None

    @classmethod
    def of(cls, backup: Backup | None, now_s: float) -> BackupLine | None:
        """As the log tells it, at `now_s` (wall time); None where none was ever made."""
        if backup is None:
            return None
        age_s, unproven_s = backup.age_s(now_s), backup.unproven_s(now_s)
        return cls(made_at=backup.made_at, last_seq=backup.last_seq, age_s=age_s, unproven_s=unproven_s)

    @property
    def is_old(self) -> bool:
        """Whether the next one is overdue."""
        return self.age_s > BACKUP_S_MAX


class Status(msgspec.Struct, kw_only=True):
    """The whole answer. Money in quote currency; `equity` is None before the ledger has spoken.

    `dust`: instruments held in less than the venue would sell. `known_seq`: how far the services have seen the log reach.
    `venue`: which market is traded where, in words, and `venue_trouble` what is wrong there; empty where no supervisor says.
    Work left over, in words: `catching_up` becomes less, `stuck` does not.
    """

    home: str
    book: str
    mode: str
    as_of: int
    services: dict[str, ServiceLine]
    processes: dict[str, int]
    orders: OrderCounts
    positions: dict[str, PositionLine]
    equity: str | None
    books: Books | None
    trading_state: TradingState
    trading_reason: str
    reconciled: bool | None
    mismatches: tuple[str, ...]
    feed: dict[str, str]
    quarantined: list[Quarantine]
    uncovered: list[Uncovered]
    log: LogSize
    model: ModelLine | None = None
    venue: str = ""
    venue_trouble: str = ""
    unlocked: Unlocked | None = None
    backup: BackupLine | None = None
    dust: list[str] = []
    doubts: dict[str, str] = {}
    drifts: dict[str, str] = {}
    known_seq: int = 0
    catching_up: list[str] = []
    stuck: list[str] = []
    findings: list[str] = []

    def is_silent(self, service: str) -> bool:
        """Whether what the log says of this service's work is old: it does not answer."""
        line = self.services.get(service)
        return line is not None and not line.up


def status_of(
    view: StatusView,
    services: Mapping[str, ServiceLine],
    log: LogSize,
    *,
    home: str = "",
    processes: Mapping[str, int] | None = None,
) -> Status:
    """What the fold and the services' own words come to; findings are found afterwards, when all that is known stands there."""
    facts = view.facts
    return Status(
        home=home,
        book=facts.book,
        mode=facts.mode,
        as_of=facts.as_of,
        services=dict(services),
        processes=dict(processes or {}),
        orders=view.orders,
        positions=dict(sorted(facts.positions.items())),
        equity=None if facts.books is None else str(facts.books.equity),
        books=facts.books,
        trading_state=facts.trading_state,
        trading_reason=facts.trading_reason,
        reconciled=facts.reconciled,
        mismatches=facts.mismatches,
        feed=view.feed,
        doubts=dict(sorted(facts.doubts.items())),
        drifts=dict(sorted(facts.drifts.items())),
        quarantined=sorted(facts.quarantined.values(), key=lambda each: (each.instrument, each.cl_ord_id)),
        uncovered=view.uncovered,
        model=facts.model,
        log=log,
        dust=view.dust,
        unlocked=facts.unlocked,
        backup=BackupLine.of(facts.backup, time.time()),
    )


def take_entry(view: StatusView, entry: LogEntry) -> None:
    """Let the view learn an entry; what is not an event is told by whoever it was meant for (`EventRejected`), not here."""
    if entry.subject.startswith(NOISE):
        return
    with suppress(BadEvent):
        view.take(decode_from(entry.subject, entry.payload))
