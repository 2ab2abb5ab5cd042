"""What the executor checks itself before it acts on an approval, although the gate has checked it already.

The gate's signature says that a decision is the gate's; the limits here say what even the gate may not decide. Entries must
pass everything; an exit needs a valid signature, a sane shape and its time, because breakers block entries, never exits.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.ids import cl_ord_id_of, derive_id
from libs.common.messages import OrderApproved, OrderRole
from libs.common.money import ZERO, floor_to_step, plain, round_px, to_decimal
from services.order_executor.orders import Order
from services.order_executor.state import MS, Policy, State

BPS = Decimal(10_000)


class Refusal(msgspec.Struct, frozen=True):
    """Why an approval is not acted on. `is_breach`: the gate should never have approved it, so the event is poison."""

    reason: str
    detail: str
    is_breach: bool = True


def digest_of(approval: OrderApproved) -> str:
    """The digest of everything in an approval that makes the order: equal for a repeat, different for a contradiction."""
    parts = (
        approval.instrument,
        approval.side,
        approval.ord_type,
        approval.time_in_force,
        plain(approval.order_qty),
        *("" if px is None else plain(px) for px in (approval.limit_px, approval.stop_px, approval.target_px)),
        plain(approval.ref_px),
        approval.reduce_only,
        approval.valid_until,
    )
    return derive_id("approval", approval.intent_id, *(str(part) for part in parts))


def order_of(approval: OrderApproved, state: State, correlation_id: str) -> Order:
    """The one order this approval may become; quantity and prices never better for us than approved, on the venue's grid."""
    role: OrderRole = "EXIT" if approval.reduce_only else "ENTRY"
    spec = state.specs.get(approval.instrument)
    qty, limit_px = approval.order_qty, approval.limit_px
    if spec is not None:
        qty = floor_to_step(qty, spec.qty_step)
        limit_px = None if limit_px is None else round_px(limit_px, spec.px_tick, up=approval.side == "SELL")
    return Order(
        cl_ord_id=cl_ord_id_of(approval.intent_id, role),
        intent_id=approval.intent_id,
        role=role,
        instrument=approval.instrument,
        side=approval.side,
        ord_type=approval.ord_type,
        time_in_force=approval.time_in_force,
        order_qty=qty,
        limit_px=limit_px,
        stop_px=None,
        protect_px=approval.stop_px,
        target_px=approval.target_px,
        reduce_only=approval.reduce_only,
        valid_until=approval.valid_until,
        correlation_id=correlation_id,
    )


def judge(approval: OrderApproved, order: Order, state: State, policy: Policy, now: int) -> Refusal | None:
    """The first reason not to act on a signed approval that is in time; None if there is none."""
    checks = (_shape, _exit) if approval.reduce_only else (_shape, _entry_shape, _readiness, _limits)
    for check in checks:
        refusal = check(approval, order, state, policy, now)
        if refusal is not None:
            return refusal
    return None


def _shape(approval: OrderApproved, order: Order, state: State, policy: Policy, now: int) -> Refusal | None:
    known = approval.instrument in policy.instruments
    if not known and not (approval.reduce_only and approval.instrument in state.holdings):
        return Refusal("UNKNOWN_INSTRUMENT", f"{approval.instrument} is not among {', '.join(policy.instruments)}")
    if approval.ord_type not in ("MARKET", "LIMIT"):
        return Refusal("ORD_TYPE", f"{approval.ord_type}: only MARKET and LIMIT may be approved")
    if (approval.ord_type == "LIMIT") != (approval.limit_px is not None):
        return Refusal("LIMIT_PX", f"{approval.ord_type} with limit_px {approval.limit_px}")
    if order.order_qty <= ZERO:
        return Refusal("ORDER_QTY", f"{approval.order_qty} is not a quantity of at least one step")
    return None


def _exit(approval: OrderApproved, order: Order, state: State, policy: Policy, now: int) -> Refusal | None:
    if approval.side != "SELL":
        return Refusal("REDUCE_SIDE", "a spot position is long: only SELL reduces it")
    if approval.ord_type == "LIMIT" and approval.time_in_force == "GTC":
        return Refusal("RESTING_EXIT", "an exit that rests would leave the position without its stop")
    return None


def _entry_shape(approval: OrderApproved, order: Order, state: State, policy: Policy, now: int) -> Refusal | None:
    if approval.side != "BUY":
        return Refusal("SHORT_ON_SPOT", "a SELL that does not reduce would open a short")
    if approval.target_px is not None and approval.target_px <= approval.ref_px:
        return Refusal("TARGET_PX", f"target {approval.target_px} is not above the reference price {approval.ref_px}")
    if approval.stop_px is None or not ZERO < approval.stop_px < approval.ref_px:
        return Refusal("STOP_PX", f"stop {approval.stop_px} is not below the reference price {approval.ref_px}")
    return None


def _readiness(approval: OrderApproved, order: Order, state: State, policy: Policy, now: int) -> Refusal | None:
    """Our own ignorance: nobody's breach, but no reason to buy either."""
    instrument = approval.instrument
    mark = state.marks.get(instrument)
    if state.stopping:
        return Refusal("STOPPING", "the executor was told to stop", is_breach=False)
    if not state.checked and policy.check_venue:
        return Refusal("NOT_CHECKED", "the venue has not said what our key may do", is_breach=False)
    if state.tradable is not None and instrument not in state.tradable:
        return Refusal("NOT_TRADABLE", f"the venue does not trade {instrument} now", is_breach=False)
    if not state.reconciled:
        return Refusal("NOT_RECONCILED", "books and venue have not been seen to agree", is_breach=False)
    if state.is_quarantined(instrument):
        return Refusal("QUARANTINED", f"an order of {instrument} has an unknown fate", is_breach=False)
    if instrument not in state.specs:
        return Refusal("NO_SPEC", f"the venue's rules for {instrument} are not known yet", is_breach=False)
    if mark is None or now - mark.ts > policy.mark_age_ms_max * MS:
        return Refusal("NO_MARK", f"no mark of {instrument} within {policy.mark_age_ms_max} ms", is_breach=False)
    return None


def _limits(approval: OrderApproved, order: Order, state: State, policy: Policy, now: int) -> Refusal | None:
    mark = state.marks[approval.instrument]
    mark_px = (to_decimal(mark.bid_px) + to_decimal(mark.ask_px)) / 2
    px = approval.ref_px if order.limit_px is None else order.limit_px
    notional = order.order_qty * max(px, to_decimal(mark.ask_px))
    if notional > policy.notional_max:
        return Refusal("NOTIONAL", f"{plain(notional)} is above the cap of {plain(policy.notional_max)}")
    distance_bps = abs(px - mark_px) / mark_px * BPS
    if distance_bps > policy.price_band_bps:
        return Refusal("PRICE_BAND", f"{plain(px)} is {distance_bps:.0f} bps from {plain(mark_px)}")
    return None
