"""What the gate believes about the book, fact by fact: the whole memory of its machine.

Exposure is counted once, at every instant between a wish and its booking:

    approved ──▶ in flight: may still fill `leaves_qty` ──TRADE──▶ unbooked fill ──PositionChanged──▶ position
                     │ CANCELED / REJECTED / EXPIRED / FILLED                          │ next EquityChanged
                     └──▶ only what was filled remains                                 └──▶ its cost has left the balance

An UNKNOWN order stays in flight until its fate is known. Proceeds and exits in flight are never credited in advance.

Two things would otherwise count for ever, and end on evidence, not on a guess. An approval the executor refused to read (a wrong
key) gets no report: a clean reconciliation well after the approval ran out proves that no order came of it. A fill the
ledger refused is never booked: an equity it derived from clearly later events proves that it has passed the fill by.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    Bar,
    BreakerChanged,
    CapitalMoved,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    InstrumentQuarantined,
    InstrumentReleased,
    InstrumentSpec,
    LevelMap,
    LevelsMapped,
    MacroRegimes,
    Mark,
    OrderIntent,
    PositionChanged,
    Reconciled,
    RegimeState,
    Side,
    TradingState,
)
from libs.common.money import ZERO, to_decimal
from libs.common.timeframe import HOUR, MILLISECOND, MINUTE, SECOND
from libs.trading.correlation import Comovement
from services.risk_gate.activity import Activities
from services.risk_gate.limits import Limits
from services.risk_gate.opinions import Opinions
from services.risk_gate.overrides import Overrides
from services.risk_gate.record import DayStart, RoundTrips
from services.risk_gate.spreads import Spreads

UNANSWERED_NS = 10 * MINUTE
"""So long after an approval ran out, a clean reconciliation is about a venue that never saw its order."""
PASSED_BY_NS = 10 * SECOND
"""So much later than a fill was heard, the ledger's equity is about a log that contained the fill."""
CLOSED = ("FILLED", "CANCELED", "REJECTED", "EXPIRED")
PX_MIN = 1e-12
PX_MAX = 1e15
ARITHMETIC = Context(prec=200, traps=[InvalidOperation, DivisionByZero, Overflow])
"""Wide enough that no limit is passed by rounding, and the same whatever the process uses elsewhere."""


class OrderInFlight(msgspec.Struct, kw_only=True):
    """An approved order that may still fill. `order_qty` is the most it can come to, `cost_px` the price it reserves, with fee."""

    instrument: str
    side: Side
    reduce_only: bool
    order_qty: Decimal
    order_px: Decimal
    cost_px: Decimal
    valid_until: int
    reported: bool = False
    closed: bool = False
    fills: dict[str, Decimal] = {}

    @property
    def leaves_qty(self) -> Decimal:
        """What may still fill."""
        return max(ZERO, self.order_qty - sum(self.fills.values(), ZERO))


class UnbookedFill(msgspec.Struct, kw_only=True):
    """A fill the venue reported and the ledger has not fully booked: first the position follows, then the balance."""

    instrument: str
    signed_qty: Decimal
    cost: Decimal
    heard_at: int
    in_position: bool = False


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The latest equity: cash, total, and how far below its high-water mark (a fraction >= 0)."""

    balance: Decimal
    equity: Decimal
    high_water_mark: Decimal
    drawdown: Decimal


class RegimeSaid(msgspec.Struct, frozen=True):
    """What the macro agent said last of an instrument, and the close (ns) of the bars it said it by."""

    state: RegimeState
    end_ts: int


class View(msgspec.Struct, kw_only=True):
    """Everything a verdict may depend on; what is absent here was never heard, and an entry is denied for it.

    Only `breakers` is the other way round: those that are OPEN, with their reason; an executor that never spoke of one has
    nothing to say against. What is HALF_OPEN wants a probe, and the executor lets exactly one entry be it.
    """

    trading_state: TradingState = "ACTIVE"
    drawdown_halted: bool = False
    drawdown_stage: int = 0
    feed_state: str = ""
    feed_venue: str = ""
    specs: dict[str, InstrumentSpec] = {}
    marks: dict[str, Mark] = {}
    levels: dict[str, LevelMap] = {}
    positions: dict[str, Decimal] = {}
    in_flight: dict[str, OrderInFlight] = {}
    unbooked: dict[str, UnbookedFill] = {}
    quarantined: dict[str, list[str]] = {}
    breakers: dict[str, str] = {}
    regimes: dict[str, RegimeSaid] = {}
    overrides: Overrides = msgspec.field(default_factory=Overrides)
    reconciled: bool | None = None
    reconciled_at: int = 0
    mismatches: int = 0
    account: Account | None = None
    intent_ids: dict[str, int] = {}
    recent_orders: dict[str, int] = {}
    entry_times: list[int] = []
    stops: dict[str, Decimal] = {}
    targets: dict[str, Decimal] = {}
    spreads: dict[str, Spreads] = {}
    day_start: DayStart = msgspec.field(default_factory=DayStart)
    trips: RoundTrips = msgspec.field(default_factory=RoundTrips)
    activities: Activities = msgspec.field(default_factory=Activities)
    opinions: Opinions = msgspec.field(default_factory=Opinions)
    comovement: Comovement = msgspec.field(default_factory=lambda: Comovement(timeframe="1h"))

    # --- facts in -----------------------------------------------------------------------------------------------

    def on_marks(self, event: FeedMarks) -> None:
        """Newer prices replace older ones; proof of life makes a known price as fresh as `as_of`."""
        for mark in event.marks:
            known = self.marks.get(mark.instrument)
            if known is None or mark.ts >= known.ts:
                self.marks[mark.instrument] = mark
                if _has_mid(mark):
                    spreads = self.spreads.get(mark.instrument)
                    if spreads is None:
                        spreads = self.spreads[mark.instrument] = Spreads()
                    spreads.add(mark)
        for instrument in event.alive:
            known = self.marks.get(instrument)
            if known is not None and event.as_of > known.ts:
                self.marks[instrument] = msgspec.structs.replace(known, ts=event.as_of)

    def on_feed_status(self, event: FeedStatus, venue: str) -> None:
        """Whether prices can be believed, and, of the venue our orders go to, the trading rules."""
        self.feed_state, self.feed_venue = event.state, event.venue
        if venue in ("", event.venue):
            self.specs.update({spec.instrument: spec for spec in event.specs})

    def on_levels(self, event: LevelsMapped) -> None:
        """The newest map of each instrument."""
        self.levels.update({level_map.instrument: level_map for level_map in event.maps})

    def on_report(self, report: ExecutionReport, now: int) -> None:
        """A fill moves exposure out of flight; a closed order leaves only what it filled.

        Stops and targets bear the id of the entry they protect: their reports say nothing about how much of it may still fill.
        """
        if report.exec_type == "TRADE":
            self.unbooked[_fill_key(report)] = _unbooked(report, now)
        order = self.in_flight.get(report.intent_id)
        if order is None or report.role != ("EXIT" if order.reduce_only else "ENTRY"):
            return
        order.reported = True
        if report.exec_type == "TRADE":
            order.fills[report.exec_id] = report.last_qty or ZERO
        order.closed |= report.ord_status in CLOSED
        if order.closed:
            order.order_qty = report.cum_qty
            if order.leaves_qty == 0:  # else a fill is known of but not told yet: it still counts
                del self.in_flight[report.intent_id]

    def on_position(self, event: PositionChanged) -> None:
        """The ledger has booked a fill into the position."""
        if event.signed_qty:
            self.positions[event.instrument] = event.signed_qty
        else:
            self.positions.pop(event.instrument, None)
        self.trips.on_position(event, self.specs.get(event.instrument), event.ts_init)
        if event.instrument not in self.trips.opened:
            self.stops.pop(event.instrument, None)
            self.targets.pop(event.instrument, None)
        fill = self.unbooked.get(_fill_key(event))
        if fill is not None:
            fill.in_position = True

    def on_equity(self, event: EquityChanged) -> None:
        """The balance now contains every fill that was in a position before."""
        before = None if self.account is None else self.account.equity
        self.day_start.on_equity(before, event.equity, event.ts_init)
        self.account = Account(
            balance=event.balance,
            equity=event.equity,
            high_water_mark=event.high_water_mark,
            drawdown=event.drawdown,
        )
        self.unbooked = {
            key: fill
            for key, fill in self.unbooked.items()
            if not fill.in_position and event.ts_init - fill.heard_at <= PASSED_BY_NS
        }

    def on_capital(self, event: CapitalMoved) -> None:
        """Money that no trade explains: the day began with so much more, or less."""
        quotes = {spec.quote for spec in self.specs.values()}
        px = next((self.mid_px(name) for name, spec in self.specs.items() if spec.base == event.asset), None)
        if event.asset in quotes:
            self.day_start.on_capital(event.amount)
        elif px is not None:
            self.day_start.on_capital(event.amount * px)

    def on_bars(self, bars: Iterable[Bar], limits: Limits) -> None:
        """Closed bars tell what moves together, how far, and how much is traded; with another timeframe all is learnt anew."""
        if self.comovement.timeframe != limits.correlation_timeframe:
            self.comovement = Comovement(timeframe=limits.correlation_timeframe)
        self.comovement.observe(bars)
        self.activities.observe(bars, limits.bar_timeframe)

    def on_reconciled(self, event: Reconciled) -> list[str]:
        """The latest comparison with the venue counts, not the best one. Returns the intents now known to have become no order."""
        self.reconciled = event.clean
        self.reconciled_at = event.ts_init
        self.mismatches = len(event.mismatches)
        if not event.clean:
            return []
        unanswered = [
            intent_id
            for intent_id, order in self.in_flight.items()
            if not order.reported and event.ts_init - order.valid_until > UNANSWERED_NS
        ]
        for intent_id in unanswered:
            del self.in_flight[intent_id]
        return unanswered

    def on_breaker(self, event: BreakerChanged) -> None:
        """One of the executor's breakers moved; only an OPEN one is worth remembering."""
        if event.state == "OPEN":
            self.breakers[event.name] = event.reason
        else:
            self.breakers.pop(event.name, None)

    def on_regimes(self, event: MacroRegimes) -> None:
        """The weekly regimes of some instruments; the others are as they were said last."""
        self.regimes.update({each.instrument: RegimeSaid(each.state, event.end_ts) for each in event.regimes})

    def on_quarantined(self, event: InstrumentQuarantined) -> None:
        """One more order of unknown fate."""
        orders = self.quarantined.setdefault(event.instrument, [])
        if event.cl_ord_id not in orders:
            orders.append(event.cl_ord_id)

    def on_released(self, event: InstrumentReleased) -> None:
        """One order less of unknown fate; the instrument is free when none is left."""
        left = [each for each in self.quarantined.get(event.instrument, []) if each != event.cl_ord_id]
        if left:
            self.quarantined[event.instrument] = left
        else:
            self.quarantined.pop(event.instrument, None)

    # --- our own verdicts ---------------------------------------------------------------------------------------

    def remember_intent(self, intent_id: str, limits: Limits, now: int) -> None:
        """This id has had its verdict. Remembered for `intent_memory_hours` (at least a day), so that memory is bounded.

        After that a repeat is still harmless: its `valid_until` has passed, and the executor derives the same client order id.
        """
        self.intent_ids.setdefault(intent_id, now + limits.intent_memory_hours * HOUR)

    def remember_approval(self, intent: OrderIntent, order: OrderInFlight, now: int) -> None:
        """From now on the order may exist; entries count towards rate and repetition."""
        self.in_flight[intent.intent_id] = order
        if not intent.reduce_only:
            held = intent.instrument in self.trips.opened
            for known, px in ((self.stops, intent.stop_px), (self.targets, intent.target_px)):
                if px is not None:
                    known[intent.instrument] = min(px, known.get(intent.instrument, px)) if held else px
            self.entry_times.append(now)
            key = order_key(intent)
            self.recent_orders.pop(key, None)
            self.recent_orders[key] = now

    def forget(self, limits: Limits, now: int) -> None:
        """Drop what no check can need any more; everything here is in order of time, so only its front is looked at."""
        while self.intent_ids:
            oldest = next(iter(self.intent_ids))
            if self.intent_ids[oldest] > now:
                break
            del self.intent_ids[oldest]
        while self.recent_orders:
            oldest = next(iter(self.recent_orders))
            if now - self.recent_orders[oldest] < limits.duplicate_window_ms * MILLISECOND:
                break
            del self.recent_orders[oldest]
        self.entry_times = [each for each in self.entry_times if now - each < MINUTE]

    # --- questions ----------------------------------------------------------------------------------------------

    def mid_px(self, instrument: str) -> Decimal | None:
        """The middle of the last known quote; None without a usable one."""
        mark = self.marks.get(instrument)
        if mark is None or not _has_mid(mark):
            return None
        return (to_decimal(mark.bid_px) + to_decimal(mark.ask_px)) / 2

    def held_qty(self, instrument: str) -> Decimal:
        """The signed position, fills on their way into the ledger included."""
        on_the_way = (
            fill.signed_qty for fill in self.unbooked.values() if fill.instrument == instrument and not fill.in_position
        )
        return self.positions.get(instrument, ZERO) + sum(on_the_way, ZERO)

    def leaves_qty(self, instrument: str, side: Side, *, reduce_only: bool) -> Decimal:
        """What approved orders of this kind may still fill."""
        return sum(
            (
                order.leaves_qty
                for order in self.in_flight.values()
                if order.instrument == instrument and order.side == side and order.reduce_only == reduce_only
            ),
            ZERO,
        )

    def entry_prices(self, instrument: str) -> list[Decimal]:
        """The prices of this instrument's approved entries that are unresolved, one for each."""
        orders = self.in_flight.values()
        return [order.order_px for order in orders if order.instrument == instrument and not order.reduce_only]

    def instruments_at_risk(self) -> list[str]:
        """Every instrument with a position, a fill on its way or an entry in flight, each once, in a fixed order."""
        found = dict.fromkeys(self.positions)
        found.update(dict.fromkeys(fill.instrument for fill in self.unbooked.values()))
        found.update(dict.fromkeys(order.instrument for order in self.in_flight.values() if not order.reduce_only))
        return sorted(found)

    def reserved(self) -> Decimal:
        """The part of the balance that approved buys and unbooked fills have spoken for, fees included."""
        in_flight = (
            order.leaves_qty * order.cost_px
            for order in self.in_flight.values()
            if order.side == "BUY" and not order.reduce_only
        )
        return sum(in_flight, ZERO) + sum((fill.cost for fill in self.unbooked.values()), ZERO)


def _has_mid(mark: Mark) -> bool:
    return PX_MIN <= mark.bid_px <= PX_MAX and PX_MIN <= mark.ask_px <= PX_MAX


def order_key(intent: OrderIntent) -> str:
    """Two intents with the same key are the same order wished twice."""
    return derive_id(intent.instrument, intent.side, intent.reason)


def _fill_key(event: ExecutionReport | PositionChanged) -> str:
    return f"{event.instrument}/{event.exec_id}"  # a venue's trade ids are unique per instrument only


def _unbooked(report: ExecutionReport, now: int) -> UnbookedFill:
    base, _, quote = report.instrument.partition("-")
    qty, px, commission = report.last_qty or ZERO, report.last_px or ZERO, report.commission or ZERO
    signed_qty = qty if report.side == "BUY" else -qty
    if report.commission_asset == base:
        signed_qty -= commission
    fee = commission if report.commission_asset == quote else ZERO
    cost = qty * px + fee if report.side == "BUY" else ZERO
    return UnbookedFill(instrument=report.instrument, signed_qty=signed_qty, cost=cost, heard_at=now)
