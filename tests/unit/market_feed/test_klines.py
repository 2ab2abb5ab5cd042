"""The venue's own bars are believed only as far as they cannot change."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import Bar
from libs.common.timeframe import HOUR, MINUTE
from services.market_feed.frames import FrameRefused
from services.market_feed.klines import bars_of, complete_until, continuous, sift
from tests.unit.market_feed.tape import BTC, T0, bar

MS = T0 // 1_000_000


def test_rows_become_bars() -> None:
    """The order is the venue's; a bar nobody traded in is marked."""
    first, second = bars_of([[MS, 1, 4.0, 0.5, 2.0, 7.25], [MS + 60_000, 2, 2, 2, 2, 0]], BTC, "binance", "1m")
    assert (first.open, first.high, first.low, first.close, first.volume, first.synthetic) == (
        1,
        4,
        0.5,
        2,
        7.25,
        False,
    )
    assert (second.ts_open, second.ts_close, second.synthetic) == (T0 + MINUTE, T0 + 2 * MINUTE, True)


@pytest.mark.parametrize(
    "row",
    [
        [MS + 1, 1.0, 1.0, 1.0, 1.0, 1.0],
        [None, 1.0, 1.0, 1.0, 1.0, 1.0],
        [MS, 1.0, 1.0, 1.0, 1.0],
        [MS, 1.0, 1.0, 1.0, None, 1.0],
        [MS, 1.0, 0.9, 1.0, 1.0, 1.0],
        [MS, 1.0, 1.0, 1.1, 1.0, 1.0],
        [MS, 0.0, 1.0, 0.0, 1.0, 1.0],
        [MS, 1.0, 1.0, 1.0, 1.0, -1.0],
        [MS, 1.0, float("inf"), 1.0, 1.0, 1.0],
    ],
)
def test_one_bad_row_discredits_the_answer(row: list[Any]) -> None:
    """Off its boundary, incomplete, a high below the low, not finite: nothing of such an answer is used."""
    with pytest.raises(FrameRefused):
        bars_of([[MS, 1.0, 1.0, 1.0, 1.0, 1.0], row], BTC, "binance", "1m")


def test_holes_are_filled_flat() -> None:
    """Where the venue leaves out minutes nobody traded in, the price stood still."""
    whole = continuous([bar(T0, px=5.0), bar(T0 + 3 * MINUTE, px=6.0)], T0 + 6 * MINUTE)
    assert [(b.ts_open, b.close, b.volume, b.synthetic) for b in whole] == [
        (T0, 5.0, 1.0, False),
        (T0 + MINUTE, 5.0, 0.0, True),
        (T0 + 2 * MINUTE, 5.0, 0.0, True),
        (T0 + 3 * MINUTE, 6.0, 1.0, False),
        (T0 + 4 * MINUTE, 6.0, 0.0, True),
        (T0 + 5 * MINUTE, 6.0, 0.0, True),
    ]


def test_an_empty_bar_repeats_the_close_before_it() -> None:
    """Whatever price a venue prints where nobody traded; the very first has none before it."""
    whole = continuous([bar(T0, px=4.0, volume=0), bar(T0 + MINUTE, px=9.0, volume=0)], T0 + 2 * MINUTE)
    assert [b.close for b in whole] == [4.0, 4.0]


def test_a_bar_that_is_still_open_is_left_out() -> None:
    """History ends at the boundary; without any bar there is none."""
    assert continuous([bar(T0, timeframe="1h")], T0 + HOUR - 1) == []
    assert continuous([], T0) == []


def test_bars_prove_themselves_up_to_the_newest_trade() -> None:
    """A later minute with a trade proves all before it; an empty one proves nothing."""
    assert complete_until([bar(T0), bar(T0 + MINUTE), bar(T0 + 2 * MINUTE, volume=0)]) == T0 + MINUTE
    assert complete_until([bar(T0, volume=0)]) == 0


def test_bars_that_are_not_in_order_discredit_the_answer() -> None:
    """A minute twice, or going back: a venue that has lost its clock, and whoever asks page by page would never end."""
    row = [MS, 1.0, 1.0, 1.0, 1.0, 1.0]
    for opens in (MS, MS - 60_000):
        with pytest.raises(FrameRefused):
            bars_of([row, [opens, *row[1:]]], BTC, "binance", "1m")


@pytest.mark.parametrize("place", [2, 3, 4, 5])
def test_a_number_beyond_this_world_discredits_the_answer(place: int) -> None:
    """A volume of 10^300 is finite; two of them are not."""
    row = [MS, 1.0, 1.0, 1.0, 1.0, 1.0]
    row[place] = 1e300
    with pytest.raises(FrameRefused):
        bars_of([row], BTC, "binance", "1m")


# --- implausible bars ---------------------------------------------------------------------------------------------


def closes(*prices: float, volume: float = 1.0) -> list[Bar]:
    """A minute each at these prices."""
    return [bar(T0 + n * MINUTE, px=px, volume=volume) for n, px in enumerate(prices)]


def sifted(bars: list[Bar], reference_px: float = 100.0, px_now: float = 0.0) -> tuple[list[float], list[float]]:
    """The closes kept and the closes refused."""
    kept, refused = sift(bars, reference_px, px_now)
    return [each.close for each in kept], [each.close for each, _ in refused]


def test_a_bar_nobody_confirms_is_refused() -> None:
    """Forty percent down for one minute and back: a misprint in the venue's own bar."""
    assert sifted(closes(100.0, 60.0, 100.5)) == ([100.0, 100.5], [60.0])


def test_a_crash_of_a_minute_is_kept() -> None:
    """The next bar goes on where it ended."""
    assert sifted(closes(100.0, 60.0, 60.5)) == ([100.0, 60.0, 60.5], [])


def test_the_last_bar_of_a_crash_is_confirmed_by_the_price_of_now() -> None:
    """Nothing follows it yet: what is trusted at this moment does; else a crash would leave the feed as a minute nobody traded in."""
    assert sifted(closes(100.0, 60.0)) == ([100.0], [60.0])
    assert sifted(closes(100.0, 60.0), px_now=60.3) == ([100.0, 60.0], [])
    assert sifted(closes(100.0, 60.0), px_now=100.0) == ([100.0], [60.0])


def test_a_wick_that_stands_alone_is_refused() -> None:
    """The close is where it was, the low is not of this market, and the next bar cannot confirm it."""
    wick = msgspec.structs.replace(bar(T0), low=40.0)
    assert sifted([wick, *closes(100.0, 100.0)[1:]]) == ([100.0], [100.0])


def test_another_unit_is_refused_however_long_it_lasts() -> None:
    """A tenth of the price confirms itself never, in bars as in prints."""
    assert sifted(closes(100.0, 10.0, 10.0, 10.0)) == ([100.0], [10.0, 10.0, 10.0])


def test_one_wrong_bar_at_the_beginning_does_not_judge_the_rest() -> None:
    """No close is known before history: the middle of three is, not the first."""
    assert sifted(closes(1_000.0, 100.0, 101.0, 100.5), 0.0) == ([100.0, 101.0, 100.5], [1_000.0])
    assert sifted(closes(100.0, 1_000.0, 101.0, 100.5), 0.0) == ([100.0, 101.0, 100.5], [1_000.0])
    assert sifted([], 0.0) == ([], [])


def test_an_empty_bar_confirms_nothing() -> None:
    """A minute without trades repeats whatever was before it."""
    bars = [*closes(100.0, 60.0), bar(T0 + 2 * MINUTE, px=60.0, volume=0.0)]
    assert sifted(bars)[1][0] == 60.0


def test_a_refused_bar_is_a_flat_one_in_history() -> None:
    """The hole it leaves is filled at the close before; the series stays whole."""
    kept, _ = sift(closes(100.0, 60.0, 100.5), 100.0)
    whole = continuous(kept, T0 + 3 * MINUTE)
    assert [(each.close, each.synthetic) for each in whole] == [(100.0, False), (100.0, True), (100.5, False)]


@given(st.lists(st.sampled_from((1.0, 1.1, 0.9, 0.5, 2.0, 10.0, 0.1)), max_size=30), st.sampled_from((0.0, 100.0)))
def test_every_bar_is_kept_or_refused(factors: list[float], reference_px: float) -> None:
    """None is lost, none is made up, and their order stays."""
    prices = [100.0 * factor for factor in factors]
    kept, refused = sift(closes(*prices), reference_px)
    both = sorted([*kept, *(each for each, _ in refused)], key=lambda each: each.ts_open)
    assert both == closes(*prices)
    assert [each.ts_open for each in kept] == sorted(each.ts_open for each in kept)
