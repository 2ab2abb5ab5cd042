"""What a history tells an agent: honestly, as the feed does, and carelessly, as tables do that are indexed by the opening of their bars.

An agent can only know the future if somebody tells it. So a history is told twice. The honest telling is what votes are made of. The careless
one holds what an agent must not use: every history ends in bars that have not closed, is told again now and then, and some batches hold a longer
bar that is not over. An agent that uses a bar only once it has closed decides the same whatever those bars say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from libs.common.messages import (
    AgentSignals,
    Bar,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Message,
)
from libs.common.timeframe import STEP, bar_open
from libs.research.bar_market import Instant, instants, marks_at
from libs.runtime.machine import Publish

AGAIN_EVERY = 16
"""A history of the shortest bars is told again after so many instants ..."""
AGAIN_BARS = 20
"""... so many bars of it, and one too many."""
OPEN_EVERY = 61
"""A longer bar that has not closed is told after so many instants; a prime, so that it is at every time of the day."""

HALF_SPREAD = 1e-4
MARK_DECIMALS = 8


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An agent on trial: its name, how a fresh machine of it is made, what it hears, and a digest of its code and settings each."""

    name: str
    make: Callable[[], Any]
    hears: tuple[type[Message], ...]
    code_digest: str
    settings_digest: str
    label: str = "as set"
    """Which of several settings these are."""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A history: its instants in order, longer bars that were known before, and the rules of its instruments (for agents that ask)."""

    instants: tuple[Instant, ...]
    warm_up: tuple[FeedHistory, ...] = ()
    specs: tuple[InstrumentSpec, ...] = ()

    @property
    def base(self) -> str:
        """The timeframe of its shortest bars."""
        return self.instants[0].bars[0].timeframe

    def last(self, count: int) -> Market:
        """The same, begun so many instants before its end, with nothing known before."""
        return msgspec.structs.replace(self, instants=self.instants[-count:], warm_up=())

    def until(self, place: int) -> Market:
        """The same, up to this instant, counted from 1."""
        return msgspec.structs.replace(self, instants=self.instants[:place])


def market_of(
    series: Iterable[Iterator[Bar]], warm_up: Iterable[FeedHistory] = (), specs: tuple[InstrumentSpec, ...] = ()
) -> Market:
    """The market of several series of one base timeframe, each oldest first.

    Raises:
        BadHistory: series that cannot be played together.
        ValueError: there are no bars.
    """
    found = tuple(instants(series))
    if not found:
        raise ValueError("there are no bars")
    return Market(instants=found, warm_up=tuple(warm_up), specs=specs)


def honest(market: Market, hears: tuple[type[Message], ...], beside: Iterable[Any] = ()) -> Iterator[Message]:
    """What the feed says, and what the machines `beside` say of it, of the kinds in `hears`."""
    machines = list(beside)
    for event in _opening(market):
        yield from _heard(event, hears, machines)
    for instant in market.instants:
        for event in _of(instant, hears):
            yield from _heard(event, hears, machines)


def careless(market: Market, hears: tuple[type[Message], ...], beside: Iterable[Any] = ()) -> Iterator[Message]:
    """The same, with bars among it that nobody can know yet."""
    machines = list(beside)
    longer = _open_bars(market)
    known: dict[str, list[Bar]] = {}
    following = {
        (bar.instrument, bar.ts_open): bar for instant in market.instants for bar in instant.bars
    }  # the bar after one opens when that one closes
    for event in _opening(market):
        yield from _heard(event, hears, machines)
    for place, instant in enumerate(market.instants, start=1):
        early: tuple[Bar, ...] = ()
        if place % OPEN_EVERY == 0:  # one of each instrument, shorter and longer ones in turn
            still_open = [bars for bars in (longer(each.instrument, instant.closes) for each in instant.bars) if bars]
            early = tuple(bars[place // OPEN_EVERY % len(bars)] for bars in still_open)
        for event in _of(instant, hears, early):
            yield from _heard(event, hears, machines)
        for bar in instant.bars:
            mine = known.setdefault(bar.instrument, [])
            mine.append(bar)
            del mine[:-AGAIN_BARS]
            after = following.get((bar.instrument, bar.ts_close))
            if place % AGAIN_EVERY == 0 and after is not None:
                yield from _heard(_history((*mine, after), instant.closes), hears, machines)
                for each in longer(bar.instrument, instant.closes):
                    yield from _heard(_history((each,), instant.closes), hears, machines)


def signals_of(candidate: Candidate, events: Iterable[Message]) -> Iterator[tuple[int, int, AgentSignals]]:
    """One life of the candidate: for each of its answers the place of the event, the instant (ns) and what it said."""
    machine, now = candidate.make(), 0
    for place, event in enumerate(events):
        now = max(now, event.ts_init)
        for effect in machine.handle(event, now):
            if isinstance(effect, Publish) and isinstance(effect.message, AgentSignals):
                yield place, now, effect.message


def _opening(market: Market) -> Iterator[Message]:
    opens = market.instants[0].opens
    if market.specs:
        yield FeedStatus(
            ts_init=opens,
            producer="feed",
            venue="binance",
            state="LIVE",
            via="SOCKETS",
            reason="history",
            health={"binance": 1.0},
            specs=market.specs,
        )
    for each in market.warm_up:
        yield msgspec.structs.replace(each, ts_init=opens, producer="feed")


def _of(instant: Instant, hears: tuple[type[Message], ...], early: tuple[Bar, ...] = ()) -> Iterator[Message]:
    closes = instant.closes
    if FeedMarks in hears:
        names = [bar.instrument for bar in instant.bars]
        marks = marks_at(instant.bars, dict.fromkeys(names, HALF_SPREAD), dict.fromkeys(names, MARK_DECIMALS))
        yield FeedMarks(ts_init=closes, producer="feed", venue="binance", as_of=closes, marks=marks)
    yield FeedBars(ts_init=closes, producer="feed", end_ts=closes, bars=(*instant.closed, *early))


def _heard(event: Message, hears: tuple[type[Message], ...], machines: list[Any]) -> Iterator[Message]:
    """The event, then what the machines beside say of it, as far as the agent hears it."""
    if isinstance(event, hears):
        yield event
    for machine in machines:
        for effect in machine.handle(event, event.ts_init):
            if isinstance(effect, Publish) and isinstance(effect.message, hears):
                yield msgspec.structs.replace(effect.message, ts_init=event.ts_init)


def _history(bars: tuple[Bar, ...], now: int) -> FeedHistory:
    return FeedHistory(
        ts_init=now,
        producer="feed",
        instrument=bars[0].instrument,
        timeframe=bars[0].timeframe,
        bars=bars,
    )


def _open_bars(market: Market) -> Callable[[str, int], list[Bar]]:
    """The longer bars of an instrument that are open at an instant, as they will have been, shortest first."""
    found: dict[tuple[str, str, int], Bar] = {}
    for instant in market.instants:
        for bar in instant.closed:
            if STEP[bar.timeframe] > STEP[market.base]:
                found[bar.instrument, bar.timeframe, bar.ts_open] = bar
    frames = sorted({timeframe for _, timeframe, _ in found}, key=STEP.__getitem__)

    def open_at(instrument: str, now: int) -> list[Bar]:
        starts = ((frame, bar_open(now, frame)) for frame in frames)
        bars = (found.get((instrument, frame, opens)) for frame, opens in starts)
        return [bar for bar in bars if bar is not None and bar.ts_close > now]

    return open_at
