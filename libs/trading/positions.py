"""What fills do to a position: exact arithmetic in Decimal, pure.

Theory of operation. A position carries what its open quantity *cost*, not an average price: an average is a quotient and
would be rounded at every fill, a cost is only ever added to and taken from. Adding to a position adds to its cost; leaving a
part of it takes the same part of the cost (rounded once, to `COST_STEP`; what rounding keeps back stays in the position and
is realised by its last exit); crossing zero is an exit of everything and an entry of the rest at the same price. Hence, for
every sequence of fills and any mark, without a tolerance:

    realized_pnl + unrealized_pnl - commission == change of quote cash + value of the change of base at the mark

A commission in base currency is base that never arrives (or leaves in addition): the quantity is net of it, so an entry of
1 BTC with 0.001 BTC commission is a position of 0.999 BTC, bought at the fill's price, and 0.001 BTC at that price is its
commission. `realized_pnl` is gross of commissions; commissions are summed beside it, in quote currency.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext

import msgspec

from libs.common.messages import Side
from libs.common.money import ZERO, floor_to_step, plain

DECIMALS_MAX = 18
DIGITS_MAX = 18
COST_STEP = Decimal(1).scaleb(-DECIMALS_MAX)
AVG_PX_DIGITS = 16

EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
"""Sums and products of bookable figures never need 200 digits; if one ever did, this raises instead of rounding."""
QUOTIENT = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""For the few divisions, whose results are rounded to a step at once."""
_AVERAGE = Context(prec=AVG_PX_DIGITS, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


class Position(msgspec.Struct, frozen=True):
    """Where we stand in one instrument.

    `signed_qty` is in base currency (negative: short); `cost` is what it was bought for, in quote currency, with the sign of
    the quantity. `realized_pnl` and `commission` are totals in quote currency since the books were opened.
    """

    signed_qty: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO


FLAT = Position()


def is_bookable(value: Decimal) -> bool:
    """Whether `value` is finite and within the digits that are computed exactly (18 before and 18 after the point)."""
    if not value.is_finite():
        return False
    return value.is_zero() or (value.adjusted() < DIGITS_MAX and int(value.as_tuple().exponent) >= -DECIMALS_MAX)


def exactly(value: Decimal) -> Decimal:
    """`plain`, but never rounded to the 28 digits of the default context."""
    with localcontext(EXACT):
        return plain(value)


def fill(
    position: Position,
    *,
    side: Side,
    qty: Decimal,
    px: Decimal,
    base_commission: Decimal = ZERO,
    quote_commission: Decimal = ZERO,
) -> Position:
    """`position` after one execution of `qty` at `px`; a negative commission is a rebate.

    `quote_commission` may be any sum or product of bookable figures: a commission in a third currency is the caller's to value.

    Raises:
        ValueError: a figure is not bookable, or quantity or price is not positive.
    """
    for name, value in (("qty", qty), ("px", px), ("base commission", base_commission)):
        if not is_bookable(value):
            raise ValueError(f"{name} has more than {DIGITS_MAX} digits before or {DECIMALS_MAX} after the point")
    if qty <= 0 or px <= 0:
        raise ValueError("a fill has a positive quantity and a positive price")
    with localcontext(EXACT):
        change = (qty if side == "BUY" else -qty) - base_commission
        commission = position.commission + quote_commission + base_commission * px
        moved = _move(position, change, px)
        return Position(plain(moved.signed_qty), plain(moved.cost), plain(moved.realized_pnl), plain(commission))


def unrealized_pnl(position: Position, mark_px: Decimal) -> Decimal:
    """What closing everything at `mark_px` would add to `realized_pnl`, in quote currency."""
    with localcontext(EXACT):
        return plain(position.signed_qty * mark_px - position.cost)


def avg_entry_px(position: Position) -> Decimal:
    """The average price of the open quantity, to 16 significant digits (for reading; no money is computed from it); 0 if flat."""
    if position.signed_qty.is_zero():
        return ZERO
    with localcontext(_AVERAGE):
        average = position.cost / position.signed_qty
    return exactly(average)


def closable_qty(position: Position, qty_step: Decimal) -> Decimal:
    """How much of the position an order can close: its size rounded down to the venue's quantity step."""
    with localcontext(QUOTIENT):
        return plain(floor_to_step(abs(position.signed_qty), qty_step))


def is_dust(position: Position, qty_step: Decimal) -> bool:
    """Whether something is left that no order can close (commissions in base leave such remainders)."""
    return not position.signed_qty.is_zero() and closable_qty(position, qty_step).is_zero()


def _move(position: Position, change: Decimal, px: Decimal) -> Position:
    held = position.signed_qty
    rest = held + change
    if held.is_zero() or change.is_zero() or held.is_signed() == change.is_signed():
        return msgspec.structs.replace(position, signed_qty=rest, cost=position.cost + change * px)
    if rest.is_zero() or rest.is_signed() != held.is_signed():  # flat, or through zero: the rest is a new entry at `px`
        realized = position.realized_pnl + held * px - position.cost
        return msgspec.structs.replace(position, signed_qty=rest, cost=rest * px, realized_pnl=realized)
    left = _part(position.cost, -change, held)
    realized = position.realized_pnl - change * px - left
    return msgspec.structs.replace(position, signed_qty=rest, cost=position.cost - left, realized_pnl=realized)


def _part(cost: Decimal, qty: Decimal, of: Decimal) -> Decimal:
    """The cost of `qty` out of `of`, to `COST_STEP`: the only rounding in this module that stays in the books."""
    with localcontext(QUOTIENT):
        return (cost * qty / of).quantize(COST_STEP)
