"""A chart: what plotly is given, as plain values, and the place in the page where it is drawn.

Times are milliseconds UTC, which plotly takes as dates. Figures keep eight digits that count. Colours are such that they are seen on white and on black;
those of text and lines are the page's, and are put in when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import Any

import msgspec

from libs.research.report.markup import TEXT_MAX
from libs.research.report.words import is_known

BLUE, GREEN, RED, AMBER, GREY, VIOLET = "#3b82f6", "#16a37f", "#e5484d", "#d98a0b", "#8a93a3", "#9366e0"
GREEN_VEIL, RED_VEIL, BLUE_VEIL = "rgba(22,163,127,0.18)", "rgba(229,72,77,0.18)", "rgba(59,130,246,0.18)"
MS = 1_000_000
TICK_MAX = 20

Trace = dict[str, Any]


class Chart(msgspec.Struct, frozen=True):
    """A chart and what it shows in words (`label`, for those who do not see it); `height` in pixels."""

    key: str
    label: str
    height: int
    data: list[Trace]
    layout: dict[str, Any]


class Section(msgspec.Struct, frozen=True):
    """A part of the page: pieces of HTML and charts, in order."""

    key: str
    title: str
    parts: tuple[str | Chart, ...]


def figure(value: float | Decimal | None) -> float | None:
    """A number with eight digits that count; what is not known is left out."""
    return float(f"{value:.8g}") if value is not None and is_known(value) else None


def figures(values: Sequence[float | Decimal | None]) -> list[float | None]:
    """Each as `figure`."""
    return [figure(value) for value in values]


def ms(ts: int) -> int:
    """An instant (ns) in plotly's unit."""
    return ts // MS


def label(words: str, length_max: int = TEXT_MAX) -> str:
    """Text from data for a label of plotly's, which would read `<a href=...>` in it as a link."""
    return escape(words if len(words) <= length_max else words[: length_max - 1] + "…")


def time_axis(**more: Any) -> dict[str, Any]:
    """An x axis of times."""
    return {"type": "date", "title": {"text": "UTC"}, "rangeslider": {"visible": False}, **more}


def money_axis(title: str, **more: Any) -> dict[str, Any]:
    """A y axis of prices or amounts, written out; `title` is escaped already."""
    return {"title": {"text": title}, "separatethousands": True, "exponentformat": "none", "automargin": True, **more}


def layout(**more: Any) -> dict[str, Any]:
    """What all charts have in common, and `more`."""
    return {
        "margin": {"l": 64, "r": 16, "t": 36, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top"},
        **more,
    }


def bars(key: str, words: str, names: Sequence[str], values: Sequence[float | None], unit: str) -> Chart:
    """One bar per name, green above zero and red below, in the order given; long names are whole only where one points."""
    colors = [RED if value is not None and value < 0 else GREEN for value in values]
    # places and not names on the axis: names that begin alike would share a bar
    places = list(range(len(names)))
    trace = {
        "type": "bar",
        "x": places,
        "y": list(values),
        "text": [label(name) for name in names],
        "textposition": "none",
        "marker": {"color": colors},
        "hovertemplate": "%{text}: %{y:,.2f} " + escape(unit) + "<extra></extra>",
    }
    ticks = [label(name, TICK_MAX) for name in names]
    axis = {"tickmode": "array", "tickvals": places, "ticktext": ticks, "showgrid": False, "automargin": True}
    return Chart(key, words, 280, [trace], layout(showlegend=False, xaxis=axis, yaxis=money_axis(escape(unit))))
