"""The WebSocket API, /ws-api/v3: the user data stream and orders over one connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from libs.trading.venue import VenueRejected
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.fault_script import FaultScript
from services.exchange_sim.hub import Hub
from services.exchange_sim.order_faults import rejection, types_of
from services.exchange_sim.order_lists import ListDesk
from services.exchange_sim.orders import OrderDesk, Params
from services.exchange_sim.signing import ApiError, Gate
from services.exchange_sim.sockets import Socket
from services.exchange_sim.wire import Json, millis

PLACING = ("order.place", "orderList.place.oco")


class AccountSockets:
    """Handlers of the WebSocket API."""

    def __init__(self, exchange: Exchange, hub: Hub, desk: OrderDesk, lists: ListDesk, gate: Gate, faults: FaultScript):
        self._exchange = exchange
        self._hub = hub
        self._gate = gate
        self._faults = faults
        self._orders: dict[str, Callable[[Params], Any]] = {
            "order.place": desk.place,
            "order.cancel": desk.cancel,
            "order.status": desk.show,
            "orderList.place.oco": lists.place,
            "orderList.cancel": lists.cancel,
            "orderList.status": lists.show,
            "openOrderLists.status": lists.show_open,
        }

    def routes(self) -> Iterable[web.RouteDef]:
        """Where it lives."""
        yield web.get("/ws-api/v3", self.serve)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, until it ends."""
        socket = Socket(is_market=False)
        self._hub.sockets[socket] = None
        try:
            await socket.open(request)
            async for message in socket.ws:
                if message.type == WSMsgType.TEXT:
                    socket.send(msgspec.json.encode(self._answer(socket, message.data)).decode())
        finally:
            self._hub.drop(socket)
        return socket.ws

    def _answer(self, socket: Socket, text: str) -> Json:
        try:
            asked = json.loads(text, parse_float=str)  # the signature is over a number's own digits
            request_id, method, params = asked.get("id"), asked.get("method"), asked.get("params") or {}
        except (ValueError, AttributeError):
            return _failed(None, ApiError(400, -1100, "Illegal characters found in a parameter: not a JSON object."))
        try:
            return {"id": request_id, "status": 200, "result": self._result(socket, method, params), "rateLimits": []}
        except (ApiError, VenueRejected) as error:
            return _failed(request_id, error)

    def _result(self, socket: Socket, method: str, params: dict[str, Any]) -> Any:
        if method == "ping":
            return {}
        if method == "time":
            return {"serverTime": millis(self._exchange.catch_up())}
        if method == "userDataStream.subscribe.signature":
            self._gate.open_ws(params)
            return {"subscriptionId": self._hub.add_user(socket)}
        if method in self._orders:
            opened = self._gate.open_ws(params)
            struck = self._faults.take_standing(types_of(opened), "reject") if method in PLACING else None
            if struck is not None:
                raise rejection(struck)
            return self._orders[method](opened)
        raise ApiError(400, -1000, f"Unknown method {method!r}.")


def _failed(request_id: Any, error: ApiError | VenueRejected) -> Json:
    status = error.status if isinstance(error, ApiError) else 400
    return {"id": request_id, "status": status, "error": {"code": error.code, "msg": error.message}, "rateLimits": []}
