"""What may be claimed and what not: sentences with numbers, of every part, and none that only praises."""

from __future__ import annotations

import json
import math
import re
from random import Random

import pytest

from libs.research.validity.chance import Null
from libs.research.validity.examination import luck_of
from libs.research.validity.noise import noise_of
from libs.research.validity.page import page_of
from libs.research.validity.verdict import Costed, Validation, claims_of
from libs.research.validity.words import as_json, sections_of
from libs.trading.track_record import Trials


def found(**told: object) -> Validation:
    return Validation(name="rule", code_digest="c", settings_digest="s", **told)  # type: ignore[arg-type]


def returns(mean: float, days: int = 730) -> list[float]:
    random = Random(5)
    return [random.gauss(mean, 0.02) for _ in range(days)]


def test_one_ratio_is_luck_after_many_trials_and_more_than_luck_after_one() -> None:
    """The same days: what may be claimed depends on how much was tried before."""
    alone = found(luck=(luck_of("its votes", returns(0.003), Trials(1, 0.0), 1),))
    hunted = found(luck=(luck_of("its votes", returns(0.003), Trials(200, 0.0025), 400),))
    assert any("more than luck explains" in each for each in claims_of(alone).may)
    assert not any("luck" in each for each in claims_of(hunted).may)
    assert any("above the best of 200 trials" in each for each in claims_of(hunted).may_not)


def test_a_few_days_are_not_known_yet_whatever_they_show() -> None:
    """Ten days of gains are ten days."""
    few = found(luck=(luck_of("its votes", [0.01, 0.02] * 5, Trials(), 1),))
    assert claims_of(few).may == ()
    assert any("not known yet after 10 days" in each for each in claims_of(few).may_not)


@pytest.mark.parametrize(("growth", "kept"), [(1.2, True), (0.9, False)])
def test_costs_and_delay_are_claimed_by_what_is_left(growth: float, kept: bool) -> None:
    """A gain that is left may be told, a loss is told, too."""
    rows = tuple(Costed(name=name, growth=growth, trips=9, sharpe=1.0) for name in ("costs x 2", "one bar later"))
    claims = claims_of(found(votes=rows))
    told = claims.may if kept else claims.may_not
    assert sum("survives" in each and "9 round trips" in each for each in told) == 2


def test_chance_that_is_as_good_may_not_be_claimed_to_be_beaten() -> None:
    """Nor what was not asked."""
    nulls = (
        Null(name="shuffled", observed=1.0, runs=200, mean=0.0, low=-1.0, high=1.0, p=0.02),
        Null(name="random", observed=1.0, runs=200, mean=0.9, low=-1.0, high=2.0, p=0.4),
        Null(name="levels", missing="it does not apply"),
    )
    claims = claims_of(found(nulls=nulls))
    assert [each for each in claims.may if "beats" in each] == [
        "that it beats shuffled: 2.0% of 200 runs came out as good or better"
    ]
    assert [each for each in claims.may_not if "random" in each or "levels" in each] == [
        "that it beats random: 40.0% of 200 runs came out as good or better",
        "that it beats levels: it does not apply",
    ]


def test_a_mean_on_noise_that_is_not_zero_takes_every_claim_away_and_is_a_finding() -> None:
    """It, or we, know the future."""
    lucky = [9.0 + number / 10 for number in range(10)]
    gains = (Costed(name="costs x 2", growth=9.0, trips=9, sharpe=9.0),)
    result = found(votes=gains, noise=noise_of(lucky, lucky, runs=10, bars=1_000, years=2.0))
    assert result.is_finding
    assert claims_of(result).may == ()
    assert any(each.startswith("anything: on pure noise") for each in claims_of(result).may_not)
    assert any("Believe nothing above" in line for section in sections_of(result) for line in section.lines)


def test_every_sentence_has_its_number_and_the_page_and_the_json_tell_the_same() -> None:
    """No verdict without a number, nothing that JSON cannot hold, nothing on the page that is not escaped."""
    result = found(
        series=("<BTC-USDT>",),
        luck=(luck_of("its votes", returns(0.0), Trials(3, 0.001), 3), luck_of("the full backtest", [], Trials(), 0)),
        votes=(Costed(name="costs x 2", growth=1.1, trips=4, sharpe=math.nan),),
        noise=noise_of([0.1, -0.2, 0.0], [-1.0, -1.0, math.nan], runs=4, bars=100, years=1.0),
    )
    claims, page = claims_of(result), page_of(result)
    spoken = [each for each in (*claims.may, *claims.may_not) if "no history was given" not in each]
    assert len(spoken) > 4
    assert all(re.search(r"\d", each) for each in spoken)
    told = json.loads(json.dumps(as_json(result), allow_nan=False))
    assert told["may_claim"] == list(claims.may)
    assert told["votes"][0]["sharpe"] is None
    assert "<BTC" not in page
    assert all(each.split(":")[0] in page for each in claims.may)
