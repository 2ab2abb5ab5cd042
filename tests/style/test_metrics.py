"""Metrics are a contract: declared once, made from their declaration, named as Prometheus names them, and there for somebody."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.metrics import CATALOGUE, EVERY, MACHINES, Declared, doors, service, system, trading
from libs.runtime.purity import imports_of
from libs.runtime.registry import SERVICES
from tests.style.tree import modules, nodes, tree_of

MAKER = Path("libs/runtime/made_metrics.py")
CATALOGUE_FOLDER = Path("libs/common/metrics")
MAKING = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
UNITS = {"seconds": "_seconds", "bytes": "_bytes", "ratio": "_ratio", "quote": "_quote", "base": "_base"}
OLDER = {
    "bulkhead_feed_health",
    "bulkhead_agent_weight",
    "bulkhead_agent_hit_rate",
    "bulkhead_stop_uncovered_notional",
}
"""Named before units stood in names; a new name would break the dashboards of others."""


def makers_in(tree: ast.AST) -> list[str]:
    """What of prometheus_client a module imports that makes a series without a declaration."""
    found = []
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prometheus_client"):
            found += [alias.name for alias in node.names if alias.name in MAKING or alias.name.endswith("Family")]
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("prometheus_client")]
    return found


def constants() -> dict[str, Declared]:
    """The declarations by what they are called in code."""
    named = [vars(module).items() for module in (doors, service, system, trading)]
    return {name: each for items in named for name, each in items if isinstance(each, Declared)}


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_metrics_are_made_from_their_declarations_alone() -> None:
    """Whoever made one by its name would make what no page, rule or dashboard knows."""
    found = {str(path): made for path in modules().values() if path != MAKER and (made := makers_in(tree_of(path)))}
    assert found == {}


def test_a_metric_made_beside_the_catalogue_is_found() -> None:
    """The rule bites: on a class, a family, and on the library as a whole."""
    for source in (
        "from prometheus_client import Counter",
        "from prometheus_client.core import GaugeMetricFamily",
        "import prometheus_client",
    ):
        assert makers_in(ast.parse(source)), source
    assert (
        makers_in(ast.parse("from prometheus_client import CollectorRegistry\nfrom collections import Counter")) == []
    )


def test_metrics_are_declared_in_the_catalogue_alone() -> None:
    """A declaration elsewhere would stand on no page."""
    found = [
        module
        for module, path in modules().items()
        if CATALOGUE_FOLDER not in path.parents
        and "libs.common.metrics.declared" in set(imports_of(tree_of(path), module))
    ]
    assert found == []
    assert len(constants()) == len(CATALOGUE), "two declarations have one name"


def test_what_is_declared_is_made() -> None:
    """A metric that nobody makes is a promise to whoever writes a rule."""
    outside = [path for path in modules().values() if CATALOGUE_FOLDER not in path.parents]
    used = {name for path in outside for name in names_in(tree_of(path))}
    assert sorted(set(constants()) - used) == []


@pytest.mark.parametrize("metric", CATALOGUE.values(), ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_names_them(metric: Declared) -> None:
    """Lower case, `_total` for what only grows and for nothing else, the unit last, everything said in words, and by somebody who exists."""
    assert re.fullmatch(r"bulkhead_[a-z][a-z0-9_]*[a-z0-9]", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_count", "_sum", "_bucket"))
    if metric.name not in OLDER and metric.unit in UNITS:
        assert metric.name.removesuffix("_total").endswith(UNITS[metric.unit])
    assert metric.unit != "timestamp" or metric.name.endswith("_timestamp_seconds")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(metric.buckets)
    assert metric.meaning
    assert metric.reading
    assert all(label.meaning and label.name.islower() for label in metric.labels)
    assert not {"job", "instance", "le", "quantile", "alertname", "severity_"} & set(metric.label_names)
    assert set(metric.by) <= {*SERVICES, *EVERY, *MACHINES}
    assert not metric.question or metric.question.endswith("?")
