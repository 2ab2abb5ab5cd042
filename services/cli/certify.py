"""A paper log held against everything that is asked, and the certificate that follows from it.

To what `graduation` asks of the book two things are added: that every machine was, on every day that counts, the code at hand, and that whoever decides had
the same settings on all of them. What a log tells of code is the machines'; adapters and shells are in the version that the certificate is bound to,
which says what may trade, and not what ran on paper.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import Baseline, GenesisDeclared, Message, ServiceStarted
from libs.common.timeframe import DAY, SECOND
from libs.desk.book_record import paper_record
from libs.research.certificate import DECIDING, Certificate, JudgedLog, Override, Started, sealed, settings_digest
from libs.research.graduation import Criterion, Requirements, graduation
from libs.research.paper_days import PaperDay
from libs.runtime.adapter import LogEntry
from libs.runtime.registry import contracts, has_machine, parts, version_at_hand
from libs.trading.track_record import TrackRecord
from services.cli import ledger_books
from services.cli.baseline import baseline_of
from services.cli.exit_codes import BAD_DUMP, FINDING, Failure
from services.cli.readiness import readiness


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a log has shown. `started`: how each of its writers was started last; `genesis` is None where the log has no beginning."""

    criteria: tuple[Criterion, ...]
    readiness: tuple[Criterion, ...]
    days: tuple[PaperDay, ...]
    record: TrackRecord | None
    baseline: Baseline
    genesis: GenesisDeclared | None
    started: dict[str, ServiceStarted]

    @property
    def is_ready(self) -> bool:
        """Whether everything that is asked was shown."""
        return all(each.met for each in (*self.criteria, *self.readiness))


def judge(log: Sequence[LogEntry], asked: Requirements = Requirements()) -> Judgement:  # noqa: B008  frozen
    """Hold a whole log against what is asked of a book and of the system."""
    found = graduation(log, asked)
    counted = sum(each.counts for each in found.days)
    starts: dict[str, list[ServiceStarted]] = {}
    genesis = None
    for message in _readable(each for each in log if each.subject.endswith((".started", ".genesis"))):
        if isinstance(message, ServiceStarted):
            starts.setdefault(message.producer, []).append(message)
        elif isinstance(message, GenesisDeclared) and genesis is None:
            genesis = message
    ready = (
        Criterion(name=each.name, asked="proof of it", seen=each.evidence, met=each.met)
        for each in readiness(counted, asked.days_min)
    )
    days = {each.day for each in found.days if each.counts}
    doors = {each.writer for each in contracts() if not has_machine(each.service)}
    ran = {writer: in_force(each, days) for writer, each in starts.items() if writer not in doors}
    return Judgement(
        criteria=(*found.criteria, same_code(ran), same_settings(ran)),
        readiness=tuple(ready),
        days=found.days,
        record=paper_record(log),
        baseline=baseline_of(log, found.days),
        genesis=genesis,
        started={writer: each[-1] for writer, each in starts.items()},
    )


def in_force(starts: Sequence[ServiceStarted], days: Container[date]) -> list[ServiceStarted]:
    """Those of a writer's starts, in order, that ran on one of these days; and the last one, whenever it was."""
    found = []
    for start, following in pairwise([*starts, None]):
        if start is None:
            continue
        first = start.ts_init // DAY
        last = first if following is None else following.ts_init // DAY
        if following is None or any(_day(number) in days for number in range(first, last + 1)):
            found.append(start)
    return found


def same_code(ran: Mapping[str, Sequence[ServiceStarted]]) -> Criterion:
    """Whether every machine at hand ran, on every day that counts and last, with the code at hand, and nobody else wrote."""
    here = {part.contract.writer: part.code_version for part in parts()}
    others = []
    for writer, version in here.items():
        ran_by = dict.fromkeys(each.code_version for each in ran.get(writer, ())) or {"never": None}
        if list(ran_by) != [version]:
            others.append(f"{writer} ran {', '.join(ran_by)}, at hand is {version}")
    others += [f"{writer} ran and is not at hand" for writer in sorted(set(ran) - set(here))]
    return Criterion(
        name="code",
        asked="on every day that counts, every machine ran the code at hand",
        seen="; ".join(others) or f"all {len(here)} machines did",
        met=not others,
    )


def same_settings(ran: Mapping[str, Sequence[ServiceStarted]]) -> Criterion:
    """Whether whoever decides had, on every day that counts, the settings of the last start."""
    changed = []
    for writer, starts in sorted(ran.items()):
        if writer.startswith(DECIDING) and (count := len({settings_digest(each.settings) for each in starts})) > 1:
            changed.append(f"{writer} had {count} different ones")
    return Criterion(
        name="settings",
        asked="on every day that counts, what decides had the settings of its last start",
        seen="; ".join(changed) or "they were the same all along",
        met=not changed,
    )


def certificate_of(
    judgement: Judgement, log: Sequence[LogEntry], *, now: int, override: Override | None = None
) -> Certificate:
    """The certificate of a log as it was judged at `now` (ns).

    Raises:
        CertificateRefused: something is missing and nobody overrides it, or the override is not as it must be.
        Failure: the log is no paper book, or its journal is not what was booked.
    """
    genesis = judgement.genesis
    if genesis is None or genesis.mode != "paper":
        told = "has no beginning" if genesis is None else f"is of a book in mode {genesis.mode}"
        cure = "run `bulkhead up --mode paper` with a state folder of its own, and judge that one"
        raise Failure(BAD_DUMP, f"only a paper book can unlock live trading: this log {told}", cure)
    return sealed(
        Certificate(
            book=genesis.book,
            issued_at=now,
            code_version=version_at_hand(),
            days=tuple(each.day for each in judgement.days if each.counts),
            criteria=judgement.criteria,
            readiness=judgement.readiness,
            log=_identity(log),
            strategy=strategy_of(judgement.started),
            baseline=judgement.baseline,
            override=override,
        )
    )


def strategy_of(started: dict[str, ServiceStarted]) -> dict[str, Started]:
    """Code and settings of whoever decides what is traded, by writer."""
    return {
        writer: Started(code_version=each.code_version, settings=settings_digest(each.settings))
        for writer, each in sorted(started.items())
        if writer.startswith(DECIDING)
    }


def _identity(log: Sequence[LogEntry]) -> JudgedLog:
    books = ledger_books.verify(ledger_books.journal_in(log), None, [])
    if books.findings or books.log is None:
        text = f"the books of this log are not what was booked: {len(books.findings)} findings"
        raise Failure(FINDING, text, "look at `bulkhead ledger verify`; such a log unlocks nothing")
    head = books.log.head
    return JudgedLog(
        first_seq=log[0].seq,
        last_seq=log[-1].seq,
        last_ts=next((message.ts_init for message in _readable(reversed(log))), 0),
        journal_head=f"{head.digest}:{head.number}",
    )


def _readable(entries: Iterable[LogEntry]) -> Iterator[Message]:
    for entry in entries:
        try:
            yield decode_from(entry.subject, entry.payload)
        except BadEvent:
            continue  # `replay` tells it


def _day(number: int) -> date:
    return datetime.fromtimestamp(number * DAY // SECOND, UTC).date()
