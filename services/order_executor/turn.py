"""One turn's scratch pad: what follows from one event."""

from __future__ import annotations

import msgspec

from libs.common.messages import AlertRaised, ExecType, ExecutionReport, Message, VenueFill
from libs.common.money import plain
from libs.runtime.machine import CancelTimer, Effect, Perform, Publish, Reject, Request, SetTimer
from services.order_executor.orders import Order
from services.order_executor.state import MS, Policy, State
from services.order_executor.transitions import Fact

QUIET_NS = 60_000 * MS


def delay_of(delays_ms: tuple[int, ...], tries: int) -> int:
    """The delay (ns) after `tries` earlier ones; the last repeats."""
    return delays_ms[min(tries, len(delays_ms) - 1)] * MS


class Ended(msgspec.Struct, frozen=True):
    """An order that closed in this turn: by which fact, and for a refusal the venue's code and its words."""

    order: Order
    fact: Fact
    reason: str
    code: str


class Turn:
    """One event's effects in the making.

    Orders that closed in this turn are in `ended`; instruments in `touched` get their
    protection planned. Both are looked at once, at the end of the turn.
    """

    def __init__(self, state: State, policy: Policy, now: int):
        self.state = state
        self.policy = policy
        self.now = now
        self.effects: list[Effect] = []
        self.touched: dict[str, None] = {}
        self.ended: list[Ended] = []

    def publish(self, message: Message) -> None:
        """Append a fact to the log."""
        self.effects.append(Publish(message))

    def perform(self, request_id: str, request: Request) -> None:
        """Ask the world."""
        self.state.asked[request_id] = self.now
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
        self.state.changed(order)
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
