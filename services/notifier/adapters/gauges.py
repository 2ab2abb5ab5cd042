"""What Prometheus is shown of the channels' breakers: computed from the machine's state when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.runtime.breaker_metrics import BreakerMetrics
from services.notifier.machine import Memory


class ChannelSeries(Collector):
    """The series of the channels' breakers, named like the channels. `state` returns the machine's state; without `registry` nobody asks.

    Openings are counted as far as somebody looks between them; a pause is longer than the time between two looks.
    """

    def __init__(self, registry: Any, state: Callable[[], Any], channels: tuple[str, ...]):
        self._state = state
        self._channels = channels
        self._own = CollectorRegistry()
        self._metrics = BreakerMetrics("notifier", self._own)
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """The series as they stand now."""
        memory = self._state()
        for name in self._channels:
            channel = memory.channels.get(name) if isinstance(memory, Memory) else None
            self._metrics.stands(name, channel.breaker.state if channel is not None else "CLOSED")
        return self._own.collect()
