"""What the macro agent remembers of one instrument: an unbroken run of closed weeks, one of closed days, and what it has said.

The indicators of `libs/trading` have a readiness of their own (5 spans, 10 periods). Weeks do not wait for it, for that would be
almost three years: the rule decides, UNKNOWN below `weeks_min` closed weeks and provisional until `weeks_settled` are
passed. 24 weeks is where the last of its numbers, the change of EMA20 over four weeks, first exists. The days of the context do
wait: each number appears when its own indicators have forgotten their start.
"""

from __future__ import annotations

import math

import msgspec

from libs.common.messages import Bar, Regime, RegimeState
from libs.common.timeframe import bar_open
from libs.trading.bar_runs import hole_before
from libs.trading.indicators import ATR, EMA
from services.signal_agents.macro.rule import Bands, Numbers, state_after, votes_of

SLOW_WEEKS, FAST_WEEKS, ATR_N = 20, 10, 14
SLOPE_WEEKS = 4
WEEKS_FIRST = SLOW_WEEKS + SLOPE_WEEKS
"""The closed weeks after which all numbers of the rule exist."""
SLOW_DAYS, FAST_DAYS, RETURN_DAYS = 200, 50, 20
DAYS_MISSING_MAX = 1
"""A context across a longer hole is none."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change a regime: bands in weekly ATR, the rest in weeks."""

    bands: Bands
    weeks_min: int
    weeks_settled: int
    gap_weeks_max: int


class Weeks(msgspec.Struct, kw_only=True):
    """One unbroken run of closed weeks. `ema20_past` are the newest values of EMA20, oldest first; instants in ns."""

    ema20: EMA = msgspec.field(default_factory=lambda: EMA(SLOW_WEEKS))
    ema10: EMA = msgspec.field(default_factory=lambda: EMA(FAST_WEEKS))
    atr14: ATR = msgspec.field(default_factory=lambda: ATR(ATR_N))
    ema20_past: list[float] = []
    close: float = 0.0
    ts_close_last: int = 0
    state: RegimeState = "UNKNOWN"
    since_ts: int = 0

    def update(self, bar: Bar, rule: Rule) -> None:
        """Fold in the next closed week, and let it vote."""
        self.ema10.update(bar.close)
        self.atr14.update(bar.high, bar.low, bar.close)
        ema20 = self.ema20.update(bar.close)
        if ema20 is not None:
            self.ema20_past = [*self.ema20_past, ema20][-SLOPE_WEEKS - 1 :]
        self.close, self.ts_close_last = bar.close, bar.ts_close
        numbers = self.numbers
        if numbers is None or self.ema20.age < rule.weeks_min:
            self.since_ts = self.since_ts or bar.ts_close
            return
        state = state_after(self.state, votes_of(numbers, rule.bands).total)
        if state != self.state:
            self.state, self.since_ts = state, bar.ts_close

    @property
    def numbers(self) -> Numbers | None:
        """What the newest week comes to; None before `WEEKS_FIRST`."""
        ema20, ema10, atr14 = self.ema20.value, self.ema10.value, self.atr14.value
        if ema20 is None or ema10 is None or atr14 is None or len(self.ema20_past) <= SLOPE_WEEKS:
            return None
        change = ema20 - self.ema20_past[0]
        return Numbers(close=self.close, ema20=ema20, ema10=ema10, atr14=atr14, ema20_change=change)

    def evidence(self, bands: Bands) -> dict[str, float]:
        """The numbers and the votes of the newest week, if the state rests on any."""
        numbers = self.numbers
        if self.state == "UNKNOWN" or numbers is None:
            return {}
        votes = votes_of(numbers, bands)
        said = {"vote_level": votes.level, "vote_slope": votes.slope, "vote_cross": votes.cross, "votes": votes.total}
        return {**msgspec.structs.asdict(numbers), **{name: float(vote) for name, vote in said.items()}}


class Days(msgspec.Struct, kw_only=True):
    """One unbroken run of closed days; `closes` are the newest, oldest first."""

    ema50: EMA = msgspec.field(default_factory=lambda: EMA(FAST_DAYS))
    ema200: EMA = msgspec.field(default_factory=lambda: EMA(SLOW_DAYS))
    atr14: ATR = msgspec.field(default_factory=lambda: ATR(ATR_N))
    closes: list[float] = []
    ts_close_last: int = 0

    def update(self, bar: Bar) -> None:
        """Fold in the next closed day."""
        self.ema50.update(bar.close)
        self.ema200.update(bar.close)
        self.atr14.update(bar.high, bar.low, bar.close)
        self.closes = [*self.closes, bar.close][-RETURN_DAYS - 1 :]
        self.ts_close_last = bar.ts_close

    def evidence(self) -> dict[str, float]:
        """How far the close is from EMA50 and EMA200 in daily ATR, and the return over 20 days (a fraction); what is warm of it."""
        found: dict[str, float] = {}
        for name, ema in (("daily_ema50_atr", self.ema50), ("daily_ema200_atr", self.ema200)):
            if ema.value is not None and self.atr14.value and ema.ready_for_decisions:
                found[name] = (self.closes[-1] - ema.value) / self.atr14.value
        if len(self.closes) > RETURN_DAYS:
            found["daily_return_20"] = self.closes[-1] / self.closes[0] - 1.0
        return {name: number for name, number in found.items() if math.isfinite(number)}


class Track(msgspec.Struct, kw_only=True):
    """One instrument. `is_unsaid`: there is something to say of it. `hole_ns`: what broke the run of weeks, until that is said."""

    weeks: Weeks = msgspec.field(default_factory=Weeks)
    days: Days = msgspec.field(default_factory=Days)
    is_unsaid: bool = True
    hole_ns: int = 0

    def fold(self, bar: Bar, rule: Rule) -> None:
        """Let the run of its timeframe see a closed week or day; one not newer than the last changes nothing."""
        run = self.weeks if bar.timeframe == "1w" else self.days
        if bar.ts_close <= run.ts_close_last:
            return
        self.break_off(bar.timeframe, bar.ts_open, rule)
        if bar.timeframe == "1w":
            self.weeks.update(bar, rule)
        else:
            self.days.update(bar)
        self.is_unsaid = True

    def look_at(self, end_ts: int, rule: Rule) -> None:
        """Notice at `end_ts` (ns) that weeks or days which have closed by now did not come."""
        for timeframe in ("1w", "1d"):
            self.break_off(timeframe, bar_open(end_ts, timeframe), rule)

    def break_off(self, timeframe: str, until: int, rule: Rule) -> None:
        """Start again cold if too many bars are missing between the last one and `until` (ns)."""
        if timeframe == "1w" and (hole := hole_before(until, self.weeks.ts_close_last, "1w", rule.gap_weeks_max)):
            self.weeks, self.hole_ns, self.is_unsaid = Weeks(), hole, True
        if timeframe == "1d" and hole_before(until, self.days.ts_close_last, "1d", DAYS_MISSING_MAX):
            self.days, self.is_unsaid = Days(), True

    def regime(self, instrument: str, rule: Rule) -> Regime:
        """What is known by now."""
        weeks = self.weeks.ema20.age
        is_known = self.weeks.state != "UNKNOWN"
        return Regime(
            instrument=instrument,
            state=self.weeks.state,
            provisional=is_known and weeks <= rule.weeks_settled,
            weeks=weeks,
            since_ts=self.weeks.since_ts,
            evidence={**self.weeks.evidence(rule.bands), **self.days.evidence()},
        )
