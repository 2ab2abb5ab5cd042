"""Equity: everything we own at the latest marks, in quote currency. Pure.

    equity          = cash in quote currency + every other asset at the mid price of its instrument
    realized_pnl    = sum over positions, gross of commissions        unrealized_pnl = the same at the marks
    high_water_mark = the highest equity ever published               drawdown = 1 - equity / high_water_mark, >= 0

No number leaves that lacks something: while an asset that has an instrument has no mark yet, there is no equity. An asset
that no instrument values (dust of a foreign coin) is left out, and said so once.

**Capital is neither profit nor loss.** When it moves, the high-water mark moves in proportion to the equity, so that the drawdown stays what it was: a
loss of 10 % is one of 10 % after a deposit as well as after a withdrawal (moved by the amount instead, a withdrawal of half the money would double
the drawdown, and halt). What moved is valued at the mark of its asset at that moment. Where there is none, the amount is left out of the equity until its
asset has one, and is then counted as capital. From an equity of nothing, or down to it, there is no proportion: the mark begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, localcontext
from types import MappingProxyType

import msgspec

from libs.common.messages import Mark
from libs.common.money import ZERO, plain, plain_in, to_decimal
from libs.trading.positions import COST_STEP, EXACT, QUOTIENT
from services.ledger.books import Books, Equity
from services.ledger.chart_of_accounts import assets_of

DRAWDOWN_STEP = Decimal("0.00000001")
HALF = Decimal("0.5")
PX_MIN = 1e-15
PX_MAX = 1e18


def mark_px(mark: Mark) -> Decimal | None:
    """The mid price; the last trade's where one side of the book is empty; None if neither is a usable price."""
    if _is_price(mark.bid_px) and _is_price(mark.ask_px):
        both = QUOTIENT.add(to_decimal(mark.bid_px), to_decimal(mark.ask_px))
        return _stepped(QUOTIENT.multiply(both, HALF))
    return _stepped(to_decimal(mark.last_px)) if _is_price(mark.last_px) else None


def unvalued_assets(books: Books) -> list[str]:
    """The assets we own that no instrument can value."""
    return sorted(
        [
            asset
            for asset, amount in books.balances.items()
            if asset not in books.bases and asset != books.quote and not amount.is_zero()
        ]
    )


def count_capital(books: Books) -> bool:
    """Let the high-water mark follow the capital that moved and has a price by now; whether it did."""
    if not books.uncounted:
        return False
    moved = {asset: amount for asset, amount in books.uncounted.items() if _has_price(books, asset)}
    if not moved:
        return False
    before, after = value(books, without=moved), value(books)
    if before is None or after is None:
        return False
    high = _scaled(before.high_water_mark, before.equity, after.equity)
    books.equity = msgspec.structs.replace(before, high_water_mark=high)
    books.uncounted = {asset: amount for asset, amount in books.uncounted.items() if asset not in moved}
    return True


def value(books: Books, without: Mapping[str, Decimal] = MappingProxyType({})) -> Equity | None:
    """The books (`without` so much of some assets) at their marks; None while they are closed, without a currency or lack a mark."""
    if not books.is_open or not books.quote:
        return None
    with localcontext(EXACT):
        equity = balance = books.balances.get(books.quote, ZERO) - without.get(books.quote, ZERO)
        for asset, owned in books.balances.items():
            amount = owned - without.get(asset, ZERO) if without else owned
            if asset == books.quote or amount.is_zero() or asset not in books.bases:
                continue
            px = books.marks.get(books.bases[asset])
            if px is None:
                if amount == books.uncounted.get(asset):
                    continue
                return None
            equity += amount * px
        realized, unrealized = _profits(books)
        return _with_drawdown(books, plain(balance), plain(equity), realized, unrealized)


def _has_price(books: Books, asset: str) -> bool:
    return asset == books.quote or (asset in books.bases and books.bases[asset] in books.marks)


def _scaled(high: Decimal, before: Decimal, after: Decimal) -> Decimal:
    if before <= ZERO or after <= ZERO or high == before:
        return after
    with localcontext(QUOTIENT):
        return plain((high * after / before).quantize(COST_STEP))


def _profits(books: Books) -> tuple[Decimal, Decimal]:
    realized = unrealized = ZERO
    for instrument, position in books.positions.items():
        assets = assets_of(instrument)
        if assets is None or assets[1] != books.quote:
            continue
        realized += position.realized_pnl
        px = books.marks.get(instrument)
        if px is not None:
            unrealized += plain(position.signed_qty * px - position.cost)
    return plain(realized), plain(unrealized)


def _with_drawdown(books: Books, balance: Decimal, equity: Decimal, realized: Decimal, unrealized: Decimal) -> Equity:
    high = max(equity, books.equity.high_water_mark) if books.equity is not None else equity
    drawdown = ZERO
    if high > ZERO and equity < high:
        fallen = QUOTIENT.divide(QUOTIENT.subtract(high, equity), high)
        drawdown = QUOTIENT.quantize(fallen, DRAWDOWN_STEP)
    return Equity(balance, equity, realized, unrealized, high, plain(drawdown))


def _is_price(px: float) -> bool:
    return math.isfinite(px) and PX_MIN <= px < PX_MAX


def _stepped(px: Decimal) -> Decimal:
    return plain_in(QUOTIENT, QUOTIENT.quantize(px, COST_STEP))
