"""No agent looks into the future: every decision on random walks is held against every prefix, and leaks are planted to be found."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import pytest

from libs.common.messages import FeedBars, FeedHistory, Message
from libs.common.timeframe import MINUTE, WEEK
from libs.runtime.machine import Effect
from services.signal_agents.macro.machine import MacroMachine
from services.signal_agents.macro.track import Track
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.track import Bounds, Shape
from tests.prefix import assert_prefix_invariant
from tests.unit.signal_agents.macro.market import BTC, ETH, RULE, batch, end_of_week, history, minute, walk

WEEKS = 70


def market(seed: int) -> list[FeedBars | FeedHistory]:
    """Two instruments: 26 weeks of history of one and 8 of the other, then days, and weeks as they close."""
    weeks = {name: walk(seed, WEEKS, "1w", name) for name in (BTC, ETH)}
    days = walk(seed, 7 * WEEKS, "1d")
    told = end_of_week(25)
    events: list[FeedBars | FeedHistory] = [
        history(*weeks[BTC][:26]),
        history(*weeks[ETH][18:26]),
        history(*days[26 * 7 - 60 : 26 * 7]),
        minute(told + MINUTE, BTC, ETH),
    ]
    for week in range(26, WEEKS):
        events += [batch(days[week * 7 + 2]), batch(weeks[BTC][week], weeks[ETH][week], days[week * 7 + 6])]
    return events


def careless(seed: int) -> list[FeedBars | FeedHistory]:
    """A feed that tells each week when it opens, as it will have been: a table of weeks indexed by their first day."""
    weeks = walk(seed, 60)
    events: list[FeedBars | FeedHistory] = [history(*weeks[:30])]
    for week in range(30, 60):
        events.append(history(weeks[week], told_at=end_of_week(week) - WEEK))
        events.append(minute(end_of_week(week) - WEEK + MINUTE))
        events.append(batch(weeks[week]))
    return events


class OpenWeekMachine(MacroMachine):
    """The macro agent as it would be if it believed a week before it is over."""

    def handle(self, event: Message, now: int) -> list[Effect]:
        return super().handle(event, now + WEEK)


class SharedMemoryMachine(MacroMachine):
    """The macro agent as it would be if all of its kind wrote into one memory."""

    tracks: ClassVar[dict[str, Track]] = {}

    def handle(self, event: Message, now: int) -> list[Effect]:
        self.state.tracks = self.tracks
        return super().handle(event, now)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(3))
def test_the_macro_agent_never_looks_into_the_future(seed: int) -> None:
    """What it says at an instant is what it would say if nothing had come after, and if something else had."""
    assert_prefix_invariant(lambda: MacroMachine(RULE), market(seed))


def test_the_macro_agent_is_not_tempted_by_a_feed_that_tells_too_much() -> None:
    """It refuses the open week, and decides the same whatever that week will have been."""
    assert_prefix_invariant(lambda: MacroMachine(RULE), careless(1))


def test_a_machine_that_believes_the_open_week_is_caught() -> None:
    """The planted leak: on the same market its decisions change with the future."""
    with pytest.raises(AssertionError, match="the future decides"):
        assert_prefix_invariant(lambda: OpenWeekMachine(RULE), careless(1))


def test_a_machine_that_remembers_outside_its_state_is_caught() -> None:
    """What another one has lived through is not its to know."""
    SharedMemoryMachine.tracks.clear()
    with pytest.raises(AssertionError, match="decides"):
        assert_prefix_invariant(lambda: SharedMemoryMachine(RULE), market(1))


def test_the_leak_is_in_the_machine_and_not_in_the_market() -> None:
    """The leaking machine on honest events has nothing to leak: the check does not cry wolf."""
    assert_prefix_invariant(lambda: OpenWeekMachine(RULE), market(1)[:40])


def test_an_agent_that_says_nothing_has_shown_nothing() -> None:
    """A market in which no decision falls would pass any agent."""
    with pytest.raises(AssertionError, match="nothing has been shown"):
        assert_prefix_invariant(lambda: MacroMachine(RULE), market(1)[:2])


def test_a_history_says_when_it_is_told() -> None:
    """Without that nobody knows what of it was the future."""
    unstamped = msgspec.structs.replace(history(*walk(1, 3)), ts_init=0)
    with pytest.raises(ValueError, match="no ts_init"):
        assert_prefix_invariant(lambda: MacroMachine(RULE), [unstamped])


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(3))
def test_the_trend_agent_never_looks_into_the_future(seed: int) -> None:
    """The same for its opinions, over two instruments and a hole in time."""
    shape = Shape(timeframe="15m", ema_fast_span=3, ema_slow_span=6, wilder_n=3)
    bounds = Bounds(adx_threshold=20.0, rsi_overbought=80.0)
    settings = TrendMachine.Settings(shape=shape, bounds=bounds, gap_bars_max=3)
    bars = {name: walk(seed, 150, "15m", name, 0.01) for name in (BTC, ETH)}
    events = [batch(bars[BTC][place], bars[ETH][place]) for place in (*range(20, 110), *range(120, 150))]
    assert_prefix_invariant(lambda: TrendMachine(settings), [history(*bars[BTC][:20]), *events])
