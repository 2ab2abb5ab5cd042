"""How things stand, whole: the fold over the log (standing.py) and the services' own words. What of it a person should look at is found in findings.py."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import TradingState
from libs.desk.services import ServiceLine
from libs.desk.standing import (
    NOISE,
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
    )


def take_entry(view: StatusView, entry: LogEntry) -> None:
    """Let the view learn an entry; what is not an event is told by whoever it was meant for (`EventRejected`), not here."""
    if entry.subject.startswith(NOISE):
        return
    with suppress(BadEvent):
        view.take(decode_from(entry.subject, entry.payload))
