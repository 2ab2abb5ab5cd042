"""A breakout: LONG above the highest high of the bars before, SHORT below their lowest low, FLAT in between.

The whole agent is this file. What it may import and do, and how it comes into a running stack, stands in docs/strategies.md.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AgentSignals, Bar, FeedBars, FeedHistory, Message, Signal, Timeframe
from libs.runtime.machine import Effect, Publish
from libs.trading.bar_faults import fault_of
from libs.trading.indicators import ATR

AGENT_ID = "breakout"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each is set by BULKHEAD_AGENT_BREAKOUT_<NAME>."""

    timeframe: Timeframe = "1m"
    channel_bars: int = 20
    atr_n: int = 14


class Track(msgspec.Struct, kw_only=True):
    """What is remembered of one instrument."""

    atr: ATR
    bars: list[Bar] = []


class State(msgspec.Struct, kw_only=True):
    """Everything that is remembered: what is not in here is lost at a restart, and missed by a replay."""

    tracks: dict[str, Track] = {}


class BreakoutMachine:
    """Closed bars in, one `AgentSignals` a batch out."""

    Settings = Settings
    State = State

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """History warms and is not answered; a batch of bars that closed is answered with an opinion on each instrument."""
        match event:
            case FeedHistory():
                self._learn(event.bars, now)
            case FeedBars():
                signals = tuple(self._opinion(bar) for bar in self._learn(event.bars, now))
                if signals:
                    return [Publish(AgentSignals(agent_id=AGENT_ID, end_ts=event.end_ts, signals=signals))]
        return []

    def _learn(self, bars: tuple[Bar, ...], now: int) -> list[Bar]:
        """Take each bar once, when it has closed and never before; returns those that were new."""
        new = []
        for bar in sorted(bars, key=lambda bar: (bar.ts_close, bar.instrument)):
            if bar.timeframe != self.settings.timeframe or bar.ts_close > now or fault_of(bar):
                continue
            track = self.state.tracks.setdefault(bar.instrument, Track(atr=ATR(self.settings.atr_n)))
            if track.bars and bar.ts_close <= track.bars[-1].ts_close:
                continue
            track.atr.update(bar.high, bar.low, bar.close)
            track.bars = [*track.bars, bar][-self.settings.channel_bars - 1 :]
            new.append(bar)
        return new

    def _opinion(self, bar: Bar) -> Signal:
        track = self.state.tracks[bar.instrument]
        before = track.bars[:-1]
        ready = len(before) == self.settings.channel_bars and track.atr.ready_for_decisions
        top = max((each.high for each in before), default=bar.high)
        bottom = min((each.low for each in before), default=bar.low)
        stance = "FLAT" if not ready or bottom <= bar.close <= top else "LONG" if bar.close > top else "SHORT"
        return Signal(
            instrument=bar.instrument,
            timeframe=bar.timeframe,
            ready=ready,
            stance=stance,
            strength=0.0 if stance == "FLAT" else 1.0,
            close_px=bar.close,
            atr=track.atr.value or 0.0,
            evidence={"top": top, "bottom": bottom},
        )
