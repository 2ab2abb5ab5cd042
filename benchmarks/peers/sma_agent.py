"""The agent of the benchmark, as a user would bring it: LONG while SMA 20 of the closes is above SMA 50, FLAT otherwise.

Its `atr` is no measurement but a fixed share of the price, so that stop and target stand at fixed distances and far away.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AgentSignals, Bar, FeedBars, Message, Signal, Timeframe
from libs.runtime.machine import Effect, Publish

AGENT_ID = "sma"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each is set by BULKHEAD_AGENT_SMA_<NAME>."""

    timeframe: Timeframe = "1m"
    fast: int = 20
    slow: int = 50
    atr_share: float = 0.02


class Track(msgspec.Struct, kw_only=True):
    """What is remembered of one instrument: the last closes, the oldest first, and the sums of the last of them."""

    closes: list[float] = []
    fast_sum: float = 0.0
    slow_sum: float = 0.0


class State(msgspec.Struct, kw_only=True):
    """Everything that is remembered."""

    tracks: dict[str, Track] = {}


class SmaMachine:
    """Closed bars in, one `AgentSignals` a batch out."""

    Settings = Settings
    State = State

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """An opinion on every instrument whose bar has closed."""
        if not isinstance(event, FeedBars):
            return []
        wanted = self.settings.timeframe
        signals = tuple([self._opinion(bar) for bar in event.bars if bar.timeframe == wanted])
        return [Publish(AgentSignals(agent_id=AGENT_ID, end_ts=event.end_ts, signals=signals))] if signals else []

    def _opinion(self, bar: Bar) -> Signal:
        told, close = self.settings, bar.close
        track = self.state.tracks.get(bar.instrument)
        if track is None:
            track = self.state.tracks[bar.instrument] = Track()
        closes = track.closes
        track.fast_sum += close - (closes[-told.fast] if len(closes) >= told.fast else 0.0)
        track.slow_sum += close
        if len(closes) == told.slow:
            track.slow_sum -= closes.pop(0)
        closes.append(close)
        ready = len(closes) == told.slow
        is_long = ready and track.fast_sum / told.fast > track.slow_sum / told.slow
        return Signal(
            instrument=bar.instrument,
            timeframe=bar.timeframe,
            ready=ready,
            stance="LONG" if is_long else "FLAT",
            strength=1.0 if is_long else 0.0,
            close_px=close,
            atr=close * told.atr_share,
            evidence={},
        )
