"""What the catalogue of metrics says of an expression: metrics that nobody makes, labels and values that they never have."""

from __future__ import annotations

import re

from libs.common.metrics import CATALOGUE, Declared
from services.cli.monitoring.files import groups
from services.cli.monitoring.rules import Record
from services.cli.monitoring.settings import AlertSettings
from tests.unit.deploy.promql import Selector, grouped, selectors

SETTINGS = AlertSettings.model_construct()
SAMPLES: dict[str, Declared] = {sample: each for each in CATALOGUE.values() for sample in each.samples}
FOREIGN = {"ALERTS", "up", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_max_fds"}  # fmt: skip
"""What Prometheus and its client library make for every process."""
TARGET = {"job", "instance", "le"}
RECORDED = {rule.record: rule.expr for each in groups(SETTINGS).values() for group in each for rule in group.rules if isinstance(rule, Record)}  # fmt: skip


def faults(expr: str) -> list[str]:
    """What is wrong with the names in an expression; empty if all of them exist."""
    found, known = [], set(TARGET)
    for selector in selectors(expr):
        known |= labels_of(selector.metric)
        found += _faults_of(selector)
    return found + [f"nothing here has the label {label}" for label in sorted(grouped(expr) - known)]


def labels_of(metric: str) -> set[str]:
    """The labels that a metric may have beside those of its target."""
    if metric == "ALERTS":
        return {"alertname", "severity", "alertstate"}
    if metric in RECORDED:
        return grouped(RECORDED[metric])
    return set(SAMPLES[metric].label_names) if metric in SAMPLES else set()


def _faults_of(selector: Selector) -> list[str]:
    name = selector.metric
    if name in FOREIGN or name in RECORDED:
        return [f"{name} has no label {label}" for label, _, _ in selector.matchers if label not in TARGET | labels_of(name)]  # fmt: skip
    if name not in SAMPLES:
        return [f"nobody makes {name}"]
    found = []
    values = {label.name: label.values for label in SAMPLES[name].labels}
    for label, sign, value in selector.matchers:
        if label not in values and label not in TARGET:
            found.append(f"{name} has no label {label}")
        wanted = re.split(r"\|", value) if sign in ("=~", "!~") else [value]
        if values.get(label) and not any("$" in each for each in wanted):
            found += [f"{name} never has {label}={each}" for each in wanted if each not in values[label]]
    return found
