"""What three copies of the log cost: the same appends to one server and to a cluster of three, in alternating rounds; and how long the log stands still when
the leader of the three is killed.

    python -m benchmarks.replicas [--appends 300] [--rounds 6] [--kills 8]

Each append waits for its acknowledgement, as a writer's does; every server syncs every write. All of them stand on this machine: there is no network between
the three, and their disks are one disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from libs.common.codec import encode
from libs.common.messages import AlertRaised
from libs.runtime.bus import Bus, BusError
from libs.runtime.engine import Append
from libs.runtime.nats_config import connect_options
from libs.runtime.provision import provision
from libs.runtime.registry import contracts
from libs.runtime.streams import TRADING, StreamLimits
from tests.nats_cluster import NatsCluster
from tests.nats_stack import NatsStack

RETRY_S = 0.01


class Writer:
    """Numbered alerts through one bus."""

    def __init__(self, bus: Bus):
        self._bus = bus
        self._tail = 0
        self._number = 0

    async def append(self) -> float:
        """Seconds of one append."""
        self._number += 1
        message = AlertRaised(
            id=f"bench-{self._number}", producer="risk", code="BENCH", severity="note", text="x" * 100
        )
        append = Append("risk.alert", encode(message), message, self._tail)
        began = time.perf_counter()
        self._tail = await self._bus.append(append, "risk.>", {})
        return time.perf_counter() - began

    async def until_taken(self) -> float:
        """Seconds until an append is acknowledged, however often it has to be tried."""
        began = time.perf_counter()
        while True:
            try:
                await self.append()
            except BusError:
                await asyncio.sleep(RETRY_S)
                continue
            return time.perf_counter() - began


async def measure(appends: int, rounds: int, kills: int) -> dict[str, object]:
    """Both, beside each other."""
    load = [round(os.getloadavg()[0], 1)]
    with tempfile.TemporaryDirectory() as folder:
        one, three = NatsStack(Path(folder) / "one"), NatsCluster(Path(folder) / "three")
        await one.start()
        await three.start()
        try:
            await provision(await three.connect("admin"), contracts(), StreamLimits(replicas=3))
            single = await Bus.connect(connect_options(one.home, "risk-gate", one.url), TRADING)
            cluster = await Bus.connect(three.options("risk-gate"), TRADING)
            writers = {"one": Writer(single), "three": Writer(cluster)}
            found: dict[str, list[float]] = {name: [] for name in writers}
            for _ in range(rounds):
                for name, writer in writers.items():
                    found[name] += [await writer.append() for _ in range(appends)]
            gaps = [await _without_leader(three, writers["three"]) for _ in range(kills)]
            await single.close()
            await cluster.close()
        finally:
            await three.stop()
            await one.stop()
    load.append(round(os.getloadavg()[0], 1))
    return {**_told(found), "stands_still_s": _gaps(gaps), "load": load}


async def _without_leader(three: NatsCluster, writer: Writer) -> float:
    admin = await three.connect("admin")
    leader = int((await three.info(admin))["cluster"]["leader"].removeprefix("nats-"))
    three.kill(leader)
    stood_still = await writer.until_taken()
    three.start_one(leader)
    await three.formed()
    return stood_still


def _told(found: dict[str, list[float]]) -> dict[str, object]:
    told: dict[str, object] = {}
    for name, values in found.items():
        ordered = sorted(values)
        told[f"{name}_ms"] = {
            "samples": len(ordered),
            "p50": round(statistics.median(ordered) * 1e3, 3),
            "p99": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
            "max": round(ordered[-1] * 1e3, 3),
        }
    told["ratio_p50"] = round(statistics.median(found["three"]) / statistics.median(found["one"]), 2)
    return told


def _gaps(gaps: list[float]) -> dict[str, object]:
    ordered = [round(gap, 2) for gap in sorted(gaps)]
    return {"kills": len(ordered), "p50": round(statistics.median(ordered), 2), "max": ordered[-1], "all": ordered}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--appends", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--kills", type=int, default=8)
    given = parser.parse_args()
    print(json.dumps(uvloop.run(measure(given.appends, given.rounds, given.kills))))


if __name__ == "__main__":
    main()
