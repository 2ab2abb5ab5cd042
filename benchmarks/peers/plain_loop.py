"""The strategy as a plain loop over floats, without any engine: the oracle for trades and equity, and the floor of what it costs.

    python plain_loop.py BARS.csv

At the close of every bar: long if SMA 20 > SMA 50, else flat. What is decided at a close is done at the next open: all the cash, or all the
coins. The fee is a fraction of what is traded and paid in quote currency; `--fee-in base` takes a buy's fee in the coin, as spot venues do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from measured import FAST, SLOW, Run, arguments, columns


class Played(NamedTuple):
    """What the loop came to: cash, coins, the value of both at the last close, and the bars at whose open it bought and sold in turn."""

    cash: float
    qty: float
    equity: float
    places: list[int]


def wishes(closes: Sequence[float]) -> list[bool]:
    """Whether one wants to be long after each close; nobody knows before there are `SLOW` of them."""
    sums = [0.0, *accumulate(closes)]
    fast = [(sums[end] - sums[end - FAST]) / FAST for end in range(SLOW, len(sums))]
    slow = [(sums[end] - sums[end - SLOW]) / SLOW for end in range(SLOW, len(sums))]
    return [False] * (SLOW - 1) + [one > other for one, other in zip(fast, slow, strict=True)]


def play(opens: Sequence[float], closes: Sequence[float], cash: float, fee: float, *, in_base: bool = False) -> Played:
    """All in or flat, one bar at a time."""
    qty, places, wants = 0.0, [], False
    fast = slow = 0.0
    for place, (opened, close) in enumerate(zip(opens, closes, strict=True)):
        if wants and not qty:
            qty = cash / opened * (1.0 - fee) if in_base else cash / (opened * (1.0 + fee))
            cash = 0.0
            places.append(place)
        elif qty and not wants:
            cash, qty = cash + qty * opened * (1.0 - fee), 0.0
            places.append(place)
        fast += close - (closes[place - FAST] if place >= FAST else 0.0)
        slow += close - (closes[place - SLOW] if place >= SLOW else 0.0)
        wants = place >= SLOW - 1 and fast / FAST > slow / SLOW
    return Played(cash, qty, cash + qty * closes[-1], places)


def main() -> None:
    """Print one line of JSON."""
    told = arguments(
        __doc__, lambda parser: parser.add_argument("--fee-in", choices=("quote", "base"), default="quote")
    )
    bars = columns(told.file, told.limit)
    opens, closes = bars["open"], bars["close"]
    with Run() as run:
        played = play(opens, closes, told.cash, told.fee, in_base=told.fee_in == "base")
    run.report(
        told, engine="plain loop", bars=len(closes), orders=len(played.places), equity=played.equity, places=played.places
    )


if __name__ == "__main__":
    main()
