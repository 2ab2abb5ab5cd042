"""The market streams: /ws and /stream, with or without names in the address, SUBSCRIBE and UNSUBSCRIBE in band.

On /stream?streams=… frames are wrapped with their stream's name, everywhere else they are bare.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from services.exchange_sim.hub import Hub
from services.exchange_sim.sockets import Socket


class _Request(msgspec.Struct):
    method: str = ""
    params: list[str] | None = None
    id: int | str | None = None


class MarketSockets:
    """Handlers of the market streams."""

    def __init__(self, hub: Hub):
        self._hub = hub

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live; ccxt numbers its connections /0, /1, …"""
        yield web.get("/stream", self.serve)
        yield web.get("/ws", self.serve)
        yield web.get("/ws/{name}", self.serve)
        yield web.get("/stream/ws", self.serve)
        yield web.get("/stream/ws/{name}", self.serve)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, until it ends."""
        socket = Socket()
        self._hub.sockets[socket] = None
        combined = request.path == "/stream"
        try:
            await socket.open(request)
            named = [*request.query.get("streams", "").split("/"), request.match_info.get("name", "")]
            for stream in named:
                if self._hub.instrument_of_stream(stream) is not None:
                    self._hub.subscribe(socket, stream, combined=combined)
            async for message in socket.ws:
                if message.type == WSMsgType.TEXT:
                    socket.send(msgspec.json.encode(self._answer(socket, message.data, combined=combined)).decode())
        finally:
            self._hub.drop(socket)
        return socket.ws

    def _answer(self, socket: Socket, text: str, *, combined: bool) -> dict[str, Any]:
        try:
            asked = msgspec.json.decode(text, type=_Request)
        except msgspec.DecodeError as error:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {error}"}, "id": None}
        streams = asked.params or []
        unknown = [stream for stream in streams if self._hub.instrument_of_stream(stream) is None]
        if asked.method == "LIST_SUBSCRIPTIONS":
            return {"result": self._hub.subscriptions(socket), "id": asked.id}
        if asked.method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return {"error": {"code": 2, "msg": f"Invalid request: unknown method {asked.method!r}"}, "id": asked.id}
        if unknown:
            return {"error": {"code": 2, "msg": f"Invalid request: unknown stream {unknown[0]!r}"}, "id": asked.id}
        if asked.method == "SUBSCRIBE" and socket.refuses(streams):
            return {"error": {"code": 2, "msg": "Invalid request: refused"}, "id": asked.id}
        for stream in streams:
            if asked.method == "SUBSCRIBE":
                self._hub.subscribe(socket, stream, combined=combined)
            else:
                self._hub.unsubscribe(socket, stream)
        return {"result": None, "id": asked.id}
