"""What changes Kraken: orders placed and taken back. It links no orders: a pair is refused before anything is sent.

AddOrder answers with an id and nothing else. What may have filled at once is therefore asked for, once, after it; if that fails, the order
is confirmed as new, and the user stream or a reading tells the rest. CancelOrder answers with a number: how the order ended is asked
for likewise, and a cancel whose end is not seen is UNKNOWN, which has it looked up.
"""

from __future__ import annotations

from typing import Any

from libs.common.messages import OrderAnswered, PairAnswered, ReplaceAnswered
from libs.common.money import plain
from libs.runtime.adapter import AdapterContext, NotGranted
from services.order_executor.adapters.classify import Outcome
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.frames import BadFrame
from services.order_executor.adapters.kraken_frames import NAMES, Cancelled, Placed, result_of
from services.order_executor.adapters.kraken_names import pair_of
from services.order_executor.adapters.kraken_questions import KrakenQuestions
from services.order_executor.adapters.kraken_wire import KrakenWire
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.ordering import Ordering, answered, as_placed, confirmed, pair_failed
from services.order_executor.adapters.replacing import not_done
from services.order_executor.adapters.wire import CallFailed
from services.order_executor.requests import CancelOrder, CancelPair, ReplaceOrder, SubmitOrder, SubmitPair

NO_REPLACING = Outcome("REJECTED", "NO_REPLACING", "orders are not replaced in one step here")
NO_PAIRS = Outcome("REJECTED", "PAIRS_NOT_OFFERED", "Kraken links no orders")


class KrakenOrdering(Ordering):
    """The requests that place and cancel."""

    def __init__(
        self,
        wire: KrakenWire,
        context: AdapterContext,
        names: OrderNames,
        questions: KrakenQuestions,
        drift: ClockDrift,
    ) -> None:
        super().__init__(wire, context, names)
        self._kraken = wire
        self._questions = questions
        self._drift = drift

    async def submit(self, request_id: str, request: SubmitOrder) -> OrderAnswered:
        """One new order."""
        raw = await self._submitted(self._kraken.add_order, order_params(request), request, orders=1)
        if isinstance(raw, Outcome):
            return answered(request_id, request, raw)
        try:
            txids = result_of(raw, Placed).txid
            if len(txids) != 1 or not txids[0]:
                raise BadFrame("the answer does not name one order")
        except BadFrame as error:
            return answered(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", str(error)))
        self._names.remember(request.instrument, txids[0], request.cl_ord_id)
        if request.stop_px is None:
            try:
                found = await self._questions.by_txid(txids[0], request.cl_ord_id, request.instrument)
            except (CallFailed, BadFrame):
                found = None
            if found is not None:
                return confirmed(request_id, request, *found)
        return confirmed(request_id, request, as_placed(request, txids[0], self._drift.now_ns()), ())

    async def submit_pair(self, request_id: str, request: SubmitPair) -> PairAnswered:
        """Refused, unsent."""
        return pair_failed(request_id, request.instrument, request.stop_id, NO_PAIRS)

    async def replace(self, request_id: str, request: ReplaceOrder) -> ReplaceAnswered:
        """Refused, unsent: Kraken amends orders, and that is not used."""
        return not_done(request_id, request, NO_REPLACING)

    async def cancel_pair(self, request_id: str, request: CancelPair) -> PairAnswered:
        """Refused, unsent."""
        return pair_failed(request_id, request.instrument, request.list_id, NO_PAIRS)

    async def cancel(self, request_id: str, request: CancelOrder) -> OrderAnswered:
        """Take one order back."""
        raw = await self._cancelled(self._kraken.cancel_order, {"cl_ord_id": request.cl_ord_id})
        if isinstance(raw, Outcome):
            return answered(request_id, request, raw)
        try:
            count = result_of(raw, Cancelled).count
            found = await self._questions.find(request.cl_ord_id, request.instrument, only_closed=True)
        except CallFailed as failed:
            return answered(request_id, request, Outcome("UNKNOWN", "NOT_SEEN", f"cancelled, then {failed.text}"))
        except BadFrame as error:
            return answered(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", str(error)))
        if found is None:
            return answered(request_id, request, Outcome("UNKNOWN", "NOT_SEEN", f"count {count}, but it is not closed"))
        return confirmed(request_id, request, *found)

    async def _no_room(self, orders: int) -> str:
        """Take the room of an order or a cancel; why there is none, "" if it was taken."""
        try:
            await self._kraken.take_order()
        except NotGranted as error:
            return str(error)
        return ""


def order_params(request: SubmitOrder) -> dict[str, Any]:
    """The order exactly as decided; fees in quote, so that what was bought can all be sold."""
    params: dict[str, Any] = {
        "pair": pair_of(request.instrument),
        "type": request.side.lower(),
        "ordertype": NAMES[request.ord_type],
        "volume": f"{plain(request.order_qty):f}",
        "cl_ord_id": request.cl_ord_id,
        "oflags": "fciq",
    }
    limit_px, stop_px = (None if px is None else f"{plain(px):f}" for px in (request.limit_px, request.stop_px))
    if stop_px is not None:
        params |= {"price": stop_px} if limit_px is None else {"price": stop_px, "price2": limit_px}
    elif limit_px is not None:
        params |= {"price": limit_px, "timeinforce": request.time_in_force}
    return params
