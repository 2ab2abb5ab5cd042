"""The deployment of docker-compose.yml, unmodified, on a real Docker engine: built, brought up, looked into, hurt."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from libs.desk.tokens import TokenStore
from libs.runtime.nats_config import write_secret
from services.cli.deploy import fleet
from services.cli.deploy.key_files import give_away, make_keys, token_path
from services.cli.deploy.monitored import write_monitoring
from services.cli.monitoring.routing import TELEGRAM_API
from services.cli.monitoring.settings import AlertSettings
from tests.nats_stack import free_ports
from tests.style.tree import ROOT

BASES = ("python:3.12-slim", "nats:2.15-alpine", "postgres:17")
PROJECT = "bulkhead-test"
TELEGRAM = "bulkhead-test-telegram"
CHAT = 1001


def compose_or_skip() -> None:
    """Return where an engine, Compose and the images that ours stand on are at hand; else skip, and say which is not."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    if _run("docker", "version", check=False).returncode:
        pytest.skip("no Docker engine answers")
    if _run("docker", "compose", "version", check=False).returncode:
        pytest.skip("Docker's Compose plugin is not installed")
    for image in BASES:
        if not is_at_hand(image):
            pytest.skip(f"the engine has no image {image} and cannot get it")


def is_at_hand(image: str) -> bool:
    """Whether the engine has an image, or can get it."""
    if _run("docker", "image", "inspect", image, check=False).returncode == 0:
        return True
    return _run("docker", "pull", image, check=False).returncode == 0


def _run(*command: str, check: bool = True, seconds: float = 900, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    return done


class Deployment:
    """One deployment with secrets, volumes and a console's port of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.uid = make_keys(folder).uid
        self.backup = folder / "backup"
        self.backup.mkdir()
        self.console, self.prometheus = free_ports(2)
        write_monitoring(folder, AlertSettings(), mode="sim")

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker compose ...` in the project's folder."""
        told = {
            "DEPLOY_HOME": str(self.folder),
            "DEPLOY_UID": str(self.uid),
            "CONSOLE_PORT": str(self.console),
            "BACKUP_FOLDER": str(self.backup),
            "PROMETHEUS_PORT": str(self.prometheus),
        }
        return _run("docker", "compose", "-p", PROJECT, *words, check=check, **told)

    def watchers(self) -> list[str]:
        """Those who watch whose images the engine has or can get."""
        services = json.loads(self.compose("--profile", "obs", "config", "--format", "json").stdout)["services"]
        return [name for name in fleet.WATCHERS if is_at_hand(services[name]["image"])]

    def up(self) -> float:
        """Bring it up; how many seconds that took."""
        began = time.monotonic()
        done = self.compose("up", "-d", "--wait", check=False)
        if done.returncode:
            said = self.compose("logs", "--tail", "8", "--no-color").stdout
            raise AssertionError(f"the deployment does not come up\n{done.stderr[-1000:]}\n{said}")
        return time.monotonic() - began

    def bulkhead(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The operator's command, in a container of its own."""
        return self.compose("run", "--rm", "--no-deps", "cli", *words, check=False)

    def status(self) -> dict[str, Any]:
        """What `bulkhead status` says."""
        found: dict[str, Any] = json.loads(self.bulkhead("status", "--json").stdout)
        return found

    def api(self, path: str) -> dict[str, Any]:
        """What the gateway answers to somebody with a token and our authority's certificate, by the port that people use."""
        _, token = TokenStore(token_path(self.folder)).create("test", ("read",), 1, int(time.time()))
        give_away(self.folder)
        trusted = ssl.create_default_context(cafile=self.folder / "keys" / "authority.pem")
        time.sleep(1.0)  # the gateway looks for new tokens twice a second
        request = Request(
            f"https://localhost:{self.console}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urlopen(request, context=trusted, timeout=10) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers to an instant query; nothing while it is not up."""
        address = f"http://127.0.0.1:{self.prometheus}/api/v1/query?{urlencode({'query': query})}"
        try:
            with urlopen(address, timeout=10) as answer:
                found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
        except OSError:
            return []
        return found

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a container, and shows to whoever may ask it."""
        (name,) = self.compose("ps", "-a", "-q", service).stdout.split()
        found: dict[str, Any] = json.loads(_run("docker", "inspect", name).stdout)[0]
        return found

    def python(self, service: str, code: str) -> str:
        """What this code prints inside a service's container."""
        return self.compose("exec", "-T", service, "python", "-c", code).stdout.strip()

    def sql(self, query: str) -> str:
        """The answer of the database, to its owner, beside it."""
        script = 'PGPASSWORD="$(cat /tls/password)" psql -h localhost -U bulkhead_owner -d bulkhead -tA -c "$1"'
        return self.compose(
            "exec", "-T", "-e", "PGSSLMODE=require", "postgres", "bash", "-c", script, "--", query
        ).stdout.strip()

    def is_healthy(self, service: str) -> bool:
        """Whether the engine takes it for healthy."""
        state = self.inspect(service)["State"]
        return state["Running"] and state.get("Health", {}).get("Status") == "healthy"

    def until(self, is_so: Callable[[], bool], what: str, seconds: float = 90) -> float:
        """Return once it is so; how many seconds that took."""
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds:g} s: {what}")
            time.sleep(0.5)
        return time.monotonic() - began

    def listen_as_telegram(self) -> None:
        """Have an emulated Bot API in a container beside Alertmanager, which is told of it and nothing else: the chat, the bot's token, where it answers."""
        home = self.folder / "telegram"
        home.mkdir(mode=0o700)
        os.chown(home, self.uid, self.uid)
        said = {
            "MODULE": "services.telegram_sim",
            "BULKHEAD_TELEGRAM_SIM_HOST": "0.0.0.0",
            "BULKHEAD_TELEGRAM_SIM_PORT": "8081",
        }
        said["BULKHEAD_TELEGRAM_SIM_CHATS"] = str(CHAT)
        words = [word for name, value in said.items() for word in ("-e", f"{name}={value}")]
        place = ("--network", f"{PROJECT}_edge", "--network-alias", "telegram-sim", "-v", f"{home}:/state")
        image = "bulkhead/exchange-sim:0.1.0"
        _run(
            "docker", "run", "-d", "--rm", "--name", TELEGRAM, "--user", f"{self.uid}:{self.uid}", *place, *words, image
        )
        token = home / "telegram_sim" / "token"
        self.until(token.exists, "the emulated Bot API has a token", 30)
        write_monitoring(self.folder, AlertSettings(alert_telegram_chat=CHAT), mode="sim")
        folder = self.folder / "monitoring" / "alertmanager"
        config = folder / "alertmanager.yml"
        write_secret(config, config.read_text().replace(TELEGRAM_API, "http://telegram-sim:8081").encode())
        write_secret(folder / "secrets" / "telegram_token", token.read_bytes())
        give_away(self.folder)

    def heard_by_telegram(self) -> str:
        """Every message that people would have read, as the emulated Bot API tells it."""
        read = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8081/sim/sent').read().decode())"
        return _run("docker", "exec", TELEGRAM, "python", "-c", read).stdout

    def lose_volume(self, name: str) -> None:
        """Remove a volume and whoever used it, as a disk that died does."""
        self.compose("rm", "-f", name, "prepare")
        _run("docker", "volume", "rm", f"{PROJECT}_{name}")

    def bring_back(self) -> int:
        """The steps of docs/BACKUP_RECOVERY.md after a lost log: restored beside the deployment, its store copied into the bus's volume, memories of the services dropped;
        how many entries came back."""
        home = self.folder / "restored"
        told = _run(sys.executable, "-m", "services.cli", "restore", str(self.backup), "--home", str(home), "--json")
        self.compose("down", "--timeout", "20")
        volumes = _run("docker", "volume", "ls", "-q", "--filter", f"name={PROJECT}_state-").stdout.split()
        kept = (
            f"{PROJECT}_state-exchange-sim",
        )  # the venue of a simulated market remembers its account, as a real one does
        _run("docker", "volume", "rm", *(each for each in volumes if each not in kept))
        mounts = ("-v", f"{PROJECT}_nats:/data", "-v", f"{home / 'nats' / 'store'}:/from:ro", "-e", f"OWNER={self.uid}")
        mounts += ("-v", f"{ROOT / 'deploy' / 'compose' / 'bring_back.py'}:/bring_back.py:ro")
        _run(
            "docker",
            "run",
            "--rm",
            "--user",
            "0:0",
            *mounts,
            "--entrypoint",
            "python",
            "bulkhead/cli:0.1.0",
            "/bring_back.py",
        )
        entries: int = json.loads(told.stdout)["last_seq"]
        return entries

    def down(self) -> None:
        """Take all of it away, volumes included."""
        _run("docker", "rm", "-f", TELEGRAM, check=False)
        self.compose("--profile", "*", "down", "-v", "--remove-orphans", "--timeout", "20", check=False)
