"""The look-ahead check: it catches every planted leak, says where, and does not cry wolf."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.messages import FeedBars, FeedHistory, FeedMarks, Message
from libs.common.timeframe import TIMEFRAMES
from libs.runtime.lookahead import Report, clock_of, foresight, look_ahead
from libs.runtime.rehearsal import INSTRUMENTS, MONDAY, rehearsal
from libs.trading.bar_faults import fault_of
from tests.unit.runtime import planted_leaks
from tests.unit.runtime.planted_leaks import CLEAN, LEAKING, Rule

SEEDS = (1, 2)


def rehearsed(rule: type[Rule], events: list[Message]) -> Report:
    planted_leaks.SharedMemory.highest.clear()
    return look_ahead(lambda: rule(planted_leaks.Settings()), events)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", LEAKING, ids=lambda rule: rule.__name__)
def test_each_planted_leak_is_caught_for_what_it_is(rule: type[Rule], seed: int) -> None:
    """And the instant is told, with what the agent said and what it says without the future."""
    leak = rehearsed(rule, rehearsal("15m", 40, 40, seed)).leak
    assert leak is not None
    assert leak.kind == LEAKING[rule]
    assert leak.told != leak.was
    assert str(leak.instant) in str(leak)
    assert leak.told in str(leak)


@pytest.mark.no_cover
@pytest.mark.parametrize("rule", CLEAN, ids=lambda rule: rule.__name__)
def test_a_clean_rule_is_left_alone(rule: type[Rule]) -> None:
    """On a market where the leaks show."""
    report = rehearsed(rule, rehearsal("15m", 40, 40, SEEDS[0]))
    assert report.leak is None, str(report.leak)
    assert report.answers == 40
    assert report.opinions >= 40


def test_two_lives_are_enough_to_see_who_uses_what_was_told_too_early() -> None:
    """One machine is told every early bar as it will be, the other one something else: all that read the future part, no clean rule does."""
    events = rehearsal("15m", 40, 40, SEEDS[0])
    for rule, kind in LEAKING.items():
        leak = foresight(lambda rule=rule: rule(planted_leaks.Settings()), events).leak
        assert leak is not None or kind != "future", rule.__name__
    for rule in CLEAN:
        report = foresight(lambda rule=rule: rule(planted_leaks.Settings()), events)
        assert report.leak is None, rule.__name__
        assert report.answers == 40


def test_only_the_prefixes_that_are_asked_for_are_tried() -> None:
    """A rule that believes an open hour is not seen by a single cut before it, and is by one after it."""
    events = rehearsal("15m", 40, 40, SEEDS[0])
    place = rehearsed(planted_leaks.OpenHour, events).leak.event

    def cut(*places: int) -> Report:
        return look_ahead(lambda: planted_leaks.OpenHour(planted_leaks.Settings()), events, places)

    assert cut(0).leak is None
    assert cut(0, place).leak is not None


def test_a_leak_shows_at_the_one_instant_at_which_it_is() -> None:
    """Told honestly until the last event but one, the rule that believes an open hour is caught exactly there."""
    honest = [event for event in rehearsal("15m", 40, 20, 3) if isinstance(event, FeedBars)]
    honest = [
        msgspec.structs.replace(event, bars=tuple(bar for bar in event.bars if bar.ts_close <= event.end_ts))
        for event in honest
    ]
    assert rehearsed(planted_leaks.OpenHour, honest).leak is None
    early = next(bar for event in honest for bar in event.bars if bar.timeframe == "1h" and bar.ts_close > MONDAY)
    place = next(number for number, event in enumerate(honest) if event.end_ts == early.ts_close - 900 * 10**9)
    told = msgspec.structs.replace(honest[place], bars=(early, *honest[place].bars))
    leak = rehearsed(planted_leaks.OpenHour, [*honest[:place], told, *honest[place + 1 :]]).leak
    assert leak is not None
    assert (leak.kind, leak.event, leak.instant) == ("future", place, told.end_ts)


@pytest.mark.parametrize("base", TIMEFRAMES)
def test_a_rehearsed_market_is_one_that_could_be(base: str) -> None:
    """Every bar is sound, every timeframe closes, time does not run backwards, and something is told too early."""
    events = rehearsal(base, 20, 30, 1)
    clock = clock_of(events)
    batches = [event for event in events if isinstance(event, FeedBars)]
    bars = [bar for event in events if isinstance(event, FeedBars | FeedHistory) for bar in event.bars]
    assert [fault for bar in bars if (fault := fault_of(bar))] == []
    closed = {(bar.instrument, bar.timeframe) for event in batches for bar in event.bars if bar.ts_close == MONDAY}
    assert closed == {(name, frame) for name in INSTRUMENTS for frame in TIMEFRAMES[TIMEFRAMES.index(base) :]}
    assert len({bar.ts_close: None for bar in bars if bar.timeframe == base}) >= 50
    assert clock == sorted(clock)
    for history in [event for event in events if isinstance(event, FeedHistory)]:
        assert history.bars[-1].ts_close > history.ts_init
    early = [bar for event in batches for bar in event.bars if bar.ts_close > event.end_ts]
    assert bool(early) == (base != "1w")
    assert sum(isinstance(event, FeedMarks) for event in events) == len(batches) == 20


def test_the_same_seed_is_the_same_market() -> None:
    """What was found can be found again."""
    assert rehearsal("1h", 10, 10, 7) == rehearsal("1h", 10, 10, 7)
    assert rehearsal("1h", 10, 10, 7) != rehearsal("1h", 10, 10, 8)
