"""What a service counts about the venues' budgets, for Prometheus."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry

from libs.common.metrics import service as declared
from libs.runtime.made_metrics import counter_of, gauge_of, histogram_of
from libs.runtime.weight_breaker import Lane


class BudgetMetrics:
    """The series of one service about all the venues it calls."""

    def __init__(self, service: str, registry: CollectorRegistry | None = None):
        self._service = service
        registry = registry if registry is not None else CollectorRegistry()
        self._used = gauge_of(declared.WEIGHT_USED, registry)
        self._limit = gauge_of(declared.WEIGHT_LIMIT, registry)
        self._breaker = gauge_of(declared.VENUE_BREAKER_OPEN, registry)
        self._is_shared = gauge_of(declared.BUDGET_SHARED, registry)
        self._waits = histogram_of(declared.WEIGHT_WAIT_SECONDS, registry)
        self._refused = counter_of(declared.WEIGHT_REFUSED, registry)

    def stands(self, venue: str, *, used: int, limit: int, is_open: bool, is_shared: bool) -> None:
        """Where a venue's budget stands."""
        self._used.labels(self._service, venue).set(used)
        self._limit.labels(self._service, venue).set(limit)
        self._breaker.labels(self._service, venue).set(is_open)
        self._is_shared.labels(self._service, venue).set(is_shared)
        for lane in get_args(Lane):
            self._refused.labels(self._service, venue, lane)  # from 0 on: the first refusal is a step that rate() sees

    def waited(self, venue: str, lane: Lane, seconds: float, *, granted: bool) -> None:
        """A request waited for so long; then it went, or was refused."""
        self._waits.labels(self._service, venue, lane).observe(seconds)
        if not granted:
            self._refused.labels(self._service, venue, lane).inc()
