"""backtesting.py: the strategy as it is written there, orders at the next open.

    python backtesting_run.py BARS.csv

It trades whole units only, so the cash buys fractions of a coin: prices are divided by `UNIT` beforehand and a unit is that share of a coin
(its own `FractionalBacktest` does the same). An order of all the cash is `size=1 - 1e-12`.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from measured import FAST, SLOW, Run, arguments, columns

UNIT = 1e-9
ALL = 1.0 - 1e-12


def mean(values: np.ndarray, n: int) -> np.ndarray:
    """The simple moving average."""
    return pd.Series(values).rolling(n).mean().to_numpy()


class Cross(Strategy):
    """Long while the fast average is above the slow one."""

    def init(self) -> None:
        """The averages, once for all bars."""
        self.fast = self.I(mean, self.data.Close, FAST)
        self.slow = self.I(mean, self.data.Close, SLOW)

    def next(self) -> None:
        """A bar has closed."""
        wants = self.fast[-1] > self.slow[-1]
        if wants and not self.position:
            self.buy(size=ALL)
        elif self.position and not wants:
            self.position.close()


def main() -> None:
    """Print one line of JSON."""
    warnings.simplefilter("ignore")
    told = arguments(__doc__)
    bars = columns(told.file, told.limit)
    frame = pd.DataFrame(
        {name: np.frombuffer(bars[name.lower()]) * UNIT for name in ("Open", "High", "Low", "Close")}
        | {"Volume": np.frombuffer(bars["volume"]) / UNIT},
        index=pd.to_datetime(np.frombuffer(bars["timestamp"], dtype="int64"), unit="ms"),
    )
    test = Backtest(frame, Cross, cash=told.cash, commission=told.fee, trade_on_close=False, exclusive_orders=False)
    with Run() as run:
        stats = test.run()
    trades = stats["_trades"]
    open_trades = stats["_strategy"].trades
    places = sorted([*trades["EntryBar"], *trades["ExitBar"], *(each.entry_bar for each in open_trades)])
    run.report(
        told,
        engine="backtesting.py",
        bars=len(frame),
        orders=len(places),
        equity=float(stats["Equity Final [$]"]),
        places=[int(each) for each in places],
    )


if __name__ == "__main__":
    main()
