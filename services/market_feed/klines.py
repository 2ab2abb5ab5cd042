"""The venue's own bars, as REST tells them: checked, without holes, and only as far as they cannot change any more.

Theory of operation. A REST kline carries no "closed" flag, and the newest one is usually still open. A minute is complete in
an answer (a) if the same answer knows a trade of a later minute, because a venue counts its trades in order, or (b) if the
venue's own clock was `grace` past the minute's end before it was asked, or (c) if the caller has been waiting for it long
enough in its own time that (b) would hold if the venue's clock moved at all (lock-step).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from libs.common.messages import Bar, Timeframe
from libs.common.timeframe import STEP, bar_open
from services.market_feed.frames import FrameRefused, to_ns

Row = Sequence[Any]
_INFINITY = float("inf")


def bars_of(rows: Iterable[Row], instrument: str, venue: str, timeframe: Timeframe) -> list[Bar]:
    """The bars in ccxt's `[ms, open, high, low, close, volume]` rows, oldest first.

    Raises:
        FrameRefused: a row that is no bar of this timeframe: the whole answer is not to be believed.
    """
    return [_bar(row, instrument, venue, timeframe) for row in rows]


def _bar(row: Row, instrument: str, venue: str, timeframe: Timeframe) -> Bar:
    opens, values = to_ns(row[0]), row[1:6]
    if len(values) != 5 or not all(isinstance(value, (int, float)) and 0 <= value < _INFINITY for value in values):
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
