"""The regression watch: whether the book still trades as the baseline it was declared to be held against. Pure.

    BaselineDeclared   the watch begins, anew if there was one; the one in force said again changes nothing; one without metrics ends it
    any event          of what the watch measures (libs/trading/baseline.py), and the PositionChanged that the ledger is about to say itself
    a look shows that a metric has changed (libs/trading/drift.py) → AlertRaised, once an episode

**Why here.** The watch decides nothing, so it may not live where a fault in it stops an order: not in the gate, not in the executor. It needs fills, and the
round trips as the books have them; the ledger has the latter before anybody hears of them, and is no part of an order's way. The portfolio would judge
itself. The price is that the ledger hears approvals and submissions too, two small events an order, and lets them go while nothing is declared.

**Who is woken.** Slippage is a `page`: every order from now on costs more than the strategy was shown to bear, and a person can halt. Latency, stops, hit rate
and return are `ticket`s: they are slow, the drawdown limits guard the money meanwhile, and nobody mends them at night. What is better, or over, is a `note`.

Nothing here asks for the mode: a paper book may be held against its last month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from libs.common.messages import AlertRaised, BaselineDeclared, Message, Metric, PositionChanged
from libs.runtime.machine import Effect, Publish, Reject
from libs.trading.drift import Change, change_in_words, digest_of, flaw_of, hear, watching
from services.ledger.books import Books

SEVERITIES: Mapping[Metric, Literal["page", "ticket"]] = {
    "slippage": "page",
    "stop_slippage": "ticket",
    "latency": "ticket",
    "return": "ticket",
    "hit_rate": "ticket",
}


def declare(books: Books, declared: BaselineDeclared, now: int) -> list[Effect]:
    """Begin, replace or end the watch."""
    flaw = flaw_of(declared.baseline)
    if flaw:
        return [Reject("BASELINE_UNUSABLE", flaw)]
    if books.watch is not None and books.watch.digest == digest_of(declared.baseline):
        return []
    if not declared.baseline.metrics:
        books.watch = None
        return []
    books.watch = watching(declared.baseline, now=now, positions=books.positions, steps=books.qty_steps)
    return []


def alerts(books: Books, event: Message, said: Sequence[Effect]) -> list[Effect]:
    """What follows from an event, and from the positions the ledger says because of it."""
    if books.watch is None:
        return []
    positions = [each.message for each in said if isinstance(each, Publish)]
    told = [event, *(each for each in positions if isinstance(each, PositionChanged))]
    return [Publish(_alert(change)) for message in told for change in hear(books.watch, message)]


def _alert(change: Change) -> AlertRaised:
    code = f"DRIFT_{change.metric.upper()}"
    text = change_in_words(change)
    match change.state:
        case "WORSE":
            return AlertRaised(code=code, severity=SEVERITIES[change.metric], text=text)
        case "BETTER":
            return AlertRaised(code=f"{code}_BETTER", severity="note", text=text)
    return AlertRaised(code=f"{code}_OVER", severity="note", text=text)
