"""Each instrument's price with what was done in it: round trips, the exits their entries planned, and the zones that were known.

What is drawn is bounded: `INSTRUMENTS_MAX` charts (those most was done in), the latest `TRIPS_MAX` round trips of all, `ZONES_MAX` zones of a map.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

from libs.common.messages import LevelMap, PriceZone
from libs.research.report.charts import (
    AMBER,
    BLUE,
    GREEN,
    GREEN_VEIL,
    GREY,
    RED,
    RED_VEIL,
    VIOLET,
    Chart,
    Section,
    Trace,
    figure,
    figures,
    label,
    layout,
    money_axis,
    ms,
    time_axis,
)
from libs.research.report.markup import heading, paragraph, table
from libs.research.report.words import plural, price, signed_money, utc
from libs.research.result import BacktestResult
from libs.research.scribe import Entry, PriceBar
from libs.trading.round_trips import RoundTrip

INSTRUMENTS_MAX = 10
TRIPS_MAX = 2_000
ZONES_MAX = 12
FAR = 0.01
"""Two ways to an average exit price differ by more than this only if what was held most is not what was sold."""

Segment = tuple[int, int, Decimal | float]


def section(result: BacktestResult) -> Section:
    """A chart per instrument, those with the most round trips first."""
    trips = sorted((*result.trips.closed, *result.trips.open), key=lambda trip: trip.entry_ts)
    drawn = trips[-TRIPS_MAX:]
    counts = Counter(trip.instrument for trip in trips)
    names = sorted((name for name, bars in result.prices.items() if bars), key=lambda name: (-counts[name], name))
    parts: list[str | Chart] = []
    if not names:
        parts.append(paragraph("No prices were seen."))
    if len(trips) > len(drawn):
        parts.append(paragraph(f"Of {plural(len(trips), 'round trip')} the latest {len(drawn):,} are drawn.", "soft"))
    entries = {each.intent.intent_id: each for each in result.entries}
    for place, name in enumerate(names[:INSTRUMENTS_MAX]):
        mine = [trip for trip in drawn if trip.instrument == name]
        last = next((each for each in reversed(result.entries) if each.intent.instrument == name), None)
        levels = result.levels.get(name)
        parts += [
            heading(name),
            _chart(f"chart-price-{place}", result.prices[name], mine, entries, levels, last, result.quote),
        ]
        parts.append(
            _zone_table(levels)
            if levels is not None and levels.zones
            else paragraph("No zones were known at the end.", "soft")
        )
    if len(names) > INSTRUMENTS_MAX:
        parts.append(paragraph(f"{plural(len(names) - INSTRUMENTS_MAX, 'more instrument')} not drawn.", "soft"))
    return Section("prices", "Trades on the price", tuple(parts))


def _chart(
    key: str,
    bars: Sequence[PriceBar],
    trips: Sequence[RoundTrip],
    entries: dict[str, Entry],
    levels: LevelMap | None,
    last: Entry | None,
    quote: str,
) -> Chart:
    end = max(bars[-1].ts, *(trip.exit_ts for trip in trips)) if trips else bars[-1].ts
    planned = [(trip, each) for trip in trips for id_ in trip.intent_ids if (each := entries.get(id_)) is not None]
    stops = [(*_held(trip, each, end), px) for trip, each in planned if (px := each.intent.stop_px) is not None]
    targets = [(*_held(trip, each, end), px) for trip, each in planned if (px := each.intent.target_px) is not None]
    near = [(*_held(trip, each, end), px) for trip, each in planned for px in nearest(each)]
    data = [
        *_zones("at the end", levels, bars[0].ts, end, is_shown=True),
        *_zones(
            "at the last entry",
            last.levels if last is not None else None,
            bars[0].ts,
            last.intent.ts_event if last is not None else 0,
        ),
        _candles(bars),
        *_volume_prices(levels, bars[0].ts, end),
        _segments("zones beside an entry", near, VIOLET, "dot", is_shown=False),
        _segments("planned stop", stops, RED, "solid"),
        _segments("planned target", targets, GREEN, "solid"),
        *_marks(trips, quote),
    ]
    edges = [float(px) for _, _, px in (*stops, *targets)]
    low, high = min([*edges, *(bar.low for bar in bars)]), max([*edges, *(bar.high for bar in bars)])
    pad = (high - low) * 0.03 or high * 0.01
    axis = money_axis(label(quote), range=figures([low - pad, high + pad]))
    words = (
        f"{plural(len(bars), 'bar')} and {plural(len(trips), 'round trip')}. Triangles: entries (up: long, down: short); crosses: exits; lines between entry and exit: "
        "planned stop and target. What is grey in the legend is drawn when it is chosen there."
    )
    shown = [trace for trace in data if trace["x"]]
    return Chart(key, words, 560, shown, layout(xaxis=time_axis(range=[ms(bars[0].ts), ms(end)]), yaxis=axis))


def _held(trip: RoundTrip, entry: Entry, end: int) -> tuple[int, int]:
    begin = max(trip.entry_ts, entry.intent.ts_event)
    return begin, max(begin, end if trip.is_open else trip.exit_ts)


def nearest(entry: Entry) -> list[float]:
    """The middles of the zones next to the price of a wish, below and above, as they were known then."""
    zones, px = entry.levels.zones if entry.levels is not None else (), float(entry.intent.ref_px)
    below = max((zone.mid for zone in zones if zone.role == "SUPPORT" and zone.mid <= px), default=None)
    above = min((zone.mid for zone in zones if zone.role == "RESISTANCE" and zone.mid >= px), default=None)
    return [each for each in (below, above) if each is not None]


def exit_px(trip: RoundTrip) -> Decimal | None:
    """The average price of what was sold; None for what is still open.

    A round trip knows the most that was held and not how much was sold. They are the same but for trips that were left in part and entered again,
    where the quantity follows from the notional of the entries and their average price.
    """
    if trip.is_open or not trip.qty or not trip.entry_notional:
        return None
    simple = trip.exit_notional / trip.qty
    other = trip.avg_entry_px * trip.exit_notional / trip.entry_notional
    return simple if abs(simple - other) <= other * Decimal(str(FAR)) else other


def _candles(bars: Sequence[PriceBar]) -> Trace:
    return {
        "type": "candlestick",
        "name": "price",
        "x": [ms(bar.ts) for bar in bars],
        "open": figures([bar.open for bar in bars]),
        "high": figures([bar.high for bar in bars]),
        "low": figures([bar.low for bar in bars]),
        "close": figures([bar.close for bar in bars]),
        "increasing": {"line": {"color": GREY, "width": 1}, "fillcolor": "rgba(0,0,0,0)"},
        "decreasing": {"line": {"color": GREY, "width": 1}, "fillcolor": GREY},
    }


def _segments(name: str, segments: Iterable[Segment], color: str, dash: str, *, is_shown: bool = True) -> Trace:
    """Horizontal lines as one trace, with gaps between them."""
    times: list[int | None] = []
    values: list[float | None] = []
    for begin, end, px in segments:
        times += [ms(begin), ms(end), None]
        values += [figure(px), figure(px), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": values,
        "line": {"color": color, "width": 1.5, "dash": dash},
        "visible": True if is_shown else "legendonly",
        "hovertemplate": name + " %{y:,.8~g}<extra></extra>",
    }


def _zones(when: str, levels: LevelMap | None, begin: int, end: int, *, is_shown: bool = False) -> list[Trace]:
    """Zones as boxes, from when they were known: supports and resistances."""
    found = []
    for role, color in (("SUPPORT", GREEN_VEIL), ("RESISTANCE", RED_VEIL)):
        times: list[int | None] = []
        values: list[float | None] = []
        for zone in strongest(levels):
            if zone.role != role:
                continue
            since = min(max(zone.confirmed_ts, begin), end)
            times += [ms(since), ms(end), ms(end), ms(since), ms(since), None]
            values += [*figures([zone.lo, zone.lo, zone.hi, zone.hi, zone.lo]), None]
        found.append(
            {
                "type": "scatter",
                "mode": "lines",
                "fill": "toself",
                "name": f"{role.lower()} {when}",
                "x": times,
                "y": values,
                "line": {"color": color, "width": 1},
                "fillcolor": color,
                "hoverinfo": "skip",
                "visible": True if is_shown else "legendonly",
            }
        )
    return found


def strongest(levels: LevelMap | None) -> list[PriceZone]:
    """The zones of a map with the highest scores, lowest first; no more than `ZONES_MAX`."""
    if levels is None:
        return []
    kept = sorted(levels.zones, key=lambda zone: (-zone.score, zone.mid))[:ZONES_MAX]
    return sorted(kept, key=lambda zone: zone.mid)


def _volume_prices(levels: LevelMap | None, begin: int, end: int) -> list[Trace]:
    if levels is None:
        return []
    prices = [px for px in (levels.val, levels.poc, levels.vah) if px is not None]
    return [_segments("value area and its centre", [(begin, end, px) for px in prices], AMBER, "dash", is_shown=False)]


def _marks(trips: Sequence[RoundTrip], quote: str) -> list[Trace]:
    left = [(trip, px) for trip in trips if (px := exit_px(trip)) is not None]
    mark = {
        "type": "scatter",
        "mode": "markers",
        "hovertemplate": "%{x|%Y-%m-%d %H:%M}<br>%{y:,.8~g}<br>%{text}<extra></extra>",
    }
    symbols = ["triangle-up" if trip.direction == "LONG" else "triangle-down" for trip in trips]
    entries = {
        **mark,
        "name": "entry",
        "x": [ms(trip.entry_ts) for trip in trips],
        "y": figures([trip.avg_entry_px for trip in trips]),
        "text": [
            label(f"{trip.direction} {price(trip.qty)} ({', '.join(trip.agents) or 'nobody named'})") for trip in trips
        ],
        "marker": {"symbol": symbols, "size": 9, "color": BLUE, "line": {"width": 1, "color": "#fff"}},
    }
    exits = {
        **mark,
        "name": "exit",
        "x": [ms(trip.exit_ts) for trip, _ in left],
        "y": figures([px for _, px in left]),
        "text": [label(f"{trip.reason}: {signed_money(trip.pnl)} {quote}") for trip, _ in left],
        "marker": {
            "symbol": "x",
            "size": 8,
            "color": [GREEN if trip.pnl > 0 else RED for trip, _ in left],
            "line": {"width": 1, "color": "#fff"},
        },
    }
    return [entries, exits]


def _zone_table(levels: LevelMap) -> str:
    zones = strongest(levels)[::-1]
    rows = [
        (
            price(each.mid),
            each.role.lower(),
            price(each.lo),
            price(each.hi),
            str(each.touches),
            f"{each.score:.2f}",
            utc(each.confirmed_ts),
        )
        for each in zones
    ]
    columns = ("middle", "role", "from", "to", "turns", "score", "known since (UTC)")
    return table(f"The strongest zones at the end, {levels.timeframe}", columns, rows, words=(1,))
