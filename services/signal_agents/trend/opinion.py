"""What the timeframes of one instrument come to: the shortest proposes, the longer ones confirm or there is no opinion."""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.messages import Bar, Signal
from services.signal_agents.trend.track import Bounds, Stance, Track

ADX_FULL = 50.0
"""The ADX at which a trend is as strong as trends get: strength 1."""


def opinion_of(bar: Bar, entry: Track, higher: Sequence[Track], bounds: Bounds) -> Signal:
    """The opinion after `bar`, the newest of `entry`, with the numbers of every timeframe that it rests on.

    The names of the numbers of `higher` end in their timeframe: `ema_fast_1h`.
    """
    is_ready = all(track.is_ready for track in (entry, *higher))
    stance: Stance = entry.proposes(bounds) if is_ready else "FLAT"
    if not all(track.confirms(stance) for track in higher):
        stance = "FLAT"
    evidence = {**entry.numbers(), **entry.context()}
    for track in higher:
        evidence |= {f"{name}_{track.shape.timeframe}": number for name, number in track.numbers().items()}
    return Signal(
        instrument=bar.instrument,
        timeframe=bar.timeframe,
        ready=is_ready,
        stance=stance,
        strength=min(1.0, (entry.adx.value or 0.0) / ADX_FULL) if stance != "FLAT" else 0.0,
        close_px=bar.close,
        atr=entry.atr.value or 0.0,
        evidence=evidence,
    )
