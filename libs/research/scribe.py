"""What is written down of a backtest while it runs: everything a verdict needs, and nothing that grows with the number of bars.

The digest covers what was decided and what came of it (`DECIDED`): every field of these events but names that only tell one from another
(ids, positions in the log, signatures, links of a chain). Two runs with one digest wished, judged, ordered, filled and booked the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages import (
    AgentSignals,
    AlertRaised,
    Bar,
    DecisionsMade,
    EquityChanged,
    EventRejected,
    ExecutionReport,
    FeedBars,
    JournalPosted,
    LevelMap,
    LevelsMapped,
    MacroRegimes,
    Message,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
    PositionChanged,
)
from libs.common.money import ZERO
from libs.common.timeframe import DAY
from libs.trading.daily_equity import Observed
from libs.trading.round_trips import Fill

DECIDED = (OrderIntent, OrderApproved, OrderDenied, OrderSubmitting, ExecutionReport, JournalPosted, PositionChanged)
NAMES = frozenset(Message.__struct_fields__) - {"ts_event"} | {
    "intent_id",
    "cl_ord_id",
    "venue_order_id",
    "exec_id",
    "entry_id",
    "signature",
    "source_id",
    "memo",
    "number",
    "previous",
    "digest",
}
"""Fields that say which event, order or entry it is, and nothing of what was decided."""
CURVE_POINTS_MAX = 4_000
ENTRIES_SHOWN_MAX = 2_000


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


class Entry(msgspec.Struct, frozen=True):
    """A wish to enter that was not denied, with the map of levels that was known then."""

    intent: OrderIntent
    levels: LevelMap | None


class Prices:
    """The price of one instrument as at most `CURVE_POINTS_MAX` bars: when they are full, pairs are joined, and from then on longer ones come."""

    def __init__(self, timeframe: str):
        self.bars: list[PriceBar] = []
        self._timeframe = timeframe
        self._stride = 1
        self._joined = 0

    def add(self, bar: Bar) -> None:
        """The next bar; those of other timeframes than the first are passed over."""
        if bar.timeframe != self._timeframe:
            return
        if self._stride > 1 and self._joined % self._stride:
            self.bars[-1] = self.bars[-1].joined(bar.high, bar.low, bar.close)
        else:
            self.bars.append(PriceBar(bar.ts_open, bar.open, bar.high, bar.low, bar.close))
        self._joined += 1
        if len(self.bars) >= CURVE_POINTS_MAX and self._joined % self._stride == 0:
            halves = zip(self.bars[::2], self.bars[1::2], strict=True)
            self.bars = [one.joined(two.high, two.low, two.close) for one, two in halves]
            self._stride *= 2
            self._joined = 0


class PriceBar(msgspec.Struct, frozen=True):
    """A bar to look at, from `ts` (ns) on."""

    ts: int
    open: float
    high: float
    low: float
    close: float

    def joined(self, high: float, low: float, close: float) -> PriceBar:
        """This bar and one that follows it."""
        return PriceBar(self.ts, self.open, max(self.high, high), min(self.low, low), close)


class Scribe:
    """Watches a backtest's log."""

    def __init__(self) -> None:
        self.curve = Curve()
        self.observed: list[Observed] = []
        self.equity: Decimal | None = None
        self.drawdown_max = Decimal(0)
        self.fills: list[Fill] = []
        self._entries: dict[str, Entry] = {}
        self.levels: dict[str, LevelMap] = {}
        self.prices: dict[str, Prices] = {}
        self.denials: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._intents: dict[str, OrderIntent] = {}
        self._agents: dict[str, tuple[str, ...]] = {}
        self._regimes: dict[str, str] = {}
        self._digest = hashlib.blake2b(digest_size=16)
        self._hear: dict[type[Message], Callable[[Any], None]] = {
            FeedBars: self._bars,
            AgentSignals: self._signals,
            EquityChanged: self._equity,
            MacroRegimes: self._regimes_told,
            LevelsMapped: self._levels_told,
            DecisionsMade: self._decisions,
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
            self._digest.update(_content(message))
            self.counts[kind.__name__] += 1
        hear = self._hear.get(kind)
        if hear is not None:
            hear(message)

    @property
    def entries(self) -> list[Entry]:
        """The last wishes to enter that were not denied."""
        return list(self._entries.values())

    @property
    def digest(self) -> str:
        """32 hex characters over everything that was decided so far."""
        return self._digest.hexdigest()

    def _bars(self, message: FeedBars) -> None:
        shortest = message.bars[-1].timeframe if message.bars else ""
        for bar in message.bars:
            prices = self.prices.get(bar.instrument)
            if prices is None:
                prices = self.prices[bar.instrument] = Prices(shortest)
            prices.add(bar)
        if self.equity is not None and message.end_ts // DAY > self.observed[-1].ts // DAY:
            self._observe(message.end_ts, self.equity)

    def _signals(self, message: AgentSignals) -> None:
        if message.signals:
            self.counts["opinions"] += len(message.signals)
            self.counts["ready opinions"] += sum([signal.ready for signal in message.signals])

    def _equity(self, message: EquityChanged) -> None:
        self.equity = message.equity
        self.drawdown_max = max(self.drawdown_max, message.drawdown)
        self._observe(message.ts_event, message.equity)
        self.curve.add(message.ts_event, float(message.equity))

    def _observe(self, ts: int, equity: Decimal) -> None:
        """Of each day the first and the last observation are kept: what a day was worth is what was known last."""
        seen, newest = self.observed, Observed(ts, equity)
        if len(seen) > 1 and -(-seen[-1].ts // DAY) == -(-ts // DAY):
            seen[-1] = newest
        else:
            seen.append(newest)

    def _report(self, report: ExecutionReport) -> None:
        if report.exec_type != "TRADE" or report.last_qty is None or report.last_px is None:
            return
        intent = self._intents.get(report.intent_id)
        base, _, quote = report.instrument.partition("-")
        commission = report.commission or ZERO
        if report.commission_asset not in (base, quote):
            self.alerts[f"COMMISSION_UNVALUED {report.commission_asset}"] += 1
        self.fills.append(
            Fill(
                instrument=report.instrument,
                side=report.side,
                qty=report.last_qty,
                px=report.last_px,
                ts=report.ts_event,
                commission=commission if report.commission_asset == quote else ZERO,
                base_commission=commission if report.commission_asset == base else ZERO,
                exec_id=report.exec_id,
                intent_id=report.intent_id,
                agents=self._agents.get(report.intent_id, ()),
                regime=self._regimes.get(report.instrument, "UNKNOWN"),
                reason=_why(report, intent),
                stop_px=intent.stop_px if intent is not None else None,
                target_px=intent.target_px if intent is not None else None,
            )
        )

    def _decisions(self, made: DecisionsMade) -> None:
        for each in made.decisions:
            if each.intent_id:
                names = [ballot.agent_id for ballot in each.ballots if ballot.stance == "LONG" and ballot.weight > 0]
                self._agents[each.intent_id] = tuple(sorted(names))

    def _intent(self, intent: OrderIntent) -> None:
        self._intents[intent.intent_id] = intent
        if not intent.reduce_only:
            self._entries[intent.intent_id] = Entry(intent, self.levels.get(intent.instrument))
            if len(self._entries) > ENTRIES_SHOWN_MAX:
                del self._entries[next(iter(self._entries))]

    def _denied(self, denied: OrderDenied) -> None:
        self._intents.pop(denied.intent_id, None)
        self._agents.pop(denied.intent_id, None)
        self._entries.pop(denied.intent_id, None)
        self.denials.update(denied.reasons)

    def _regimes_told(self, told: MacroRegimes) -> None:
        self._regimes.update((each.instrument, each.state) for each in told.regimes)

    def _levels_told(self, told: LevelsMapped) -> None:
        self.levels.update((each.instrument, each) for each in told.maps if each.ready)

    def _alert(self, alert: AlertRaised) -> None:
        self.alerts[alert.code] += 1

    def _rejected(self, rejected: EventRejected) -> None:
        self.alerts[f"EVENT_REJECTED {rejected.reason}"] += 1


def _content(message: Message) -> bytes:
    kind = type(message)
    fields = _FIELDS.get(kind)
    if fields is None:
        fields = _FIELDS[kind] = tuple(name for name in kind.__struct_fields__ if name not in NAMES)
    return _encoder.encode([kind.__name__, *(getattr(message, name) for name in fields)])


_FIELDS: dict[type[Message], tuple[str, ...]] = {}
_encoder = msgspec.json.Encoder(decimal_format="string")


def _why(report: ExecutionReport, intent: OrderIntent | None) -> str:
    """Why a fill was made: what the wish says, or the role of an order that nobody wished for."""
    if report.role in ("ENTRY", "EXIT") and intent is not None:
        return intent.reason
    return report.role
