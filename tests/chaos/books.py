"""What a run came to, in a form two runs can be compared by, and held against the venue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import (
    Check,
    ExecutionReport,
    FeedBars,
    JournalPosted,
    Message,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
)
from libs.runtime.adapter import LogEntry

AGES = ("STALE_PRICE", "STALE_INTENT", "DUPLICATE_ORDER", "RATE_LIMIT", "RECONCILED_AGE")
"""Checks whose value is an age: it depends on when a message arrived, not on what was decided."""


def messages(entries: Iterable[LogEntry]) -> list[Message]:
    """Every event that decodes."""
    found = []
    for entry in entries:
        try:
            found.append(decode_from(entry.subject, entry.payload))
        except BadEvent:
            continue
    return found


class Outcome(msgspec.Struct, frozen=True):
    """Everything that two runs of the same market must have in common.

    Fills and postings are in order within each instrument. Between two instruments whose orders leave at one instant of the
    venue there is no order to keep: each goes its own way to the venue, and a crash may let the other one pass.
    """

    bars: tuple[Any, ...]
    intents: tuple[Any, ...]
    verdicts: tuple[Any, ...]
    fills: tuple[Any, ...]
    postings: tuple[Any, ...]
    open_orders: tuple[Any, ...]


def outcome_of(entries: Iterable[LogEntry], account: dict[str, Any]) -> Outcome:
    """The outcome of one run: its log and the venue's account at the end."""
    told = messages(entries)
    fills = tuple(
        (
            each["instrument"],
            each["side"],
            str(each["qty"]),
            str(each["px"]),
            str(each["commission"]),
            each["commission_asset"],
        )
        for each in account["fills"]
    )
    resting = sorted(
        (each["instrument"], each["side"], each["ord_type"], str(each["order_qty"]), str(each["stop_px"]))
        for each in account["orders"]
        if each["ord_status"] in ("NEW", "PARTIALLY_FILLED")
    )
    return Outcome(
        bars=tuple((each.end_ts, each.bars) for each in told if isinstance(each, FeedBars)),
        intents=tuple(_intent(each) for each in told if isinstance(each, OrderIntent)),
        verdicts=tuple(_verdict(each) for each in told if isinstance(each, OrderApproved | OrderDenied)),
        fills=_by_instrument(fills),
        postings=_by_instrument(
            (each.instrument, each.kind, each.postings) for each in told if isinstance(each, JournalPosted)
        ),
        open_orders=tuple(resting),
    )


def _by_instrument(rows: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Rows that begin with their instrument, kept in order within each."""
    return tuple(sorted(rows, key=lambda row: row[0]))


def _intent(intent: OrderIntent) -> tuple[Any, ...]:
    fields = (
        "instrument",
        "side",
        "ord_type",
        "order_qty",
        "limit_px",
        "ref_px",
        "stop_px",
        "target_px",
        "reduce_only",
        "reason",
    )
    return tuple(getattr(intent, name) for name in fields)


def _verdict(verdict: OrderApproved | OrderDenied) -> tuple[Any, ...]:
    reasons = verdict.reasons if isinstance(verdict, OrderDenied) else ()
    return (
        type(verdict).__name__,
        verdict.instrument,
        verdict.side,
        verdict.order_qty,
        reasons,
        tuple(map(_check, verdict.checks)),
    )


def _check(check: Check) -> tuple[str, bool, str]:
    return check.code, check.passed, "" if check.code in AGES else check.value


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """Where two outcomes part, one line a kind."""
    found = []
    for name in Outcome.__struct_fields__:
        a, b = getattr(ours, name), getattr(theirs, name)
        if a != b:
            place = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            found.append(
                f"{name}: {len(a)} and {len(b)}, first difference at {place}: {a[place : place + 1]} {b[place : place + 1]}"[
                    :900
                ]
            )
    return found


def faults_against(entries: Iterable[LogEntry], account: dict[str, Any], specs: dict[str, Decimal]) -> list[str]:
    """Everything in which the log and the venue disagree; `specs` maps an instrument to its smallest order value."""
    return faults_told(messages(entries), account, specs)


BOOKKEEPING = (OrderSubmitting, ExecutionReport, JournalPosted)
"""All that `faults_told` wants to hear of a log."""


def faults_told(told: list[Message], account: dict[str, Any], specs: dict[str, Decimal]) -> list[str]:
    """The same from events that are decoded already."""
    found = []
    submitted = Counter(each.cl_ord_id for each in told if isinstance(each, OrderSubmitting))
    found += [f"{cl_ord_id} was submitted {n} times" for cl_ord_id, n in submitted.items() if n > 1]
    seen = account["seen_cl_ord_ids"]
    found += [f"the venue saw {cl_ord_id} {n} times" for cl_ord_id, n in seen.items() if n != 1]
    found += [f"the venue knows {cl_ord_id}, the log does not" for cl_ord_id in seen if cl_ord_id not in submitted]
    real = Counter(f"{each['instrument']}:{each['exec_id']}" for each in account["fills"])
    reported = Counter(
        f"{each.instrument}:{each.exec_id}"
        for each in told
        if isinstance(each, ExecutionReport) and each.exec_type == "TRADE"
    )
    booked = Counter(
        f"{each.instrument}:{each.source_id}"
        for each in told
        if isinstance(each, JournalPosted) and each.kind == "FILL"
    )
    for name, counted in (("reported", reported), ("booked", booked)):
        found += [
            f"fill {key} is {name} {counted[key]} times, real {real[key]}"
            for key in {**real, **counted}
            if counted[key] != real[key]
        ]
    return found + _books_against(told, account) + _uncovered(account, specs)


def _books_against(told: list[Message], account: dict[str, Any]) -> list[str]:
    books: dict[str, Decimal] = {}
    for each in told:
        if isinstance(each, JournalPosted):
            for posting in each.postings:
                if posting.account == f"asset:{posting.asset}":
                    books[posting.asset] = books.get(posting.asset, Decimal(0)) + posting.amount
    real = {
        asset: Decimal(str(each["free"])) + Decimal(str(each["locked"])) for asset, each in account["balances"].items()
    }
    assets = sorted({*books, *real})
    return [
        f"{asset}: the books say {books.get(asset, 0)}, the venue {real.get(asset, 0)}"
        for asset in assets
        if books.get(asset, Decimal(0)) != real.get(asset, Decimal(0))
    ]


def _uncovered(account: dict[str, Any], specs: dict[str, Decimal]) -> list[str]:
    """Positions worth more than twice the smallest order, without resting sells of (almost) their size."""
    found = []
    for instrument, notional_min in specs.items():
        base = account["balances"].get(instrument.split("-")[0])
        if base is None:
            continue
        held = Decimal(str(base["free"])) + Decimal(str(base["locked"]))
        px = Decimal(str(account["px"][instrument]))
        if held * px < notional_min * 2:
            continue
        resting = sum(
            (
                Decimal(str(each["order_qty"])) - Decimal(str(each["cum_qty"]))
                for each in account["orders"]
                if each["instrument"] == instrument
                and each["side"] == "SELL"
                and each["ord_status"] in ("NEW", "PARTIALLY_FILLED")
            ),
            Decimal(0),
        )
        if (held - resting) * px >= notional_min * 2:
            found.append(f"{instrument}: {held} held, {resting} protected")
    return found
