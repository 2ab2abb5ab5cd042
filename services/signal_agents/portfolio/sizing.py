"""How much: the quantity whose loss at the stop, costs included, is the risk budget. Exact, and always rounded down.

For a long entry at E with its stop at S one unit loses |E - S| + fee x (E + S) + slip x S, so

    qty = equity x risk_per_trade / (|E - S| + fee x (E + S) + slip x S)

capped by `position_max` of equity and by the free cash (fee and slip included). Costs in the denominator matter most for
tight stops: a size that ignores them can lose a multiple of the budget. The stop is rounded away from the entry before the
size is computed, so that the budget holds for the stop that will really be set.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal, localcontext

import msgspec

from libs.common.messages import InstrumentSpec
from libs.common.money import ZERO, floor_to_step, plain, round_px
from services.signal_agents.portfolio.exits import Zones, exits_of

_EXACT = Context(prec=60, rounding=ROUND_DOWN)
"""Enough digits that only the final division rounds, and that division is an integer one."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How entries are sized. Fractions of equity or price, not percent; `stop_atr` and `target_atr` are multiples of ATR."""

    risk_per_trade: Decimal
    position_max: Decimal
    stop_atr: Decimal
    target_atr: Decimal
    slip: Decimal


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to trade with, in quote currency: `free` is cash not promised to orders on their way."""

    equity: Decimal
    free: Decimal


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A sized long entry. `cash` is what it may cost at most, fee and slip included."""

    qty: Decimal
    ref_px: Decimal
    stop_px: Decimal
    target_px: Decimal
    cash: Decimal


def long_entry(
    px: Decimal,
    atr: Decimal,
    funds: Funds,
    limits: Limits,
    spec: InstrumentSpec,
    *,
    zones: Zones | None = None,
    spread: Decimal = ZERO,
    factor: Decimal = Decimal(1),
) -> Entry | None:
    """The entry at `px`, with exits beyond `zones` or at multiples of `atr`, at `factor` of the full risk and position.

    None if there is no room for a stop and a target, or if the quantity would be too small for the venue to take, at the
    entry or as a stop of what is left after the fee: an entry that cannot be protected is not made.
    """
    with localcontext(_EXACT):
        ref_px = round_px(px, spec.px_tick, up=True)
        exits = exits_of(ref_px, atr, (limits.stop_atr, limits.target_atr), spec, zones, spread)
        if exits is None:
            return None
        stop_px, target_px = exits.stop_px, exits.target_px
        cost = ref_px * (1 + spec.taker_fee) * (1 + limits.slip)
        loss = unit_loss(ref_px, stop_px, spec.taker_fee, limits.slip)
        steps = min(
            _steps(funds.equity * limits.risk_per_trade * factor, loss, spec),
            _steps(funds.equity * limits.position_max * factor, ref_px, spec),
            _steps(funds.free, cost, spec),
        )
        qty = steps * spec.qty_step
        if not is_tradable(floor_to_step(qty * (1 - spec.taker_fee), spec.qty_step), stop_px, spec):
            return None
        cash = qty * cost
    return Entry(
        qty=plain(qty), ref_px=plain(ref_px), stop_px=plain(stop_px), target_px=plain(target_px), cash=plain(cash)
    )


def unit_loss(entry_px: Decimal, stop_px: Decimal, fee: Decimal, slip: Decimal) -> Decimal:
    """What one unit bought at `entry_px` loses when the stop fills: the way down, both fees, and slip at the stop."""
    return abs(entry_px - stop_px) + fee * (entry_px + stop_px) + slip * stop_px


def is_tradable(qty: Decimal, px: Decimal, spec: InstrumentSpec) -> bool:
    """Whether the venue would take an order of `qty` at `px`; less than that is dust."""
    return qty > ZERO and qty >= spec.qty_min and qty * px >= spec.notional_min


def _steps(budget: Decimal, unit: Decimal, spec: InstrumentSpec) -> Decimal:
    return max(ZERO, budget) // (unit * spec.qty_step)
