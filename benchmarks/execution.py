"""What an order costs between the log and the wire: from the approval in the log to the order's first byte at the venue.

    python -m benchmarks.execution [--rounds 300] [--pause-ms 100]

The real order executor, beside the floor: nats-py and aiohttp alone, which read the same approval from a stream of the same kind,
append one conditional message ahead and send an equally signed order (`submission_stand` says how they stand). One round is one order
of each, their order changing; between two orders there is a pause, in which everything becomes still.

A submission begins when nats-server stored the approval, by the time in the log itself. The server takes it before it syncs, so
this counts one sync that is the gate's, for both alike; but it is the same clock for both, and no process has to wake up to read it.
`from_ack` begins where the approval's append was answered here instead; by then the executor may already be at work. The log
also divides a submission in two: `to_written` ends when the server stored what is written ahead, `to_wire` is the rest, with
the second sync in it.

The venue's budget is leased by slots of five seconds: the first order of a slot also appends to the budget's stream, and is told
apart. Orders that are further apart all do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import ccxt.pro
import msgspec
import uvloop

from benchmarks.mark_latency import in_ms
from benchmarks.submission_floor import key_headers, signed
from benchmarks.submission_stand import Approved, SubmissionStand, open_stand
from libs.common.ids import derive_id
from libs.runtime.venue_terms import BINANCE
from libs.trading.binance_ccxt import ccxt_config

WARM_UP_ROUNDS = 10
MARK_EVERY = 20
CALLS = 200
KEY, SECRET = "k" * 64, "s" * 64
SERIES = {
    "handle": "bulkhead_handle_seconds",
    "append": "bulkhead_append_seconds",
    "budget_wait": "bulkhead_venue_weight_wait_seconds orders",
}


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One order's way, in ns UTC: the approval stored and its append answered, the write-ahead stored, the first byte at the venue."""

    stored: int
    acked: int
    written: int
    arrived: int

    @property
    def took(self) -> int:
        """From the log to the wire."""
        return self.arrived - self.stored


def first_of_slots(submissions: Iterable[Submission], slot_ns: int) -> list[Submission]:
    """Those that were the first in their slot of the budget."""
    found: dict[int, Submission] = {}
    for each in submissions:
        found.setdefault(each.stored // slot_ns, each)
    return list(found.values())


def compared(ours: list[Submission], floor: list[Submission], slot_ns: int) -> dict[str, Any]:
    """The numbers of paired rounds: `ours[n]` and `floor[n]` were measured one after the other."""
    both = {"ours": ours, "floor": floor}
    first = first_of_slots(ours, slot_ns)
    ratios = [mine.took / theirs.took for mine, theirs in zip(ours, floor, strict=True)]
    apart = [(mine.took - theirs.took) / 1e6 for mine, theirs in zip(ours, floor, strict=True)]
    p50 = {who: statistics.median(each.took for each in found) for who, found in both.items()}
    return {
        "submission_ms": {who: in_ms([each.took for each in found]) for who, found in both.items()},
        "from_ack_ms": {who: in_ms([each.arrived - each.acked for each in found]) for who, found in both.items()},
        "to_written_ms": {who: in_ms([each.written - each.stored for each in found]) for who, found in both.items()},
        "to_wire_ms": {who: in_ms([each.arrived - each.written for each in found]) for who, found in both.items()},
        "ours_first_of_slot_ms": in_ms([each.took for each in first]),
        "ours_later_in_slot_ms": in_ms([each.took for each in ours if each not in first]),
        "ratio_of_p50": round(p50["ours"] / p50["floor"], 2),
        "ratio_of_rounds": quartiles(ratios),
        "ours_less_floor_ms": quartiles(apart),
    }


def quartiles(values: list[float]) -> dict[str, float]:
    """The middle half of many numbers."""
    return {
        name: round(value, 2)
        for name, value in zip(("p25", "p50", "p75"), statistics.quantiles(values, n=4), strict=True)
    }


def means_ms(before: dict[str, tuple[float, int]], after: dict[str, tuple[float, int]]) -> dict[str, float]:
    """The mean of what each of the executor's histograms counted in between."""
    found = {}
    for name, key in SERIES.items():
        (old_s, old_count), (new_s, new_count) = before.get(key, (0.0, 0)), after[key]
        found[name] = round((new_s - old_s) / max(new_count - old_count, 1) * 1e3, 3)
    return found


async def one_call(url: str) -> dict[str, float]:
    """What one signed call costs its process by itself (p50, ms): until its answer, through unmodified ccxt and by aiohttp."""
    exchange = ccxt.pro.binance({**ccxt_config(url, KEY, SECRET), "enableRateLimit": False})
    took: dict[str, list[float]] = {"ccxt": [], "aiohttp": [], "ccxt_sign": []}
    params = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.001",
        "price": "58000",
        "timeInForce": "IOC",
    }
    async with aiohttp.ClientSession(headers=key_headers(KEY)) as http:
        for number in range(CALLS):
            named = {**params, "newClientOrderId": derive_id("call", number)}
            began = time.perf_counter()
            await exchange.private_post_order(named)
            took["ccxt"].append(time.perf_counter() - began)
            began = time.perf_counter()
            async with http.post(f"{url}/api/v3/order", data=signed(named, SECRET.encode())) as answer:
                await answer.read()
            took["aiohttp"].append(time.perf_counter() - began)
            began = time.perf_counter()
            exchange.sign("order", ["private"], "POST", named)
            took["ccxt_sign"].append(time.perf_counter() - began)
    await exchange.close()
    return {name: round(statistics.median(values) * 1e3, 3) for name, values in took.items()}


async def submit_all(stand: SubmissionStand, name: str, rounds: int, pause_s: float) -> dict[str, list[Approved]]:
    """One order each a round, ours and the floor's in turn the first."""
    chance = random.Random(1)  # noqa: S311  (pauses)
    sent: dict[str, list[Approved]] = {"ours": [], "floor": []}
    for number in range(rounds):
        if number % MARK_EVERY == 0:
            await stand.mark()
        for who in ("ours", "floor") if number % 2 else ("floor", "ours"):
            await asyncio.sleep(pause_s * chance.uniform(1, 1.5))  # in step with no timer of anybody
            approved = await stand.approve(who, f"{name} {number}")
            await stand.arrived(approved)
            sent[who].append(approved)
    return sent


async def looked_up(stand: SubmissionStand, who: str, sent: list[Approved]) -> list[Submission]:
    """What the log says of these orders."""
    stored, written = await stand.stored(who), await stand.written(who)
    return [
        Submission(stored=stored[each.seq], acked=each.acked, written=written[each.cl_ord_id], arrived=each.arrived)
        for each in sent
    ]


async def measure(rounds: int, pause_ms: float) -> dict[str, Any]:
    """Everything up, measured and down."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_stand(Path(folder)) as stand:
            load = os.getloadavg()[0]
            await submit_all(stand, "warm-up", WARM_UP_ROUNDS, pause_ms / 1e3)
            before = await stand.counted()
            sent = await submit_all(stand, "round", rounds, pause_ms / 1e3)
            after = await stand.counted()
            found = {who: (await looked_up(stand, who, sent[who])) for who in sent}
            call = await one_call(f"http://127.0.0.1:{stand.ports[1]}")
    return {
        "rounds": rounds,
        "load": [round(each, 1) for each in (load, os.getloadavg()[0])],
        **compared(found["ours"], found["floor"], BINANCE.slot_ns),
        "executor_means_ms": means_ms(before, after),
        "one_call_ms": call,
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--pause-ms", type=float, default=100.0)
    given = parser.parse_args()
    print(json.dumps(uvloop.run(measure(given.rounds, given.pause_ms)), indent=2))


if __name__ == "__main__":
    main()
