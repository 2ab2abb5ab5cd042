"""The track record: every figure with its interval, targets as targets, and nothing said of too little."""

from __future__ import annotations

import math
from decimal import Decimal
from random import Random
from statistics import fmean

import pytest

from libs.trading.beta import beta_below, chance_rate_above
from libs.trading.daily_equity import DAY_NS, DailyEquity, Observed, daily_equity
from libs.trading.performance import deflated, min_track_record, moments, psr, sharpe
from libs.trading.round_trips import RoundTrip, RoundTrips
from libs.trading.track_record import (
    OBSERVATIONS_MIN,
    TrackRecord,
    Trials,
    book_record,
    contributions,
    lines,
    records_by,
    track_record,
)
from tests.unit.trading.test_trade_stats import a_trip

D = Decimal
NOTHING = RoundTrips((), ())


def trips(count: int, wins: int) -> RoundTrips:
    """One trade a day; the winners earn 8 % of the risk less than the losers lose."""
    found: list[RoundTrip] = []
    for place in range(count):
        won = (place * wins) // count != ((place + 1) * wins) // count
        ts = place * DAY_NS + DAY_NS // 2
        agents = ("trend",) if place % 3 else ("levels",)
        found.append(a_trip("8" if won else "-10", entry_ts=ts - DAY_NS // 4, exit_ts=ts, agents=agents))
    return RoundTrips(tuple(found), ())


def book(days: int, found: RoundTrips) -> DailyEquity:
    """A book of 1,000 that earns what its trades do."""
    equity, observed = D(1_000), [Observed(0, D(1_000))]
    for trip in found.closed:
        equity += trip.pnl
        observed.append(Observed(trip.exit_ts, equity))
    return daily_equity(observed, now=days * DAY_NS)


def returns(days: int, seed: int = 1) -> list[float]:
    """Daily returns."""
    random = Random(seed)
    return [random.gauss(0.002, 0.02) for _ in range(days)]


def test_every_figure_has_its_interval_and_luck_its_probabilities() -> None:
    """A year: each headline figure within its bounds; the probabilities are those of the moments and of the trials given."""
    year = returns(365)
    found = track_record(year, trips(100, 60), trials=Trials(20, 0.003))
    for name in ("sharpe", "sortino", "cagr", "volatility", "drawdown", "underwater_days"):
        figure = getattr(found, name)
        assert figure.low <= figure.value <= figure.high, name
    assert found.sharpe.value == pytest.approx(sharpe(year), rel=1e-9)
    assert found.psr == psr(moments(year))
    assert found.deflated == deflated(moments(year), 20, 0.003) < found.psr
    assert found.days_needed == min_track_record(moments(year))


def test_targets_come_with_the_chance_that_the_truth_is_above_them() -> None:
    """The Sharpe target is taken to one day before it is asked for; the win rate's chance is what the trades leave above it."""
    year = returns(365)
    found = track_record(year, trips(400, 220), trials=Trials())
    ratio, rate, coin = found.targets
    assert ratio.chance_above == psr(moments(year), 1.5 / math.sqrt(365))
    assert (ratio.observed, ratio.low, ratio.high) == (found.sharpe.value, found.sharpe.low, found.sharpe.high)
    assert rate.observed == 0.55
    assert rate.chance_above == pytest.approx(0.5, abs=0.01)
    assert coin.target == pytest.approx(10 / 18)
    assert coin.chance_above < 0.5  # 55 % of wins are less than a coin's with these exits: it loses money
    assert found.trades.expectancy.value < 0


def test_no_line_passes_anything() -> None:
    """However good the series: a target is called one, with its chance, and no word is a verdict."""
    good = [0.01 + 0.001 * each for each in returns(400)]
    text = "\n".join(lines(track_record(good, trips(500, 450), trials=Trials(3, 0.001))))
    assert text.count("target: ") == 3
    assert text.count("chance that the truth is above it") == 3
    for word in ("pass", "ok", "fail", "good", "success", "reached", "met", "nan"):
        assert word not in text.lower().replace("took", "").split(), word
    assert "pass" not in text.lower()


@pytest.mark.parametrize("days", [0, 1, OBSERVATIONS_MIN - 1])
def test_of_too_little_nothing_is_said(days: int) -> None:
    """Twenty-nine days and twenty-nine trades, all of them won: not known yet."""
    found = track_record([0.01 + each for each in returns(days)], trips(days, days), trials=Trials(5, 0.01))
    for each in (found.sharpe.value, found.psr, found.deflated, found.days_needed, found.drawdown.value):
        assert math.isnan(each)
    assert all(math.isnan(target.chance_above) for target in found.targets)
    text = lines(found)
    assert sum("not known yet" in line for line in text if line.startswith("target: ")) == len(found.targets)
    assert not any("nan" in line for line in text)
    assert not math.isnan(track_record(returns(OBSERVATIONS_MIN), NOTHING, trials=Trials()).sharpe.value)


def test_a_ratio_below_zero_never_shows_that_it_is_above() -> None:
    """The wait is endless, and the line says so in words."""
    found = track_record([-0.01 + each for each in returns(200)], NOTHING, trials=Trials())
    assert found.days_needed == math.inf
    assert "days until the first chance is 95 %: never, at this ratio" in lines(found)


def test_the_record_of_a_book_and_of_its_agents() -> None:
    """What the agents added to each day is what the day was; each has its own record, as do hours, regimes and instruments."""
    traded = trips(120, 80)
    equity = book(120, traded)
    whole = book_record(equity, traded, trials=Trials())
    assert (whole.days, whole.trades.count, whole.days_carried) == (120, 120, 0)
    assert whole.activity.exposure.value == pytest.approx(0.25)
    agents = records_by("agent", equity, traded, trials=Trials())
    assert {name: each.trades.count for name, each in agents.items()} == {"levels": 40, "trend": 80}
    added = [
        sum(parts)
        for parts in zip(
            *(
                contributions([trip for trip in traded.closed if trip.agents == (name,)], equity)
                for name in ("levels", "trend")
            ),
            strict=True,
        )
    ]
    assert added == pytest.approx(equity.returns, abs=1e-12)
    for label in ("hour", "regime", "instrument"):
        (alone,) = records_by(label, equity, traded, trials=Trials()).values()
        assert isinstance(alone, TrackRecord)
        assert alone.sharpe.value == pytest.approx(whole.sharpe.value, rel=1e-9)


def test_a_result_belongs_to_the_day_it_was_closed_on() -> None:
    """At midnight sharp: to the day that ends. Before the first midnight or after the last: to none."""
    equity = daily_equity([Observed(0, D(100)), Observed(3 * DAY_NS, D(100))])
    ends = [0, 1, DAY_NS, DAY_NS + 1, 3 * DAY_NS, 3 * DAY_NS + 1]
    found = [contributions([a_trip("10", exit_ts=end)], equity) for end in ends]
    assert [[day for day, each in enumerate(row) if each] for row in found] == [[], [0], [0], [1], [2], []]


def test_jeffreys_posterior_is_calibrated() -> None:
    """Over many coins whose true rates are spread evenly, what is given a chance of p comes true in p of the cases."""
    random = Random(11)
    chances, truths = [], []
    for _ in range(4_000):
        truth = random.uniform(0.4, 0.7)
        hits = sum(random.random() < truth for _ in range(40))
        chance = chance_rate_above(hits, 40, 0.55)
        if 0.4 < chance < 0.8:
            chances.append(chance)
            truths.append(truth > 0.55)
    assert fmean(truths) == pytest.approx(fmean(chances), abs=0.06)


def test_the_beta_distribution_by_hand() -> None:
    """Uniform, symmetric, at its ends; no parameter is zero."""
    assert beta_below(1, 1, 0.3) == pytest.approx(0.3, rel=1e-12)
    assert beta_below(7.5, 7.5, 0.5) == pytest.approx(0.5, rel=1e-12)
    assert beta_below(2, 1, 0.5) == pytest.approx(0.25, rel=1e-12)
    assert (beta_below(2, 3, 0.0), beta_below(2, 3, 1.0)) == (0.0, 1.0)
    with pytest.raises(ValueError, match="positive"):
        beta_below(0, 1, 0.5)
