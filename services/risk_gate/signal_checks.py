"""What the opinion behind an entry has to say; part of every verdict of a gate that is told to hear signals (`signals`), and of no other."""

from __future__ import annotations

from decimal import Decimal

from libs.common.timeframe import MILLISECOND
from services.risk_gate.case import Case
from services.risk_gate.findings import Finding, at_most


def stale_signal(case: Case) -> Finding:
    """The opinion behind it is young: a quarter of its bar's length. An entry that follows from none that was heard has none."""
    # As with marks: an opinion of a bar that closes in the future is as wrong as an old one.
    behind = [(abs(case.now - end), share_of(length, case)) for end, length in case.view.opinions.behind(case.intent)]
    if not behind:
        return at_most(None, None)
    age, limit = min(behind, key=lambda each: each[1] - each[0])
    return at_most(Decimal(age) / MILLISECOND, limit / MILLISECOND)


def share_of(length: int, case: Case) -> Decimal:
    """The age (ns) that an opinion of a bar of `length` (ns) may have."""
    return length * case.limits.signal_age_share_max
