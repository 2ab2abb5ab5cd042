"""Kraken's private REST, /kraken/0/private: orders, executions and balances of the paper account, with the faults scripted for orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from libs.trading.venue import VenueRejected
from services.exchange_sim.connections import cut, hang
from services.exchange_sim.fault_script import FaultScript
from services.exchange_sim.kraken_orders import KrakenDesk
from services.exchange_sim.kraken_rest import KrakenRefusal
from services.exchange_sim.kraken_signing import TOKEN_S, KrakenGate
from services.exchange_sim.kraken_wire import refusal_of
from services.exchange_sim.order_faults import rejection
from services.exchange_sim.orders import Params
from services.exchange_sim.replies import reply
from services.exchange_sim.rest_account import UNAVAILABLE
from services.exchange_sim.wire import Json

RIGHTS = ("query-funds", "query-open-trades", "query-closed-trades", "create-ws-token")
TRADING = ("modify-trades", "close-trades")


class KrakenAccount:
    """Answers of /kraken/0/private. Its routes must be added before those of KrakenRest, which knows no method there."""

    def __init__(self, desk: KrakenDesk, gate: KrakenGate, faults: FaultScript):
        self._desk = desk
        self._gate = gate
        self._faults = faults

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        desk = self._desk
        answers: dict[str, Callable[[Params], Json]] = {
            "CancelOrder": self.cancel,
            "QueryOrders": desk.query_orders,
            "OpenOrders": desk.open_orders,
            "ClosedOrders": desk.closed_orders,
            "TradesHistory": desk.trades_history,
            "QueryTrades": desk.query_trades,
            "BalanceEx": desk.balance_ex,
            "TradeVolume": desk.trade_volume,
            "GetWebSocketsToken": self.token,
            "GetApiKeyInfo": self.key_info,
        }
        yield web.post("/kraken/0/private/AddOrder", self.place)
        for name, answer in answers.items():
            yield web.post(f"/kraken/0/private/{name}", self._answering(answer))

    async def place(self, request: web.Request) -> web.StreamResponse:
        """AddOrder, with whatever fault of orders is due."""
        try:
            params = await self._signed(request)
            self._gate.check_trading()
            struck = self._faults.take(self._desk.ord_types(params))
            fault = None if struck is None else struck.kind
            if fault == "http_503":
                return web.Response(text=UNAVAILABLE, status=503, content_type="text/html")
            if struck is not None and fault == "reject":
                raise rejection(struck)
            if fault == "reset_before_accept":
                return cut(request)
            answer = self._desk.place(params)
        except (KrakenRefusal, VenueRejected) as error:
            return _refused(error)
        if fault == "reset_after_accept":
            return cut(request)
        if fault == "timeout_after_accept":
            await hang(request, None)
        return _told(answer)

    def cancel(self, params: Params) -> Json:
        """CancelOrder."""
        self._gate.check_trading()
        return self._desk.cancel(params)

    def token(self, params: Params) -> Json:
        """GetWebSocketsToken."""
        return {"token": self._gate.new_token(), "expires": TOKEN_S}

    def key_info(self, params: Params) -> Json:
        """GetApiKeyInfo: what the key may do."""
        rights = self._gate.rights()
        given = [*RIGHTS, *(TRADING if rights.trading else ()), *(("withdraw-funds",) if rights.withdrawals else ())]
        return {
            "apiKeyName": "paper",
            "apiKey": self._gate.key,
            "nonce": str(self._gate.nonce),
            "nonceWindow": 0,
            "permissions": given,
            "validUntil": "0",
            "queryFrom": "0",
            "queryTo": "0",
            "ipAllowlist": ["127.0.0.1"] if rights.ip_restricted else [],
        }

    def _answering(self, answer: Callable[[Params], Json]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            try:
                return _told(answer(await self._signed(request)))
            except (KrakenRefusal, VenueRejected) as error:
                return _refused(error)

        return respond

    async def _signed(self, request: web.Request) -> Params:
        headers, path = request.headers, request.path.removeprefix("/kraken")
        return self._gate.open(path, headers.get("API-Key", ""), headers.get("API-Sign", ""), await request.text())


def _told(result: Json) -> web.Response:
    return reply({"error": [], "result": result})


def _refused(error: KrakenRefusal | VenueRejected) -> web.Response:
    return reply({"error": [refusal_of(error) if isinstance(error, VenueRejected) else str(error)]})
