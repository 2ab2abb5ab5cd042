"""How old a price is when the log first tells it: from the venue's frame to the append of `feed.marks`, on the running stack.

    python -m benchmarks.mark_latency [--instruments 20] [--speed 1] [--seconds 120]

    exchange_sim ══ws══▶ market-feed ── append ──▶ nats-server (synced)      all of `bulkhead up`, in a home and on ports of its own
          └══════ws══▶ this process: a bare client, which notes when each frame is here

A sample is a quote or trade frame that changes a price. It ends with the first `feed.marks` that tells this price or a newer one
of the instrument; its time is the one nats-server stored the message with. All clocks are this machine's. A frame's time is that of its
arrival here, beside the feed; `reference_late_ms` says how long after its instant on the venue's clock that was, at most.
Prices that were back at what the log said before anything was told count as undone, not as samples.

Marks are batched every 250 ms, a jump of the price leaves at once (50 ms after the marks before). `--speed` makes the market faster,
not this: the feed's cadence is set to the same time of ours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.stamps import nanoseconds
from libs.common.codec import decode_from
from libs.common.messages import FeedMarks
from libs.common.subjects import subject_of
from libs.runtime.bus import Bus
from libs.runtime.clock import VenueClock
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER, connect_options
from libs.runtime.streams import TRADING
from tests.chaos.stack import ChaosStack

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", *(f"ALT{number}-USDT" for number in range(5, 101)))
CADENCE_MS = {
    "BULKHEAD_FEED_MARK_INTERVAL_MS": 250,
    "BULKHEAD_FEED_MARK_GAP_MS": 50,
    "BULKHEAD_FEED_MARK_HEARTBEAT_MS": 1_000,
}
"""The feed's own, of its clock; as many times longer as that clock is faster than ours."""
NOTIONAL_MIN = 10.0
"""A trade that is worth less moves no price (BULKHEAD_FEED_NOTIONAL_MIN)."""
WARM_UP_S = 5.0
"""A feed that has just begun reads prices and history by REST first."""
SETTLE_S = 3.0
"""What was heard so long before the end has been told by then."""

Key = tuple[str, str]
"""An instrument, and which of its prices: "quote" or "last"."""


class Price(NamedTuple):
    """A price, and when it was there (ns); `is_told`: in the log, not in a frame."""

    ns: int
    is_told: bool
    key: Key
    value: tuple[float, ...]


class Ear(WSListener):  # type: ignore[misc]
    """Notes frames and nothing else, so that it is never the one who is late."""

    def __init__(self, streams: list[str], clock: VenueClock):
        self.frames: list[tuple[int, int, bytes]] = []
        self._streams = streams
        self._clock = clock

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Subscribe."""
        asked = {"method": "SUBSCRIBE", "params": self._streams, "id": 1}
        transport.send(WSMsgType.TEXT, msgspec.json.encode(asked))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame is here."""
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.TEXT:
            self.frames.append((time.time_ns(), self._clock.now(), frame.get_payload_as_bytes()))


def heard_prices(frames: Iterable[tuple[int, int, bytes]], instruments: dict[str, str]) -> Iterator[Price]:
    """The prices in raw frames, by json and float."""
    for ns, _, payload in frames:
        said = json.loads(payload)
        if said.get("e") == "trade":
            if float(said["p"]) * float(said["q"]) >= NOTIONAL_MIN:
                yield Price(ns, False, (instruments[said["s"]], "last"), (float(said["p"]),))
        elif "u" in said:
            yield Price(ns, False, (instruments[said["s"]], "quote"), (float(said["b"]), float(said["a"])))


def told_prices(marks: Iterable[tuple[int, FeedMarks]]) -> Iterator[Price]:
    """The prices in the log."""
    for ns, message in marks:
        for mark in message.marks:
            yield Price(ns, True, (mark.instrument, "quote"), (mark.bid_px, mark.ask_px))
            yield Price(ns, True, (mark.instrument, "last"), (mark.last_px,))


class Matching:
    """One price of one instrument: what waits to be told, and how long what was told has waited."""

    def __init__(self) -> None:
        self.waited: list[tuple[Price, int]] = []
        self.undone = 0
        self.waiting: list[Price] = []
        self._told: Price | None = None
        self._heard: Price | None = None

    def take(self, price: Price) -> None:
        """In the order of time."""
        if price.is_told:
            self._take_told(price)
        elif self._told is not None and (self._heard is None or price.value != self._heard.value):
            self._take_heard(price, self._told)

    def _take_heard(self, price: Price, told: Price) -> None:
        is_first = self._heard is None
        self._heard = price
        if price.value != told.value:
            self.waiting.append(price)
        elif self.waiting or is_first or told.ns < price.ns - 1_000_000_000:
            self.undone += len(self.waiting)
            self.waiting.clear()
        else:
            self.waited.append((price, 0))  # the feed was faster than this process

    def _take_told(self, price: Price) -> None:
        if self._told is not None and self._told.value == price.value:
            return
        self._told = price
        places = [place for place, each in enumerate(self.waiting) if each.value == price.value]
        last = places[-1] + 1 if places else len(self.waiting)  # one that has not been heard here yet is newer than all
        ended, self.waiting = self.waiting[:last], self.waiting[last:]
        self.waited += [(each, price.ns - each.ns) for each in ended]


async def read_marks(home: Path, url: str, until_ns: int) -> list[tuple[int, FeedMarks]]:
    """Every `feed.marks` of the log up to a moment, with the time it was stored."""
    found: list[tuple[int, FeedMarks]] = []
    bus = await Bus.connect(connect_options(home, OBSERVER_USER, url), TRADING, api=GUEST_API)
    subject, seq = f"{FeedMarks.said_by}.{FeedMarks.suffix}", 1
    while "error" not in (answer := await bus.api(f"STREAM.MSG.GET.{TRADING}", seq=seq, next_by_subj=subject)):
        stored = answer["message"]
        ns = nanoseconds(stored["time"])
        if ns > until_ns:
            break
        message = decode_from(stored["subject"], msgspec.json.decode(json.dumps(stored["data"]), type=bytes))
        assert isinstance(message, FeedMarks), subject_of(message)
        found.append((ns, message))
        seq = stored["seq"] + 1
    await bus.close()
    return found


async def listen(stack: ChaosStack, instruments: tuple[str, ...], seconds: float) -> list[tuple[int, int, bytes]]:
    """What the venue sends for a while."""
    symbols = [name.replace("-", "").lower() for name in instruments]
    streams = [f"{symbol}@{kind}" for symbol in symbols for kind in ("trade", "bookTicker")]
    await asyncio.sleep(WARM_UP_S)
    clock = VenueClock(stack.ports.clock_url)
    await clock.connect()
    transport, ear = await ws_connect(lambda: Ear(streams, clock), f"ws://127.0.0.1:{stack.ports.sim}/ws")
    await asyncio.sleep(seconds + SETTLE_S)
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()
    await clock.close()
    frames: list[tuple[int, int, bytes]] = ear.frames
    return frames


async def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Bring the stack up, listen, and compare."""
    instruments = INSTRUMENTS[: given.instruments]
    listed = ",".join(instruments)
    with tempfile.TemporaryDirectory() as folder:
        stack = ChaosStack(
            Path(folder) / "home",
            BULKHEAD_SIM_INSTRUMENTS=listed,
            BULKHEAD_INSTRUMENTS=listed,
            BULKHEAD_SIM_SPEED=str(given.speed),
            BULKHEAD_FEED_HISTORY_BARS="16",
            BULKHEAD_FEED_HISTORY_WEEKS="2",
            **{name: str(round(ms * given.speed)) for name, ms in CADENCE_MS.items()},
        )
        try:
            await stack.start()
            frames = await listen(stack, instruments, given.seconds)
            marks = await read_marks(stack.home, stack.ports.nats_url, frames[-1][0])
        finally:
            await stack.stop()
    return {"instruments": given.instruments, "speed": given.speed, **compare(frames, marks, instruments, given.speed)}


def compare(
    frames: list[tuple[int, int, bytes]], marks: list[tuple[int, FeedMarks]], instruments: tuple[str, ...], speed: float
) -> dict[str, Any]:
    """The numbers to print."""
    symbols = {name.replace("-", ""): name for name in instruments}
    matchings: dict[Key, Matching] = {}
    prices = [*heard_prices(frames, symbols), *told_prices(marks)]
    for price in sorted(prices, key=lambda each: each.ns):
        matchings.setdefault(price.key, Matching()).take(price)
    began, ended = frames[0][0], frames[-1][0] - int(SETTLE_S * 1e9)
    seconds = (ended - began) / 1e9
    while_listening = [ns for ns, _ in marks if began <= ns <= ended]
    lates = [
        int((venue_ns - said["T"] * 1_000_000) / speed) for _, venue_ns, said in map(_decoded, frames) if "T" in said
    ]
    waited = {kind: _of_kind(matchings, kind, ended) for kind in ("quote", "last")}
    return {
        "seconds": round(seconds, 1),
        "frames_per_s": round(sum(ns <= ended for ns, *_ in frames) / seconds, 1),
        "marks_per_s": round(len(while_listening) / seconds, 1),
        "latency_ms": in_ms([*waited["quote"], *waited["last"]]),
        "latency_ms_of": {kind: in_ms(values) for kind, values in waited.items()},
        "undone": sum(each.undone for each in matchings.values()),
        "never_told": sum(price.ns <= ended for each in matchings.values() for price in each.waiting),
        "reference_late_ms": in_ms(lates),
    }


def _decoded(frame: tuple[int, int, bytes]) -> tuple[int, int, dict[str, Any]]:
    return frame[0], frame[1], json.loads(frame[2])


def _of_kind(matchings: dict[Key, Matching], kind: str, until_ns: int) -> list[int]:
    waited = [each for key, matching in matchings.items() if key[1] == kind for each in matching.waited]
    return [ns for price, ns in waited if price.ns <= until_ns]


def in_ms(values_ns: list[int]) -> dict[str, float]:
    """What is to be said of many durations."""
    values = sorted(values_ns)
    if not values:
        return {"samples": 0}
    at = {"p50": 0.5, "p99": 0.99}
    found = {name: values[min(len(values) - 1, int(len(values) * share))] for name, share in at.items()}
    return {
        "samples": len(values),
        **{name: round(ns / 1e6, 2) for name, ns in {**found, "max": values[-1]}.items()},
    }


def main() -> None:
    """Print one JSON object."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruments", type=int, default=20, choices=range(1, len(INSTRUMENTS) + 1), metavar="N")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    print(json.dumps(uvloop.run(measure(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
