"""The rule of the weekly regime: three votes, each at its band and just over it, and what a sum makes of a state."""

from __future__ import annotations

from math import nextafter

import msgspec
import numpy as np
import pytest
import talib

from libs.common.messages import Regime, RegimeState
from services.signal_agents.macro.rule import Bands, Numbers, state_after, votes_of
from tests.unit.signal_agents.macro.market import (
    BTC,
    FALL,
    RISE,
    an_agent,
    bar_of,
    batch,
    end_of_week,
    history,
    regime_after,
    regimes_of,
    walk,
    weeks_of,
)

BANDS = Bands(level_atr=0.5, slope_atr=0.25)
STILL = Numbers(close=128.0, ema20=128.0, ema10=128.0, atr14=8.0, ema20_change=0.0)
"""A week in which nothing votes: its level band is 4, its slope band 2."""


UP, DOWN = float("inf"), float("-inf")


@pytest.mark.parametrize(
    ("vote", "field", "number", "expected"),
    [
        ("level", "close", 132.0, 0),
        ("level", "close", nextafter(132.0, UP), 1),
        ("level", "close", 124.0, 0),
        ("level", "close", nextafter(124.0, DOWN), -1),
        ("level", "ema20", 124.0, 0),
        ("level", "ema20", nextafter(124.0, DOWN), 1),
        ("level", "atr14", nextafter(0.0, UP), 0),
        ("slope", "ema20_change", 2.0, 0),
        ("slope", "ema20_change", nextafter(2.0, UP), 1),
        ("slope", "ema20_change", -2.0, 0),
        ("slope", "ema20_change", nextafter(-2.0, DOWN), -1),
        ("cross", "ema10", 128.0, 0),
        ("cross", "ema10", 128.0 + 1e-10, 0),
        ("cross", "ema10", 128.0 + 2e-10, 1),
        ("cross", "ema10", 128.0 - 2e-10, -1),
    ],
)
def test_a_vote_begins_just_over_its_band(vote: str, field: str, number: float, expected: int) -> None:
    """What only reaches the band is undecided, the next number beyond it votes; to cross, anything more than rounding is enough."""
    votes = votes_of(msgspec.structs.replace(STILL, **{field: number}), BANDS)
    assert getattr(votes, vote) == expected
    assert votes.total == votes.level + votes.slope + votes.cross


def test_rounding_does_not_vote() -> None:
    """A market that stands still has averages that differ in their last digit, and an ATR of nothing."""
    still = msgspec.structs.replace(STILL, ema20=nextafter(128.0, 200.0), ema20_change=1e-14, atr14=0.0)
    assert votes_of(still, BANDS).total == 0
    moved = msgspec.structs.replace(still, close=128.001, ema10=128.001, ema20_change=0.001)
    assert votes_of(moved, BANDS).total == 3


@pytest.mark.parametrize(
    ("state", "after"),
    [  # by the sum of the votes: -3 -2 -1 0 1 2 3
        ("BULL", "BEAR BEAR NEUTRAL NEUTRAL BULL BULL BULL"),
        ("BEAR", "BEAR BEAR BEAR NEUTRAL NEUTRAL BULL BULL"),
        ("NEUTRAL", "BEAR BEAR NEUTRAL NEUTRAL NEUTRAL BULL BULL"),
        ("UNKNOWN", "BEAR BEAR NEUTRAL NEUTRAL NEUTRAL BULL BULL"),
    ],
)
def test_a_regime_is_left_later_than_it_is_entered(state: RegimeState, after: str) -> None:
    """Two of three votes make a regime; it ends when they are balanced, and a jump to the other extreme switches at once."""
    assert [state_after(state, total) for total in range(-3, 4)] == after.split()


def test_a_steady_rise_is_a_bull_market_and_a_fall_a_bear() -> None:
    """All three agree, and the numbers they rest on are told."""
    rise = regime_after(RISE[:70])
    fall = regime_after(FALL[:70])
    assert (rise.state, fall.state) == ("BULL", "BEAR")
    names = "close ema20 ema10 atr14 ema20_change vote_level vote_slope vote_cross votes"
    assert list(rise.evidence) == list(fall.evidence) == names.split()
    assert [rise.evidence[name] for name in names.split()[5:]] == [1.0, 1.0, 1.0, 3.0]
    assert fall.evidence["votes"] == -3.0
    assert rise.evidence["close"] == 238.0 > rise.evidence["ema10"] > rise.evidence["ema20"]
    assert rise.evidence["ema20_change"] == pytest.approx(8.0)


@pytest.mark.parametrize("price", [0.1, 3.3, 60_000.7])
def test_a_market_that_stands_still_is_neutral(price: float) -> None:
    """At whatever price: its averages are the price itself, but for rounding."""
    agent = an_agent()
    flat = [bar_of(week, price, high=price, low=price) for week in range(40)]
    for bar in flat:
        agent.tell(batch(bar))
    assert (regimes_of(agent)[BTC].state, regimes_of(agent)[BTC].evidence["votes"]) == ("NEUTRAL", 0.0)


def weeks_after_a_rise(fall: float) -> list[Regime]:
    """What is said of 25 weeks that lose `fall` each, after 59 that rose."""
    agent, said = an_agent().tell(weeks_of(RISE[:59])), []
    for week in range(59, 84):
        agent.tell(batch(bar_of(week, RISE[59] - fall * (week - 59))))
        said.append(regimes_of(agent)[BTC])
    return said


def test_a_bull_market_survives_a_pause_and_ends_when_the_votes_are_balanced() -> None:
    """One vote left is enough to stay; the state changes in the week in which the sum reaches 0, and says since when."""
    said = weeks_after_a_rise(1.0)
    assert [(regime.evidence["votes"], regime.state) for regime in said[9:18]] == [
        (3.0, "BULL"),
        (2.0, "BULL"),
        *[(1.0, "BULL")] * 3,
        *[(0.0, "NEUTRAL")] * 2,
        (-1.0, "NEUTRAL"),
        (-3.0, "BEAR"),
    ]
    assert {regime.since_ts for regime in said[14:17]} == {end_of_week(59 + 14)}
    assert {regime.since_ts for regime in said[17:]} == {end_of_week(59 + 17)}


def test_a_jump_to_the_other_extreme_switches_at_once() -> None:
    """From one vote for it to two against it in a week: BULL becomes BEAR, with nothing in between."""
    said = weeks_after_a_rise(0.5)
    assert [(regime.evidence["votes"], regime.state) for regime in said[20:23]] == [
        (1.0, "BULL"),
        (1.0, "BULL"),
        (-2.0, "BEAR"),
    ]
    assert said[-1].since_ts == end_of_week(59 + 22)


@pytest.mark.parametrize("seed", range(4))
def test_on_random_walks_it_decides_what_talib_decides(seed: int) -> None:
    """Over 300 weeks every state is the one that follows from TA-Lib's numbers and the rule as it is written."""
    bars = walk(seed, 300)
    agent = an_agent()
    said = [regimes_of(agent.tell(batch(bar)))[BTC] for bar in bars]
    high, low, close = (np.array([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close"))
    ema20, ema10, atr = talib.EMA(close, 20), talib.EMA(close, 10), talib.ATR(high, low, close, 14)
    expected, state = [], "UNKNOWN"
    for week in range(300):
        if week >= 23:
            change = ema20[week] - ema20[week - 4]
            votes = np.sign(ema10[week] - ema20[week])
            votes += np.sign(close[week] - ema20[week]) * (abs(close[week] - ema20[week]) > 0.5 * atr[week])
            votes += np.sign(change) * (abs(change) > 0.25 * atr[week])
            if votes >= 2:
                state = "BULL"
            elif votes <= -2:
                state = "BEAR"
            elif not (state == "BULL" and votes > 0) and not (state == "BEAR" and votes < 0):
                state = "NEUTRAL"
        expected.append(state)
    assert [regime.state for regime in said] == expected
    assert len({regime.state for regime in said}) == 4


def test_the_conversation_is_the_same_whoever_counts() -> None:
    """Weeks told as history, in chunks, in whatever order within one, or live lead to the same memory."""
    bars = walk(9, 80)
    live, warmed = an_agent(), an_agent()
    for bar in bars:
        live.tell(batch(bar))
    for chunk in (bars[:30], bars[30:31], bars[78:30:-1]):
        warmed.tell(history(*chunk)).expect()
    warmed.tell(batch(bars[79]))
    assert warmed.machine.state == live.machine.state
    assert regimes_of(warmed) == regimes_of(live)
