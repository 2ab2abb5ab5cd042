"""Questions to KuCoin that change nothing: one order, and the whole account.

A stop and the order it becomes live in two lists, and it moves from the first to the second. Whoever looks into the stops first and
into the orders afterwards cannot miss it; what is in neither is nowhere.
"""

from __future__ import annotations

from typing import Any

from libs.common.messages import AccountRead, OrderLookedUp, VenueFill, VenueOrder
from libs.runtime.adapter import AdapterContext
from libs.runtime.weight_breaker import Lane
from services.order_executor.adapters.frames import MS, BadFrame
from services.order_executor.adapters.kucoin_classify import is_not_there
from services.order_executor.adapters.kucoin_frames import (
    Fills,
    RawFill,
    Stops,
    balances_of,
    data_of,
    fill_of,
    order_of,
    orders_of,
    rested,
    stop_of,
)
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.questions import looked_up, unread
from services.order_executor.adapters.wire import Call, CallFailed, Wire
from services.order_executor.requests import LookUpOrder, ReadAccount

ORDER_WEIGHT, STOP_WEIGHT, STOPS_WEIGHT, FILLS_WEIGHT, ACCOUNTS_WEIGHT = 2, 3, 8, 2, 5
"""What KuCoin counts a request as."""
FILLS_PAGE, STOPS_PAGE = 100, 500
WEEK_MS = 7 * 86_400_000
WEEKS_MAX = 5
"""KuCoin tells the executions of at most a week at once; so far back we look for the last one we know."""


class KucoinQuestions:
    """The requests that ask."""

    def __init__(self, wire: Wire, context: AdapterContext, names: OrderNames) -> None:
        self._wire = wire
        self._context = context
        self._names = names
        self._found: dict[str, str] = {}

    async def look_up(self, request_id: str, request: LookUpOrder) -> OrderLookedUp:
        """One order by its client id, with its executions."""
        try:
            order = await self.find(request.instrument, request.cl_ord_id)
            fills = () if order is None or not order.cum_qty else await self.fills_of(order)
        except CallFailed as failed:
            return looked_up(request_id, request, "FAILED", None, (), failed.text)
        except BadFrame as error:
            return looked_up(request_id, request, "FAILED", None, (), str(error))
        if order is None:
            return looked_up(
                request_id, request, "NOT_FOUND", None, (), "neither a stop nor an order has this client id"
            )
        return looked_up(request_id, request, "FOUND", order, fills, "")

    async def find(self, instrument: str, cl_ord_id: str) -> VenueOrder | None:
        """The stop or the order with this client id; None: KuCoin says that it has neither.

        Raises:
            CallFailed, BadFrame
        """
        return await self.stop(instrument, cl_ord_id) or await self.order(instrument, cl_ord_id)

    async def stop(self, instrument: str, cl_ord_id: str) -> VenueOrder | None:
        """The stop that waits under this client id.

        Raises:
            CallFailed, BadFrame
        """
        asked = {"symbol": instrument, "clientOid": cl_ord_id}
        call = self._wire.exchange.private_get_stop_order_queryorderbyclientoid
        raw = await self._there(call, asked, STOP_WEIGHT)
        return self._mine(None if raw is None else stop_of(raw), instrument, cl_ord_id)

    async def order(self, instrument: str, cl_ord_id: str) -> VenueOrder | None:
        """The ordinary order with this client id.

        Raises:
            CallFailed, BadFrame
        """
        asked = {"symbol": instrument, "clientOid": cl_ord_id}
        call = self._wire.exchange.private_get_hf_orders_client_order_clientoid
        raw = await self._there(call, asked, ORDER_WEIGHT)
        return self._mine(None if raw is None else order_of(raw), instrument, cl_ord_id)

    async def fills_of(self, order: VenueOrder) -> tuple[VenueFill, ...]:
        """The executions of an order, oldest first.

        Raises:
            CallFailed, BadFrame
        """
        params = {"symbol": order.instrument, "orderId": order.venue_order_id}
        found, _ = await self._pages(params, "", "orders")
        return tuple(fill_of(each, order.cl_ord_id) for each in reversed(found))

    async def read_account(self, request_id: str, request: ReadAccount) -> AccountRead:
        """Balances first and executions last, so that whatever moves the balances in between shows as an execution."""
        try:
            raw = await self._wire.ask(self._wire.exchange.private_get_accounts, {}, ACCOUNTS_WEIGHT)
            balances = balances_of(raw)
            orders: dict[tuple[str, str], VenueOrder] = {}
            for name in request.instruments:
                for order in [*await self._stops(name), *await self._orders(name)]:
                    orders[name, order.cl_ord_id or order.venue_order_id] = order
            for order in orders.values():
                self._remember(order)
            fills: list[VenueFill] = []
            for name in request.instruments:
                for trade in await self._fills_after(name, request.fills_after.get(name)):
                    fills.append(fill_of(trade, await self._name_of(trade)))
        except CallFailed as failed:
            return unread(request_id, failed.text)
        except BadFrame as error:
            return unread(request_id, str(error))
        return AccountRead(
            request_id=request_id,
            ok=True,
            balances=balances,
            open_orders=tuple(orders.values()),
            fills=tuple(fills),
            detail="",
        )

    async def _orders(self, instrument: str) -> list[VenueOrder]:
        call = self._wire.exchange.private_get_hf_orders_active
        return orders_of(await self._wire.ask(call, {"symbol": instrument}, ORDER_WEIGHT))

    async def _stops(self, instrument: str) -> list[VenueOrder]:
        found: list[VenueOrder] = []
        page = 1
        while True:
            params = {"symbol": instrument, "currentPage": page, "pageSize": STOPS_PAGE}
            shown = data_of(
                await self._wire.ask(self._wire.exchange.private_get_stop_order, params, STOPS_WEIGHT), Stops
            )
            found += [rested(each) for each in shown.items]
            if page >= shown.total_page:
                return found
            page += 1

    async def _fills_after(self, instrument: str, exec_id: str | None) -> list[RawFill]:
        """All executions behind `exec_id`, oldest first; without one, the most recent page."""
        params: dict[str, Any] = {"symbol": instrument}
        if exec_id is None:
            newest = await self._page({**params, "limit": FILLS_PAGE}, "data")
            return newest.items[::-1]
        found, reached = await self._pages(params, exec_id, "data")
        weeks = 1 if self._found.get(instrument) == exec_id else WEEKS_MAX
        ends = self._context.clock.now() // MS
        for week in range(1, weeks):
            if reached:
                break
            span = {"startAt": ends - (week + 1) * WEEK_MS, "endAt": ends - week * WEEK_MS}
            older, reached = await self._pages({**params, **span}, exec_id, "data")
            found += older
        self._found[instrument] = exec_id
        by_id = {each.id: each for each in found}
        return [by_id[number] for number in sorted(by_id)]

    async def _pages(self, params: dict[str, Any], exec_id: str, lane: Lane) -> tuple[list[RawFill], bool]:
        """Executions newer than `exec_id` ("": all), newest first, and whether it was met."""
        known = int(exec_id or 0)
        found: list[RawFill] = []
        more: dict[str, Any] = {"limit": FILLS_PAGE}
        while True:
            page = await self._page({**params, **more}, lane)
            found += [each for each in page.items if each.id > known]
            if any(each.id <= known for each in page.items):
                return found, True
            if len(page.items) < FILLS_PAGE or not page.last_id or more.get("lastId") == page.last_id:
                return found, False
            more["lastId"] = page.last_id

    async def _page(self, params: dict[str, Any], lane: Lane) -> Fills:
        return data_of(
            await self._wire.ask(self._wire.exchange.private_get_hf_fills, params, FILLS_WEIGHT, lane), Fills
        )

    async def _name_of(self, trade: RawFill) -> str:
        """The client id of the order behind an execution: from what we have seen, or else from KuCoin; "" if it does not say."""
        known = self._names.find(trade.symbol, trade.order_id)
        if known is not None:
            return known
        asked = {"symbol": trade.symbol, "orderId": trade.order_id}
        raw = await self._there(self._wire.exchange.private_get_hf_orders_orderid, asked, ORDER_WEIGHT, "data")
        order = None if raw is None else order_of(raw)
        name = "" if order is None else order.cl_ord_id
        self._names.remember(trade.symbol, trade.order_id, name)
        return name

    async def _there(self, call: Call, params: dict[str, Any], weight: int, lane: Lane = "orders") -> Any:
        """The answer about an order; None where KuCoin refuses to know it."""
        try:
            return await self._wire.ask(call, params, weight, lane)
        except CallFailed as failed:
            if not is_not_there(failed.outcome):
                raise
            return None

    def _mine(self, order: VenueOrder | None, instrument: str, cl_ord_id: str) -> VenueOrder | None:
        if order is None:
            return None
        if (order.cl_ord_id, order.instrument) != (cl_ord_id, instrument):
            raise BadFrame("the answer is about another order")
        self._remember(order)
        return order

    def _remember(self, order: VenueOrder) -> None:
        self._names.remember(order.instrument, order.venue_order_id, order.cl_ord_id)
