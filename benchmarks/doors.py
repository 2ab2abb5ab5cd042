"""What a halt takes through the gateway, and what five hundred listeners cost: on the running stack, with and without them, in turns.

    python -m benchmarks.doors [--listeners 500] [--rounds 20] [--pause 3]       prints JSON; times are ms

`bulkhead up` is started with a simulated market. In every round HALT and RESUME are posted, and listeners of `/api/v1/stream` note when the order's line reached them.

    effect     the POST's answer, which names what came of it: request, append, the gate's turn, its answer seen in the log
    gate       the log's own clock between the order and the gate's answer: what a reader of the log waits for, whoever listens beside it
    screen     from before the POST until a listener has the line: all listeners of all rounds
    entries    entries that were submitted more than half a second after a halt took effect, and before its end; must be 0
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from libs.common.messages import OrderSubmitting, TradingStateChanged
from libs.desk.story_target import decoded
from services.cli.observer import looking, observing
from services.cli.place import find_place
from services.cli.stack import PORTS_TAKEN
from tests.nats_stack import free_block

READY_S_MAX = 120.0
LINE_S_MAX = 10.0
HALF_A_SECOND = 500_000_000
MARK = "doors-"


class Listeners:
    """Who listens, and when each heard of the mark that is looked for."""

    def __init__(self, url: str, token: str, count: int):
        self._url, self._token, self.count = url, token, count
        self.mark = b""
        self.heard: list[float] = []
        self.lost = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = 0

    async def open(self) -> None:
        """Return once all are connected."""
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        self._tasks = [asyncio.create_task(self._listen()) for _ in range(self.count)]
        async with asyncio.timeout(READY_S_MAX):
            while self._ready < self.count:  # noqa: ASYNC110  (many tasks count up to it)
                await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        headers, seen = {"Authorization": f"Bearer {self._token}"}, b""
        try:
            async with self._session.get(f"{self._url}/api/v1/stream", headers=headers) as answer:
                answer.raise_for_status()
                self._ready += 1
                async for piece in answer.content.iter_any():
                    mark = self.mark
                    if mark and mark != seen and mark in piece:
                        seen = mark
                        self.heard.append(time.perf_counter())
        except aiohttp.ClientError:
            self.lost += 1

    async def close(self) -> None:
        """Let them go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()


@asynccontextmanager
async def running_stack(home: Path) -> AsyncIterator[tuple[str, str]]:
    """A stack with a simulated market; the gateway's URL and a token that may order."""
    base = free_block(PORTS_TAKEN)
    environment = {
        **os.environ,
        "BULKHEAD_HOME": str(home),
        "BULKHEAD_PORT_BASE": str(base),
        "BULKHEAD_GATEWAY_PORT": str(base + 3),
        "BULKHEAD_GATEWAY_RATE_ADDRESS": "100000",
        "BULKHEAD_GATEWAY_RATE_CALLER": "100000",
        "BULKHEAD_GATEWAY_STREAMS_MAX": "5000",
        "BULKHEAD_GATEWAY_STREAMS_PER_TOKEN": "5000",
    }
    command = (sys.executable, "-c", "from services.cli.app import main; main()", "up")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
    url, token = f"http://127.0.0.1:{base + 3}", home / "keys" / "console.token"
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(READY_S_MAX):
            while not (token.exists() and await _is_well(session, url, token.read_text().strip())):  # noqa: ASYNC110  (a process we do not own)
                await asyncio.sleep(0.2)
        yield url, token.read_text().strip()
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def _is_well(session: aiohttp.ClientSession, url: str, token: str) -> bool:
    try:
        async with session.get(f"{url}/api/v1/risk", headers={"Authorization": f"Bearer {token}"}) as answer:
            return (answer.status == 200 and "desk" in await answer.text()) or answer.status == 200
    except aiohttp.ClientError:
        return False


async def post(session: aiohttp.ClientSession, url: str, token: str, word: str, reason: str) -> tuple[float, Any]:
    """An order; how long its answer took (ms), and the answer."""
    body = {"command_id": f"{reason}-{word}", "reason": reason}
    began = time.perf_counter()
    async with session.post(
        f"{url}/api/v1/commands/{word}", json=body, headers={"Authorization": f"Bearer {token}"}
    ) as answer:
        said = await answer.json()
    if answer.status != 200:
        raise SystemExit(f"{word}: {answer.status} {said}")
    return (time.perf_counter() - began) * 1e3, said


async def rounds(
    home: Path, url: str, token: str, count: int, listeners: int, name: str, pause_s: float
) -> dict[str, Any]:
    """So many halts with so many listeners; between two of them trading goes on for a while (s)."""
    crowd = Listeners(url, token, listeners)
    await crowd.open()
    effect: list[float] = []
    screen: list[float] = []
    gate: list[float] = []
    async with aiohttp.ClientSession() as session, looking(find_place(home)) as observer:
        await asyncio.sleep(2.0)
        for number in range(count):
            reason = f"{MARK}{name}-{number}"
            crowd.heard, crowd.mark = [], reason.encode()
            began = time.perf_counter()
            took, said = await post(session, url, token, "halt", reason)
            effect.append(took)
            stored = await observer.stored_at((said["seq"], said["answer_seq"]))
            gate.append((stored[said["answer_seq"]] - stored[said["seq"]]) / 1e6)
            until = time.monotonic() + LINE_S_MAX
            while len(crowd.heard) < listeners and time.monotonic() < until:  # noqa: ASYNC110  (many tasks fill it)
                await asyncio.sleep(0.01)
            screen += [(each - began) * 1e3 for each in crowd.heard]
            screen += [LINE_S_MAX * 1e3] * (listeners - len(crowd.heard))
            await post(session, url, token, "resume", reason)
            await asyncio.sleep(pause_s)
    await crowd.close()
    found = {"listeners": listeners, "lost": crowd.lost, "effect": spread(effect), "gate": spread(gate)}
    return found | ({"screen": spread(screen)} if screen else {})


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile (nearest rank) and the most."""
    ordered = sorted(values)
    rank = max(0, -(-99 * len(ordered) // 100) - 1)
    return {
        "samples": len(ordered),
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[rank], 1),
        "max": round(ordered[-1], 1),
    }


async def entries_while_halted(home: Path) -> dict[str, int]:
    """Entries that were submitted while trading was halted: within half a second of the halt, and later; and all others, or it would prove nothing."""
    halted_at, early, late, halts, others = 0, 0, 0, 0, 0
    async with observing(find_place(home)) as observer:
        size = await observer.size()
        async for entry in observer.entries(1, size.last_seq):
            match decoded(entry):
                case TradingStateChanged(state="HALTED"):
                    halted_at, halts = (await observer.stored_at((entry.seq,)))[entry.seq], halts + 1
                case TradingStateChanged():
                    halted_at = 0
                case OrderSubmitting(role="ENTRY") if halted_at:
                    at = (await observer.stored_at((entry.seq,)))[entry.seq]
                    early, late = early + (at - halted_at < HALF_A_SECOND), late + (at - halted_at >= HALF_A_SECOND)
                case OrderSubmitting(role="ENTRY"):
                    others += 1
    return {"halts": halts, "entries_within_500_ms": early, "entries_later": late, "entries_while_active": others}


async def main() -> None:
    """Rounds without listeners and with them, in turns; then what was entered while halted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pause", type=float, default=3.0, help="s between two halts")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkhead-doors-") as folder:
        home = Path(folder) / "home"
        async with running_stack(home) as (url, token):
            found = []
            for turn in range(2):
                for listeners in (0, told.listeners):
                    name = f"{turn}-{listeners}"
                    found.append(await rounds(home, url, token, told.rounds // 2, listeners, name, told.pause))
            print(json.dumps({"rounds": found, **await entries_while_halted(home)}, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
