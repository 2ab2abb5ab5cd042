"""What KuCoin tells of the account on its private topics: ordinary orders, stops, and every balance that moved.

A stop speaks on /spotMarket/advancedOrders, without its client id, until it is reached; then its order speaks on
/spotMarket/tradeOrders. Balances follow the orders that moved them.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from libs.common.money import ZERO
from libs.trading.venue import BookedOrder, SpotVenue, VenueUpdate
from services.exchange_sim.kucoin_account import KucoinAccount
from services.exchange_sim.kucoin_wire import balance_event, is_stop, order_event, stop_event
from services.exchange_sim.wire import Json

ORDERS, ORDERS_V2 = "/spotMarket/tradeOrders", "/spotMarket/tradeOrdersV2"
STOPS, BALANCES = "/spotMarket/advancedOrders", "/account/balance"
TOPICS = (ORDERS, ORDERS_V2, STOPS, BALANCES)

Told = Iterator[tuple[str, Json]]


class KucoinUser:
    """Topics and frames, in the order in which they happen; `token` is what opens them."""

    def __init__(self, venue: SpotVenue, account: KucoinAccount, token: str):
        self.token = token
        self._venue = venue
        self._account = account
        self._triggered: dict[str, None] = {}
        self._held: dict[str, tuple[Decimal, Decimal]] = self._balances()

    def on_account(self, updates: list[VenueUpdate], now: int) -> Told:
        """Orders changed, whichever venue they are at."""
        for update in updates:
            if self._account.is_ours(update.order.instrument):
                booked = self._venue.require(update.order.instrument, None, update.order.venue_order_id)
                yield from self._said(update, booked, now)
        yield from self._moved("trade.setted", now)

    def on_transfer(self, asset: str, now: int) -> Told:
        """Money came into the trade account, or left it."""
        yield from self._moved("trade.transfer", now)

    def _said(self, update: VenueUpdate, booked: BookedOrder, now: int) -> Told:
        symbol, cum_qty = self._account.symbol(booked), update.order.cum_qty
        if is_stop(booked) or (booked.stop_px is not None and update.exec_type == "NEW"):
            kind = "open" if update.exec_type == "NEW" else "cancel"
            yield STOPS, _frame(STOPS, "stopOrder", stop_event(booked, symbol, kind, now))
            return
        if booked.stop_px is not None and booked.venue_order_id not in self._triggered:
            self._triggered[booked.venue_order_id] = None
            yield STOPS, _frame(STOPS, "stopOrder", stop_event(booked, symbol, "triggered", now))
            yield from _orders(order_event(booked, symbol, "open", None, ZERO, now))
        if update.exec_type == "NEW" and booked.limit_px is not None:
            yield from _orders(order_event(booked, symbol, "open", None, ZERO, now))
        elif update.exec_type == "TRADE":
            yield from _orders(order_event(booked, symbol, "match", update.fill, cum_qty, now))
            if update.order.ord_status == "FILLED":
                yield from _orders(order_event(booked, symbol, "filled", None, cum_qty, now))
        elif update.exec_type in ("CANCELED", "EXPIRED"):
            yield from _orders(order_event(booked, symbol, "canceled", None, cum_qty, now))

    def _moved(self, why: str, now: int) -> Told:
        before, self._held = self._held, self._balances()
        for held in self._venue.balances():
            free, locked = before.get(held.asset, (ZERO, ZERO))
            if (held.free, held.locked) != (free, locked):
                yield BALANCES, _frame(BALANCES, "account.balance", balance_event(held, free, locked, why, now))

    def _balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        return {held.asset: (held.free, held.locked) for held in self._venue.balances()}


def _orders(event: Json) -> Told:
    for topic in (ORDERS, ORDERS_V2):
        yield topic, _frame(topic, "orderChange", event)


def _frame(topic: str, subject: str, data: Json) -> Json:
    return {
        "type": "message",
        "topic": topic,
        "subject": subject,
        "channelType": "private",
        "userId": "1",
        "data": data,
    }
