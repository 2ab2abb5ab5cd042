"""What somebody else does to the account, behind the back of whoever holds our key: /sim/account/…, and the same as Python.

Deposits and withdrawals, orders taken back or entered by hand in the web page, a position liquidated by the venue, an instrument that
is no longer traded. Everything is told on the user data streams as if we had been asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from libs.common.ids import derive_id
from libs.common.messages import Side
from libs.common.money import floor_to_step
from libs.trading.venue import BookedOrder, NewOrder, VenueRejected
from libs.trading.venue_rules import INVALID_SYMBOL
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.replies import reply
from services.exchange_sim.wire import order_shown

WEB_PREFIX = "web_"
LIQUIDATION_PREFIX = "autoclose-"


class _Transfer(msgspec.Struct, forbid_unknown_fields=True):
    asset: Annotated[str, Meta(pattern="^[A-Z0-9]{2,12}$")]
    amount: Decimal


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    instrument: str
    cl_ord_id: str | None = None
    venue_order_id: str | None = None


class _Trade(msgspec.Struct, forbid_unknown_fields=True):
    instrument: str
    qty: Decimal
    cl_ord_id: str | None = None


class _Instrument(msgspec.Struct, forbid_unknown_fields=True):
    instrument: str


class _Delist(msgspec.Struct, forbid_unknown_fields=True):
    instrument: str
    listed: bool = True


class OtherHands:
    """Somebody with the password of the account, and the venue itself."""

    def __init__(self, exchange: Exchange):
        self._exchange = exchange

    def deposit(self, asset: str, amount: Decimal) -> None:
        """So much comes in; told as `balanceUpdate`.

        Raises:
            ValueError: not an amount.
        """
        self._exchange.transfer(asset, _positive(amount))

    def withdraw(self, asset: str, amount: Decimal) -> None:
        """So much of what is free goes out; told as `balanceUpdate`.

        Raises:
            ValueError: not an amount. VenueRejected: not so much is free.
        """
        self._exchange.transfer(asset, -_positive(amount))

    def cancel(
        self, instrument: str, cl_ord_id: str | None = None, venue_order_id: str | None = None
    ) -> list[BookedOrder]:
        """Take an open order back, by either id, and with it the other one of its pair.

        Raises:
            VenueRejected: there is no such open order.
        """
        booked = self._exchange.cancel(instrument, cl_ord_id, venue_order_id)
        pairs = self._exchange.venue.pairs
        if booked.venue_list_id is None:
            return [booked]
        return list(pairs.orders(pairs.require(None, booked.venue_list_id)))

    def buy(self, instrument: str, qty: Decimal, cl_ord_id: str | None = None) -> BookedOrder:
        """Buy at the market, with a client id such as the web page gives.

        Raises:
            VenueRejected: the venue refuses it.
        """
        return self._at_market("BUY", instrument, qty, cl_ord_id)

    def sell(self, instrument: str, qty: Decimal, cl_ord_id: str | None = None) -> BookedOrder:
        """Sell at the market, with a client id such as the web page gives.

        Raises:
            VenueRejected: the venue refuses it.
        """
        return self._at_market("SELL", instrument, qty, cl_ord_id)

    def liquidate(self, instrument: str) -> list[BookedOrder]:
        """The venue takes back every open order of `instrument` and sells all of its base that can be sold; those orders.

        Raises:
            VenueRejected: the venue refuses the sale, for example because it is too small; the orders are gone all the same.
        """
        venue, history = self._exchange.venue, self._exchange.market.histories.get(instrument)
        if history is None:
            raise VenueRejected(INVALID_SYMBOL, "Invalid symbol.")
        touched: list[BookedOrder] = []
        while still_open := venue.open_orders(instrument):
            with suppress(VenueRejected):  # the market was faster: it is not open any more
                touched += self.cancel(instrument, None, still_open[0].venue_order_id)
        spec = history.listing.spec
        free = next(held.free for held in venue.balances() if held.asset == spec.base)
        name = LIQUIDATION_PREFIX + self._number()
        return [*touched, self._at_market("SELL", instrument, floor_to_step(free, spec.qty_step), name)]

    def delist(self, instrument: str, *, listed: bool = True) -> list[BookedOrder]:
        """Trading ends: open orders expire, and new ones are refused. `listed`: it stays in exchangeInfo, with status BREAK.

        Raises:
            VenueRejected: -1121.
        """
        updates = self._exchange.set_market(instrument, "BREAK" if listed else "DELISTED")
        return [self._exchange.venue.require(instrument, None, each.order.venue_order_id) for each in updates]

    def relist(self, instrument: str) -> None:
        """Trading begins again.

        Raises:
            VenueRejected: -1121.
        """
        self._exchange.set_market(instrument, "TRADING")

    def routes(self) -> Iterable[web.RouteDef]:
        """POST /sim/account/…, one for each of the methods above."""
        yield _route("deposit", _Transfer, lambda asked: self.deposit(asked.asset, asked.amount))
        yield _route("withdraw", _Transfer, lambda asked: self.withdraw(asked.asset, asked.amount))
        yield _route("cancel", _Cancel, self._cancel)
        yield _route("buy", _Trade, lambda asked: self.buy(asked.instrument, asked.qty, asked.cl_ord_id))
        yield _route("sell", _Trade, lambda asked: self.sell(asked.instrument, asked.qty, asked.cl_ord_id))
        yield _route("liquidate", _Instrument, lambda asked: self.liquidate(asked.instrument))
        yield _route("delist", _Delist, lambda asked: self.delist(asked.instrument, listed=asked.listed))
        yield _route("relist", _Instrument, lambda asked: self.relist(asked.instrument))

    def _cancel(self, asked: _Cancel) -> list[BookedOrder]:
        return self.cancel(asked.instrument, asked.cl_ord_id, asked.venue_order_id)

    def _at_market(self, side: Side, instrument: str, qty: Decimal, cl_ord_id: str | None) -> BookedOrder:
        order = NewOrder(
            cl_ord_id=cl_ord_id or WEB_PREFIX + self._number(),
            instrument=instrument,
            side=side,
            ord_type="MARKET",
            order_qty=qty,
        )
        return self._exchange.submit(order)[0]

    def _number(self) -> str:
        """Drawn from how many orders there were, so that the same story has the same ids."""
        return derive_id("by hand", len(self._exchange.venue.all_orders()))[:24]


def _route(action: str, wanted: type, act: Callable) -> web.RouteDef:
    async def serve(request: web.Request) -> web.Response:
        try:
            touched = act(msgspec.json.decode(await request.read(), type=wanted))
        except (msgspec.DecodeError, ValueError) as error:
            fields = ", ".join(field.name for field in msgspec.structs.fields(wanted))
            return reply({"error": f"wanted {{{fields}}}: {error}"}, 400)
        except VenueRejected as error:
            return reply({"error": str(error), "code": error.code}, 400)
        orders = touched if isinstance(touched, list) else [touched] if touched is not None else []
        return reply({"orders": [order_shown(booked) for booked in orders]})

    return web.post(f"/sim/account/{action}", serve)


def _positive(amount: Decimal) -> Decimal:
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"{amount} is not an amount")
    return amount
