"""How the book has done of late: the drawdown, the day, the last round trips."""

from __future__ import annotations

from decimal import Decimal

from libs.common.timeframe import MILLISECOND
from services.risk_gate.case import Case, shown
from services.risk_gate.findings import Finding, below


def drawdown(case: Case) -> Finding:
    """Below the high-water mark: no entries from here on, until it has recovered."""
    return below(case.drawdown, case.limits.drawdown_entry_max)


def daily_loss(case: Case) -> Finding:
    """Lost since 00:00 UTC, open positions included, as a fraction of the equity then."""
    start, equity = case.view.day_start.equity, case.equity
    lost = None if start is None or equity is None or start <= 0 else max(Decimal(0), (start - equity) / start)
    return below(lost, case.limits.daily_loss_max)


def cooldown(case: Case) -> Finding:
    """The same instrument rests after a round trip that lost."""
    lost_at = case.view.trips.lost_at.get(case.intent.instrument)
    return _rested(case, lost_at, case.limits.cooldown_ms)


def losses_in_a_row(case: Case) -> Finding:
    """After so many losing round trips, whichever instrument, nothing is entered for a while. 0: no such limit."""
    trips, most, pause_ms = case.view.trips, case.limits.losses_in_a_row_max, case.limits.losses_pause_ms
    rested = case.now - trips.last_loss_at >= pause_ms * MILLISECOND
    passed = not most or trips.losses < most or rested
    return Finding(passed, str(trips.losses), f"less than {most}, or {pause_ms} ms of rest" if most else "none")


def _rested(case: Case, since: int | None, least_ms: int) -> Finding:
    limit = f"at least {least_ms} ms"
    if since is None:
        return Finding(True, "no loss", limit)
    rested = case.now - since
    return Finding(rested >= least_ms * MILLISECOND, f"{shown(Decimal(rested) / MILLISECOND)} ms", limit)
