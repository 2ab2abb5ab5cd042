"""Weights are earned: a rule is believed until it is wrong, a model is not until it is right, and an echo earns nothing."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from libs.trading.stacking import MODEL, RULE, Prior, Stack, log_odds, probability


def history(rounds: int, seed: int, **skills: float) -> tuple[list[dict[str, float]], list[bool]]:
    """Outcomes of a fair coin, and what agents say of them at p 0.6, right with the probability of their skill."""
    random = Random(seed)
    said: list[dict[str, float]] = []
    ups: list[bool] = []
    for _ in range(rounds):
        went_up = random.random() < 0.5
        ups.append(went_up)
        votes = {}
        for agent, skill in skills.items():
            is_up = went_up if random.random() < skill else not went_up
            votes[agent] = (1 if is_up else -1) * log_odds(0.6)
        said.append(votes)
    return said, ups


def learnt(said: list[dict[str, float]], ups: list[bool], **priors: Prior) -> Stack:
    stack = Stack()
    for agent, prior in priors.items():
        stack.join(agent, prior)
    for evidence, went_up in zip(said, ups, strict=True):
        stack.learn(evidence, went_up)
    return stack


def batch_map(
    said: list[dict[str, float]], ups: list[bool], priors: dict[str, Prior]
) -> tuple[list[float], list[float]]:
    """The oracle: the exact mode of the posterior by Newton over all outcomes at once, and its Laplace deviations."""
    x = np.array([[votes.get(agent, 0.0) for agent in priors] for votes in said])
    y = np.array(ups, dtype=float)
    mean = np.array([prior.mean for prior in priors.values()])
    precision = np.diag([1 / prior.sd**2 for prior in priors.values()])
    w = mean.copy()
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + precision
        w = w - np.linalg.solve(hessian, x.T @ (p - y) + precision @ (w - mean))
    return list(w), list(np.sqrt(np.diag(np.linalg.inv(hessian))))


@pytest.mark.parametrize("seed", range(5))
def test_one_outcome_at_a_time_comes_to_what_all_at_once_would(seed: int) -> None:
    """The online posterior lies within a tenth of its own deviation of the exact one."""
    said, ups = history(1_500, seed, trend=0.6, macro=0.55, llm=0.52)
    priors = {"trend": RULE, "macro": RULE, "llm": MODEL}
    stack = learnt(said, ups, **priors)
    weights, deviations = batch_map(said, ups, priors)
    for agent, weight, deviation in zip(priors, weights, deviations, strict=True):
        assert stack.weight(agent) == pytest.approx(weight, abs=0.1 * deviation)
        assert stack.sd(agent) == pytest.approx(deviation, rel=0.05)


def test_a_rule_that_is_as_right_as_it_says_keeps_its_weight() -> None:
    """It claims 0.6 and is right six times in ten: weight one."""
    said, ups = history(4_000, 7, trend=0.6)
    assert learnt(said, ups, trend=RULE).weight("trend") == pytest.approx(1.0, abs=0.15)


def test_a_model_without_skill_earns_nothing() -> None:
    """Whatever it claims: its weight stays within noise of zero, below what a promotion wants."""
    promoted = 0
    for seed in range(20):
        said, ups = history(2_000, seed, llm=0.5)
        stack = learnt(said, ups, llm=MODEL)
        promoted += stack.weight("llm") - 1.64 * stack.sd("llm") > 0
    assert promoted <= 3  # one in twenty is expected


def test_a_skilled_model_is_known_after_two_thousand_votes_and_not_after_fifty() -> None:
    """53 % against 50 % takes about 2,200 resolved votes at 80 % power; 57 % is plain by then."""
    said, ups = history(2_200, 3, llm=0.57)
    late, early = learnt(said, ups, llm=MODEL), learnt(said[:50], ups[:50], llm=MODEL)
    assert late.weight("llm") - 1.64 * late.sd("llm") > 0
    assert early.weight("llm") - 1.64 * early.sd("llm") < 0


def test_a_model_that_lies_is_known_to() -> None:
    """Its weight falls below zero, so that it is no help even turned round by mistake."""
    said, ups = history(1_000, 4, llm=0.35)
    assert learnt(said, ups, llm=MODEL).weight("llm") < -0.5


def test_an_echo_earns_nothing() -> None:
    """A model that only repeats the rule shares what there is to be earned, though alone it would have earned it all."""
    said, ups = history(3_000, 5, trend=0.6)
    echoed = [{**votes, "llm": votes["trend"]} for votes in said]
    both = learnt(echoed, ups, trend=RULE, llm=MODEL)
    alone = learnt([{"llm": votes["llm"]} for votes in echoed], ups, llm=MODEL)
    assert both.weight("trend") + both.weight("llm") == pytest.approx(1.0, abs=0.15)
    assert both.weight("llm") < 0.2 < 0.7 < alone.weight("llm")


def test_evidence_has_a_ceiling() -> None:
    """One vote of absolute certainty moves a weight no more than one at the ceiling."""
    one, other = Stack(), Stack()
    for stack, x in ((one, 50.0), (other, 3.0)):
        stack.join("llm", MODEL)
        stack.learn({"llm": x}, True)
    assert one.mean == other.mean


def test_who_has_not_joined_cannot_vote() -> None:
    """A name that slipped through is a mistake, not a new agent."""
    with pytest.raises(KeyError, match="not joined: nobody"):
        Stack().learn({"nobody": 1.0}, True)


def test_log_odds_and_back() -> None:
    """The two are inverse, and extremes are finite."""
    for p in (0.5, 0.6, 0.95, 0.05):
        assert probability(log_odds(p)) == pytest.approx(p)
    assert math.isfinite(probability(1e9))
    assert probability(-1e9) > 0
