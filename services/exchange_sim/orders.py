"""From the parameters of a request, REST or WebSocket alike, to the venue's order and back."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from libs.common.ids import derive_id
from libs.common.instruments import instrument_of
from libs.common.messages import Side, TimeInForce
from libs.common.money import floor_to_step, to_decimal
from libs.trading.venue import BookedOrder, NewOrder, VenueRejected
from libs.trading.venue_rules import CANCEL_REFUSED, INVALID_SYMBOL, UNWANTED_PARAMETER, VenueOrdType
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.signing import ApiError, missing
from services.exchange_sim.wire import Json, order_answered, order_cancelled, order_shown
from services.exchange_sim.wire_lists import list_cancelled

Params = dict[str, str]

CANCEL_REPLACE_HALF_DONE = (-2021, "Order cancel-replace partially failed.")
CANCEL_REPLACE_FAILED = (-2022, "Order cancel-replace failed.")


class OrderDesk:
    """Places, cancels and shows orders for both doors of the venue."""

    def __init__(self, exchange: Exchange):
        self._exchange = exchange

    def instrument(self, params: Params) -> str:
        """The instrument that `symbol` names.

        Raises:
            ApiError: -1102; VenueRejected: -1121.
        """
        symbol = params.get("symbol")
        if not symbol:
            raise missing("symbol")
        instrument = instrument_of(symbol)
        is_known = instrument is not None and instrument in self._exchange.market.histories
        if instrument is None or not is_known or self._exchange.venue.market_status(instrument) == "DELISTED":
            raise VenueRejected(INVALID_SYMBOL, "Invalid symbol.")
        return instrument

    def place(self, params: Params) -> Json:
        """order (POST), order.place."""
        booked, updates = self._exchange.submit(self._new_order(params))
        return order_answered(booked, updates)

    def cancel(self, params: Params) -> Json:
        """order (DELETE), order.cancel; where the order was one of a pair, the answer is that of the pair, as at Binance."""
        instrument, cl_ord_id, venue_order_id = self._reference(params)
        booked = self._exchange.cancel(instrument, cl_ord_id, venue_order_id)
        return self._cancelled(booked, params.get("newClientOrderId"))

    def replace(self, params: Params) -> tuple[int, Json]:
        """order/cancelReplace (POST): the status, and what became of either half. Only STOP_ON_FAILURE, and by a client id or an order id."""
        choice(params, "cancelReplaceMode", ("STOP_ON_FAILURE",), -1102, "Only STOP_ON_FAILURE is known here.")
        cl_ord_id, venue_order_id = params.get("cancelOrigClientOrderId"), params.get("cancelOrderId")
        if not cl_ord_id and not venue_order_id:
            text = "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were empty/null!"
            raise ApiError(400, -1102, text)
        order = self._new_order(params)
        try:
            old, new, updates = self._exchange.replace(order, cl_ord_id, venue_order_id)
        except VenueRejected as refused:
            if refused.code != CANCEL_REFUSED:
                raise
            return 400, _halted(CANCEL_REPLACE_FAILED, "FAILURE", _refusal(refused), "NOT_ATTEMPTED", None)
        cancelled = self._cancelled(old, params.get("cancelNewClientOrderId"))
        if isinstance(new, VenueRejected):
            return 409, _halted(CANCEL_REPLACE_HALF_DONE, "SUCCESS", cancelled, "FAILURE", _refusal(new))
        own = [update for update in updates if update.order.venue_order_id == new.venue_order_id]
        return 200, _halves("SUCCESS", cancelled, "SUCCESS", order_answered(new, own))

    def _cancelled(self, booked: BookedOrder, request_id: str | None) -> Json:
        request_id = request_id or derive_id("cancel", booked.venue_order_id)
        if booked.venue_list_id is not None:
            pairs = self._exchange.venue.pairs
            pair = pairs.require(None, booked.venue_list_id)
            return list_cancelled(pair, pairs.orders(pair), request_id)
        return order_cancelled(booked, request_id)

    def show(self, params: Params) -> Json:
        """order (GET), order.status: the newest order with that client id."""
        return order_shown(self.find(params))

    def find(self, params: Params) -> BookedOrder:
        """The order that `orderId` or `origClientOrderId` names.

        Raises:
            VenueRejected: -2013.
        """
        self._exchange.catch_up()
        return self._exchange.venue.require(*self._reference(params))

    def _reference(self, params: Params) -> tuple[str, str | None, str | None]:
        instrument = self.instrument(params)
        cl_ord_id, venue_order_id = params.get("origClientOrderId"), params.get("orderId")
        if not cl_ord_id and not venue_order_id:
            raise ApiError(400, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        return instrument, cl_ord_id, venue_order_id

    def _new_order(self, params: Params) -> NewOrder:
        instrument = self.instrument(params)
        side = choice(params, "side", get_args(Side), -1117, "Invalid side.")
        ord_type = choice(params, "type", get_args(VenueOrdType), -1116, "Invalid orderType.")
        if ord_type in ("LIMIT", "STOP_LOSS_LIMIT") and "timeInForce" not in params:
            raise missing("timeInForce")
        if ord_type == "LIMIT_MAKER" and "timeInForce" in params:
            raise ApiError(400, UNWANTED_PARAMETER, "Parameter 'timeInForce' sent when not required.")
        given = {"timeInForce": "GTC", **params}
        return NewOrder(
            cl_ord_id=params.get("newClientOrderId") or derive_id("unnamed", len(self._exchange.venue.all_orders())),
            instrument=instrument,
            side=side,
            ord_type=ord_type,
            time_in_force=choice(given, "timeInForce", get_args(TimeInForce), -1115, "Invalid timeInForce."),
            order_qty=self._quantity(params, instrument, ord_type),
            limit_px=decimal_of(params, "price"),
            stop_px=decimal_of(params, "stopPrice"),
        )

    def _quantity(self, params: Params, instrument: str, ord_type: str) -> Decimal:
        qty, value = decimal_of(params, "quantity"), decimal_of(params, "quoteOrderQty")
        if qty is None and value is not None and ord_type == "MARKET":
            self._exchange.catch_up()
            quote = self._exchange.quotes.get(instrument)
            if quote is not None:
                px = quote.ask_px if params.get("side") == "BUY" else quote.bid_px
                step = self._exchange.market.histories[instrument].listing.spec.qty_step
                qty = floor_to_step(value / to_decimal(px), step)
        if qty is None:
            raise missing("quantity")
        return qty


def _halves(cancel_result: str, cancel_answer: Json, order_result: str, order_answer: Json | None) -> Json:
    return {
        "cancelResult": cancel_result,
        "newOrderResult": order_result,
        "cancelResponse": cancel_answer,
        "newOrderResponse": order_answer,
    }


def _halted(error: tuple[int, str], *halves: Any) -> Json:
    """A replacement that did not succeed as a whole."""
    return {"code": error[0], "msg": error[1], "data": _halves(*halves)}


def _refusal(refused: VenueRejected) -> Json:
    return {"code": refused.code, "msg": refused.message}


def choice(params: Params, name: str, choices: tuple[str, ...], code: int, text: str) -> str:
    """The parameter `name`, one of `choices`.

    Raises:
        ApiError: -1102 without it, else `code` with `text`.
    """
    value = params.get(name)
    if not value:
        raise missing(name)
    if value not in choices:
        raise ApiError(400, code, text)
    return value


def decimal_of(params: Params, name: str) -> Decimal | None:
    """The number `name`; None without it.

    Raises:
        ApiError: -1100.
    """
    value = params.get(name)
    if value is None:
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        raise ApiError(400, -1100, f"Illegal characters found in parameter '{name}'.") from None


def number(params: Params, name: str, default: int) -> int:
    """The whole number `name`, or `default` without it.

    Raises:
        ApiError: -1100.
    """
    value = params.get(name, str(default))
    if not value.isdecimal():
        raise ApiError(400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(value)
