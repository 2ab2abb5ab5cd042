"""Equity and drawdown over time, above each other on one axis."""

from __future__ import annotations

from itertools import accumulate

from libs.research.report.charts import (
    BLUE,
    BLUE_VEIL,
    RED,
    RED_VEIL,
    Chart,
    Section,
    figures,
    label,
    layout,
    money_axis,
    ms,
    time_axis,
)
from libs.research.report.markup import paragraph
from libs.research.report.words import percent
from libs.research.result import BacktestResult
from libs.research.scribe import CURVE_POINTS_MAX


def section(result: BacktestResult) -> Section:
    """The chart, or that there is none."""
    if not result.curve:
        return Section("curves", "Equity and drawdown", (paragraph("Equity was never known: there is no curve."),))
    note = (
        f"At most {CURVE_POINTS_MAX:,} points of the run are shown; its deepest drawdown at any mark, "
        f"{percent(float(result.drawdown_max))}, may lie between two of them."
    )
    return Section("curves", "Equity and drawdown", (_chart(result), paragraph(note, "soft")))


def _chart(result: BacktestResult) -> Chart:
    times, values = [ms(ts) for ts, _ in result.curve], [value for _, value in result.curve]
    line = {"type": "scatter", "mode": "lines" if len(times) > 1 else "markers", "x": times}
    equity = {
        **line,
        "name": "equity",
        "y": figures(values),
        "line": {"color": BLUE, "width": 1.5},
        "hovertemplate": "%{x|%Y-%m-%d %H:%M}<br>%{y:,.2f}<extra></extra>",
    }
    fall = {
        **line,
        "name": "drawdown",
        "y": figures(drawdowns(values)),
        "yaxis": "y2",
        "line": {"color": RED, "width": 1},
        "fill": "tozeroy",
        "fillcolor": RED_VEIL,
        "hovertemplate": "%{x|%Y-%m-%d %H:%M}<br>%{y:.2%}<extra></extra>",
    }
    start = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": float(result.cash),
        "y1": float(result.cash),
        "line": {"color": BLUE_VEIL, "width": 2, "dash": "dot"},
    }
    shape = layout(
        showlegend=False,
        xaxis=time_axis(anchor="y2"),
        yaxis=money_axis(f"equity, {label(result.quote)}", domain=[0.34, 1]),
        yaxis2={"domain": [0, 0.27], "title": {"text": "drawdown"}, "tickformat": ".1%", "automargin": True},
        shapes=[start],
    )
    words = f"Equity (dotted: what it began with) and, below, how far under its highest value so far; {len(times):,} points."
    return Chart("chart-equity", words, 460, [equity, fall], shape)


def drawdowns(values: list[float]) -> list[float]:
    """How far each value lies under the highest up to it, as a share <= 0."""
    highs = accumulate(values, max)
    return [value / high - 1.0 if high > 0 else 0.0 for value, high in zip(values, highs, strict=True)]
