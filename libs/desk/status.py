"""How things stand, whole: the fold over the log (standing.py), the services' own words, and what of it a person should look at."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import TradingState
from libs.desk.saying import day_and_time_of
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


def findings_of(status: Status) -> list[str]:
    """What a person should look at, in words; empty when all is well."""
    found = [f"{line.name} is not ready: {line.phase}" for line in status.services.values() if not line.ready]
    found += [f"the venue: {status.venue_trouble}"] if status.venue_trouble else []
    found += _of_the_lock(status.unlocked, status.as_of) if status.unlocked is not None else []
    if status.known_seq > status.log.last_seq:
        found.append(f"the log ends at {status.log.last_seq}, but has reached {status.known_seq}: events are lost")
    found += status.stuck
    if status.trading_state != "ACTIVE":
        found.append(f"trading is {status.trading_state}: {status.trading_reason}")
    if status.reconciled is False:
        found.append(f"the books do not agree with the venue: {'; '.join(status.mismatches)}")
    if status.feed["state"] not in ("", "LIVE"):
        found.append(f"the feed of {status.feed['venue']} is {status.feed['state']}")
    if status.feed.get("via") == "POLLING":
        found.append(f"no sockets: the prices of {status.feed['venue']} are polled")
    home = status.feed.get("home")
    if home and status.feed["venue"] != home:
        found.append(f"{status.feed['venue']} stands in for {home}: positions are watched, nothing is bought")
    if status.backup is not None and status.backup.is_old:
        found.append(f"the last backup is {status.backup.age_s / 3600:.0f} h old")
    found += [f"the price of {name} is in doubt: {why}" for name, why in status.doubts.items()]
    found += list(status.drifts.values())
    found += [f"{each.instrument} is quarantined, order {each.cl_ord_id}: {each.reason}" for each in status.quarantined]
    found += [
        f"{each.instrument}: of {each.signed_qty} only {each.stopped_qty} has a stop" for each in status.uncovered
    ]
    return found


def _of_the_lock(unlocked: Unlocked, as_of: int) -> list[str]:
    """An override as long as its certificate is in force; and a certificate that no longer is."""
    until = day_and_time_of(unlocked.expires_at)
    if as_of >= unlocked.expires_at:
        return [f"the certificate of live trading ran out on {until}: the next start is refused"]
    if not unlocked.operator:
        return []
    missing = ", ".join(unlocked.unmet)
    return [f"live by the override of {unlocked.operator} until {until}: {unlocked.reason}; not shown: {missing}"]


def take_entry(view: StatusView, entry: LogEntry) -> None:
    """Let the view learn an entry; what is not an event is told by whoever it was meant for (`EventRejected`), not here."""
    if entry.subject.startswith(NOISE):
        return
    with suppress(BadEvent):
        view.take(decode_from(entry.subject, entry.payload))
