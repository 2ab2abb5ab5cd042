"""What a backup costs, and the way back: `python -m benchmarks.backup [--entries 100000] [--rounds 3]`, beside JetStream's own snapshots.

One log of events as services write them, in a real server. In turn, so many rounds of each:

    reading      the log from end to end as a backup reads it, kept nowhere: the floor of ours
    ours         `backup` into an empty folder, a second one with 1,000 new entries, `backup verify` without replay, `restore`
    jetstream    STREAM.SNAPSHOT into a file, STREAM.RESTORE into an empty server: the peer. It copies blocks; it proves and says nothing

Both servers that are filled need not sync what they acknowledge. Times are wall seconds (the server's work is in them), CPU seconds are this process's own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import aclosing, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.runtime.adapter import LogEntry
from libs.runtime.nats_config import ADMIN_USER, connect_options
from libs.runtime.provision import provision
from libs.runtime.registry import contracts
from libs.runtime.streams import TRADING
from services.cli.backup import restoring
from services.cli.backup.copying import back_up
from services.cli.backup.holding import own_bus
from services.cli.backup.restoring import proven, refilled
from services.cli.observer import observing
from services.cli.place import Place
from tests.recorded_log import recorded_log

NEW = 1_000
CHUNK = 128 * 1024

Times = dict[str, list[tuple[float, float]]]


def entries(first: int, size: int) -> Iterator[LogEntry]:
    """So many entries as real machines wrote them, again and again, each with a trace."""
    kinds = cycle(recorded_log(3))
    for seq, entry in zip(range(first, first + size), kinds, strict=False):
        yield LogEntry(seq, entry.subject, entry.payload, f"00-{seq:032x}-{seq:016x}-01")


class Clock:
    """Wall and CPU seconds of what stands inside, by name."""

    def __init__(self) -> None:
        self.times: Times = {}

    @asynccontextmanager
    async def of(self, name: str) -> Any:
        """Measure once more."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.times.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))


@asynccontextmanager
async def admin(place: Place) -> Any:
    """Who may do everything."""
    client = Client()
    await client.connect(**connect_options(place.home, ADMIN_USER, place.nats_url))
    try:
        yield client
    finally:
        await client.close()


async def fill(place: Place, found: Iterable[LogEntry]) -> None:
    """Put entries into the log, as a restore does."""
    async with admin(place) as client:
        await provision(client, contracts())
        async with restoring._Filling(client) as filling:
            for entry in found:
                await filling.put(entry)


async def read(place: Place) -> int:
    """The whole log, kept nowhere; its size in bytes."""
    async with observing(place) as observer:
        size = await observer.size()
        async with aclosing(observer.stored(1, size.last_seq)) as found:
            async for _ in found:
                pass
        return size.bytes


async def snapshot(place: Place, path: Path) -> dict[str, Any]:
    """JetStream's own copy of the stream, into a file; what it says of it."""
    async with admin(place) as client:
        inbox, done = client.new_inbox(), asyncio.get_running_loop().create_future()
        with path.open("wb") as file:

            async def chunk(message: Msg) -> None:
                if not message.data:
                    done.set_result(None)
                    return
                file.write(message.data)
                if message.reply:
                    await client.publish(message.reply, b"")

            await client.subscribe(inbox, cb=chunk, pending_bytes_limit=-1, pending_msgs_limit=-1)
            asked = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK}
            reply = await client.request(f"$JS.API.STREAM.SNAPSHOT.{TRADING}", json.dumps(asked).encode(), timeout=10)
            await asyncio.wait_for(done, 600)
        answer: dict[str, Any] = json.loads(reply.data)
        return answer


async def put_back(place: Place, path: Path, told: dict[str, Any]) -> None:
    """JetStream's own way back, into a server without the stream."""
    async with admin(place) as client:
        asked = {"config": told["config"], "state": told["state"]}
        reply = await client.request(f"$JS.API.STREAM.RESTORE.{TRADING}", json.dumps(asked).encode(), timeout=10)
        where = json.loads(reply.data)["deliver_subject"]
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                await client.request(where, piece, timeout=30)
        answer = json.loads((await client.request(where, b"", timeout=600)).data)
        if "error" in answer:
            raise RuntimeError(f"the server did not take its own snapshot: {answer['error']}")


async def one_round(number: int, scratch: Path, size: int, clock: Clock, sizes: dict[str, int]) -> None:
    """Everything once, on a log of its own."""
    home, folder, theirs = scratch / f"home{number}", scratch / f"backup{number}", scratch / f"snapshot{number}"
    async with own_bus(home, is_bulk=True) as passing:
        await fill(passing, entries(1, size))
    async with own_bus(home, is_bulk=True) as passing:
        place = Place(home=home, nats_url=passing.nats_url, stream=TRADING)
        async with clock.of("reading, the floor"):
            sizes["log"] = await read(place)
        async with clock.of("ours: backup"):
            await back_up(place, folder)
        async with clock.of("jetstream: snapshot"):
            told = await snapshot(place, theirs)
        await fill(place, entries(size + 2, NEW))  # the first backup is an entry, too
        async with clock.of(f"ours: backup of {NEW:,} more"):
            await back_up(place, folder)
    sizes["ours"], sizes["jetstream"] = sum(path.stat().st_size for path in folder.rglob("*")), theirs.stat().st_size
    async with clock.of("ours: verify, without replay"):
        await asyncio.to_thread(proven, folder)
    async with clock.of("ours: restore"), refilled(folder, scratch / f"new{number}"):
        pass
    async with clock.of("jetstream: restore"), own_bus(scratch / f"theirs{number}", is_bulk=True) as empty:
        await put_back(empty, theirs, told)


def report(size: int, clock: Clock, sizes: dict[str, int]) -> str:
    """The figures, for people."""
    lines = [f"{size:,} entries, {sizes['log'] / 1e6:.1f} MB in the server's store"]
    lines += [f"on disk: ours {sizes['ours'] / 1e6:.1f} MB, jetstream {sizes['jetstream'] / 1e6:.1f} MB", ""]
    lines += [f"{'':34}{'wall s':>24}{'our CPU s':>12}{'entries/s':>12}"]
    for name, taken in clock.times.items():
        walls, cpus = [wall for wall, _ in taken], [cpu for _, cpu in taken]
        middle = statistics.median(walls)
        rate = (NEW if "more" in name else size) / middle
        spread = f"{min(walls):.2f} {middle:.2f} {max(walls):.2f}"
        lines.append(f"{name:34}{spread:>24}{statistics.median(cpus):>12.2f}{rate:>12,.0f}")
    return "\n".join(lines)


async def main(size: int, rounds: int) -> str:
    """All rounds."""
    clock, sizes = Clock(), dict.fromkeys(("log", "ours", "jetstream"), 0)
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as scratch:
        for number in range(rounds):
            await one_round(number, Path(scratch), size, clock, sizes)
    return report(size, clock, sizes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    print(asyncio.run(main(told.entries, told.rounds)))
