"""What somebody beside the services should tell people: a service that is down, lags or keeps crashing, a disk, store, clock, database or backup
that is not as it should be, a model that fails too often. Pure: a look in, notices out.

    watchman = Watchman(WatchLimits())
    notices = watchman.look(Look(now_s=..., services=..., ...))        about once a second, in order of time

Whoever calls it measures; what it cannot measure it leaves at None, and then nothing of it is raised and nothing is over. Each notice is to become
one `AlertRaised` of the caller. A trouble has to last (`*_hold_s`) before it is told, is told once, and is over (`<CODE>_OVER`, a note)
when it has been clearly better for `calm_s`. What begins within one look is told in one notice for each code and severity.

`memory` is all it knows. It survives a round trip through JSON: whoever keeps it over a restart tells nothing twice and forgets no end.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from libs.common.alerts import Severity
from libs.common.messages import EntryJudged
from libs.desk.services import ServiceLine
from libs.desk.standing import BACKUP_S_MAX, RESTORE_PROVEN_S_MAX

GIB = 1 << 30
HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S
STANDBY = "standby:"
"""How the phase of an instance begins that waits for the one at work to fail: it is never ready, and nothing is wrong."""
NOT_ASKED = ("not_configured", "budget", "late", "crowded", "no_case")
"""Failures in which no model was asked; people are told of them otherwise, if at all."""


class WatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When something is told. Shares are fractions; what is below both a share and a size counts for disks, so that large ones may be full.

    `vital`: whose failure pages; that of others is a ticket.
    """

    vital: frozenset[str] = frozenset(
        {"market-feed", "portfolio", "risk-gate", "order-executor", "ledger", "notifier"}
    )  # fmt: skip
    calm_s: float = 15.0
    down_hold_s: float = 15.0
    unready_hold_s: float = 120.0
    lag_events_max: int = 5_000
    outbox_events_max: int = 100
    lag_hold_s: float = 60.0
    starts_max: int = 5
    starts_window_s: float = 600.0
    database_events_max: int = 50_000
    database_s_max: float = 60.0
    database_hold_s: float = 30.0
    disk_low_share: float = 0.10
    disk_low_bytes: int = 20 * GIB
    disk_full_share: float = 0.03
    disk_full_bytes: int = 4 * GIB
    disk_better: float = 1.1
    store_low_share: float = 0.80
    store_full_share: float = 0.95
    store_better_share: float = 0.02
    clock_ms_max: float = 500.0
    clock_hold_s: float = 30.0
    tokens_hold_s: float = 5.0
    backup_s_max: float = BACKUP_S_MAX
    restore_proven_s_max: float = RESTORE_PROVEN_S_MAX
    model_asked_min: int = 10
    model_failed_share_max: float = 0.3
    model_window_s: float = HOUR_S


class ModelTally(msgspec.Struct, kw_only=True):
    """Questions put to a model so far, and how many of them brought no judgement: a fold over `EntryJudged`."""

    asked: int = 0
    failed: int = 0

    def hear(self, judged: EntryJudged) -> None:
        """Count one, if a model was asked at all."""
        if judged.failure not in NOT_ASKED:
            self.asked += 1
            self.failed += judged.outcome == "FAILED"


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at `now_s` (s of a clock that does not jump); None is not known.

    `services`: what they say of themselves, with `starts` as the log counts them (0: not known). `disk_*`: of the disk with the state folder.
    `store_*`: of the log's store and its limit. `clock_offsets_ms`: by how much our clock is ahead, by whose clock that is. `backup_age_s`: of the
    last backup; None where none was ever made. `restore_proven_s`: since when no backup was seen to come back; None where backups are not drilled. `database_*`: how far the
    projection is behind. `are_tokens_believed`: whether the API's door knows whom to let in. `model`: counts since the log's first event, or since the caller began.
    """

    now_s: float
    services: tuple[ServiceLine, ...] = ()
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None
    store_bytes: int | None = None
    store_bytes_max: int | None = None
    clock_offsets_ms: dict[str, float] = {}
    backup_age_s: float | None = None
    restore_proven_s: float | None = None
    database_events: int | None = None
    database_s: float | None = None
    are_tokens_believed: bool | None = None
    model: ModelTally | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What people should be told: the fields of the `AlertRaised` that is to be said."""

    code: str
    severity: Severity
    text: str


class Trouble(msgspec.Struct, kw_only=True):
    """One trouble: since when it has been there (s; None: it is not), since when it has been gone, and whether people know."""

    since_s: float | None = None
    gone_s: float | None = None
    is_told: bool = False


class WatchMemory(msgspec.Struct, kw_only=True):
    """All that is remembered: troubles by code and whose they are; starts seen by service, and when; the model's counts over time."""

    troubles: dict[str, Trouble] = {}
    starts: dict[str, int] = {}
    started_s: dict[str, list[float]] = {}
    tallies: list[tuple[float, int, int]] = []


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """One thing as it was seen: is it bad, is it clearly good (neither: as before), and what would be said of it."""

    code: str
    severity: Severity
    whose: str
    bad: bool
    good: bool
    text: str
    better: str
    hold_s: float = 0.0


class Watchman:
    """Looks, and remembers what he has told."""

    def __init__(self, limits: WatchLimits | None = None, memory: WatchMemory | None = None):
        self.limits = limits or WatchLimits()
        self.memory = memory or WatchMemory()

    def look(self, look: Look) -> list[Notice]:
        """What to tell people now; empty as long as nothing changes."""
        told: dict[tuple[str, Severity], list[str]] = {}
        for sight in self._sights(look):
            for code, severity, text in self._judged(sight, look.now_s):
                told.setdefault((code, severity), []).append(text)
        return [
            Notice(code=code, severity=severity, text="; ".join(texts)[:600])
            for (code, severity), texts in told.items()
        ]

    # --- what is told -------------------------------------------------------------------------------------------

    def _judged(self, sight: Sight, now_s: float) -> Iterator[tuple[str, Severity, str]]:
        trouble = self.memory.troubles.setdefault(f"{sight.code}:{sight.whose}", Trouble())
        trouble.since_s = (trouble.since_s if trouble.since_s is not None else now_s) if sight.bad else None
        trouble.gone_s = (trouble.gone_s if trouble.gone_s is not None else now_s) if sight.good else None
        if trouble.since_s is not None and not trouble.is_told and now_s - trouble.since_s >= sight.hold_s:
            trouble.is_told = True
            yield sight.code, sight.severity, sight.text
        elif trouble.gone_s is not None and trouble.is_told and now_s - trouble.gone_s >= self.limits.calm_s:
            trouble.is_told = False
            yield f"{sight.code}_OVER", "note", sight.better

    # --- what is seen -------------------------------------------------------------------------------------------

    def _sights(self, look: Look) -> Iterator[Sight]:
        for line in look.services:
            yield self._down(line)
            if line.up and line.ready:
                yield self._behind(line)
            if line.starts:
                yield self._starts(line, look.now_s)
        for each in (self._disk, self._store, self._database, self._backup, self._tokens, self._model):
            yield from each(look)
        for whose, offset_ms in look.clock_offsets_ms.items():
            yield self._clock(whose, offset_ms)

    def _severity(self, service: str) -> Severity:
        return "page" if service in self.limits.vital else "ticket"

    def _down(self, line: ServiceLine) -> Sight:
        well = line.ready or line.phase.startswith(STANDBY)
        return Sight(
            code="SERVICE_DOWN",
            severity=self._severity(line.name),
            whose=line.name,
            bad=not well,
            good=well,
            text=f"{line.name}: {line.phase}",
            better=f"{line.name} works again",
            hold_s=self.limits.unready_hold_s if line.up else self.limits.down_hold_s,
        )

    def _behind(self, line: ServiceLine) -> Sight:
        limits, counts = self.limits, f"{line.lag} events to read, {line.outbox} to write"
        return Sight(
            code="SERVICE_LAGS",
            severity="ticket",
            whose=line.name,
            bad=line.lag > limits.lag_events_max or line.outbox > limits.outbox_events_max,
            good=line.lag <= limits.lag_events_max // 2 and line.outbox <= limits.outbox_events_max // 2,
            text=f"{line.name} does not keep up with the log: {counts}",
            better=f"{line.name} has caught up: {counts}",
            hold_s=limits.lag_hold_s,
        )

    def _starts(self, line: ServiceLine, now_s: float) -> Sight:
        """Starts since the first look; what was before it, nobody knows when."""
        memory, limits = self.memory, self.limits
        more = line.starts - memory.starts.get(line.name, line.starts)
        memory.starts[line.name] = line.starts
        kept = [each for each in memory.started_s.get(line.name, ()) if now_s - each <= limits.starts_window_s]
        kept = memory.started_s[line.name] = [*kept, *[now_s] * more][-limits.starts_max - 1 :]
        return Sight(
            code="SERVICE_CRASH_LOOP",
            severity=self._severity(line.name),
            whose=line.name,
            bad=len(kept) > limits.starts_max,
            good=len(kept) <= 1,
            text=f"{line.name} has started more than {limits.starts_max} times within {limits.starts_window_s / 60:.0f} min",
            better=f"{line.name} stays up",
        )

    def _disk(self, look: Look) -> Iterator[Sight]:
        free, total, limits = look.disk_free_bytes, look.disk_total_bytes, self.limits
        if free is None or not total:
            return
        text = f"{_size(free)} of {_size(total)} are free on the disk with the state folder"
        low = min(limits.disk_low_share * total, limits.disk_low_bytes)
        full = min(limits.disk_full_share * total, limits.disk_full_bytes)
        better = limits.disk_better
        yield _plain("DISK_FULL", "page", free < full, free >= full * better, text)
        yield _plain("DISK_LOW", "ticket", free < low, free >= low * better, text)

    def _store(self, look: Look) -> Iterator[Sight]:
        used, most, limits = look.store_bytes, look.store_bytes_max, self.limits
        if used is None or not most:
            return
        text = f"the log's store holds {_size(used)} of at most {_size(most)}"
        full, low, better = limits.store_full_share, limits.store_low_share, limits.store_better_share
        share = used / most
        yield _plain("LOG_STORE_FULL", "page", share >= full, share < full - better, text)
        yield _plain("LOG_STORE_LOW", "ticket", share >= low, share < low - better, text)

    def _database(self, look: Look) -> Iterator[Sight]:
        if look.database_events is None and look.database_s is None:
            return
        events, seconds, limits = look.database_events or 0, look.database_s or 0.0, self.limits
        bad = events > limits.database_events_max or seconds > limits.database_s_max
        good = events <= limits.database_events_max // 2 and seconds <= limits.database_s_max / 2
        text = f"the database is {events} events and {seconds:.0f} s behind the log"
        yield _plain("DATABASE_LAGS", "ticket", bad, good, text, limits.database_hold_s)

    def _clock(self, whose: str, offset_ms: float) -> Sight:
        limits, off = self.limits, abs(offset_ms)
        text = f"our clock is {off:.0f} ms {'ahead of' if offset_ms >= 0 else 'behind'} {whose}'s"
        sight = _plain(
            "CLOCK_OFFSET",
            "ticket",
            off > limits.clock_ms_max,
            off <= limits.clock_ms_max / 2,
            text,
            limits.clock_hold_s,
        )
        return msgspec.structs.replace(sight, whose=whose)

    def _backup(self, look: Look) -> Iterator[Sight]:
        if look.backup_age_s is not None:
            old = look.backup_age_s > self.limits.backup_s_max
            text = f"the last backup is {look.backup_age_s / HOUR_S:.0f} h old"
            yield _plain("BACKUP_OLD", "ticket", old, not old, text)
        if look.restore_proven_s is not None:
            days, old = look.restore_proven_s / DAY_S, look.restore_proven_s > self.limits.restore_proven_s_max
            text = f"no backup has been seen to come back for {days:.0f} days"
            yield _plain("RESTORE_UNPROVEN", "ticket", old, not old, text)

    def _tokens(self, look: Look) -> Iterator[Sight]:
        if look.are_tokens_believed is None:
            return
        yield Sight(
            code="TOKENS_UNREADABLE",
            severity="ticket",
            whose="",
            bad=not look.are_tokens_believed,
            good=look.are_tokens_believed,
            text="nobody is let into console and API: the file of their tokens cannot be believed",
            better="the file of tokens can be believed again",
            hold_s=self.limits.tokens_hold_s,
        )

    def _model(self, look: Look) -> Iterator[Sight]:
        if look.model is None:
            return
        asked, failed = self._lately(look.now_s, look.model)
        limits = self.limits
        if asked < limits.model_asked_min:
            return
        share = failed / asked
        text = f"{failed} of the last {asked} questions to the model failed"
        most = limits.model_failed_share_max
        yield _plain("MODEL_FAILURE_RATE", "ticket", share > most, share <= most / 2, text)

    def _lately(self, now_s: float, model: ModelTally) -> tuple[int, int]:
        """How much was asked and failed within the window; counts that go back were begun anew."""
        tallies = self.memory.tallies
        if tallies and model.asked < tallies[-1][1]:
            tallies.clear()
        if not tallies or model.asked != tallies[-1][1]:
            tallies.append((now_s, model.asked, model.failed))
        while len(tallies) > 1 and now_s - tallies[1][0] > self.limits.model_window_s:
            del tallies[0]
        _, asked, failed = tallies[0]
        return model.asked - asked, model.failed - failed


def _plain(code: str, severity: Severity, bad: bool, good: bool, text: str, hold_s: float = 0.0) -> Sight:
    """Something there is one of, and of which the same is said when it is over."""
    return Sight(code=code, severity=severity, whose="", bad=bad, good=good, text=text, better=text, hold_s=hold_s)


def _size(count: float) -> str:
    """Bytes in the unit that people would use."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
