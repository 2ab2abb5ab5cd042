"""The macro agent: the weekly regime of each instrument, BULL, BEAR, NEUTRAL or UNKNOWN.

Theory of operation. A regime rests on closed weeks only, Monday to Sunday UTC; the week that is still open never counts, so that
what is said at an instant is what anybody looking back would say of it (prefix invariance). How a week votes stands in
`rule.py`, when its numbers count in `track.py`. Closed days give a context for people and models; they decide nothing.

History warms and is not answered. What there is to say waits for the next batch of bars, of whatever timeframe, and leaves as
one `MacroRegimes`:

* every instrument of which a week or a day has closed in this batch;
* every instrument that stands in a batch for the first time, known or not, so that a fresh start does not leave the gate
  without a regime until Monday;
* every instrument of which history has told something new since.

A bar that does not close later than the last one of its kind changes nothing. If more than `gap_weeks_max` weeks are missing, in
history or because they never came, the instrument starts again cold: UNKNOWN, and a person is told unless history has warmed
it meanwhile. A week "seen" before it is over would be a look into the future; an hour is what clocks may differ by.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AlertRaised, Bar, FeedBars, FeedHistory, MacroRegimes, Message
from libs.common.timeframe import DAY, HOUR, WEEK
from libs.runtime.machine import Effect, Publish, Reject
from libs.trading.bar_faults import fault_of, foreign_bar, misplaced, off_grid
from services.signal_agents.macro.track import Rule, Track

AGENT_ID = "macro"
TIMEFRAMES = ("1w", "1d")
CLOCKS_DIFFER_MAX = HOUR
NEVER = (-1, -1)


class State(msgspec.Struct, kw_only=True):
    """The tracks by instrument."""

    tracks: dict[str, Track] = {}


class MacroMachine:
    """Closed bars in, one `MacroRegimes` whenever there is something to say."""

    Settings = Rule
    State = State

    def __init__(self, settings: Rule):
        self.settings = settings
        self.state = State()
        self._seen = NEVER

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event; only bars and their history concern this agent."""
        match event:
            case FeedBars():
                return self._hear(event, now)
            case FeedHistory():
                return self._warm(event, now)
        return []

    def _warm(self, history: FeedHistory, now: int) -> list[Effect]:
        if history.timeframe not in TIMEFRAMES:
            return []
        if foreign := foreign_bar(history):
            return [Reject("BARS_CONTRADICT", foreign)]
        if faults := [fault for bar in history.bars if (fault := _fault_of(bar, now))]:
            return [Reject("BAD_BAR", faults[0])]
        for bar in sorted(history.bars, key=lambda bar: bar.ts_close):
            self._fold(bar)
        return []

    def _hear(self, batch: FeedBars, now: int) -> list[Effect]:
        bars = [bar for bar in batch.bars if bar.timeframe in TIMEFRAMES]
        if faults := [fault for bar in bars if (fault := _fault_of(bar, now) or misplaced(bar, batch.end_ts))]:
            return [Reject("BAD_BAR", faults[0])]
        for bar in bars:
            self._fold(bar)
        tracks = self.state.tracks
        for bar in batch.bars:
            if bar.instrument not in tracks:
                tracks[bar.instrument] = Track()
        seen = (min(batch.end_ts, now) // DAY, len(tracks))
        if (
            not bars and seen == self._seen
        ):  # nothing can be missing that was not missing then: days and weeks end at 00:00
            return []
        self._seen = seen
        for track in tracks.values():
            track.look_at(min(batch.end_ts, now), self.settings)
        return self._say(batch.end_ts)

    def _fold(self, bar: Bar) -> None:
        self._seen = NEVER
        self.state.tracks.setdefault(bar.instrument, Track()).fold(bar, self.settings)

    def _say(self, end_ts: int) -> list[Effect]:
        news = {name: track for name, track in sorted(self.state.tracks.items()) if track.is_unsaid}
        if not news:
            return []
        regimes = tuple(track.regime(name, self.settings) for name, track in news.items())
        holes = [(name, track.hole_ns) for name, track in news.items() if track.hole_ns]
        alerts = [Publish(_alert(name, hole)) for name, hole in holes if news[name].weeks.state == "UNKNOWN"]
        for track in news.values():
            track.is_unsaid, track.hole_ns = False, 0
        return [Publish(MacroRegimes(agent_id=AGENT_ID, end_ts=end_ts, regimes=regimes)), *alerts]


def _fault_of(bar: Bar, now: int) -> str:
    if fault := fault_of(bar) or off_grid(bar):
        return fault
    if bar.ts_close > now + CLOCKS_DIFFER_MAX:
        return f"{bar.instrument} {bar.timeframe} closing at {bar.ts_close} is still open at {now}"
    return ""


def _alert(instrument: str, hole_ns: int) -> AlertRaised:
    text = f"{AGENT_ID}: {hole_ns / WEEK:.1f} weeks of {instrument} are missing; its regime is UNKNOWN until warm again"
    return AlertRaised(code="INDICATORS_COLD", severity="ticket", text=text, instrument=instrument)
