"""How the rules' opinions become one: weight, freshness, quorum, conflict."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import Stance
from libs.common.timeframe import MINUTE, SECOND
from services.signal_agents.portfolio.joining import (
    Terms,
    Voice,
    freshness,
    joined,
    score_of,
    speaks_against,
    without_each,
)

TTL = 200 * SECOND


def voice(stance: Stance, agent: str = "trend", **changes: float) -> Voice:
    told = {"strength": 0.5, "weight": 1.0, "age": 0} | changes
    return Voice(agent_id=agent, stance=stance, strength=told["strength"], weight=told["weight"], age=int(told["age"]))


def terms(named: int, quorum: int = 0, score_min: float = 0.6) -> Terms:
    return Terms(ttl=TTL, named=named, quorum=quorum, score_min=score_min)


@pytest.mark.parametrize(
    ("stances", "quorum", "reason"),
    [
        (("LONG",), 0, "long"),
        (("FLAT",), 0, "no rule"),
        (("SHORT",), 0, "no rule"),
        ((), 0, "no rule"),
        (("LONG", "LONG"), 0, "long"),
        (("LONG", "FLAT"), 0, "score"),  # one half
        (("LONG", "LONG", "FLAT"), 0, "long"),  # two thirds
        (("LONG", "SHORT"), 0, "conflict"),
        (("LONG", "LONG", "SHORT"), 0, "score"),  # one to two is no conflict, but a third is no score
        (("LONG", "LONG", "LONG", "SHORT", "SHORT"), 0, "conflict"),  # two to three
        (("LONG", "LONG"), 3, "quorum"),
    ],
)
def test_what_they_say_together(stances: tuple[Stance, ...], quorum: int, reason: str) -> None:
    """Only enough, clear and agreeing opinions enter; everything else holds, and says why."""
    voices = [voice(stance, f"a{n}") for n, stance in enumerate(stances)]
    joint = joined(voices, terms(len(stances), quorum))
    assert (joint.enters, joint.reason) == (reason == "long", reason)


def test_whoever_is_missing_is_missed() -> None:
    """Without a quorum of its own every named agent must have an opinion that counts."""
    assert joined([voice("LONG")], terms(2)).reason == "quorum"
    assert joined([voice("LONG")], terms(2, quorum=1)).enters


@pytest.mark.parametrize(
    ("age", "fresh"),
    [(-5 * SECOND, 1.0), (0, 1.0), (TTL // 2, 0.5), (TTL, 0.25)],
)
def test_an_opinion_fades_by_half_with_every_half_of_its_life(age: int, fresh: float) -> None:
    """And one from a clock that runs ahead is as fresh as a new one, no fresher."""
    assert freshness(age, TTL) == pytest.approx(fresh)


def test_the_fresher_of_two_that_disagree_weighs_more() -> None:
    """An old LONG does not outweigh a new SHORT, and the other way round a new LONG does."""
    assert score_of([voice("LONG", age=TTL), voice("SHORT", "b")], TTL) == pytest.approx(-0.6)
    assert score_of([voice("LONG"), voice("SHORT", "b", age=TTL)], TTL) == pytest.approx(0.6)


def test_weight_is_what_has_been_earned() -> None:
    """An agent that has earned nothing cannot hold up one that has."""
    voices = [voice("LONG", weight=1.0), voice("SHORT", "b", weight=0.1)]
    assert joined(voices, terms(2)).enters
    assert not speaks_against(voices, TTL)


@pytest.mark.parametrize(
    ("for_it", "against", "leaves"), [(0, 1, True), (1, 1, True), (2, 1, False), (5, 3, False), (4, 3, True)]
)
def test_those_who_want_to_leave_must_not_be_clearly_outweighed(for_it: int, against: int, leaves: bool) -> None:
    """More than six tenths of those who want to stay is enough."""
    voices = [voice("LONG", f"l{n}") for n in range(for_it)] + [voice("SHORT", f"s{n}") for n in range(against)]
    assert speaks_against(voices, TTL) is leaves


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("LONG", "SHORT", "FLAT")), st.floats(0.1, 3.0), st.integers(-MINUTE, TTL)),
        max_size=6,
    )
)
def test_one_more_against_never_makes_an_entry(found: list[tuple[Stance, float, int]]) -> None:
    """Adding a SHORT to any set of opinions can stop an entry, and never make one; nor does it raise the score."""
    voices = [voice(stance, f"a{n}", weight=weight, age=age) for n, (stance, weight, age) in enumerate(found)]
    more = [*voices, voice("SHORT", "z")]
    before, after = joined(voices, terms(1, quorum=1)), joined(more, terms(1, quorum=1))
    assert after.score <= before.score + 1e-12
    assert before.enters or not after.enters


def test_leaving_one_out_asks_again_without_it() -> None:
    """Each agent's answer is what the others would have said."""
    voices = [voice("LONG", "a"), voice("SHORT", "b"), voice("LONG", "c")]
    counted = without_each(voices, lambda some: float(sum(each.stance == "LONG" for each in some)))
    assert counted == {"a": 1.0, "b": 2.0, "c": 1.0}
