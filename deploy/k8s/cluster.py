"""What a cluster must know of the fleet beyond the fleet's own table: who rolls and who does not, who may leave the cluster, who speaks to whom.

The chart reads it from `chart/files/fleet.json`, which `python -m deploy.k8s.generate` writes. Tests hold the rendered policies against `reaches`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from services.cli.deploy import fleet
from services.cli.deploy.secret_manifests import NATS, OPEN, POSTGRES, files_of_each
from services.cli.newcomer import DEV_DEFAULTS

Mode = Literal["sim", "paper", "live"]
MODES: tuple[Mode, ...] = ("sim", "paper", "live")
UID = 10001
"""As whom the images run; also the group that may read the mounted secrets."""
PEER_PORT, HTTPS, OTLP_PORT = 6222, 443, 4318
OUTSIDE, DNS, CONSOLE, SCRAPER, TRACES = "outside", "dns", "people", "prometheus", "traces"
"""Who is in no table of ours: the internet, the cluster's names, who may open the console, who reads metrics, who keeps traces."""

ROLLING = ("notifier", "gateway", "telegram-bot")
"""Whose new version comes up, and stands by, before the old one goes. They keep nothing that the log does not hold, so they need no volume; all others have
one, which belongs to one node at a time, so their old version goes first."""

LEAVES: dict[str, tuple[Mode, ...]] = {
    "market-feed": ("paper", "live"),
    "order-executor": ("live",),
    fleet.VENUE: ("paper",),
    "notifier": MODES,
    "agent-llm": MODES,
    "telegram-bot": MODES,
}
"""Who speaks to the outside, in which modes. On a simulated market feed and executor find their venue inside; on paper the executor still does."""

BESIDE = (OPEN, fleet.CLI, fleet.BACKUP)
"""Who speaks to the bus and is no service."""

ASKS_HEALTH = ("gateway", "telegram-bot")
"""Doors: they ask every service how it is."""


class Reach(NamedTuple):
    """`source` may open a connection to `target` on `port`."""

    source: str
    target: str
    port: int


def has_venue(mode: Mode) -> bool:
    """Whether the simulated venue runs."""
    return mode != "live"


def reaches(mode: Mode, *, nats_servers: int = 1, has_traces: bool = False) -> set[Reach]:
    """Everything that may happen between processes of a deployment in which all run that can, with bus and database of its own; `has_traces`: where services
    send traces as well, which doors have none of."""
    members = fleet.members()
    names = [each.service for each in members]
    found = {Reach(name, NATS, fleet.NATS_PORT) for name in (*names, *BESIDE)}
    for door in (*ASKS_HEALTH, fleet.CLI):
        found |= {Reach(door, name, fleet.HTTP_PORT) for name in names if name != door}
    found |= {Reach("gateway", NATS, fleet.MONITOR_PORT), Reach(CONSOLE, "gateway", fleet.GATEWAY_PORT)}
    found |= {Reach(SCRAPER, name, fleet.HTTP_PORT) for name in names}
    found |= {Reach(SCRAPER, NATS, fleet.MONITOR_PORT), Reach(SCRAPER, "gateway", fleet.GATEWAY_PORT)}
    askers = [each.service for each in members if each.wants_database]
    found |= {Reach(name, POSTGRES, fleet.POSTGRES_PORT) for name in (*askers, OPEN)}
    found |= {Reach(name, fleet.VENUE, fleet.SIM_PORT) for name in _askers_of_the_venue(mode, names)}
    found |= {Reach(name, OUTSIDE, HTTPS) for name, modes in LEAVES.items() if mode in modes}
    if has_traces:
        found |= {Reach(name, TRACES, OTLP_PORT) for name in names if name not in ASKS_HEALTH}
    if nats_servers > 1:
        found.add(Reach(NATS, NATS, PEER_PORT))
    return found | {Reach(name, DNS, 53) for name in _askers_of_names(mode, names, nats_servers)}


def _askers_of_the_venue(mode: Mode, names: list[str]) -> list[str]:
    if mode == "sim":  # its clock is everybody's
        return [*names, *BESIDE]
    return ["order-executor"] if has_venue(mode) else []


def _askers_of_names(mode: Mode, names: list[str], nats_servers: int) -> Iterator[str]:
    yield from (*names, *BESIDE)
    if nats_servers > 1:
        yield NATS
    if mode in LEAVES[fleet.VENUE]:
        yield fleet.VENUE


def _loads(module: str) -> str:
    """What to import to have all code of a service loaded and nothing started."""
    return f"{module}.run" if find_spec(f"{module}.run") else f"{module}.__main__"


def table() -> dict[str, Any]:
    """What the chart reads. Numbers stand as text where a template would otherwise print them as fractions."""
    files = files_of_each()
    shared = fleet.common_variables()
    services = {
        each.service: {
            "zone": each.zone.value.lower(),
            "loads": _loads(each.module),
            "keys": list(each.keys),
            "environment": {name: text for name, text in each.environment.items() if shared.get(name) != text},
            "isLone": each.is_lone,
            "wantsDatabase": each.wants_database,
            "isOptional": each.is_optional,
            "rolls": each.service in ROLLING,
            "asksHealth": each.service in ASKS_HEALTH,
            "leaves": list(LEAVES.get(each.service, ())),
            "newcomer": DEV_DEFAULTS.get(each.service, {}),
        }
        for each in fleet.members()
    }
    return {
        "home": fleet.STATE,
        "keys": fleet.KEYS,
        "tokens": fleet.API_TOKENS,
        "uid": str(UID),
        "stopGraceS": str(fleet.STOP_GRACE_S),
        "ports": {
            "http": str(fleet.HTTP_PORT),
            "sim": str(fleet.SIM_PORT),
            "gateway": str(fleet.GATEWAY_PORT),
            "nats": str(fleet.NATS_PORT),
            "monitor": str(fleet.MONITOR_PORT),
            "peers": str(PEER_PORT),
            "postgres": str(fleet.POSTGRES_PORT),
        },
        "shared": shared,
        "services": services,
        "venue": {"leaves": list(LEAVES[fleet.VENUE])},
        "beside": {name: {"keys": list(files[name])} for name in files if name not in services},
    }
