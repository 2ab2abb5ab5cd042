"""Equity: everything we own at the latest marks, in quote currency. Pure.

    equity          = cash in quote currency + every other asset at the mid price of its instrument
    realized_pnl    = sum over positions, gross of commissions        unrealized_pnl = the same at the marks
    high_water_mark = the highest equity ever published               drawdown = 1 - equity / high_water_mark, >= 0

No number leaves that lacks something: while an asset that has an instrument has no mark yet, there is no equity. An asset
that no instrument values (dust of a foreign coin) is left out, and said so once.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

from libs.common.messages import Mark
from libs.common.money import ZERO, plain, to_decimal
from libs.trading.positions import COST_STEP, EXACT, QUOTIENT, unrealized_pnl
from services.ledger.books import Books, Equity
from services.ledger.chart_of_accounts import assets_of

DRAWDOWN_STEP = Decimal("0.00000001")
TWO = Decimal(2)
PX_MIN = 1e-15
PX_MAX = 1e18


def mark_px(mark: Mark) -> Decimal | None:
    """The mid price; the last trade's where one side of the book is empty; None if neither is a usable price."""
    if _is_price(mark.bid_px) and _is_price(mark.ask_px):
        with localcontext(QUOTIENT):
            return _stepped((to_decimal(mark.bid_px) + to_decimal(mark.ask_px)) / TWO)
    return _stepped(to_decimal(mark.last_px)) if _is_price(mark.last_px) else None


def unvalued_assets(books: Books) -> list[str]:
    """The assets we own that no instrument can value."""
    return [
        asset
        for asset, amount in sorted(books.balances.items())
        if not amount.is_zero() and asset != books.quote and asset not in books.bases
    ]


def value(books: Books) -> Equity | None:
    """The books at their marks; None while they are closed, their currency is unknown or a mark is missing."""
    if not books.is_open or not books.quote:
        return None
    with localcontext(EXACT):
        equity = balance = books.balances.get(books.quote, ZERO)
        for asset, amount in books.balances.items():
            if asset == books.quote or amount.is_zero() or asset not in books.bases:
                continue
            px = books.marks.get(books.bases[asset])
            if px is None:
                return None
            equity += amount * px
        realized, unrealized = _profits(books)
        return _with_drawdown(books, plain(balance), plain(equity), realized, unrealized)


def _profits(books: Books) -> tuple[Decimal, Decimal]:
    realized = unrealized = ZERO
    for instrument, position in books.positions.items():
        assets = assets_of(instrument)
        if assets is None or assets[1] != books.quote:
            continue
        realized += position.realized_pnl
        px = books.marks.get(instrument)
        if px is not None:
            unrealized += unrealized_pnl(position, px)
    return plain(realized), plain(unrealized)


def _with_drawdown(books: Books, balance: Decimal, equity: Decimal, realized: Decimal, unrealized: Decimal) -> Equity:
    high = max(equity, books.equity.high_water_mark) if books.equity is not None else equity
    drawdown = ZERO
    if high > ZERO and equity < high:
        with localcontext(QUOTIENT):
            drawdown = ((high - equity) / high).quantize(DRAWDOWN_STEP)
    return Equity(balance, equity, realized, unrealized, high, plain(drawdown))


def _is_price(px: float) -> bool:
    return math.isfinite(px) and PX_MIN <= px < PX_MAX


def _stepped(px: Decimal) -> Decimal:
    with localcontext(QUOTIENT):
        return plain(px.quantize(COST_STEP))
