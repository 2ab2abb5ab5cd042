"""What stands between a position and the market: its guards, each a stop, or a pair of a stop and a target.

At a spot venue a resting sell locks what it sells, so guards of one position never overlap: together they cover at most what is
held, and the venue itself refuses to sell the same coin twice.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.ids import cl_ord_id_of
from libs.common.messages import OrderRole, OrdType
from libs.common.money import ZERO, floor_to_step, plain, round_px, to_decimal
from services.order_executor.approvals import BPS
from services.order_executor.orders import OPEN, Order
from services.order_executor.state import MS, Holding, State
from services.order_executor.turn import Turn

PAIR_RUNG, STOP_RUNG, STOP_LIMIT_RUNG = 0, 1, 2
"""The ladder of order types (`Holding.rung`), best first: a pair, or a stop where there is no target; a stop; a stop limit."""


class Guard(msgspec.Struct, frozen=True):
    """One stop, one pair, or what is left of a pair."""

    stop: Order | None
    target: Order | None

    @property
    def orders(self) -> list[Order]:
        """Its orders, the stop first."""
        return [each for each in (self.stop, self.target) if each is not None]

    @property
    def lead(self) -> Order:
        """The order by which it is cancelled."""
        return self.orders[0]

    @property
    def covers_qty(self) -> Decimal:
        """What its stop would sell; a target alone protects nothing."""
        return ZERO if self.stop is None else self.stop.leaves_qty

    @property
    def locked_qty(self) -> Decimal:
        """What it keeps from being sold otherwise."""
        return max(each.leaves_qty for each in self.orders)


def guards_of(live: list[Order]) -> list[Guard]:
    """The guards among the live orders of an instrument, oldest first."""
    pairs: dict[str, dict[OrderRole, Order]] = {}
    for order in live:
        if order.role in ("STOP", "TARGET"):
            pairs.setdefault(order.pair or order.cl_ord_id, {})[order.role] = order
    return [Guard(found.get("STOP"), found.get("TARGET")) for found in pairs.values()]


def sellable_qty(state: State, instrument: str) -> Decimal:
    """What is held of `instrument`, rounded down to the venue's step; less than a step cannot be sold."""
    holding = state.holdings.get(instrument)
    spec = state.specs.get(instrument)
    if holding is None or spec is None or holding.qty <= ZERO:
        return ZERO
    return floor_to_step(holding.qty, spec.qty_step)


def uncovered(state: State) -> dict[str, Decimal]:
    """By instrument, the sellable quantity that no resting stop and no exit on its way covers (for metrics and tests)."""
    gaps = {}
    for instrument in state.holdings:
        covering = [order for order in state.live_orders(instrument) if _covers(order)]
        gap = sellable_qty(state, instrument) - sum((order.leaves_qty for order in covering), ZERO)
        if gap > ZERO:
            gaps[instrument] = gap
    return gaps


def _covers(order: Order) -> bool:
    return order.role == "EXIT" or (order.role == "STOP" and order.status in OPEN and not _may_be_gone(order))


def _may_be_gone(order: Order) -> bool:
    """Whether we asked for its end, were not told clearly what became of that, and have looked it up in vain since."""
    in_vain = order.inquiry is not None and order.inquiry.tries > 0
    return order.status == "PENDING_CANCEL" and order.cancel_wanted and in_vain


def is_sellable(turn: Turn, instrument: str, qty: Decimal, px: Decimal) -> bool:
    """Whether the venue takes an order of so much at this price."""
    spec = turn.state.specs[instrument]
    return qty >= spec.qty_min and qty * px >= spec.notional_min


def is_worth_selling(turn: Turn, instrument: str) -> bool:
    """Whether the venue would take a sale of all that is held at the present price, as far as we know that."""
    held, mark = sellable_qty(turn.state, instrument), turn.state.marks.get(instrument)
    return held > ZERO and (mark is None or is_sellable(turn, instrument, held, to_decimal(mark.protective_px)))


def wanted_stop_px(turn: Turn, instrument: str, holding: Holding) -> Decimal | None:
    """Where the position is to be stopped, on the venue's grid; never above the approved price."""
    return _on_grid(turn, instrument, holding.stop_px, up=False)


def wanted_target_px(turn: Turn, instrument: str, holding: Holding) -> Decimal | None:
    """Where the position takes its profit, on the venue's grid; None where it has no target."""
    return _on_grid(turn, instrument, holding.target_px, up=True)


def stop_limit_px(turn: Turn, instrument: str, stop_px: Decimal) -> Decimal:
    """How far down a stop limit with this trigger may sell."""
    return _floor(turn, instrument, stop_px * (1 - Decimal(turn.policy.stop_limit_slack_bps) / BPS))


def stop_order(turn: Turn, owner: Order, qty: Decimal, stop_px: Decimal, rung: int) -> Order:
    """The next stop in the story of the entry `owner`, of the type this rung of the ladder allows."""
    if rung < STOP_LIMIT_RUNG:
        return selling_order(turn, owner, "STOP", "STOP_LOSS", qty, owner.stops, stop_px=stop_px)
    limit_px = stop_limit_px(turn, owner.instrument, stop_px)
    return selling_order(turn, owner, "STOP", "STOP_LOSS_LIMIT", qty, owner.stops, stop_px=stop_px, limit_px=limit_px)


def selling_order(
    turn: Turn,
    owner: Order,
    role: OrderRole,
    ord_type: OrdType,
    qty: Decimal,
    attempt: int,
    *,
    stop_px: Decimal | None = None,
    limit_px: Decimal | None = None,
) -> Order:
    """A selling order in the story of the entry `owner`. Attempt 0 of role EXIT is the first emergency exit of that entry."""
    return Order(
        cl_ord_id=cl_ord_id_of(owner.intent_id, role, attempt),
        intent_id=owner.intent_id,
        role=role,
        instrument=owner.instrument,
        side="SELL",
        ord_type=ord_type,
        time_in_force="GTC",
        order_qty=qty,
        limit_px=limit_px,
        stop_px=stop_px,
        reduce_only=True,
        valid_until=turn.now + turn.policy.protect_ttl_ms * MS,
        correlation_id=owner.correlation_id,
    )


def _on_grid(turn: Turn, instrument: str, px: Decimal | None, *, up: bool) -> Decimal | None:
    return None if px is None else plain(round_px(px, turn.state.specs[instrument].px_tick, up=up))


def _floor(turn: Turn, instrument: str, px: Decimal) -> Decimal:
    return plain(round_px(px, turn.state.specs[instrument].px_tick, up=False))
