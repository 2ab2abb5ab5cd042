"""What Kraken's private calls do with the paper account, and what they show of it: the orders of Kraken's twins, and all balances."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation

from libs.common.ids import derive_id
from libs.common.messages import Side, TimeInForce, VenueFill
from libs.common.timeframe import SECOND
from libs.trading.venue import BookedOrder, NewOrder
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.kraken_rest import KrakenRefusal, asset_of, pair_of
from services.exchange_sim.kraken_wire import (
    ORD_TYPES,
    fees_shown,
    order_id,
    order_shown,
    trade_id,
    trade_shown,
)
from services.exchange_sim.orders import Params
from services.exchange_sim.other_venues import OtherVenue
from services.exchange_sim.twins import twin_of
from services.exchange_sim.wire import Json

PAGE = 50
DEADLINE_S = (2, 60)
CL_ORD_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[\x21-\x7e]{1,18}")
FLAGS = {"", "fciq", "post"}
"""Others would change what an order means, and nobody here sends them."""


def _wrong(name: str) -> KrakenRefusal:
    return KrakenRefusal(f"EGeneral:Invalid arguments:{name}")


class KrakenDesk:
    """Places, cancels and shows."""

    def __init__(self, exchange: Exchange, venue: OtherVenue):
        self._exchange = exchange
        self._venue = venue
        self._twins = {pair_of(name): twin_of("kraken", name) for name in venue.listings}
        self.pairs = {twin: pair for pair, twin in self._twins.items()}

    def ord_types(self, params: Params) -> frozenset[str]:
        """What faults call the order that `params` would enter."""
        return frozenset({ORD_TYPES.get(params.get("ordertype", ""), "")})

    def place(self, params: Params) -> Json:
        """AddOrder."""
        order = self._new_order(params)
        self._check_deadline(params)
        booked, _ = self._exchange.submit(order)
        shown = self._shown(booked, trades=False)
        return {"descr": {"order": shown["descr"]["order"]}, "txid": [order_id(booked.venue_order_id)]}

    def cancel(self, params: Params) -> Json:
        """CancelOrder, by txid or cl_ord_id."""
        self._exchange.catch_up()
        booked = next((each for each in self._named(params) if each.is_open), None)
        if booked is None:
            raise KrakenRefusal("EOrder:Unknown order")
        self._exchange.cancel(booked.instrument, None, booked.venue_order_id)
        return {"count": 1}

    def query_orders(self, params: Params) -> Json:
        """QueryOrders."""
        self._exchange.catch_up()
        wanted = params.get("txid", "").split(",")
        found = {order_id(each.venue_order_id): each for each in self.orders()}
        if any(name not in found for name in wanted):
            raise KrakenRefusal("EOrder:Unknown order")
        return {name: self._shown(found[name], trades=_wants_trades(params)) for name in wanted}

    def open_orders(self, params: Params) -> Json:
        """OpenOrders, perhaps of one cl_ord_id."""
        self._exchange.catch_up()
        found = [each for each in self._asked(params) if each.is_open]
        return {"open": self._by_id(found, params)}

    def closed_orders(self, params: Params) -> Json:
        """ClosedOrders: a page of them, the last one to close first, perhaps of one cl_ord_id."""
        self._exchange.catch_up()
        closed = [each for each in self._asked(params) if not each.is_open]
        found = sorted(closed, key=lambda each: (each.ts_event, int(each.venue_order_id)), reverse=True)
        first = _whole(params, "ofs")
        return {"closed": self._by_id(found[first : first + PAGE], params), "count": len(found)}

    def trades_history(self, params: Params) -> Json:
        """TradesHistory: a page of executions, the newest first; those after `start`, an instant or an execution's id."""
        self._exchange.catch_up()
        found = self._fills()
        start = params.get("start", "")
        if start:
            ids = [trade_id(fill.exec_id) for fill in found]
            if start in ids:
                found = found[ids.index(start) + 1 :]
            else:
                since = _seconds(start)
                found = [fill for fill in found if fill.ts_event > since]
        first = _whole(params, "ofs")
        return {"trades": self._trades(found[::-1][first : first + PAGE]), "count": len(found)}

    def query_trades(self, params: Params) -> Json:
        """QueryTrades: by id, at most twenty."""
        self._exchange.catch_up()
        wanted = params.get("txid", "").split(",")
        found = {trade_id(fill.exec_id): fill for fill in self._fills()}
        if len(wanted) > 20 or any(name not in found for name in wanted):
            raise KrakenRefusal("EGeneral:Invalid arguments")
        return self._trades([found[name] for name in wanted])

    def balance_ex(self, params: Params) -> Json:
        """BalanceEx: all there is, and what of it orders hold."""
        self._exchange.catch_up()
        return {
            asset_of(held.asset): {"balance": f"{held.free + held.locked:.10f}", "hold_trade": f"{held.locked:.10f}"}
            for held in self._exchange.venue.balances()
        }

    def trade_volume(self, params: Params) -> Json:
        """TradeVolume: the fees of the pairs asked for."""
        specs = {pair: self._venue.listings[twin.partition(":")[2]].spec for pair, twin in self._twins.items()}
        asked = [pair for pair in params.get("pair", "").replace("/", "").split(",") if pair]
        if any(pair not in specs for pair in asked):
            raise KrakenRefusal("EQuery:Unknown asset pair")
        return {
            "currency": "ZUSD",
            "volume": "0.0000",
            "fees": {pair: fees_shown(specs[pair].taker_fee * 100) for pair in asked},
            "fees_maker": {pair: fees_shown(specs[pair].maker_fee * 100) for pair in asked},
        }

    def orders(self) -> list[BookedOrder]:
        """Every order there ever was at Kraken, oldest first."""
        return [each for each in self._exchange.venue.all_orders() if each.instrument in self.pairs]

    def fills_of(self, booked: BookedOrder) -> list[VenueFill]:
        """The executions of an order, oldest first."""
        fills = self._exchange.venue.fills(booked.instrument)
        return [fill for fill in fills if fill.venue_order_id == booked.venue_order_id]

    def booked(self, instrument: str, venue_order_id: str) -> BookedOrder:
        """The full record of an order."""
        return self._exchange.venue.require(instrument, None, venue_order_id)

    def _fills(self) -> list[VenueFill]:
        return [fill for fill in self._exchange.venue.fills() if fill.instrument in self.pairs]

    def _asked(self, params: Params) -> list[BookedOrder]:
        name = params.get("cl_ord_id")
        return [each for each in self.orders() if name in (None, each.cl_ord_id)]

    def _named(self, params: Params) -> Iterable[BookedOrder]:
        txid, name = params.get("txid"), params.get("cl_ord_id")
        if not txid and not name:
            raise _wrong("txid")
        return [each for each in self.orders() if order_id(each.venue_order_id) == txid or each.cl_ord_id == name]

    def _by_id(self, found: list[BookedOrder], params: Params) -> Json:
        trades = _wants_trades(params)
        return {order_id(each.venue_order_id): self._shown(each, trades=trades) for each in found}

    def _shown(self, booked: BookedOrder, *, trades: bool) -> Json:
        return order_shown(booked, self.fills_of(booked), self.pairs[booked.instrument], trades=trades)

    def _trades(self, fills: list[VenueFill]) -> Json:
        return {
            trade_id(fill.exec_id): trade_shown(
                fill, self.booked(fill.instrument, fill.venue_order_id), self.pairs[fill.instrument]
            )
            for fill in fills
        }

    def _new_order(self, params: Params) -> NewOrder:
        twin = self._twins.get(params.get("pair", "").replace("/", ""))
        if twin is None:
            raise KrakenRefusal("EQuery:Unknown asset pair")
        ord_type = ORD_TYPES.get(params.get("ordertype", ""))
        sides: dict[str, Side] = {"buy": "BUY", "sell": "SELL"}
        flags = set(params.get("oflags", "").split(","))
        times: dict[str, TimeInForce] = {"GTC": "GTC", "IOC": "IOC"}
        name = params.get("cl_ord_id") or derive_id("unnamed", len(self._exchange.venue.all_orders()))
        for field, is_right in (
            ("ordertype", ord_type is not None),
            ("type", params.get("type") in sides),
            ("oflags", flags <= FLAGS and not ("post" in flags and ord_type != "LIMIT")),
            ("timeinforce", params.get("timeinforce", "GTC") in times),
            ("cl_ord_id", CL_ORD_ID.fullmatch(name) is not None),
            ("volume", "volume" in params),
        ):
            if not is_right:
                raise _wrong(field)
        assert ord_type is not None
        px, px2 = _decimal(params, "price"), _decimal(params, "price2")
        is_stop = ord_type.startswith("STOP")
        volume = _decimal(params, "volume")
        assert volume is not None
        return NewOrder(
            cl_ord_id=name,
            instrument=twin,
            side=sides[params["type"]],
            ord_type="LIMIT_MAKER" if "post" in flags else ord_type,
            time_in_force=times[params.get("timeinforce", "GTC")],
            order_qty=volume,
            limit_px=px2 if is_stop else px,
            stop_px=px if is_stop else None,
        )

    def _check_deadline(self, params: Params) -> None:
        """`deadline` lies 2 to 60 seconds ahead when it is sent; an order that arrives behind it is not taken.

        The time on the way is that of the wall, as for `recvWindow`: a deadline has passed when the clock showed it so long ago.
        """
        if "deadline" not in params:
            return
        try:
            deadline = datetime.fromisoformat(params["deadline"])
        except ValueError:
            raise _wrong("deadline") from None
        if deadline.tzinfo is None:
            raise _wrong("deadline")
        ahead_s = deadline.timestamp() - self._venue.now() / SECOND
        speed = max(1.0, self._exchange.clock.speed)
        if ahead_s > DEADLINE_S[1] * speed:
            raise _wrong("deadline")
        if ahead_s < 0 and -ahead_s >= DEADLINE_S[1] * (speed - 1):
            raise KrakenRefusal("EService:Deadline elapsed")


def _wants_trades(params: Params) -> bool:
    return params.get("trades", "").lower() == "true"


def _decimal(params: Params, name: str) -> Decimal | None:
    if name not in params:
        return None
    try:
        return Decimal(params[name])
    except InvalidOperation:
        raise _wrong(name) from None


def _seconds(text: str) -> int:
    """An instant in seconds, as ns."""
    try:
        return int(Decimal(text) * SECOND)
    except InvalidOperation:
        raise _wrong("start") from None


def _whole(params: Params, name: str) -> int:
    text = params.get(name, "0")
    if not text.isdecimal():
        raise _wrong(name)
    return int(text)
