"""What each event of the log becomes in SQL. Pure: the same event at the same `seq` gives the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Table

from libs.common.messages import (
    AgentSignals,
    DecisionsMade,
    EntryJudged,
    EquityChanged,
    ExecutionReport,
    JournalHeadDeclared,
    JournalPosted,
    Message,
    ModelAnswered,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
    PositionChanged,
)
from libs.common.money import ZERO
from services.ledger.adapters.tables import (
    BALLOTS,
    DECISIONS,
    EQUITY,
    EQUITY_DAILY,
    FILLS,
    INTENTS,
    JOURNAL_ENTRIES,
    JUDGEMENTS,
    MODEL_CALLS,
    ORDERS,
    POSITIONS,
    POSTINGS,
    SIGNALS,
    VERDICT_CHECKS,
    VERDICTS,
)

Row = dict[str, Any]


class TableRow(msgspec.Struct, frozen=True):
    """One row for `table`; `is_newer` rows replace an older state of the same key, all others are inserted once."""

    table: Table
    values: Row
    is_newer: bool = False


def rows_of(seq: int, message: Message) -> Iterator[TableRow]:
    """The rows `message` at `seq` adds; none for the types that have no table."""
    match message:
        case AgentSignals():
            yield from _signals(seq, message)
        case DecisionsMade():
            yield from _decisions(seq, message)
        case EntryJudged():
            lists = {"evidence": list(message.evidence), "flags": list(message.flags)}
            yield TableRow(JUDGEMENTS, {**_columns(JUDGEMENTS, message), **lists, "seq": seq})
        case ModelAnswered():
            yield TableRow(MODEL_CALLS, {"seq": seq, **_columns(MODEL_CALLS, message)})
        case OrderIntent():
            yield TableRow(INTENTS, {"seq": seq, **_columns(INTENTS, message)})
        case OrderApproved():
            yield TableRow(VERDICTS, {"verdict": "APPROVED", "reasons": [], **_verdict(seq, message)})
            yield from _checks(seq, message)
        case OrderDenied():
            yield TableRow(VERDICTS, {"verdict": "DENIED", "reasons": list(message.reasons), **_verdict(seq, message)})
            yield from _checks(seq, message)
        case OrderSubmitting():
            yield TableRow(ORDERS, _submission(seq, message))
        case ExecutionReport():
            yield TableRow(ORDERS, _report(seq, message), is_newer=True)
            if message.exec_type == "TRADE":
                yield TableRow(FILLS, _fill(seq, message))
        case JournalPosted():
            yield from _journal(seq, message)
        case PositionChanged():
            yield TableRow(POSITIONS, {"updated_seq": seq, **_columns(POSITIONS, message)}, is_newer=True)
        case EquityChanged():
            yield TableRow(EQUITY, {"seq": seq, **_columns(EQUITY, message)})
        case JournalHeadDeclared():
            yield TableRow(EQUITY_DAILY, {"seq": seq, **_columns(EQUITY_DAILY, message)})


def _columns(table: Table, message: Message) -> Row:
    """The fields of `message` that `table` has a column for."""
    return {name: getattr(message, name) for name in _shared(table, type(message))}


@cache
def _shared(table: Table, kind: type[Message]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name in table.c)


def _signals(seq: int, message: AgentSignals) -> Iterator[TableRow]:
    head = {"seq": seq, **_columns(SIGNALS, message)}
    for line, signal in enumerate(message.signals):
        yield TableRow(SIGNALS, {**head, "line": line, **msgspec.structs.asdict(signal)})


def _verdict(seq: int, message: OrderApproved | OrderDenied) -> Row:
    row = _columns(VERDICTS, message)
    row.pop("reasons", None)
    return {**row, "seq": seq, "checks": [msgspec.structs.asdict(check) for check in message.checks]}


def _checks(seq: int, message: OrderApproved | OrderDenied) -> Iterator[TableRow]:
    for line, check in enumerate(message.checks):
        row = {"code": check.code, "passed": check.passed, "value": check.value, "bound": check.limit}
        yield TableRow(VERDICT_CHECKS, {"seq": seq, "line": line, **row})


def _decisions(seq: int, message: DecisionsMade) -> Iterator[TableRow]:
    head = {"seq": seq, **_columns(DECISIONS, message)}
    for line, decision in enumerate(message.decisions):
        own = msgspec.structs.asdict(decision)
        ballots = own.pop("ballots")
        yield TableRow(DECISIONS, {**head, "line": line, **own})
        for place, ballot in enumerate(ballots):
            yield TableRow(BALLOTS, {"seq": seq, "line": line, "place": place, **msgspec.structs.asdict(ballot)})


def _submission(seq: int, message: OrderSubmitting) -> Row:
    unknown = {"ord_status": "PENDING_NEW", "venue_order_id": "", "cum_qty": ZERO, "avg_px": None, "reason": ""}
    return {**_columns(ORDERS, message), **unknown, "updated_seq": seq}


def _report(seq: int, message: ExecutionReport) -> Row:
    return {**_columns(ORDERS, message), "updated_seq": seq}


def _fill(seq: int, message: ExecutionReport) -> Row:
    return {"seq": seq, **_columns(FILLS, message), "qty": message.last_qty, "px": message.last_px}


def _journal(seq: int, message: JournalPosted) -> Iterator[TableRow]:
    yield TableRow(JOURNAL_ENTRIES, {"seq": seq, **_columns(JOURNAL_ENTRIES, message)})
    for line, posting in enumerate(message.postings):
        yield TableRow(POSTINGS, {"entry_id": message.entry_id, "line": line, **msgspec.structs.asdict(posting)})
