"""docker-compose.yml, held against the table of who runs in a deployment: who holds which secret, who meets whom, who is root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from libs.runtime.contract import Zone
from libs.trading.binance_ccxt import PRODUCTION_URL
from services.cli.deploy import fleet
from services.cli.deploy.key_files import make_keys
from services.cli.newcomer import DEV_DEFAULTS
from tests.style.tree import ROOT

FILE = ROOT / "docker-compose.yml"
ZONES = {zone: zone.lower() for zone in Zone}
EVERYWHERE = set(ZONES.values())
JOBS = ("prepare", "open")
BUS_FILES = {"nats-server.conf", "nats-server.pem", "nats-server.key"}
"""Mounted as a folder, `bus`: the bus reads them again while it runs."""
WATCHERS = tuple(fleet.WATCHERS)
TRACED = {"feed", "core", "exec", "model", "edge"}
"""The networks in which there is a service that sends traces."""
WATCHING = {
    "prometheus": EVERYWHERE | {"watch", "front"},
    "alertmanager": {"edge"},
    "loki": {"watch"},
    "alloy": {"watch"},
    "tempo": EVERYWHERE | {"watch"},
    "grafana": {"watch", "front"},
    "nats-exporter": {"edge"},
    "postgres-exporter": {"database", "watch"},
}
"""Who watches from where: Prometheus asks everybody, everybody brings his traces to Tempo, and the rest meets nobody who trades."""
WAYS_OUT = {"feed": "feed", "exec": "exec", "model": "model", "people": "edge"}
"""The containers that lead outside, each with the network whose names lead to it."""
BESIDE = {"gateway": EVERYWHERE | {"front"}, "ledger": {"core", "database"}}
"""Who is in more networks than that of his zone, and why: the gateway asks everybody how he is and is asked by people; the ledger writes tables."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file, its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def settings_in(name: str) -> dict[str, str]:
    """The variables of a file of settings."""
    lines = (ROOT / "deploy" / "compose" / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """What a container is told on a simulated market, in the order in which it counts."""
    given = {name: str(value) for name, value in service.get("environment", {}).items()}
    return {**settings_in("common.env"), **settings_in("sim.env"), **given}


def held_by(service: dict[str, Any]) -> set[str]:
    """The names of the secret files it finds."""
    return {Path(each["target"]).name if isinstance(each, dict) else each for each in service.get("secrets", [])}


@pytest.mark.parametrize("member", fleet.members(), ids=lambda member: member.service)
def test_each_service_runs_as_the_table_says(compose: dict[str, Any], member: fleet.Member) -> None:
    """Its image, its module, its secrets where it looks for them, its variables, its network: no more and no less."""
    service = compose["services"][member.service]
    arguments = service["build"]["args"]
    assert (arguments["SERVICE"], arguments["MODULE"], arguments["KIND"]) == (
        member.service,
        member.module,
        member.kind,
    )
    extra = {"telegram-token"} if member.service == "telegram-bot" else set()
    assert held_by(service) == {*member.keys, *extra}
    assert {Path(each["target"]).parent.as_posix() for each in service["secrets"]} == {fleet.KEYS}
    told = environment_of(service)
    assert {name: told.get(name) for name in member.environment} == member.environment
    assert set(service["networks"]) == BESIDE.get(member.service, {ZONES[member.zone]})
    assert ("profiles" in service) is member.is_optional
    assert service["depends_on"] == {"open": {"condition": "service_completed_successfully"}}


def test_nobody_stands_in_the_file_who_is_not_in_the_table(compose: dict[str, Any]) -> None:
    """Beside the services: what they stand on, two jobs, and the command line."""
    known = {each.service for each in fleet.members()}
    assert set(compose["services"]) - known == {
        "nats",
        "postgres",
        fleet.VENUE,
        fleet.CLI,
        "backup",
        *WATCHERS,
        *JOBS,
    } | {f"egress-{zone}" for zone in WAYS_OUT}


def test_everything_of_ours_is_nobody(compose: dict[str, Any]) -> None:
    """No root (but the job that gives volumes away, which has no network), nothing to write on but its state, no capability, no way to gain one."""
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service or name in JOBS, name
        assert not service.get("privileged"), name
        if name == "prepare":
            assert (service["user"], service["network_mode"], service["cap_add"]) == ("0:0", "none", ["CHOWN"])
        elif (
            name == "alloy"
        ):  # to read Docker's files, as their owner: without a capability, and without the engine's socket
            assert (service["user"], service.get("cap_add")) == ("0:0", None)
            assert all(volume.endswith(":ro") for volume in service["volumes"] if not volume.startswith("alloy:"))
        else:
            assert service.get("user") != "0:0", name
        assert "docker.sock" not in str(service.get("volumes")), name


def test_no_network_leads_outside(compose: dict[str, Any]) -> None:
    """Zones, tools and the database are internal; by the one that people come in by, nobody goes out, and only the gateway is in it."""
    for name, network in compose["networks"].items():
        if name == "front":
            assert network["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
        elif name != "outside":
            assert network == {"internal": True}, name
    inside = {name: set(service.get("networks", ())) for name, service in compose["services"].items()}
    assert {name for name, networks in inside.items() if "front" in networks} == {"gateway", "prometheus", "grafana"}
    assert {name for name, networks in inside.items() if "outside" in networks} == {
        f"egress-{zone}" for zone in WAYS_OUT
    }
    assert {name for name, networks in inside.items() if "database" in networks} == {
        "postgres",
        "ledger",
        "open",
        "postgres-exporter",
    }
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(ports) == {"gateway", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)


@pytest.mark.parametrize(("zone", "network"), WAYS_OUT.items())
def test_a_way_out_has_the_names_of_its_list(compose: dict[str, Any], zone: str, network: str) -> None:
    """The names that lead to it on its network are the hosts that it lets through: one without the other would be a promise or a hole."""
    lines = (ROOT / "deploy" / "egress" / zone / "hosts").read_text().splitlines()
    hosts = [line for line in lines if line and not line.startswith("#")]
    service = compose["services"][f"egress-{zone}"]
    assert service["networks"] == {"outside": {}, network: {"aliases": hosts}}
    assert service["profiles"] == ["outside"]
    assert not service.get("secrets")
    assert any(volume.startswith(f"./deploy/egress/{zone}/hosts:/etc/egress/hosts") for volume in service["volumes"])


@pytest.mark.parametrize("watcher", WATCHERS)
def test_who_watches_holds_no_secret_of_who_is_watched(compose: dict[str, Any], watcher: str) -> None:
    """Prometheus reads pages, Alertmanager brings alerts, the others keep lines and traces and show them: each runs only where it is wanted, from its own
    networks, by an image of one version, and holds what the table says and nothing of who is watched."""
    service = compose["services"][watcher]
    assert service["profiles"] == ["obs"]
    assert held_by(service) == set(fleet.WATCHERS[watcher])
    assert not held_by(service) & {key for each in fleet.members() for key in each.keys if key != fleet.DATABASE_CA}
    own_folders = [volume.split(":")[-2] for volume in service.get("volumes", ()) if "/monitoring/" in volume]
    assert own_folders == ([f"/etc/{watcher}"] if watcher in ("prometheus", "alertmanager") else [])
    assert set(service["networks"]) == WATCHING[watcher]
    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z]+/[a-z-]+:v?\d+\.\d+\.\d+\}", service["image"])


def test_traces_flow_in_the_zones_alone(compose: dict[str, Any]) -> None:
    """A service meets Tempo in the network of its own zone: to be traced, nobody enters another; and nothing that sends none is beside Tempo but who reads."""
    tempo = set(compose["services"]["tempo"]["networks"])
    assert tempo == EVERYWHERE | {"watch"}
    assert TRACED == EVERYWHERE
    for each in fleet.members():
        assert set(compose["services"][each.service]["networks"]) & tempo, each.service
    assert "watch" not in {net for each in fleet.members() for net in compose["services"][each.service]["networks"]}
    assert fleet.TRACES_URL == "http://tempo:4318"
    received = yaml.safe_load((ROOT / "deploy" / "tempo" / "tempo.yaml").read_text())["distributor"]["receivers"]
    assert received == {"otlp": {"protocols": {"http": {"endpoint": "0.0.0.0:4318"}}}}


def test_grafana_lets_nobody_in_by_a_password_that_all_know(compose: dict[str, Any]) -> None:
    """Its administrator's password is a file of `bulkhead deploy keys`; nobody signs himself up, nobody is let in without a name, and it calls nobody outside."""
    told = compose["services"]["grafana"]["environment"]
    assert told["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"/run/secrets/{fleet.GRAFANA_PASSWORD}"
    assert told["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert not any("ANONYMOUS" in name or name == "GF_SECURITY_ADMIN_PASSWORD" for name in told)
    assert {told[f"GF_ANALYTICS_{each}"] for each in ("REPORTING_ENABLED", "CHECK_FOR_UPDATES")} == {"false"}


def test_the_exporter_of_the_database_is_its_watcher(compose: dict[str, Any]) -> None:
    """It comes in as the login that `deploy open` makes, which the database lets in over TLS alone, and it verifies whom it speaks to."""
    told = compose["services"]["postgres-exporter"]["environment"]
    assert told["DATA_SOURCE_USER"] == fleet.WATCHER_LOGIN
    assert "sslmode=verify-full" in told["DATA_SOURCE_URI"]
    opening = compose["services"]["open"]
    assert opening["environment"]["BULKHEAD_DATABASE_WATCHER_PASSWORD_FILE"] == f"{fleet.KEYS}/{fleet.WATCHER_PASSWORD}"
    assert fleet.WATCHER_PASSWORD in held_by(opening)
    lines = (ROOT / "deploy" / "postgres" / "pg_hba.conf").read_text().splitlines()
    assert [line.split() for line in lines if fleet.WATCHER_LOGIN in line] == [
        ["hostssl", "bulkhead", fleet.WATCHER_LOGIN, "all", "scram-sha-256"]
    ]


def test_every_line_says_whose_it_is(compose: dict[str, Any]) -> None:
    """Docker writes Compose's labels beside each line, and keeps so much of them and no more: who reads its files need not ask the engine."""
    labels = "com.docker.compose.project,com.docker.compose.service"
    wanted = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5", "labels": labels}}
    assert {name for name, service in compose["services"].items() if service.get("logging") != wanted} == set()


def test_paper_trading_in_containers_follows_the_live_market() -> None:
    """In wall time, with a deployment's own limits: what a newcomer's market is told is not told here."""
    told = settings_in("paper.env")
    assert told["BULKHEAD_MODE"] == "paper"
    assert told["BULKHEAD_CLOCK_URL"] == ""
    assert told["BULKHEAD_FEED_VENUE_URL"] == told["BULKHEAD_SIM_FOLLOW_URL"] == PRODUCTION_URL
    assert not told.keys() & {name for values in DEV_DEFAULTS.values() for name in values}


def test_every_secret_is_a_file_that_deploy_keys_makes(compose: dict[str, Any], tmp_path: Path) -> None:
    """What the file mounts is what the command makes; the certificate authority's own key is mounted nowhere."""
    made = {path.name for path in make_keys(tmp_path).folder.iterdir()}
    wanted = {Path(each["file"]).name for each in compose["secrets"].values()}
    assert wanted - made == {"telegram-token"}  # only its owner has that
    assert made - wanted == {"authority.key", "authority.pem", "sys.nk", *BUS_FILES}


def test_no_secret_stands_in_a_variable(compose: dict[str, Any]) -> None:
    """`docker inspect` shows variables, labels and commands to whoever may ask: what sounds like a secret names a file."""
    words = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY|DATABASE_URL")
    for name, service in compose["services"].items():
        told = {str(key): str(value) for key, value in service.get("environment", {}).items()}
        bare = {key: value for key, value in told.items() if words.search(key) and not key.endswith("_FILE")}
        assert bare == {}, name
        assert not re.search(r"://[^/\s]*@", " ".join(map(str, service.get("command", [])))), name


def test_a_simulated_market_in_containers_is_a_newcomers(compose: dict[str, Any]) -> None:
    """What `make dev` tells its services so that something happens soon, containers are told as well."""
    wanted = {name: value for values in DEV_DEFAULTS.values() for name, value in values.items()}
    mode = {"BULKHEAD_MODE": "sim", "BULKHEAD_CLOCK_URL": f"ws://{fleet.VENUE}:{fleet.SIM_PORT}/sim/clock"}
    assert settings_in("sim.env") == {**mode, **wanted}


def test_a_container_has_longer_to_stop_than_a_service_takes(compose: dict[str, Any]) -> None:
    """Whoever is killed while stopping leaves his last snapshot unwritten."""
    for each in fleet.members():
        assert compose["services"][each.service]["stop_grace_period"] == f"{fleet.STOP_GRACE_S}s"


def test_volumes_are_given_to_whom_everybody_runs_as(compose: dict[str, Any]) -> None:
    """Every volume but the database's, whose image does that itself, and Alloy's, which is root's, is given away before anybody starts, and each belongs to one
    container's state."""
    given = {each.split(":/volumes/")[1] for each in compose["services"]["prepare"]["volumes"]}
    assert given == set(compose["volumes"]) - {"postgres", "alloy"}
    users: dict[str, set[str]] = {}
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()) if name != "prepare" else ():
            users.setdefault(volume.split(":")[0], set()).add(name)
    shared = {volume: names for volume, names in users.items() if len(names) > 1 and not volume.startswith(("./", "$"))}
    assert shared == {"state-cli": {"open", "cli"}}
