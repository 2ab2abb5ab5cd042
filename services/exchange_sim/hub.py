"""Who listens to what: market streams by name, the user data streams, and the frames they are sent.

A frame is only written when somebody listens, and once for all who do. Recorded frames go out as they were recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

import msgspec

from libs.common.instruments import symbol_of
from libs.trading.venue import VenueUpdate
from services.exchange_sim.depth import DepthBook
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.frames import DaySummary, agg_trade_frame, book_ticker_frame, kline_frame, trade_frame
from services.exchange_sim.market import INTERVALS, Event, Quote, Trade, bar_between, bar_start
from services.exchange_sim.sockets import Socket
from services.exchange_sim.wire import Json, account_events, transfer_events
from services.exchange_sim.wire_lists import list_event

DEPTH_CHANNELS = ("depth@100ms", "depth")
ACCOUNT_STREAM = "account"
"""What faults call the user data streams, which have no name at Binance."""

_CHANNEL = re.compile(
    r"^(trade|aggTrade|bookTicker|miniTicker|ticker|depth|depth@100ms|kline_(" + "|".join(INTERVALS) + "))$"
)


class Hub:
    """Listens to the exchange and speaks to the sockets."""

    def __init__(self, exchange: Exchange):
        self._exchange = exchange
        self._streams: dict[str, dict[Socket, bool]] = {}
        self._users: dict[Socket, int] = {}
        self._bar_ts: dict[str, int] = {}
        self._next_subscription = 0
        self.sockets: dict[Socket, None] = {}
        self.books = exchange.books
        self._instruments = {symbol_of(instrument).lower(): instrument for instrument in self.books}

    def instrument_of_stream(self, stream: str) -> str | None:
        """The instrument of a stream name like `btcusdt@trade`; None when there is no such stream."""
        symbol, _, channel = stream.partition("@")
        return self._instruments.get(symbol) if _CHANNEL.match(channel) else None

    def subscribe(self, socket: Socket, stream: str, *, combined: bool) -> None:
        """From now on `socket` gets `stream`, wrapped with its name if `combined`."""
        self._streams.setdefault(stream, {})[socket] = combined
        socket.add_stream(stream)
        if stream.partition("@")[2] in DEPTH_CHANNELS:
            self.current_book(self._instruments[stream.partition("@")[0]])

    def unsubscribe(self, socket: Socket, stream: str) -> None:
        """The end of one subscription."""
        self._streams.get(stream, {}).pop(socket, None)
        socket.remove_stream(stream)

    def subscriptions(self, socket: Socket) -> list[str]:
        """What `socket` listens to, by name."""
        return sorted(stream for stream, sockets in self._streams.items() if socket in sockets)

    def add_user(self, socket: Socket) -> int:
        """`socket` gets the account's events; the subscription id. Asking twice gives the same one."""
        if socket not in self._users:
            self._users[socket] = self._next_subscription
            self._next_subscription += 1
            socket.add_stream(ACCOUNT_STREAM)
        return self._users[socket]

    def drop(self, socket: Socket) -> None:
        """`socket` is gone."""
        socket.stop_writing()
        self.sockets.pop(socket, None)
        self._users.pop(socket, None)
        for sockets in self._streams.values():
            sockets.pop(socket, None)

    def current_book(self, instrument: str) -> DepthBook:
        """The order book as of now."""
        book = self.books[instrument]
        quote = self._exchange.quotes.get(instrument)
        if quote is not None and not quote.raw:
            book.follow(quote, quote.ts)
        return book

    def on_market(self, event: Event) -> None:
        """A market event was played: tell whoever listens, unless the market is closed."""
        if self._exchange.venue.market_status(event.instrument) != "TRADING":
            return
        symbol = symbol_of(event.instrument).lower()
        if isinstance(event, Trade):
            self._emit_klines(symbol, event)
            self._emit(f"{symbol}@trade", lambda: event.raw or _text(trade_frame(event)))
            self._emit(f"{symbol}@aggTrade", lambda: _text(agg_trade_frame(event)))
            self._emit(f"{symbol}@miniTicker", lambda: _text(self._day(event).mini_frame()))
            self._emit(f"{symbol}@ticker", lambda: _text(self._day_frame(event)))
        elif isinstance(event, Quote):
            self._emit(f"{symbol}@bookTicker", lambda: event.raw or _text(book_ticker_frame(event)))
            if not event.raw and any(self._streams.get(f"{symbol}@{channel}") for channel in DEPTH_CHANNELS):
                frame = self.books[event.instrument].follow(event, event.ts)
                if frame is not None:
                    self._emit_depth(symbol, _text(frame))
        elif not event.is_snapshot:
            self._emit_depth(symbol, event.raw)

    def on_account(self, updates: list[VenueUpdate], now: int) -> None:
        """The account changed: tell the user data streams, order by order, then which lists began, lost an order or are done."""
        if not self._users:
            return
        by_order: dict[str, list[VenueUpdate]] = {}
        for update in updates:
            if update.order.instrument not in self.books:  # an order at another venue, told by that one
                continue
            by_order.setdefault(update.order.venue_order_id, []).append(update)
        venue = self._exchange.venue
        lists: dict[str, None] = {}
        for order_id, told in by_order.items():
            booked = venue.require(told[0].order.instrument, None, order_id)
            for event in account_events(told, booked, venue.balances(), now):
                self._tell_users(event)
            if booked.venue_list_id is not None and (not booked.is_open or told[0].exec_type == "NEW"):
                lists[booked.venue_list_id] = None
        for list_number in lists:
            pair = venue.pairs.require(None, list_number)
            self._tell_users(list_event(pair, venue.pairs.orders(pair), now))

    def on_transfer(self, asset: str, amount: Decimal, now: int) -> None:
        """Money moved: tell the user data streams."""
        for event in transfer_events(asset, amount, self._exchange.venue.balances(), now):
            self._tell_users(event)

    def _tell_users(self, event: Json) -> None:
        for socket, subscription in self._users.items():
            socket.send(_text({"subscriptionId": subscription, "event": event}), ACCOUNT_STREAM)

    @property
    def has_users(self) -> bool:
        """Whether anybody listens to the account."""
        return bool(self._users)

    @property
    def is_flushed(self) -> bool:
        """Whether everything said so far has left."""
        return all(socket.is_flushed for socket in self.sockets)

    def _emit(self, stream: str, text: Callable[[], str]) -> None:
        sockets = self._streams.get(stream)
        if sockets:
            raw = text()
            for socket, combined in sockets.items():
                socket.send(f'{{"stream":"{stream}","data":{raw}}}' if combined else raw, stream)

    def _emit_depth(self, symbol: str, text: str) -> None:
        for channel in DEPTH_CHANNELS:
            self._emit(f"{symbol}@{channel}", lambda: text)

    def _emit_klines(self, symbol: str, trade: Trade) -> None:
        """The bars that this trade closed, then those it is in."""
        before = self._bar_ts.get(trade.instrument, trade.ts)
        self._bar_ts[trade.instrument] = trade.ts
        for interval in INTERVALS:
            stream = f"{symbol}@kline_{interval}"
            if self._streams.get(stream):
                was, opens = bar_start(before, interval), bar_start(trade.ts, interval)
                if was < opens:
                    self._emit_kline(stream, trade, interval, was)
                self._emit_kline(stream, trade, interval, opens)

    def _emit_kline(self, stream: str, trade: Trade, interval: str, opens: int) -> None:
        history = self._exchange.market.histories[trade.instrument]
        ends = opens + INTERVALS[interval]
        bar = bar_between(history, opens, ends, trade.ts)
        if bar is not None:
            closed = ends <= trade.ts
            frame = kline_frame(trade.instrument, interval, opens, bar, history.listing, trade.ts, closed=closed)
            self._emit(stream, lambda: _text(frame))

    def _day(self, trade: Trade) -> DaySummary:
        return DaySummary(trade.instrument, self._exchange.market.histories[trade.instrument], trade.ts)

    def _day_frame(self, trade: Trade) -> Json:
        return self._day(trade).frame(self._exchange.quotes.get(trade.instrument), trade)


def _text(frame: Json) -> str:
    return msgspec.json.encode(frame).decode()
