"""The same backtest under other costs and with later orders: how much of the result is left."""

from __future__ import annotations

import math
from decimal import Decimal

from libs.research.report.charts import Section, bars, figure
from libs.research.report.markup import Cell, paragraph, table, toned
from libs.research.report.words import money, number, signed_money, signed_percent
from libs.research.result import BacktestResult

BASE = "as it was run"
BARS_MAX = 40


def section(result: BacktestResult) -> Section:
    """A table and its bars, or that nothing else was run."""
    title = "Costs and delays"
    if not result.variants:
        words = (
            "Not known yet: the backtest was run under one set of costs only. What would be left of its result under higher costs, or with orders "
            "that arrive a bar later, was not tried."
        )
        return Section("sensitivity", title, (paragraph(words),))
    record = result.record
    runs = [
        (BASE, result.equity_final, record.trades.count, record.sharpe.value),
        *((each.name, each.equity_final, each.trades, each.sharpe) for each in result.variants),
    ]
    rows = [_row(name, equity, trades, sharpe, result) for name, equity, trades, sharpe in runs]
    columns = (
        "run",
        f"equity at the end, {result.quote}",
        "return",
        "against the first",
        "round trips",
        "Sharpe ratio a year",
    )
    shown = runs[:BARS_MAX]
    values = [_percent(equity, result) for _, equity, _, _ in shown]
    chart = bars("chart-sensitivity", "Return of each run, in percent.", [name for name, *_ in shown], values, "%")
    words = "A result that higher costs or a delay of one bar take away was made of fills that cannot be had."
    return Section(
        "sensitivity",
        title,
        (table("The same under other costs and delays", columns, rows), chart, paragraph(words, "soft")),
    )


def _row(name: str, equity: Decimal, trades: int, sharpe: float, result: BacktestResult) -> list[str | Cell]:
    gain, change = equity - result.cash, equity - result.equity_final
    share = float(gain / result.cash) if result.cash else math.nan
    against = "" if name == BASE else signed_money(change)
    return [name, money(equity), toned(signed_percent(share), share), against, f"{trades:,}", number(sharpe)]


def _percent(equity: Decimal, result: BacktestResult) -> float | None:
    return figure((equity / result.cash - 1) * 100) if result.cash else None
