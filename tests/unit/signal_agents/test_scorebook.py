"""What votes were worth: resolved by the next close, learned together, attributed by leaving one out."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from libs.common.messages import Ballot
from libs.common.timeframe import MINUTE
from services.signal_agents.portfolio.scorebook import (
    HELD_MAX,
    PROMOTION_VOTES_MIN,
    RULE_WEIGHT_MIN,
    Scorebook,
    Vote,
    bars_of,
)

BAR = 15 * MINUTE
BARS = bars_of("BTC-USDT", "15m")


def vote(side: int, agent: str = "trend", p: float = 0.6, *, is_model: bool = False) -> Vote:
    return Vote(agent_id=agent, is_model=is_model, side=side, p=p)


def ballot(agent: str, without: float) -> Ballot:
    return Ballot(agent_id=agent, kind="RULE", stance="LONG", p=0.6, weight=1.0, freshness=1.0, size_without=without)


def test_a_vote_is_right_when_the_next_bar_closes_on_its_side() -> None:
    """Up is right above the close it was made at, down below it."""
    book = Scorebook()
    book.closed(BARS, BAR, 100.0, BAR)
    book.vote(BARS, BAR, vote(1, "bull"), BAR)
    book.vote(BARS, BAR, vote(-1, "bear"), BAR)
    book.closed(BARS, 2 * BAR, 101.0, BAR)
    assert {each.agent_id: each.hits for each in book.scores()} == {"bull": 1, "bear": 0}


def test_a_bar_that_says_nothing_counts_for_nobody() -> None:
    """The same close again, or a bar that never came: the vote is dropped."""
    book = Scorebook()
    for end_ts, px in ((BAR, 100.0), (2 * BAR, 100.0), (4 * BAR, 120.0)):
        book.closed(BARS, end_ts, px, BAR)
        book.vote(BARS, end_ts, vote(1), end_ts)
    assert book.scores() == ()
    assert list(book.closes[BARS]) == [4 * BAR]


def test_a_vote_after_its_outcome_is_not_counted() -> None:
    """Nor is a second one of the same agent about the same close."""
    book = Scorebook()
    book.closed(BARS, BAR, 100.0, BAR)
    book.vote(BARS, BAR, vote(1), BAR)
    book.vote(BARS, BAR, vote(-1), BAR)
    book.closed(BARS, 2 * BAR, 101.0, BAR)
    book.vote(BARS, BAR, vote(1, "late"), BAR)
    book.closed(BARS, 3 * BAR, 102.0, BAR)
    assert [(each.agent_id, each.votes, each.hits) for each in book.scores()] == [("trend", 1, 1)]


def test_bars_of_another_length_are_other_votes() -> None:
    """An hourly close does not resolve what was said of the next quarter of an hour."""
    book = Scorebook()
    book.closed(BARS, BAR, 100.0, BAR)
    book.vote(BARS, BAR, vote(1), BAR)
    book.closed(bars_of("BTC-USDT", "1h"), 2 * BAR, 99.0, 4 * BAR)
    assert book.scores() == ()


def test_an_agents_share_is_what_would_have_been_missed_without_it() -> None:
    """Full size with it, none without it, and the bar made one percent: a hundred basis points are its own; a veto earns what it saved."""
    book = Scorebook()
    book.closed(BARS, BAR, 100.0, BAR)
    book.vote(BARS, BAR, vote(1, "trend"), BAR)
    book.vote(BARS, BAR, vote(-1, "llm", is_model=True), BAR)
    book.decided(BARS, BAR, 1.0, (ballot("trend", 0.0), ballot("llm", 1.0)))
    book.closed(BARS, 2 * BAR, 101.0, BAR)
    book.vote(BARS, 2 * BAR, vote(-1, "llm", is_model=True), 2 * BAR)
    book.decided(BARS, 2 * BAR, 0.0, (ballot("trend", 0.0), ballot("llm", 1.0)))
    book.closed(BARS, 3 * BAR, 99.99, BAR)
    assert {each.agent_id: each.share_bps for each in book.scores()} == pytest.approx({"trend": 100.0, "llm": 100.0})


def lived(skill: float, bars: int, seed: int = 5) -> Scorebook:
    """A model with this chance to be right, over so many bars."""
    random, book, px = Random(seed), Scorebook(), 100.0
    for bar in range(1, bars + 1):
        book.closed(BARS, bar * BAR, px, BAR)
        step = random.choice((-1.0, 1.0))
        side = step if random.random() < skill else -step
        book.vote(BARS, bar * BAR, vote(int(side), "llm", is_model=True), bar * BAR)
        px += step * 0.01
    return book


def test_a_model_is_promoted_by_evidence_and_not_before() -> None:
    """Skill without votes is not enough, votes without skill are not either."""
    assert lived(0.7, 1_000).has_earned("llm")
    assert not lived(0.95, PROMOTION_VOTES_MIN).has_earned("llm")  # one short: the last bar is open
    assert not lived(0.5, 1_000).has_earned("llm")
    assert not Scorebook().has_earned("llm")


def test_a_rule_keeps_a_voice() -> None:
    """A named rule that is always wrong weighs little, but something: silencing it is the operator's to do."""
    book, px = Scorebook(), 100.0
    for bar in range(1, 600):
        book.closed(BARS, bar * BAR, px, BAR)
        book.vote(BARS, bar * BAR, vote(-1, p=0.7), bar * BAR)
        px += 0.01
    assert book.stack.weight("trend") < 0
    assert book.weight("trend") == RULE_WEIGHT_MIN
    assert book.weight("newcomer") == 1.0


def test_memory_is_bounded_and_survives() -> None:
    """Closes whose time has come and gone are let go of, and the book is the same after a round trip through JSON."""
    book = Scorebook()
    for bar in range(1, 50):
        book.closed(BARS, bar * BAR, 100.0 + bar % 3, 100 * BAR)
        book.vote(BARS, bar * BAR, vote(1), bar * BAR)
    assert len(book.closes[BARS]) <= HELD_MAX
    assert msgspec.json.decode(msgspec.json.encode(book), type=Scorebook) == book
