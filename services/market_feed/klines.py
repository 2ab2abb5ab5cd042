"""The venue's own bars, as REST tells them: checked, without holes, and only as far as they cannot change any more.

Theory of operation. A REST kline carries no "closed" flag, and the newest one is usually still open. A minute is complete in
an answer (a) if the same answer knows a trade of a later minute, because a venue counts its trades in order, or (b) if the
venue's own clock was `grace` past the minute's end before it was asked, or (c) if the caller has been waiting for it long
enough in its own time that (b) would hold if the venue's clock moved at all (lock-step).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from libs.common.messages import Bar, Timeframe
from libs.common.timeframe import STEP, bar_open
from services.market_feed.doubt import SanityLimits, is_power_of_ten
from services.market_feed.frames import NUMBER_MAX, FrameRefused, to_ns

Row = Sequence[Any]
MOVE_MAX: dict[str, float] = {"1m": 0.25, "15m": 0.3, "1h": 0.35, "4h": 0.4, "1d": 0.6, "1w": 0.9}
"""The largest move of a price against the close before that a bar of this timeframe may show and be believed alone."""
GOES_ON = 0.02


def bars_of(rows: Iterable[Row], instrument: str, venue: str, timeframe: Timeframe) -> list[Bar]:
    """The bars in ccxt's `[ms, open, high, low, close, volume]` rows, oldest first.

    Raises:
        FrameRefused: a row that is no bar of this timeframe, or not later than the one before: the whole answer is not to be believed.
    """
    bars = [_bar(row, instrument, venue, timeframe) for row in rows]
    if any(later.ts_open <= early.ts_open for early, later in pairwise(bars)):
        raise FrameRefused("BAD_KLINE")
    return bars


def _bar(row: Row, instrument: str, venue: str, timeframe: Timeframe) -> Bar:
    opens, values = to_ns(row[0]), row[1:6]
    if len(values) != 5 or not all(isinstance(value, (int, float)) and 0 <= value <= NUMBER_MAX for value in values):
        raise FrameRefused("BAD_KLINE")
    px_open, high, low, close, volume = map(float, values)
    if bar_open(opens, timeframe) != opens or not 0 < low <= min(px_open, close) <= max(px_open, close) <= high:
        raise FrameRefused("BAD_KLINE")
    return Bar(
        instrument=instrument,
        venue=venue,
        timeframe=timeframe,
        ts_open=opens,
        ts_close=opens + STEP[timeframe],
        open=px_open,
        high=high,
        low=low,
        close=close,
        volume=volume,
        synthetic=volume == 0,
    )


class Sifted(NamedTuple):
    """Bars that may be believed, oldest first, and those that may not, each with the price it was judged by."""

    kept: list[Bar]
    refused: list[tuple[Bar, float]]


def sift(bars: Sequence[Bar], reference_px: float, px_now: float = 0.0) -> Sifted:
    """Judge `bars` (oldest first) from `reference_px` on, the close before the first; 0.0: the middle of the first three closes.

    `px_now` is what is trusted at this moment: it confirms a last bar that nothing follows yet (0.0: nobody knows).
    """
    kept: list[Bar] = []
    refused: list[tuple[Bar, float]] = []
    px = reference_px or (median(bar.close for bar in bars[:3]) if bars else 0.0)
    for place, bar in enumerate(bars):
        later = bars[place + 1] if place + 1 < len(bars) else None
        next_px = px_now if later is None else later.open if later.volume else 0.0
        if px and not _is_near(bar, px) and (_is_other_unit(bar, px) or not _goes_on(bar, next_px)):
            refused.append((bar, px))
            continue
        kept.append(bar)
        px = bar.close
    return Sifted(kept, refused)


def _is_near(bar: Bar, px: float) -> bool:
    most = MOVE_MAX[bar.timeframe]
    return bar.high <= px * (1.0 + most) and bar.low >= px * (1.0 - most)


def _is_other_unit(bar: Bar, px: float) -> bool:
    return is_power_of_ten(bar.close, px, SanityLimits().unit_tolerance)


def _goes_on(bar: Bar, next_px: float) -> bool:
    """Whether the next price confirms where this bar ended, and no wick of it stands alone."""
    if not next_px or abs(next_px / bar.close - 1.0) > GOES_ON:
        return False
    body = max(bar.open, bar.close), min(bar.open, bar.close)
    most = MOVE_MAX[bar.timeframe]
    return bar.high <= body[0] * (1.0 + most) and bar.low >= body[1] * (1.0 - most)


def continuous(bars: Sequence[Bar], until: int) -> list[Bar]:
    """`bars` up to `until`, with every hole and a missing end filled flat at the close before, and empty bars made flat."""
    whole: list[Bar] = []
    for bar in bars:
        if bar.ts_close > until:
            break
        if whole:
            whole += _flat(whole[-1], bar.ts_open)
        is_empty = bar.volume == 0 and whole
        whole += _flat(whole[-1], bar.ts_close) if is_empty else [bar]
    return whole + _flat(whole[-1], until) if whole else []


def _flat(last: Bar, until: int) -> list[Bar]:
    step = STEP[last.timeframe]
    px = last.close
    return [
        Bar(
            instrument=last.instrument,
            venue=last.venue,
            timeframe=last.timeframe,
            ts_open=opens,
            ts_close=opens + step,
            open=px,
            high=px,
            low=px,
            close=px,
            volume=0.0,
            synthetic=True,
        )
        for opens in range(last.ts_close, until - step + 1, step)
    ]


def complete_until(bars: Sequence[Bar]) -> int:
    """Up to where these bars prove themselves: the opening of the newest one that has a trade; 0 without one."""
    return max((bar.ts_open for bar in bars if bar.volume > 0), default=0)
