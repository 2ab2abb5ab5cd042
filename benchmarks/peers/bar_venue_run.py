"""Our paper venue alone, driven by the rule itself: no agent, no portfolio, no gate, no ledger; what its accounting comes to.

    PYTHONPATH=. python benchmarks/peers/bar_venue_run.py BARS.csv

Fees of buys are taken in the coin, as at a spot venue (`plain_loop.py --fee-in base` counts so). A market order for all the cash (at the last close, which is the next open here) or all the coins. Commissions are booked in steps of 1e-8 of the coin, which is
much of the last cents of a book that has lost 99.999 %: it is given `SCALE` times the cash, and its equity is divided by as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import NamedTuple

from measured import FAST, SLOW, Run, arguments, columns

from libs.common.messages import Bar, InstrumentSpec
from libs.common.money import floor_to_step, to_decimal
from libs.common.timeframe import MILLISECOND, MINUTE
from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import FillModel
from libs.trading.venue import NewOrder

NAME = "BTC-USDT"
SCALE = 10**6
STEP = Decimal("0.00000001")


class Booked(NamedTuple):
    """What the venue's account came to, and the bars at whose open it bought and sold in turn."""

    cash: Decimal
    qty: Decimal
    places: list[int]


def spec_of(fee: Decimal) -> InstrumentSpec:
    """A venue that hardly rounds."""
    return InstrumentSpec(
        instrument=NAME,
        base="BTC",
        quote="USDT",
        px_tick=Decimal("0.000001"),
        qty_step=STEP,
        qty_min=STEP,
        notional_min=STEP,
        taker_fee=fee,
        maker_fee=fee,
    )


def bars_of(table: Mapping[str, Sequence[float]]) -> Iterator[Bar]:
    """The columns of a file as bars, with a volume that no order exhausts."""
    rows = zip(*(table[name] for name in ("timestamp", "open", "high", "low", "close")), strict=True)
    for ts, opened, high, low, close in rows:
        opens = int(ts) * MILLISECOND
        yield Bar(
            instrument=NAME,
            venue="bench",
            timeframe="1m",
            ts_open=opens,
            ts_close=opens + MINUTE,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=1e15,
        )


def order(number: int, side: str, qty: Decimal) -> NewOrder:
    """A market order."""
    return NewOrder(
        cl_ord_id=f"o{number}", instrument=NAME, side=side, ord_type="MARKET", order_qty=qty, time_in_force="GTC"
    )


def play(bars: Iterator[Bar], cash: Decimal, fee: Decimal) -> Booked:
    """The strategy, each order sized at the close that decides and filled by the venue at the next open."""
    venue = BarVenue({NAME: spec_of(fee)}, {"USDT": cash}, FillModel())
    closes: list[float] = []
    places: list[int] = []
    fast = slow = 0.0
    for place, bar in enumerate(bars):
        filled = [each for each in venue.on_bar(bar) if each.fill is not None]
        places += [place] * len(filled)
        closes.append(bar.close)
        fast += bar.close - (closes[place - FAST] if place >= FAST else 0.0)
        slow += bar.close - (closes[place - SLOW] if place >= SLOW else 0.0)
        if place < SLOW - 1:
            continue
        wants = fast / FAST > slow / SLOW
        held = {each.asset: each.free for each in venue.balances()}
        coins = floor_to_step(held.get("BTC", Decimal(0)), STEP)
        if wants and not coins:
            with localcontext(prec=40, rounding=ROUND_DOWN):
                qty = floor_to_step(held["USDT"] / to_decimal(bar.close), STEP)
            venue.submit(order(place, "BUY", qty), bar.ts_close)
        elif coins and not wants:
            venue.submit(order(place, "SELL", coins), bar.ts_close)
    held = {each.asset: each.free for each in venue.balances()}
    return Booked(held["USDT"], held.get("BTC", Decimal(0)), places)


def main() -> None:
    """Print one line of JSON."""
    told = arguments(__doc__)
    table = columns(told.file, told.limit)
    cash, fee = Decimal(str(told.cash)) * SCALE, Decimal(str(told.fee))
    with Run() as run:
        booked = play(bars_of(table), cash, fee)
    equity = (booked.cash + booked.qty * to_decimal(table["close"][-1])) / SCALE
    run.report(
        told,
        engine="bulkhead's venue",
        bars=len(table["close"]),
        orders=len(booked.places),
        equity=float(equity),
        places=booked.places,
    )


if __name__ == "__main__":
    main()
