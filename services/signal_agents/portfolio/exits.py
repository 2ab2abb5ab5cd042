"""Where an entry's stop and target go: beyond the zones that the levels agent has found, or at multiples of ATR where there are none.

`plan_long` places the stop under the nearest zone below. Where it relies on none, the stop stands `stop_atr` away as ever; so it does where
the zones' ATR is of so much longer bars than the entry's that their stop is no stop in the entry's own (the gate would deny it, each time). A zone overhead
caps the target at its near edge, if that leaves room worth the risk; a target closer than that is no target, and the
multiple of ATR stays: whether to enter there at all is the risk gate's check (NEAR_LEVEL), not ours.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import InstrumentSpec, PriceZone
from libs.common.money import ZERO, round_px, to_decimal
from libs.trading.level_plan import plan_long

OWN_ATR_MIN, OWN_ATR_MAX = Decimal("0.5"), Decimal(4)
"""A zone's stop in ATR of the entry's own bars: within the gate's default of 0.5 to 5, with room for a price that moves."""


class Zones(msgspec.Struct, frozen=True, kw_only=True):
    """The zones of one instrument as last said, with the ATR they are measured in, as of `end_ts` (ns)."""

    end_ts: int
    atr: float
    zones: tuple[PriceZone, ...]


class Exits(msgspec.Struct, frozen=True):
    """Where an entry is to be stopped and where it is to be sold; both on the price grid."""

    stop_px: Decimal
    target_px: Decimal


def exits_of(
    ref_px: Decimal,
    atr: Decimal,
    multiples: tuple[Decimal, Decimal],
    spec: InstrumentSpec,
    zones: Zones | None = None,
    spread: Decimal = ZERO,
) -> Exits | None:
    """The exits of a long entry at `ref_px` (on the grid); `multiples` of `atr` are those of stop and target.

    None if there is no room for a stop above zero and a target beyond the entry.
    """
    stop_px = round_px(ref_px - multiples[0] * atr, spec.px_tick, up=False)
    target_px = round_px(ref_px + multiples[1] * atr, spec.px_tick, up=False)
    if not ZERO < stop_px < ref_px < target_px:
        return None
    if zones is None or 3 * to_decimal(zones.atr) >= ref_px:  # a plan may need three of them
        return Exits(stop_px, target_px)
    plan = plan_long(ref_px, zones.zones, zones.atr, spec.px_tick, spread)
    if plan.below is not None and OWN_ATR_MIN * atr <= ref_px - plan.stop_px <= OWN_ATR_MAX * atr:
        stop_px = plan.stop_px
    if plan.target_px is not None and plan.room is not None and plan.room >= plan.room_min:
        target_px = min(target_px, plan.target_px)
    return Exits(stop_px, target_px) if stop_px < ref_px < target_px else None
