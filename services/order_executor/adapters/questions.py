"""Questions that change nothing: one order, and the whole account.

A reading of the account costs a question about executions for each instrument, and one about open orders for each or, where that is the cheaper one,
for all. Several are under way at once, because with a hundred instruments one after the other they would last longer than a reading may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from libs.common.messages import AccountRead, OrderLookedUp, VenueFill, VenueOrder
from services.order_executor.adapters.classify import is_archived, is_not_found
from services.order_executor.adapters.frames import (
    BadFrame,
    RawTrade,
    as_order,
    as_orders,
    as_trades,
    balances_of,
    open_order,
    symbol_of,
    venue_fill,
    venue_order,
)
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.wire import CallFailed, Wire
from services.order_executor.requests import LookUpOrder, ReadAccount

TRADES_PAGE = 1000
LOOK_UP_WEIGHT, ACCOUNT_WEIGHT, OPEN_ORDERS_WEIGHT, TRADES_WEIGHT = 4, 20, 6, 20
ALL_OPEN_ORDERS_WEIGHT = 80
"""What Binance counts a request as."""
AT_ONCE = 8
"""So many questions about executions are under way at once."""


class Questions:
    """The requests that ask."""

    def __init__(self, wire: Wire, names: OrderNames) -> None:
        self._wire = wire
        self._names = names

    async def look_up(self, request_id: str, request: LookUpOrder) -> OrderLookedUp:
        """One order by its client id, with its executions."""
        symbol = symbol_of(request.instrument)
        try:
            asked = {"symbol": symbol, "origClientOrderId": request.cl_ord_id}
            raw = await self._wire.ask(self._wire.exchange.private_get_order, asked, LOOK_UP_WEIGHT, "orders")
            order = venue_order(as_order(raw), request.instrument)
            if order.cl_ord_id != request.cl_ord_id:
                return looked_up(request_id, request, "FAILED", None, (), "the answer is about another order")
            self._remember(order)
            fills: tuple[VenueFill, ...] = ()
            if order.cum_qty:
                params = {"symbol": symbol, "orderId": order.venue_order_id, "limit": TRADES_PAGE}
                raw = await self._wire.ask(self._wire.exchange.private_get_mytrades, params, TRADES_WEIGHT, "orders")
                found = as_trades(raw)
                fills = tuple(venue_fill(each, request.instrument, order.cl_ord_id) for each in found)
        except CallFailed as failed:
            word = "NOT_FOUND" if is_not_found(failed.heard) else "FAILED"
            return looked_up(request_id, request, word, None, (), failed.text)
        except BadFrame as error:
            return looked_up(request_id, request, "FAILED", None, (), str(error))
        return looked_up(request_id, request, "FOUND", order, fills, "")

    async def read_account(self, request_id: str, request: ReadAccount) -> AccountRead:
        """Balances first and executions last, so that whatever moves the balances in between shows as an execution."""
        exchange = self._wire.exchange
        try:
            params: dict[str, Any] = {"omitZeroBalances": "true"}
            account = await self._wire.ask(exchange.private_get_account, params, ACCOUNT_WEIGHT)
            balances = balances_of(account)
            orders = await self._open_orders(request.instruments)
            for order in orders:
                self._remember(order)
            fills = await self._fills_of(request)
        except CallFailed as failed:
            return unread(request_id, failed.text)
        except BadFrame as error:
            return unread(request_id, str(error))
        return AccountRead(
            request_id=request_id,
            ok=True,
            balances=balances,
            open_orders=tuple(orders),
            fills=tuple(fills),
            detail="",
        )

    async def _open_orders(self, instruments: Sequence[str]) -> list[VenueOrder]:
        call = self._wire.exchange.private_get_openorders
        if len(instruments) * OPEN_ORDERS_WEIGHT <= ALL_OPEN_ORDERS_WEIGHT:
            orders: list[VenueOrder] = []
            for name in instruments:
                shown = await self._wire.ask(call, {"symbol": symbol_of(name)}, OPEN_ORDERS_WEIGHT)
                orders += [open_order(each, name) for each in as_orders(shown)]
            return orders
        names = {symbol_of(name): name for name in instruments}
        everything = as_orders(await self._wire.ask(call, {}, ALL_OPEN_ORDERS_WEIGHT))
        return [open_order(each, names[each.symbol]) for each in everything if each.symbol in names]

    async def _fills_of(self, request: ReadAccount) -> list[VenueFill]:
        """The new executions of every instrument, in the order in which the instruments were asked for."""
        names, found = request.instruments, list[VenueFill]()
        for begin in range(0, len(names), AT_ONCE):
            asked = (self._fills_after(name, request.fills_after.get(name)) for name in names[begin : begin + AT_ONCE])
            for answer in await asyncio.gather(
                *asked, return_exceptions=True
            ):  # so that nothing goes on behind our back
                if isinstance(answer, BaseException):
                    raise answer
                found += answer
        return found

    async def _fills_after(self, instrument: str, exec_id: str | None) -> list[VenueFill]:
        trades = await self._trades_after(instrument, exec_id)
        return [venue_fill(each, instrument, await self._name_of(instrument, each)) for each in trades]

    async def _trades_after(self, instrument: str, exec_id: str | None) -> list[RawTrade]:
        """All executions behind `exec_id`, page by page; without one, the most recent page."""
        params: dict[str, Any] = {"symbol": symbol_of(instrument), "limit": TRADES_PAGE}
        if exec_id is None:
            return as_trades(await self._wire.ask(self._wire.exchange.private_get_mytrades, params, TRADES_WEIGHT))
        found: list[RawTrade] = []
        first = int(exec_id) + 1
        while True:
            asked = {**params, "fromId": first}
            page = as_trades(await self._wire.ask(self._wire.exchange.private_get_mytrades, asked, TRADES_WEIGHT))
            found += page
            if len(page) < TRADES_PAGE:
                return found
            first = max(each.id for each in page) + 1

    async def _name_of(self, instrument: str, trade: RawTrade) -> str:
        """The client id of the order behind an execution: from what we have seen, or else from the venue.

        Of an order in the venue's archive it is "".
        """
        number = str(trade.order_id)
        known = self._names.find(instrument, number)
        if known is not None:
            return known
        params = {"symbol": symbol_of(instrument), "orderId": number}
        try:
            shown = as_order(await self._wire.ask(self._wire.exchange.private_get_order, params, LOOK_UP_WEIGHT))
        except CallFailed as failed:
            if not is_archived(failed.heard):
                raise
            return ""
        name = shown.orig_client_order_id or shown.client_order_id
        self._names.remember(instrument, number, name)
        return name

    def _remember(self, order: VenueOrder) -> None:
        self._names.remember(order.instrument, order.venue_order_id, order.cl_ord_id)


def unread(request_id: str, detail: str) -> AccountRead:
    """A reading that failed."""
    return AccountRead(request_id=request_id, ok=False, balances=(), open_orders=(), fills=(), detail=detail[:300])


def looked_up(
    request_id: str,
    request: LookUpOrder,
    outcome: Any,
    order: VenueOrder | None,
    fills: tuple[VenueFill, ...],
    detail: str,
) -> OrderLookedUp:
    """The answer to a look-up."""
    return OrderLookedUp(
        request_id=request_id,
        instrument=request.instrument,
        cl_ord_id=request.cl_ord_id,
        outcome=outcome,
        order=order,
        fills=fills,
        detail=detail[:300],
    )
