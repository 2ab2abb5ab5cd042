"""Whether live trading has become another thing: rarely a false alarm however often one looks, and soon a true one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations
from random import Random
from typing import Any

import msgspec
import pytest

from benchmarks.drift import CASES, IN_RUNS, Case, characteristic, result, share_found
from libs.common.messages import Baseline, MetricBaseline
from libs.trading.baseline import distribution
from libs.trading.drift import (
    ALPHA_LOOK,
    ALPHA_PER_THOUSAND,
    BASELINE_MIN,
    LOOK_EVERY,
    WINDOW,
    Change,
    Watched,
    add,
    change_in_words,
    compared,
    few_of,
    flaw_of,
    lines,
    watching,
)

FOUND_WITHIN = {
    "slippage + 5 bp": 80,
    "latency x 3": 80,
    "latency: 1 in 5 takes x 5": 240,
    "return - half a deviation": 120,
    "hit rate 55 -> 40 %": 600,
}
"""Of a baseline of 300 samples, nine of ten drifts are found within so many live ones."""


def mixed(values: Iterable[float], seed: int = 2) -> list[float]:
    """In an order in which neighbours have nothing to do with each other."""
    found = list(values)
    Random(seed).shuffle(found)
    return found


def wins_of(hits: int, count: int) -> list[float]:
    """So many wins, spread evenly."""
    return [float((place + 1) * hits // count > place * hits // count) for place in range(count)]


def told(watched: Watched, values: list[float]) -> list[Change]:
    return [change for value in values if (change := add(watched, value)) is not None]


@pytest.mark.no_cover
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("count", [30, 300])
def test_what_has_not_changed_is_rarely_called_worse(case: Case, count: int) -> None:
    """In 1,000 samples, looked at 25 times: below the bound that is stated."""
    runs = 60
    assert share_found(characteristic(case, count, runs, 5, drifts=False)) <= ALPHA_PER_THOUSAND


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_has_changed_is_found_soon(case: Case) -> None:
    """Nine of ten within the number of samples that the page of the watch states."""
    found = characteristic(case, 300, 50, 5, drifts=True)
    within = FOUND_WITHIN[case.name]
    assert sum(each is not None and each <= within for each in found) >= 45


@pytest.mark.no_cover
def test_samples_that_come_in_runs_are_fewer_witnesses() -> None:
    """Where one order is like those before it, `clumping` takes most of the false alarms away."""
    for case, most in zip(IN_RUNS, (0.06, 0.2), strict=True):
        naive = share_found(characteristic(case, 300, 40, 5, drifts=False, as_independent=True))
        false = share_found(characteristic(case, 300, 40, 5, drifts=False))
        assert false <= min(most, naive / 2), case.name


@pytest.mark.no_cover
def test_looking_after_every_trade_at_five_percent_would_cry_wolf() -> None:
    """Why the level of a look is not the level of the watch: the naive watch is wrong most of the time."""
    random, wrong = Random(5), 0
    for _ in range(30):
        base = distribution("return", [result(random) for _ in range(100)])
        live: list[float] = []
        for _ in range(300):
            live.append(result(random))
            if len(live) >= 30 and compared(base, live).p_worse <= 0.05:
                wrong += 1
                break
    assert wrong > 30 * 2 * ALPHA_PER_THOUSAND


def test_fishers_test_is_exact() -> None:
    """The chance of so few hits among those drawn: every draw counted out."""
    cards = [True] * 4 + [False] * 5
    for count in (1, 3, 6, 9):
        draws = [sum(draw) for draw in combinations(cards, count)]
        for hits in range(count + 1):
            counted = sum(each <= hits for each in draws) / len(draws)
            assert few_of(min(hits, 4), count, 4, 9) == pytest.approx(counted), (count, hits)


def test_the_rank_sum_is_that_of_mann_and_whitney() -> None:
    """Read from 21 quantiles it is within a few thousandths of the share of all pairs in which the live one is worse."""
    random = Random(3)
    base = [random.gauss(0, 1) for _ in range(400)]
    live = [random.gauss(0.2, 1) for _ in range(150)]
    exact = sum(new > old for new in live for old in base) / (400 * 150)
    assert compared(distribution("slippage", base), live).worse == pytest.approx(exact, abs=0.004)


def test_exceedances_of_a_baseline_have_their_exact_chance() -> None:
    """Of 4 old and 3 new values every order is as probable: counted out, and as the formula has it."""
    old, new, rank = 4, 3, 3
    orders = list(combinations(range(old + new), new))
    for least in range(new + 1):
        beyond = 0
        for places in orders:
            edge = [place for place in range(old + new) if place not in places][rank - 1]
            beyond += sum(place > edge for place in places) >= least
        assert few_of(new - least, rank + new - least, new, old + new) == pytest.approx(beyond / len(orders))


def test_only_a_worse_direction_is_called_worse() -> None:
    """Lower is better of a latency, worse of a return; the better one is told as such."""
    base = mixed(float(each) for each in range(100))
    low, high = [-50.0] * LOOK_EVERY, [500.0] * LOOK_EVERY
    for metric, better in (("slippage", low), ("latency", low), ("return", high)):
        worse = high if better is low else low
        assert [each.state for each in told(Watched(distribution(metric, base)), better)] == ["BETTER"]  # type: ignore[arg-type]
        assert [each.state for each in told(Watched(distribution(metric, base)), worse)] == ["WORSE"]  # type: ignore[arg-type]


def test_an_episode_is_told_once_and_ends_once() -> None:
    """Worse, and worse again is one alarm; when the window is as before it is over; a second episode is another alarm."""
    random = Random(1)
    usual = [random.gauss(100, 10) for _ in range(600)]
    bad = [each + 15 for each in usual[: 4 * LOOK_EVERY]]
    watched = Watched(distribution("latency", usual))
    assert [each.state for each in told(watched, [*usual[:LOOK_EVERY], *bad])] == ["WORSE"]
    assert [(each.was, each.state) for each in told(watched, usual[: WINDOW["latency"]])] == [("WORSE", "SAME")]
    assert [each.state for each in told(watched, bad)] == ["WORSE"]


def test_at_the_edge_nothing_flaps() -> None:
    """What is no longer beyond the level of a look is not over: it must be as before, with 5 %."""
    base = distribution("hit_rate", wins_of(150, 300))
    watched = Watched(base, state="WORSE")
    live = [1.0] * 13 + [0.0] * 27
    assert ALPHA_LOOK < compared(base, live).p_worse < 0.05
    assert told(watched, live) == []
    assert watched.state == "WORSE"


def test_a_baseline_of_few_samples_is_not_watched() -> None:
    """It says so, and nothing is ever told of it."""
    few = Baseline(
        source="a week", from_ts=0, until_ts=1, metrics=(distribution("hit_rate", [1.0] * (BASELINE_MIN - 1)),)
    )
    watch = watching(few, now=0, positions={}, steps={})
    assert told(watch.metrics["hit_rate"], [0.0] * 200) == []
    assert lines(watch)[1].startswith("hit rate: not watched, its baseline has 29 samples")


def test_thirty_round_trips_cannot_tell_forty_from_fifty_five_percent() -> None:
    """An honest test says nothing where nothing can be known: the luck of the baseline alone explains it."""
    base = distribution("hit_rate", wins_of(16, 30))
    assert compared(base, [1.0] * 160 + [0.0] * 240).p_worse > ALPHA_LOOK


def test_what_is_remembered_survives_the_snapshot_and_is_bounded() -> None:
    """The newest samples and nothing else, through JSON and back."""
    watched = Watched(distribution("return", [float(each) for each in range(50)]))
    told(watched, [float(each) for each in range(500)])
    assert watched.window == [float(each) for each in range(300, 500)]
    assert msgspec.json.decode(msgspec.json.encode(watched), type=Watched) == watched


def test_the_words_have_live_and_baseline_and_both_counts() -> None:
    """Whoever is woken needs no second look to know how bad it is."""
    base = distribution("hit_rate", wins_of(165, 300))
    change = Change("hit_rate", "SAME", "WORSE", compared(base, [1.0] * 14 + [0.0] * 26))
    assert change_in_words(change) == (
        "hit rate is worse than the baseline: 35.0 % in the last 40, 55.0 % in the baseline's 300 "
        "(of unchanged ones one look in 75 is as bad)"
    )


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"count": 0}, "samples"),
        ({"quantiles": (1.0, 2.0)}, "quantiles"),
        ({"quantiles": (*range(20, -1, -1),)}, "at least the one before it"),
        ({"quantiles": (math.inf,) * 21}, "quantiles"),
        ({"clumping": 0.5}, "cannot say as much as one"),
        ({"clumping": 3.0}, "cannot say as much as one"),
        ({"metric": "hit_rate", "mean": 1.5}, "a hit rate is a share"),
    ],
)
def test_what_cannot_be_a_baseline_is_named(changes: dict[str, Any], flaw: str) -> None:
    """Nothing is compared with nonsense."""
    metric = msgspec.structs.replace(distribution("latency", [1.0, 2.0]), **changes)
    assert flaw in flaw_of(baseline(metric))
    assert flaw_of(baseline(distribution("latency", [1.0, 2.0]))) == ""


def test_a_metric_named_twice_is_no_baseline() -> None:
    """Nobody could say which of the two counts."""
    assert flaw_of(baseline(*[distribution("latency", [1.0])] * 2)) == "a metric is named twice"


def baseline(*metrics: MetricBaseline) -> Baseline:
    return Baseline(source="a book", from_ts=0, until_ts=1, metrics=metrics)
