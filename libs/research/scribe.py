"""What is written down of a backtest while it runs: everything a verdict needs, and nothing that grows with the number of bars.

The digest covers what was decided and what came of it (`DECIDED`), byte for byte as it would stand in the log: two runs with one digest
wished, judged, ordered, filled and booked the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.codec import encode
from libs.common.messages import (
    AlertRaised,
    EquityChanged,
    EventRejected,
    ExecutionReport,
    JournalPosted,
    Message,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
    PositionChanged,
)
from libs.common.timeframe import DAY

DECIDED = (OrderIntent, OrderApproved, OrderDenied, OrderSubmitting, ExecutionReport, JournalPosted, PositionChanged)
CURVE_POINTS_MAX = 4_000


class RecordedFill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, with what led to it. `commission` is in `commission_asset`; `regime` and `agents` are those of the entry's decision."""

    ts: int
    instrument: str
    side: str
    qty: Decimal
    px: Decimal
    commission: Decimal
    commission_asset: str
    role: str
    intent_id: str
    cl_ord_id: str
    reason: str


class Curve:
    """An equity curve of at most `CURVE_POINTS_MAX` points: when it is full, every second point goes, and from then on fewer come."""

    def __init__(self) -> None:
        self.points: list[tuple[int, float]] = []
        self._stride = 1
        self._skipped = 0

    def add(self, ts: int, equity: float) -> None:
        """The next point, if it is its turn."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self.points.append((ts, equity))
        if len(self.points) >= CURVE_POINTS_MAX:
            self.points = self.points[::2]
            self._stride *= 2


class Scribe:
    """Watches a backtest's log."""

    def __init__(self) -> None:
        self.curve = Curve()
        self.daily: list[tuple[int, Decimal]] = []
        self.first_equity: Decimal | None = None
        self.equity = Decimal(0)
        self.equity_ts = 0
        self.drawdown_max = Decimal(0)
        self.fills: list[RecordedFill] = []
        self.intents: dict[str, OrderIntent] = {}
        self.denials: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._digest = hashlib.blake2b(digest_size=16)
        self._hear: dict[type[Message], Callable[[Any], None]] = {
            EquityChanged: self._equity,
            ExecutionReport: self._report,
            OrderIntent: self._intent,
            OrderDenied: self._denied,
            AlertRaised: self._alert,
            EventRejected: self._rejected,
        }
        self._decided = frozenset(DECIDED)

    def __call__(self, seq: int, message: Message) -> None:
        """Take note of one event."""
        kind = type(message)
        if kind in self._decided:
            self._digest.update(encode(message))
            self.counts[kind.__name__] += 1
        hear = self._hear.get(kind)
        if hear is not None:
            hear(message)

    @property
    def digest(self) -> str:
        """32 hex characters over everything that was decided so far."""
        return self._digest.hexdigest()

    def _equity(self, message: EquityChanged) -> None:
        day, before = message.ts_event // DAY, self.equity_ts // DAY
        if self.first_equity is None:
            self.first_equity = message.equity
            self.daily.append((message.ts_event, message.equity))
        elif day > before:  # what was known last before 00:00 UTC, or at it
            at_midnight = message.ts_event % DAY == 0
            self.daily.append((day * DAY, message.equity if at_midnight else self.equity))
        self.equity, self.equity_ts = message.equity, message.ts_event
        self.drawdown_max = max(self.drawdown_max, message.drawdown)
        self.curve.add(message.ts_event, float(message.equity))

    def _report(self, report: ExecutionReport) -> None:
        if report.exec_type != "TRADE" or report.last_qty is None or report.last_px is None:
            return
        intent = self.intents.get(report.intent_id)
        self.fills.append(
            RecordedFill(
                ts=report.ts_event,
                instrument=report.instrument,
                side=report.side,
                qty=report.last_qty,
                px=report.last_px,
                commission=report.commission or Decimal(0),
                commission_asset=report.commission_asset,
                role=report.role,
                intent_id=report.intent_id,
                cl_ord_id=report.cl_ord_id,
                reason=intent.reason if intent is not None else report.reason,
            )
        )

    def _intent(self, intent: OrderIntent) -> None:
        self.intents[intent.intent_id] = intent

    def _denied(self, denied: OrderDenied) -> None:
        self.intents.pop(denied.intent_id, None)
        self.denials.update(denied.reasons)

    def _alert(self, alert: AlertRaised) -> None:
        self.alerts[alert.code] += 1

    def _rejected(self, rejected: EventRejected) -> None:
        self.alerts[f"EVENT_REJECTED {rejected.reason}"] += 1
