"""The real stack as a supervised process tree, with the strings a chaos run pulls: advance the venue, look, kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from libs.common.subjects import subject_matches
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER, connect_options
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.registry import contract_of, has_machine, module_of
from libs.runtime.streams import TRADING
from services.cli.child import die_with_parent
from services.cli.stack import RUNNING, Ports
from tests.nats_stack import free_ports

UP = "import sys; from services.cli.stack import StackSettings; from services.cli.supervisor import run_up; sys.exit(run_up(StackSettings()))"
NATS = "nats-server"


DECIDING = tuple(name for name in RUNNING if has_machine(name))
"""The services without which nothing is decided; the doors for people are not started here."""


class ChaosStack:
    """One stack in a home of its own, without its doors for people. Everything it starts ends with it."""

    def __init__(self, home: Path, **env: str):
        self.home = home
        self.ports = Ports(_free_base())
        self.env = {
            **os.environ,
            "BULKHEAD_HOME": str(home),
            "BULKHEAD_PORT_BASE": str(self.ports.base),
            "BULKHEAD_RESTART_LOOP_CRASHES": "1000",
            "BULKHEAD_GATEWAY": "false",
            **env,
        }
        self.kills: dict[str, int] = {}
        self.entries: list[LogEntry] = []
        self._filters = {name: contract_of(name).filters for name in DECIDING}
        self._newest: dict[str, int] = dict.fromkeys(DECIDING, 0)
        self._process: asyncio.subprocess.Process
        self._http: aiohttp.ClientSession
        self._bus: Bus | None = None
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bring it up, and wait until every service is live."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "up.out").open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                UP,
                env=self.env,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),
            )
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        await self.until(lambda: (self.home / "stack.json").exists(), 60, "the stack to come up")
        self._follower = asyncio.create_task(self._follow())
        await self.all_live()

    async def stop(self) -> float:
        """SIGTERM to the supervisor; returns how many seconds it took to end."""
        began = time.monotonic()
        if self._follower is not None:  # it never came up
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        if self._bus is not None:
            await self._bus.close()
        await self._http.close()
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self._process.wait(), 30)
        return time.monotonic() - began

    # --- looking ------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Any], deadline_s: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            TimeoutError: with what was waited for, and the end of the supervisor's words.
        """
        end = time.monotonic() + deadline_s
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            if time.monotonic() > end or self._process.returncode is not None:
                raise TimeoutError(f"waited {deadline_s:g} s for {what}\n{self.last_words()}")
            await asyncio.sleep(0.01)

    def last_words(self) -> str:
        """The end of what the supervisor printed."""
        return (self.home / "up.out").read_text(errors="replace")[-2_000:]

    async def all_live(self) -> None:
        """Wait until every service says it is ready."""

        async def ready() -> bool:
            return all([each is not None and each["ready"] for each in await self.readiness()])

        await self.until(ready, 90, "every service to be ready")

    async def readiness(self) -> list[dict[str, Any] | None]:
        """What each service's /readyz says; None where nobody answers."""
        return list(await asyncio.gather(*(self._readyz(name) for name in DECIDING)))

    async def _readyz(self, name: str) -> dict[str, Any] | None:
        try:
            async with self._http.get(f"http://127.0.0.1:{self.ports.service(name)}/readyz") as answer:
                found: dict[str, Any] = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
            return None

    async def quiet(self, deadline_s: float = 60) -> None:
        """Wait until every service has handled all it hears of the log's end and waits for nothing, twice in a row."""
        seen = -1

        async def settled() -> bool:
            nonlocal seen
            last = len(self.entries)
            done = await self.is_at_rest()
            steady = done and last == len(self.entries) and seen == last
            seen = last if done else -1
            return steady

        await self.until(settled, deadline_s, "every service to have processed the log's end")

    async def is_at_rest(self, names: Sequence[str] = DECIDING) -> bool:
        """Whether these services have, at this moment, handled all of the log that we know and they hear, and wait for nothing.

        Nobody may have read farther than we: behind a death of the server we come back last, and what happened meanwhile is not known to us.
        """
        states = await asyncio.gather(*(self._readyz(name) for name in names))
        return all(
            state is not None
            and state["ready"]
            and state["quiescent"]
            and self._newest[name] <= state["processed_seq"] <= len(self.entries)
            for name, state in zip(names, states, strict=True)
        )

    async def _follow(self) -> None:
        """Keep `entries` the whole log, through every kill of the server."""
        while True:
            try:
                options = connect_options(self.home, OBSERVER_USER, self.ports.nats_url)
                self._bus = await Bus.connect(options, TRADING, api=GUEST_API, on_error=lambda _: None)
                pull = OrderedPull(self._bus, "observer", len(self.entries) + 1)
                while True:
                    pulled = await pull.next()
                    if pulled is not None:
                        self._take(pulled.entry)
            except BusError:
                await asyncio.sleep(0.1)

    def _take(self, entry: LogEntry) -> None:
        assert entry.seq == len(self.entries) + 1, f"the log has a hole before {entry.seq}"
        self.entries.append(entry)
        for name, filters in self._filters.items():
            if any(subject_matches(each, entry.subject) for each in filters):
                self._newest[name] = entry.seq

    # --- the venue ----------------------------------------------------------------------------------------------

    async def venue(self, path: str, body: Any = None) -> Any:
        """Ask the simulated venue's stage: `state`, `account`, `advance`."""
        url = f"{self.ports.sim_url}/sim/{path}"
        async with self._http.request("POST" if body is not None else "GET", url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def end_faults(self) -> None:
        """End every fault that waits or lasts."""
        async with self._http.delete(f"{self.ports.sim_url}/sim/faults") as answer:
            answer.raise_for_status()

    # --- killing ------------------------------------------------------------------------------------------------

    def pid_of(self, name: str) -> int | None:
        """The process of a service or of nats-server, if one runs now."""
        wanted = NATS if name == NATS else module_of(name)
        for child in psutil.Process(self._process.pid).children():
            try:
                command = child.cmdline()
            except psutil.Error:
                continue
            if wanted in command or (name == NATS and command and command[0].endswith(NATS)):
                return child.pid
        return None

    def kill(self, name: str) -> bool:
        """kill -9; False when nothing of that name runs at the moment."""
        pid = self.pid_of(name)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        self.kills[name] = self.kills.get(name, 0) + 1
        return True


def _free_base() -> int:
    """A port base whose neighbours are free too, below where the kernel picks ports for outgoing connections."""
    for base in range(14_000 + os.getpid() % 97 * 100, 32_000, 50):
        ports = Ports(base)
        wanted = [ports.nats, ports.monitor, ports.sim, ports.gateway, *(ports.service(name) for name in RUNNING)]
        if all(_is_free(port) for port in wanted):
            return base
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
