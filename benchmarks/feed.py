"""What reading the market costs: CPU microseconds a message, beside the floor in the same run, and whether anything is dropped.

    python -m benchmarks.feed [--rounds 7] [--messages 150000] [--seconds 10] [--parts cpu,paced,memory]

    this process: raw socket writer ══ real frames ══▶ a process for each consumer: floor, our reader, ccxt's reader

floor       picows, one typed msgspec decode a frame, `float()` of each number; no check, no event
floor_fast  the same, with the decoder reading the numbers: the least this stack can cost
native      BinanceReader into a sink that counts
ccxt_bare   ccxt's watch calls in tight loops, told to nobody: the floor of what follows
ccxt        CcxtReader into the same sink

Rounds of all consumers alternate, so that a machine that slows down slows all; the ratio to quote is the median of the rounds'.
Frames are the recorded ones of BULKHEAD_DATA_DIR if they are there. CPU time is the consumer's alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.frame_writer import FrameWriter, NobodyReads
from benchmarks.market_frames import MarketFrame, market_frames

NATIVE_PER_SECOND = 10_000
CCXT_PER_SECOND = 1_000
CCXT_MESSAGES = 40_000
WARM_UP = 5_000
MEMORY_TRADES = 200_000
RATIOS = (("native", "floor"), ("native", "floor_fast"), ("ccxt", "ccxt_bare"), ("ccxt", "floor"))

Result = dict[str, Any]


def consume(name: str, frames: list[MarketFrame], per_second: int | None, *options: str, warm_up: int) -> Result:
    """Let one consumer read the frames, in a process of its own; what it says, and how long we wrote."""
    writer = FrameWriter()
    command = [sys.executable, "-m", "benchmarks.frame_consumers", name, str(writer.port), str(len(frames))]
    consumer = subprocess.Popen([*command, str(warm_up), *options], stdout=subprocess.PIPE)  # noqa: S603  (ourselves)
    try:
        wall_s = writer.play(frames, per_second, lambda: consumer.poll() is None)
        said, _ = consumer.communicate(timeout=120)
    except NobodyReads as error:
        raise SystemExit(f"the consumer {name!r}: {error}; what it said is above") from None
    finally:
        consumer.kill()
        consumer.wait()
        writer.close()
    if consumer.returncode:
        raise SystemExit(f"the consumer {name!r} failed with code {consumer.returncode}; what it said is above")
    return {**json.loads(said), "wall_s": wall_s}


def cpu(given: argparse.Namespace, frames: list[MarketFrame]) -> Result:
    """CPU a message, as fast as each consumer can."""
    us: dict[str, list[float]] = {}
    some = frames[:CCXT_MESSAGES]
    for _ in range(given.rounds):
        for name in ("floor", "floor_fast", "native"):
            us.setdefault(name, []).append(_cpu_us(name, frames, WARM_UP))
        for name, warm_up in (("ccxt_bare", 0), ("ccxt", 1)):
            us.setdefault(name, []).append(_cpu_us(name, some, warm_up))
    ratios = {
        f"{name}_by_{floor}": spread([ours / bare for ours, bare in zip(us[name], us[floor], strict=True)])
        for name, floor in RATIOS
    }
    return {"cpu_us": {name: spread(values) for name, values in us.items()}, "ratios": ratios}


def _cpu_us(name: str, frames: list[MarketFrame], warm_up: int) -> float:
    found = consume(name, frames, None, warm_up=warm_up)
    if found["events"] != len(frames) and name != "ccxt_bare":
        raise SystemExit(f"{name} read {found['events']} of {len(frames)} messages: {found}")
    cpu_us: float = found["cpu_s"] * 1e6 / (len(frames) - warm_up)
    return cpu_us


def paced(given: argparse.Namespace, frames: list[MarketFrame]) -> Result:
    """What is dropped of a steady flow: trades by their ids, quotes by their number."""
    return {
        "native": _flow("native", frames, NATIVE_PER_SECOND, given.seconds),
        "ccxt": _flow("ccxt", frames, CCXT_PER_SECOND, given.seconds),
    }


def _flow(name: str, frames: list[MarketFrame], per_second: int, seconds: float) -> Result:
    sent = frames[: int(per_second * seconds)]
    found = consume(name, sent, per_second, "--trades", warm_up=1)
    trades = sum(frame.stream.endswith("@trade") for frame in sent)
    return {
        "per_second": round(len(sent) / found["wall_s"]),
        "seconds": round(found["wall_s"], 2),
        "core_share": round(found["cpu_s"] / found["wall_s"], 3),
        "trades_sent": trades,
        "trades_dropped": trades - found["trades"],
        "messages_sent": len(sent),
        "events": found["events"],
        "refused": found["refused"],
        "epochs": found["epochs"],
    }


def memory(given: argparse.Namespace, frames: list[MarketFrame]) -> Result:
    """What ccxt's reader holds after the first trades, and after very many: resident memory, and trades left in ccxt's caches."""
    trades = [frame for frame in frames if frame.stream.endswith("@trade")]
    sent = list(itertools.islice(itertools.cycle(trades), MEMORY_TRADES))
    found = consume("ccxt", sent, None, warm_up=MEMORY_TRADES // 10)
    begin_mb, end_mb = found["rss_mb"]
    return {"ccxt": {"trades": found["events"], "rss_mb": [begin_mb, end_mb], "trades_in_caches": found["cached"]}}


def spread(values: list[float]) -> Result:
    """What is to be said of repeated measurements."""
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


PARTS: dict[str, Callable[[argparse.Namespace, list[MarketFrame]], Result]] = {
    "cpu": cpu,
    "paced": paced,
    "memory": memory,
}
"""What can be measured. Each gets the arguments and the frames."""


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=150_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of: " + ", ".join(PARTS))
    given = parser.parse_args()
    chosen = given.parts.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    origin, frames = market_frames(given.messages)
    if len(frames) <= WARM_UP:
        parser.error(f"--messages must be more than the warm-up of {WARM_UP}")
    print(json.dumps({"frames": origin, **{name: PARTS[name](given, frames) for name in chosen}}, indent=2))


if __name__ == "__main__":
    main()
