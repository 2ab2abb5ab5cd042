"""KuCoin's private topics: orders, stops and balances, heard from the socket itself, over a connection that is renewed (`user_stream`).

A match names no fee, so an execution is told as the order's new state, and the machine asks for its executions. The token that opens
the topics is asked for anew with every connection: ccxt would go on using an old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ccxt

from libs.common.messages import Message
from libs.runtime.adapter import AdapterContext
from services.order_executor.adapters.frames import BadFrame
from services.order_executor.adapters.kucoin_frames import BALANCES, ORDERS, STOPS, moved, order_news, stop_news
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.user_stream import CONNECT_S_MAX, StreamLost, UserStream

TOPICS = (ORDERS, STOPS, BALANCES)
KEEP_ALIVE_MS = 10_000
"""KuCoin asks for a ping every 18 s; a dead connection is noticed after three of them."""


class KucoinStream(UserStream):
    """One account's topics, kept alive until cancelled; `names` learns which client ids orders have."""

    def __init__(
        self,
        connect: Callable[[], Any],
        instruments: tuple[str, ...],
        names: OrderNames,
        context: AdapterContext,
        on_clock_refused: Callable[[], None],
    ):
        super().__init__(connect, {name: name for name in instruments}, context, on_clock_refused)
        self._traded = instruments
        self._names = names
        self._acknowledged = 0
        self._heard_of = asyncio.Event()
        self._topics: list[asyncio.Future[Any]] = []

    async def _subscribe(self, exchange: Any) -> None:
        self._acknowledged = 0
        self._heard_of.clear()
        acknowledged = asyncio.ensure_future(self._heard_of.wait())
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                exchange.open()  # ccxt negotiates before it has a loop
                url = await exchange.negotiate(True)
                exchange.client(url).keepAlive = KEEP_ALIVE_MS
                wanted = {"privateChannel": True}
                self._topics = [asyncio.ensure_future(exchange.subscribe(url, name, name, wanted)) for name in TOPICS]
                await asyncio.wait([acknowledged, *self._topics], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # cancelled or not: nobody else would end the watchers
            await self._ended()
            raise
        finally:
            acknowledged.cancel()
        if not self._heard_of.is_set():
            raise await self._ended()
        self._say(connected=True, reason="subscribed")

    async def _read(self, exchange: Any) -> None:
        """Hear until anything breaks. The watchers are never answered: they fail when their connection does."""
        try:
            await asyncio.wait(self._topics, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # cancelled or not: nobody else would end the watchers
            await self._ended()
            raise
        raise await self._ended()

    async def _ended(self) -> Exception:
        """Give the watchers up; what one of them failed of."""
        topics, self._topics = self._topics, []
        for topic in topics:
            topic.cancel()
        ended = await asyncio.gather(*topics, return_exceptions=True)
        failed = (error for error in ended if isinstance(error, Exception))
        return next(failed, StreamLost("a topic ended"))

    def _listen_in(self, exchange: Any) -> None:
        """Take every event of the account as it comes in; greetings and pongs are ccxt's."""
        take = exchange.handle_message

        def handle_message(client: Any, message: Any) -> None:
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "message":
                self._tell(message)
            elif kind == "ack":
                self._acknowledged += 1
                if self._acknowledged == len(TOPICS):
                    self._heard_of.set()
            elif kind == "error":
                client.on_error(ccxt.ExchangeError("KuCoin refuses a subscription"))
            elif kind is not None:
                take(client, message)

        exchange.handle_message = handle_message

    def _tell(self, raw: dict[str, Any]) -> None:
        try:
            told = self._told(raw.get("topic"), raw.get("data"))
        except BadFrame as error:
            self._context.logger.warning("user_stream_nonsense", topic=str(raw.get("topic"))[:60], detail=str(error))
            return
        if told is not None:
            self._context.emit(told)

    def _told(self, topic: Any, data: Any) -> Message | None:
        now = self._context.clock.now()
        if topic == ORDERS:
            return order_news(data, self._traded, self._names, now)
        if topic == STOPS:
            return stop_news(data, self._traded, self._names, now)
        return moved(data, now) if topic == BALANCES else None
