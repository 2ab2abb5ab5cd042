"""Questions that change nothing at Kraken: one order by its client id, and the whole account.

An order is looked for among the open ones, then among the closed ones, so that one which closes in between is found. QueryOrders does not
know client ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from libs.common.messages import AccountRead, OrderLookedUp, VenueFill, VenueOrder
from libs.runtime.weight_breaker import Lane
from services.order_executor.adapters.frames import BadFrame
from services.order_executor.adapters.kraken_frames import (
    NS,
    ClosedOrders,
    OpenOrders,
    RawOrder,
    RawTrade,
    Trades,
    balances_of,
    result_of,
    venue_fill,
    venue_order,
)
from services.order_executor.adapters.kraken_history import ReadUpTo, txids_of
from services.order_executor.adapters.kraken_names import by_pair
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.questions import looked_up, unread
from services.order_executor.adapters.wire import Call, CallFailed, Wire
from services.order_executor.requests import NEVER_SENT, LookUpOrder, ReadAccount

WEIGHT, HISTORY_WEIGHT = 1, 2
"""What Kraken adds to the account's counter."""
PAGE, ORDERS_PAGE, QUERY_PAGE = 50, 50, 20
"""Executions in TradesHistory, orders in QueryOrders, executions in QueryTrades."""
TRIES, TRY_S = 8, 1.0
"""A long history is read as the budget allows."""


class KrakenQuestions:
    """The requests that ask."""

    def __init__(self, wire: Wire, names: OrderNames, read_up_to: ReadUpTo) -> None:
        self._wire = wire
        self._names = names
        self._read_up_to = read_up_to

    async def look_up(self, request_id: str, request: LookUpOrder) -> OrderLookedUp:
        """One order by its client id, with its executions."""
        try:
            found = await self.find(request.cl_ord_id, request.instrument)
        except CallFailed as failed:
            return looked_up(request_id, request, "FAILED", None, (), failed.text)
        except BadFrame as error:
            return looked_up(request_id, request, "FAILED", None, (), str(error))
        if found is None:
            return looked_up(request_id, request, "NOT_FOUND", None, (), "neither open nor closed")
        return looked_up(request_id, request, "FOUND", found[0], found[1], "")

    async def find(
        self, cl_ord_id: str, instrument: str, *, only_closed: bool = False
    ) -> tuple[VenueOrder, tuple[VenueFill, ...]] | None:
        """The newest order with this client id, and its executions.

        Raises:
            CallFailed, BadFrame
        """
        exchange, params = self._wire.exchange, {"cl_ord_id": cl_ord_id, "trades": "true"}
        found: dict[str, RawOrder] = {}
        if not only_closed:
            found = result_of(await self._orders(exchange.private_post_openorders, params), OpenOrders).open
        if not found:
            found = result_of(await self._orders(exchange.private_post_closedorders, params), ClosedOrders).closed
        if any(raw.cl_ord_id != cl_ord_id for raw in found.values()):
            raise BadFrame("the answer is about another order")
        if not found:
            return None
        txid = max(found, key=lambda each: found[each].opentm)
        return await self._with_fills(txid, found[txid], instrument)

    async def by_txid(
        self, txid: str, cl_ord_id: str, instrument: str
    ) -> tuple[VenueOrder, tuple[VenueFill, ...]] | None:
        """The order that was just placed, and its executions so far; None if the venue does not show it (yet).

        Raises:
            CallFailed, BadFrame
        """
        params = {"txid": txid, "trades": "true"}
        raw = await self._orders(self._wire.exchange.private_post_queryorders, params)
        found = result_of(raw, dict[str, RawOrder]).get(txid)
        if found is None or found.cl_ord_id != cl_ord_id:
            return None
        return await self._with_fills(txid, found, instrument)

    async def read_account(self, request_id: str, request: ReadAccount) -> AccountRead:
        """Balances first and executions last, so that whatever moves the balances in between shows as an execution."""
        exchange = self._wire.exchange
        ours = by_pair(request.instruments)
        try:
            balances = balances_of(await self._wire.ask(exchange.private_post_balanceex, {}, WEIGHT))
            shown = result_of(await self._wire.ask(exchange.private_post_openorders, {}, WEIGHT), OpenOrders).open
            orders = tuple(
                venue_order(txid, raw, ours[raw.descr.pair]) for txid, raw in shown.items() if raw.descr.pair in ours
            )
            for order in orders:
                self._names.remember(order.instrument, order.venue_order_id, order.cl_ord_id)
            trades = [each for each in await self._trades(request) if each[1].pair in ours]
            names = await self._names_of({(ours[raw.pair], raw.ordertxid) for _, raw in trades})
            fills = tuple(
                venue_fill(txid, raw, ours[raw.pair], names[raw.ordertxid]) for txid, raw in sorted(trades, key=_age)
            )
        except CallFailed as failed:
            return unread(request_id, failed.text)
        except BadFrame as error:
            return unread(request_id, str(error))
        self._read_up_to.told(fills)
        return AccountRead(
            request_id=request_id, ok=True, balances=balances, open_orders=orders, fills=fills, detail=""
        )

    async def _with_fills(self, txid: str, raw: RawOrder, instrument: str) -> tuple[VenueOrder, tuple[VenueFill, ...]]:
        order = venue_order(txid, raw, instrument)
        self._names.remember(instrument, txid, order.cl_ord_id)
        found = await self._query_trades(raw.trades, "orders")
        fills = [venue_fill(each, found[each], instrument, order.cl_ord_id) for each in raw.trades if each in found]
        return order, tuple(sorted(fills, key=lambda fill: fill.ts_event))

    async def _orders(self, call: Call, params: dict[str, Any]) -> Any:
        return await self._wire.ask(call, params, WEIGHT, "orders")

    async def _query_trades(self, txids: list[str], lane: Lane) -> dict[str, RawTrade]:
        found: dict[str, RawTrade] = {}
        for part in _parts(txids, QUERY_PAGE):
            asked = {"txid": ",".join(part)}
            raw = await self._wire.ask(self._wire.exchange.private_post_querytrades, asked, WEIGHT, lane)
            found |= result_of(raw, dict[str, RawTrade])
        return found

    async def _trades(self, request: ReadAccount) -> list[tuple[str, RawTrade]]:
        """All executions that the machine may not know, newest first; when it knows none, the most recent page."""
        params: dict[str, Any] = {}
        since = Decimal(self._read_up_to.since()) / NS
        marks = txids_of(request.fills_after.values())
        if not since and marks:
            told = await self._query_trades(marks, "data")
            since = min((raw.time for raw in told.values()), default=Decimal(0)) - 1
        if since > 0:
            params["start"] = f"{since:f}"
        found: dict[str, RawTrade] = {}
        while True:
            asked = {**params, "ofs": len(found)} if found else params
            page = result_of(await self._page(asked, is_first=not found), Trades).trades
            fresh = page.keys() - found.keys()
            found |= page
            if not params or len(page) < PAGE or not fresh:
                return list(found.items())

    async def _page(self, params: dict[str, Any], *, is_first: bool) -> Any:
        """A page of the history; those after the first wait for room in the budget, rather than that none is ever read to the end."""
        tries = 1 if is_first else TRIES
        call = self._wire.exchange.private_post_tradeshistory
        while True:
            tries -= 1
            try:
                return await self._wire.ask(call, params, HISTORY_WEIGHT)
            except CallFailed as failed:
                if not tries or failed.outcome.code != NEVER_SENT:
                    raise
            await asyncio.sleep(TRY_S)

    async def _names_of(self, wanted: set[tuple[str, str]]) -> dict[str, str]:
        """The client ids behind the orders `wanted` (instrument, txid): from what we have seen, or else from the venue."""
        known = {txid: self._names.find(instrument, txid) for instrument, txid in wanted}
        missing = sorted(txid for txid, name in known.items() if name is None)
        shown: dict[str, RawOrder] = {}
        for part in _parts(missing, ORDERS_PAGE):
            asked = {"txid": ",".join(part)}
            raw = await self._wire.ask(self._wire.exchange.private_post_queryorders, asked, WEIGHT)
            shown |= result_of(raw, dict[str, RawOrder])
        names: dict[str, str] = {}
        for instrument, txid in wanted:
            name = known[txid]
            if name is None:
                name = (shown[txid].cl_ord_id or "") if txid in shown else ""
                self._names.remember(instrument, txid, name)
            names[txid] = name
        return names


def _parts(ids: list[str], size: int) -> Iterable[list[str]]:
    return (ids[first : first + size] for first in range(0, len(ids), size))


def _age(trade: tuple[str, RawTrade]) -> tuple[Decimal, str]:
    return trade[1].time, trade[0]
