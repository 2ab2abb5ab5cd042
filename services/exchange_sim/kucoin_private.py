"""The signed half of KuCoin's REST: orders, stops, fills, balances and the key, with the faults a test may script for new orders.

An order that is not there is `data: null` to whoever asks for it, and 400100 to whoever takes it back. Stops that ended without being
reached are not shown any more. POST answers with ids alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from libs.common.timeframe import DAY, MILLISECOND
from services.exchange_sim.connections import cut, hang
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.fault_script import FaultScript
from services.exchange_sim.kucoin_account import NOT_THERE, PARAMETERS, Body, KucoinAccount, ord_type_of, refusal_of
from services.exchange_sim.kucoin_rest import PING_INTERVAL_MS, PING_TIMEOUT_MS, KucoinRefusal
from services.exchange_sim.kucoin_signing import KucoinGate
from services.exchange_sim.kucoin_wire import (
    account_shown,
    fill_id,
    fill_shown,
    order_id,
    order_shown,
    stop_id,
    stop_shown,
)
from services.exchange_sim.order_faults import rejection
from services.exchange_sim.other_venues import OtherVenue
from services.exchange_sim.replies import reply
from services.exchange_sim.rest_account import UNAVAILABLE
from services.exchange_sim.wire import Json, millis

FILLS, FILLS_MAX = 20, 100
PAGE, PAGE_MAX = 50, 500
SPAN = 7 * DAY
SYMBOLS_MAX = 10
Answer = Callable[[web.Request, Body], Any]


class KucoinPrivate:
    """Answers of /kucoin/api to who can sign."""

    def __init__(
        self, exchange: Exchange, venue: OtherVenue, account: KucoinAccount, gate: KucoinGate, faults: FaultScript
    ):
        self._exchange = exchange
        self._venue = venue
        self._account = account
        self._gate = gate
        self._faults = faults

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        api, orders, stops = "/kucoin/api/v1", "/kucoin/api/v1/hf/orders", "/kucoin/api/v1/stop-order"
        yield web.post(orders, self._placing(stop=False))
        yield web.get(f"{orders}/active", self._answering(self.active))
        yield web.get(f"{orders}/done", self._answering(self.done))
        yield web.get(f"{orders}/client-order/{{client_oid}}", self._answering(self.show))
        yield web.delete(f"{orders}/client-order/{{client_oid}}", self._answering(self.cancel, trading=True))
        yield web.get(f"{orders}/{{number}}", self._answering(self.show))
        yield web.delete(f"{orders}/{{number}}", self._answering(self.cancel, trading=True))
        yield web.get(f"{api}/hf/fills", self._answering(self.fills))
        yield web.post(stops, self._placing(stop=True))
        yield web.get(stops, self._answering(self.stops))
        yield web.get(f"{stops}/queryOrderByClientOid", self._answering(self.show_stop))
        yield web.delete(f"{stops}/cancelOrderByClientOid", self._answering(self.cancel_stop, trading=True))
        yield web.delete(f"{stops}/{{number}}", self._answering(self.cancel_stop, trading=True))
        yield web.get(f"{api}/accounts", self._answering(self.accounts))
        yield web.get(f"{api}/user/api-key", self._answering(self.key))
        yield web.get(f"{api}/trade-fees", self._answering(self.fees))
        yield web.post(f"{api}/bullet-private", self._answering(self.bullet))
        yield web.get("/kucoin/api/v3/margin/symbols", self._answering(lambda request, body: {"items": []}))
        yield web.get(f"{api}/isolated/symbols", self._answering(lambda request, body: []))

    def active(self, request: web.Request, body: Body) -> list[Json]:
        """hf/orders/active: those of a symbol that are open."""
        return [self._order(each) for each in self._account.orders(_symbol(request), stop=False)]

    def done(self, request: web.Request, body: Body) -> Json:
        """hf/orders/done: those of a symbol that are not, newest first."""
        ended = self._account.orders(_symbol(request), stop=False, is_open=False)
        items, last = _page_by_id(request, ended, lambda booked: int(booked.venue_order_id))
        return {"items": [self._order(each) for each in items], "lastId": last}

    def show(self, request: web.Request, body: Body) -> Json | None:
        """hf/orders/client-order/… and hf/orders/…; null: there is none."""
        found = self._named(request, stop=False)
        return None if found is None else self._order(found)

    def cancel(self, request: web.Request, body: Body) -> Json:
        """DELETE of the same."""
        found = self._named(request, stop=False)
        if found is None:
            raise KucoinRefusal(PARAMETERS, NOT_THERE)
        self._account.cancel(found)
        by_client_oid = "client_oid" in request.match_info
        return {"clientOid": found.cl_ord_id} if by_client_oid else {"orderId": order_id(found)}

    def stops(self, request: web.Request, body: Body) -> Json:
        """stop-order: those that wait, page by page."""
        found = self._account.orders(request.query.get("symbol"), stop=True)
        size = min(PAGE_MAX, _whole(request, "pageSize", PAGE))
        page = max(1, _whole(request, "currentPage", 1))
        shown = found[(page - 1) * size : page * size]
        return {
            "currentPage": page,
            "pageSize": size,
            "totalNum": len(found),
            "totalPage": -(-len(found) // size),
            "items": [self._stop(each) for each in shown],
        }

    def show_stop(self, request: web.Request, body: Body) -> list[Json] | None:
        """stop-order/queryOrderByClientOid; null: none waits."""
        found = self._named(request, stop=True)
        return None if found is None else [self._stop(found)]

    def cancel_stop(self, request: web.Request, body: Body) -> Json:
        """stop-order/cancelOrderByClientOid and DELETE stop-order/…."""
        found = self._named(request, stop=True)
        if found is None:
            raise KucoinRefusal(PARAMETERS, NOT_THERE)
        number = stop_id(found)
        self._account.cancel(found)
        if "number" in request.match_info:
            return {"cancelledOrderIds": [number]}
        return {"cancelledOrderId": number, "clientOid": found.cl_ord_id}

    def fills(self, request: web.Request, body: Body) -> Json:
        """hf/fills: executions of at most seven days, newest first, `lastId` leads to older ones."""
        symbol = _symbol(request)
        self._account.check_symbol(symbol)
        now = self._exchange.catch_up()
        end = _whole(request, "endAt", millis(now)) * MILLISECOND + MILLISECOND
        start = _whole(request, "startAt", millis(max(0, end - SPAN))) * MILLISECOND
        if end - start > SPAN + MILLISECOND:
            raise KucoinRefusal(PARAMETERS, "The time range is too large", 400)
        found = [
            (fill, booked)
            for fill, booked in self._account.fills(symbol, request.query.get("orderId"))
            if start <= fill.ts_event < end
        ]
        items, last = _page_by_id(request, found, lambda each: fill_id(each[0]))
        fee = self._fee(symbol)
        return {"items": [fill_shown(fill, booked, symbol, fee) for fill, booked in items], "lastId": last}

    def accounts(self, request: web.Request, body: Body) -> list[Json]:
        """accounts: all money is in the trade account."""
        self._exchange.catch_up()
        kind = request.query.get("type", "trade")
        if kind not in ("trade", "trade_hf"):  # the second is the first's former name, which ccxt asks for
            return []
        wanted = request.query.get("currency")
        return [account_shown(each, kind) for each in self._exchange.venue.balances() if wanted in (None, each.asset)]

    def key(self, request: web.Request, body: Body) -> Json:
        """user/api-key: what the key may do, and from where."""
        rights = self._gate.gate.rights
        may = ["General", *(["Spot"] if rights.trading else []), *(["Withdrawal"] if rights.withdrawals else [])]
        told = {"remark": "bulkhead", "apiKey": self._gate.key, "apiVersion": 3, "permission": ",".join(may)}
        addresses = {"ipWhitelist": "127.0.0.1"} if rights.ip_restricted else {}
        return {**told, **addresses, "createdAt": 0, "uid": 1, "isMaster": True}

    def fees(self, request: web.Request, body: Body) -> list[Json]:
        """trade-fees: of at most ten symbols."""
        symbols = request.query.get("symbols", "").split(",")
        if len(symbols) > SYMBOLS_MAX:
            raise KucoinRefusal(PARAMETERS, "symbols size invalid", 400)
        for symbol in symbols:
            self._account.check_symbol(symbol)
        fees = {symbol: str(self._fee(symbol)) for symbol in symbols}
        return [{"symbol": name, "takerFeeRate": fee, "makerFeeRate": fee} for name, fee in fees.items()]

    def bullet(self, request: web.Request, body: Body) -> Json:
        """bullet-private: where the streams are, and a token that opens those of the account."""
        server = {
            "endpoint": f"ws://{request.host}/kucoin/endpoint",
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": PING_INTERVAL_MS,
            "pingTimeout": PING_TIMEOUT_MS,
        }
        return {"token": self._gate.token, "instanceServers": [server]}

    def _named(self, request: web.Request, *, stop: bool) -> Any:
        """The order that the path or the query names, by KuCoin's id or the client's."""
        number = request.match_info.get("number")
        if number is not None:
            return self._account.find_by_id(number, stop=stop)
        client_oid = request.match_info.get("client_oid") or request.query.get("clientOid", "")
        return self._account.find(_symbol(request), client_oid, stop=stop)

    def _order(self, booked: Any) -> Json:
        symbol = self._account.symbol(booked)
        fills = [fill for fill, _ in self._account.fills(symbol, order_id(booked))]
        return order_shown(booked, symbol, self._venue.listings[symbol].spec.quote, fills)

    def _stop(self, booked: Any) -> Json:
        symbol = self._account.symbol(booked)
        return stop_shown(booked, symbol, self._venue.listings[symbol].spec.quote, self._fee(symbol))

    def _fee(self, symbol: str) -> Decimal:
        return self._venue.listings[symbol].spec.taker_fee

    def _answering(
        self, answer: Answer, *, trading: bool = False
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            try:
                body = await self._opened(request, trading=trading)
                return reply({"code": "200000", "data": answer(request, body)})
            except KucoinRefusal as refusal:
                return reply({"code": refusal.code, "msg": refusal.message}, refusal.status)

        return respond

    def _placing(self, *, stop: bool) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            try:
                return await self._placed(request, await self._opened(request, trading=True), stop=stop)
            except KucoinRefusal as refusal:
                return reply({"code": refusal.code, "msg": refusal.message}, refusal.status)

        return respond

    async def _placed(self, request: web.Request, body: Body, *, stop: bool) -> web.StreamResponse:
        """Enter an order, with whatever fault of orders is due."""
        struck = self._faults.take(frozenset({ord_type_of(body, stop=stop)}))
        fault = None if struck is None else struck.kind
        if fault == "http_503":
            return web.Response(text=UNAVAILABLE, status=503, content_type="text/html")
        if struck is not None and fault == "reject":
            raise refusal_of(rejection(struck))
        if fault == "reset_before_accept":
            return cut(request)
        booked = self._account.place(body, stop=stop)
        if fault == "reset_after_accept":
            return cut(request)
        if fault == "timeout_after_accept":
            await hang(request, None)
        ids = {"orderId": stop_id(booked) if stop else order_id(booked), "clientOid": booked.cl_ord_id}
        return reply({"code": "200000", "data": ids})

    async def _opened(self, request: web.Request, *, trading: bool) -> Body:
        text = await request.text()
        self._gate.open(request, text, trading=trading)
        if not text:
            return {}
        try:
            return msgspec.json.decode(text, type=dict)
        except msgspec.DecodeError:
            raise KucoinRefusal(PARAMETERS, "Invalid Parameter.", 400) from None


def _symbol(request: web.Request) -> str:
    symbol = request.query.get("symbol", "")
    if not symbol:
        raise KucoinRefusal(PARAMETERS, "symbol can not be empty", 400)
    return symbol


def _whole(request: web.Request, name: str, default: int) -> int:
    value = request.query.get(name, str(default))
    if not value.isdecimal():
        raise KucoinRefusal(PARAMETERS, f"{name} is invalid", 400)
    return int(value)


def _page_by_id(request: web.Request, found: list, number: Callable[[Any], int]) -> tuple[list, int]:
    """At most `limit`, older than `lastId`; and the id of the last."""
    limit = _whole(request, "limit", FILLS)
    if not 1 <= limit <= FILLS_MAX:
        raise KucoinRefusal(PARAMETERS, "limit is invalid", 400)
    before = _whole(request, "lastId", 0)
    items = [each for each in found if not before or number(each) < before][:limit]
    return items, number(items[-1]) if items else 0
