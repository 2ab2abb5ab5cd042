"""What chance comes to: with nothing in the votes it is as good as they are, and with something it is not."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest

from libs.common.messages import Bar
from libs.common.timeframe import DAY
from libs.research.validity.chance import Placed, random_entries, random_levels, shuffled, turned
from libs.research.validity.folds import cross_validated, overfitting
from libs.research.validity.noise import CARRIED, momentum, noise_market, noise_of, on_noise, planted_edge
from libs.research.validity.votes import FREE, Board, Costs, Series, board_of
from tests.plugins import changed
from tests.unit.research.validity.rules import bar_at, hours, on_trial, voted

NOISE = noise_market("chance", "1h", 3_000, sd=0.0075)
EDGE = noise_market("chance", "1h", 8_760, sd=0.0075, carried=CARRIED)


def board(market: object = NOISE, ahead: int = 0) -> Board:
    return board_of(momentum(market, ahead))  # type: ignore[arg-type]


def test_votes_on_noise_are_not_better_than_chance() -> None:
    """Neither against shuffled stances nor against random entries."""
    assert shuffled(board(), 100, 1).p > 0.05
    assert random_entries(board(), 100, 1).p > 0.05


def test_a_planted_edge_is_found() -> None:
    """Returns that carry a twelfth of themselves on make a rule that follows the last bar better than all random entries."""
    found = planted_edge(1)
    assert found.is_found
    assert found.sharpe > found.null.high
    assert shuffled(board(EDGE), 20, 1).p == pytest.approx(1 / 21)


def test_random_entries_are_as_many_and_held_as_long() -> None:
    """Only when is left to chance: time in the market is the same to the bar."""
    mine = board().worth()
    assert random_entries(board(), 20, 1).runs == 20
    seen = []
    original = Board.worth

    def spy(self: Board, spells=None, **told):
        worth = original(self, spells, **told)
        seen.append((worth.trips, worth.exposure))
        return worth

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Board, "worth", spy)
        random_entries(board(), 20, 1)
    assert {exposure for _, exposure in seen} == {mine.exposure}


def test_the_same_seed_comes_to_the_same_chance() -> None:
    """The seed is the finding."""
    assert shuffled(board(), 30, 7) == shuffled(board(), 30, 7)
    assert shuffled(board(), 30, 7).mean != shuffled(board(), 30, 8).mean


def test_the_opposite_of_an_edge_loses_what_it_wins() -> None:
    """In whenever the rule is out: the votes and their opposite lie on both sides of holding. It never says SHORT."""
    found = turned(board(EDGE))
    assert found.votes > found.holding + 1.0
    assert found.holding > found.flipped + 1.0
    assert math.isnan(found.short)


def test_who_was_never_in_the_market_is_not_compared() -> None:
    """It does not apply, and it says so."""
    idle = board_of([voted(hours(1, 200), [0] * 200)])
    assert "does not apply" in shuffled(idle, 20, 1).missing


def turns() -> tuple[list[Series], list[Placed]]:
    """Falls, shallow and deep, that all turn again, and somebody who knows how far each goes: each stop lies just below the turn."""
    random, bars, entries, px = Random(3), list[Bar](), list[Placed](), 100.0
    for number in range(90):
        depth, place = random.choice((0.5, 2.0, 5.0)), len(bars)
        low = px - depth
        bars += [bar_at(place, px, low), bar_at(place + 1, low, px + 3.0), bar_at(place + 2, px + 3.0, px)]
        if number >= 20:  # ranges are as wide as ever by then
            entries.append(Placed("BTC-USDT", place, px - depth - 0.1, px + 2.5))
    return [voted(bars, [0] * len(bars))], entries


def guesses(seed: int) -> tuple[list[Series], list[Placed]]:
    """Entries on noise, with stops and targets anywhere."""
    random, bars = Random(seed), hours(seed, 1_000)
    entries = [
        Placed("BTC-USDT", place, bars[place].open * (1.0 - random.uniform(0.003, 0.04)), bars[place].open * 1.03)
        for place in range(60, 900, 12)
    ]
    return [voted(bars, [0] * len(bars))], entries


def test_stops_at_the_right_places_beat_the_same_stops_at_random_places() -> None:
    """A stop below each turn is never reached; the same distances in another order are."""
    assert random_levels(*turns(), 100, 1).p == pytest.approx(1 / 101)


def test_stops_on_noise_are_at_no_better_places_than_others() -> None:
    """Of twelve who guess, a twentieth is called lucky, and the middle one is in the middle."""
    chances = sorted(random_levels(*guesses(seed), 60, 1).p for seed in range(12))
    assert chances[1] > 0.05
    assert 0.2 < chances[6] < 0.8


def test_without_stops_there_is_nothing_to_place_elsewhere() -> None:
    """Few entries, or all equally far: the question does not apply."""
    series, entries = turns()
    assert "does not apply" in random_levels(series, entries[:5], 20, 1).missing


def test_a_template_agent_earns_nothing_on_noise(tmp_path) -> None:
    """The mean Sharpe ratio before costs is zero within its error, and below zero after costs."""
    candidate = on_trial(tmp_path, changed(), timeframe="1h")
    noise = on_noise(candidate, base="1h", bars=1_500, runs=12, seed=1, costs=Costs(0.001, 2.0))
    assert noise.is_honest
    assert noise.mean.low < 0.0 < noise.mean.high
    assert noise.mean_after_costs < noise.mean.value - 1.0


def test_a_rule_that_knows_the_next_bar_is_not_honest_on_noise() -> None:
    """Were look-ahead not caught before, the noise would show it: a mean far beyond its error."""
    ratios = []
    for seed in range(6):
        market = noise_market(f"leak {seed}", "1d", 365, sd=0.03)
        ratios.append(board(market, ahead=1).worth(costs=FREE).sharpe)
    noise = noise_of(ratios, ratios, runs=6, bars=365, years=1.0)
    assert not noise.is_honest
    assert noise.mean.low > 9.0


def test_folds_tell_an_even_result_from_a_lucky_stretch() -> None:
    """Both earned about the same; one of them in one month only."""
    random = Random(2)
    noise = [random.gauss(0.0, 0.01) for _ in range(360)]
    even = cross_validated({"even": [each + 0.003 for each in noise]}, 3)
    lucky = cross_validated({"lucky": [each + (0.03 if place < 36 else 0.0) for place, each in enumerate(noise)]}, 3)
    assert even.forward.positive >= 4
    assert even.forward.together.low > 0.0
    assert lucky.forward.together.low < 0.0
    assert len(even.path_sharpes) == 5
    assert "4 settings" in even.overfit_missing


def test_choosing_the_best_of_many_without_skill_is_overfitting() -> None:
    """Among equals the best of one half is below the middle of the other as often as not; with one that is better, never."""
    random = Random(2)
    equals = {str(name): [random.gauss(0.0, 0.01) for _ in range(400)] for name in range(20)}
    assert 0.3 < overfitting(equals)[0] < 0.9
    skilled = {**equals, "skilled": [random.gauss(0.003, 0.01) for _ in range(400)]}
    assert overfitting(skilled)[0] < 0.05


def test_the_walk_forward_examines_only_what_comes_after_what_it_chose_by() -> None:
    """Of two settings of which one earns in the first half and the other in the second, it never knows beforehand."""
    random = Random(4)
    first = [random.gauss(0.005 if place < 180 else -0.005, 0.01) for place in range(360)]
    second = [-each for each in first]
    found = cross_validated({"first": first, "second": second}, 1)
    assert all(one.after <= other.first for one, other in pairwise(found.forward.stretches))
    assert found.forward.stretches[0].chosen == "first"
    assert found.forward.together.value < 0.0


def test_a_few_days_say_nothing_about_folds() -> None:
    """Not known yet, and the days are counted."""
    assert "30 days" in cross_validated({"short": [0.01] * 30}, 1).forward.missing
    assert board().step == DAY
