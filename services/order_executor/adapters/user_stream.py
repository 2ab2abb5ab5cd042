"""The user data stream: every report of our orders and every deposit, heard from the socket itself, over a connection that is renewed.

What ccxt leaves to its caller (all of it was measured):

* its watchers merge frames that arrive together: of several reports of an order, or changes of a balance, the last is shown. So
  each frame is taken as it is decoded, by the client's own `handle_message`, and ccxt sees no more of it than of a word it
  does not know; nor can a frame that ccxt cannot parse end its receive loop;
* `eventStreamTerminated` leaves watchers hanging: whether we are still subscribed is looked at every second;
* watchers share futures: a connection that failed is thrown away as a whole, client and all, and a new one is made.

Reports told while nobody was connected are never told again: both ends of a gap are said (`UserStreamChanged`), so that the
machine asks the account for what it missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ccxt

from libs.common.messages import UserStreamChanged
from libs.runtime.adapter import AdapterContext
from services.order_executor.adapters.frames import BadFrame, moved, reported

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
LOOK_S = 1.0
CONNECT_S_MAX = 15.0
CLOSE_S_MAX = 1.0
REPORT, MOVED, ENDED = "executionReport", "balanceUpdate", "eventStreamTerminated"
HEARD = (REPORT, MOVED)
"""What is told on. Balances after a trade and states of order lists (`listStatus`) say nothing that reports do not."""


class StreamLost(Exception):
    """There is no stream to read: the venue ended our subscription without a word to the watchers, or lists nothing."""


class UserStream:
    """One account's stream, kept alive until cancelled.

    `connect` makes a new ccxt client, `on_clock_refused` is told when the venue does not accept our time.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        instruments: dict[str, str],
        context: AdapterContext,
        on_clock_refused: Callable[[], None],
    ):
        self._connect = connect
        self._on_clock_refused = on_clock_refused
        self._instruments = instruments
        self._context = context
        self._connected = False
        self._broken_by: Exception | None = None
        self._markets: Any = None

    @property
    def is_connected(self) -> bool:
        """Whether the venue tells us what happens, right now."""
        return self._connected

    async def run(self) -> None:
        """Connect, read, and begin again, for ever."""
        failures = 0
        while True:
            exchange = self._connect()
            self._broken_by = None
            self._listen_in(exchange)
            reason = "closed"
            try:
                await self._subscribe(exchange)
                failures = 0
                await self._read(exchange)
            except Exception as error:  # noqa: BLE001  ccxt raises whatever Python raises on nonsense; all of it means: again
                reason = _reason_of(error)
                if isinstance(error, ccxt.InvalidNonce):
                    self._on_clock_refused()
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
        """Hear until anything breaks. The watcher is never answered: it fails when its connection does."""
        async with asyncio.TaskGroup() as lookouts:
            lookouts.create_task(exchange.watch_orders())
            lookouts.create_task(self._watch_over(exchange))

    async def _watch_over(self, exchange: Any) -> None:
        """Raise once the subscription is gone, or something came that could not be taken in.

        Raises:
            StreamLost
        """
        url = exchange.urls["api"]["ws"]["ws-api"]["spot"]
        while True:
            await asyncio.sleep(LOOK_S)
            client = exchange.clients.get(url)
            if client is None or "spot" not in client.subscriptions:
                raise StreamLost("the venue ended the subscription")
            if self._broken_by is not None:
                raise StreamLost(f"a frame could not be taken in ({type(self._broken_by).__name__})")

    def _listen_in(self, exchange: Any) -> None:
        """Take every event of the account as it comes in; all else is ccxt's."""
        take = exchange.handle_message

        def handle_message(client: Any, message: Any) -> None:
            event = message.get("event") if isinstance(message, dict) else None
            try:
                if isinstance(event, dict) and event.get("e") in HEARD:
                    self._tell(event)
                elif not isinstance(event, dict) or event.get("e") == ENDED:
                    take(client, message)
            except Exception as error:  # noqa: BLE001  ccxt's receive loop would die of it, and nobody would hear of that
                self._broken_by = self._broken_by or error

        exchange.handle_message = handle_message

    def _tell(self, raw: dict[str, Any]) -> None:
        now = self._context.clock.now()
        try:
            told = moved(raw, now) if raw["e"] == MOVED else reported(raw, self._instruments, now)
        except BadFrame as error:
            self._context.logger.warning("user_stream_nonsense", kind=raw["e"], detail=str(error))
            return
        if told is not None:
            self._context.emit(told)

    def _say(self, *, connected: bool, reason: str) -> None:
        if connected == self._connected:
            return
        self._connected = connected
        now = self._context.clock.now()
        self._context.logger.info("user_stream", connected=connected, reason=reason)
        self._context.emit(UserStreamChanged(ts_event=now, ts_init=now, connected=connected, reason=reason))


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
