"""From the parameters of a request for an order list, REST or WebSocket alike, to the venue's pair and back."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

from libs.common.ids import derive_id
from libs.common.messages import Side, TimeInForce
from libs.trading.venue import NewPair
from libs.trading.venue_rules import STOP_TYPES, UNWANTED_PARAMETER
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.orders import OrderDesk, Params, choice, decimal_of
from services.exchange_sim.signing import ApiError, missing
from services.exchange_sim.wire import Json
from services.exchange_sim.wire_lists import list_answered, list_cancelled, list_shown

TARGET_TYPE = "LIMIT_MAKER"
FORMS = ("ACK", "RESULT", "FULL")


class ListDesk:
    """Places, cancels and shows pairs for both doors of the venue."""

    def __init__(self, exchange: Exchange, orders: OrderDesk):
        self._exchange = exchange
        self._orders = orders

    def place(self, params: Params) -> Json:
        """orderList/oco (POST), orderList.place.oco: a maker limit and a stop; a sale's limit is above, a buy's below."""
        form = choice(
            {"newOrderRespType": "RESULT", **params}, "newOrderRespType", FORMS, -1128, "Invalid newOrderRespType."
        )
        pair = self._exchange.submit_pair(self._new_pair(params))
        return list_answered(pair, self._exchange.venue.pairs.orders(pair), form)

    def cancel(self, params: Params) -> Json:
        """orderList (DELETE), orderList.cancel."""
        instrument = self._orders.instrument(params)
        list_id, venue_list_id = _reference(params, "listClientOrderId")
        pair = self._exchange.cancel_pair(instrument, list_id, venue_list_id)
        request_id = params.get("newClientOrderId") or derive_id("cancel list", pair.venue_list_id)
        return list_cancelled(pair, self._exchange.venue.pairs.orders(pair), request_id)

    def show(self, params: Params) -> Json:
        """orderList (GET), orderList.status: the newest list with that client id."""
        list_id, venue_list_id = _reference(params, "origClientOrderId")
        self._exchange.catch_up()
        pair = self._exchange.venue.pairs.require(list_id, venue_list_id)
        return list_shown(pair, self._exchange.venue.pairs.orders(pair))

    def show_open(self, params: Params) -> list[Json]:
        """openOrderList (GET), openOrderLists.status: every list with an open order, oldest first."""
        self._exchange.catch_up()
        pairs = self._exchange.venue.pairs
        return [list_shown(pair, pairs.orders(pair)) for pair in pairs.all() if pairs.is_open(pair)]

    def _new_pair(self, params: Params) -> NewPair:
        venue = self._exchange.venue
        instrument = self._orders.instrument(params)
        side = choice(params, "side", get_args(Side), -1117, "Invalid side.")
        target, stop = ("above", "below") if side == "SELL" else ("below", "above")
        choice(params, f"{target}Type", (TARGET_TYPE,), -1116, "Invalid orderType.")
        stop_type = choice(params, f"{stop}Type", STOP_TYPES, -1116, "Invalid orderType.")
        _refuse(params, f"{target}StopPrice", f"{target}TimeInForce")
        has_limit = stop_type == "STOP_LOSS_LIMIT"
        if not has_limit:
            _refuse(params, f"{stop}Price", f"{stop}TimeInForce")
        count = len(venue.all_orders())
        texts = {f"{stop}TimeInForce": "GTC", **params} if not has_limit else params
        return NewPair(
            list_id=params.get("listClientOrderId") or derive_id("unnamed list", len(venue.pairs.all())),
            instrument=instrument,
            side=side,
            order_qty=_wanted(params, "quantity"),
            stop_id=params.get(f"{stop}ClientOrderId") or derive_id("unnamed", count),
            stop_px=_wanted(params, f"{stop}StopPrice"),
            stop_limit_px=_wanted(params, f"{stop}Price") if has_limit else None,
            stop_time_in_force=choice(
                texts, f"{stop}TimeInForce", get_args(TimeInForce), -1115, "Invalid timeInForce."
            ),
            target_id=params.get(f"{target}ClientOrderId") or derive_id("unnamed", count + 1),
            target_px=_wanted(params, f"{target}Price"),
        )


def _wanted(params: Params, name: str) -> Decimal:
    value = decimal_of(params, name)
    if value is None:
        raise missing(name)
    return value


def _refuse(params: Params, *names: str) -> None:
    for name in names:
        if name in params:
            raise ApiError(400, UNWANTED_PARAMETER, f"Parameter '{name}' sent when not required.")


def _reference(params: Params, client_name: str) -> tuple[str | None, str | None]:
    list_id, venue_list_id = params.get(client_name), params.get("orderListId")
    if not list_id and not venue_list_id:
        text = f"Param '{client_name}' or 'orderListId' must be sent, but both were empty/null!"
        raise ApiError(400, -1102, text)
    return list_id, venue_list_id
