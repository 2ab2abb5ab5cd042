"""Three nats-servers that are one bus, on the loopback: configured by the file that the chart gives to its pods."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from nats.aio.client import Client

from deploy.k8s.generate import CHART
from deploy.k8s.kustomization import rendered
from libs.runtime.nats_config import ServerSettings, connect_options, ensure_keys, render, users_of, write_secret
from libs.runtime.nats_server import binary
from libs.runtime.registry import contracts
from libs.runtime.streams import TRADING
from tests.nats_stack import free_ports

FORMED_S_MAX = 60.0


def chart_config() -> str:
    """What the chart tells each of three servers beyond the one configuration of the bus."""
    objects = rendered(CHART, {"nats": {"replicas": 3}})
    text: str = objects["v1", "ConfigMap", "nats-cluster"]["data"]["cluster.conf"]
    return text


class NatsCluster:
    """Three servers in `home`, on free ports."""

    def __init__(self, home: Path):
        self.home = home
        self._config = chart_config()
        self._ports = [free_ports(3) for _ in range(3)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._clients: list[Client] = []

    @property
    def urls(self) -> list[str]:
        """Where each server listens for clients."""
        return [f"nats://127.0.0.1:{client}" for client, _, _ in self._ports]

    async def start(self) -> None:
        """All of them, until they have found a leader between them."""
        public_keys = ensure_keys(self.home, users_of(contracts()))
        for number, (client, monitor, _) in enumerate(self._ports):
            folder = self.home / f"nats-{number}"
            (folder / "nats").mkdir(parents=True)
            (folder / "nats-cluster").mkdir()
            server = ServerSettings(
                store_dir=folder / "store", port=client, monitor_port=monitor, server_name=f"nats-{number}"
            )
            write_secret(folder / "nats" / "nats-server.conf", render(contracts(), public_keys, server).encode())
            write_secret(folder / "nats-cluster" / "cluster.conf", self._config_of(number).encode())
            self.start_one(number)
        await self.formed()

    def _config_of(self, number: int) -> str:
        text = self._config.replace("0.0.0.0:6222", f"127.0.0.1:{self._ports[number][2]}")
        for peer, (_, _, route) in enumerate(self._ports):
            text = text.replace(f"nats-{peer}.nats-peers:6222", f"127.0.0.1:{route}")
        return text

    def start_one(self, number: int) -> None:
        """One of them, with what it has on its disk."""
        folder = self.home / f"nats-{number}"
        with (folder / "log").open("ab") as out:
            self._processes[number] = subprocess.Popen(
                [str(binary()), "--config", str(folder / "nats-cluster" / "cluster.conf")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", ""), "POD_NAME": f"nats-{number}"},
                start_new_session=True,
            )

    def kill(self, number: int) -> None:
        """kill -9 of one."""
        self._processes[number].kill()
        self._processes[number].wait()

    async def formed(self) -> None:
        """Return when every server that runs says that it is healthy, its copies of the streams included.

        Raises:
            TimeoutError: with what the first that is not has said last.
        """
        until = time.monotonic() + FORMED_S_MAX
        while not all(
            await asyncio.gather(*(asyncio.to_thread(self._is_healthy, number) for number in self._processes))
        ):
            if time.monotonic() > until:
                words = (self.home / "nats-0" / "log").read_text(errors="replace")[-2000:]
                raise TimeoutError(f"the cluster has not formed:\n{words}")
            await asyncio.sleep(0.2)

    def _is_healthy(self, number: int) -> bool:
        if self._processes[number].poll() is not None:
            return True  # it was killed, and is not asked
        with (
            contextlib.suppress(OSError),
            urlopen(f"http://127.0.0.1:{self._ports[number][1]}/healthz", timeout=2) as answer,
        ):
            return bool(json.load(answer)["status"] == "ok")
        return False

    def options(self, user: str) -> dict[str, Any]:
        """As whom and where to connect; any server will do."""

        async def expected(error: Exception) -> None:
            """A server that was killed is not news."""

        return {**connect_options(self.home, user, self.urls[0]), "servers": self.urls, "error_cb": expected}

    async def connect(self, user: str) -> Client:
        """A connection as `user`."""
        client = Client()
        await client.connect(**self.options(user))
        self._clients.append(client)
        return client

    async def info(self, client: Client, stream: str = TRADING) -> dict[str, Any]:
        """What the bus says of a stream, as admin."""
        found: dict[str, Any] = json.loads(
            (await client.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=10)).data
        )
        return found

    async def stop(self) -> None:
        """All connections and servers, for good."""
        for client in self._clients:
            await client.close()
        for number in self._processes:
            self.kill(number)
