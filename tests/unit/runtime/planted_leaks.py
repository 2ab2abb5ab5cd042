"""Small rules as people write them: clean ones, and each way of looking into the future that was ever found in one."""

from __future__ import annotations

import statistics
from typing import Any, ClassVar

import msgspec

from libs.common.messages import AgentSignals, Bar, FeedBars, FeedHistory, Message, Signal
from libs.runtime.machine import Effect, Publish
from libs.trading.indicators import EMA, RSI


class Settings(msgspec.Struct, frozen=True):
    """Over how many bars of which timeframe."""

    timeframe: str = "15m"
    bars: int = 5


class State(msgspec.Struct):
    """The closed bars of each instrument, and whatever else a rule wants to keep."""

    bars: dict[str, list[Bar]] = {}
    numbers: dict[str, float] = {}


class Rule:
    """Keeps the bars that have closed, answers each new one with an opinion; `lean` is what a rule is about."""

    Settings = Settings
    State = State

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        match event:
            case FeedHistory(timeframe=self.settings.timeframe):
                self.keep(event.bars, now)
            case FeedBars():
                fresh = self.keep([bar for bar in event.bars if bar.timeframe == self.settings.timeframe], now)
                return self.say(fresh, event.end_ts)
        return []

    def keep(self, bars: Any, now: int) -> list[Bar]:
        fresh = []
        for bar in bars:
            known = self.state.bars.setdefault(bar.instrument, [])
            if bar.ts_close <= now and (not known or bar.ts_close > known[-1].ts_close):
                known.append(bar)
                del known[:-40]
                fresh.append(bar)
        return fresh

    def say(self, bars: list[Bar], end_ts: int) -> list[Effect]:
        signals = tuple(self.opinion(bar, self.lean(self.state.bars[bar.instrument])) for bar in bars)
        return [Publish(AgentSignals(agent_id="planted", end_ts=end_ts, signals=signals))] if signals else []

    def opinion(self, bar: Bar, lean: float) -> Signal:
        stance = "LONG" if lean > 0 else "SHORT" if lean < 0 else "FLAT"
        return Signal(
            instrument=bar.instrument,
            timeframe=bar.timeframe,
            ready=True,
            stance=stance,
            strength=min(1.0, abs(lean)),
            close_px=bar.close,
            atr=bar.high - bar.low,
            evidence={"lean": lean},
        )

    def lean(self, bars: list[Bar]) -> float:
        closes = [bar.close for bar in bars[-self.settings.bars :]]
        return closes[-1] / statistics.fmean(closes) - 1.0


# --- clean --------------------------------------------------------------------------------------------------------


class Breakout(Rule):
    """Above the highest high before this bar, or below the lowest low."""

    def lean(self, bars: list[Bar]) -> float:
        before = bars[-self.settings.bars - 1 : -1] or bars
        return float(bars[-1].close > max(bar.high for bar in before)) - float(
            bars[-1].close < min(bar.low for bar in before)
        )


class CausalScore(Rule):
    """How far the close is from the mean of what has closed, in its own deviations."""

    def lean(self, bars: list[Bar]) -> float:
        closes = [bar.close for bar in bars]
        spread = statistics.pstdev(closes)
        return (closes[-1] - statistics.fmean(closes)) / spread if spread else 0.0


class Crossing(Rule):
    """A fast average over a slow one."""

    def lean(self, bars: list[Bar]) -> float:
        fast, slow = EMA(3), EMA(8)
        for bar in bars:
            fast.update(bar.close)
            slow.update(bar.close)
        return 0.0 if fast.value is None or slow.value is None else fast.value / slow.value - 1.0


class ConfirmedTurn(Rule):
    """A turn counts from the second bar after it, for which it is said."""

    def lean(self, bars: list[Bar]) -> float:
        rsi = RSI(3)
        for bar in bars:
            rsi.update(bar.close)
        if len(bars) < 5:
            return 0.0
        lows = [bar.low for bar in bars[-5:]]
        return (rsi.value or 0.0) / 100 if lows[2] == min(lows) else 0.0


CLEAN = (Rule, Breakout, CausalScore, Crossing, ConfirmedTurn)


# --- leaking ------------------------------------------------------------------------------------------------------


class UnconfirmedTurn(Rule):
    """Says of the newest bar that it is a turn, and takes it back when the next one shows that it was none."""

    def say(self, bars: list[Bar], end_ts: int) -> list[Effect]:
        said = super().say(bars, end_ts)
        for bar in bars:
            known = self.state.bars[bar.instrument]
            if len(known) > 2 and known[-1].low < known[-2].low < known[-3].low:
                taken_back = self.opinion(known[-2], -1.0)
                said.append(Publish(AgentSignals(agent_id="planted", end_ts=known[-2].ts_close, signals=(taken_back,))))
        return said


class CentredWindow(Rule):
    """Smooths each bar with those on both of its sides, and files the result under that bar."""

    def say(self, bars: list[Bar], end_ts: int) -> list[Effect]:
        rows = [known[-5:] for bar in bars if len(known := self.state.bars[bar.instrument]) >= 5]
        signals = tuple(self.opinion(row[2], statistics.fmean(b.close for b in row) / row[2].close - 1) for row in rows)
        return [Publish(AgentSignals(agent_id="planted", end_ts=rows[0][2].ts_close, signals=signals))] if rows else []


class OpenHour(Rule):
    """Goes with the newest hour it was told of, whether it is over or not."""

    def handle(self, event: Message, now: int) -> list[Effect]:
        for bar in event.bars if isinstance(event, FeedBars) else ():
            if bar.timeframe == "1h":
                self.state.numbers[bar.instrument] = bar.close / bar.open - 1.0
        return super().handle(event, now)

    def lean(self, bars: list[Bar]) -> float:
        return self.state.numbers.get(bars[-1].instrument, 0.0)


class WholeHistoryMax(Rule):
    """Normalises by the highest price of the whole table it was given, the rows that are not over included."""

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, FeedHistory) and event.timeframe == self.settings.timeframe:
            highest = max(bar.high for bar in event.bars)
            self.state.numbers[event.instrument] = max(highest, self.state.numbers.get(event.instrument, 0.0))
        return super().handle(event, now)

    def lean(self, bars: list[Bar]) -> float:
        highest = self.state.numbers.get(bars[-1].instrument, 0.0)
        return bars[-1].close / highest - 0.9 if highest else 0.0


class LateScore(Rule):
    """Scores the last bars again once their history is told, and says them again, better."""

    def handle(self, event: Message, now: int) -> list[Effect]:
        said = super().handle(event, now)
        known = self.state.bars.get(event.instrument, []) if isinstance(event, FeedHistory) else []
        if known and event.timeframe == self.settings.timeframe:
            closes = [bar.close for bar in (*known, *event.bars)]
            score = (known[-1].close - statistics.fmean(closes)) / statistics.pstdev(closes)
            again = AgentSignals(
                agent_id="planted", end_ts=known[-1].ts_close, signals=(self.opinion(known[-1], score),)
            )
            said.append(Publish(again))
        return said


class EarlyWeek(Rule):
    """Knows on Monday how the week will end, because the week stands in the table under its Monday."""

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, FeedBars | FeedHistory):
            for bar in event.bars:
                if bar.timeframe == "1w" and bar.ts_open <= now:
                    self.state.numbers[bar.instrument] = bar.close / bar.open - 1.0
        return super().handle(event, now)

    def lean(self, bars: list[Bar]) -> float:
        return self.state.numbers.get(bars[-1].instrument, 0.0)


class SharedMemory(Rule):
    """All machines of this kind write into one memory: a cache, for speed."""

    highest: ClassVar[dict[str, float]] = {}

    def lean(self, bars: list[Bar]) -> float:
        top = max(bars[-1].close, self.highest.get(bars[-1].instrument, 0.0))
        self.highest[bars[-1].instrument] = top
        return bars[-1].close / top - 0.95


class ForgottenMemory(Rule):
    """Remembers beside its state, where no snapshot finds it."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.seen = 0

    def lean(self, bars: list[Bar]) -> float:
        self.seen += 1
        return float(self.seen % 3 - 1)


class ChangedEvidence(Rule):
    """Hands out the dict it goes on to write in."""

    def opinion(self, bar: Bar, lean: float) -> Signal:
        self.state.numbers[bar.instrument] = lean
        return msgspec.structs.replace(super().opinion(bar, lean), evidence=self.state.numbers)


class Prophet(Rule):
    """Files today's opinion under the next bar."""

    def say(self, bars: list[Bar], end_ts: int) -> list[Effect]:
        return super().say(bars, end_ts + (bars[-1].ts_close - bars[-1].ts_open if bars else 0))


LEAKING = {
    UnconfirmedTurn: "rewritten",
    CentredWindow: "rewritten",
    OpenHour: "future",
    WholeHistoryMax: "future",
    LateScore: "rewritten",
    EarlyWeek: "future",
    SharedMemory: "snapshot",
    ForgottenMemory: "snapshot",
    ChangedEvidence: "rewritten",
    Prophet: "ahead",
}
"""Each with what gives it away."""
