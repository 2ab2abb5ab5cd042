"""ccxt's sockets behind the reader's port, kept honest: one tight task per watch call, and a guard around its parsers.

Theory of operation. ccxt connects, subscribes, parses and reconnects. What it does badly is prevented here, by settings of its
objects, no subclass: each client's `handle_message` is called through a guard, which sees a frame before ccxt and right after it.

    frame ──▶ guard: one of ours? ──▶ ccxt's parser ──▶ its caches ──▶ guard: told or refused, cache emptied ──▶ Sink
                 └─▶ refused             └─▶ raises: refused

* Its receive loop dies, in silence, of a frame that its parsers raise on. Behind the guard that is a refused frame.
* It drops in silence what it does not understand (plain text, half a quote, another symbol), and takes an `aggTrade` for a trade.
  Each such frame of Binance is refused, also if all that can be said is that ccxt made nothing of it.
* Its caches grow to their limit, lose the oldest trades of a burst, and keep only the newest quote. So they are read after each
  frame, not when a watch call returns.
* A subscription that is refused (Kraken) leaves its watch waiting for ever: `rejections` are looked at, and told.

A new connection is noticed by its first message, the answer to our subscription: only from then on does the venue tell every change.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import ccxt.pro
import msgspec

from services.market_feed.adapters.binance_frames import OLD_QUOTES_MAX
from services.market_feed.adapters.reader import Link, Now, Sink, shown
from services.market_feed.frames import FrameRefused, quote_of, symbol_of, trade_of

RETRY_S = 0.05
RETRY_S_MAX = 2.0


class _Head(msgspec.Struct, gc=False):
    """What tells what a Binance frame is about: an instrument, or a request of ours."""

    e: str = ""
    s: str = ""
    u: int | None = None
    id: int | None = None


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
        self._symbols = {instrument: symbol_of(instrument) for instrument in instruments}
        self._instruments: dict[str, tuple[str, ...]] = {}
        self._sink = sink
        self._now = now
        self._logger = logger
        self._quotes: dict[str, Any] = {}
        self._update_ids: dict[str, int] = {}
        self._old_quotes: Counter[str] = Counter()
        self._quotes_cache = "tickers" if venue == "kraken" else "bidsasks"
        self._head = msgspec.json.Decoder(_Head)
        self._quote_watch = self._watch_quotes(instruments)
        self._trade_watches = {instrument: self._watch_trades(instrument) for instrument in instruments}
        self._watches = [self._quote_watch, *self._trade_watches.values()]
        self._links = tuple(watch.link for watch in self._watches)
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
        self._instruments = {self._exchange.market_id(symbol): (name,) for name, symbol in self._symbols.items()}
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

    # --- watches --------------------------------------------------------------------------------------------------

    def _watch_quotes(self, instruments: tuple[str, ...]) -> _Watch:
        symbols = [self._symbols[instrument] for instrument in instruments]
        link = Link(name="quotes", instruments=instruments, has_trades=False, has_quotes=True)
        return _Watch(link, lambda: self._exchange.watch_bids_asks(symbols), f"bidask:bookTicker@{symbols[0]}")

    def _watch_trades(self, instrument: str) -> _Watch:
        """One a symbol, because ccxt delivers late where several share a call."""
        symbol = self._symbols[instrument]
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
            except ccxt.BaseError as error:
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

    # --- what ccxt has made of a frame ------------------------------------------------------------------------------

    def _take(self, instrument: str) -> bool:
        """Tell what is new of an instrument; whether anything is."""
        symbol = self._symbols[instrument]
        trades = self._exchange.trades.get(symbol)
        ticker = getattr(self._exchange, self._quotes_cache).get(symbol)
        has_trades, has_quote = bool(trades), ticker is not None and ticker is not self._quotes.get(symbol)
        if has_trades:
            frames = list(trades)
            trades.clear()
            self._take_trades(instrument, frames)
        if has_quote:
            self._quotes[symbol] = ticker
            self._take_quote(instrument, ticker)
        return has_trades or has_quote

    def _take_trades(self, instrument: str, frames: list[dict[str, Any]]) -> None:
        now = self._now()
        self._trade_watches[instrument].link.frames += 1
        for frame in frames:
            try:
                trade = trade_of(frame, instrument, self.venue, now)
            except FrameRefused as error:
                self._sink.refused(str(error), instrument, shown(frame.get("info")))
            else:
                self._sink.trade(trade)

    def _take_quote(self, instrument: str, ticker: dict[str, Any]) -> None:
        self._quote_watch.link.frames += 1
        update_id = _update_id(ticker)
        try:
            quote = quote_of(ticker, instrument, self.venue, self._now(), update_id)
            if update_id is not None:
                self._count_on(instrument, update_id)
        except FrameRefused as error:
            self._sink.refused(str(error), instrument, shown(ticker.get("info")))
        else:
            self._sink.quote(quote)

    def _count_on(self, instrument: str, update_id: int) -> None:
        """Refuse a quote that is older than the last; where many are, the last one was the liar: begin anew."""
        if update_id <= self._update_ids.get(instrument, 0):
            self._old_quotes[instrument] += 1
            if self._old_quotes[instrument] == OLD_QUOTES_MAX:
                loop = asyncio.get_running_loop()
                loop.call_soon(self.renew, self._quote_watch.link, f"OLD_QUOTES {instrument}")
            raise FrameRefused("BAD_ID" if update_id <= 0 else "OLD_QUOTE")
        self._update_ids[instrument] = update_id
        self._old_quotes[instrument] = 0

    # --- connections ------------------------------------------------------------------------------------------------

    def _guard(self, client: Any, message: Any = None) -> None:
        """ccxt tells of a new connection: from now on its frames come through us, and the venue may count anew."""
        handle = client.handle_message
        self._update_ids.clear()
        self._old_quotes.clear()
        client.handle_message = lambda frame: self._hear(client, handle, frame)

    def _hear(self, client: Any, handle: Callable[[Any], None], frame: Any) -> None:
        """Let ccxt handle a frame, and tell what it has made of it."""
        about: tuple[str, ...] = ()
        try:
            if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                about = self._about(client, frame)
            handle(frame)
        except FrameRefused as error:
            client.last_message_at = ccxt.pro.Exchange.milliseconds()
            self._refuse(str(error), about, frame.data)
            return
        except Exception as error:  # noqa: BLE001  (whatever Python raises on nonsense: ccxt's loop would die of it)
            self._logger.warning("frame_unreadable", venue=self.venue, error=repr(error)[:200])
            self._refuse("UNREADABLE", about, frame.data)
            return
        try:
            self._tell(about, frame)
        except Exception as error:  # noqa: BLE001  (raised again where it ends us)
            if not self._defect.done():
                self._defect.set_exception(error)

    def _tell(self, about: tuple[str, ...], frame: Any) -> None:
        is_told = [self._take(instrument) for instrument in about]
        if self.venue == "binance" and about and not any(is_told):
            self._refuse("MEANINGLESS", about, frame.data)

    def _refuse(self, reason: str, about: tuple[str, ...], frame: Any) -> None:
        self._sink.refused(reason, about[0] if len(about) == 1 else "", shown(frame))

    def _about(self, client: Any, frame: Any) -> tuple[str, ...]:
        """The instruments a frame may be about: of Binance one, or none for an answer.

        Raises:
            FrameRefused: ccxt would drop it, or take it for what it is not.
        """
        if frame.type is aiohttp.WSMsgType.BINARY:
            raise FrameRefused("NOT_TEXT")
        text = frame.data
        if not text.startswith("{"):
            if self.venue == "kucoin" and text == "pong":
                return ()
            raise FrameRefused("NO_OBJECT")
        if self.venue != "binance":
            return tuple(self._symbols)
        try:
            head = self._head.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise FrameRefused("UNREADABLE") from None
        if head.e == "trade" or (not head.e and head.u is not None):
            if head.s not in self._instruments:
                raise FrameRefused("WRONG_SYMBOL")
            return self._instruments[head.s]
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
        link.signs = int(client.last_message_at)
        if client is not watch.client or not link.is_up:
            is_new = client is not watch.client
            watch.client, link.is_up = client, True
            if is_new:
                link.epoch += 1
                self._sink.connected(link)

    def _connected(self, watch: _Watch) -> Any:
        """ccxt's client that carries this watch, if it has a connection."""
        for client in (self._exchange.clients or {}).values():
            carries = self.venue != "binance" or watch.message_hash in client.subscriptions
            if carries and client.isConnected and not client.closed():
                return client
        return None


def _is_asked(client: Any, request_id: int) -> bool:
    """Whether a subscription of ours has this number."""
    asked = client.subscriptions.values()
    return any(isinstance(each, dict) and each.get("id") == request_id for each in asked)


def _update_id(ticker: dict[str, Any]) -> int | None:
    info = ticker.get("info")
    update_id = info.get("u") if isinstance(info, dict) else None
    return update_id if type(update_id) is int else None
