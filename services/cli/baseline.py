"""The baseline of a book, from its log; its declaration; and how the watch against it stands, from the same log.

The watch itself is the ledger's machine. What it knows is not in the log, but follows from it: the same arithmetic (libs/trading/drift.py) is folded over
the same events here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from nats.aio.client import Client

from libs.common.codec import BadEvent, decode_from, encode
from libs.common.ids import derive_id
from libs.common.messages import (
    Baseline,
    BaselineDeclared,
    FeedStatus,
    GenesisDeclared,
    Message,
    PositionChanged,
)
from libs.common.subjects import subject_of
from libs.common.timeframe import SECOND
from libs.research.paper_days import PaperDay
from libs.runtime.adapter import LogEntry
from libs.trading.baseline import BaselineFold, begin
from libs.trading.drift import Watch, digest_of, flaw_of, hear, watching
from libs.trading.positions import Position
from services.cli.exit_codes import CANNOT_WRITE, USAGE, Failure

WRITER = "ops.cli"
HEARD = ("risk.approved.", "exec.submitting.", "exec.report.", "ledger.position.", "feed.status", "ops.")


class BaselineError(Exception):
    """The bus refused the declaration."""


async def declare_baseline(client: Client, baseline: Baseline, author: str, now: int) -> int | None:
    """Let the book be held against `baseline` from `now` (ns, of the clock that the services follow) on.

    Returns its seq, None if this very declaration is in the log already. Saying the baseline that is in force again, at another time, changes nothing.

    Raises:
        BaselineError: it cannot be a baseline, or the bus refused.
        nats.errors.Error, TimeoutError: it did not answer; asking again is safe.
    """
    if flaw := flaw_of(baseline):
        raise BaselineError(f"this is no baseline: {flaw}")
    message = declaration(WRITER, baseline, author, now)
    reply = await client.request(subject_of(message), encode(message), timeout=5, headers={"Nats-Msg-Id": message.id})
    answer = json.loads(reply.data)
    if "error" in answer:
        raise BaselineError(f"the bus refused the baseline: {answer['error'].get('description')}")
    return None if answer.get("duplicate") else int(answer["seq"])


def declaration(writer: str, baseline: Baseline, author: str, now: int) -> BaselineDeclared:
    """The event; its id follows from what it says and when."""
    declared_id = derive_id("baseline declared", writer, digest_of(baseline), author, now)
    return BaselineDeclared(
        id=declared_id,
        ts_event=now,
        ts_init=now,
        correlation_id=declared_id,
        producer=writer,
        baseline=baseline,
        author=author,
    )


def baseline_of(entries: Iterable[LogEntry], days: Iterable[PaperDay]) -> Baseline:
    """What the book of this log has shown: on the days that count, or on all of them if none does; its source says which."""
    counted = {each.day for each in days if each.counts}
    fold, book = BaselineFold(), "no book"
    for _, message in _heard(entries):
        if isinstance(message, GenesisDeclared):
            book = f"book {message.book} ({message.mode})"
        fold.take(message, counts=not counted or day_of(message) in counted)
    basis = f"{len(counted)} counted days" if counted else "its whole log; no day counts"
    return fold.baseline(f"{book}, {basis}")


def watch_of(entries: Iterable[LogEntry]) -> Watch | None:
    """How the ledger's watch stands at the end of this log; None while no baseline is declared."""
    fold = WatchFold()
    for seq, message in _heard(entries):
        fold.take(seq, message)
    return fold.watch


class WatchFold:
    """The ledger's watch, from the log it follows."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self._declared_seq = 0
        self._positions: dict[str, Position] = {}
        self._steps: dict[str, Decimal] = {}

    def take(self, seq: int, message: Message) -> None:
        """Learn the event at `seq`."""
        match message:
            case BaselineDeclared():
                self._declare(seq, message)
                return
            case FeedStatus():
                self._steps.update((spec.instrument, spec.qty_step) for spec in message.specs)
            case PositionChanged():
                self._positions[message.instrument] = Position(
                    message.signed_qty, realized_pnl=message.realized_pnl, commission=message.commission
                )
                if message.done_in_seq < self._declared_seq:  # the ledger knew it when it heard of the baseline
                    self._begin_again(message.instrument)
                    return
        if self.watch is not None:
            hear(self.watch, message)

    def _declare(self, seq: int, message: BaselineDeclared) -> None:
        said = message.baseline
        if flaw_of(said) or (self.watch is not None and self.watch.digest == digest_of(said)):
            return
        self._declared_seq = seq
        begun = watching(said, now=message.ts_init, positions=self._positions, steps=self._steps)
        self.watch = begun if said.metrics else None

    def _begin_again(self, instrument: str) -> None:
        if self.watch is not None:
            begin(self.watch.measuring, instrument, self._positions[instrument])


def read_baseline(path: Path) -> Baseline:
    """A baseline that `bulkhead graduate --baseline-out` wrote.

    Raises:
        Failure: it cannot be read, or is none.
    """
    cure = "write it with `bulkhead graduate --baseline-out FILE`"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as error:
        raise Failure(USAGE, f"cannot read {path}: {error.strerror}", cure) from error
    except msgspec.MsgspecError as error:
        raise Failure(USAGE, f"{path} is no baseline: {error}", cure) from error
    if not found.metrics:
        raise Failure(
            USAGE,
            f"{path} is no baseline: it holds no sample",
            "wait until the book has traded; `--end` ends the watch",
        )
    if flaw := flaw_of(found):
        raise Failure(USAGE, f"{path} is no baseline: {flaw}", cure)
    return found


def day_of(message: Message) -> date:
    """The UTC day on which it entered the system."""
    return datetime.fromtimestamp(message.ts_init // SECOND, UTC).date()


def write_baseline(path: Path, baseline: Baseline) -> None:
    """The baseline as a file that `read_baseline` reads.

    Raises:
        Failure: it cannot be written.
    """
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(baseline)) + b"\n")
    except OSError as error:
        raise Failure(
            CANNOT_WRITE, f"cannot write {path}: {error.strerror}", "name a file that can be written"
        ) from error


def _heard(entries: Iterable[LogEntry]) -> Iterable[tuple[int, Message]]:
    for entry in entries:
        if entry.subject.startswith(HEARD):
            try:
                yield entry.seq, decode_from(entry.subject, entry.payload)
            except BadEvent:
                continue  # `replay` tells it
