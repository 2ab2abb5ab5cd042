"""The account as KuCoin's callers have it: orders entered, found and taken back in KuCoin's names, refusals in its codes."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from libs.common.messages import VenueFill
from libs.trading.venue import BookedOrder, NewOrder, VenueRejected
from libs.trading.venue_rules import (
    CANCEL_REFUSED,
    FILTER_FAILURE,
    INVALID_SYMBOL,
    NO_FUNDS,
    NO_SUCH_ORDER,
    ORDER_REFUSED,
    VenueOrdType,
)
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.kucoin_rest import KucoinRefusal
from services.exchange_sim.kucoin_wire import is_stop, order_id, stop_id
from services.exchange_sim.other_venues import OtherVenue
from services.exchange_sim.twins import twin_of

NOT_THERE = "order_not_exist_or_not_allow_to_cancel"
PARAMETERS = "400100"
CLIENT_OID = re.compile(r"[A-Za-z0-9_-]{1,40}")
Body = dict[str, Any]

_TEXTS = (
    (NO_FUNDS, "200004", "Balance insufficient!"),
    ("Duplicate order sent.", "102426", "Duplicate custom order ID"),
    ("LOT_SIZE", "600100", "Order size increment invalid."),
    ("PRICE_FILTER", "600100", "Price increment invalid."),
    ("NOTIONAL", PARAMETERS, "Order size below the minimum requirement."),
    ("Market is closed.", "200001", "Order creation for this pair suspended"),
)
_CODES = {
    INVALID_SYMBOL: ("900001", "The trading pair is not available for trading"),
    CANCEL_REFUSED: (PARAMETERS, NOT_THERE),
    NO_SUCH_ORDER: (PARAMETERS, "order_not_exist"),
    ORDER_REFUSED: ("300000", ""),
    FILTER_FAILURE: (PARAMETERS, ""),
}


def refusal_of(error: VenueRejected) -> KucoinRefusal:
    """The same refusal in KuCoin's words. A code that a test has asked for is KuCoin's already."""
    if error.code > 0:
        return KucoinRefusal(str(error.code), error.message)
    for part, code, said in _TEXTS:
        if part in error.message:
            return KucoinRefusal(code, said)
    code, said = _CODES.get(error.code, (PARAMETERS, ""))
    return KucoinRefusal(code, said or error.message)


class KucoinAccount:
    """`exchange` has the time, the money and the orders, those at KuCoin under the names of twins."""

    def __init__(self, exchange: Exchange, venue: OtherVenue):
        self._exchange = exchange
        self._symbols = {twin_of(venue.rules.venue, symbol): symbol for symbol in venue.listings}
        self._twins = {symbol: name for name, symbol in self._symbols.items()}

    def place(self, body: Body, *, stop: bool) -> BookedOrder:
        """Enter an order, or with `stop` one that waits.

        Raises:
            KucoinRefusal
        """
        order = self._new_order(body, stop=stop)
        try:
            return self._exchange.submit(order)[0]
        except VenueRejected as error:
            raise refusal_of(error) from None

    def cancel(self, booked: BookedOrder) -> None:
        """Take an order back.

        Raises:
            KucoinRefusal: it is not open.
        """
        try:
            self._exchange.cancel(booked.instrument, None, booked.venue_order_id)
        except VenueRejected as error:
            raise refusal_of(error) from None

    def find(self, symbol: str, client_oid: str, *, stop: bool) -> BookedOrder | None:
        """The newest ordinary order with this client id, or with `stop` the stop that waits under it."""
        self._exchange.catch_up()
        self.check_symbol(symbol)
        booked = self._exchange.venue.booked(self._twins[symbol], client_oid)
        return booked if booked is not None and _is_kind(booked, stop=stop) else None

    def find_by_id(self, number: str, *, stop: bool) -> BookedOrder | None:
        """The order, or the stop that waits, with this id of KuCoin's."""
        self._exchange.catch_up()
        named = stop_id if stop else order_id
        found = (each for each in self._all() if named(each) == number and _is_kind(each, stop=stop))
        return next(found, None)

    def orders(self, symbol: str | None, *, stop: bool, is_open: bool = True) -> list[BookedOrder]:
        """The orders (or stops) that are open, or no longer, newest first."""
        self._exchange.catch_up()
        if symbol is not None:
            self.check_symbol(symbol)
        found = [each for each in self._all() if _is_kind(each, stop=stop) and each.is_open == is_open]
        return [each for each in reversed(found) if symbol in (None, self.symbol(each))]

    def fills(self, symbol: str | None = None, number: str | None = None) -> list[tuple[VenueFill, BookedOrder]]:
        """Executions with their orders, newest first: of a symbol, of one order."""
        self._exchange.catch_up()
        by_id = {each.venue_order_id: each for each in self._all()}
        found = []
        for fill in reversed(self._exchange.venue.fills()):
            booked = by_id.get(fill.venue_order_id)
            if booked is None or symbol not in (None, self.symbol(booked)):
                continue
            if number in (None, order_id(booked)):
                found.append((fill, booked))
        return found

    def symbol(self, booked: BookedOrder) -> str:
        """What KuCoin calls the instrument of an order."""
        return self._symbols[booked.instrument]

    def market_status(self, symbol: str) -> str:
        """Whether orders of `symbol` are taken."""
        return self._exchange.venue.market_status(self._twins[symbol])

    def is_ours(self, name: str) -> bool:
        """Whether an instrument's name is one of KuCoin's."""
        return name in self._symbols

    def check_symbol(self, symbol: str) -> None:
        """Whether KuCoin lists `symbol`.

        Raises:
            KucoinRefusal: 900001.
        """
        if symbol not in self._twins:
            raise KucoinRefusal("900001", "The trading pair is not available for trading")

    def _all(self) -> list[BookedOrder]:
        """Every order there ever was at KuCoin, oldest first."""
        return [booked for booked in self._exchange.venue.all_orders() if booked.instrument in self._symbols]

    def _new_order(self, body: Body, *, stop: bool) -> NewOrder:
        client_oid, symbol = str(body.get("clientOid", "")), str(body.get("symbol", ""))
        if not CLIENT_OID.fullmatch(client_oid):
            raise KucoinRefusal(PARAMETERS, "validation.createOrder.clientOidIsRequired", 400)
        self.check_symbol(symbol)
        kind = _choice(body, "type", ("market", "limit"))
        limit_px, stop_px = _number(body, "price"), _number(body, "stopPrice")
        side = _choice(body, "side", ("buy", "sell"))
        if kind == "market" and limit_px is not None:
            raise KucoinRefusal(PARAMETERS, "price is not allowed with type market", 400)
        if stop != (stop_px is not None) or (stop and body.get("stop") not in (None, _direction(side))):
            raise KucoinRefusal(PARAMETERS, "stopPrice or stop is invalid", 400)
        size = _number(body, "size")
        if size is None or (kind == "limit" and limit_px is None):
            raise KucoinRefusal(PARAMETERS, "size and price are required", 400)
        return NewOrder(
            cl_ord_id=client_oid,
            instrument=self._twins[symbol],
            side="BUY" if side == "buy" else "SELL",
            ord_type=ord_type_of(body, stop=stop),
            time_in_force=_choice({"timeInForce": "GTC", **body}, "timeInForce", ("GTC", "IOC", "FOK")),  # type: ignore[arg-type]
            order_qty=size,
            limit_px=limit_px,
            stop_px=stop_px,
        )


def ord_type_of(body: Body, *, stop: bool) -> VenueOrdType:
    """The type of an order in the venue's words."""
    if body.get("type") == "market":
        return "STOP_LOSS" if stop else "MARKET"
    if stop:
        return "STOP_LOSS_LIMIT"
    return "LIMIT_MAKER" if body.get("postOnly") is True else "LIMIT"


def _direction(side: str) -> str:
    """A sale is stopped by a fall, a purchase by a rise."""
    return "loss" if side == "sell" else "entry"


def _is_kind(booked: BookedOrder, *, stop: bool) -> bool:
    """Whether it is shown among the stops (those that ended before they were reached are not shown any more) or the orders."""
    return is_stop(booked) and booked.is_open if stop else not is_stop(booked)


def _choice(body: Body, name: str, choices: tuple[str, ...]) -> str:
    value = body.get(name)
    if value not in choices:
        raise KucoinRefusal(PARAMETERS, f"{name} is invalid", 400)
    return str(value)


def _number(body: Body, name: str) -> Decimal | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found <= 0:
        raise KucoinRefusal(PARAMETERS, f"{name} is invalid", 400)
    return found
