"""Is the house in order: orders, reconciliation, breakers, and how the book has done."""

from __future__ import annotations

from decimal import Decimal

from libs.common.timeframe import MILLISECOND
from services.risk_gate.case import MISSING, Case, shown
from services.risk_gate.findings import Finding, at_most

LIMIT_CHARS_MAX = 280
"""A verdict stands in the log with every check: a long list of windows is cut."""


def quarantined(case: Case) -> Finding:
    """No order of unknown fate."""
    orders = case.view.quarantined.get(case.intent.instrument, [])
    return Finding(not orders, " ".join(orders) or "none", "none")


def not_reconciled(case: Case) -> Finding:
    """Books and venue agree."""
    clean = case.view.reconciled
    value = "never" if clean is None else "clean" if clean else f"{case.view.mismatches} mismatches"
    return Finding(clean is True, value, "clean")


def reconciled_age(case: Case) -> Finding:
    """An executor that has stopped comparing may be dead, or deaf to its venue."""
    never = case.view.reconciled is None
    # A comparison from the future is as wrong as an old one: it would never age.
    age = None if never else Decimal(abs(case.now - case.view.reconciled_at)) / MILLISECOND
    return at_most(age, case.limits.reconciled_age_ms_max)


def breaker_open(case: Case) -> Finding:
    """None of the executor's breakers is open."""
    breakers = case.view.breakers
    named = " ".join(name[:64] for name in sorted(breakers))
    return Finding(not breakers, f"open: {named}" if named else "none open", "none open")


def no_risk_state(case: Case) -> Finding:
    """There is an equity to take fractions of."""
    account = case.view.account
    return Finding(case.equity is not None, MISSING if account is None else shown(account.equity), "equity > 0")


def blackout(case: Case) -> Finding:
    """Not within a time in which nothing is entered (`BULKHEAD_RISK_BLACKOUTS`)."""
    windows = case.limits.blackouts
    within = next((window.text for window in windows if window.covers(case.now)), None)
    limit = f"outside {', '.join(window.text for window in windows)}" if windows else "no window is set"
    return Finding(within is None, "outside" if within is None else f"within {within}", limit[:LIMIT_CHARS_MAX])


def trading_state(case: Case) -> Finding:
    """Nobody has said stop."""
    return Finding(case.view.trading_state == "ACTIVE", case.view.trading_state, "ACTIVE")
