"""A running gateway before a real bus with a recorded log: its tokens, its address, and what it has told the log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from libs.common.messages import AccessRefused, Message
from libs.common.subjects import writer_filter
from libs.desk.story_target import decoded
from libs.desk.tokens import Scope, TokenStore, token_file
from libs.runtime.bus import Bus
from libs.runtime.contract import Contract
from libs.runtime.engine import Append
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of, contracts
from libs.runtime.streams import TRADING
from services.cli.child import die_with_parent
from tests.nats_stack import NatsStack
from tests.recorded_log import message_of, recorded_log

SEED = 2
"""Entries, exits and filled stops within a few minutes."""


async def write_log(nats: NatsStack, seed: int = SEED) -> int:
    """Append a recorded log, each entry as the writer who said it; returns where it ends."""
    buses: dict[str, tuple[Contract, Bus]] = {}
    for contract in contracts():
        user = await nats.connect(contract.service)
        buses[contract.writer] = contract, Bus(user.client, TRADING, api_prefix(contract))
    tails: dict[str, int] = {}
    for entry in recorded_log(seed):
        message = message_of(entry)
        contract, bus = buses[message.producer]
        append = Append(entry.subject, entry.payload, message, tails.get(contract.writer, 0))
        tails[contract.writer] = await bus.append(append, writer_filter(contract.writer), {})
    return len(recorded_log(seed))


class Gateway:
    """One gateway process."""

    def __init__(self, nats: NatsStack, **env: str):
        self.nats = nats
        self.home = nats.home
        self.tokens: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.health_port = 0
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_")},
            "BULKHEAD_HOME": str(self.home),
            "BULKHEAD_NATS_URL": nats.url,
            "BULKHEAD_HTTP_PORT": "0",
            "BULKHEAD_GATEWAY_PORT": "0",
            **env,
        }
        self._reader: Bus | None = None
        self.process: asyncio.subprocess.Process
        self.http: aiohttp.ClientSession
        self.url = ""

    async def start(self) -> None:
        """Start it, with a token of each scope, and wait until it has read the log."""
        for scope in ("read", "operate", "admin", "alerts"):
            self.ids[scope], self.tokens[scope] = self.token(scope)  # type: ignore[arg-type]
        port_file = self.home / "gateway" / "port"
        port_file.unlink(missing_ok=True)
        with self.log.open("wb") as out:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.gateway",
                env=self._env,
                stdout=out,
                stderr=out,
                preexec_fn=die_with_parent(os.getpid()),
            )
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        await self.until(lambda: port_file.exists() and port_file.read_text().endswith("\n"), "the port")
        self.url = f"http://127.0.0.1:{port_file.read_text().strip()}"
        listening = next(line for line in self.log.read_text().splitlines() if '"event":"listening"' in line)
        self.health_port = json.loads(listening)["port"]
        await self.live()

    async def live(self) -> None:
        """Wait until its health page says ready."""

        async def is_live() -> bool:
            async with self.http.get(f"http://127.0.0.1:{self.health_port}/readyz") as answer:
                return answer.status == 200

        await self.until(is_live, "it to be live")

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        await self.http.close()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 10)

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.home / "gateway.out"

    def token(self, scope: Scope, days: int = 1, now: int | None = None) -> tuple[str, str]:
        """A new token: its id and its text."""
        made, text = TokenStore(token_file(self.home)).create(f"{scope}-man", (scope,), days, now or int(time.time()))
        return made.id, text

    def bearer(self, scope: str) -> dict[str, str]:
        """The header of a token."""
        return {"Authorization": f"Bearer {self.tokens[scope]}"}

    async def ask(
        self, path: str, scope: str = "read", *, method: str = "GET", status: int | None = 200, **more: Any
    ) -> Any:
        """One request and its JSON; `status` is what it must be answered with (None: anything)."""
        headers = {**(self.bearer(scope) if scope else {}), **more.pop("headers", {})}
        async with self.http.request(method, self.url + path, headers=headers, **more) as answer:
            text = await answer.text()
            assert status is None or answer.status == status, f"{method} {path}: {answer.status} {text[:500]}"
            return await answer.json(content_type=None) if text else None

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """The first answer of `condition` that is true."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = condition()
                found = await found if asyncio.iscoroutine(found) else found
            except (aiohttp.ClientError, AssertionError):
                found = None
            if found:
                return found
            words = self.log.read_text()[-2000:]
            assert self.process.returncode is None, f"it ended with {self.process.returncode}\n{words}"
            assert time.monotonic() < end, f"waited {seconds} s for {what}\n{words}"
            await asyncio.sleep(0.02)

    async def told(self, from_seq: int = 1) -> list[Message]:
        """What the gateway has appended so far."""
        if self._reader is None:
            self._reader = Bus((await self.nats.connect("admin")).client, TRADING)
        found, seq, prefix = [], from_seq, writer_filter(contract_of("gateway").writer)
        while (entry := await self._reader.first_on(prefix, seq)) is not None:
            message, seq = decoded(entry), entry.seq + 1
            found += [] if message is None else [message]
        return found

    async def refused(self, why: str, who: str | None = None) -> AccessRefused:
        """The event of a refusal (of `who`), waited for."""

        async def look() -> AccessRefused | None:
            told = [each for each in await self.told() if isinstance(each, AccessRefused)]
            return next((each for each in told if each.why == why and who in (None, each.who)), None)

        found: AccessRefused = await self.until(look, f"an event of {why}")
        return found


@asynccontextmanager
async def gateway_on(nats: NatsStack, **env: str) -> AsyncIterator[Gateway]:
    """A gateway that runs, and is stopped."""
    gateway = Gateway(nats, **env)
    try:
        await gateway.start()
        yield gateway
    finally:
        if hasattr(gateway, "process"):
            await gateway.stop()


@asynccontextmanager
async def gateway_in(home: Path, *, seed: int | None = SEED, **env: str) -> AsyncIterator[Gateway]:
    """A bus of its own with a recorded log (None: an empty one), and a gateway before it."""
    nats = NatsStack(home)
    await nats.start()
    try:
        if seed is not None:
            await write_log(nats, seed)
        async with gateway_on(nats, **env) as gateway:
            yield gateway
    finally:
        await nats.stop()
