"""The levels agent: where the market has turned and where it has traded, per instrument, on every closed bar of one timeframe.

Theory of operation. Each instrument has one track, a map over the last `bars_max` bars (`libs/trading/price_map.py`), fed by every
bar once: a bar that does not close later than the last one seen is ignored, wherever it comes from. `FeedHistory` fills a track and
is never answered. A batch of closed bars is answered with one `LevelsMapped`, the maps of its instruments as of that instant. What
was said is never said otherwise: a turn counts from the bar that confirms it, so no later bar changes what this one could know.

Synthetic bars count: a market without trades is a fact about the market. A hole in time forgets nothing by itself, because a turn that
was confirmed stays one. But the ATR, in which everything is measured, is that of the bars around the hole: after more than
`gap_bars_max` missing bars the track starts again cold and says so; `ready` is False until it is warm. So it does after a
change of the settings that shape it. Volumes are added as the feed tells them, whatever venue spoke.

`FeedStatus` is heard for one number, the price tick: a row of the volume profile is ten ticks at least.
"""

from __future__ import annotations

from functools import partial

import msgspec

from libs.common.messages import AlertRaised, Bar, FeedBars, FeedHistory, FeedStatus, LevelMap, LevelsMapped, Message
from libs.common.timeframe import STEP
from libs.runtime.machine import Effect, Publish, Reject
from libs.trading.bar_faults import fault_of, foreign_bar, misplaced
from libs.trading.bar_runs import Folded, closed_by, fold
from services.signal_agents.levels.track import Shape, Track

AGENT_ID = "levels"
ZONES_MAX = 12
"""Of one instrument; weaker ones are not said, so that a message for many instruments stays small."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change a map."""

    shape: Shape
    gap_bars_max: int


class State(msgspec.Struct, kw_only=True):
    """The tracks and the price ticks by instrument."""

    tracks: dict[str, Track] = {}
    px_ticks: dict[str, float] = {}


class LevelsMachine:
    """Closed bars in, one `LevelsMapped` a batch out."""

    Settings = Settings
    State = State

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event; only bars, their history and the venue's ticks concern this agent."""
        match event:
            case FeedBars():
                return self._map(event)
            case FeedHistory():
                return self._fill(event, now)
            case FeedStatus():
                self.state.px_ticks.update({spec.instrument: float(spec.px_tick) for spec in event.specs})
        return []

    def _fill(self, history: FeedHistory, now: int) -> list[Effect]:
        if history.timeframe != self.settings.shape.timeframe:
            return []
        if foreign := foreign_bar(history):
            return [Reject("BARS_CONTRADICT", foreign)]
        if faults := [fault for bar in history.bars if (fault := fault_of(bar))]:
            return [Reject("BAD_BAR", faults[0])]
        for bar in closed_by(now, history.bars):
            self._fold(bar)
        return []

    def _map(self, batch: FeedBars) -> list[Effect]:
        bars = [bar for bar in batch.bars if bar.timeframe == self.settings.shape.timeframe]
        if not bars:
            return []
        if faults := [fault for bar in bars if (fault := fault_of(bar) or misplaced(bar, batch.end_ts))]:
            return [Reject("BAD_BAR", faults[0])]
        maps: list[LevelMap] = []
        alerts: list[Effect] = []
        for bar in sorted(bars, key=lambda bar: bar.instrument):
            folded = self._fold(bar)
            if folded is None:
                continue
            px_tick = self.state.px_ticks.get(bar.instrument, 0.0)
            maps.append(folded.track.said_of(bar.instrument, px_tick, ZONES_MAX))
            if folded.hole_ns:
                alerts.append(Publish(_cold_alert(bar, folded.hole_ns)))
        if not maps:
            return []
        return [Publish(LevelsMapped(agent_id=AGENT_ID, end_ts=batch.end_ts, maps=tuple(maps))), *alerts]

    def _fold(self, bar: Bar) -> Folded[Track] | None:
        """Let the instrument's track see `bar`; None if it was known already."""
        track = self.state.tracks.get(bar.instrument)
        if track is not None and track.shape != self.settings.shape:
            track = None
        folded = fold(track, bar, self.settings.gap_bars_max, partial(Track.cold, self.settings.shape))
        if folded is not None:
            self.state.tracks[bar.instrument] = folded.track
        return folded


def _cold_alert(bar: Bar, hole_ns: int) -> AlertRaised:
    missing = hole_ns // STEP[bar.timeframe]
    text = f"{AGENT_ID}: {missing} {bar.timeframe} bars of {bar.instrument} are missing; no levels until warm again"
    return AlertRaised(code="LEVELS_COLD", severity="ticket", text=text, instrument=bar.instrument)
