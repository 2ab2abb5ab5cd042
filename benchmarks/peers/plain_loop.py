"""The strategy as a plain loop over floats, without any engine: the oracle for trades and equity, and the floor of what it costs.

    python plain_loop.py BARS.csv

At the close of every bar: long if SMA 20 > SMA 50, else flat. What is decided at a close is done at the next open: all the cash, or all the
coins. The fee is a fraction of what is traded; `--fee-in` says whose way to take a buy's fee is counted (`bought`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import floor
from typing import NamedTuple

from measured import FAST, SLOW, Run, arguments, columns

FEE_IN = ("quote", "base", "reserved", "on-top")


class Played(NamedTuple):
    """What the loop came to: cash, coins, the value of both at the last close, and the bars at whose open it bought and sold in turn."""

    cash: float
    qty: float
    equity: float
    places: list[int]


def commission(value: float, fee: float, step: float) -> float:
    """The fee on `value`; booked in whole steps, rounded down, where there are steps."""
    return floor(value * fee / step) * step if step else value * fee


def bought(cash: float, px: float, fee: float, fee_in: str, step: float) -> tuple[float, float]:
    """The coins that all the cash buys, and what is left of it.

    quote: the fee is paid in cash, and what is bought leaves room for it. base: all the cash is spent, the venue keeps its fee in the coin. reserved: the
    order leaves room for a fee in cash, and the venue keeps it in the coin. on-top: all the cash is spent, and the fee is owed.
    """
    with_room = cash / (px * (1.0 + fee))
    if fee_in == "quote":
        return with_room, 0.0
    if fee_in == "base":
        return cash / px - commission(cash / px, fee, step), 0.0
    if fee_in == "reserved":
        return with_room - commission(with_room, fee, step), cash - with_room * px
    return cash / px, -cash * fee


def play(
    opens: Sequence[float], closes: Sequence[float], cash: float, fee: float, fee_in: str = "quote", step: float = 0.0
) -> Played:
    """All in or flat, one bar at a time."""
    qty, places, wants = 0.0, [], False
    fast = slow = 0.0
    for place, (opened, close) in enumerate(zip(opens, closes, strict=True)):
        if wants and not qty:
            qty, cash = bought(cash, opened, fee, fee_in, step)
            places.append(place)
        elif qty and not wants:
            paid, qty = qty * opened, 0.0
            cash += paid - commission(paid, fee, step)
            places.append(place)
        fast += close - (closes[place - FAST] if place >= FAST else 0.0)
        slow += close - (closes[place - SLOW] if place >= SLOW else 0.0)
        wants = place >= SLOW - 1 and fast / FAST > slow / SLOW
    return Played(cash, qty, cash + qty * closes[-1], places)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fee-in", choices=FEE_IN, default="quote")
    parser.add_argument("--fee-step", type=float, default=0.0, help="commissions are booked in such steps; 0: exactly")


def main() -> None:
    """Print one line of JSON."""
    told = arguments(__doc__, _more)
    bars = columns(told.file, told.limit)
    opens, closes = bars["open"], bars["close"]
    with Run() as run:
        played = play(opens, closes, told.cash, told.fee, told.fee_in, told.fee_step)
    run.report(
        told,
        engine="plain loop",
        bars=len(closes),
        orders=len(played.places),
        equity=played.equity,
        places=played.places,
    )


if __name__ == "__main__":
    main()
