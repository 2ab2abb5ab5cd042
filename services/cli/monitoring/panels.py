"""What a dashboard is: rows of panels, each with the queries it answers by. Data alone; docs/grafana.py makes Grafana's JSON of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.metrics import service, trading

Shape = Literal["timeseries", "stat"]
Unit = Literal["short", "percentunit", "s", "bytes", "eps", "bool_on_off", "dateTimeFromNow", "none"]
"""Grafana's names; amounts of currency are `short`."""
TRACED = tuple(each.name for each in (service.HANDLE_SECONDS, service.APPEND_SECONDS, trading.SUBMIT_SECONDS))
"""The histograms whose observations name the trace that shows them."""
RATE = "$__rate_interval"
"""Grafana's window: four scrapes at least, and more on a long axis."""


class Query(msgspec.Struct, frozen=True):
    """An expression, and what its series are called; `{{label}}` stands for a label's value."""

    expr: str
    legend: str

    @property
    def has_exemplars(self) -> bool:
        """Whether points of it lead to traces: it is worked out from a histogram that keeps an example for each bucket."""
        return any(f"{metric}_bucket" in self.expr for metric in TRACED)


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel. `empty_is_good` says why it shows nothing while all is well ("": it always has data).

    `red_above` and `red_below` colour a stat; `states` are words for values.
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    shape: Shape = "timeseries"
    width: int = 8
    empty_is_good: str = ""
    red_above: float | None = None
    red_below: float | None = None
    states: dict[int, str] = {}

    @property
    def names_services(self) -> bool:
        """Whether each of its series is one service's, so that a point leads to that service's log."""
        return all("{{service}}" in query.legend for query in self.queries)


class Row(msgspec.Struct, frozen=True):
    """Panels under one title."""

    title: str
    panels: tuple[Panel, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """One dashboard; its `uid` never changes, because links and alerts name it."""

    uid: str
    file: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def stat(
    title: str,
    description: str,
    unit: Unit,
    expr: str,
    *,
    legend: str = "",
    width: int = 4,
    empty_is_good: str = "",
    red_above: float | None = None,
    red_below: float | None = None,
    states: dict[int, str] | None = None,
) -> Panel:
    """A panel with one number, or one for each series."""
    return Panel(
        title=title,
        description=description,
        unit=unit,
        queries=(Query(expr, legend or title),),
        shape="stat",
        width=width,
        empty_is_good=empty_is_good,
        red_above=red_above,
        red_below=red_below,
        states=states or {},
    )


def lines(
    title: str,
    description: str,
    unit: Unit,
    *queries: tuple[str, str],
    width: int = 8,
    empty_is_good: str = "",
    states: dict[int, str] | None = None,
) -> Panel:
    """A panel with courses over time; each query is an expression and its legend."""
    return Panel(
        title=title,
        description=description,
        unit=unit,
        queries=tuple(Query(*each) for each in queries),
        width=width,
        empty_is_good=empty_is_good,
        states=states or {},
    )


def quantile(share: str, metric: str, *labels: str) -> str:
    """A quantile of a histogram over Grafana's window, by labels."""
    by = ", ".join([*labels, "le"])
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket[{RATE}])))"
