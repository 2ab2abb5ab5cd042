"""What is decided at a close fills at the next open, and money, coins and fees come to what a plain loop and vectorbt count."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal, localcontext
from random import Random
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from libs.common.messages import Bar, InstrumentSpec, Side
from libs.common.money import floor_to_step, to_decimal
from libs.common.timeframe import MINUTE
from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import AS_QUOTED
from libs.trading.venue import NewOrder

NAME, FEE = "BTC-USDT", 0.001
CASH = 1_000_000_000
"""Much, so that commissions in steps of 1e-8 of a coin are no rounding that one could see."""
STEP = Decimal("0.00000001")
FAST, SLOW = 20, 50
SPEC = InstrumentSpec(
    instrument=NAME,
    base="BTC",
    quote="USDT",
    px_tick=Decimal("0.000001"),
    qty_step=STEP,
    qty_min=STEP,
    notional_min=STEP,
    taker_fee=to_decimal(FEE),
    maker_fee=to_decimal(FEE),
)


class Outcome(NamedTuple):
    """Equity at every close, and the orders as (bar, signed quantity that was ordered)."""

    equity: list[float]
    orders: list[tuple[int, float]]


def series(seed: int, count: int, gap: float) -> list[Bar]:
    """A random walk of minutes; each opens up to about `gap` (a fraction) away from the close before."""
    random, bars, px = Random(seed), [], 100.0
    for place in range(count):
        opened = round(px * (1.0 + random.gauss(0.0, gap)), 6)
        px = round(opened * (1.0 + random.gauss(0.0, 0.002)), 6)
        bars.append(
            Bar(
                instrument=NAME,
                venue="test",
                timeframe="1m",
                ts_open=place * MINUTE,
                ts_close=(place + 1) * MINUTE,
                open=opened,
                high=max(opened, px),
                low=min(opened, px),
                close=px,
                volume=1e12,
            )
        )
    return bars


def wishes(bars: list[Bar]) -> list[bool]:
    """Whether one wants to be long after each close: SMA 20 above SMA 50."""
    closes = [bar.close for bar in bars]
    return [
        end > SLOW - 1 and sum(closes[end - FAST : end]) / FAST > sum(closes[end - SLOW : end]) / SLOW
        for end in range(1, len(closes) + 1)
    ]


def by_hand(bars: list[Bar], share: float) -> Outcome:
    """The reference: `share` of the cash at the close that decides, all of it at the next open, a buy's fee kept in the coin."""
    cash, coins, due = float(CASH), 0.0, 0.0
    equity, orders = [], []
    for place, (bar, wants) in enumerate(zip(bars, wishes(bars), strict=True)):
        if due:
            orders.append((place, due))
        if due > 0:
            cash, coins = cash - due * bar.open, due * (1.0 - FEE)
        elif due < 0:
            cash, coins = cash + coins * bar.open * (1.0 - FEE), 0.0
        due = cash * share / bar.close if wants and not coins else -coins if not wants else 0.0
        equity.append(cash + coins * bar.close)
    return Outcome(equity, orders)


def by_venue(bars: list[Bar], share: float) -> Outcome:
    """The same orders at the paper venue."""
    venue = BarVenue({NAME: SPEC}, {"USDT": Decimal(CASH)}, AS_QUOTED)
    equity, orders = [], []
    for place, (bar, wants) in enumerate(zip(bars, wishes(bars), strict=True)):
        fills = [update.fill for update in venue.on_bar(bar) if update.fill is not None]
        orders += [(place, float(fill.qty) * (1 if fill.side == "BUY" else -1)) for fill in fills]
        held = {each.asset: each.free for each in venue.balances()}
        coins = floor_to_step(held.get("BTC", Decimal(0)), STEP)
        with localcontext(prec=40, rounding=ROUND_DOWN):
            affordable = floor_to_step(held["USDT"] * to_decimal(share) / to_decimal(bar.close), STEP)
        if wants and not coins:
            venue.submit(market(place, "BUY", affordable), bar.ts_close)
        elif coins and not wants:
            venue.submit(market(place, "SELL", coins), bar.ts_close)
        equity.append(float(held["USDT"] + held.get("BTC", Decimal(0)) * to_decimal(bar.close)))
    return Outcome(equity, orders)


def market(place: int, side: Side, qty: Decimal) -> NewOrder:
    """A market order."""
    return NewOrder(
        cl_ord_id=f"o{place}", instrument=NAME, side=side, ord_type="MARKET", order_qty=qty, time_in_force="GTC"
    )


def by_vectorbt(bars: list[Bar], orders: list[tuple[int, float]]) -> Any:
    """A portfolio of vectorbt's that is told when, at what price and what share of a coin to trade, and keeps its own books.

    It takes every fee in cash. Of a buy of n coins at p ours keeps f n coins, so it is told to buy (1 - f) n for the same n p: at a fee of f / (1 - f).
    """
    vectorbt = pytest.importorskip("vectorbt", reason="vectorbt is a peer of `make bench-backtest`, not installed here")
    pandas = pytest.importorskip("pandas")
    sizes = [0.0] * len(bars)
    for place, qty in orders:
        sizes[place] = qty * (1.0 - FEE) if qty > 0 else qty
    fees = [FEE / (1.0 - FEE) if size > 0 else FEE for size in sizes]
    closes, opens = (pandas.Series([getattr(bar, name) for bar in bars]) for name in ("close", "open"))
    return vectorbt.Portfolio.from_orders(
        closes, pandas.Series(sizes), price=opens, fees=pandas.Series(fees), init_cash=float(CASH)
    )


WAYS = pytest.mark.parametrize(("gap", "share"), [(0.0, 1.0), (0.002, 0.95)], ids=["all in", "gaps"])


@WAYS
@pytest.mark.parametrize("seed", range(3))
def test_the_venue_books_what_a_plain_loop_counts_at_every_close(seed: int, gap: float, share: float) -> None:
    """Orders, prices, fees and coins, at each of two thousand closes to 1e-9."""
    bars = series(seed, 2_000, gap)
    ours, theirs = by_venue(bars, share), by_hand(bars, share)
    assert len(theirs.orders) > 20
    assert [place for place, _ in ours.orders] == [place for place, _ in theirs.orders]
    assert [qty for _, qty in ours.orders] == pytest.approx([qty for _, qty in theirs.orders], rel=1e-9)
    assert ours.equity == pytest.approx(theirs.equity, rel=1e-9)


@WAYS
def test_the_venue_books_what_vectorbt_counts_at_every_close(gap: float, share: float) -> None:
    """An independent engine that is told the same orders comes to the same value at every close, to 1e-9."""
    bars = series(7, 2_000, gap)
    ours = by_venue(bars, share)
    portfolio = by_vectorbt(bars, ours.orders)
    assert portfolio.orders.records["idx"].tolist() == [place for place, _ in ours.orders]
    assert ours.equity == pytest.approx(portfolio.value().tolist(), rel=1e-9)


def test_fills_at_the_close_that_decided_would_be_seen() -> None:
    """The comparison can fail: with gaps, a fill one instant early is another equity."""
    bars = series(7, 2_000, 0.002)
    early = [structs.replace(bar, open=before.close) for before, bar in zip([bars[0], *bars], bars, strict=False)]
    assert by_hand(early, 0.95).equity[-1] != pytest.approx(by_venue(bars, 0.95).equity[-1], rel=1e-4)
