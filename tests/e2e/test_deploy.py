"""`bulkhead deploy open` against a real bus with TLS, as a deployment configures it: made once, held against this code, refused when the log is gone."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from libs.runtime import nats_server
from libs.runtime.bus import Bus
from libs.runtime.nats_config import connect_options, write_secret
from libs.runtime.streams import TRADING
from services.cli.deploy.key_files import make_keys
from services.cli.deploy.rotation import Rotated, finish, rotate
from tests.nats_stack import free_ports

SECRETS = ("nats-ca.pem", "admin.nk", "cli.nk", "observer.nk")


class Deployment:
    """A bus as `bulkhead deploy keys` configured it, its files moved to where a test may write; and the state folder of the job that opens it."""

    def __init__(self, folder: Path):
        self.folder = folder / "deploy"
        self.keys = make_keys(self.folder).folder
        self.former = (self.keys / "cli.nk").read_bytes()
        self.port, self.monitor = free_ports(2)
        self.store = folder / "store"
        self.home = folder / "job"
        self.bus: subprocess.Popen[bytes] | None = None
        self.config = folder / "nats-server.conf"
        self.configure()
        self.mount(SECRETS)

    def configure(self) -> None:
        """The bus's configuration as it stands now, for where a test may listen and write."""
        text = (self.keys / "nats-server.conf").read_text()
        for old, new in (
            ('"0.0.0.0:4222"', f'"127.0.0.1:{self.port}"'),
            ('"0.0.0.0:8222"', f'"127.0.0.1:{self.monitor}"'),
            ('store_dir: "/data"', f'store_dir: "{self.store}"'),
            ("/etc/nats/", f"{self.keys}/"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text)

    def mount(self, names: tuple[str, ...]) -> None:
        """Give the job these secrets, and no others."""
        (self.home / "keys").mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(self.keys / name, self.home / "keys" / name)
            (self.home / "keys" / name).chmod(0o600)

    async def start(self) -> None:
        """The bus, and return when it is healthy."""
        self.bus = bus = self._begun()
        await nats_server.wait_healthy(self.monitor, ended=lambda: bus.poll() is not None, last_words=lambda: "")

    def _begun(self) -> subprocess.Popen[bytes]:
        command = [str(nats_server.binary()), "--config", str(self.config)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End the bus."""
        if self.bus is not None:
            self.bus.terminate()
            self.bus.wait(20)
            self.bus = None

    async def changed(self, _: Rotated) -> None:
        """What the first of a change's steps does: the bus reads its configuration again."""
        assert self.bus is not None
        self.configure()
        self.bus.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.5)

    def certificate(self) -> bytes:
        """What the bus shows to whoever comes now (it speaks first, in plain, and then TLS)."""
        context = ssl.create_default_context(cafile=self.keys / "nats-ca.pem")
        with socket.create_connection(("127.0.0.1", self.port), 5) as plain:
            plain.recv(65536)
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        return shown

    def options(self, user: str) -> dict[str, Any]:
        """How this user connects."""
        return connect_options(self.home, user, f"tls://localhost:{self.port}")

    def open(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """`bulkhead deploy open` as its container runs it."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_")}
        told = {"BULKHEAD_HOME": str(self.home), "BULKHEAD_NATS_URL": f"tls://localhost:{self.port}", **variables}
        command = [sys.executable, "-m", "services.cli", "deploy", "open"]
        return subprocess.run(command, env={**plain, **told}, capture_output=True, text=True, timeout=120, check=False)

    @asynccontextmanager
    async def connected(self, user: str = "admin") -> AsyncIterator[Client]:
        """On the bus as one of its users."""
        client = Client()
        await client.connect(**self.options(user))
        try:
            yield client
        finally:
            await client.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  (nobody tells us)
            await asyncio.sleep(0.05)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment whose bus ends with the test."""
    made = Deployment(tmp_path)
    yield made
    made.stop()


async def test_opening_twice_makes_everything_once(deployment: Deployment) -> None:
    """Streams, durables and the book's first event are made by the first run; the second finds them and says only that services may start."""
    await deployment.start()
    first, second = deployment.open(), deployment.open()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert f"created stream {TRADING}" in first.stdout
    assert "the book 'main' begins, mode sim" in first.stdout
    assert second.stdout == "open: services may start\n"
    async with deployment.connected() as client:
        assert await Bus(client, TRADING).last_seq() == 1
    told = json.loads((deployment.home / "stack.json").read_text())
    assert told["services"]["risk-gate"] == "http://risk-gate:9100"
    assert "telegram-bot" not in told["services"]


async def test_a_bus_with_an_empty_disk_is_not_opened(deployment: Deployment) -> None:
    """The log is gone, its volume lost or another one mounted: nothing is made in its place, and the refusal says what to do."""
    await deployment.start()
    assert deployment.open().returncode == 0
    deployment.stop()
    shutil.rmtree(deployment.store)
    await deployment.start()
    refused = deployment.open()
    assert refused.returncode == 69
    assert re.search(r"events are lost.*bulkhead restore", refused.stderr)
    async with deployment.connected() as client:
        answer = json.loads((await client.request("$JS.API.STREAM.NAMES", b"")).data)
    assert answer["total"] == 0


async def test_another_world_is_not_opened(deployment: Deployment) -> None:
    """A simulated log is not gone on with for real, whatever the mode's variable says."""
    await deployment.start()
    assert deployment.open().returncode == 0
    refused = deployment.open(BULKHEAD_MODE="live", BULKHEAD_EXEC_VENUE_URL="http://127.0.0.1:1")
    assert refused.returncode == 78
    assert "locked" in refused.stderr


async def test_whoever_cannot_prove_himself_as_the_bus_hears_no_key(deployment: Deployment, tmp_path: Path) -> None:
    """A server with another authority's certificate is not spoken to: no user's name, no signature."""
    await deployment.start()
    stranger = make_keys(tmp_path / "stranger").folder
    shutil.copyfile(stranger / "nats-ca.pem", deployment.home / "keys" / "nats-ca.pem")
    options = connect_options(deployment.home, "admin", f"tls://localhost:{deployment.port}")
    with pytest.raises(ssl.SSLCertVerificationError):
        await Client().connect(**{**options, "allow_reconnect": False})


async def test_the_bus_takes_nobody_without_tls(deployment: Deployment) -> None:
    """A right key over a plain connection is refused: what travels there could be read."""
    await deployment.start()
    options = connect_options(deployment.home, "admin", f"nats://localhost:{deployment.port}")
    client = Client()
    with pytest.raises(Exception, match=r"(?i)tls|secure|ssl"):
        await client.connect(**{**options, "allow_reconnect": False})


async def test_a_key_is_changed_without_a_restart_of_the_bus(deployment: Deployment) -> None:
    """Old and new connections live side by side while both keys are let in; finished, the old key's connection ends and it opens nothing; the bus ran on."""
    await deployment.start()
    assert deployment.open().returncode == 0
    async with deployment.connected("observer") as bystander:
        async with deployment.connected("cli") as old:
            await deployment.changed(rotate(deployment.folder, "cli"))
            await old.flush(5)
            deployment.mount(("cli.nk",))
            async with deployment.connected("cli") as new:
                await new.flush(5)
                await deployment.changed(finish(deployment.folder, "cli"))
                await until(lambda: not old.is_connected)
                await new.flush(5)
        await bystander.flush(5)
        assert bystander.stats["reconnects"] == 0
    refused = deployment.home / "keys" / "cli.nk"
    write_secret(refused, deployment.former)
    with pytest.raises(Exception, match=r"(?i)authorization"):
        await Client().connect(**{**deployment.options("cli"), "allow_reconnect": False})


async def test_the_bus_shows_another_certificate_without_a_restart(deployment: Deployment) -> None:
    """A new certificate by the same authority: whoever is connected stays, whoever comes is shown the new one."""
    await deployment.start()
    async with deployment.connected() as before:
        shown = deployment.certificate()
        await deployment.changed(rotate(deployment.folder, "nats-tls"))
        await until(lambda: deployment.certificate() != shown)
        async with deployment.connected() as after:
            await after.flush(5)
        await before.flush(5)
        assert before.stats["reconnects"] == 0


async def test_a_job_without_its_keys_says_which(deployment: Deployment) -> None:
    """A secret that was not mounted is named, at once."""
    await deployment.start()
    (deployment.home / "keys" / "admin.nk").unlink()
    refused = deployment.open()
    assert refused.returncode == 78
    assert "admin.nk is missing" in refused.stderr
