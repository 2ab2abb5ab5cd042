"""ccxt's sockets behind the reader's port, kept honest: one tight task per watch call, and a guard around its parsers.

Theory of operation. ccxt connects, subscribes, parses and reconnects. What it does badly is prevented here, by settings of its
objects, no subclass: each client's `handle_message` is called through a guard, which sees a frame before ccxt and right after it.

    frame ──▶ guard: one of ours? ──▶ ccxt's parser ──▶ its caches ──▶ guard: tellers (ccxt_tellers.py) ──▶ Sink
                 └─▶ refused             └─▶ raises: refused

* Its receive loop dies, in silence, of a frame that its parsers raise on. Behind the guard that is a refused frame.
* It drops in silence what it does not understand (plain text, half a quote, another symbol), and takes an `aggTrade` for a trade.
  Each such frame of Binance is refused, also if all that can be said is that ccxt made nothing of it.
* A subscription that is refused (Kraken, KuCoin) leaves its watch waiting for ever: refusals are looked for and told, and another
  connection asks again.

A new connection is noticed by its first message, the answer to our subscription: only from then on does the venue tell every change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import aiohttp
import ccxt.pro
import msgspec

from services.market_feed.adapters.ccxt_tellers import QuoteTeller, Teller, TradeTeller
from services.market_feed.adapters.reader import Link, Now, Sink, shown
from services.market_feed.frames import FrameRefused, symbol_of

RETRY_S = 0.05
RETRY_S_MAX = 2.0
_TEXT, _BINARY = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY


class _Head(msgspec.Struct, gc=False):
    """What tells what a Binance frame is about: an instrument, or a request of ours; `type` is KuCoin's."""

    type: str = ""
    e: str = ""
    s: str = ""
    u: int | None = None
    id: int | str | None = None


class _Watch:
    """One watch call, repeated for ever, and the link it is shown as."""

    def __init__(self, link: Link, call: Callable[[], Awaitable[Any]], message_hash: str):
        self.link = link
        self.call = call
        self.message_hash = message_hash
        self.client: Any = None


class CcxtReader:
    """The public sockets of one ccxt.pro exchange object."""

    def __init__(self, exchange: Any, venue: str, instruments: tuple[str, ...], sink: Sink, now: Now, logger: Any):
        self.venue = venue
        self.ping_s = exchange.streaming.get("keepAlive", 10_000) / 1000
        self._exchange = exchange
        self._sink = sink
        self._logger = logger
        self._head = msgspec.json.Decoder(_Head).decode
        self._quote_watch = self._watch_quotes(instruments)
        self._watches = [self._quote_watch, *map(self._watch_trades, instruments)]
        self._links = tuple(watch.link for watch in self._watches)
        self._trades = [TradeTeller(exchange, venue, *link.instruments, link, sink, now) for link in self._links[1:]]
        self._quotes = [
            QuoteTeller(exchange, venue, instrument, self._links[0], sink, now, self._give_up)
            for instrument in instruments
        ]
        self._all: tuple[Teller, ...] = (*self._trades, *self._quotes)
        self._trades_of: dict[str, tuple[Teller, ...]] = {}
        self._quotes_of: dict[str, tuple[Teller, ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._defect: asyncio.Future[None]
        self._is_closed = False
        exchange.on_connected = self._guard

    # --- the port -------------------------------------------------------------------------------------------------

    @property
    def links(self) -> Sequence[Link]:
        """One for all quotes, one for the trades of each instrument; venues other than Binance carry all on one connection."""
        for watch in self._watches:
            self._look(watch)
        return self._links

    async def run(self) -> None:
        """See the port. Returns after `close`."""
        if self._is_closed:
            return
        self._trades_of = {self._market_id(teller): (teller,) for teller in self._trades}
        self._quotes_of = {self._market_id(teller): (teller,) for teller in self._quotes}
        self._defect = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            work = {watch.link.name: self._read(watch) for watch in self._watches}
            work["defect"] = self._raise_defect(self._defect)
            self._tasks = [group.create_task(each, name=f"{self.venue} {name}") for name, each in work.items()]

    def renew(self, link: Link, reason: str) -> None:
        """Give up the connection that carries `link`."""
        watch = next(each for each in self._watches if each.link is link)
        client = self._connected(watch)
        if client is not None:
            self._logger.warning("socket_renewed", venue=self.venue, socket=link.name, reason=reason)
            client.on_error(ccxt.NetworkError(reason))

    async def close(self) -> None:
        """Close every connection; a watch that went on would open another one."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._exchange.close()

    async def _raise_defect(self, defect: asyncio.Future[None]) -> None:
        """What our own code raised while ccxt called it: ccxt would go on without its receive loop."""
        await defect

    def _market_id(self, teller: Teller) -> str:
        market_id: str = self._exchange.market_id(symbol_of(teller.instrument))
        return market_id

    # --- watches --------------------------------------------------------------------------------------------------

    def _watch_quotes(self, instruments: tuple[str, ...]) -> _Watch:
        symbols = [symbol_of(instrument) for instrument in instruments]
        link = Link(name="quotes", instruments=instruments, has_trades=False, has_quotes=True)
        return _Watch(link, lambda: self._exchange.watch_bids_asks(symbols), f"bidask:bookTicker@{symbols[0]}")

    def _watch_trades(self, instrument: str) -> _Watch:
        """One a symbol, because ccxt delivers late where several share a call."""
        symbol = symbol_of(instrument)
        link = Link(name=f"trades {instrument}", instruments=(instrument,), has_trades=True, has_quotes=False)
        return _Watch(link, lambda: self._exchange.watch_trades(symbol), f"trade::{symbol}")

    async def _read(self, watch: _Watch) -> None:
        pause_s = RETRY_S
        while True:
            try:
                await watch.call()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._lost(watch, "CANCELLED")  # ccxt cancels pending futures when it closes a client
            except Exception as error:  # noqa: BLE001  (whatever ccxt raises: one venue ends no feed)
                self._lost(watch, f"{type(error).__name__}: {error}"[:200])
            else:
                pause_s = RETRY_S
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_S_MAX)

    def _lost(self, watch: _Watch, reason: str) -> None:
        watch.link.is_up = False
        if self.venue == "kucoin":  # ccxt keeps the address (and a cancelled negotiation) of the last connection
            self._exchange.options.get("urls", {}).pop("public", None)
        self._logger.warning("socket_lost", venue=self.venue, socket=watch.link.name, reason=reason)

    # --- connections ------------------------------------------------------------------------------------------------

    def _guard(self, client: Any, message: Any = None) -> None:
        """ccxt tells of a new connection: from now on its frames come through us, and the venue may count anew."""
        hear = partial(self._hear, client, client.handle_message)
        for teller in self._all:
            teller.forget()
        client.handle_message = hear

    def _hear(self, client: Any, handle: Callable[[Any], None], frame: Any) -> None:
        """Let ccxt handle a frame, and tell what it has made of it."""
        about: tuple[Teller, ...] = ()
        try:
            if frame.type is _TEXT:
                about = self._about(client, frame.data)
            elif frame.type is _BINARY:
                raise FrameRefused("NOT_TEXT")
            handle(frame)
        except FrameRefused as error:
            client.last_message_at = ccxt.pro.Exchange.milliseconds()
            self._refuse(str(error), about, frame.data)
            if str(error) == "SUBSCRIPTION":
                client.on_error(ccxt.NetworkError("SUBSCRIPTION REFUSED"))
            return
        except Exception as error:  # noqa: BLE001  (whatever Python raises on nonsense: ccxt's loop would die of it)
            self._logger.warning("frame_unreadable", venue=self.venue, error=repr(error)[:200])
            self._refuse("UNREADABLE", about, frame.data)
            return
        try:
            for teller in about:
                if not teller.tell() and self.venue == "binance":
                    self._refuse("MEANINGLESS", about, frame.data)
        except Exception as error:  # noqa: BLE001  (raised again where it ends us)
            if not self._defect.done():
                self._defect.set_exception(error)

    def _refuse(self, reason: str, about: tuple[Teller, ...], frame: Any) -> None:
        self._sink.refused(reason, about[0].instrument if len(about) == 1 else "", shown(frame))

    def _give_up(self, instrument: str) -> None:
        """The quotes of an instrument make no sense together: begin anew, once ccxt is done with the frame."""
        asyncio.get_running_loop().call_soon(self.renew, self._quote_watch.link, f"OLD_QUOTES {instrument}")

    def _about(self, client: Any, text: str) -> tuple[Teller, ...]:
        """Who may have something to tell after a frame: for Binance one, or nobody after an answer.

        Raises:
            FrameRefused: ccxt would drop it, or take it for what it is not.
        """
        if not text.startswith("{"):
            if self.venue == "kucoin" and text == "pong":
                return ()
            raise FrameRefused("NO_OBJECT")
        if self.venue == "kraken":
            return self._all
        try:
            head = self._head(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise FrameRefused("UNREADABLE") from None
        if self.venue == "kucoin":
            if head.type == "error":
                raise FrameRefused("SUBSCRIPTION")
            return self._all
        if head.e == "trade" or (not head.e and head.u is not None):
            about = (self._trades_of if head.e else self._quotes_of).get(head.s)
            if about is None:
                raise FrameRefused("WRONG_SYMBOL")
            return about
        if head.e == "serverShutdown" or (not head.e and head.id is not None and _is_asked(client, head.id)):
            return ()
        raise FrameRefused("UNKNOWN_FRAME")

    def _look(self, watch: _Watch) -> None:
        client, link = self._connected(watch), watch.link
        if client is None or not client.last_message_at:
            link.is_up = False
            return
        if client.rejections:
            refusal = "; ".join(str(error) for error in client.rejections.values())
            client.rejections.clear()
            self._sink.refused("SUBSCRIPTION", "", shown(refusal))
            link.is_up = False
            client.on_error(ccxt.NetworkError("SUBSCRIPTION REFUSED"))
            return
        link.signs = int(client.last_message_at)
        if client is not watch.client or not link.is_up:
            is_new = client is not watch.client
            watch.client, link.is_up = client, True
            if is_new:
                link.epoch += 1
                if link.has_quotes:
                    self._sink.connected(link)

    def _connected(self, watch: _Watch) -> Any:
        """ccxt's client that carries this watch, if it has a connection."""
        for client in (self._exchange.clients or {}).values():
            carries = self.venue != "binance" or watch.message_hash in client.subscriptions
            if carries and client.isConnected and not client.closed():
                return client
        return None


def _is_asked(client: Any, request_id: int | str) -> bool:
    """Whether a subscription of ours has this number."""
    asked = client.subscriptions.values()
    return any(isinstance(each, dict) and each.get("id") == request_id for each in asked)
