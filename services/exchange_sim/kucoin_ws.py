"""KuCoin's WebSocket, at the address that bullet-public names: `/market/match`, `/spotMarket/level1` and `/market/ticker`; and with the
token of bullet-private those of the account (`kucoin_user`).

One topic may name several instruments; each then speaks in a topic of its own. There are no snapshots: a topic is silent until
something happens. Ids of trades (and `sequence`) rise but have gaps, so a missed trade does not show.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from libs.trading.venue import VenueUpdate
from services.exchange_sim.kucoin_rest import TOKEN
from services.exchange_sim.kucoin_user import TOPICS, KucoinUser
from services.exchange_sim.market import Event, Quote, Trade
from services.exchange_sim.other_venues import OtherVenue
from services.exchange_sim.sockets import Socket
from services.exchange_sim.streams import Streams
from services.exchange_sim.wire import Json, millis

MATCH, LEVEL1, TICKER = "/market/match", "/spotMarket/level1", "/market/ticker"
TOPICS_MAX = 100


class _Request(msgspec.Struct):
    id: int | str = ""
    type: str = ""
    topic: str = ""
    response: bool = False


class KucoinSockets:
    """The streams of /kucoin/endpoint. `connections` are those of the whole server."""

    def __init__(self, venue: OtherVenue, connections: dict[Socket, None], user: KucoinUser):
        self._venue = venue
        self._connections = connections
        self._streams = Streams()
        self._user = user
        self._private: dict[Socket, None] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        yield web.get("/kucoin/endpoint", self.serve)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, until it ends."""
        socket = Socket("kucoin")
        self._connections[socket] = None
        try:
            await socket.open(request)
            connect_id = request.query.get("connectId", "")
            token = request.query.get("token", "")
            if token == self._user.token:
                self._private[socket] = None
            elif token != TOKEN:
                await socket.ws.send_str(_error(connect_id, 401, "token is invalid"))
                return socket.ws
            socket.send(_text({"id": connect_id, "type": "welcome"}))
            async for message in socket.ws:
                if message.type == WSMsgType.TEXT:
                    self._answer(socket, message.data)
        finally:
            socket.stop_writing()
            self._streams.drop(socket)
            self._connections.pop(socket, None)
            self._private.pop(socket, None)
        return socket.ws

    def on_market(self, event: Event) -> None:
        """A market event was played: tell whoever listens."""
        if self._streams.is_idle:
            return
        name = event.instrument
        if isinstance(event, Trade):
            self._streams.emit(f"{MATCH}:{name}", lambda: _text(self._match(event)))
        elif isinstance(event, Quote):
            self._streams.emit(f"{LEVEL1}:{name}", lambda: _text(self._level1(event)))
            self._streams.emit(f"{TICKER}:{name}", lambda: _text(self._ticker(event)))

    def on_account(self, updates: list[VenueUpdate], now: int) -> None:
        """The account changed: tell whoever listens to it."""
        for topic, frame in self._user.on_account(updates, now):
            self._streams.emit(topic, lambda frame=frame: _text(frame))

    def on_transfer(self, asset: str, amount: Decimal, now: int) -> None:
        """Money moved."""
        for topic, frame in self._user.on_transfer(asset, now):
            self._streams.emit(topic, lambda frame=frame: _text(frame))

    def _answer(self, socket: Socket, text: str) -> None:
        now = self._venue.now()
        try:
            asked = msgspec.json.decode(text, type=_Request)
        except msgspec.DecodeError:
            return socket.send(_error("", 400, "invalid message"))
        if asked.type == "ping":
            return socket.send(_text({"id": asked.id, "type": "pong", "timestamp": now // 1000}))
        if asked.type not in ("subscribe", "unsubscribe"):
            return socket.send(_error(asked.id, 415, "type is not supported"))
        if asked.topic in TOPICS and socket in self._private:
            return self._change(socket, asked, [asked.topic])
        channel, _, names = asked.topic.partition(":")
        instruments = names.split(",")
        if channel not in (MATCH, LEVEL1, TICKER) or any(name not in self._venue.listings for name in instruments):
            return socket.send(_error(asked.id, 404, f"topic {asked.topic} is not found"))
        if len(instruments) > TOPICS_MAX:
            return socket.send(_error(asked.id, 509, "exceed max subscription count limitation of 100 per time"))
        return self._change(socket, asked, [f"{channel}:{name}" for name in instruments])

    def _change(self, socket: Socket, asked: _Request, topics: list[str]) -> None:
        """Subscribe or unsubscribe."""
        if asked.type == "subscribe" and socket.refuses(topics):
            return socket.send(_error(asked.id, 400, f"topic {asked.topic} is refused"))
        if asked.response:
            socket.send(_text({"id": asked.id, "type": "ack"}))
        change = self._streams.subscribe if asked.type == "subscribe" else self._streams.unsubscribe
        for topic in topics:
            change(socket, topic)

    def _match(self, event: Trade) -> Json:
        listing = self._venue.listings[event.instrument]
        trade = listing.trade(event)
        told = {
            "symbol": trade.instrument,
            "sequence": str(trade.trade_id),
            "side": "sell" if trade.is_sell else "buy",
            "size": f"{trade.qty:.8f}",
            "price": listing.px_text(trade.px),
            "takerOrderId": f"{2 * trade.trade_id:024x}",
            "makerOrderId": f"{2 * trade.trade_id + 1:024x}",
            "time": str(trade.ts_trade),
            "tradeId": str(trade.trade_id),
            "type": "match",
        }
        return _message(MATCH, trade.instrument, "trade.l3match", told)

    def _level1(self, event: Quote) -> Json:
        listing = self._venue.listings[event.instrument]
        quote, px = listing.quote(event), listing.px_text
        told = {
            "asks": [px(quote.ask_px), f"{quote.ask_qty:.8f}"],
            "bids": [px(quote.bid_px), f"{quote.bid_qty:.8f}"],
            "timestamp": millis(quote.ts),
        }
        return _message(LEVEL1, quote.instrument, "level1", told)

    def _ticker(self, event: Quote) -> Json:
        listing = self._venue.listings[event.instrument]
        quote, last, px = listing.quote(event), self._venue.last_trade(event.instrument), listing.px_text
        told = {
            "bestAsk": px(quote.ask_px),
            "bestAskSize": f"{quote.ask_qty:.8f}",
            "bestBid": px(quote.bid_px),
            "bestBidSize": f"{quote.bid_qty:.8f}",
            "price": px(last.px) if last else None,
            "size": f"{last.qty:.8f}" if last else None,
            "sequence": str(quote.update_id),
            "time": millis(quote.ts),
        }
        return _message(TICKER, quote.instrument, "trade.ticker", told)


def _message(channel: str, instrument: str, subject: str, told: Json) -> Json:
    return {"type": "message", "topic": f"{channel}:{instrument}", "subject": subject, "data": told}


def _error(request_id: Any, code: int, why: str) -> str:
    return _text({"id": str(request_id), "type": "error", "code": code, "data": why})


def _text(frame: Json) -> str:
    return msgspec.json.encode(frame).decode()
