"""Decimal arithmetic with explicit rounding. Money never touches a float except where a price enters as one."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Context, Decimal

ZERO = Decimal(0)


def to_decimal(value: float | int | str | Decimal) -> Decimal:
    """`value` as the Decimal a person would write for it (floats by their shortest repr, never their binary expansion)."""
    if type(value) is float:
        return Decimal(repr(value))
    return value if isinstance(value, Decimal) else Decimal(str(value))


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """`value` rounded towards zero to a multiple of `step` (quantities: never more than was decided)."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


def round_px(value: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """`value` rounded to a multiple of the price tick, up or down."""
    return (value / tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * tick


def plain(value: Decimal) -> Decimal:
    """`value` without trailing zeros and never in exponent notation, so equal amounts have equal bytes."""
    normal = value.normalize()
    return Decimal(f"{normal:f}") if "E+" in str(normal) else normal + ZERO


def plain_in(context: Context, value: Decimal) -> Decimal:
    """`plain` as in `context`; where many are made, entering the context for each costs more than the rest."""
    normal = context.normalize(value)
    return Decimal(f"{normal:f}") if "E+" in str(normal) else context.add(normal, ZERO)
