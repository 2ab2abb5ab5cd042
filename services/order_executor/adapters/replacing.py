"""Cancel/replace at Binance: the request, and what each of its answers proves (`POST order/cancelReplace`, STOP_ON_FAILURE).

200, both SUCCESS, about our two orders                    CONFIRMED
4xx: the cancel SUCCESS, the new order FAILURE             HALFWAY, with the code of the new order's refusal
4xx: the cancel FAILURE, the new order NOT_ATTEMPTED       REJECTED, with the code of the cancel's refusal
4xx without these words: a refusal before either           REJECTED
an inner code by which the venue does not know itself,
anything else                                              UNKNOWN
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.messages import ReplaceAnswered, VenueFill, VenueOrder
from services.order_executor.adapters.classify import Heard, Outcome, outcome_of
from services.order_executor.adapters.frames import (
    BadFrame,
    answered_fills,
    converted,
    name_of,
    reports_of,
    venue_order,
)
from services.order_executor.adapters.order_form import order_params
from services.order_executor.adapters.wire import CallFailed
from services.order_executor.requests import ReplaceOrder

SUCCESS, FAILURE, NOT_ATTEMPTED = "SUCCESS", "FAILURE", "NOT_ATTEMPTED"


class _Replaced(msgspec.Struct, rename="camel"):
    cancel_result: str
    new_order_result: str
    cancel_response: Any = None
    new_order_response: Any = None


class _Halted(msgspec.Struct):
    data: _Replaced


def replace_params(request: ReplaceOrder) -> dict[str, Any]:
    """The replacement exactly as decided."""
    how = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": request.replaced_id}
    return order_params(request) | how


def done(request_id: str, request: ReplaceOrder, raw: Any) -> ReplaceAnswered:
    """What an answer with status 200 says.

    Raises:
        BadFrame: it is about something else, or about nothing.
    """
    said = converted(raw, _Replaced)
    if (said.cancel_result, said.new_order_result) != (SUCCESS, SUCCESS):
        raise BadFrame("a replacement that is neither done nor refused")
    gone, _ = _shown(said.cancel_response, request.replaced_id, request.instrument)
    placed, fills = _shown(said.new_order_response, request.cl_ord_id, request.instrument)
    if len(placed) != 1:
        raise BadFrame("the new order is shown as several")
    return _answer(request_id, request, "CONFIRMED", Outcome("UNKNOWN", "", ""), (*gone, *placed), fills)


def halted(request_id: str, request: ReplaceOrder, failed: CallFailed) -> ReplaceAnswered:
    """What a call that failed proves."""
    said = _said(failed.heard)
    if said is None or not 400 <= failed.heard.status < 500:
        return not_done(request_id, request, failed.outcome)
    results = (said.cancel_result, said.new_order_result)
    if results == (FAILURE, NOT_ATTEMPTED):
        return not_done(request_id, request, _judged(said.cancel_response))
    if results != (SUCCESS, FAILURE):
        return not_done(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", f"{results[0]}, {results[1]}"[:100]))
    refusal = _judged(said.new_order_response)
    try:
        gone, fills = _shown(said.cancel_response, request.replaced_id, request.instrument)
    except BadFrame as error:
        return not_done(request_id, request, Outcome("UNKNOWN", "BAD_ANSWER", str(error)))
    outcome = "HALFWAY" if refusal.verdict == "REJECTED" else "UNKNOWN"
    return _answer(request_id, request, outcome, refusal, gone, fills)


def not_done(request_id: str, request: ReplaceOrder, outcome: Outcome) -> ReplaceAnswered:
    """The answer where nothing was shown."""
    return _answer(request_id, request, outcome.verdict, outcome, (), ())


def _said(heard: Heard) -> _Replaced | None:
    try:
        return msgspec.json.decode(heard.body, type=_Halted).data
    except msgspec.DecodeError:
        return None


def _judged(refusal: Any) -> Outcome:
    """What one half's own `{"code": …, "msg": …}` proves, by the rules for a whole answer."""
    return outcome_of(Heard(sent=True, status=400, body=msgspec.json.encode(refusal).decode()), None)


def _shown(raw: Any, cl_ord_id: str, instrument: str) -> tuple[tuple[VenueOrder, ...], tuple[VenueFill, ...]]:
    """The orders of one half of the answer, one of which must be ours, and their fills.

    Raises:
        BadFrame
    """
    reports = reports_of(raw)
    if cl_ord_id not in [name_of(each) for each in reports]:
        raise BadFrame("the answer is about another order")
    orders = tuple(venue_order(each, instrument) for each in reports)
    return orders, tuple(fill for each in reports for fill in answered_fills(each, instrument))


def _answer(
    request_id: str,
    request: ReplaceOrder,
    outcome: str,
    refusal: Outcome,
    orders: tuple[VenueOrder, ...],
    fills: tuple[VenueFill, ...],
) -> ReplaceAnswered:
    return ReplaceAnswered(
        request_id=request_id,
        instrument=request.instrument,
        cl_ord_id=request.cl_ord_id,
        replaced_id=request.replaced_id,
        outcome=outcome,  # type: ignore[arg-type]
        orders=orders,
        fills=fills,
        code=refusal.code,
        detail=refusal.detail[:300],
    )
