"""Metrics made from their declarations (`libs.common.metrics`): the one place where a name becomes a series.

`counter_of`, `gauge_of` and `histogram_of` are kept and written to; `family_of` is for a collector, which computes when it is asked.
"""

from __future__ import annotations

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from libs.common.metrics import Declared, Kind

prometheus_client.disable_created_metrics()  # a second series beside each counter, undeclared, that nobody reads

Family = CounterMetricFamily | GaugeMetricFamily


def exemplar(trace_id: str) -> dict[str, str] | None:
    """What one observation of a histogram is an example of: the trace that shows it. "": it is in none, and then it leads nowhere.

    Shown to those alone who ask for OpenMetrics.
    """
    return {"trace_id": trace_id} if trace_id else None


def counter_of(declared: Declared, registry: CollectorRegistry | None) -> Counter:
    """A counter; without a registry nobody is shown it.

    Raises:
        TypeError: it is declared as something else.
    """
    _must_be(declared, "counter")
    return Counter(declared.name, declared.meaning, declared.label_names, registry=registry)


def gauge_of(declared: Declared, registry: CollectorRegistry | None) -> Gauge:
    """A gauge; without a registry nobody is shown it.

    Raises:
        TypeError: it is declared as something else.
    """
    _must_be(declared, "gauge")
    return Gauge(declared.name, declared.meaning, declared.label_names, registry=registry)


def histogram_of(declared: Declared, registry: CollectorRegistry | None) -> Histogram:
    """A histogram with the declared buckets; without a registry nobody is shown it.

    Raises:
        TypeError: it is declared as something else.
    """
    _must_be(declared, "histogram")
    return Histogram(declared.name, declared.meaning, declared.label_names, registry=registry, buckets=declared.buckets)


def family_of(declared: Declared) -> Family:
    """An empty family, for a collector to fill.

    Raises:
        TypeError: it is declared as a histogram.
    """
    if declared.kind == "counter":
        return CounterMetricFamily(declared.name, declared.meaning, labels=declared.label_names)
    _must_be(declared, "gauge")
    return GaugeMetricFamily(declared.name, declared.meaning, labels=declared.label_names)


def _must_be(declared: Declared, kind: Kind) -> None:
    if declared.kind != kind:
        raise TypeError(f"{declared.name} is declared as a {declared.kind}, not as a {kind}")
