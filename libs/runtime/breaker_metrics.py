"""What a service shows of its circuit breakers, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from libs.common.metrics import service as declared
from libs.runtime.breaker import State
from libs.runtime.made_metrics import counter_of, gauge_of

STATE_VALUES: dict[State, int] = {"CLOSED": 0, "HALF_OPEN": 1, "OPEN": 2}
"""What the gauge shows: the higher, the worse."""


class BreakerMetrics:
    """The series of one service about all its breakers: `bulkhead_breaker_state` and `bulkhead_breaker_openings_total`."""

    def __init__(self, service: str, registry: CollectorRegistry | None = None):
        self._service = service
        self._states: dict[str, State] = {}
        registry = registry if registry is not None else CollectorRegistry()
        self._state = gauge_of(declared.BREAKER_STATE, registry)
        self._openings = counter_of(declared.BREAKER_OPENINGS, registry)

    def stands(self, name: str, state: State) -> None:
        """Where the breaker `name` stands; getting into OPEN is counted. Call it once at the start, then at every change."""
        before = self._states.get(name, "CLOSED")
        self._states[name] = state
        self._state.labels(self._service, name).set(STATE_VALUES[state])
        openings = self._openings.labels(self._service, name)
        if state == "OPEN" and before != "OPEN":
            openings.inc()
