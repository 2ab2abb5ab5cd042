"""What changes the venue: orders and pairs, placed and taken back.

A submission is sent once: no retries, no queue to wait in, the lease and the deadline looked at immediately before.
"""

from __future__ import annotations

from typing import Any

from libs.common.messages import OrderAnswered, PairAnswered, ReplaceAnswered, VenueFill, VenueOrder
from libs.common.money import ZERO, plain
from libs.runtime.adapter import AdapterContext, NotGranted
from services.order_executor.adapters.classify import Outcome
from services.order_executor.adapters.frames import (
    BadFrame,
    RawOrder,
    answered_fills,
    as_order,
    as_pair,
    name_of,
    reports_of,
    symbol_of,
    venue_order,
)
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.order_form import order_params
from services.order_executor.adapters.replacing import done, halted, not_done, replace_params
from services.order_executor.adapters.wire import Call, CallFailed, Wire
from services.order_executor.requests import (
    NEVER_SENT,
    CancelOrder,
    CancelPair,
    ReplaceOrder,
    SubmitOrder,
    SubmitPair,
)

ORDER_WEIGHT = 1
"""What Binance counts an order, a pair or a cancel as."""
ANOTHER = "the answer is about another order"


class Ordering:
    """The requests that place and cancel."""

    def __init__(self, wire: Wire, context: AdapterContext, names: OrderNames) -> None:
        self._wire = wire
        self._context = context
        self._names = names

    async def submit(self, request_id: str, request: SubmitOrder) -> OrderAnswered:
        """One new order."""
        raw = await self._submitted(self._wire.exchange.private_post_order, order_params(request), request, orders=1)
        if isinstance(raw, Outcome):
            return answered(request_id, request, raw)
        try:
            shown = as_order(raw)
            order, fills = _named(shown, request.instrument, request.cl_ord_id)
        except BadFrame as error:
            return answered(request_id, request, bad_answer(error))
        self._remember(order)
        return confirmed(request_id, request, order, fills)

    async def submit_pair(self, request_id: str, request: SubmitPair) -> PairAnswered:
        """A stop and a target of which one ends the other."""
        call = self._wire.exchange.private_post_orderlist_oco
        raw = await self._submitted(call, _pair_params(request), request, orders=2)
        wanted = {request.stop_id, request.target_id}
        return self._pair_answered(request_id, request.instrument, request.stop_id, raw, wanted)

    async def replace(self, request_id: str, request: ReplaceOrder) -> ReplaceAnswered:
        """A stop in the place of another, in one step."""
        await self._wire.ready()
        obstacle = await self._no_room(1) or await self._obstacle(request)
        if obstacle:
            return not_done(request_id, request, Outcome("REJECTED", NEVER_SENT, obstacle))
        try:
            raw = await self._wire.send(self._wire.exchange.private_post_order_cancelreplace, replace_params(request))
            answer = done(request_id, request, raw)
        except CallFailed as failed:
            answer = halted(request_id, request, failed)
        except BadFrame as error:
            return not_done(request_id, request, bad_answer(error))
        for order in answer.orders:
            self._remember(order)
        return answer

    async def cancel(self, request_id: str, request: CancelOrder) -> OrderAnswered:
        """Take one order back. That of a pair takes the other with it, and is answered with both."""
        params = {"symbol": symbol_of(request.instrument), "origClientOrderId": request.cl_ord_id}
        raw = await self._cancelled(self._wire.exchange.private_delete_order, params)
        if isinstance(raw, Outcome):
            return answered(request_id, request, raw)
        try:
            shown = next((each for each in reports_of(raw) if name_of(each) == request.cl_ord_id), None)
            if shown is None:
                raise BadFrame(ANOTHER)
            order, _ = _named(shown, request.instrument, request.cl_ord_id)
        except BadFrame as error:
            return answered(request_id, request, bad_answer(error))
        return confirmed(request_id, request, order, ())

    async def cancel_pair(self, request_id: str, request: CancelPair) -> PairAnswered:
        """Take a pair back; the answer says how both of its orders ended."""
        params = {"symbol": symbol_of(request.instrument), "listClientOrderId": request.list_id}
        raw = await self._cancelled(self._wire.exchange.private_delete_orderlist, params)
        return self._pair_answered(request_id, request.instrument, request.list_id, raw, {request.list_id})

    async def _submitted(
        self, call: Call, params: dict[str, Any], request: SubmitOrder | SubmitPair, orders: int
    ) -> Any:
        """The raw answer to a submission, or the `Outcome` without one."""
        await self._wire.ready()
        obstacle = await self._no_room(orders) or await self._obstacle(request)
        if obstacle:
            return Outcome("REJECTED", NEVER_SENT, obstacle)
        try:
            return await self._wire.send(call, params)
        except CallFailed as failed:
            return failed.outcome

    async def _cancelled(self, call: Call, params: dict[str, Any]) -> Any:
        """The raw answer to a cancel, or the `Outcome` without one."""
        await self._wire.ready()
        obstacle = await self._no_room(0)
        if obstacle:
            return Outcome("REJECTED", NEVER_SENT, obstacle)
        try:
            return await self._wire.send(call, params)
        except CallFailed as failed:
            return failed.outcome

    async def _obstacle(self, request: SubmitOrder | SubmitPair | ReplaceOrder) -> str:
        """Why the order must not leave now; "" if nothing stands in its way."""
        if not await self._context.holds_lease():
            return "another instance may hold the lease"
        if self._context.clock.now() > request.valid_until:
            return "older than its valid_until"
        return ""

    async def _no_room(self, orders: int) -> str:
        """Take the weight of an order or a cancel; why there is none, "" if it was taken."""
        try:
            await self._wire.take(ORDER_WEIGHT, "orders", orders)
        except NotGranted as error:
            return str(error)
        return ""

    def _pair_answered(
        self, request_id: str, instrument: str, list_id: str, raw: Any, wanted: set[str]
    ) -> PairAnswered:
        if isinstance(raw, Outcome):
            return pair_failed(request_id, instrument, list_id, raw)
        try:
            pair = as_pair(raw)
            orders = tuple(venue_order(each, instrument) for each in pair.order_reports)
            fills = tuple(fill for each in pair.order_reports for fill in answered_fills(each, instrument))
        except BadFrame as error:
            return pair_failed(request_id, instrument, list_id, bad_answer(error))
        names = {order.cl_ord_id for order in orders}
        if pair.list_client_order_id != list_id or len(names) != 2 or not names >= wanted:
            return pair_failed(
                request_id, instrument, list_id, bad_answer(BadFrame("the answer is about another pair"))
            )
        for order in orders:
            self._remember(order)
        return PairAnswered(
            request_id=request_id,
            instrument=instrument,
            list_id=list_id,
            outcome="CONFIRMED",
            orders=orders,
            fills=fills,
            code="",
            detail="",
        )

    def _remember(self, order: VenueOrder) -> None:
        self._names.remember(order.instrument, order.venue_order_id, order.cl_ord_id)


def _named(raw: RawOrder, instrument: str, cl_ord_id: str) -> tuple[VenueOrder, tuple[VenueFill, ...]]:
    """The order and its fills, if they are of `cl_ord_id`.

    Raises:
        BadFrame
    """
    if name_of(raw) != cl_ord_id:
        raise BadFrame(ANOTHER)
    return venue_order(raw, instrument), answered_fills(raw, instrument)


def bad_answer(error: BadFrame) -> Outcome:
    """What an answer that is none proves: nothing."""
    return Outcome("UNKNOWN", "BAD_ANSWER", str(error))


def _pair_params(request: SubmitPair) -> dict[str, Any]:
    """The pair exactly as decided: of a sale the target is above, the stop below."""
    return {
        "symbol": symbol_of(request.instrument),
        "listClientOrderId": request.stop_id,
        "side": "SELL",
        "quantity": f"{plain(request.order_qty):f}",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": f"{plain(request.target_px):f}",
        "aboveClientOrderId": request.target_id,
        "belowType": "STOP_LOSS",
        "belowStopPrice": f"{plain(request.stop_px):f}",
        "belowClientOrderId": request.stop_id,
        "newOrderRespType": "FULL",
    }


def answered(request_id: str, request: SubmitOrder | CancelOrder, outcome: Outcome) -> OrderAnswered:
    """The answer where nothing was confirmed."""
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


def confirmed(
    request_id: str, request: SubmitOrder | CancelOrder, order: VenueOrder, fills: tuple[VenueFill, ...]
) -> OrderAnswered:
    """The answer of a venue that has the order."""
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


def pair_failed(request_id: str, instrument: str, list_id: str, outcome: Outcome) -> PairAnswered:
    """The answer about a pair where nothing was confirmed."""
    return PairAnswered(
        request_id=request_id,
        instrument=instrument,
        list_id=list_id,
        outcome=outcome.verdict,
        orders=(),
        fills=(),
        code=outcome.code,
        detail=outcome.detail[:300],
    )


def as_placed(request: SubmitOrder, venue_order_id: str, ts: int) -> VenueOrder:
    """What was accepted, before anything became of it. `ts` is before anything the venue can say of it."""
    return VenueOrder(
        cl_ord_id=request.cl_ord_id,
        venue_order_id=venue_order_id,
        instrument=request.instrument,
        side=request.side,
        ord_type=request.ord_type,
        ord_status="NEW",
        order_qty=request.order_qty,
        cum_qty=ZERO,
        limit_px=request.limit_px,
        stop_px=request.stop_px,
        ts_event=ts,
    )
