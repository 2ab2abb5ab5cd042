"""Binance Spot through ccxt: requests out, typed answers back, the user stream in.

ccxt signs, sends and keeps connections; it neither rounds our amounts nor interprets answers about money: requests carry exactly
the strings that were decided, and answers are read from the raw fields (`frames`). Two hooks of ccxt tell for every
request whether it left and what came back, which is what an outcome is judged by (`classify`).

A submission is sent once: no retries, no throttle queue to wait in, the lease and the deadline looked at immediately before.
Every request first takes its weight from the venue's budget: what concerns an order in the orders lane, readings of the account
as data. One that gets none in time has provably never left. Whatever goes wrong becomes an answer; nothing is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import ccxt.pro
import msgspec

from libs.common.messages import (
    AccountRead,
    Answer,
    OrderAnswered,
    OrderLookedUp,
    VenueFill,
    VenueOrder,
)
from libs.common.money import plain
from libs.runtime.adapter import AdapterContext, NotGranted
from libs.runtime.ccxt_budget import listen_for, spend_from
from libs.runtime.core import Asked
from libs.runtime.weight_breaker import Lane
from libs.trading.binance_ccxt import ccxt_config, follow_clock
from services.order_executor.adapters.classify import Heard, Outcome, is_not_found, outcome_of
from services.order_executor.adapters.frames import (
    BadFrame,
    RawTrade,
    answered_fills,
    as_order,
    as_orders,
    as_trades,
    balances_of,
    symbol_of,
    venue_fill,
    venue_order,
)
from services.order_executor.adapters.user_stream import CONNECT_S_MAX, UserStream
from services.order_executor.requests import NEVER_SENT, CancelOrder, LookUpOrder, ReadAccount, SubmitOrder
from services.order_executor.settings import Settings

TRADES_PAGE = 1000
NAMES_KEPT = 10_000
VENUE = "binance"
"""Whose budget, when the settings name nobody."""
ORDER_WEIGHT, LOOK_UP_WEIGHT, ACCOUNT_WEIGHT, OPEN_ORDERS_WEIGHT, TRADES_WEIGHT = 1, 4, 20, 6, 20
"""What Binance counts a request as."""

_heard: ContextVar[Heard] = ContextVar("heard")
Call = Callable[[dict[str, Any]], Awaitable[Any]]


class CallFailed(Exception):
    """A call did not end in a good answer; `heard` is what it heard, `error` what was raised."""

    def __init__(self, heard: Heard, error: BaseException | None):
        super().__init__("call failed")
        self.heard = heard
        self.outcome: Outcome = outcome_of(heard, error)


class CcxtVenue:
    """The venue adapter of the order executor."""

    def __init__(self, settings: Settings):
        self._settings = settings
        key, secret = settings.credentials()
        self._config = {
            **ccxt_config(settings.exec_venue_url, key, secret),
            "enableRateLimit": False,
            "timeout": settings.exec_deadline_ms,
        }
        self._config["options"] = {
            **self._config["options"],
            "recvWindow": settings.exec_recv_window_ms,
            "maxRetriesOnFailure": 0,
        }
        self._symbols = {symbol_of(name): name for name in settings.instruments}
        self._names: dict[tuple[str, str], str] = {}
        self._venue = settings.exec_venue or VENUE
        self._context: AdapterContext
        self._exchange: Any = None
        self._stream: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()

    async def open(self, context: AdapterContext) -> None:
        """Start reading the user stream. A venue that is down is no reason not to start."""
        self._context = context
        self._exchange = self._client()
        _listen_in(self._exchange)
        listen_for(self._context.budget, self._exchange, self._venue)
        stream = UserStream(self._stream_client, self._symbols, context)
        self._stream = asyncio.create_task(stream.run(), name="user stream")
        self._opened.set()

    async def close(self) -> None:
        """Stop reading and disconnect."""
        if self._stream is not None:
            self._stream.cancel()
            await asyncio.gather(self._stream, return_exceptions=True)
        if self._exchange is not None:
            await self._exchange.close()

    async def perform(self, asked: Asked) -> Answer:
        """Carry out one request (the shell may ask while it is still opening us).

        Raises:
            TypeError: the machine asked for something this venue cannot do (a defect).
        """
        await self._opened.wait()
        match asked.request:
            case SubmitOrder() as request:
                answer: Answer = await self._submit(asked.request_id, request)
            case CancelOrder() as request:
                answer = await self._cancel(asked.request_id, request)
            case LookUpOrder() as request:
                answer = await self._look_up(asked.request_id, request)
            case ReadAccount() as request:
                answer = await self._read_account(asked.request_id, request)
            case request:
                raise TypeError(f"the venue cannot {type(request).__name__}")
        now = self._context.clock.now()
        return msgspec.structs.replace(answer, ts_event=now, ts_init=now)

    # --- orders -----------------------------------------------------------------------------------------------------

    async def _submit(self, request_id: str, request: SubmitOrder) -> OrderAnswered:
        obstacle = await self._no_room(1) or await self._obstacle(request)
        if obstacle:
            return _answered(request_id, request, Outcome("REJECTED", NEVER_SENT, obstacle))
        try:
            raw = await self._call(self._exchange.private_post_order, _order_params(request))
            order = venue_order(as_order(raw), request.instrument)
            fills = answered_fills(as_order(raw), request.instrument)
        except CallFailed as failed:
            return _answered(request_id, request, failed.outcome)
        except BadFrame as error:
            return _answered(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", str(error)))
        if order.cl_ord_id != request.cl_ord_id:
            return _answered(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", "the answer is about another order"))
        self._remember(order)
        return _confirmed(request_id, request, order, fills)

    async def _obstacle(self, request: SubmitOrder) -> str:
        """Why the order must not leave now; "" if nothing stands in its way."""
        if not await self._context.holds_lease():
            return "another instance may hold the lease"
        if self._context.clock.now() > request.valid_until:
            return "older than its valid_until"
        return ""

    async def _no_room(self, orders: int) -> str:
        """Take the weight of an order or a cancel; why there is none, "" if it was taken."""
        try:
            await self._take(ORDER_WEIGHT, "orders", orders)
        except NotGranted as error:
            return str(error)
        return ""

    async def _cancel(self, request_id: str, request: CancelOrder) -> OrderAnswered:
        obstacle = await self._no_room(0)
        if obstacle:
            return _answered(request_id, request, Outcome("REJECTED", NEVER_SENT, obstacle))
        params = {"symbol": symbol_of(request.instrument), "origClientOrderId": request.cl_ord_id}
        try:
            order = venue_order(
                as_order(await self._call(self._exchange.private_delete_order, params)), request.instrument
            )
        except CallFailed as failed:
            return _answered(request_id, request, failed.outcome)
        except BadFrame as error:
            return _answered(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", str(error)))
        if order.cl_ord_id != request.cl_ord_id:
            return _answered(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", "the answer is about another order"))
        return _confirmed(request_id, request, order, ())

    # --- questions --------------------------------------------------------------------------------------------------

    async def _look_up(self, request_id: str, request: LookUpOrder) -> OrderLookedUp:
        symbol = symbol_of(request.instrument)
        try:
            asked = {"symbol": symbol, "origClientOrderId": request.cl_ord_id}
            raw = await self._ask(self._exchange.private_get_order, asked, LOOK_UP_WEIGHT, "orders")
            order = venue_order(as_order(raw), request.instrument)
            if order.cl_ord_id != request.cl_ord_id:
                return _looked_up(request_id, request, "FAILED", None, (), "the answer is about another order")
            self._remember(order)
            fills: tuple[VenueFill, ...] = ()
            if order.cum_qty:
                params = {"symbol": symbol, "orderId": order.venue_order_id, "limit": TRADES_PAGE}
                raw = await self._ask(self._exchange.private_get_mytrades, params, TRADES_WEIGHT, "orders")
                found = as_trades(raw)
                fills = tuple(venue_fill(each, request.instrument, order.cl_ord_id) for each in found)
        except CallFailed as failed:
            word = "NOT_FOUND" if is_not_found(failed.heard) else "FAILED"
            return _looked_up(request_id, request, word, None, (), f"{failed.outcome.code}: {failed.outcome.detail}")
        except BadFrame as error:
            return _looked_up(request_id, request, "FAILED", None, (), str(error))
        return _looked_up(request_id, request, "FOUND", order, fills, "")

    async def _read_account(self, request_id: str, request: ReadAccount) -> AccountRead:
        """Balances first and executions last, so that whatever moves the balances in between shows as an execution."""
        try:
            account = await self._ask(self._exchange.private_get_account, {"omitZeroBalances": "true"}, ACCOUNT_WEIGHT)
            balances = balances_of(account)
            orders: list[VenueOrder] = []
            fills: list[VenueFill] = []
            for name in request.instruments:
                params = {"symbol": symbol_of(name)}
                shown = await self._ask(self._exchange.private_get_openorders, params, OPEN_ORDERS_WEIGHT)
                orders += [venue_order(each, name) for each in as_orders(shown)]
            for order in orders:
                self._remember(order)
            for name in request.instruments:
                for trade in await self._trades_after(name, request.fills_after.get(name)):
                    fills.append(venue_fill(trade, name, await self._name_of(name, trade)))
        except CallFailed as failed:
            detail = f"{failed.outcome.code}: {failed.outcome.detail}"
            return AccountRead(
                request_id=request_id, ok=False, balances=(), open_orders=(), fills=(), detail=detail[:300]
            )
        except BadFrame as error:
            return AccountRead(
                request_id=request_id, ok=False, balances=(), open_orders=(), fills=(), detail=str(error)
            )
        return AccountRead(
            request_id=request_id,
            ok=True,
            balances=balances,
            open_orders=tuple(orders),
            fills=tuple(fills),
            detail="",
        )

    async def _trades_after(self, instrument: str, exec_id: str | None) -> list[RawTrade]:
        """All executions behind `exec_id`, page by page; without one, the most recent page."""
        params: dict[str, Any] = {"symbol": symbol_of(instrument), "limit": TRADES_PAGE}
        if exec_id is None:
            return as_trades(await self._ask(self._exchange.private_get_mytrades, params, TRADES_WEIGHT))
        found: list[RawTrade] = []
        first = int(exec_id) + 1
        while True:
            asked = {**params, "fromId": first}
            page = as_trades(await self._ask(self._exchange.private_get_mytrades, asked, TRADES_WEIGHT))
            found += page
            if len(page) < TRADES_PAGE:
                return found
            first = max(each.id for each in page) + 1

    async def _name_of(self, instrument: str, trade: RawTrade) -> str:
        """The client id of the order behind an execution: from what we have seen, or else from the venue."""
        key = (instrument, str(trade.order_id))
        if key not in self._names:
            params = {"symbol": symbol_of(instrument), "orderId": str(trade.order_id)}
            raw = await self._ask(self._exchange.private_get_order, params, LOOK_UP_WEIGHT)
            self._remember(venue_order(as_order(raw), instrument))
        return self._names[key]

    def _remember(self, order: VenueOrder) -> None:
        self._names[order.instrument, order.venue_order_id] = order.cl_ord_id
        while len(self._names) > NAMES_KEPT:
            del self._names[next(iter(self._names))]

    # --- the wire ---------------------------------------------------------------------------------------------------

    async def _take(self, weight: int, lane: Lane, orders: int = 0) -> None:
        deadline_s = self._settings.exec_deadline_ms / 1000
        await self._context.budget.take(self._venue, weight, lane, deadline_s, orders=orders)

    async def _ask(self, call: Call, params: dict[str, Any], weight: int, lane: Lane = "data") -> Any:
        """`_call` for questions, which stay unasked while the venue has told us to be quiet, or there is no room for them.

        Raises:
            CallFailed
        """
        try:
            await self._take(weight, lane)
        except NotGranted as error:
            raise CallFailed(Heard(), error) from None
        return await self._call(call, params)

    async def _call(self, call: Call, params: dict[str, Any]) -> Any:
        """One request within our own deadline.

        Raises:
            CallFailed: anything but an answer with status 200 came of it.
        """
        heard = Heard()
        token = _heard.set(heard)
        try:
            async with asyncio.timeout(self._settings.exec_deadline_ms / 1000):
                raw = await call(params)
        except Exception as error:  # noqa: BLE001  ccxt raises whatever Python raises on nonsense; the wire decides what it proves
            raise CallFailed(heard, error) from None
        finally:
            _heard.reset(token)
        return raw

    def _client(self) -> Any:
        exchange = ccxt.pro.binance(self._config)
        follow_clock(exchange, self._context.clock.now)
        return exchange

    def _stream_client(self) -> Any:
        """For the user stream: its few REST calls wait like orders, for without it fills are heard late."""
        exchange = self._client()
        spend_from(self._context.budget, exchange, self._venue, lane="orders", deadline_s=CONNECT_S_MAX)
        return exchange


def _listen_in(exchange: Any) -> None:
    """Let every request of `exchange` note in its `Heard` that it left, and what came back."""
    send, take = exchange.fetch, exchange.on_rest_response

    async def fetch(*args: Any, **kwargs: Any) -> Any:
        _heard.get().sent = True
        return await send(*args, **kwargs)

    def on_rest_response(code: int, reason: str, url: str, method: str, headers: Any, body: str, *more: Any) -> Any:
        heard = _heard.get()
        heard.status, heard.body = code, body
        return take(code, reason, url, method, headers, body, *more)

    exchange.fetch, exchange.on_rest_response = fetch, on_rest_response


def _order_params(request: SubmitOrder) -> dict[str, Any]:
    """The order exactly as decided. MARKET and STOP_LOSS have neither price nor time in force."""
    params: dict[str, Any] = {
        "symbol": symbol_of(request.instrument),
        "side": request.side,
        "type": request.ord_type,
        "quantity": f"{plain(request.order_qty):f}",
        "newClientOrderId": request.cl_ord_id,
        "newOrderRespType": "FULL",
    }
    if request.limit_px is not None:
        params |= {"price": f"{plain(request.limit_px):f}", "timeInForce": request.time_in_force}
    if request.stop_px is not None:
        params["stopPrice"] = f"{plain(request.stop_px):f}"
    return params


def _answered(request_id: str, request: SubmitOrder | CancelOrder, outcome: Outcome) -> OrderAnswered:
    return OrderAnswered(
        request_id=request_id,
        instrument=request.instrument,
        cl_ord_id=request.cl_ord_id,
        outcome=outcome.verdict,
        order=None,
        fills=(),
        code=outcome.code,
        detail=outcome.detail[:300],
    )


def _confirmed(
    request_id: str, request: SubmitOrder | CancelOrder, order: VenueOrder, fills: tuple[VenueFill, ...]
) -> OrderAnswered:
    return OrderAnswered(
        request_id=request_id,
        instrument=request.instrument,
        cl_ord_id=request.cl_ord_id,
        outcome="CONFIRMED",
        order=order,
        fills=fills,
        code="",
        detail="",
    )


def _looked_up(
    request_id: str,
    request: LookUpOrder,
    outcome: Any,
    order: VenueOrder | None,
    fills: tuple[VenueFill, ...],
    detail: str,
) -> OrderLookedUp:
    return OrderLookedUp(
        request_id=request_id,
        instrument=request.instrument,
        cl_ord_id=request.cl_ord_id,
        outcome=outcome,
        order=order,
        fills=fills,
        detail=detail[:300],
    )
