"""Kraken's WebSocket v2, /kraken/v2: the channels `trade` and `ticker`, acknowledged pair by pair, and `heartbeat` when nothing else is said.

`executions` and `balances` are told to whoever shows a token (`kraken_executions`). Two habits of the real one matter to a reader. Whoever subscribes to `trade` is first told the last 50 trades again, as a snapshot.
And `ticker` with `event_trigger` "bbo" speaks only when a best price moves, not when a quantity does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from decimal import Decimal

import msgspec
from aiohttp import WSMsgType, web

from libs.trading.venue import VenueUpdate
from services.exchange_sim.kraken_executions import BALANCES, EXECUTIONS, PRIVATE, KrakenNews
from services.exchange_sim.kraken_rest import rfc3339
from services.exchange_sim.kraken_signing import KrakenGate
from services.exchange_sim.market import Event, Quote, Trade
from services.exchange_sim.other_venues import OtherVenue
from services.exchange_sim.sockets import Socket
from services.exchange_sim.streams import Streams
from services.exchange_sim.wire import Json

HEARTBEAT_S = 1.0
SNAPSHOT_TRADES = 50
TRIGGERS = ("bbo", "trades")
CHANNELS = ("trade", "ticker")


class _Params(msgspec.Struct):
    channel: str = ""
    symbol: list[str] = []
    snapshot: bool = True
    event_trigger: str = "trades"
    token: str = ""


class _Request(msgspec.Struct):
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)
    req_id: int | None = None


class _KrakenSocket(Socket):
    """Knows whether something was said since it was last looked at."""

    is_quiet = True

    def _put(self, frame: str | bytes) -> None:
        self.is_quiet = False
        super()._put(frame)


class KrakenSockets:
    """The streams of /kraken/v2. `connections` are those of the whole server."""

    def __init__(self, venue: OtherVenue, connections: dict[Socket, None], gate: KrakenGate, news: KrakenNews):
        self._venue = venue
        self._gate = gate
        self._news = news
        self._moves = itertools.count(1)
        self._connections = connections
        self._streams = Streams()
        self._instruments = {symbol_of(name): name for name in venue.listings}
        self._best: dict[str, tuple[float, float]] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        yield web.get("/kraken/v2", self.serve)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, until it ends."""
        socket = _KrakenSocket("kraken")
        self._connections[socket] = None
        beating = asyncio.create_task(self._beat(socket))
        try:
            await socket.open(request)
            socket.send(_text(self._status()))
            async for message in socket.ws:
                if message.type == WSMsgType.TEXT:
                    self._answer(socket, message.data)
        finally:
            beating.cancel()
            socket.stop_writing()
            self._streams.drop(socket)
            self._connections.pop(socket, None)
        return socket.ws

    def on_market(self, event: Event) -> None:
        """A market event was played: tell whoever listens."""
        if self._streams.is_idle:
            return
        name = event.instrument
        if isinstance(event, Trade):
            there = self._venue.listings[name].trade
            self._streams.emit(f"trade:{name}", lambda: _text(_trades("update", [there(event)])))
            self._emit_ticker("trades", name)
        elif isinstance(event, Quote):
            quote = self._venue.listings[name].quote(event)
            best = (quote.bid_px, quote.ask_px)
            if self._best.get(name) != best:
                self._best[name] = best
                self._emit_ticker("bbo", name)

    def on_account(self, updates: list[VenueUpdate], now: int) -> None:
        """Orders changed: those at Kraken are told."""
        if self._streams.is_idle:
            return
        for told in self._news.executions(updates):
            self._emit_private(EXECUTIONS, [told])
        for update in updates:
            if update.fill is not None and update.order.instrument.startswith("kraken:"):
                self._emit_private(BALANCES, self._news.traded(update.fill))

    def on_transfer(self, asset: str, amount: Decimal, now: int) -> None:
        """Money came or went: tell who asked for balances."""
        self._emit_private(BALANCES, [self._news.moved(asset, amount, now, next(self._moves))])

    def _emit_private(self, channel: str, data: list[Json]) -> None:
        frame = {"channel": channel, "type": "update", "data": data, "sequence": next(self._numbers)}
        self._streams.emit(_account_stream(channel), lambda: _text(frame))

    def _change_private(self, socket: Socket, asked: _Request, now: int) -> None:
        """Subscribe to the account, or unsubscribe: acknowledgement, snapshot, updates."""
        channel = asked.params.channel
        stream = _account_stream(channel)
        if not self._gate.takes(asked.params.token):
            return _refuse(socket, asked, "ESession:Invalid session", now)
        if asked.method == "unsubscribe":
            self._streams.unsubscribe(socket, stream)
        elif self._streams.has(socket, stream):
            return _refuse(socket, asked, "Already subscribed", now)
        elif socket.refuses([stream]):
            return _refuse(socket, asked, "Subscription refused", now)
        result = {"channel": channel, "snapshot": True}
        socket.send(_text({"method": asked.method, **_req_id(asked), "result": result, "success": True, **_times(now)}))
        if asked.method == "subscribe":
            socket.send(_text(self._news.snapshot(channel)), stream)
            socket.is_market = False
            self._streams.subscribe(socket, stream)

    def _answer(self, socket: Socket, text: str) -> None:
        now = self._venue.now()
        try:
            asked = msgspec.json.decode(text, type=_Request)
        except msgspec.DecodeError as error:
            return _refuse(socket, _Request(), f"Malformed request: {error}", now)
        if asked.method == "ping":
            return socket.send(_text({"method": "pong", **_req_id(asked), **_times(now)}))
        if asked.method not in ("subscribe", "unsubscribe"):
            return _refuse(socket, asked, f"Unsupported method: {asked.method}", now)
        if asked.params.channel in PRIVATE:
            return self._change_private(socket, asked, now)
        if asked.params.channel not in CHANNELS:
            return _refuse(socket, asked, f"Unsupported channel: {asked.params.channel}", now)
        if asked.params.event_trigger not in TRIGGERS:
            return _refuse(socket, asked, f"Unsupported event_trigger: {asked.params.event_trigger}", now)
        for symbol in asked.params.symbol:
            self._change(socket, asked, symbol, now)

    def _change(self, socket: Socket, asked: _Request, symbol: str, now: int) -> None:
        """Subscribe or unsubscribe one pair: the acknowledgement, the snapshot, and only then updates."""
        params, name = asked.params, self._instruments.get(symbol)
        if name is None:
            return _refuse(socket, asked, f"Currency pair not supported {symbol}", now, symbol)
        is_trade = params.channel == "trade"
        stream = f"trade:{name}" if is_trade else f"ticker:{params.event_trigger}:{name}"
        is_there = self._streams.has(socket, stream)
        if asked.method == "unsubscribe":
            if not is_there:
                return _refuse(socket, asked, "Subscription Not Found", now, symbol)
            self._streams.unsubscribe(socket, stream)
            return _acknowledge(socket, asked, symbol, now)
        if is_there:
            return _refuse(socket, asked, "Already subscribed", now, symbol)
        if socket.refuses([stream]):
            return _refuse(socket, asked, "Subscription refused", now, symbol)
        _acknowledge(socket, asked, symbol, now)
        if params.snapshot and is_trade:
            trades = self._venue.recent_trades(name, SNAPSHOT_TRADES, now)
            if trades:  # a recording knows none at its beginning; no real pair has none, and ccxt's reader dies of an empty list
                socket.send(_text(_trades("snapshot", trades)), stream)
        elif params.snapshot and self._venue.is_priced(name):
            socket.send(_text(self._ticker("snapshot", name)), stream)
        self._streams.subscribe(socket, stream)

    def _status(self) -> Json:
        told = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": next(self._numbers)}
        return {"channel": "status", "type": "update", "data": [told]}

    def _emit_ticker(self, trigger: str, name: str) -> None:
        if self._venue.is_priced(name):
            self._streams.emit(f"ticker:{trigger}:{name}", lambda: _text(self._ticker("update", name)))

    def _ticker(self, kind: str, name: str) -> Json:
        listing, quote, last = self._venue.listings[name], self._venue.quote(name), self._venue.last_trade(name)
        assert quote is not None
        assert last is not None
        day, px = self._venue.day(name, max(quote.ts, last.ts)), last.px
        told = {
            "symbol": symbol_of(name),
            "bid": quote.bid_px,
            "bid_qty": quote.bid_qty,
            "ask": quote.ask_px,
            "ask_qty": quote.ask_qty,
            "last": px,
            "volume": listing.volume(day) if day else 0.0,
            "vwap": round(listing.vwap(day), listing.px_decimals) if day else px,
            "low": min(px, day.low) if day else px,
            "high": max(px, day.high) if day else px,
            "change": round(px - day.open, listing.px_decimals) if day else 0.0,
            "change_pct": round(100.0 * (px / day.open - 1.0), 2) if day else 0.0,
        }
        return {"channel": "ticker", "type": kind, "data": [told]}

    async def _beat(self, socket: _KrakenSocket) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if socket.is_quiet:
                socket.send('{"channel":"heartbeat"}')
            socket.is_quiet = True


def _account_stream(channel: str) -> str:
    """What faults call a private channel: "account" is part of both."""
    return f"account:{channel}"


def symbol_of(instrument: str) -> str:
    """The name of `instrument` in v2: BTC-USDT is BTC/USDT."""
    return instrument.replace("-", "/")


def _trades(kind: str, trades: list[Trade]) -> Json:
    return {"channel": "trade", "type": kind, "data": [_trade(trade) for trade in trades]}


def _trade(trade: Trade) -> Json:
    return {
        "symbol": symbol_of(trade.instrument),
        "side": "sell" if trade.is_sell else "buy",
        "price": trade.px,
        "qty": trade.qty,
        "ord_type": "market",
        "trade_id": trade.trade_id,
        "timestamp": rfc3339(trade.ts_trade),
    }


def _acknowledge(socket: Socket, asked: _Request, symbol: str, now: int) -> None:
    params = asked.params
    result: Json = {"channel": params.channel, "symbol": symbol}
    if params.channel == "ticker":
        result["event_trigger"] = params.event_trigger
    if asked.method == "subscribe":
        result["snapshot"] = params.snapshot
    told = {"method": asked.method, **_req_id(asked), "result": result, "success": True, **_times(now)}
    socket.send(_text(told))


def _refuse(socket: Socket, asked: _Request, why: str, now: int, symbol: str | None = None) -> None:
    named = {} if symbol is None else {"symbol": symbol}
    told = {"error": why, "method": asked.method, **_req_id(asked), "success": False, **named, **_times(now)}
    socket.send(_text(told))


def _req_id(asked: _Request) -> Json:
    return {} if asked.req_id is None else {"req_id": asked.req_id}


def _times(now: int) -> Json:
    return {"time_in": rfc3339(now), "time_out": rfc3339(now)}


def _text(frame: Json) -> str:
    return msgspec.json.encode(frame).decode()
