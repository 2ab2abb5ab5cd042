"""The venue's own bars are believed only as far as they cannot change."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.timeframe import HOUR, MINUTE
from services.market_feed.frames import FrameRefused
from services.market_feed.klines import bars_of, complete_until, continuous
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
