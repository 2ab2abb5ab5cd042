"""The user data stream: every report of our orders, read by loops that do nothing else, over a connection that is renewed.

What ccxt leaves to its caller (all of it was measured):

* one tight reader for each watch: a reader that waits for anything else between two calls loses reports;
* executions come from `watch_my_trades`, for `watch_orders` merges several reports of an order into one;
* `eventStreamTerminated` leaves watchers hanging: whether we are still subscribed is looked at every second;
* watchers share futures: a connection that failed is thrown away as a whole, client and all, and a new one is made.

Reports told while nobody was connected are never told again: both ends of a gap are said (`UserStreamChanged`), so that the
machine asks the account for what it missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from libs.common.messages import UserStreamChanged
from libs.runtime.adapter import AdapterContext
from services.order_executor.adapters.frames import BadFrame, reported

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
LOOK_S = 1.0
CONNECT_S_MAX = 15.0
CLOSE_S_MAX = 1.0


class StreamLost(Exception):
    """There is no stream to read: the venue ended our subscription without a word to the watchers, or lists nothing."""


class UserStream:
    """One account's stream, kept alive until cancelled. `connect` makes a new ccxt client."""

    def __init__(self, connect: Callable[[], Any], instruments: dict[str, str], context: AdapterContext):
        self._connect = connect
        self._instruments = instruments
        self._context = context
        self._connected = False
        self._markets: Any = None

    async def run(self) -> None:
        """Connect, read, and begin again, for ever."""
        failures = 0
        while True:
            exchange = self._connect()
            reason = "closed"
            try:
                await self._subscribe(exchange)
                failures = 0
                await self._read(exchange)
            except Exception as error:  # noqa: BLE001  ccxt raises whatever Python raises on nonsense; all of it means: again
                reason = _reason_of(error)
            finally:
                await _closed(exchange)
            self._say(connected=False, reason=reason)
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1

    async def _subscribe(self, exchange: Any) -> None:
        async with asyncio.timeout(CONNECT_S_MAX):
            if self._markets:
                exchange.set_markets(self._markets)
            else:
                self._markets = list((await exchange.load_markets()).values())
            if not self._markets:
                raise StreamLost("the venue lists no markets")
            await exchange.authenticate({"type": "spot"})
        self._say(connected=True, reason="subscribed")

    async def _read(self, exchange: Any) -> None:
        """Read until anything breaks; then everything is."""
        async with asyncio.TaskGroup() as readers:
            readers.create_task(self._read_trades(exchange))
            readers.create_task(self._read_orders(exchange))
            readers.create_task(_watch_over(exchange))

    async def _read_trades(self, exchange: Any) -> None:
        while True:
            for trade in await exchange.watch_my_trades():
                self._tell(trade["info"])

    async def _read_orders(self, exchange: Any) -> None:
        """Everything but executions, which the other reader tells."""
        while True:
            for order in await exchange.watch_orders():
                if order["info"].get("x") != "TRADE":
                    self._tell(order["info"])

    def _tell(self, raw: Any) -> None:
        try:
            report = reported(raw, self._instruments, self._context.clock.now())
        except BadFrame as error:
            self._context.logger.warning("user_stream_nonsense", detail=str(error))
            return
        if report is not None:
            self._context.emit(report)

    def _say(self, *, connected: bool, reason: str) -> None:
        if connected == self._connected:
            return
        self._connected = connected
        now = self._context.clock.now()
        self._context.logger.info("user_stream", connected=connected, reason=reason)
        self._context.emit(UserStreamChanged(ts_event=now, ts_init=now, connected=connected, reason=reason))


async def _watch_over(exchange: Any) -> None:
    """Raise once the subscription is gone.

    Raises:
        StreamLost
    """
    url = exchange.urls["api"]["ws"]["ws-api"]["spot"]
    while True:
        await asyncio.sleep(LOOK_S)
        client = exchange.clients.get(url)
        if client is None or "spot" not in client.subscriptions:
            raise StreamLost("the venue ended the subscription")


async def _closed(exchange: Any) -> None:
    """Throw the connection away. How it dies decides nothing; should we be cancelled meanwhile, it dies all the same."""
    dying = asyncio.ensure_future(exchange.close())
    dying.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({dying}, timeout=CLOSE_S_MAX)


def _reason_of(error: BaseException) -> str:
    """The names of what broke; texts may carry signed addresses."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(dict.fromkeys(_reason_of(each) for each in error.exceptions))[:200]
    return type(error).__name__
