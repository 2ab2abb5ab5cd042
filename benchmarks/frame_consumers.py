"""The consumers that benchmarks/feed.py compares, each in a process of its own: it reads all frames and prints what that cost.

    python -m benchmarks.frame_consumers floor|floor_fast|native|ccxt <port> <events> <events of the warm-up> [--trades]

CPU time is the whole process's, from the event that ends the warm-up to the last one. All sinks count the same way.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
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

    def _note(self) -> None:
        if self._stop_at == self._warm_up:
            self._began_s = time.process_time()
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
        self.epochs += 1


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
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await reader.close()


async def _native(port: int, tally: Tally) -> None:
    from services.market_feed.adapters.binance_reader import BinanceReader

    logger = structlog.get_logger()
    await _read(BinanceReader(f"http://127.0.0.1:{port}", "binance", INSTRUMENTS, tally, time.time_ns, logger), tally)


async def _ccxt(port: int, tally: Tally) -> None:
    import ccxt.pro

    from libs.trading.binance_ccxt import ccxt_config
    from services.exchange_sim.listing import listing_of
    from services.exchange_sim.wire import exchange_info

    kind = importlib.import_module("services.market_feed.adapters.ccxt_reader").CcxtReader
    exchange = ccxt.pro.binance(ccxt_config(f"http://127.0.0.1:{port}"))
    symbols = exchange_info([listing_of(name) for name in INSTRUMENTS], 0)["symbols"]
    exchange.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}  # as load_markets leaves them
    exchange.set_markets([exchange.parse_market(symbol) for symbol in symbols])  # else it asks for them by REST
    await _read(kind(exchange, "binance", INSTRUMENTS, tally, time.time_ns, structlog.get_logger()), tally)
    await exchange.close()


CONSUMERS: dict[str, Callable[[int, Tally], Coroutine[Any, Any, None]]] = {
    "floor": _floor,
    "floor_fast": _fast_floor,
    "native": _native,
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
            }
        )
    )


if __name__ == "__main__":
    main()
