"""Weights that agents earn: logistic stacking, one outcome at a time.

Each vote on one outcome is evidence x = side x logit(p), with side +1 for up and -1 for down. The model of the market is

    P(up) = 1 / (1 + exp(-sum w_i x_i)),      w ~ Normal(prior mean, prior sd) before anything is seen

so w = 1 means "believe it as it is said", w = 0 "it says nothing", w < 0 "it is wrong". After each outcome the posterior is updated by one
Newton step at the prediction (the extended Kalman form of Bayesian logistic regression; Bishop, Pattern Recognition and Machine Learning,
§4.5, with the Laplace approximation taken outcome by outcome). With small x this stays close to the batch MAP, and costs the square
of the number of agents. Agents are weighed together: one that repeats what another says earns nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

X_MAX = 3.0
"""Evidence beyond logit(0.95) is not believed: nobody is so sure of the next bar."""
_EXP_MAX = 30.0


class Prior(msgspec.Struct, frozen=True):
    """What an agent's weight is believed to be before any outcome."""

    mean: float
    sd: float


RULE = Prior(1.0, 0.5)
MODEL = Prior(0.0, 0.5)
"""A rule is believed until it is wrong, a model is not until it is right."""


class Stack(msgspec.Struct, kw_only=True):
    """The posterior: agents in the order of their arrival, means, and the covariance row by row."""

    agents: list[str] = []
    mean: list[float] = []
    covariance: list[list[float]] = []

    def join(self, agent_id: str, prior: Prior) -> None:
        """Let an agent take part, unless it does."""
        if agent_id in self.agents:
            return
        for row in self.covariance:
            row.append(0.0)
        self.agents.append(agent_id)
        self.mean.append(prior.mean)
        self.covariance.append([0.0] * (len(self.agents) - 1) + [prior.sd * prior.sd])

    def weight(self, agent_id: str, otherwise: float = 0.0) -> float:
        """The mean of its weight; `otherwise` if it has never voted."""
        return self.mean[self.agents.index(agent_id)] if agent_id in self.agents else otherwise

    def sd(self, agent_id: str, otherwise: float = 0.0) -> float:
        """How unsure the weight is; `otherwise` if it has never voted."""
        if agent_id not in self.agents:
            return otherwise
        place = self.agents.index(agent_id)
        return math.sqrt(max(0.0, self.covariance[place][place]))

    def learn(self, evidence: Mapping[str, float], went_up: bool) -> None:
        """One outcome, and what each agent had said of it; agents that did not vote say nothing.

        Raises:
            KeyError: an agent that has not joined.
        """
        unknown = [agent for agent in evidence if agent not in self.agents]
        if unknown:
            raise KeyError(f"not joined: {', '.join(unknown)}")
        x = [max(-X_MAX, min(X_MAX, evidence.get(agent, 0.0))) for agent in self.agents]
        gain = [sum(c * value for c, value in zip(row, x, strict=True)) for row in self.covariance]
        p_up = probability(sum(w * value for w, value in zip(self.mean, x, strict=True)))
        sharpness = p_up * (1.0 - p_up)
        spread = 1.0 + sharpness * sum(g * value for g, value in zip(gain, x, strict=True))
        size = len(self.agents)
        for i in range(size):
            for j in range(size):
                self.covariance[i][j] -= gain[i] * gain[j] * sharpness / spread
        # the new covariance times x is gain / spread
        surprise = (float(went_up) - p_up) / spread
        self.mean = [w + g * surprise for w, g in zip(self.mean, gain, strict=True)]


def probability(log_odds: float) -> float:
    """1 / (1 + e^-x), of any finite x."""
    return 1.0 / (1.0 + math.exp(-max(-_EXP_MAX, min(_EXP_MAX, log_odds))))


def log_odds(p: float) -> float:
    """log(p / (1 - p)), of a p in (0, 1)."""
    return math.log(p / (1.0 - p))
