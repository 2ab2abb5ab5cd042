"""The consumers that benchmarks/feed.py compares, each in a process of its own: it reads all frames and prints what that cost.

    python -m benchmarks.frame_consumers floor|floor_fast|native|ccxt_bare|ccxt <port> <events> <events of the warm-up> [--trades]

CPU time is the whole process's, from the event that ends the warm-up to the last one; memory is looked at there, too. All sinks
count the same way.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import psutil
import structlog
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.market_frames import INSTRUMENTS, STREAMS
from libs.common.messages import QuoteChanged, TradePrinted

IDLE_S_MAX = 3.0


class Tally:
    """A sink that counts, and notes the CPU time at the end of the warm-up and at the newest event."""

    def __init__(self, events: int, warm_up: int):
        self.refused_count = 0
        self.epochs = 0
        self.seen = 0
        self.cpu_s = 0.0
        self.cached = 0
        self.rss_mb: list[float] = []
        self.done = asyncio.Event()
        self._warm_up = self._stop_at = warm_up
        self._events = events
        self._began_s = 0.0

    def count(self) -> None:
        """One more event."""
        self.seen += 1
        if self.seen == self._stop_at:
            self._note()

    @property
    def trades_count(self) -> int:
        """How many different trades; nobody has asked."""
        return 0

    async def wait(self) -> None:
        """Until every event has come, or none comes any more."""
        seen, since = 0, time.monotonic()
        while not self.done.is_set():
            if self.seen != seen:
                seen, since = self.seen, time.monotonic()
                self._stamp()
            elif seen and time.monotonic() - since > IDLE_S_MAX:
                return
            await asyncio.sleep(0.05)

    def begin(self) -> None:
        """What counts begins now."""
        self._began_s = time.process_time()
        self.weigh()

    def weigh(self) -> None:
        """Note how much memory the process holds now."""
        self.rss_mb.append(round(psutil.Process().memory_info().rss / 2**20, 1))

    def _note(self) -> None:
        if self._stop_at == self._warm_up:
            self.begin()
            self._stop_at = self._events
        else:
            self._stamp()
            self.done.set()

    def _stamp(self) -> None:
        self.cpu_s = time.process_time() - self._began_s

    # --- as a reader's sink --------------------------------------------------------------------------------------

    def trade(self, trade: TradePrinted) -> None:
        """See the port."""
        self.count()

    def quote(self, quote: QuoteChanged) -> None:
        """See the port."""
        self.count()

    def refused(self, reason: str, instrument: str, frame: str) -> None:
        """See the port."""
        self.refused_count += 1

    def connected(self, link: Any) -> None:
        """See the port."""


class TradeTally(Tally):
    """The same; knows each trade by its id, so that one that is missing is missed."""

    def __init__(self, events: int, warm_up: int):
        super().__init__(events, warm_up)
        self._trades: set[tuple[str, str]] = set()

    @property
    def trades_count(self) -> int:
        """How many different trades have come."""
        return len(self._trades)

    def trade(self, trade: TradePrinted) -> None:
        """See the port."""
        self._trades.add((trade.instrument, trade.trade_id))
        self.count()


class _TextTrade(msgspec.Struct, gc=False):
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _TextQuote(msgspec.Struct, gc=False):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class _FastTrade(msgspec.Struct, gc=False):
    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool


class _FastQuote(msgspec.Struct, gc=False):
    u: int
    s: str
    b: float
    B: float
    a: float
    A: float


class Floor(WSListener):  # type: ignore[misc]
    """picows, one typed decode, `float()` of every number; nothing is checked, nothing is built."""

    def __init__(self, tally: Tally):
        self._tally = tally
        self._trade = msgspec.json.Decoder(_TextTrade).decode
        self._quote = msgspec.json.Decoder(_TextQuote).decode
        self.last: tuple[float, ...] = ()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Subscribe."""
        asked = {"method": "SUBSCRIBE", "params": STREAMS, "id": 1}
        transport.send(WSMsgType.TEXT, msgspec.json.encode(asked))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame."""
        payload = frame.get_payload_as_bytes()
        kind = payload[2:3]
        if kind == b"u":
            quote = self._quote(payload)
            self.last = (float(quote.b), float(quote.B), float(quote.a), float(quote.A))
        elif kind == b"e":
            trade = self._trade(payload)
            self.last = (float(trade.p), float(trade.q))
        else:
            return  # the answer to our subscription
        self._tally.count()


class FastFloor(Floor):
    """The same, with the numbers read by the decoder."""

    def __init__(self, tally: Tally):
        super().__init__(tally)
        self._trade = msgspec.json.Decoder(_FastTrade, strict=False).decode
        self._quote = msgspec.json.Decoder(_FastQuote, strict=False).decode

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame."""
        payload = frame.get_payload_as_bytes()
        kind = payload[2:3]
        if kind == b"u":
            quote = self._quote(payload)
            self.last = (quote.b, quote.B, quote.a, quote.A)
        elif kind == b"e":
            trade = self._trade(payload)
            self.last = (trade.p, trade.q)
        else:
            return
        self._tally.count()


async def _floor(port: int, tally: Tally, kind: type[Floor] = Floor) -> None:
    transport, _ = await ws_connect(lambda: kind(tally), f"ws://127.0.0.1:{port}/ws")
    await tally.wait()
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()


async def _fast_floor(port: int, tally: Tally) -> None:
    await _floor(port, tally, FastFloor)


async def _read(reader: Any, tally: Tally) -> None:
    running = asyncio.create_task(reader.run())
    await tally.wait()
    tally.epochs = max(link.epoch for link in reader.links)
    tally.weigh()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await reader.close()


async def _native(port: int, tally: Tally) -> None:
    from services.market_feed.adapters.binance_reader import BinanceReader

    logger = structlog.get_logger()
    await _read(BinanceReader(f"http://127.0.0.1:{port}", "binance", INSTRUMENTS, tally, time.time_ns, logger), tally)


async def _ccxt(port: int, tally: Tally) -> None:
    from services.market_feed.adapters.ccxt_reader import CcxtReader
    from tests.e2e.venue_stand import market_client

    exchange = market_client(f"http://127.0.0.1:{port}", INSTRUMENTS)
    await _read(CcxtReader(exchange, "binance", INSTRUMENTS, tally, time.time_ns, structlog.get_logger()), tally)
    tally.cached = sum(map(len, exchange.trades.values()))


async def _bare_ccxt(port: int, tally: Tally) -> None:
    """The watch calls alone, in tight loops; quotes are parsed each, and seen as often as a call returns."""
    from tests.e2e.venue_stand import market_client

    exchange = market_client(f"http://127.0.0.1:{port}", INSTRUMENTS)
    exchange.on_connected = lambda client, message=None: tally.begin()  # frames come later, and it counts whole batches
    symbols = [name.replace("-", "/") for name in INSTRUMENTS]

    async def watch_trades(symbol: str) -> None:
        while True:
            for _ in await exchange.watch_trades(symbol):
                tally.count()
            exchange.trades[symbol].clear()

    async def watch_quotes() -> None:
        while True:
            await exchange.watch_bids_asks(symbols)
            tally.count()

    watching = [asyncio.create_task(each) for each in (watch_quotes(), *map(watch_trades, symbols))]
    await tally.wait()
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    await exchange.close()


CONSUMERS: dict[str, Callable[[int, Tally], Coroutine[Any, Any, None]]] = {
    "floor": _floor,
    "floor_fast": _fast_floor,
    "native": _native,
    "ccxt_bare": _bare_ccxt,
    "ccxt": _ccxt,
}


def main() -> None:
    """Print one JSON object."""
    name, port, events, warm_up = sys.argv[1], *map(int, sys.argv[2:5])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    async def consume() -> Tally:
        tally = (TradeTally if "--trades" in sys.argv else Tally)(events, warm_up)
        await CONSUMERS[name](port, tally)
        return tally

    tally = uvloop.run(consume())
    print(
        json.dumps(
            {
                "cpu_s": tally.cpu_s,
                "events": tally.seen,
                "trades": tally.trades_count,
                "refused": tally.refused_count,
                "epochs": tally.epochs,
                "rss_mb": tally.rss_mb,
                "cached": tally.cached,
            }
        )
    )


if __name__ == "__main__":
    main()
