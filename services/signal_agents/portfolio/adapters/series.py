"""What the portfolio shows Prometheus: how many decisions a model drove, and what each agent's votes were worth.

All of it is computed from the machine's state when it is asked for, so that it cannot lag behind it. It is an adapter because that is who is
lent the state and the registry; it performs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from libs.common.messages import Answer
from libs.common.metrics.trading import AGENT_HIT_RATE, AGENT_VOTES, AGENT_WEIGHT, MODEL_DECISIONS
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from libs.runtime.made_metrics import Family, family_of
from services.signal_agents.portfolio.desk import State
from services.signal_agents.portfolio.settings import Settings

DECLARED = (MODEL_DECISIONS, AGENT_WEIGHT, AGENT_HIT_RATE, AGENT_VOTES)


class PortfolioSeries(Collector):
    """The series of one portfolio; `state` shows the machine's memory."""

    def __init__(self, state: Callable[[], State]):
        self._state = state

    def describe(self) -> list[Metric]:
        """The families, empty: nothing is computed for a registration."""
        return list(_families())

    def collect(self) -> Iterator[Metric]:
        """The families as they stand now."""
        decisions, weight, hit_rate, votes = _families()
        state = self._state()
        coverage = state.coverage
        decisions.add_metric(("MODEL",), coverage.driven)
        decisions.add_metric(("RULES",), coverage.asked - coverage.driven)
        for score in state.scores.scores():
            weight.add_metric((score.agent_id,), score.weight)
            hit_rate.add_metric((score.agent_id,), score.hit_rate)
            votes.add_metric((score.agent_id,), score.votes)
        yield from (decisions, weight, hit_rate, votes)


class Shown:
    """Registers the series once the machine has caught up."""

    def __init__(self, settings: Settings):
        self._settings = settings

    async def open(self, context: AdapterContext) -> None:
        """Show the series, where there is a registry."""
        if context.registry is not None:
            context.registry.register(PortfolioSeries(context.state))

    async def perform(self, asked: Asked) -> Answer:
        """Nothing is ever asked.

        Raises:
            TypeError: always (a defect in the machine).
        """
        raise TypeError(f"the portfolio asks nothing of the world, and yet {type(asked.request).__name__}")

    async def close(self) -> None:
        """Nothing to close."""


def _families() -> tuple[Family, Family, Family, Family]:
    decisions, weight, hit_rate, votes = map(family_of, DECLARED)
    return decisions, weight, hit_rate, votes
