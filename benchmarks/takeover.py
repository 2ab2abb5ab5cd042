"""How long a standby of another name takes to live after its holder was killed: `python -m benchmarks.takeover [kills]`.

Real processes, the real server, a log with some events for the standby to recover from. Beside it stands the floor: for how long
the lease of the dead holder stood after the kill.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from libs.runtime.streams import LEASE_TTL_S
from tests.e2e.live_services import Log, Pen
from tests.e2e.toy_process import start_toy
from tests.e2e.toy_services import TOYS, mark
from tests.nats_stack import NatsStack

EVENTS = 500
POLL_S = 0.01


async def measure(kills: int, home: Path) -> dict[str, object]:
    """Kill the holder `kills` times; seconds from each kill to the first append of its successor."""
    stack = NatsStack(home, TOYS)
    await stack.start()
    log, pen, took, stood = await Log.of(stack), await Pen.of(stack, "market-feed"), [], []
    admin = await stack.connect("admin")
    for number in range(EVENTS):
        await pen.say(mark(number % 900))
    holder = await start_toy("counter", stack, "i0")
    await log.until("risk.started")
    for turn in range(1, kills + 1):
        standby = await start_toy("counter", stack, f"i{turn}")
        while b"standing_by" not in (home / f"i{turn}.log").read_bytes():  # noqa: ASYNC110  (another process)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.37 * (turn % 7))  # anywhere between two renewals
        holder.kill()
        began, gone = time.monotonic(), 0.0
        while len(await log.said("risk.started")) <= turn:
            held = await admin.ask("$JS.API.STREAM.MSG.GET.KV_LEASES", {"last_by_subj": "$KV.LEASES.risk"})
            if not gone and "error" in held:
                gone = time.monotonic() - began
            await asyncio.sleep(POLL_S)
        took.append(time.monotonic() - began)
        stood.append(gone)
        await holder.wait()
        holder = standby
    holder.kill()
    await holder.wait()
    await stack.stop()
    seen = [each for each in stood if each]
    return {
        "kills": kills,
        "lease_ttl_s": LEASE_TTL_S,
        "takeover_s": _spread(took),
        "lease_stood_s": _spread(seen) if seen else None,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {name: round(of(values), 2) for name, of in (("min", min), ("median", statistics.median), ("max", max))}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(int((sys.argv[1:] or ["20"])[0]), Path(folder) / "home"))))
