"""Trades on the price: what is drawn where, and nothing that was not known then."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from libs.research.report.curves import drawdowns
from libs.research.report.prices import ZONES_MAX, exit_px, nearest, strongest
from libs.trading.round_trips import Fill, round_trips
from tests.unit.research.report.samples import (
    HOUR,
    NAME,
    START,
    charts_of,
    fills_of,
    forty_days,
    level_map,
    result_of_fills,
    trace,
    wish,
    zone,
)

MS = 1_000_000


def test_a_trip_is_drawn_from_its_entry_to_its_exit() -> None:
    """Entry and exit at their prices, and between them the stop and the target that were planned."""
    result = result_of_fills(fills_of(0, Decimal(20)), days=1, entries=[wish(0)])
    chart = charts_of(result)["chart-price-0"]
    begin, end = (START + HOUR) // MS, (START + 4 * HOUR) // MS
    entry, left = trace(chart, "entry"), trace(chart, "exit")
    assert (entry["x"], entry["y"], entry["marker"]["symbol"]) == ([begin], [100.0], ["triangle-up"])
    assert (left["x"], left["y"], left["text"]) == ([end], [121.0], ["STOP: +20.00 USDT"])
    for name, px in (("planned stop", 95.0), ("planned target", 110.0)):
        assert trace(chart, name)["x"] == [begin, end, None]
        assert trace(chart, name)["y"] == [px, px, None]


def test_a_wish_without_a_trip_is_not_drawn() -> None:
    """What was wished and never filled has no stop on the chart."""
    result = result_of_fills(fills_of(0, Decimal(20)), days=2, entries=[wish(0), wish(1)])
    assert len(trace(charts_of(result)["chart-price-0"], "planned stop")["x"]) == 3


def test_an_open_trip_goes_on_to_the_end() -> None:
    """It has an entry, its planned exits up to the last bar, and no exit."""
    result = result_of_fills(fills_of(0, Decimal(0), is_left=False), days=2, entries=[wish(0)])
    chart = charts_of(result)["chart-price-0"]
    assert "exit" not in [each["name"] for each in chart.data]
    assert trace(chart, "planned target")["x"][1] == (START + 47 * HOUR) // MS


def test_zones_begin_when_they_were_known() -> None:
    """A zone that was confirmed on the second day is no box on the first; one from before the bars begins with them."""
    old, new = zone(90, "SUPPORT", since=START - HOUR), zone(96, "SUPPORT", since=START + 24 * HOUR)
    result = result_of_fills([], days=2, levels={NAME: level_map(old, new)})
    drawn = trace(charts_of(result)["chart-price-0"], "support at the end")
    assert drawn["x"][0] == START // MS
    assert drawn["x"][6] == (START + 24 * HOUR) // MS
    assert drawn["y"][:6] == [89.0, 89.0, 91.0, 91.0, 89.0, None]


def test_an_entry_shows_the_zones_it_saw() -> None:
    """Beside an entry are the zones of the map of then, not of the map of the end."""
    then = level_map(zone(90, "SUPPORT"), zone(97, "SUPPORT"), zone(108, "RESISTANCE"), zone(120, "RESISTANCE"))
    entry = wish(0, levels=then)
    assert nearest(entry) == [97.0, 108.0]
    assert nearest(wish(0)) == []
    result = result_of_fills(
        fills_of(0, Decimal(20)), days=1, entries=[entry], levels={NAME: level_map(zone(50, "SUPPORT"))}
    )
    chart = charts_of(result)["chart-price-0"]
    assert trace(chart, "zones beside an entry")["y"] == [97.0, 97.0, None, 108.0, 108.0, None]
    last = trace(chart, "support at the last entry")
    assert last["y"][0] == 89.0
    assert max(x for x in last["x"] if x is not None) == entry.intent.ts_event // MS


def test_the_last_entry_is_the_last() -> None:
    """Of two wishes the zones of the later one are drawn."""
    maps = [level_map(zone(mid, "SUPPORT")) for mid in (60, 70)]
    result = result_of_fills([], days=2, entries=[wish(place, levels=levels) for place, levels in enumerate(maps)])
    last = trace(charts_of(result)["chart-price-0"], "support at the last entry")
    assert last["y"][0] == 69.0
    assert last["x"][1] == (START + 25 * HOUR) // MS


def test_only_the_strongest_zones_are_drawn() -> None:
    """Of many the ones with the highest scores, in order of price."""
    many = level_map(*(zone(50 + 3 * place, "SUPPORT", score=float(place % 10)) for place in range(30)))
    kept = strongest(many)
    assert len(kept) == ZONES_MAX
    assert min(each.score for each in kept) >= 6.0
    assert [each.mid for each in kept] == sorted(each.mid for each in kept)


def test_the_price_axis_holds_stops_and_not_far_zones() -> None:
    """A stop outside the prices widens the axis, a zone at half the price does not squeeze it."""
    far = wish(0, px=80)
    result = result_of_fills(
        fills_of(0, Decimal(20)), days=1, entries=[far], levels={NAME: level_map(zone(40, "SUPPORT"))}
    )
    low, high = charts_of(result)["chart-price-0"].layout["yaxis"]["range"]
    assert 70 < low < 75
    assert 112 < high < 115


def fill(side: str, qty: str, px: str, ts: int, base: str = "0") -> Fill:
    return Fill(
        instrument=NAME,
        side=side,
        qty=Decimal(qty),
        px=Decimal(px),
        ts=ts,
        base_commission=Decimal(base),
        exec_id=str(ts),
    )  # type: ignore[arg-type]


def test_an_exit_price_is_that_of_what_was_sold() -> None:
    """Commission kept from what was bought does not move the exit's price."""
    (trip,) = round_trips([fill("BUY", "1", "100", 1, base="0.001"), fill("SELL", "0.999", "110", 2)]).closed
    assert exit_px(trip) == pytest.approx(Decimal(110))


def test_a_trip_left_in_parts_has_an_average_exit() -> None:
    """Entered twice and left twice without being flat: the average of both exits and not their sum."""
    fills = [
        fill("BUY", "1", "100", 1),
        fill("SELL", "0.8", "110", 2),
        fill("BUY", "0.8", "100", 3),
        fill("SELL", "1", "110", 4),
    ]
    (trip,) = round_trips(fills).closed
    assert exit_px(trip) == pytest.approx(Decimal(110))


def test_instruments_with_the_most_trips_come_first() -> None:
    """Ten charts at most: those in which most was done."""
    quiet = {f"Q{place:02d}-USDT": forty_days().prices[NAME] for place in range(12)}
    result = result_of_fills(fills_of(0, Decimal(1)), days=1)
    charts = charts_of(msgspec.structs.replace(result, prices={**quiet, **result.prices}))
    prices = [each for key, each in charts.items() if key.startswith("chart-price")]
    assert len(prices) == 10
    assert trace(prices[0], "entry")["x"]
    assert all(trace["name"] != "entry" for chart in prices[1:] for trace in chart.data)


def test_drawdown_is_how_far_below_the_highest_so_far() -> None:
    """Zero at a high, a share below it otherwise, and nothing to fall from at nothing."""
    assert drawdowns([100.0, 110.0, 99.0, 120.0, 60.0]) == pytest.approx([0.0, 0.0, -0.1, 0.0, -0.5])
    assert drawdowns([0.0, 0.0]) == [0.0, 0.0]


def test_equity_and_drawdown_share_their_times() -> None:
    """Two lines on one axis: what is chosen above is seen below."""
    chart = charts_of(forty_days())["chart-equity"]
    equity, fall = trace(chart, "equity"), trace(chart, "drawdown")
    assert equity["x"] == fall["x"]
    assert "xaxis" not in equity
    assert "xaxis" not in fall
    assert equity["y"][-1] == 10_330.0
    assert min(fall["y"]) == pytest.approx(-30 / 10_060, rel=1e-6)
