"""Prometheus' own linter has nothing to say against our metrics."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from libs.common.metrics import CATALOGUE
from libs.runtime.made_metrics import counter_of, gauge_of, histogram_of

PROMTOOL = shutil.which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed here")
def test_promtool_finds_nothing_wrong_with_the_metrics() -> None:
    """Names, units, help, kinds: as others expect them who write rules for more than us."""
    registry = CollectorRegistry()
    for each in CATALOGUE.values():
        made = {"counter": counter_of, "gauge": gauge_of, "histogram": histogram_of}[each.kind](each, registry)
        if each.labels:
            made.labels(*[label.values[0] if label.values else "x" for label in each.labels])
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=generate_latest(registry), capture_output=True, check=False
    )
    assert (done.stdout + done.stderr).decode() == ""
    assert done.returncode == 0
