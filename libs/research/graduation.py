"""Whether a book has earned the right to trade for real: what its log proves, against what is asked.

Only days that `paper_days` counts are looked at: wall time, a live market, a feed that was live. Nothing here says that a strategy is good; it says
that the system has run undisturbed for long enough, in more than one kind of market, with books that agreed and people who were not woken. What the
strategy earned is told beside it (`track_record`), as a baseline that live trading is later held against (`drift`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import (
    AlertRaised,
    EquityChanged,
    ExecutionReport,
    MacroRegimes,
    Message,
    PositionChanged,
    Reconciled,
    TradingStateChanged,
)
from libs.common.timeframe import DAY
from libs.research.paper_days import PaperDay, paper_days
from libs.runtime.adapter import LogEntry

DAY_S = 86_400


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a paper book: so many counted days and round trips, so many kinds of weekly regime, no more mismatches, pages and
    halts than these, and a deepest drawdown."""

    days_min: int = 14
    trades_min: int = 30
    regimes_min: int = 2
    mismatches_max: int = 0
    pages_max: int = 0
    halts_max: int = 0
    drawdown_max: Decimal = Decimal("0.10")


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is asked, what was seen of it, and whether that is enough."""

    name: str
    asked: str
    seen: str
    met: bool


class Graduation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `days` are all days of the log, those that do not count with their reason."""

    criteria: tuple[Criterion, ...]
    days: tuple[PaperDay, ...]

    @property
    def is_ready(self) -> bool:
        """Whether everything that is asked was seen."""
        return all(each.met for each in self.criteria)


class _Seen(msgspec.Struct):
    round_trips: int = 0
    mismatches: int = 0
    comparisons: int = 0
    halts: int = 0
    drawdown: Decimal = Decimal(0)
    pages: Counter[str] = msgspec.field(default_factory=Counter)
    regimes: set[str] = msgspec.field(default_factory=set)
    held: set[str] = msgspec.field(default_factory=set)
    fills: int = 0


def graduation(entries: Sequence[LogEntry], asked: Requirements = Requirements()) -> Graduation:  # noqa: B008  frozen
    """Judge a whole log. Entries that are no events of ours are passed over."""
    days = paper_days(entries)
    counted = {each.day for each in days if each.counts}
    seen = _Seen()
    for entry in entries:
        if entry.subject.startswith(_SUBJECTS) or entry.subject.endswith(".alert"):
            try:
                message = decode_from(entry.subject, entry.payload)
            except BadEvent:
                continue
            _take(seen, message, datetime.fromtimestamp(message.ts_init // DAY * DAY_S, UTC).date() in counted)
    return Graduation(criteria=tuple(_criteria(seen, days, asked)), days=tuple(days))


_SUBJECTS = ("ledger.equity", "ledger.position", "exec.reconciled", "exec.report", "risk.state", "agent.macro.regimes")


def _take(seen: _Seen, message: Message, counts: bool) -> None:
    """Remember it; positions and regimes also of days that do not count, because what was held then may be closed later."""
    match message:
        case MacroRegimes() if counts:
            seen.regimes.update(each.state for each in message.regimes if each.state != "UNKNOWN")
        case PositionChanged():
            if message.signed_qty:
                seen.held.add(message.instrument)
            elif message.instrument in seen.held:
                seen.held.discard(message.instrument)
                seen.round_trips += counts
        case Reconciled() if counts:
            seen.comparisons += 1
            seen.mismatches += not message.clean
        case TradingStateChanged(state="HALTED") if counts:
            seen.halts += 1
        case EquityChanged() if counts:
            seen.drawdown = max(seen.drawdown, message.drawdown)
        case ExecutionReport(exec_type="TRADE") if counts:
            seen.fills += 1
        case AlertRaised(severity="page") if counts:
            seen.pages[message.code] += 1


def _criteria(seen: _Seen, days: Sequence[PaperDay], asked: Requirements) -> list[Criterion]:
    counted = [each for each in days if each.counts]
    lost = Counter(each.reason for each in days if not each.counts)
    others = ", ".join(f"{count} {reason}" for reason, count in sorted(lost.items()))
    pages = sum(seen.pages.values())
    named = ", ".join(f"{count} {code}" for code, count in seen.pages.most_common(5))
    return [
        Criterion(
            name="days",
            asked=f"at least {asked.days_min} days of paper trading on a live market, in wall time",
            seen=f"{len(counted)} days count" + (f"; others do not: {others}" if others else ""),
            met=len(counted) >= asked.days_min,
        ),
        Criterion(
            name="trades",
            asked=f"at least {asked.trades_min} round trips on them",
            seen=f"{seen.round_trips} round trips, {seen.fills} fills",
            met=seen.round_trips >= asked.trades_min,
        ),
        Criterion(
            name="regimes",
            asked=f"at least {asked.regimes_min} kinds of weekly regime among the instruments",
            seen=", ".join(sorted(seen.regimes)) or "none is known",
            met=len(seen.regimes) >= asked.regimes_min,
        ),
        Criterion(
            name="reconciliation",
            asked=f"books and venue were compared, and differed at most {asked.mismatches_max} times",
            seen=f"{seen.mismatches} of {seen.comparisons} comparisons differed",
            met=seen.comparisons > 0 and seen.mismatches <= asked.mismatches_max,
        ),
        Criterion(
            name="alerts",
            asked=f"at most {asked.pages_max} times was anybody woken",
            seen=f"{pages} pages" + (f": {named}" if named else ""),
            met=bool(counted) and pages <= asked.pages_max,
        ),
        Criterion(
            name="risk limits",
            asked=f"at most {asked.halts_max} halts, and never more than {asked.drawdown_max:.0%} below the highest equity",
            seen=f"{seen.halts} halts, deepest {seen.drawdown:.2%}",
            met=bool(counted) and seen.halts <= asked.halts_max and seen.drawdown <= asked.drawdown_max,
        ),
    ]
