"""Whose the result is: by agent, instrument, regime, hour and reason, and the trips that made most of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from heapq import nlargest, nsmallest
from statistics import fmean

from libs.common.money import ZERO
from libs.research.report.charts import Chart, Section, bars, figure
from libs.research.report.figures import interval
from libs.research.report.markup import Cell, heading, paragraph, table, toned
from libs.research.report.words import UNKNOWN, number, price, signed_money, signed_percent, span, utc
from libs.research.result import BacktestResult
from libs.trading.bootstrap import Interval, bootstrapped
from libs.trading.calibration import wilson
from libs.trading.round_trips import RoundTrip
from libs.trading.track_record import OBSERVATIONS_MIN, contributions
from libs.trading.trade_stats import grouped

HEADINGS = {
    "agent": "By agent that led the entry",
    "instrument": "By instrument",
    "regime": "By regime at the entry",
    "hour": "By hour of the entry (UTC)",
    "reason": "By reason of the exit",
}
GROUPS_MAX = 40
LARGEST = 10
NOBODY = "none named"


def section(result: BacktestResult) -> Section:
    """A table per label, the largest winners and losers, and the trips that are still open."""
    trips = result.trips
    parts: list[str | Chart] = []
    if not trips.closed:
        parts.append(paragraph("No round trip was closed: there is no result to divide."))
    for label in HEADINGS if trips.closed else ():
        parts += _by(label, result)
    if trips.closed:
        words = (
            "A trip that several agents led is in the group of each, so those groups may add up to more than the whole. Daily returns are those of full "
            f"days: what ended after the last midnight is not in them. Of fewer than {OBSERVATIONS_MIN} trips the expectancy has no interval."
        )
        parts.append(paragraph(words, "soft"))
        won = nlargest(LARGEST, (trip for trip in trips.closed if trip.pnl > 0), key=lambda trip: trip.pnl)
        lost = nsmallest(LARGEST, (trip for trip in trips.closed if trip.pnl < 0), key=lambda trip: trip.pnl)
        parts += [
            _trips("The largest winners", won, "There was no winner."),
            _trips("The largest losers", lost, "There was no loser."),
        ]
    if trips.open:
        parts.append(_trips("Still open, so far", list(trips.open), ""))
    return Section("attribution", "Where the result came from", tuple(parts))


def _by(label: str, result: BacktestResult) -> list[str | Chart]:
    groups = grouped(result.trips.closed, label)
    # the largest by what they did, good or bad; the hours keep their order
    largest = sorted(groups, key=lambda name: (-abs(_net(groups[name])), name))[:GROUPS_MAX]
    names = sorted(largest)
    rows = [_row(name, groups[name], result) for name in names]
    values = [figure(_net(groups[name])) for name in names]
    quote = result.quote
    columns = (
        label,
        "round trips",
        "win rate [low, high]",
        f"net result, {quote}",
        "added to daily returns",
        f"expectancy, {quote} [low, high]",
    )
    parts: list[str | Chart] = [heading(HEADINGS[label])]
    if len(names) > 1:
        words = f"Net result {HEADINGS[label][0].lower()}{HEADINGS[label][1:]}, in quote currency."
        parts.append(bars(f"chart-by-{label}", words, [name or NOBODY for name in names], values, quote))
    parts.append(table(HEADINGS[label], columns, rows, kind="quiet"))
    if len(groups) > len(names):
        parts.append(paragraph(f"{len(groups) - len(names):,} groups with smaller results are not shown.", "soft"))
    return parts


def _row(name: str, trips: Sequence[RoundTrip], result: BacktestResult) -> list[str | Cell]:
    count, net = len(trips), _net(trips)
    wins = sum(trip.pnl > 0 for trip in trips)
    rate = Interval(wins / count, *wilson(wins, count))
    share = math.fsum(contributions(trips, result.daily)) if result.daily.days else math.nan
    return [
        name or NOBODY,
        f"{count:,}",
        _with_bounds(rate, "%"),
        toned(signed_money(net), float(net)),
        signed_percent(share),
        _expectancy(trips),
    ]


def _expectancy(trips: Sequence[RoundTrip]) -> str:
    results = [float(trip.pnl) for trip in trips]
    if len(results) < OBSERVATIONS_MIN:
        return number(fmean(results))
    return _with_bounds(bootstrapped(results, fmean))


def _net(trips: Sequence[RoundTrip]) -> Decimal:
    return sum((trip.pnl for trip in trips), ZERO)


def _with_bounds(found: Interval, unit: str = "") -> str:
    value, low, high = interval(found, unit)
    return f"{value} [{low}, {high}]"


def _trips(title: str, trips: Sequence[RoundTrip], otherwise: str) -> str:
    if not trips:
        return heading(title) + paragraph(otherwise)
    columns = (
        "entry (UTC)",
        "exit (UTC)",
        "instrument",
        "way",
        "quantity",
        "entry price",
        "net result",
        "in R",
        "held",
        "agents",
        "regime",
        "reason",
    )
    return heading(title) + table(
        title, columns, [_trip(each) for each in trips], words=(1, 2, 3, 9, 10, 11), kind="quiet"
    )


def _trip(trip: RoundTrip) -> list[str | Cell]:
    return [
        utc(trip.entry_ts),
        "open" if trip.is_open else utc(trip.exit_ts),
        trip.instrument,
        trip.direction,
        price(trip.qty),
        price(trip.avg_entry_px),
        toned(signed_money(trip.pnl), float(trip.pnl)),
        f"{float(trip.pnl / trip.risk):+.2f}" if trip.risk else UNKNOWN,
        span(trip.holding_ns),
        ", ".join(trip.agents) or NOBODY,
        trip.regime,
        trip.reason,
    ]
