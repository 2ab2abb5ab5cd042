"""The signed half of /api/v3: the account, its orders and its fills, with the faults that a test may script for new orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

from services.exchange_sim.connections import cut, hang
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.fault_script import FaultScript
from services.exchange_sim.order_faults import rejection, types_of
from services.exchange_sim.order_lists import ListDesk
from services.exchange_sim.orders import OrderDesk, Params, number
from services.exchange_sim.replies import reply
from services.exchange_sim.signing import Gate
from services.exchange_sim.wire import Json, account_shown, fill_shown, millis, order_shown

LIMIT = 500
LIMIT_MAX = 1000
UNAVAILABLE = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


class AccountRest:
    """Handlers of everything that needs a signature."""

    def __init__(self, exchange: Exchange, desk: OrderDesk, lists: ListDesk, gate: Gate, faults: FaultScript):
        self._exchange = exchange
        self._desk = desk
        self._lists = lists
        self._gate = gate
        self._faults = faults

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        yield web.get("/api/v3/account", self.account)
        yield web.post("/api/v3/order", self.place)
        yield web.post("/api/v3/order/cancelReplace", self.replace)
        yield web.get("/api/v3/order", self.show)
        yield web.delete("/api/v3/order", self.cancel)
        yield web.get("/api/v3/openOrders", self.open_orders)
        yield web.get("/api/v3/allOrders", self.all_orders)
        yield web.get("/api/v3/myTrades", self.my_trades)
        yield web.post("/api/v3/orderList/oco", self.place_list)
        yield web.get("/api/v3/orderList", self.show_list)
        yield web.delete("/api/v3/orderList", self.cancel_list)
        yield web.get("/api/v3/openOrderList", self.open_lists)

    async def account(self, request: web.Request) -> web.Response:
        """GET account."""
        params = await self._signed(request)
        now = self._exchange.catch_up()
        balances = self._exchange.venue.balances()
        if params.get("omitZeroBalances") == "true":
            balances = tuple(held for held in balances if held.free or held.locked)
        return reply(account_shown(balances, now))

    async def place(self, request: web.Request) -> web.StreamResponse:
        """POST order, with whatever fault is due."""
        return await self._placed(request, lambda params: (200, self._desk.place(params)))

    async def replace(self, request: web.Request) -> web.StreamResponse:
        """POST order/cancelReplace, with whatever fault of orders is due."""
        return await self._placed(request, self._desk.replace)

    async def place_list(self, request: web.Request) -> web.StreamResponse:
        """POST orderList/oco, with whatever fault of orders is due."""
        return await self._placed(request, lambda params: (200, self._lists.place(params)))

    async def _placed(self, request: web.Request, place: Callable[[Params], tuple[int, Json]]) -> web.StreamResponse:
        params = await self._signed(request)
        self._gate.check_trading()
        struck = self._faults.take(types_of(params))
        fault = None if struck is None else struck.kind
        if fault == "http_503":
            return web.Response(text=UNAVAILABLE, status=503, content_type="text/html")
        if struck is not None and fault == "reject":
            raise rejection(struck)
        if fault == "reset_before_accept":
            return cut(request)
        status, answer = place(params)
        if fault == "reset_after_accept":
            return cut(request)
        if fault == "timeout_after_accept":
            await hang(request, None)
        return reply(answer, status)

    async def show(self, request: web.Request) -> web.Response:
        """GET order."""
        return reply(self._desk.show(await self._signed(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """DELETE order."""
        params = await self._signed(request)
        self._gate.check_trading()
        return reply(self._desk.cancel(params))

    async def show_list(self, request: web.Request) -> web.Response:
        """GET orderList."""
        return reply(self._lists.show(await self._signed(request)))

    async def cancel_list(self, request: web.Request) -> web.Response:
        """DELETE orderList."""
        params = await self._signed(request)
        self._gate.check_trading()
        return reply(self._lists.cancel(params))

    async def open_lists(self, request: web.Request) -> web.Response:
        """GET openOrderList."""
        return reply(self._lists.show_open(await self._signed(request)))

    async def open_orders(self, request: web.Request) -> web.Response:
        """GET openOrders, of one symbol or all."""
        params = await self._signed(request)
        asked = {self._desk.instrument(params)} if "symbol" in params else set(self._exchange.market.histories)
        self._exchange.catch_up()
        orders = self._exchange.venue.all_orders()
        return reply([order_shown(o) for o in orders if o.is_open and o.instrument in asked])

    async def all_orders(self, request: web.Request) -> web.Response:
        """GET allOrders: of one symbol, from an id or a time on, else the last ones."""
        params = await self._signed(request)
        instrument = self._desk.instrument(params)
        self._exchange.catch_up()
        first_id, start, end = number(params, "orderId", 0), *_span(params)
        found = [
            order
            for order in self._exchange.venue.all_orders()
            if order.instrument == instrument
            and int(order.venue_order_id) >= first_id
            and start <= millis(order.ts_created) <= end
        ]
        return reply([order_shown(order) for order in _cut(found, params, "orderId")])

    async def my_trades(self, request: web.Request) -> web.Response:
        """GET myTrades: of one symbol, of an order, from an id or a time on, else the last ones."""
        params = await self._signed(request)
        instrument = self._desk.instrument(params)
        self._exchange.catch_up()
        start, end = _span(params)
        order_id = params.get("orderId")
        found = [
            fill
            for fill in self._exchange.venue.fills(instrument, number(params, "fromId", 0))
            if order_id in (None, fill.venue_order_id) and start <= millis(fill.ts_event) <= end
        ]
        order_of = self._exchange.venue.require
        return reply(
            [fill_shown(f, order_of(instrument, None, f.venue_order_id)) for f in _cut(found, params, "fromId")]
        )

    async def _signed(self, request: web.Request) -> Params:
        text = request.rel_url.raw_query_string
        body = await request.text()
        sent = "&".join(part for part in (text, body) if part)
        return self._gate.open_rest(sent, request.headers.get("X-MBX-APIKEY"))


def _span(params: Params) -> tuple[int, int]:
    return number(params, "startTime", 0), number(params, "endTime", 1 << 62)


def _cut(found: list, params: Params, from_name: str) -> list:
    """The first `limit` when a beginning was asked for, else the last."""
    limit = max(1, min(LIMIT_MAX, number(params, "limit", LIMIT)))
    return found[:limit] if from_name in params or "startTime" in params else found[-limit:]
