"""A real, secured, provisioned nats-server for tests: free ports, a home of its own, every user's key."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from libs.runtime import nats_server
from libs.runtime.contract import Contract
from libs.runtime.nats_config import connect_options
from libs.runtime.provision import provision
from libs.runtime.registry import contracts as all_contracts
from libs.runtime.streams import TRADING, StreamLimits


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def free_block(count: int) -> int:
    """The first of so many ports in a row that nobody listens on now."""
    for base in range(20_000 + os.getpid() % 5000, 60_000, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise RuntimeError("no free ports")


class User:
    """One connection, and everything the server has refused it."""

    def __init__(self, name: str, client: Client):
        self.name = name
        self.client = client
        self.errors: list[str] = []

    async def refused(self, *subjects: str) -> set[str]:
        """Publish on every subject; those the server refused."""
        self.errors.clear()
        for subject in (*subjects, "the.end"):
            await self.client.publish(subject, b"")
        text = await self._errors_until('publish to "the.end"')
        return {subject for subject in subjects if f'violation for publish to "{subject.lower()}"' in text}

    async def deaf_to(self, *subjects: str) -> set[str]:
        """Subscribe to every subject; those the server refused."""
        self.errors.clear()
        for subject in (*subjects, "the.end"):
            await self.client.subscribe(subject)
        text = await self._errors_until('subscription to "the.end"')
        return {subject for subject in subjects if f'violation for subscription to "{subject.lower()}"' in text}

    async def _errors_until(self, last: str) -> str:
        """The server refuses in order, so a last thing nobody may do marks the end (a flush overtakes what is buffered)."""
        async with asyncio.timeout(10):
            while not any(last in error for error in self.errors):  # noqa: ASYNC110  (a callback fills the list)
                await asyncio.sleep(0.01)
        return "\n".join(self.errors).lower()

    async def ask(self, subject: str, body: Any = b"", **headers: str) -> dict[str, Any]:
        """One request, its JSON answer. Header names are written with underscores."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()} or None
        reply = await self.client.request(subject, payload, timeout=5, headers=named)
        return json.loads(reply.data)


class NatsStack:
    """A running server and how to reach it. `restart` keeps its folder."""

    def __init__(self, home: Path, contracts: tuple[Contract, ...] | None = None):
        self.home = home
        self.contracts = all_contracts() if contracts is None else contracts
        self.port, self.monitor_port = free_ports(2)
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes]
        self._users: list[Client] = []

    async def start(self, limits: StreamLimits | None = None, *, provisioned: bool = True) -> None:
        """Start it, and provision it as `admin`."""
        self.process = nats_server.start(self.home, self.contracts, self.port, self.monitor_port)
        await nats_server.wait_healthy(
            self.monitor_port,
            ended=lambda: self.process.poll() is not None,
            last_words=lambda: nats_server.log_tail(self.home),
        )
        if provisioned:
            admin = await self.connect("admin")
            await provision(admin.client, self.contracts, limits)

    async def connect(self, user: str, **overrides: Any) -> User:
        """A connection as `user`."""
        connected = User(user, Client())

        async def note(error: Exception) -> None:
            connected.errors.append(str(error))

        await connected.client.connect(**{**connect_options(self.home, user, self.url), "error_cb": note, **overrides})
        self._users.append(connected.client)
        return connected

    async def last_seq(self, stream: str = TRADING) -> int:
        """Where a stream ends."""
        admin = await self.connect("admin")
        return (await admin.ask(f"$JS.API.STREAM.INFO.{stream}"))["state"]["last_seq"]

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    async def stop(self) -> None:
        """End every connection and the server, for good: what it would do in the fifth of a second that a goodbye takes, nobody looks at."""
        for client in self._users:
            await client.close()
        self.kill()
