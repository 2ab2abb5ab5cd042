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


def long_entry(px: Decimal, atr: Decimal, funds: Funds, limits: Limits, spec: InstrumentSpec) -> Entry | None:
    """The entry at `px` with exits at multiples of `atr`.

    None if there is no room for a stop and a target, or if the quantity would be too small for the venue to take, at the
    entry or as a stop of what is left after the fee: an entry that cannot be protected is not made.
    """
    with localcontext(_EXACT):
        ref_px = round_px(px, spec.px_tick, up=True)
        stop_px = round_px(ref_px - limits.stop_atr * atr, spec.px_tick, up=False)
        target_px = round_px(ref_px + limits.target_atr * atr, spec.px_tick, up=False)
        if not ZERO < stop_px < ref_px < target_px:
            return None
        cost = ref_px * (1 + spec.taker_fee) * (1 + limits.slip)
        loss = unit_loss(ref_px, stop_px, spec.taker_fee, limits.slip)
        steps = min(
            _steps(funds.equity * limits.risk_per_trade, loss, spec),
            _steps(funds.equity * limits.position_max, ref_px, spec),
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
