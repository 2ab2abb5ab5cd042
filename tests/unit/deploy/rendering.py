"""The chart as a cluster would get it: rendered by Helm's own engine, as plain objects."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import helm_python
import yaml

from deploy.k8s.generate import CHART

Object = dict[str, Any]
RELEASE = "bulkhead"
OVERLAYS = ("dev", "paper", "live")
EXISTING: Object = {
    "mode": "paper",
    "nats": {
        "mode": "existing",
        "existing": {"url": "tls://nats.bus.svc:4222", "peers": [{"namespaceSelector": {}}], "replicas": 3},
    },
    "postgres": {"mode": "existing", "existing": {"peers": [{"ipBlock": {"cidr": "10.9.8.7/32"}}]}},
}
"""A release that stands on a bus and a database of others."""


def overlay(name: str) -> Object:
    """The values of one of the three overlays."""
    found: Object = yaml.safe_load((CHART / "values" / f"{name}.yaml").read_text())
    return found


def render(values: Object | None = None, *, is_upgrade: bool = False) -> list[Object]:
    """Every object of a release, hooks and tests too."""
    return json.loads(_rendered(json.dumps(values or {}), is_upgrade))  # type: ignore[no-any-return]


@cache
def _rendered(values: str, is_upgrade: bool) -> str:
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(
            json.loads(values), name=RELEASE, namespace="book", is_install=not is_upgrade, is_upgrade=is_upgrade
        )
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return json.dumps([each for text in texts for each in yaml.safe_load_all(text) if each])


def refusal(values: Object) -> str:
    """What the chart says against these values; empty: nothing."""
    try:
        with helm_python.Chart.load(CHART) as chart:
            chart.validate_schema(values)
            chart.render(values, name=RELEASE, namespace="book", is_install=True)
    except helm_python.HelmError as error:
        return str(error)
    return ""


def named(objects: list[Object], kind: str, name: str) -> Object:
    """One of them."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Those of one kind, by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pod_of(workload: Object) -> Object:
    """What a workload's pods are told to be."""
    spec: Object = workload["spec"] if workload["kind"] == "Pod" else workload["spec"]["template"]["spec"]
    return spec


def told(objects: list[Object], service: str) -> dict[str, str]:
    """The variables that a service finds in its environment: those of the ConfigMap, and its own, which win."""
    (container,) = pod_of(named(objects, "Deployment", service))["containers"]
    maps = [named(objects, "ConfigMap", each["configMapRef"]["name"])["data"] for each in container["envFrom"]]
    own = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    return {**{name: text for data in maps for name, text in data.items()}, **own}
