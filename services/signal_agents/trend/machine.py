"""The trend agent: an opinion per instrument on every closed bar of one timeframe, confirmed by longer ones.

Theory of operation. A trend is there when the fast EMA is on one side of the slow one and ADX says that moves are directed; RSI
keeps the agent from joining a move that has already run. So the entry timeframe proposes: LONG if fast > slow, ADX above its
threshold, RSI below the overbought bound; SHORT is the mirror image; everything else is FLAT.

The higher timeframes have a veto and nothing else: LONG stands only if in each of them fast > slow, SHORT only if fast < slow, else the
opinion is FLAT. Only the EMAs are asked, because they say which way; that the move is directed, and has not run yet, is a question
about the moment of entry, and asked there once. Strength remains the entry timeframe's ADX: agreement is a condition, and what
every opinion has in common makes none of them stronger. Without higher timeframes the proposal is the opinion.

Each instrument has one track of indicators a timeframe, fed by every bar once (`libs/trading/bar_runs.py`). All bars that close at one
instant are one batch: the longer ones are folded first, then every instrument whose entry bar closed gets one opinion. A batch
without it moves the tracks and says nothing. `FeedHistory` warms and is never answered; a history that arrives after live
bars adds only what is newer. Synthetic bars count: a market without trades is a fact about the market.

Numbers across a hole in time are worth nothing. If more than `gap_bars_max` bars of a timeframe are missing, between two bars or because
they did not come by the instant of an opinion, that track starts again cold and says so once: `ready` is False until every track
is warm. The same happens after a change of the spans. 250 bars of 4h are six weeks, so the tracks of all timeframes above the entry's
are kept, asked or not: a change of `higher` finds them warm. Freshness is not judged here: a back-filled batch is answered like
any other.
"""

from __future__ import annotations

from functools import partial

import msgspec

from libs.common.messages import AgentSignals, AlertRaised, Bar, FeedBars, FeedHistory, Message, Signal
from libs.common.timeframe import STEP, bar_open
from libs.runtime.machine import Effect, Publish, Reject
from libs.trading.bar_faults import fault_of, foreign_bar, misplaced
from libs.trading.bar_runs import closed_by, fold, hole_before
from services.signal_agents.trend.opinion import opinion_of
from services.signal_agents.trend.track import Bounds, Shape, Track

AGENT_ID = "trend"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change an opinion. `shape` is the entry timeframe's; the `higher` ones have its spans, shortest first.

    A start from before there were higher timeframes has none, which meant then what it means now.
    """

    shape: Shape
    bounds: Bounds
    gap_bars_max: int
    higher: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        steps = [STEP.get(timeframe, 0) for timeframe in self.timeframes]
        if 0 in steps or steps != sorted(set(steps)):
            raise ValueError(f"timeframes {', '.join(self.timeframes)} must be known ones, shortest first")

    @property
    def timeframes(self) -> tuple[str, ...]:
        """All that an opinion rests on, the entry's first."""
        return (self.shape.timeframe, *self.higher)


class State(msgspec.Struct, kw_only=True):
    """The tracks by instrument and timeframe."""

    tracks: dict[str, dict[str, Track]] = {}


class TrendMachine:
    """Closed bars in, one `AgentSignals` a batch out."""

    Settings = Settings
    State = State

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = State()
        entry = settings.shape
        self._shapes = {
            timeframe: msgspec.structs.replace(entry, timeframe=timeframe)
            for timeframe, step in STEP.items()
            if step >= STEP[entry.timeframe]
        }

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event; only bars and their history concern this agent."""
        match event:
            case FeedBars():
                return self._signal(event)
            case FeedHistory():
                return self._warm(event, now)
        return []

    def _warm(self, history: FeedHistory, now: int) -> list[Effect]:
        if history.timeframe not in self._shapes:
            return []
        if foreign := foreign_bar(history):
            return [Reject("BARS_CONTRADICT", foreign)]
        if faults := [fault for bar in history.bars if (fault := fault_of(bar))]:
            return [Reject("BAD_BAR", faults[0])]
        for bar in closed_by(now, history.bars):
            self._fold(bar)
        return []

    def _signal(self, batch: FeedBars) -> list[Effect]:
        bars = [bar for bar in batch.bars if bar.timeframe in self._shapes]
        if not bars:
            return []
        if faults := [fault for bar in bars if (fault := fault_of(bar) or misplaced(bar, batch.end_ts))]:
            return [Reject("BAD_BAR", faults[0])]
        signals: list[Signal] = []
        alerts: list[AlertRaised] = []
        for bar in sorted(bars, key=lambda bar: (bar.instrument, -STEP[bar.timeframe])):
            hole_ns = self._fold(bar)
            if hole_ns and bar.timeframe in self.settings.timeframes:
                alerts.append(_gap_alert(bar.instrument, bar.timeframe, hole_ns))
            if bar.timeframe == self.settings.shape.timeframe and hole_ns is not None:
                alerts += self._break_off(bar.instrument, batch.end_ts)
                signals.append(self._opinion(bar))
        answer = AgentSignals(agent_id=AGENT_ID, end_ts=batch.end_ts, signals=tuple(signals))
        return [Publish(message) for message in ([answer] if signals else []) + alerts]

    def _opinion(self, bar: Bar) -> Signal:
        entry, *higher = (
            self._track(bar.instrument, timeframe) or Track.cold(self._shapes[timeframe])
            for timeframe in self.settings.timeframes
        )
        return opinion_of(bar, entry, higher, self.settings.bounds)

    def _break_off(self, instrument: str, end_ts: int) -> list[AlertRaised]:
        """Start again cold what should know more by `end_ts` than it does: its bars have closed and did not come."""
        alerts = []
        for timeframe in self.settings.higher:
            track = self._track(instrument, timeframe)
            known_until = track.ts_close_last if track is not None else 0
            hole_ns = hole_before(bar_open(end_ts, timeframe), known_until, timeframe, self.settings.gap_bars_max)
            if hole_ns:
                self.state.tracks[instrument][timeframe] = Track.cold(self._shapes[timeframe])
                alerts.append(_gap_alert(instrument, timeframe, hole_ns))
        return alerts

    def _fold(self, bar: Bar) -> int | None:
        """Let the bar's track see it; returns the hole (ns) that this found, None if the bar was known already."""
        known = self._track(bar.instrument, bar.timeframe)
        cold = partial(Track.cold, self._shapes[bar.timeframe])
        folded = fold(known, bar, self.settings.gap_bars_max, cold)
        if folded is None:
            return None
        self.state.tracks.setdefault(bar.instrument, {})[bar.timeframe] = folded.track
        return folded.hole_ns

    def _track(self, instrument: str, timeframe: str) -> Track | None:
        """The track of today's shape, if there is one."""
        track = self.state.tracks.get(instrument, {}).get(timeframe)
        return track if track is not None and track.shape == self._shapes[timeframe] else None


def _gap_alert(instrument: str, timeframe: str, hole_ns: int) -> AlertRaised:
    hours = hole_ns / STEP["1h"]
    text = f"{AGENT_ID}: {hours:.1f} h of {instrument} {timeframe} bars are missing; no opinion until warm again"
    return AlertRaised(code="INDICATORS_COLD", severity="ticket", text=text, instrument=instrument)
