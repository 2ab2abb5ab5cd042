"""Where a long entry's stop and target belong, given the levels around it; and whether to enter here at all.

    next zone above  ═══════════ hi
                     ─────────── lo   target: the near edge
                          ↕ room      at least max(0.75 ATR, 1.5 x risk), else NEAR_LEVEL
    entry            · · · · · · ·    inside a zone: INSIDE_ZONE
                          ↕ risk      0.75 ATR to 3 ATR
    nearest zone     ─────────── hi
    below            ═══════════ lo
                          ↕           max(0.25 ATR, 2 spreads, 5 ticks)
                     · · · · · · ·    stop, rounded away from the entry

A stop belongs where the market has proven the idea wrong: beyond the zone that should hold. One that would be nearer than 0.75 ATR is
in the noise and is widened to that; one that would be further than 3 ATR is no plan, and stands at 2 ATR instead, as it does
where no zone lies below. What counts is where a zone lies, not its role: whatever is below may hold, whatever is above may stop us.

Spot and long only. Prices that become orders are Decimals; zones and ATR are measurements, and enter as they are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Literal

import msgspec

from libs.common.messages import PriceZone
from libs.common.money import round_px, to_decimal

BEYOND_ATR = Decimal("0.25")
BEYOND_SPREADS = 2
BEYOND_TICKS = 5
RISK_ATR_MIN = Decimal("0.75")
RISK_ATR_MAX = Decimal(3)
RISK_ATR_FALLBACK = Decimal(2)
ROOM_ATR_MIN = Decimal("0.75")
ROOM_RISKS_MIN = Decimal("1.5")
ARITHMETIC = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])

Block = Literal["INSIDE_ZONE", "NEAR_LEVEL"]


class LongPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A long entry's exits, and what speaks against it.

    `below` is the zone the stop relies on (None: it is 2 ATR away, no zone being near enough), `above` the next one overhead.
    `risk`, `room` and `room_min` are distances from the entry; `room` is None where nothing is overhead. `target_px` is the near
    edge of `above`. `block` is None if nothing speaks against it; `reason` says the numbers.
    """

    stop_px: Decimal
    target_px: Decimal | None
    risk: Decimal
    room: Decimal | None
    room_min: Decimal
    below: PriceZone | None
    above: PriceZone | None
    block: Block | None
    reason: str


def plan_long(
    entry_px: Decimal, levels: Iterable[PriceZone], atr: float, px_tick: Decimal, spread: Decimal
) -> LongPlan:
    """The plan for a long entry at `entry_px`; `atr`, `px_tick` and `spread` are in the unit of the price.

    Raises:
        ValueError: a number is not positive (`spread`: negative), or 2 ATR are more than the whole price, so that no stop fits.
    """
    if not (entry_px > 0 and 0 < atr < math.inf and px_tick > 0 and spread >= 0):
        raise ValueError(
            f"entry {entry_px}, atr {atr} and tick {px_tick} must be positive, spread {spread} not negative"
        )
    with localcontext(ARITHMETIC):
        zones = sorted(levels, key=lambda zone: (zone.lo, zone.hi))
        inside = [zone for zone in zones if to_decimal(zone.lo) <= entry_px <= to_decimal(zone.hi)]
        below = max((zone for zone in zones if to_decimal(zone.hi) < entry_px), key=lambda zone: zone.hi, default=None)
        above = next((zone for zone in zones if to_decimal(zone.lo) > entry_px), None)
        stop_px, relied = _stop(entry_px, below, to_decimal(atr), px_tick, spread)
        risk = entry_px - stop_px
        room = to_decimal(above.lo) - entry_px if above is not None else None
        room_min = max(ROOM_ATR_MIN * to_decimal(atr), ROOM_RISKS_MIN * risk)
        block, reason = _verdict(entry_px, inside, above, room, room_min)
        return LongPlan(
            stop_px=stop_px,
            target_px=round_px(to_decimal(above.lo), px_tick, up=False) if above is not None else None,
            risk=risk,
            room=room,
            room_min=room_min,
            below=relied,
            above=above,
            block=block,
            reason=reason,
        )


def _stop(
    entry_px: Decimal, below: PriceZone | None, atr: Decimal, px_tick: Decimal, spread: Decimal
) -> tuple[Decimal, PriceZone | None]:
    """The stop, and the zone it relies on, if any."""
    if below is not None:
        beyond = max(BEYOND_ATR * atr, BEYOND_SPREADS * spread, BEYOND_TICKS * px_tick)
        wanted = min(to_decimal(below.lo) - beyond, entry_px - RISK_ATR_MIN * atr)
        if entry_px - wanted <= RISK_ATR_MAX * atr:
            return _placed(wanted, entry_px, px_tick), below
    return _placed(entry_px - RISK_ATR_FALLBACK * atr, entry_px, px_tick), None


def _placed(wanted: Decimal, entry_px: Decimal, px_tick: Decimal) -> Decimal:
    stop_px = round_px(wanted, px_tick, up=False)
    if stop_px <= 0:
        raise ValueError(
            f"a stop for an entry at {entry_px} would stand at {stop_px}; the ATR is too large for the price"
        )
    return stop_px


def _verdict(
    entry_px: Decimal, inside: list[PriceZone], above: PriceZone | None, room: Decimal | None, room_min: Decimal
) -> tuple[Block | None, str]:
    if inside:
        return "INSIDE_ZONE", f"{entry_px} lies within [{inside[0].lo}, {inside[0].hi}]"
    if above is not None and room is not None and room < room_min:
        return "NEAR_LEVEL", f"room {room} to [{above.lo}, {above.hi}], at least {room_min} wanted"
    return None, ""
