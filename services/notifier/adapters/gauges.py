"""What Prometheus is shown of the channel's breaker: computed from the machine's state when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.runtime.breaker_metrics import BreakerMetrics
from services.notifier.machine import Memory


class ChannelSeries(Collector):
    """The series of one channel's breaker, named like the channel. `state` returns the machine's state; without `registry` nobody asks.

    Openings are counted as far as somebody looks between them; a pause is longer than the time between two looks.
    """

    def __init__(self, registry: Any, state: Callable[[], Any], channel: str):
        self._state = state
        self._channel = channel
        self._own = CollectorRegistry()
        self._metrics = BreakerMetrics("notifier", self._own)
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """The series as they stand now."""
        memory = self._state()
        channel = memory.mail.channels.get(self._channel) if isinstance(memory, Memory) else None
        self._metrics.stands(self._channel, channel.breaker.state if channel is not None else "CLOSED")
        return self._own.collect()
