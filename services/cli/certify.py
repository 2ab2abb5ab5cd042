"""A paper log held against everything that is asked, and the certificate that follows from it.

To what `graduation` asks of the book one thing is added that only the code at hand can answer: that it is the code the book was run by last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import Baseline, GenesisDeclared, Message, ServiceStarted
from libs.research.certificate import DECIDING, Certificate, JudgedLog, Override, Started, sealed, settings_digest
from libs.research.graduation import Criterion, Requirements, graduation
from libs.research.paper_days import PaperDay
from libs.runtime.adapter import LogEntry
from libs.runtime.registry import parts, version_at_hand
from libs.trading.track_record import TrackRecord
from services.cli import ledger_books
from services.cli.baseline import baseline_of
from services.cli.exit_codes import BAD_DUMP, FINDING, Failure
from services.cli.paper_record import paper_record
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
    started: dict[str, ServiceStarted] = {}
    genesis = None
    for message in _readable(each for each in log if each.subject.endswith((".started", ".genesis"))):
        if isinstance(message, ServiceStarted):
            started[message.producer] = message
        elif isinstance(message, GenesisDeclared) and genesis is None:
            genesis = message
    ready = (
        Criterion(name=each.name, asked="proof of it", seen=each.evidence, met=each.met)
        for each in readiness(counted, asked.days_min)
    )
    return Judgement(
        criteria=(*found.criteria, same_code(started)),
        readiness=tuple(ready),
        days=found.days,
        record=paper_record(log),
        baseline=baseline_of(log, found.days),
        genesis=genesis,
        started=started,
    )


def same_code(started: dict[str, ServiceStarted]) -> Criterion:
    """Whether every machine at hand was started last with the code at hand, and nobody else wrote."""
    here = {part.contract.writer: part.code_version for part in parts()}
    others = [
        f"{writer} ran {_version(started.get(writer))}, at hand is {version}"
        for writer, version in here.items()
        if _version(started.get(writer)) != version
    ]
    others += [f"{writer} ran and is not at hand" for writer in sorted(set(started) - set(here))]
    return Criterion(
        name="code",
        asked="the book was run last by the code at hand",
        seen="; ".join(others) or f"all {len(here)} machines were",
        met=not others,
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


def _version(started: ServiceStarted | None) -> str:
    return started.code_version if started is not None else "never"
