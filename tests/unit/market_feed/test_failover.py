"""Who speaks changes seldom, and never stays with somebody who says nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.timeframe import SECOND
from services.market_feed.failover import Choice, Chooser, Health, Patience

VENUES = ("binance", "kraken", "kucoin")
LOOK = SECOND // 2
GOOD, FAIR, DEAD = 1.0, 0.65, 0.0


class Watched:
    """A chooser that is looked at twice a second, and what it chose in turn."""

    def __init__(self, venue: str = "binance"):
        self.chooser = Chooser(VENUES, venue, Patience())
        self.told = [self.chooser.choice]
        self.answers = dict.fromkeys(VENUES, True)

    def live(self, seconds: float, *scores: float) -> Choice:
        """So long with these scores, in the order of preference; a venue that is not named has no health."""
        for _ in range(round(seconds * SECOND / LOOK)):
            health = {
                venue: Health(score=score, rest_answers=self.answers[venue])
                for venue, score in zip(VENUES, scores, strict=False)
            }
            choice = self.chooser.look(health, LOOK)
            if choice != self.told[-1]:
                self.told.append(choice)
        return self.chooser.choice

    @property
    def who(self) -> list[tuple[str, str, str]]:
        """The choices after the first."""
        return [(each.venue, each.via, each.reason) for each in self.told[1:]]


def test_home_speaks_while_it_is_not_poor() -> None:
    """A middling home is not left for a perfect other: its prices are the ones we trade at."""
    watched = Watched()
    watched.live(600, FAIR, GOOD, GOOD)
    assert watched.who == []


def test_a_poor_home_is_left_for_the_most_preferred_good_one() -> None:
    """Five seconds, not four and a half; and not to the one that is only middling."""
    watched = Watched()
    watched.live(4.5, DEAD, FAIR, GOOD)
    assert watched.who == []
    watched.live(0.5, DEAD, FAIR, GOOD)
    assert watched.who == [("kucoin", "SOCKETS", "BINANCE_POOR")]


def test_home_speaks_again_after_a_good_minute() -> None:
    """One bad look within the minute, and it begins anew."""
    watched = Watched("kraken")
    watched.live(59.5, GOOD, GOOD)
    watched.live(0.5, FAIR, GOOD)
    watched.live(59.5, GOOD, GOOD)
    assert watched.who == []
    watched.live(0.5, GOOD, GOOD)
    assert watched.who == [("binance", "SOCKETS", "RETURNED")]


def test_a_dead_venue_is_left_for_a_middling_one() -> None:
    """No other is good because one of its instruments is quiet: better than a home that says nothing at all."""
    watched = Watched()
    watched.live(30, DEAD, FAIR, DEAD)
    assert watched.who == [("kraken", "SOCKETS", "BINANCE_POOR")]


def test_without_any_sockets_rest_is_polled_at_home_first() -> None:
    """Where home's REST is silent too, the next one's; and sockets speak again after five good seconds."""
    watched = Watched()
    watched.answers["binance"] = False
    watched.live(5, DEAD, DEAD, DEAD)
    watched.answers["binance"] = True
    watched.live(60, DEAD, DEAD, DEAD)
    watched.answers["kraken"] = False
    watched.live(5, DEAD, DEAD, DEAD)
    watched.live(4.5, GOOD, DEAD, DEAD)
    watched.live(0.5, GOOD, DEAD, DEAD)
    assert watched.who == [
        ("kraken", "POLLING", "NO_SOCKETS"),
        ("binance", "POLLING", "NO_SOCKETS"),
        ("binance", "SOCKETS", "SOCKETS_BACK"),
    ]


def test_where_nobody_answers_nothing_changes() -> None:
    """A choice among the dead is none; the venue that speaks goes on being asked."""
    watched = Watched()
    watched.answers = dict.fromkeys(VENUES, False)
    watched.live(120, DEAD, DEAD, DEAD)
    assert watched.who == []


def test_a_venue_without_health_is_no_venue() -> None:
    """Nobody goes where nothing is known."""
    watched = Watched()
    watched.live(120, DEAD)
    assert watched.who == [("binance", "POLLING", "NO_SOCKETS")]


SPELL = st.tuples(st.floats(0.5, 4.5), *[st.sampled_from((GOOD, 0.81, FAIR, 0.49, DEAD))] * 3)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(SPELL, max_size=40), st.sampled_from(VENUES))
def test_spells_shorter_than_the_waits_move_nobody(spells: list[tuple[float, float, float, float]], venue: str) -> None:
    """However health flickers: between any two spells all are well and all are middling for a moment, and nobody is left."""
    watched = Watched(venue)
    for seconds, *scores in spells:
        watched.live(seconds, *scores)
        watched.live(0.5, FAIR, FAIR, FAIR)
    assert watched.who == []


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(SPELL, max_size=20),
    st.tuples(*[st.sampled_from((GOOD, FAIR, DEAD))] * 3).filter(lambda scores: GOOD in scores),
    st.sampled_from(VENUES),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_it_ends_with_a_venue_that_speaks(
    spells: list[tuple[float, float, float, float]], scores: tuple[float, ...], venue: str, answers: list[bool]
) -> None:
    """Whatever happened before: while one stays good, its sockets or better preferred ones that deliver speak, and go on to."""
    watched = Watched(venue)
    watched.answers = dict(zip(VENUES, answers, strict=True))
    for seconds, *before in spells:
        watched.live(seconds, *before)
    watched.live(61, *scores)
    settled, changes = watched.chooser.choice, len(watched.told)
    watched.live(300, *scores)
    assert settled.via == "SOCKETS"
    assert scores[VENUES.index(settled.venue)] > DEAD
    assert len(watched.told) == changes


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(SPELL, min_size=1, max_size=80), st.lists(st.sampled_from(VENUES), min_size=80, max_size=80))
def test_two_changes_are_never_closer_than_the_shortest_wait(
    spells: list[tuple[float, float, float, float]], mute: list[str]
) -> None:
    """Five seconds of something being so lie before every change: no flapping, whatever the network does."""
    watched, changed_at, looks = Watched(), [-10.0], 0.0
    for (seconds, *scores), venue in zip(spells, mute, strict=False):
        watched.answers[venue] = not watched.answers[venue]
        for _ in range(round(seconds * 2)):
            before = len(watched.told)
            watched.live(0.5, *scores)
            looks += 0.5
            if len(watched.told) != before:
                changed_at.append(looks)
    assert all(later - early >= 5.0 for early, later in pairwise(changed_at))
