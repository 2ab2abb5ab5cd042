"""What our append costs beside the bare one: the same conditional publish through nats-py alone, on the same server.

    python -m benchmarks.append_rate [--appends 500] [--rounds 5]

Both wait for the acknowledgement of each message before the next, as a writer must; the server syncs every write.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from libs.common.codec import encode
from libs.common.messages import AlertRaised
from libs.runtime.bus import Bus
from libs.runtime.engine import Append
from libs.runtime.nats_config import connect_options
from libs.runtime.streams import TRADING
from tests.nats_stack import NatsStack


class Writer:
    """Numbered messages of one writer, through our bus or past it."""

    def __init__(self, bus: Bus):
        self._bus = bus
        self._tail = 0
        self._number = 0

    def _next(self) -> Append:
        self._number += 1
        message = AlertRaised(
            id=f"bench-{self._number}", producer="risk", code="BENCH", severity="note", text="x" * 100
        )
        return Append("risk.alert", encode(message), message, self._tail)

    async def ours(self) -> float:
        """Seconds of one append through the bus."""
        append = self._next()
        began = time.perf_counter()
        self._tail = await self._bus.append(append, "risk.>", {"traceparent": "00-0-0-01"})
        return time.perf_counter() - began

    async def bare(self) -> float:
        """Seconds of the same publish, with the same headers, by nats-py."""
        append = self._next()
        headers = {
            "traceparent": "00-0-0-01",
            "Nats-Msg-Id": append.message.id,
            "Nats-Expected-Last-Subject-Sequence": str(append.expected_tail),
            "Nats-Expected-Last-Subject-Sequence-Subject": "risk.>",
        }
        began = time.perf_counter()
        reply = await self._bus.client.request(append.subject, append.payload, timeout=5, headers=headers)
        self._tail = int(json.loads(reply.data)["seq"])
        return time.perf_counter() - began


async def measure(appends: int, rounds: int) -> dict[str, float]:
    """Medians over alternating rounds."""
    with tempfile.TemporaryDirectory() as folder:
        nats = NatsStack(Path(folder) / "home")
        await nats.start()
        bus = await Bus.connect(connect_options(nats.home, "risk-gate", nats.url), TRADING)
        writer = Writer(bus)
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(rounds):
            bare += [await writer.bare() for _ in range(appends)]
            ours += [await writer.ours() for _ in range(appends)]
        await bus.close()
        await nats.stop()
    found = {}
    for name, values in (("bare", bare), ("ours", ours)):
        values.sort()
        found[f"{name}_p50_ms"] = round(statistics.median(values) * 1e3, 3)
        found[f"{name}_p99_ms"] = round(values[int(len(values) * 0.99)] * 1e3, 3)
    found["ratio_p50"] = round(found["ours_p50_ms"] / found["bare_p50_ms"], 3)
    return found


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--appends", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(uvloop.run(measure(given.appends, given.rounds))))


if __name__ == "__main__":
    main()
