"""ccxt's sockets, kept honest: one tight reader task per watch call, and a watch over what ccxt does not notice.

Theory of operation. ccxt reconnects by itself, but hangs for ever on a stream that is silent while pongs come, and on a receive
loop that died of a frame it could not read. So each `Watch` counts the silence of its own stream (liveness.py), and one that
is silent for too long has its client failed (`client.on_error`), which rejects the pending call and makes the next one
reconnect. A dead receive loop shows only in the event loop's exception handler: then every client is failed.

A new connection is noticed by its first message, the answer to our subscription: `on_up` is called then, because only from
then on will the venue tell us every change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ccxt
import ccxt.pro

from services.market_feed.liveness import Silence

RETRY_S = 0.05
RETRY_S_MAX = 2.0


class Watch:
    """One watch call, repeated for ever. `take` gets what it returns and must not block."""

    def __init__(
        self,
        name: str,
        message_hash: str,
        call: Callable[[], Awaitable[Any]],
        take: Callable[[Any], None],
        *,
        silence_max: int,
    ):
        self.name = name
        self.message_hash = message_hash
        self.silence = Silence()
        self.silence_max = silence_max
        self.client: Any = None
        self._call = call
        self._take = take
        self._heard = False

    def heard(self) -> bool:
        """Whether data came since this was last asked."""
        heard, self._heard = self._heard, False
        return heard

    async def read(self, on_lost: Callable[[Watch, str], None]) -> None:
        """Read for ever; a lost connection is told, and the next call makes a new one."""
        pause_s = RETRY_S
        while True:
            try:
                frames = await self._call()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                on_lost(self, "CANCELLED")  # ccxt cancels pending futures when it closes a client
            except ccxt.BaseError as error:
                on_lost(self, f"{type(error).__name__}: {error}"[:200])
            else:
                self._heard, pause_s = True, RETRY_S
                self._take(frames)
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_S_MAX)


class Sockets:
    """All watches of one exchange object."""

    def __init__(self, exchange: ccxt.pro.binance, watches: list[Watch], logger: Any):
        self._exchange = exchange
        self._watches = watches
        self._logger = logger

    @property
    def are_up(self) -> bool:
        """Whether every watch has a connection on which the venue has answered."""
        return all(self._answering(watch) is not None for watch in self._watches)

    def lost(self, watch: Watch, reason: str) -> None:
        """A watch lost its connection."""
        self._logger.warning("socket_lost", socket=watch.name, reason=reason)

    def look(self, moved_ns: int, on_up: Callable[[Watch], None]) -> bool:
        """Look after every watch; `moved_ns` has passed on the feed's clock since the last look. Returns whether any has heard data."""
        heard_any = False
        for watch in self._watches:
            client, heard = self._answering(watch), watch.heard()
            heard_any = heard_any or heard
            is_new = client is not None and client is not watch.client
            watch.client = client
            if is_new:
                on_up(watch)
            is_excused = heard or is_new or self._connected(watch) is None
            if watch.silence.look(heard=is_excused, moved_ns=moved_ns) >= watch.silence_max:
                self.renew(watch, "SILENT")
        return heard_any

    def renew(self, watch: Watch, reason: str) -> None:
        """Give up the connection of a watch; its next call makes a new one."""
        watch.silence = Silence()
        client = self._connected(watch)
        if client is not None:
            self._logger.warning("socket_renewed", socket=watch.name, reason=reason)
            client.on_error(ccxt.NetworkError(reason))

    def renew_trades(self, instrument: str, reason: str) -> None:
        """Give up the trade socket of an instrument."""
        for watch in self._watches:
            if watch.name == trade_watch(instrument):
                self.renew(watch, reason)

    @contextmanager
    def guarding(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """While open, a receive loop of ccxt that dies in a callback has every connection renewed."""
        before = loop.get_exception_handler()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if "receive_loop" not in f"{context.get('message')} {context.get('handle')}":
                if before is not None:
                    before(loop, context)
                else:
                    loop.default_exception_handler(context)
                return
            self._logger.error("receive_loop_died", error=repr(context.get("exception"))[:200])
            for watch in self._watches:
                self.renew(watch, "RECEIVE_LOOP_DIED")

        loop.set_exception_handler(handle)
        try:
            yield
        finally:
            loop.set_exception_handler(before)

    def _connected(self, watch: Watch) -> Any:
        """ccxt's client that carries this watch, if it has a connection."""
        for client in (self._exchange.clients or {}).values():
            if watch.message_hash in client.subscriptions and client.isConnected and not client.closed():
                return client
        return None

    def _answering(self, watch: Watch) -> Any:
        """The same, once the venue has said anything on it."""
        client = self._connected(watch)
        return client if client is not None and client.last_message_at else None


def trade_watch(instrument: str) -> str:
    """The name of the watch that reads the trades of an instrument."""
    return f"trades {instrument}"
