"""What a service shows of its circuit breakers, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from libs.runtime.breaker import State

STATE_VALUES: dict[State, int] = {"CLOSED": 0, "HALF_OPEN": 1, "OPEN": 2}
"""What the gauge shows: the higher, the worse."""


class BreakerMetrics:
    """The series of one service about all its breakers: `bulkhead_breaker_state` and `bulkhead_breaker_openings_total`."""

    def __init__(self, service: str, registry: CollectorRegistry | None = None):
        self._service = service
        self._states: dict[str, State] = {}
        registry = registry if registry is not None else CollectorRegistry()
        self._state = Gauge(
            "bulkhead_breaker_state",
            "0 while the breaker is CLOSED, 1 HALF_OPEN, 2 OPEN",
            ("service", "name"),
            registry=registry,
        )
        self._openings = Counter(
            "bulkhead_breaker_openings",
            "how often the breaker has opened in the life of this process",
            ("service", "name"),
            registry=registry,
        )

    def stands(self, name: str, state: State) -> None:
        """Where the breaker `name` stands; getting into OPEN is counted. Call it once at the start, then at every change."""
        before = self._states.get(name, "CLOSED")
        self._states[name] = state
        self._state.labels(self._service, name).set(STATE_VALUES[state])
        openings = self._openings.labels(self._service, name)
        if state == "OPEN" and before != "OPEN":
            openings.inc()
