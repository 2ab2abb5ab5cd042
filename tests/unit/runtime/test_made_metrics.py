"""A metric is what its declaration says, or it is not made."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from libs.common.metrics.service import APPEND_SECONDS, READY, REJECTED
from libs.common.metrics.system import ROUND_TRIPS
from libs.runtime.made_metrics import counter_of, family_of, gauge_of, histogram_of
from libs.runtime.metrics import ServiceMetrics
from libs.runtime.readiness import Readiness


def test_a_metric_has_the_name_the_labels_and_the_buckets_of_its_declaration() -> None:
    """And no series beside it that was not declared."""
    registry = CollectorRegistry()
    counter_of(REJECTED, registry).labels("ledger", "BAD").inc()
    histogram_of(APPEND_SECONDS, registry).labels("ledger").observe(0.2)
    families = {each.name: each for each in text_string_to_metric_families(generate_latest(registry).decode())}
    assert {sample.name for sample in families["bulkhead_rejected"].samples} == {"bulkhead_rejected_total"}
    bounds = [sample.labels["le"] for sample in families["bulkhead_append_seconds"].samples if "le" in sample.labels]
    assert [float(bound) for bound in bounds] == [*APPEND_SECONDS.buckets, float("inf")]
    assert set(families) == {"bulkhead_rejected", "bulkhead_append_seconds"}


def test_a_metric_of_another_kind_than_declared_is_a_defect() -> None:
    """A gauge that was declared as a counter would be read with rate()."""
    for make in (counter_of, histogram_of):
        with pytest.raises(TypeError, match="bulkhead_ready is declared as a gauge"):
            make(READY, None)
    with pytest.raises(TypeError, match="as a counter"):
        gauge_of(ROUND_TRIPS, None)
    with pytest.raises(TypeError, match="as a histogram"):
        family_of(APPEND_SECONDS)


def test_who_holds_the_lease_is_shown_once_it_was_asked_for() -> None:
    """Two executors that lead, or none, are seen; a door that has asked for nothing says nothing."""
    metrics = ServiceMetrics("order-executor")
    metrics.observe(Readiness(ready=True))
    assert metrics.registry.get_sample_value("bulkhead_leader", {"service": "order-executor"}) is None
    for leads in (False, True):
        metrics.leads = lambda leads=leads: leads
        metrics.observe(Readiness(ready=True))
        assert metrics.registry.get_sample_value("bulkhead_leader", {"service": "order-executor"}) == leads
