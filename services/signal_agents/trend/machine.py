"""The trend agent: an opinion per instrument on every closed bar of one timeframe.

Theory of operation. A trend is there when the fast EMA is on one side of the slow one and ADX says that moves are directed; RSI
keeps the agent from joining a move that has already run. LONG: fast > slow, ADX above its threshold, RSI below the
overbought bound. SHORT is the mirror image. Everything else is FLAT.

Each instrument has one track of indicators, fed by every bar once: a bar that does not close later than the last one seen is
ignored, wherever it comes from. `FeedHistory` warms a track and is never answered; a history that arrives after live bars
adds only what is newer. Synthetic bars count: a market without trades is a fact about the market.

Numbers across a hole in time are worth nothing. If more than `gap_bars_max` bars are missing between two bars, the
track starts again cold and says so: `ready` is False until it is warm. The same happens after a change of the settings
that shape the indicators. Freshness is not judged here: a back-filled batch is answered like any other.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AgentSignals, AlertRaised, Bar, FeedBars, FeedHistory, Message, Signal
from libs.common.timeframe import STEP
from libs.runtime.machine import Effect, Publish, Reject
from libs.trading.bar_faults import fault_of, misplaced
from services.signal_agents.trend.track import Bounds, Shape, Track

AGENT_ID = "trend"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change an opinion."""

    shape: Shape
    bounds: Bounds
    gap_bars_max: int


class State(msgspec.Struct, kw_only=True):
    """The tracks by instrument."""

    tracks: dict[str, Track] = {}


class TrendMachine:
    """Closed bars in, one `AgentSignals` a batch out."""

    Settings = Settings
    State = State

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event; only bars and their history concern this agent."""
        match event:
            case FeedBars():
                return self._signal(event)
            case FeedHistory():
                return self._warm(event)
        return []

    def _warm(self, history: FeedHistory) -> list[Effect]:
        if history.timeframe != self.settings.shape.timeframe:
            return []
        if any((bar.instrument, bar.timeframe) != (history.instrument, history.timeframe) for bar in history.bars):
            return [Reject("BARS_CONTRADICT", f"a bar in the history of {history.instrument} is of something else")]
        if faults := [fault for bar in history.bars if (fault := fault_of(bar))]:
            return [Reject("BAD_BAR", faults[0])]
        for bar in sorted(history.bars, key=lambda bar: bar.ts_close):
            self._fold(bar)
        return []

    def _signal(self, batch: FeedBars) -> list[Effect]:
        bars = [bar for bar in batch.bars if bar.timeframe == self.settings.shape.timeframe]
        if faults := [fault for bar in bars if (fault := fault_of(bar) or misplaced(bar, batch.end_ts))]:
            return [Reject("BAD_BAR", faults[0])]
        signals: list[Signal] = []
        alerts: list[Effect] = []
        for bar in sorted(bars, key=lambda bar: bar.instrument):
            known_until = self._known_until(bar.instrument)
            if not self._fold(bar):
                continue
            track = self.state.tracks[bar.instrument]
            signals.append(track.signal(bar, self.settings.bounds))
            if known_until and track.ema_slow.age == 1:
                alerts.append(Publish(_gap_alert(bar, known_until)))
        if not signals:
            return []
        answer = AgentSignals(agent_id=AGENT_ID, end_ts=batch.end_ts, signals=tuple(signals))
        return [Publish(answer), *alerts]

    def _known_until(self, instrument: str) -> int:
        track = self.state.tracks.get(instrument)
        return track.ts_close_last if track is not None and track.shape == self.settings.shape else 0

    def _fold(self, bar: Bar) -> bool:
        """Let the instrument's track see `bar`; False if it has already seen this bar or a later one."""
        shape = self.settings.shape
        track = self.state.tracks.get(bar.instrument)
        if track is not None and track.shape == shape:
            if bar.ts_close <= track.ts_close_last:
                return False
            if bar.ts_open - track.ts_close_last > self.settings.gap_bars_max * STEP[shape.timeframe]:
                track = None
        if track is None or track.shape != shape:
            track = self.state.tracks[bar.instrument] = Track.cold(shape)
        track.update(bar)
        return True


def _gap_alert(bar: Bar, known_until: int) -> AlertRaised:
    hours = (bar.ts_open - known_until) / STEP["1h"]
    text = (
        f"{AGENT_ID}: {hours:.1f} h of {bar.instrument} {bar.timeframe} bars are missing; no opinion until warm again"
    )
    return AlertRaised(code="INDICATORS_COLD", severity="ticket", text=text, instrument=bar.instrument)
