"""ccxt's sockets behind the reader's port, kept honest: one tight task per watch call, and a guard before its parsers.

Theory of operation. ccxt reconnects by itself. What it does badly is prevented here, by settings of its objects, no subclass:

* Its receive loop dies, in silence, of a frame that its parsers raise on. So each client's `handle_message` is called through a
  guard: whatever is raised becomes a refused frame, and the loop lives.
* It drops in silence what it does not understand (plain text, another symbol). The guard looks at every text frame first.
* Its caches grow to their limit, and lose the oldest trades of a burst. So a cache is emptied as soon as it has been read; nothing
  is awaited between the two.
* A subscription that is refused (Kraken) leaves its watch waiting for ever: `rejections` are looked at, and told.

A new connection is noticed by its first message, the answer to our subscription: only from then on does the venue tell every change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import ccxt.pro
import msgspec

from services.market_feed.adapters.reader import Link, Now, Sink, shown
from services.market_feed.frames import FrameRefused, quote_of, symbol_of, trade_of

RETRY_S = 0.05
RETRY_S_MAX = 2.0


class _Head(msgspec.Struct):
    """What tells which instrument a Binance frame is about."""

    e: str = ""
    s: str = ""
    u: int | None = None


class _Watch:
    """One watch call, repeated for ever, and the link it is shown as."""

    def __init__(self, link: Link, call: Callable[[], Awaitable[Any]], take: Callable[[Any], None], message_hash: str):
        self.link = link
        self.call = call
        self.take = take
        self.message_hash = message_hash
        self.client: Any = None


class CcxtReader:
    """The public sockets of one ccxt.pro exchange object."""

    def __init__(self, exchange: Any, venue: str, instruments: tuple[str, ...], sink: Sink, now: Now, logger: Any):
        self.venue = venue
        self.ping_s = exchange.streaming.get("keepAlive", 10_000) / 1000
        self._exchange = exchange
        self._instruments = {symbol_of(instrument): instrument for instrument in instruments}
        self._market_ids: dict[str, str] = {}
        self._sink = sink
        self._now = now
        self._logger = logger
        self._quotes: dict[str, Any] = {}
        self._update_ids: dict[str, int] = {}
        self._quotes_cache = "tickers" if venue == "kraken" else "bidsasks"
        self._head = msgspec.json.Decoder(_Head)
        self._watches = [self._quote_watch(instruments), *(self._trade_watch(each) for each in instruments)]
        self._links = tuple(watch.link for watch in self._watches)
        exchange.on_connected = self._guard

    # --- the port -------------------------------------------------------------------------------------------------

    @property
    def links(self) -> Sequence[Link]:
        """One for all quotes, one for the trades of each instrument; venues other than Binance carry all on one connection."""
        for watch in self._watches:
            self._look(watch)
        return self._links

    async def run(self) -> None:
        """Read for ever."""
        self._market_ids = {self._exchange.market_id(symbol): name for symbol, name in self._instruments.items()}
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(self._read(watch), name=f"{self.venue} {watch.link.name}")

    def renew(self, link: Link, reason: str) -> None:
        """Give up the connection that carries `link`."""
        watch = next(each for each in self._watches if each.link is link)
        client = self._connected(watch)
        if client is not None:
            self._logger.warning("socket_renewed", venue=self.venue, socket=link.name, reason=reason)
            client.on_error(ccxt.NetworkError(reason))

    async def close(self) -> None:
        """Close every connection."""
        await self._exchange.close()

    # --- watches --------------------------------------------------------------------------------------------------

    def _quote_watch(self, instruments: tuple[str, ...]) -> _Watch:
        symbols = [symbol_of(instrument) for instrument in instruments]
        link = Link(name="quotes", instruments=instruments, has_trades=False, has_quotes=True)
        return _Watch(
            link,
            lambda: self._exchange.watch_bids_asks(symbols),
            lambda _: self._take_quotes(getattr(self._exchange, self._quotes_cache)),
            f"bidask:bookTicker@{symbols[0]}",
        )

    def _trade_watch(self, instrument: str) -> _Watch:
        """One a symbol, because ccxt delivers late where several share a call."""
        symbol = symbol_of(instrument)
        link = Link(name=f"trades {instrument}", instruments=(instrument,), has_trades=True, has_quotes=False)
        return _Watch(
            link,
            lambda: self._exchange.watch_trades(symbol),
            lambda frames: self._take_trades(instrument, frames),
            f"trade::{symbol}",
        )

    async def _read(self, watch: _Watch) -> None:
        pause_s = RETRY_S
        while True:
            try:
                frames = await watch.call()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._lost(watch, "CANCELLED")  # ccxt cancels pending futures when it closes a client
            except Exception as error:  # noqa: BLE001  (whatever ccxt raises: one venue ends no feed)
                self._lost(watch, f"{type(error).__name__}: {error}"[:200])
            else:
                pause_s = RETRY_S
                watch.link.frames += 1
                watch.take(frames)
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_S_MAX)

    def _lost(self, watch: _Watch, reason: str) -> None:
        watch.link.is_up = False
        if self.venue == "kucoin":  # ccxt keeps the address (and a cancelled negotiation) of the last connection
            self._exchange.options.get("urls", {}).pop("public", None)
        self._logger.warning("socket_lost", venue=self.venue, socket=watch.link.name, reason=reason)

    def _take_trades(self, instrument: str, frames: list[dict[str, Any]]) -> None:
        now = self._now()
        cache = self._exchange.trades.get(symbol_of(instrument))
        if cache is not None:
            frames = list(frames)
            cache.clear()
        for frame in frames:
            try:
                trade = trade_of(frame, instrument, self.venue, now)
            except FrameRefused as error:
                self._sink.refused(str(error), instrument, shown(frame.get("info")))
            else:
                self._sink.trade(trade)

    def _take_quotes(self, tickers: dict[str, Any]) -> None:
        """Every quote that changed: the call returns one of those that came together, the cache holds the newest of each."""
        now = self._now()
        for symbol, instrument in self._instruments.items():
            ticker = tickers.get(symbol)
            if ticker is None or ticker is self._quotes.get(symbol):
                continue
            self._quotes[symbol] = ticker
            update_id = _update_id(ticker)
            try:
                if update_id is not None and update_id <= self._update_ids.get(symbol, 0):
                    raise FrameRefused("OLD_QUOTE")
                quote = quote_of(ticker, instrument, self.venue, now, update_id)
            except FrameRefused as error:
                self._sink.refused(str(error), instrument, shown(ticker.get("info")))
            else:
                self._update_ids[symbol] = update_id or 0
                self._sink.quote(quote)

    # --- connections ------------------------------------------------------------------------------------------------

    def _guard(self, client: Any, message: Any = None) -> None:
        """ccxt tells of a new connection: from now on its frames come through us."""
        handle = client.handle_message

        def guarded(message: Any) -> None:
            if message.type is aiohttp.WSMsgType.TEXT and (reason := self._oddity(message.data)):
                client.last_message_at = ccxt.pro.Exchange.milliseconds()
                self._sink.refused(reason, "", shown(message.data))
                return
            try:
                handle(message)
            except Exception as error:  # noqa: BLE001  (whatever Python raises on nonsense: ccxt's loop would die of it)
                self._logger.warning("frame_unreadable", venue=self.venue, error=repr(error)[:200])
                self._sink.refused("UNREADABLE", "", shown(message.data))

        client.handle_message = guarded

    def _oddity(self, text: str) -> str:
        """Why a text frame is none that ccxt would tell of; "" for all others."""
        if not text.startswith("{"):
            return "" if self.venue == "kucoin" and text == "pong" else "NOT_AN_OBJECT"
        if self.venue != "binance":
            return ""
        try:
            head = self._head.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return "UNREADABLE"
        is_market = head.e == "trade" or head.u is not None
        return "WRONG_SYMBOL" if is_market and self._market_ids and head.s not in self._market_ids else ""

    def _look(self, watch: _Watch) -> None:
        client, link = self._connected(watch), watch.link
        if client is None or not client.last_message_at:
            link.is_up = False
            return
        if client.rejections:
            refusal = "; ".join(str(error) for error in client.rejections.values())
            client.rejections.clear()
            self._sink.refused("SUBSCRIPTION", "", shown(refusal))
        link.signs = int(client.last_message_at)
        if client is not watch.client or not link.is_up:
            is_new = client is not watch.client
            watch.client, link.is_up = client, True
            if is_new:
                link.epoch += 1
                if link.has_quotes:
                    self._update_ids.clear()  # one absurd id must not outlive its connection
                self._sink.connected(link)

    def _connected(self, watch: _Watch) -> Any:
        """ccxt's client that carries this watch, if it has a connection."""
        for client in (self._exchange.clients or {}).values():
            carries = self.venue != "binance" or watch.message_hash in client.subscriptions
            if carries and client.isConnected and not client.closed():
                return client
        return None


def _update_id(ticker: dict[str, Any]) -> int | None:
    info = ticker.get("info")
    update_id = info.get("u") if isinstance(info, dict) else None
    return update_id if type(update_id) is int else None
