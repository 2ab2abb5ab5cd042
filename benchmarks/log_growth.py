"""How fast the log grows on disk: entries and bytes a day, by the number of instruments, on the running stack.

    python -m benchmarks.log_growth [--instruments 2,10,50] [--seconds 120]

The market is the simulated one at its own pace (speed 1), so prices are told as often as live ones are; settings are a deployment's. Bytes are those
of the stream's files, as the server counts them after compression. The floor is a stack that tells prices of one instrument: most of a quiet log is `feed.marks`.
Decisions are few in two minutes and many on a wild day: the kinds and their share are shown, so that one can count anew.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from benchmarks.mark_latency import INSTRUMENTS
from libs.common.codec import decode_from
from services.cli.log_rolling import epochs
from services.cli.place import find_place
from tests.chaos.stack import ChaosStack

DAY_S = 86_400
WARM_UP_S = 20.0
"""Levels and regimes are told at the start."""
HISTORY_S = 10.0
"""So is history, megabytes of it; it is over when nothing of it was told for so long."""


class Growth(msgspec.Struct, frozen=True):
    """What a run has added to the log, and of which kinds (share of bytes before compression)."""

    instruments: int
    seconds: float
    entries: int
    bytes: int
    kinds: dict[str, float]


async def measured(count: int, seconds: float, home: Path) -> Growth:
    """One run with so many instruments."""
    names = ",".join(INSTRUMENTS[:count])
    settings = {
        "BULKHEAD_NEWCOMER": "false",
        "BULKHEAD_SIM_SPEED": "1",
        "BULKHEAD_INSTRUMENTS": names,
        "BULKHEAD_SIM_INSTRUMENTS": names,
    }
    stack = ChaosStack(home, **settings)
    await stack.start()
    try:
        await asyncio.sleep(WARM_UP_S)
        await _history_told(stack)
        place = find_place(home)
        before, first = (await epochs(place))[-1], len(stack.entries)
        await asyncio.sleep(seconds)
        after = (await epochs(place))[-1]
        told = stack.entries[first:]
    finally:
        await stack.stop()
    sizes: Counter[str] = Counter()
    for entry in told:
        sizes[type(decode_from(entry.subject, entry.payload)).__name__] += len(entry.payload)
    whole = max(sum(sizes.values()), 1)
    kinds = {kind: size / whole for kind, size in sizes.most_common(4)}
    return Growth(count, seconds, after.last_seq - before.last_seq, after.bytes - before.bytes, kinds)


async def _history_told(stack: ChaosStack) -> None:
    """Return once no more of it comes."""
    before, told = -1, 0
    while told != before:
        await asyncio.sleep(HISTORY_S)
        before, told = told, sum(entry.subject.startswith("feed.history") for entry in stack.entries)


def line_of(growth: Growth) -> str:
    """A run in one line."""
    a_day = DAY_S / growth.seconds
    kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in growth.kinds.items())
    return (
        f"{growth.instruments:>4} instruments  {growth.entries * a_day:>10,.0f} entries a day  {growth.bytes * a_day / 1e6:>8,.1f} MB a day"
        f"  {growth.bytes / max(growth.entries, 1):>6,.0f} bytes each   {kinds}"
    )


async def main() -> None:
    """Each number of instruments once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruments", default="1,2,10,50")
    parser.add_argument("--seconds", type=float, default=120.0)
    asked = parser.parse_args()
    for count in (int(each) for each in asked.instruments.split(",")):
        with tempfile.TemporaryDirectory(prefix="bulkhead-growth-") as scratch:
            print(line_of(await measured(count, asked.seconds, Path(scratch) / "home")), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
