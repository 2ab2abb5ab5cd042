"""History as the feed would have told it: instants, longer bars, and nothing before its time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from libs.common.messages import Bar, Timeframe
from libs.common.timeframe import DAY, MINUTE, STEP
from libs.research.bar_market import BadHistory, instants, marks_at


def bars(instrument: str, count: int, *, begin: int = 0, timeframe: Timeframe = "1m", skip: int = -1) -> Iterator[Bar]:
    """`count` flat bars from `begin` on, without the one at place `skip`."""
    step = STEP[timeframe]
    for place in range(count):
        if place == skip:
            continue
        opens = begin + place * step
        yield Bar(
            instrument=instrument,
            venue="test",
            timeframe=timeframe,
            ts_open=opens,
            ts_close=opens + step,
            open=100.0 + place,
            high=101.0 + place,
            low=99.0 + place,
            close=100.5 + place,
            volume=1.0,
        )


def test_bars_of_one_instant_are_told_together_and_longest_first() -> None:
    """At the end of a quarter of an hour both instruments' quarters stand before their minutes."""
    told = list(instants([bars("ETH-USDT", 15), bars("BTC-USDT", 15)]))
    assert [len(each.bars) for each in told] == [2] * 15
    assert [(bar.timeframe, bar.instrument) for bar in told[-1].closed] == [
        ("15m", "BTC-USDT"),
        ("15m", "ETH-USDT"),
        ("1m", "BTC-USDT"),
        ("1m", "ETH-USDT"),
    ]


def test_a_longer_bar_is_what_its_minutes_were() -> None:
    """Open of the first, close of the last, highest high, lowest low, all volume."""
    quarter = list(instants([bars("BTC-USDT", 15)]))[-1].closed[0]
    assert (quarter.open, quarter.high, quarter.low, quarter.close, quarter.volume) == (100.0, 115.0, 99.0, 114.5, 15.0)


def test_a_longer_bar_with_a_hole_is_never_told() -> None:
    """A quarter of an hour of which a minute is missing did not exist."""
    told = list(instants([bars("BTC-USDT", 30, skip=3)]))
    quarters = [bar.ts_close for each in told for bar in each.closed if bar.timeframe == "15m"]
    assert quarters == [30 * MINUTE]


def test_an_instrument_that_begins_later_joins_in_its_turn() -> None:
    """Instants are those of all series; each holds what closed then."""
    told = list(instants([bars("BTC-USDT", 4), bars("ETH-USDT", 2, begin=2 * MINUTE)]))
    assert [[bar.instrument for bar in each.bars] for each in told] == [
        ["BTC-USDT"],
        ["BTC-USDT"],
        ["BTC-USDT", "ETH-USDT"],
        ["BTC-USDT", "ETH-USDT"],
    ]


@pytest.mark.parametrize(
    "series",
    [
        pytest.param([[*bars("BTC-USDT", 2), *bars("BTC-USDT", 1)]], id="one that runs backwards"),
        pytest.param([[*bars("A-USDT", 1440)], [*bars("B-USDT", 1, timeframe="1d")]], id="minutes and days"),
    ],
)
def test_series_that_cannot_be_played_together_are_refused(series: list[list[Bar]]) -> None:
    """Bars that close at one instant are of one length, and time goes forward."""
    with pytest.raises(BadHistory, match="must all be of one length"):
        list(instants([iter(each) for each in series]))


def test_marks_lie_around_the_close_on_the_venues_grid() -> None:
    """Half a spread on each side, rounded to the tick; the mark is as old as the bar."""
    (bar,) = bars("BTC-USDT", 1, begin=DAY)
    (mark,) = marks_at([bar], {"BTC-USDT": 0.0001}, {"BTC-USDT": 2})
    assert (mark.bid_px, mark.ask_px, mark.last_px, mark.ts) == (100.49, 100.51, 100.5, bar.ts_close)
