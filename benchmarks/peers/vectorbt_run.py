"""vectorbt: signals as arrays, one call into compiled code (no events; a portfolio is simulated order by order in numba).

    python vectorbt_run.py BARS.csv

Signals are shifted by one bar and executed at that bar's open. The first, small run compiles and counts as start-up, so that the figure is the warm one; `cold_cpu_s`
says what it took. `--fee-in base` charges a buy f / (1 - f) of the cash it leaves, which is a fee of f taken in the coin.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import vectorbt as vbt
from measured import FAST, SLOW, Run, arguments, columns


def simulated(frame: pd.DataFrame, cash: float, fee: float, *, in_base: bool) -> vbt.Portfolio:
    """The portfolio of these bars."""
    fast = vbt.MA.run(frame["close"], FAST).ma
    slow = vbt.MA.run(frame["close"], SLOW).ma
    wants = (fast > slow).shift(1, fill_value=False)
    fees = np.where(wants, fee / (1.0 - fee), fee) if in_base else fee
    return vbt.Portfolio.from_signals(
        frame["close"], wants, ~wants, price=frame["open"], fees=fees, init_cash=cash, freq="1min"
    )


def main() -> None:
    """Print one line of JSON."""
    told = arguments(__doc__, _more)
    bars = columns(told.file, told.limit)
    index = pd.to_datetime(np.frombuffer(bars["timestamp"], dtype="int64"), unit="ms")
    frame = pd.DataFrame({name: np.frombuffer(bars[name]) for name in ("open", "close")}, index=index)
    began = time.process_time()
    in_base = told.fee_in == "base"
    simulated(frame[:1000], told.cash, told.fee, in_base=in_base).value().iloc[-1]
    cold = time.process_time() - began
    with Run() as run:
        portfolio = simulated(frame, told.cash, told.fee, in_base=in_base)
        equity = float(portfolio.value().iloc[-1])
    places = portfolio.orders.records["idx"].tolist()
    run.report(
        told,
        engine="vectorbt",
        bars=len(frame),
        orders=len(places),
        equity=equity,
        cold_cpu_s=round(cold, 1),
        places=places,
    )


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fee-in", choices=("quote", "base"), default="quote")


if __name__ == "__main__":
    main()
