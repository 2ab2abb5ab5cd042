"""What a service counts about the venues' budgets, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from libs.runtime.weight_breaker import Lane

_WAITS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)


class BudgetMetrics:
    """The series of one service about all the venues it calls."""

    def __init__(self, service: str, registry: CollectorRegistry | None = None):
        self._service = service
        self._registry = registry if registry is not None else CollectorRegistry()
        self._used = self._gauge("weight_used", "request weight of all processes behind this address, in the window")
        self._limit = self._gauge("weight_limit", "request weight that the venue allows in its window")
        self._breaker = self._gauge("breaker_open", "1 while the venue has told this process to be quiet (429, 418)")
        self._is_shared = self._gauge("budget_shared", "1 while the budget is shared over the bus, 0 on this host only")
        self._waits = Histogram(
            "bulkhead_venue_weight_wait_seconds",
            "how long a request waited for its share of the budget",
            ("service", "venue", "lane"),
            registry=self._registry,
            buckets=_WAITS,
        )
        self._refused = Counter(
            "bulkhead_venue_weight_refused",
            "requests that got no share in time and were not sent",
            ("service", "venue", "lane"),
            registry=self._registry,
        )

    def stands(self, venue: str, *, used: int, limit: int, is_open: bool, is_shared: bool) -> None:
        """Where a venue's budget stands."""
        self._used.labels(self._service, venue).set(used)
        self._limit.labels(self._service, venue).set(limit)
        self._breaker.labels(self._service, venue).set(is_open)
        self._is_shared.labels(self._service, venue).set(is_shared)

    def waited(self, venue: str, lane: Lane, seconds: float, *, granted: bool) -> None:
        """A request waited for so long; then it went, or was refused."""
        self._waits.labels(self._service, venue, lane).observe(seconds)
        if not granted:
            self._refused.labels(self._service, venue, lane).inc()

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"bulkhead_venue_{name}", meaning, ("service", "venue"), registry=self._registry)
