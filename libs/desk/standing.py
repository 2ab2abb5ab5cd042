"""What a log says about how things stand: a fold over its events, pure, so that it can be tested and continued.

`take` one event after the other, in order; `facts` is the whole memory and survives a round trip through JSON, so that the next
`bulkhead status` reads only what is new.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import (
    AlertRaised,
    BackupMade,
    BaselineDeclared,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedStatus,
    GenesisDeclared,
    InstrumentQuarantined,
    InstrumentReleased,
    InstrumentSpec,
    LiveUnlocked,
    Message,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
    PositionChanged,
    PriceTrustChanged,
    Reconciled,
    RestoreProven,
    ServiceStarted,
    TradingState,
    TradingStateChanged,
)
from libs.common.money import ZERO, floor_to_step
from libs.desk.saying import SECOND_NS
from libs.trading.drift import digest_of

NOISE = ("feed.marks", "feed.bars", "feed.history.", "exec.timer", "exec.account", "notify.timer")
"""Subjects nothing here is read from; most of a log."""

BACKUP_S_MAX = 26 * 3600.0
"""A backup a day, and two hours for it to be late."""
RESTORE_PROVEN_S_MAX = 35 * 24 * 3600.0
"""A drill a month."""

DRIFT = "DRIFT_"
"""How the codes of the regression watch begin."""

_OPEN = ("NEW", "PARTIALLY_FILLED", "PENDING_CANCEL")
_GROUP = {
    "PENDING_NEW": "pending",
    "NEW": "open",
    "PARTIALLY_FILLED": "open",
    "PENDING_CANCEL": "open",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
    "UNKNOWN": "unknown",
}


class OrderLine(msgspec.Struct):
    """Where one order stands."""

    status: str
    role: str
    instrument: str
    leaves_qty: Decimal = ZERO


class OrderCounts(msgspec.Struct, kw_only=True):
    """How many intents were judged, and how many orders stand where. `fills` are executions, not orders."""

    intents: int = 0
    approved: int = 0
    denied: int = 0
    pending: int = 0
    open: int = 0
    filled: int = 0
    canceled: int = 0
    rejected: int = 0
    expired: int = 0
    unknown: int = 0
    fills: int = 0


class PositionLine(msgspec.Struct):
    """Where we stand in one instrument; quantities in base, money in quote currency."""

    signed_qty: Decimal
    avg_entry_px: Decimal
    realized_pnl: Decimal
    commission: Decimal


class Books(msgspec.Struct):
    """The last word of the ledger about all of it, in quote currency."""

    balance: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    high_water_mark: Decimal
    drawdown: Decimal


class Quarantine(msgspec.Struct):
    """An order whose fate nobody knows keeps its instrument from trading."""

    instrument: str
    cl_ord_id: str
    reason: str


class Uncovered(msgspec.Struct):
    """A position larger than its open stops."""

    instrument: str
    signed_qty: Decimal
    stopped_qty: Decimal


class ModelLine(msgspec.Struct):
    """How far decisions are driven by a model: `driven` of `asked`, and why the last that was not, was not."""

    mode: str
    driven: int
    asked: int
    fallback: str = ""


class Unlocked(msgspec.Struct):
    """What live trading was unlocked by last; `operator` "" where everything was shown, `unmet` the names of what was not."""

    operator: str
    reason: str
    unmet: tuple[str, ...]
    certificate: str
    expires_at: int


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says of its copies. Wall times (ns UTC) of who made them, 0 never: the last backup, and the last one that was seen to come back."""

    made_at: int
    last_seq: int
    head: str
    proven_at: int = 0

    def age_s(self, now_s: float) -> float:
        """How old the last backup is at `now_s` (wall time)."""
        return max(0.0, now_s - self.made_at / SECOND_NS)

    def unproven_s(self, now_s: float) -> float | None:
        """For how long no backup has been seen to come back; None if none ever was."""
        return max(0.0, now_s - self.proven_at / SECOND_NS) if self.proven_at else None


class Facts(msgspec.Struct, kw_only=True):
    """Everything the fold remembers. Times are ns UTC of the clock the stack follows.

    `orders` are those that may still do something, `ended` the status of all others, `counts` how many stand where: what is asked often must not
    become slower with every order there ever was.
    """

    book: str = ""
    mode: str = ""
    unlocked: Unlocked | None = None
    backup: Backup | None = None
    as_of: int = 0
    trading_state: TradingState = "ACTIVE"
    trading_reason: str = ""
    reconciled: bool | None = None
    mismatches: tuple[str, ...] = ()
    feed_state: str = ""
    feed_venue: str = ""
    home_venue: str = ""
    feed_via: str = ""
    doubts: dict[str, str] = {}
    intents: int = 0
    approved: int = 0
    denied: int = 0
    fills: int = 0
    orders: dict[str, OrderLine] = {}
    ended: dict[str, str] = {}
    counts: dict[str, int] = {}
    positions: dict[str, PositionLine] = {}
    books: Books | None = None
    quarantined: dict[str, Quarantine] = {}
    specs: dict[str, InstrumentSpec] = {}
    model: ModelLine | None = None
    starts: dict[str, int] = {}
    code_versions: dict[str, str] = {}
    baseline: str = ""
    drifts: dict[str, str] = {}


class StatusView:
    """How things stand after the events taken so far."""

    def __init__(self, facts: Facts | None = None):
        self.facts = facts or Facts()

    def take(self, message: Message) -> None:
        """Learn one event."""
        facts = self.facts
        facts.as_of = max(facts.as_of, message.ts_init)
        match message:
            case GenesisDeclared():
                facts.book, facts.mode = message.book, message.mode
            case LiveUnlocked():
                names = tuple(line.partition(":")[0] for line in message.unmet)
                facts.unlocked = Unlocked(
                    message.operator, message.reason, names, message.certificate, message.expires_at
                )
            case BackupMade():
                proven_at = 0 if facts.backup is None else facts.backup.proven_at
                facts.backup = Backup(
                    made_at=message.made_at, last_seq=message.last_seq, head=message.head, proven_at=proven_at
                )
            case RestoreProven() if facts.backup is not None:
                facts.backup = msgspec.structs.replace(facts.backup, proven_at=message.proven_at)
            case ServiceStarted():
                facts.starts[message.producer] = facts.starts.get(message.producer, 0) + 1
                facts.code_versions[message.producer] = message.code_version
            case FeedStatus():
                facts.feed_state, facts.feed_venue, facts.feed_via = message.state, message.venue, message.via
                facts.home_venue = message.venue if message.specs else facts.home_venue
                facts.specs.update({spec.instrument: spec for spec in message.specs})
            case PriceTrustChanged():
                facts.doubts.pop(message.instrument, None)
                if message.trust != "TRUSTED":
                    facts.doubts[message.instrument] = f"{message.trust} ({message.reason})"
            case TradingStateChanged():
                facts.trading_state, facts.trading_reason = message.state, message.reason
            case Reconciled():
                facts.reconciled, facts.mismatches = message.clean, message.mismatches
            case InstrumentQuarantined():
                line = Quarantine(message.instrument, message.cl_ord_id, message.reason)
                facts.quarantined[message.cl_ord_id] = line
            case InstrumentReleased():
                facts.quarantined.pop(message.cl_ord_id, None)
            case OrderIntent() | OrderApproved() | OrderDenied() | OrderSubmitting() | ExecutionReport():
                self._take_order(message)
            case DecisionsMade():
                fallbacks = [each.fallback for each in message.decisions if each.fallback not in ("", "rules", "off")]
                line = ModelLine(message.mode, message.model_driven, message.model_asked)
                facts.model = msgspec.structs.replace(line, fallback=fallbacks[-1] if fallbacks else "")
            case PositionChanged() | EquityChanged():
                self._take_books(message)
            case BaselineDeclared() | AlertRaised():
                self._take_drift(message)

    def _take_drift(self, message: BaselineDeclared | AlertRaised) -> None:
        """What the ledger's watch has said last of a metric: worse than the baseline, or no longer."""
        facts = self.facts
        if isinstance(message, BaselineDeclared):
            if (digest := digest_of(message.baseline)) != facts.baseline:
                facts.baseline = digest
                facts.drifts.clear()
        elif message.producer == "ledger" and message.code.startswith(DRIFT):
            name = message.code.removesuffix("_OVER").removesuffix("_BETTER")
            facts.drifts.pop(name, None)
            if name == message.code:
                facts.drifts[name] = message.text

    def _take_order(self, message: Message) -> None:
        facts = self.facts
        match message:
            case OrderIntent():
                facts.intents += 1
            case OrderApproved():
                facts.approved += 1
            case OrderDenied():
                facts.denied += 1
            case OrderSubmitting():
                if message.cl_ord_id not in facts.orders and message.cl_ord_id not in facts.ended:
                    self._place(message.cl_ord_id, OrderLine("PENDING_NEW", message.role, message.instrument))
            case ExecutionReport():
                facts.fills += message.exec_type == "TRADE"
                line = OrderLine(message.ord_status, message.role, message.instrument, message.leaves_qty)
                self._place(message.cl_ord_id, line)

    def _place(self, cl_ord_id: str, line: OrderLine) -> None:
        """An order stands here now; a report may come after it has ended."""
        facts = self.facts
        before = facts.orders.pop(cl_ord_id, None)
        status = facts.ended.pop(cl_ord_id, "") if before is None else before.status
        if status:
            facts.counts[_GROUP[status]] -= 1
        group = _GROUP[line.status]
        facts.counts[group] = facts.counts.get(group, 0) + 1
        if group in ("pending", "open", "unknown"):
            facts.orders[cl_ord_id] = line
        else:
            facts.ended[cl_ord_id] = line.status

    def _take_books(self, message: PositionChanged | EquityChanged) -> None:
        if isinstance(message, PositionChanged):
            self.facts.positions[message.instrument] = PositionLine(
                message.signed_qty, message.avg_entry_px, message.realized_pnl, message.commission
            )
        else:
            self.facts.books = Books(
                message.balance,
                message.equity,
                message.realized_pnl,
                message.unrealized_pnl,
                message.high_water_mark,
                message.drawdown,
            )

    # --- what follows -------------------------------------------------------------------------------------------

    @property
    def feed(self) -> dict[str, str]:
        """Where prices come from: `state`, `venue`, `via` (how), and `home`, the venue that should tell them."""
        facts = self.facts
        return {"state": facts.feed_state, "venue": facts.feed_venue, "via": facts.feed_via, "home": facts.home_venue}

    @property
    def orders(self) -> OrderCounts:
        """Orders by where they stand."""
        facts = self.facts
        return OrderCounts(
            intents=facts.intents, approved=facts.approved, denied=facts.denied, fills=facts.fills, **facts.counts
        )

    @property
    def uncovered(self) -> list[Uncovered]:
        """Positions without open stops of their size. What is too little for an order at this venue is not counted."""
        found = []
        for instrument, position in sorted(self.facts.positions.items()):
            size, stopped = abs(position.signed_qty), self._stopped(instrument)
            if self._is_tradable(instrument, size, position.avg_entry_px) and self._in_steps(
                instrument, size - stopped
            ):
                found.append(Uncovered(instrument, position.signed_qty, stopped))
        return found

    @property
    def dust(self) -> list[str]:
        """Instruments held in less than the venue would take an order for: no stop can protect them."""
        held = ((name, each) for name, each in sorted(self.facts.positions.items()) if each.signed_qty)
        return [
            name
            for name, each in held
            if not self._is_tradable(name, abs(each.signed_qty), each.avg_entry_px) and not self._stopped(name)
        ]

    def _stopped(self, instrument: str) -> Decimal:
        stops = (
            line.leaves_qty
            for line in self.facts.orders.values()
            if line.role == "STOP" and line.instrument == instrument and line.status in _OPEN
        )
        return sum(stops, ZERO)

    def _is_tradable(self, instrument: str, size: Decimal, px: Decimal) -> bool:
        spec = self.facts.specs.get(instrument)
        if spec is None:
            return size > 0
        return size >= spec.qty_min and size * px >= spec.notional_min

    def _in_steps(self, instrument: str, qty: Decimal) -> bool:
        """Whether `qty` holds at least one of the venue's quantity steps."""
        spec = self.facts.specs.get(instrument)
        if spec is None or spec.qty_step <= 0:
            return qty > 0
        return floor_to_step(qty, spec.qty_step) > 0
