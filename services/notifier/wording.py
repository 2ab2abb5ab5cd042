"""How events read to a person: one line, the numbers in it, nothing that could command a terminal."""

from __future__ import annotations

from libs.common.alerts import alert_of
from libs.common.messages import (
    AlertRaised,
    ExecutionReport,
    JournalHeadDeclared,
    LiveUnlocked,
    OrderDenied,
    TradingStateChanged,
)
from services.notifier.requests import Level

TEXT_CHARS_MAX = 1_000
STATE_LEVELS: dict[str, Level] = {"HALTED": "page", "REDUCING": "ticket", "ACTIVE": "note"}
UNLOCK_LEVELS: dict[str, Level] = {"OVERRIDE": "page", "MET": "note"}


def alert_text(alert: AlertRaised) -> str:
    """An alert, with who raised it; where somebody should act, with the page that says what to do, however long the rest is."""
    about = f" {alert.instrument}" if alert.instrument else ""
    line = f"{alert.code}{about} ({alert.producer}): {alert.text}"
    known = alert_of(alert.code)
    if known is None or alert.severity == "note" or known.anchor in line:
        return one_line(line)
    runbook = f"; see {known.anchor}"
    return one_line(line, TEXT_CHARS_MAX - len(runbook)) + runbook


def fill_text(report: ExecutionReport) -> str:
    """A fill: what, how much, at what price, at what fee, and where the order stands."""
    fee = f", fee {report.commission} {report.commission_asset}" if report.commission is not None else ""
    return one_line(
        f"filled {report.side} {report.last_qty} {report.instrument} at {report.last_px}"
        f" ({report.role}, {report.cum_qty} of {report.order_qty}, {report.ord_status}{fee})"
    )


def denial_text(denial: OrderDenied) -> str:
    """A refused intent, each failed check with its numbers."""
    failed = [check for check in denial.checks if not check.passed]
    why = "; ".join(f"{check.code} {check.value} (limit {check.limit})" for check in failed)
    return one_line(f"denied {denial.side} {denial.order_qty} {denial.instrument}: {why or ', '.join(denial.reasons)}")


def state_text(change: TradingStateChanged) -> str:
    """A move of the trading state, by whom and why."""
    reason = f": {change.reason}" if change.reason else ""
    return one_line(f"trading is {change.state} (was {change.previous}) by {change.author}{reason}")


def head_text(head: JournalHeadDeclared) -> str:
    """Where the journal ended that day: what `bulkhead ledger verify --head` wants to be told later, from outside the log."""
    worth = "not known" if head.equity is None else f"{head.equity:,.2f} {head.quote}"
    return one_line(f"the books of {head.day} end at {head.digest}:{head.number}, equity {worth}; keep this line")


def unlock_text(unlocked: LiveUnlocked) -> str:
    """Why a book trades for real: what it has shown, or who decided that it need not."""
    days = f"{unlocked.paper_days} days of paper trading count"
    if unlocked.grounds == "MET":
        return one_line(f"book {unlocked.book} trades for real: everything asked was shown, {days}")
    missing = ", ".join(line.partition(":")[0] for line in unlocked.unmet)
    return one_line(
        f"book {unlocked.book} trades for real by the override of {unlocked.operator}: {unlocked.reason};"
        f" not shown: {missing}; {days}"
    )


def one_line(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """`text` on one line, without control characters, at most `chars_max` characters."""
    words = "".join(each if each.isprintable() else " " for each in text[: 2 * chars_max]).split()
    line = " ".join(words)
    return line if len(line) <= chars_max else line[: chars_max - 3] + "..."
