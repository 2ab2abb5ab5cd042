"""What changes KuCoin: orders and stops, placed and taken back. Sent once, as at Binance (`ordering`).

POST answers with ids alone: what became of an order at once is asked for afterwards, and if that fails the order is still confirmed,
as new. KuCoin's own pairs are another kind of order with another life, and are not used: a pair is refused here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.messages import OrderAnswered, PairAnswered, ReplaceAnswered, VenueFill, VenueOrder
from libs.common.money import plain
from libs.runtime.adapter import AdapterContext
from services.order_executor.adapters.classify import Outcome
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.frames import MS, BadFrame
from services.order_executor.adapters.kucoin_classify import is_not_there
from services.order_executor.adapters.kucoin_frames import Ids, data_of
from services.order_executor.adapters.kucoin_questions import KucoinQuestions
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.ordering import (
    ANOTHER,
    Ordering,
    answered,
    as_placed,
    bad_answer,
    confirmed,
    pair_failed,
)
from services.order_executor.adapters.replacing import not_done
from services.order_executor.adapters.wire import CallFailed, Wire
from services.order_executor.requests import CancelOrder, CancelPair, ReplaceOrder, SubmitOrder, SubmitPair

NO_REPLACING = Outcome("REJECTED", "NO_REPLACING", "orders are not replaced in one step here")
NO_PAIRS = Outcome("REJECTED", "NO_PAIRS", "pairs are not used at KuCoin")
NOT_SHOWN = "taken back, and not shown"
STOP_TYPES = ("STOP_LOSS", "STOP_LOSS_LIMIT")


class KucoinOrdering(Ordering):
    """The requests that place and cancel."""

    def __init__(
        self, wire: Wire, context: AdapterContext, names: OrderNames, questions: KucoinQuestions, drift: ClockDrift
    ) -> None:
        super().__init__(wire, context, names)
        self._questions = questions
        self._drift = drift

    async def submit(self, request_id: str, request: SubmitOrder) -> OrderAnswered:
        """One new order."""
        exchange = self._wire.exchange
        is_stop = request.ord_type in STOP_TYPES
        call = exchange.private_post_stop_order if is_stop else exchange.private_post_hf_orders
        began_ms = self._drift.now_ns() // MS
        raw = await self._submitted(call, _order_params(request), request, orders=1)
        if isinstance(raw, Outcome):
            return answered(request_id, request, raw)
        try:
            ids = data_of(raw, Ids)
            if ids.client_oid not in ("", request.cl_ord_id):
                raise BadFrame(ANOTHER)
        except BadFrame as error:
            return answered(request_id, request, bad_answer(error))
        placed = as_placed(request, ids.order_id, began_ms * MS)
        self._remember(placed)
        if is_stop:
            return confirmed(request_id, request, placed, ())
        return confirmed(request_id, request, *await self._as_shown(placed))

    async def cancel(self, request_id: str, request: CancelOrder) -> OrderAnswered:
        """Take one order back, be it a stop that waits or an order: where KuCoin does not say which, both are tried."""
        asked = {"symbol": request.instrument, "clientOid": request.cl_ord_id}
        try:
            stop = await self._questions.stop(request.instrument, request.cl_ord_id)
            may_be_stop = stop is not None
        except (CallFailed, BadFrame):
            stop, may_be_stop = None, True
        if may_be_stop:
            raw = await self._cancelled(self._wire.exchange.private_delete_stop_order_cancelorderbyclientoid, asked)
            if not isinstance(raw, Outcome):
                return self._stop_cancelled(request_id, request, stop)
            if not is_not_there(raw):
                return answered(request_id, request, raw)
        return await self._cancel_order(request_id, request, asked)

    def _stop_cancelled(self, request_id: str, request: CancelOrder, stop: VenueOrder | None) -> OrderAnswered:
        """The cancel of a stop was taken; unless we know what it was, the order has to be looked up."""
        if stop is None:
            return answered(request_id, request, bad_answer(BadFrame(NOT_SHOWN)))
        now_ms = self._drift.now_ns() // MS
        gone = msgspec.structs.replace(stop, ord_status="CANCELED", ts_event=now_ms * MS)
        return confirmed(request_id, request, gone, ())

    async def submit_pair(self, request_id: str, request: SubmitPair) -> PairAnswered:
        """Refused, about the order: whoever asks goes on without pairs."""
        return pair_failed(request_id, request.instrument, request.stop_id, NO_PAIRS)

    async def replace(self, request_id: str, request: ReplaceOrder) -> ReplaceAnswered:
        """Refused: there is no such step."""
        return not_done(request_id, request, NO_REPLACING)

    async def cancel_pair(self, request_id: str, request: CancelPair) -> PairAnswered:
        """Refused: there is none."""
        return pair_failed(request_id, request.instrument, request.list_id, NO_PAIRS)

    async def _cancel_order(self, request_id: str, request: CancelOrder, asked: dict[str, Any]) -> OrderAnswered:
        """A cancel that was taken says nothing of how the order ended: it is asked for."""
        raw = await self._cancelled(self._wire.exchange.private_delete_hf_orders_client_order_clientoid, asked)
        if isinstance(raw, Outcome):
            return answered(request_id, request, raw)
        try:
            order = await self._questions.order(request.instrument, request.cl_ord_id)
            if order is None:
                raise BadFrame(NOT_SHOWN)
            fills = await self._questions.fills_of(order) if order.cum_qty else ()
        except CallFailed as failed:
            return answered(request_id, request, Outcome("UNKNOWN", failed.outcome.code, failed.outcome.detail))
        except BadFrame as error:
            return answered(request_id, request, bad_answer(error))
        return confirmed(request_id, request, order, fills)

    async def _as_shown(self, placed: VenueOrder) -> tuple[VenueOrder, tuple[VenueFill, ...]]:
        """The order as KuCoin shows it now, with its executions; as it was placed, where KuCoin does not say."""
        try:
            order = await self._questions.order(placed.instrument, placed.cl_ord_id)
            if order is None or not order.cum_qty:
                return order or placed, ()
            return order, await self._questions.fills_of(order)
        except (CallFailed, BadFrame):
            return placed, ()


def _order_params(request: SubmitOrder) -> dict[str, Any]:
    """The order exactly as decided. A sale is stopped by a fall ("loss"), a purchase by a rise ("entry")."""
    params: dict[str, Any] = {
        "clientOid": request.cl_ord_id,
        "symbol": request.instrument,
        "side": request.side.lower(),
        "type": "market" if request.limit_px is None else "limit",
        "size": f"{plain(request.order_qty):f}",
    }
    if request.limit_px is not None:
        params |= {"price": f"{plain(request.limit_px):f}", "timeInForce": request.time_in_force}
    if request.stop_px is not None:
        params |= {
            "stop": "loss" if request.side == "SELL" else "entry",
            "stopPrice": f"{plain(request.stop_px):f}",
        }
    return params
