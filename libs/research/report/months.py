"""Returns by month. The cells compound to the whole result: the part of a day before the first midnight and the one after the last are in them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from libs.research.report.charts import Section
from libs.research.report.markup import Cell, paragraph, table, toned
from libs.research.report.words import SECOND_NS, signed_percent
from libs.research.result import BacktestResult

CAPTION = "Percent by month, and of the whole year"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def section(result: BacktestResult) -> Section:
    """Years and their months."""
    growths = monthly(result)
    years = sorted({year for year, _ in growths}, reverse=True)
    rows = [_row(str(year), {month: growth for (of, month), growth in growths.items() if of == year}) for year in years]
    words = "Months (UTC) in which the backtest began or ended count as far as it went. A year is its months compounded, and so is the whole."
    whole = signed_percent(math.prod(growths.values()) - 1.0)
    return Section(
        "months",
        "Returns by month",
        (
            table(CAPTION, ("year", *MONTHS, "whole"), rows, kind="months"),
            paragraph(f"{words} All together: {whole}.", "soft"),
        ),
    )


def monthly(result: BacktestResult) -> dict[tuple[int, int], float]:
    """Growth (1.0: none) by year and month, oldest first; its product is the last equity over the cash at the beginning."""
    daily = result.daily
    if not result.cash:
        return {}
    if daily.start_ts > daily.live_ts:
        # it ended before its first midnight
        parts = [(daily.live_ts, float(result.equity_final / result.cash))]
    else:
        # where nothing happened before the first midnight or after the last, that is no month of its own
        before = (daily.start_ts, float(daily.start_equity / result.cash))
        after = (daily.live_ts, 1.0 + daily.live_return)
        days = [(day.ts, day.growth) for day in daily.days]
        parts = [*_moved(before), *days, *_moved(after)] or [after]
    found: dict[tuple[int, int], float] = {}
    for ts, growth in parts:
        month = _month_of(ts)
        found[month] = found.get(month, 1.0) * growth
    return found


def _moved(part: tuple[int, float]) -> list[tuple[int, float]]:
    return [part] if part[1] != 1.0 else []


def _month_of(ts: int) -> tuple[int, int]:
    # what ends at midnight belongs to the day before
    day = datetime.fromtimestamp((ts - 1) // SECOND_NS, UTC)
    return day.year, day.month


def _row(name: str, growths: dict[int, float]) -> list[str | Cell]:
    months = [_cell(growths[month]) if month in growths else "" for month in range(1, 13)]
    return [name, *months, _cell(math.prod(growths.values()))]


def _cell(growth: float) -> Cell:
    return toned(signed_percent(growth - 1.0).removesuffix(" %"), round(growth - 1.0, 4))
