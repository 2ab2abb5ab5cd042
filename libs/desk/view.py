"""What an operator's door shows: a fold over the log into the sections of one screen, pure, so that it can be tested and made again.

Every figure carries `trace`: what to ask the story of (`story_target`). Sections are plain structs, each encoded on its own, so that only what has
changed is sent. Lists are bounded, newest first; money is exact, market data are floats, times are ns UTC of the clock the stack follows.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from libs.common.messages import (
    AgentSignals,
    AgentsScored,
    AlertRaised,
    DecisionsMade,
    EntryJudged,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    LevelsMapped,
    MacroRegimes,
    Message,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
    PositionChanged,
    PriceTrustChanged,
    Reconciled,
    TradingStateChanged,
)
from libs.common.money import ZERO, to_decimal
from libs.desk.alert_tally import AlertTally
from libs.desk.book_record import BookFold
from libs.desk.lines import (
    AlertLine,
    DecisionLine,
    DenialLine,
    FillLine,
    LogLine,
    OrderLine,
    PositionLine,
    Price,
    SignalLine,
    Zone,
    alert_line,
    fill_line,
    order_line,
)
from libs.desk.narrator import Narrator
from libs.desk.standing import StatusView
from libs.desk.watchman import ModelTally
from libs.runtime.adapter import LogEntry

RECENT_MAX = 50
LINES_MAX = 200
CLOSES_MAX = 120
CURVE_SHOWN_MAX = 400
OPEN = ("NEW", "PARTIALLY_FILLED", "PENDING_CANCEL", "PENDING_NEW", "UNKNOWN")


_TOLD_BY: dict[type[Message], str] = {
    EquityChanged: "books",
    TradingStateChanged: "trading",
    Reconciled: "reconciled",
    FeedStatus: "feed",
    DecisionsMade: "model",
    AgentsScored: "agents",
}
"""What a figure of the head was said by last."""


class DeskView:
    """How things stand, and how they came about, after the events taken so far."""

    def __init__(self) -> None:
        self.standing = StatusView()
        self.record = BookFold()
        self.prices: dict[str, Price] = {}
        self.closes: dict[str, deque[float]] = {}
        self.zones: dict[str, tuple[Zone, ...]] = {}
        self.regimes: dict[str, str] = {}
        self.signals: dict[tuple[str, str], SignalLine] = {}
        self.orders: dict[str, OrderLine] = {}
        self.positions: dict[str, PositionChanged] = {}
        self.equity: EquityChanged | None = None
        self.scores: AgentsScored | None = None
        self.last: dict[str, str] = {}
        self.model_tally = ModelTally()
        self.alert_tally = AlertTally()
        self.decisions: deque[DecisionLine] = deque(maxlen=RECENT_MAX)
        self.intents: deque[tuple[OrderIntent, int]] = deque(maxlen=RECENT_MAX)
        self.fills: deque[FillLine] = deque(maxlen=RECENT_MAX)
        self.denials: deque[DenialLine] = deque(maxlen=RECENT_MAX)
        self.alerts: deque[AlertLine] = deque(maxlen=RECENT_MAX)
        self.lines: deque[LogLine] = deque(maxlen=LINES_MAX)
        self._narrator = Narrator()

    def take(self, entry: LogEntry, said: Message) -> None:
        """Learn one event."""
        self.standing.take(said)
        self.record.take(entry.seq, said)
        if (told := _TOLD_BY.get(type(said))) is not None:
            self.last[told] = f"message:{said.id}"
        self._take_market(said)
        self._take_opinions(said)
        self._take_orders(said)
        if isinstance(said, AlertRaised):
            self.alerts.appendleft(alert_line(entry.seq, said))
            self.alert_tally.hear(said)
        if not isinstance(said, FeedMarks | FeedBars) and (text := self._narrator.words_of(said)):
            self.lines.appendleft(LogLine(entry.seq, said.ts_init, said.producer, text, f"message:{said.id}"))

    def _take_market(self, said: Message) -> None:
        match said:
            case FeedMarks():
                for mark in said.marks:
                    self.prices[mark.instrument] = Price(
                        mark.instrument, mark.bid_px, mark.ask_px, mark.last_px, mark.trust, mark.ts
                    )
                for instrument in said.alive:
                    if (price := self.prices.get(instrument)) is not None:
                        price.ts = max(price.ts, said.as_of)
            case FeedBars() if said.bars:
                shortest = said.bars[-1].timeframe  # the longest stand first
                for bar in said.bars:
                    if bar.timeframe == shortest:
                        self.closes.setdefault(bar.instrument, deque(maxlen=CLOSES_MAX)).append(bar.close)
            case PriceTrustChanged():
                if (price := self.prices.get(said.instrument)) is not None:
                    price.trust = said.trust
            case LevelsMapped():
                for each in said.maps:
                    self.zones[each.instrument] = tuple(Zone(zone.lo, zone.hi, zone.role) for zone in each.zones)
            case MacroRegimes():
                self.regimes.update((each.instrument, each.state) for each in said.regimes)
            case EquityChanged():
                self.equity = said

    def _take_opinions(self, said: Message) -> None:
        match said:
            case AgentSignals():
                for each in said.signals:
                    self.signals[said.agent_id, each.instrument] = SignalLine(
                        agent_id=said.agent_id,
                        instrument=each.instrument,
                        timeframe=each.timeframe,
                        ready=each.ready,
                        stance=each.stance,
                        strength=each.strength,
                        ts=said.end_ts,
                        trace=f"message:{said.id}",
                    )
            case DecisionsMade():
                for made in said.decisions:
                    self.decisions.appendleft(
                        DecisionLine(
                            instrument=made.instrument,
                            action=made.action,
                            reason=made.reason,
                            size_factor=made.size_factor,
                            driver=made.driver,
                            fallback=made.fallback,
                            ts=said.ts_init,
                            trace=f"intent:{made.intent_id}" if made.intent_id else f"message:{said.id}",
                        )
                    )
            case AgentsScored():
                self.scores = said
            case EntryJudged():
                self.model_tally.hear(said)

    def _take_orders(self, said: Message) -> None:
        match said:
            case OrderIntent():
                self.intents.appendleft((said, said.ts_init))
            case OrderDenied():
                self.denials.appendleft(
                    DenialLine(
                        instrument=said.instrument,
                        side=said.side,
                        qty=said.order_qty,
                        reasons=said.reasons,
                        ts=said.ts_init,
                        trace=f"intent:{said.intent_id}",
                    )
                )
            case OrderSubmitting():
                self.orders[said.cl_ord_id] = order_line(said)
            case ExecutionReport():
                self._take_report(said)
            case PositionChanged():
                self.positions[said.instrument] = said

    def _take_report(self, report: ExecutionReport) -> None:
        order = self.orders.get(report.cl_ord_id)
        if order is not None:
            order.status, order.cum_qty, order.avg_px = report.ord_status, report.cum_qty, report.avg_px
            order.ts = report.ts_init
            if order.status not in OPEN:
                del self.orders[report.cl_ord_id]
        if report.exec_type == "TRADE" and report.last_qty is not None and report.last_px is not None:
            self.fills.appendleft(fill_line(report))

    # --- what follows -------------------------------------------------------------------------------------------

    @property
    def open_orders(self) -> list[OrderLine]:
        """What rests at the venue or is on its way, the newest first."""
        return sorted(self.orders.values(), key=lambda order: -order.ts)

    @property
    def position_lines(self) -> list[PositionLine]:
        """Everything that is held, with what protects it."""
        uncovered, dust = {each.instrument for each in self.standing.uncovered}, set(self.standing.dust)
        resting = self.open_orders
        return [
            self._position(held, resting, held.instrument not in uncovered, held.instrument in dust)
            for _, held in sorted(self.positions.items())
            if held.signed_qty
        ]

    def _position(
        self, held: PositionChanged, resting: list[OrderLine], is_covered: bool, is_dust: bool
    ) -> PositionLine:
        ours = [order for order in resting if order.instrument == held.instrument]
        stops = [order for order in ours if order.role == "STOP"]
        targets = [order for order in ours if order.role not in ("STOP", "ENTRY")]
        price = self.prices.get(held.instrument)
        mark_px = None if price is None else (to_decimal(price.bid_px) + to_decimal(price.ask_px)) / 2
        earned = None if mark_px is None else (mark_px - held.avg_entry_px) * held.signed_qty
        return PositionLine(
            instrument=held.instrument,
            signed_qty=held.signed_qty,
            avg_entry_px=held.avg_entry_px,
            mark_px=mark_px,
            unrealized_pnl=None if earned is None else round(earned, 8),
            realized_pnl=held.realized_pnl,
            stop_px=stops[0].px if stops else None,
            target_px=targets[0].px if targets else None,
            stopped_qty=sum((order.order_qty - order.cum_qty for order in stops), ZERO),
            is_covered=is_covered,
            is_dust=is_dust,
            trace=f"order:{held.cl_ord_id}",
        )

    @property
    def curve(self) -> list[tuple[int, float]]:
        """Equity over time as at most `CURVE_SHOWN_MAX` points; as it is now is in the head."""
        points = self.record.scribe.curve.points
        stride = -(-len(points) // CURVE_SHOWN_MAX) or 1
        return points[::stride]

    def sections(self) -> dict[str, Any]:
        """Everything that is shown, by section; what the services say of themselves is not in the log and not in here."""
        facts = self.standing.facts
        return {
            "head": self._head(),
            "prices": [self.prices[name] for name in sorted(self.prices)],
            "closes": {name: list(closes) for name, closes in sorted(self.closes.items())},
            "levels": {name: zones for name, zones in sorted(self.zones.items())},
            "regimes": dict(sorted(self.regimes.items())),
            "positions": self.position_lines,
            "orders": self.open_orders[:RECENT_MAX],
            "order_counts": self.standing.orders,
            "signals": [line for _, line in sorted(self.signals.items())],
            "decisions": list(self.decisions),
            "fills": list(self.fills),
            "denials": list(self.denials),
            "alerts": list(self.alerts),
            "agents": list(self.scores.scores) if self.scores is not None else [],
            "curve": self.curve,
            "log": list(self.lines),
            "quarantined": list(facts.quarantined.values()),
        }

    def _head(self) -> dict[str, Any]:
        facts, trips = self.standing.facts, self.record.trips.closed
        won = sum(trip.pnl > 0 for trip in trips)
        return {
            "book": facts.book,
            "mode": facts.mode,
            "as_of": facts.as_of,
            "trading_state": facts.trading_state,
            "trading_reason": facts.trading_reason,
            "reconciled": facts.reconciled,
            "mismatches": facts.mismatches,
            "feed": self.standing.feed,
            "doubts": facts.doubts,
            "uncovered": self.standing.uncovered,
            "dust": self.standing.dust,
            "model": facts.model,
            "books": facts.books,
            "books_trace": self.last.get("books", ""),
            "traces": self.last,
            "trades_closed": len(trips),
            "trades_won": won,
            "drifts": facts.drifts,
        }
