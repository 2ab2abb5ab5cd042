"""Everything the executor remembers, and one turn's scratch pad: what follows from one event."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import (
    AlertRaised,
    ExecType,
    ExecutionReport,
    InstrumentSpec,
    Mark,
    Message,
    OrderRole,
    VenueFill,
)
from libs.common.money import ZERO, plain
from libs.runtime.machine import CancelTimer, Effect, Perform, Publish, Reject, Request, SetTimer
from services.order_executor.orders import Fact, Order

MS = 1_000_000
QUIET_NS = 60_000 * MS


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Every value that can change a decision (the machine's `Settings`); part of the recorded `started` event.

    `gate_public_key` is Ed25519, hex. `notional_max` caps one entry, in quote currency. `price_band_bps` is the largest
    distance of an entry's price from the latest mark. `retry_delays_ms` paces failed attempts to protect a position and
    failed account readings, `lookup_delays_ms` look-ups; the last delay repeats.
    """

    gate_public_key: str
    instruments: tuple[str, ...]
    venue: str = ""
    notional_max: Decimal = Decimal(10_000)
    price_band_bps: int = 200
    mark_age_ms_max: int = 60_000
    recv_window_ms: int = 5_000
    finality_margin_ms: int = 1_000
    protect_ttl_ms: int = 10_000
    ask_ttl_ms: int = 30_000
    reconcile_interval_ms: int = 60_000
    lookup_delays_ms: tuple[int, ...] = (200, 500, 1_000, 2_000, 5_000)
    retry_delays_ms: tuple[int, ...] = (0, 1_000, 2_000, 5_000, 10_000, 30_000)
    base_tolerance: Decimal = Decimal("0.00000001")
    quote_tolerance: Decimal = Decimal("0.01")
    intents_kept: int = 5_000
    orders_kept: int = 500
    execs_kept: int = 5_000


class Holding(msgspec.Struct):
    """What we hold of one instrument, and how it is protected.

    `qty` is the net base quantity of our fills after fees in base. `owner` is the entry in whose story stops are placed.
    `exits` are approved exits that wait for the stop to leave. `flatten` asks for a market exit because no stop stands.
    """

    qty: Decimal = ZERO
    stop_px: Decimal | None = None
    owner: str = ""
    exits: list[Order] = []
    flatten: bool = False
    failures: int = 0
    failed_at: int = 0
    retry_at: int = 0
    closed_by: OrderRole | None = None
    dust_told: Decimal = ZERO
    quarantined_by: str = ""


class Reading(msgspec.Struct):
    """The account readings: which one is under way, and what the last one left open."""

    number: int = 0
    asked: bool = False
    again: bool = False
    activity: int = 0
    failures: int = 0
    rereads: int = 0
    suspects: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


class State(msgspec.Struct):
    """The executor's memory. `flows` are the net amounts of every asset our fills moved since `opening`."""

    genesis: bool = False
    reconciled: bool = False
    activity: int = 0
    opening: dict[str, Decimal] = {}
    opened: bool = False
    flows: dict[str, Decimal] = {}
    specs: dict[str, InstrumentSpec] = {}
    marks: dict[str, Mark] = {}
    intents: dict[str, str] = {}
    orders: dict[str, Order] = {}
    booked: dict[str, str] = {}
    foreign: dict[str, str] = {}
    holdings: dict[str, Holding] = {}
    watermarks: dict[str, str] = {}
    reading: Reading = msgspec.field(default_factory=Reading)

    def holding(self, instrument: str) -> Holding:
        """The holding of `instrument`, made on first use."""
        return self.holdings.setdefault(instrument, Holding())

    def live_orders(self, instrument: str) -> list[Order]:
        """The orders of `instrument` that are not closed, or closed without all their executions; oldest first."""
        return [
            order
            for order in self.orders.values()
            if order.instrument == instrument and (not order.is_closed or order.lacks_fills)
        ]

    def find(self, cl_ord_id: str, venue_order_id: str = "") -> Order | None:
        """The order with this client id, or else the one the venue knows by `venue_order_id`."""
        if cl_ord_id in self.orders:
            return self.orders[cl_ord_id]
        if not venue_order_id:
            return None
        return next((order for order in self.orders.values() if order.venue_order_id == venue_order_id), None)

    def is_quarantined(self, instrument: str) -> bool:
        """Whether an order of `instrument` has an unknown fate."""
        return any(order.status == "UNKNOWN" for order in self.live_orders(instrument))


def keep_last(memory: dict[str, str], count: int) -> None:
    """Forget the oldest entries of `memory` beyond `count`."""
    while len(memory) > count:
        del memory[next(iter(memory))]


def delay_of(delays_ms: tuple[int, ...], tries: int) -> int:
    """The delay (ns) after `tries` earlier ones; the last repeats."""
    return delays_ms[min(tries, len(delays_ms) - 1)] * MS


class Turn:
    """One event's effects in the making.

    Orders that closed in this turn are in `ended`, with why and the venue's code; instruments in `touched` get their
    protection planned. Both are looked at once, at the end of the turn.
    """

    def __init__(self, state: State, policy: Policy, now: int):
        self.state = state
        self.policy = policy
        self.now = now
        self.effects: list[Effect] = []
        self.touched: dict[str, None] = {}
        self.ended: list[tuple[Order, Fact, str]] = []

    def publish(self, message: Message) -> None:
        """Append a fact to the log."""
        self.effects.append(Publish(message))

    def perform(self, request_id: str, request: Request) -> None:
        """Ask the world."""
        self.effects.append(Perform(request_id, request))

    def reject(self, reason: str, detail: str) -> None:
        """Call the input poison."""
        self.effects.append(Reject(reason, detail))

    def set_timer(self, name: str, due: int) -> None:
        """Be woken at `due` (ns)."""
        self.effects.append(SetTimer(name, due))

    def cancel_timer(self, name: str) -> None:
        """Forget a timer."""
        self.effects.append(CancelTimer(name))

    def ask_until(self) -> int:
        """The `valid_until` of a request that may be repeated."""
        return self.now + self.policy.ask_ttl_ms * MS

    def change(self, order: Order) -> None:
        """Count a change of `order`, and have its instrument's protection planned."""
        self.state.activity += 1
        order.changed = self.state.activity
        self.touched[order.instrument] = None

    def back_off(self, instrument: str) -> None:
        """Something that protects `instrument` failed: pace the next attempt; a quiet minute makes it a first failure."""
        holding = self.state.holding(instrument)
        if self.now - holding.failed_at > QUIET_NS:
            holding.failures = 0
        delay = delay_of(self.policy.retry_delays_ms, holding.failures)
        holding.failures += 1
        holding.failed_at = self.now
        holding.retry_at = self.now + delay
        self.touched[instrument] = None
        if delay:
            self.set_timer(f"protect:{instrument}", holding.retry_at)

    def alert(self, code: str, severity: str, text: str, order: Order | None = None, instrument: str = "") -> None:
        """Tell a person."""
        self.publish(
            AlertRaised(
                code=code,
                severity=severity,  # type: ignore[arg-type]
                text=text[:600],
                instrument=order.instrument if order else instrument,
                correlation_id=order.correlation_id if order else "",
            )
        )

    def report(self, order: Order, exec_type: ExecType, reason: str = "", fill: VenueFill | None = None) -> None:
        """Say where `order` stands and why it is said now."""
        avg_px = order.avg_px
        self.publish(
            ExecutionReport(
                cl_ord_id=order.cl_ord_id,
                intent_id=order.intent_id,
                venue_order_id=order.venue_order_id,
                exec_id=fill.exec_id if fill else "",
                role=order.role,
                exec_type=exec_type,
                ord_status=order.status,
                instrument=order.instrument,
                side=order.side,
                order_qty=plain(order.order_qty),
                cum_qty=plain(order.cum_qty),
                leaves_qty=plain(order.leaves_qty),
                avg_px=None if avg_px is None else plain(avg_px),
                last_qty=plain(fill.qty) if fill else None,
                last_px=plain(fill.px) if fill else None,
                commission=plain(fill.commission) if fill else None,
                commission_asset=fill.commission_asset if fill else "",
                liquidity_side=fill.liquidity_side if fill else "",
                reason=reason[:300],
                ts_event=fill.ts_event if fill else 0,
                correlation_id=order.correlation_id,
            )
        )
