"""backtrader: the strategy as it is written there, indicators computed ahead (its default) or not (`--bar-by-bar`).

    python backtrader_run.py BARS.csv

Every bar opens where the one before closed, so an order for all the cash, sized at a close, costs at the next open what it cost there.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import backtrader as bt
from measured import FAST, SLOW, Run, arguments, columns


class Cross(bt.Strategy):
    """Long while the fast average is above the slow one."""

    def __init__(self) -> None:
        self.fast = bt.indicators.SMA(self.data.close, period=FAST)
        self.slow = bt.indicators.SMA(self.data.close, period=SLOW)
        self.places: list[int] = []
        self.refused = 0

    def notify_order(self, order: bt.Order) -> None:
        """Count what filled."""
        if order.status == order.Completed:
            self.places.append(len(self) - 1)
        elif order.status in (order.Canceled, order.Margin, order.Rejected):
            self.refused += 1

    def next(self) -> None:
        """A bar has closed."""
        wants = self.fast[0] > self.slow[0]
        if wants and not self.position:
            cash = self.broker.getcash()
            self.buy(size=cash / (self.data.close[0] * (1.0 + FEE[0])) * (1.0 - 1e-12))
        elif self.position and not wants:
            self.sell(size=self.position.size)


class Columns(bt.feed.DataBase):
    """Bars from memory."""

    params = (("bars", None),)

    def start(self) -> None:
        """From the first one."""
        super().start()
        bars = self.p.bars
        self._at = zip(*(bars[name] for name in ("timestamp", "open", "high", "low", "close", "volume")), strict=True)

    def _load(self) -> bool:
        row = next(self._at, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0] = bt.date2num(datetime.fromtimestamp(row[0] / 1000, UTC).replace(tzinfo=None))
        lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = row[1:]
        lines.openinterest[0] = 0.0
        return True


FEE = [0.0]


def main() -> None:
    """Print one line of JSON."""
    told = arguments(__doc__, _more)
    bars = columns(told.file, told.limit)
    FEE[0] = told.fee
    engine = bt.Cerebro(stdstats=False, runonce=not told.bar_by_bar, preload=not told.bar_by_bar)
    engine.adddata(Columns(bars=bars))
    engine.addstrategy(Cross)
    engine.broker.setcash(told.cash)
    engine.broker.setcommission(commission=told.fee)
    with Run() as run:
        (strategy,) = engine.run()
    run.report(
        told,
        engine="backtrader",
        bars=len(bars["close"]),
        orders=len(strategy.places),
        equity=engine.broker.getvalue(),
        refused=strategy.refused,
        places=strategy.places,
    )


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bar-by-bar", action="store_true", help="indicators too are computed bar by bar")


if __name__ == "__main__":
    main()
