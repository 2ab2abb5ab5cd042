"""Who may reach whom, computed from the rendered NetworkPolicies as a cluster would, against the one matrix that the fleet allows."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from deploy.k8s import matrix
from deploy.k8s.cluster import (
    CONSOLE,
    DNS,
    HTTPS,
    MODES,
    OTLP_PORT,
    OUTSIDE,
    PEER_PORT,
    SCRAPER,
    TRACES,
    Mode,
    Reach,
    reaches,
)
from deploy.k8s.generate import HERE, PAGE
from libs.runtime.contract import Zone
from services.cli.deploy import fleet
from services.cli.deploy.secret_manifests import NATS, OPEN, POSTGRES
from tests.unit.deploy.rendering import RELEASE, Object, named, of_kind, render

CONSOLE_PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
PORTS = (
    fleet.HTTP_PORT,
    fleet.SIM_PORT,
    fleet.GATEWAY_PORT,
    fleet.NATS_PORT,
    fleet.MONITOR_PORT,
    fleet.POSTGRES_PORT,
    PEER_PORT,
    OTLP_PORT,
    HTTPS,
    53,
    22,
)
STRANGER = "stranger"
"""A pod in the same namespace that is none of ours."""
ELSEWHERE: dict[str, Object] = {
    DNS: {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
    SCRAPER: {"namespace": "monitoring", "labels": {"app": "prometheus"}},
    CONSOLE: {"namespace": "ingress", "labels": {"app": "proxy"}},
    TRACES: {"namespace": "traces", "labels": {"app": "tempo"}},
    "neighbour": {"namespace": "other-book", "labels": {"app.kubernetes.io/name": "gateway"}},
    OUTSIDE: {"address": "203.0.113.9"},
    "metadata service": {"address": "169.254.169.254"},
    "private network": {"address": "10.1.2.3"},
}
OURS = (*(each.service for each in fleet.members()), fleet.VENUE, NATS, POSTGRES, OPEN, fleet.CLI, fleet.BACKUP)
MEMBERS = {each.service: each for each in fleet.members()}


class Cluster:
    """The policies of one release, and everybody whom they could be about."""

    def __init__(self, mode: Mode, servers: int, **more: Any):
        values: Object = {
            "mode": mode,
            "live": {"certificate": "c" if mode == "live" else ""},
            "nats": {"replicas": servers},
            "services": {"telegram-bot": {"enabled": True}},
            "network": {"console": [CONSOLE_PEER]},
            **more,
        }
        self.policies = [each["spec"] for each in of_kind(render(values), "NetworkPolicy").values()]
        self.pods = {name: {"namespace": "book", "labels": _labels(name)} for name in (*OURS, STRANGER)}
        self.everybody = {**self.pods, **ELSEWHERE}

    def allows(self, source: str, target: str, port: int) -> bool:
        """Whether both ends let it pass."""
        return self._passes(source, target, port, "egress", "to") and self._passes(
            target, source, port, "ingress", "from"
        )

    def _passes(self, here: str, there: str, port: int, way: str, word: str) -> bool:
        if here not in self.pods:
            return True  # no policy of ours is about him
        about = [each for each in self.policies if _selects(each["podSelector"], self.pods[here]["labels"])]
        governing = [each for each in about if way.title() in each["policyTypes"]]
        if not governing:
            return True
        rules = [rule for each in governing for rule in each.get(way) or []]
        return any(_has_port(rule, port) and _has_peer(rule, word, self.everybody[there]) for rule in rules)


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": RELEASE}


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "a selector that this test does not understand"
    return all(labels.get(key) == text for key, text in selector.get("matchLabels", {}).items())


def _has_port(rule: Object, port: int) -> bool:
    return "ports" not in rule or any(each["port"] == port for each in rule["ports"])


def _has_peer(rule: Object, word: str, there: Object) -> bool:
    return word not in rule or any(_is_peer(peer, there) for peer in rule[word])


def _is_peer(peer: Object, there: Object) -> bool:
    if "ipBlock" in peer:
        return "address" in there and _is_inside(there["address"], peer["ipBlock"])
    if "address" in there:
        return False
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": there["namespace"]}):
            return False
    elif there["namespace"] != "book":
        return False
    return _selects(peer.get("podSelector", {}), there["labels"])


def _is_inside(address: str, block: Object) -> bool:
    found = ip_address(address)
    networks = [ip_network(each) for each in (block["cidr"], *block.get("except", []))]
    return found in networks[0] and not any(found in each for each in networks[1:])


def allowed(cluster: Cluster) -> Iterator[Reach]:
    """Every connection that would be let through; between two who are both elsewhere it is not ours to say."""
    for source in cluster.everybody:
        for target in cluster.everybody:
            if source in cluster.pods or target in cluster.pods:
                yield from (Reach(source, target, port) for port in PORTS if cluster.allows(source, target, port))


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_everybody_reaches_whom_he_must_and_nobody_else(mode: Mode, servers: int) -> None:
    """The whole matrix, of all processes, ports and places outside: neither a way too few nor one too many."""
    found, wanted = set(allowed(Cluster(mode, servers))), reaches(mode, nats_servers=servers)
    assert sorted(wanted - found) == [], "what a process needs is closed"
    assert sorted(found - wanted) == [], "what no process needs is open"


def test_a_bus_of_the_nats_io_chart_in_this_namespace_is_reached_as_ours_would_be() -> None:
    """Default is deny for its pods as well, so they have a policy; it selects them by what that chart calls them."""
    ours = yaml.safe_load((HERE / "dependencies" / "nats-io.ours.yaml").read_text())
    cluster = Cluster("paper", 3, **ours)
    cluster.pods[NATS]["labels"] = {**ours["nats"]["existing"]["podLabels"], "helm.sh/chart": "nats"}
    assert set(allowed(cluster)) == reaches("paper", nats_servers=3)


@pytest.mark.parametrize("mode", MODES)
def test_traces_open_one_way_and_no_other(mode: Mode) -> None:
    """Where an address for traces is named, every service of the log may reach it, on its port, and nobody may come from there; doors, jobs and servers may not."""
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traces"}}}]
    traces = {"endpoint": f"http://tempo.traces:{OTLP_PORT}", "peers": peers}
    cluster = Cluster(mode, 1, traces=traces)
    assert set(allowed(cluster)) == reaches(mode, has_traces=True)
    told = named(render({"mode": "sim", "traces": traces}), "ConfigMap", f"{RELEASE}-settings")["data"]
    assert told["BULKHEAD_OTLP_ENDPOINT"] == traces["endpoint"]
    assert "BULKHEAD_OTLP_ENDPOINT" not in named(render({"mode": "sim"}), "ConfigMap", f"{RELEASE}-settings")["data"]


def test_traces_to_nobody_knows_where_are_refused() -> None:
    """An address that no policy lets through would lose every trace in silence; one without a port cannot be let through."""
    with pytest.raises(Exception, match=r"traces\.peers"):
        render({"mode": "sim", "traces": {"endpoint": "http://tempo.traces:4318"}})
    with pytest.raises(Exception, match="endpoint"):
        render({"mode": "sim", "traces": {"endpoint": "http://tempo.traces", "peers": [{"podSelector": {}}]}})


@pytest.mark.parametrize("mode", MODES)
def test_only_who_works_outside_may_leave(mode: Mode) -> None:
    """The zone CORE never speaks to the internet, nor do the gateway, the bus and the database; who does gets nowhere near the machines of the cluster."""
    cluster = Cluster(mode, 3)
    leaving = {each.source for each in allowed(cluster) if each.target == OUTSIDE}
    assert not {name for name, member in MEMBERS.items() if member.zone is Zone.CORE} & leaving
    assert not {"gateway", NATS, POSTGRES, OPEN} & leaving
    assert ("order-executor" in leaving) == (mode == "live")
    inside = {"metadata service", "private network", "neighbour"}
    assert {each for each in allowed(cluster) if inside & {each.source, each.target}} == set()


@pytest.mark.parametrize("mode", MODES)
def test_the_database_is_the_ledgers_and_the_jobs(mode: Mode) -> None:
    """Nobody else has an answer from it, not even a refusal."""
    reaching = {each.source for each in allowed(Cluster(mode, 1)) if each.target == POSTGRES}
    assert reaching == {"ledger", OPEN}


def test_a_stranger_in_the_namespace_reaches_nobody() -> None:
    """Default is deny, for pods that no policy names as well."""
    assert [each for each in allowed(Cluster("sim", 1)) if STRANGER in each] == []


def test_a_policy_too_wide_is_found() -> None:
    """The matrix bites: one rule without peers opens what the fleet does not allow."""
    cluster = Cluster("sim", 1)
    risk = next(each for each in cluster.policies if each["podSelector"].get("matchLabels") == _labels("risk-gate"))
    risk["egress"].append({"ports": [{"protocol": "TCP", "port": HTTPS}]})
    opened = set(allowed(cluster)) - reaches("sim")
    assert Reach("risk-gate", OUTSIDE, HTTPS) in opened
    assert {(each.source, each.port) for each in opened} == {("risk-gate", HTTPS)}


def test_without_policies_the_chart_says_so() -> None:
    """They can be switched off, for a cluster with a policy of its own; then none is there."""
    objects = render({"network": {"enabled": False}})
    assert of_kind(objects, "NetworkPolicy") == {}
    assert named(objects, "Deployment", "gateway")


def test_the_page_shows_the_matrix() -> None:
    """The table in docs/KUBERNETES.md is made of the same statement; `make docs` writes it again."""
    page = PAGE.read_text()
    assert matrix.BEGIN in page
    assert page == matrix.placed(page)
    assert "| `risk-gate` | CORE | `nats`:4222 | `exchange-sim`:4202 |  |  |" in page
