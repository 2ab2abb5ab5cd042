"""docker-compose.yml for real (`make compose-test`): it trades, each compartment is tight, and what is killed comes back."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from services.cli.deploy import fleet
from tests.e2e.compose_stand import Deployment, compose_or_skip
from tests.style.tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("compose")]
SERVICES = [each.service for each in fleet.members() if not each.is_optional]
SERVICE_DOWN = "ALERTMANAGER_SERVICEDOWN"
OUTSIDE = "192.0.2.1"
REACH = """
def knock(door):
    try:
        socket.create_connection(door, 2).close()
        return door[0]
    except OSError:
        return None
print(json.dumps([each for each in P(32).map(knock, doors.items()) if each]))
"""
"""Prints which doors can be opened from here. The address outside is one that belongs to nobody (RFC 5737)."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Built and brought up once for all tests; taken away whatever they did to it."""
    compose_or_skip()
    made = Deployment(tmp_path_factory.mktemp("deploy"))
    made.down()
    try:
        made.compose("build")
        print(f"\nup in {made.up():.1f} s")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def networks() -> dict[str, set[str]]:
    """Which networks each container is in, by the file."""
    file: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return {name: set(service.get("networks", ())) for name, service in file["services"].items()}


def test_it_trades_and_the_trade_is_everywhere(deployment: Deployment) -> None:
    """A fill comes within minutes, stands in Postgres and in the executor's metrics, is told by the console's API, and its story goes back to the bar."""
    took = deployment.until(lambda: deployment.sql("SELECT count(*) FROM fills") != "0", "a fill in Postgres", 180)
    print(f"\na fill in Postgres after {took:.1f} s")
    assert (
        deployment.sql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'ledger_login'")
        == "t"
    )
    read = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics').read().decode())"
    counted = re.search(
        r'bulkhead_appended_total\{service="order-executor",type="ExecutionReport"\} ([0-9.]+)',
        deployment.python("order-executor", read),
    )
    assert counted is not None
    assert float(counted[1]) > 0
    status = deployment.status()
    assert set(status["services"]) == set(SERVICES)
    assert deployment.api("fills")["items"]
    story = deployment.bulkhead("trace", "latest")
    assert story.returncode == 0, story.stderr
    assert "APPROVED" in story.stdout.upper()


def test_who_watches_sees_everybody_and_brings_what_is_wrong_into_the_log(deployment: Deployment) -> None:
    """Prometheus finds every service by its name and is content; the feed is stopped, and Alertmanager's word of it is an event of the log, and on the
    phones of people, within a minute."""
    deployment.listen_as_telegram()
    watchers = deployment.watchers()
    print(
        f"\nwatched by {', '.join(watchers)}; no image of {', '.join(set(fleet.WATCHERS) - set(watchers)) or 'nobody'}"
    )
    assert {"prometheus", "alertmanager"} <= set(watchers)
    deployment.compose("--profile", "obs", "up", "-d", "--wait", *watchers)
    deployment.until(lambda: len(deployment.asked('up{job="bulkhead"} == 1')) == len(SERVICES), "every target up")
    firing = {each["metric"]["alertname"] for each in deployment.asked('ALERTS{alertstate="firing"}')}
    assert firing <= {"Watchdog"}
    if "postgres-exporter" in watchers:
        deployment.until(lambda: bool(deployment.asked("pg_up == 1")), "the exporter's login is let in")
    if "nats-exporter" in watchers:
        deployment.until(lambda: bool(deployment.asked('up{job="nats"} == 1')), "the bus is counted")
    deployment.compose("stop", "--timeout", "30", "market-feed")
    read = deployment.until(lambda: "market-feed" in deployment.heard_by_telegram(), "a message about the feed", 60)
    told = deployment.until(lambda: SERVICE_DOWN in json.dumps(deployment.api("alerts")), "the alert in the log", 60)
    print(f"\nthe feed stopped: people read it after {read:.1f} s, and it is an event of the log {told:.1f} s later")
    deployment.compose("start", "market-feed")
    deployment.until(lambda: deployment.is_healthy("market-feed"), "the feed is back")


def test_the_log_derives_every_decision_again(deployment: Deployment) -> None:
    """`replay --verify` from a container of its own, on the log as it is while they trade."""
    verified = deployment.bulkhead("replay", "--verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["verified"] > 0


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_of_ours_is_a_small_place(deployment: Deployment, service: str) -> None:
    """Nobody's user, no shell, nothing to write on but state and /tmp, no capability, only its own secrets; what `inspect` shows holds none."""
    code = (
        "import os, pathlib, json; status = pathlib.Path('/proc/self/status').read_text();"
        "caps = [l.split()[1] for l in status.splitlines() if l.startswith(('CapEff', 'CapPrm'))];"
        "programs = [p for d in ('/bin', '/usr/bin', '/sbin', '/usr/sbin') for p in os.listdir(d) if p != 'docker-init'];"  # the engine's own
        "roots = [d for d in ('/', '/app', '/usr', '/venv', '/etc') if os.access(d, os.W_OK)];"
        "print(json.dumps([os.getuid(), caps, programs, roots, sorted(os.listdir('/state/keys'))]))"
    )
    uid, capabilities, programs, writable, keys = json.loads(deployment.python(service, code))
    assert uid == deployment.uid
    assert set(capabilities) == {"0" * 16}
    assert (programs, writable) == ([], [])
    assert keys == sorted(fleet.member(service).keys)
    shown = json.dumps(deployment.inspect(service))
    secrets = [path.read_text(errors="replace").strip() for path in (deployment.folder / "keys").iterdir()]
    lines = {
        line for secret in secrets for line in secret.splitlines() if len(line) >= 32 and "CERTIFICATE" not in line
    }
    assert not [line[:6] for line in lines if line in shown]


def test_compartments_are_tight(deployment: Deployment, networks: dict[str, set[str]]) -> None:
    """Who reaches whom is what the networks of the file say: nobody but the ledger reaches the database, no service one of another zone, nobody the outside."""
    doors = {"postgres": 5432, "nats": 4222, "exchange-sim": 4202, **dict.fromkeys(SERVICES, 9100), OUTSIDE: 443}
    for service in SERVICES:
        code = f"from concurrent.futures import ThreadPoolExecutor as P; import json, socket; doors = {doors}; {REACH}"
        reached = set(json.loads(deployment.python(service, code)))
        assert reached - {service} == {
            name for name in doors if name != service and networks[service] & networks.get(name, set())
        }, service


def test_no_shell_in_the_executor(deployment: Deployment) -> None:
    """Whoever gets to run a command there finds none to run."""
    for shell in ("sh", "bash", "/bin/sh", "busybox"):
        assert deployment.compose("exec", "-T", "order-executor", shell, "-c", "true", check=False).returncode != 0


def test_the_database_takes_nobody_without_tls(deployment: Deployment) -> None:
    """A right password over a plain connection is refused; over TLS it is taken."""
    code = "import sys, pathlib, psycopg; url = pathlib.Path('/state/keys/database-url').read_text().split('?')[0]; "
    refused = deployment.compose(
        "exec", "-T", "ledger", "python", "-c", f"{code} psycopg.connect(url + '?sslmode=disable')", check=False
    )
    assert refused.returncode != 0
    assert "pg_hba" in refused.stderr
    assert "password" not in deployment.python(
        "ledger", f"{code} psycopg.connect(url + '?sslmode=require'); print('in')"
    )


@pytest.mark.parametrize(
    ("victim", "waiting_for", "seconds"),
    [("order-executor", ("order-executor",), 60), ("nats", tuple(SERVICES), 90), ("postgres", ("ledger",), 60)],
)
def test_what_is_killed_comes_back(
    deployment: Deployment, victim: str, waiting_for: tuple[str, ...], seconds: float
) -> None:
    """The executor, the bus, the database: killed at once, started again by the engine, everybody ready, and the log derives clean."""
    deployment.until(lambda: deployment.is_healthy(victim), f"{victim} healthy before")
    state = deployment.inspect(victim)
    before = state["RestartCount"]
    os.kill(state["State"]["Pid"], signal.SIGKILL)  # from outside, as a crash ends it: the engine was not asked to
    deployment.until(lambda: deployment.inspect(victim)["RestartCount"] > before, f"{victim} started again", seconds)
    took = deployment.until(
        lambda: all(deployment.is_healthy(each) for each in waiting_for), f"{waiting_for} healthy", seconds
    )
    print(f"\n{victim} killed: everybody healthy {took:.1f} s after it was started again")
    verified = deployment.bulkhead("replay", "--verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_lost_log_is_not_replaced_by_an_empty_one(deployment: Deployment) -> None:
    """The bus's volume is gone: the job refuses, nobody starts, and it is said what to do."""
    deployment.compose("stop", "--timeout", "30")
    deployment.lose_volume("nats")
    refused = deployment.compose("up", "-d", "--wait", check=False)
    assert refused.returncode != 0
    said = deployment.compose("logs", "open").stdout
    assert "events are lost" in said
    assert "bulkhead restore" in said
    assert not [each for each in SERVICES if deployment.inspect(each)["State"]["Running"]]


def test_a_lost_log_comes_back_from_its_backup(deployment: Deployment) -> None:
    """The copy that the deployment kept of it is brought back, as the page says: the same book, halted until somebody has looked, and every decision derived again."""
    entries = deployment.bring_back()
    took = deployment.up()
    print(f"\n{entries} entries brought back from the backup, everybody healthy after {took:.1f} s")
    assert deployment.status()["trading_state"] == "HALTED"
    verified = deployment.bulkhead("replay", "--verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["verified"] > 0
