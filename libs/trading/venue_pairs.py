"""Pairs of which one order ends the other (OCO): a stop and a target for one quantity, which is reserved only once.

The target is a LIMIT_MAKER, the stop a STOP_LOSS or STOP_LOSS_LIMIT. The first fill of the target, or the stop's being reached, makes
that order active: the other one expires before anything is paid. A cancel of either order, or of the pair, cancels both. After the
target's first fill what is left of it rests alone, as at Binance: nothing stops it any more.

Client ids of pairs are names of their own kind: unique among open pairs, and free to be the same as an order's.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import InstrumentSpec, Side, TimeInForce
from libs.trading.venue_account import BookedOrder, BookedPair, VenueAccount, reserve_px
from libs.trading.venue_book import TopOfBook
from libs.trading.venue_rules import NO_SUCH_ORDER, ORDER_REFUSED, NewOrder, VenueRejected, check_client_id

NO_SUCH_PAIR = "Unknown order list sent."


class NewPair(msgspec.Struct, frozen=True, kw_only=True):
    """A stop and a target as they are sent to the venue. With `stop_limit_px` the stop is a STOP_LOSS_LIMIT."""

    list_id: str
    instrument: str
    side: Side
    order_qty: Decimal
    stop_id: str
    stop_px: Decimal
    target_id: str
    target_px: Decimal
    stop_limit_px: Decimal | None = None
    stop_time_in_force: TimeInForce = "GTC"

    def stop(self) -> NewOrder:
        """The order that waits for its trigger."""
        return NewOrder(
            cl_ord_id=self.stop_id,
            instrument=self.instrument,
            side=self.side,
            ord_type="STOP_LOSS" if self.stop_limit_px is None else "STOP_LOSS_LIMIT",
            order_qty=self.order_qty,
            time_in_force=self.stop_time_in_force,
            limit_px=self.stop_limit_px,
            stop_px=self.stop_px,
        )

    def target(self) -> NewOrder:
        """The order that rests in the book."""
        return NewOrder(
            cl_ord_id=self.target_id,
            instrument=self.instrument,
            side=self.side,
            ord_type="LIMIT_MAKER",
            order_qty=self.order_qty,
            limit_px=self.target_px,
        )

    def dearer(self) -> NewOrder:
        """The order that would lock more by itself, and reserves for both."""
        return dearer(self.stop(), self.target())


def dearer(stop: NewOrder, target: NewOrder) -> NewOrder:
    """The one that would lock more by itself, and reserves for both."""
    return stop if reserve_px(stop) >= reserve_px(target) else target


def check_pair(pair: NewPair, book: TopOfBook) -> None:
    """What is asked of a pair beyond what is asked of each of its orders.

    Raises:
        VenueRejected: -1100; -2010 (one id for both orders, prices not on both sides of the last trade).
    """
    check_client_id("listClientOrderId", pair.list_id)
    if pair.stop_id == pair.target_id:
        raise VenueRejected(ORDER_REFUSED, "Duplicate order sent.")
    last_px = book.last_px or book.opposite(pair.side).px
    between = (
        (pair.stop_px, last_px, pair.target_px) if pair.side == "SELL" else (pair.target_px, last_px, pair.stop_px)
    )
    low, middle, high = between
    if low >= high or (middle is not None and not low < middle < high):
        raise VenueRejected(ORDER_REFUSED, "The relationship of the prices for the orders is not correct.")


class PairBook:
    """Finds the pairs of an account, and their orders in `by_id`, the venue's index of orders."""

    def __init__(self, account: VenueAccount, by_id: dict[str, BookedOrder]):
        self._account = account
        self._by_id = by_id
        self._by_list_id: dict[str, BookedPair] = {}
        self._newest: dict[tuple[str, str], BookedPair] = {}
        for booked in account.pairs:
            self._index(booked)

    def orders(self, pair: BookedPair) -> tuple[BookedOrder, BookedOrder]:
        """The stop and the target."""
        return self._by_id[pair.stop_order_id], self._by_id[pair.target_order_id]

    def is_open(self, pair: BookedPair) -> bool:
        """Whether one of its orders is."""
        return any(booked.is_open for booked in self.orders(pair))

    def partner(self, booked: BookedOrder) -> BookedOrder | None:
        """The other order of the pair, if `booked` is in one, and the other has not ended."""
        if booked.venue_list_id is None:
            return None
        stop, target = self.orders(self._by_list_id[booked.venue_list_id])
        other = target if booked is stop else stop
        return other if other.is_open else None

    def find(
        self, instrument: str | None = None, list_id: str | None = None, venue_list_id: str | None = None
    ) -> BookedPair | None:
        """The pair with this id (the venue's wins); of a client's id the newest."""
        if venue_list_id is not None:
            found = self._by_list_id.get(venue_list_id)
            return found if found is None or instrument in (None, found.instrument) else None
        if instrument is not None:
            return self._newest.get((instrument, list_id or ""))
        named = (pair for pair in reversed(self._account.pairs) if pair.list_id == list_id)
        return next(named, None)

    def require(self, list_id: str | None = None, venue_list_id: str | None = None) -> BookedPair:
        """`find`, or the venue's own refusal.

        Raises:
            VenueRejected: -2013.
        """
        found = self.find(None, list_id, venue_list_id)
        if found is None:
            raise VenueRejected(NO_SUCH_ORDER, "Order list does not exist.")
        return found

    def all(self) -> tuple[BookedPair, ...]:
        """Every pair there ever was, oldest first."""
        return tuple(self._account.pairs)

    def book(
        self, list_id: str, legs: tuple[NewOrder, NewOrder], spec: InstrumentSpec, now: int
    ) -> tuple[BookedOrder, BookedOrder]:
        """Enter a stop and a target that passed every check, with one reserve for both: the stop first, as at Binance."""
        venue_list_id = str(len(self._account.pairs) + 1)
        reserving = dearer(*legs)
        stop, target = (
            self._account.book_order(order, spec, now, venue_list_id=venue_list_id, reserves=order is reserving)
            for order in legs
        )
        booked = BookedPair(
            list_id=list_id,
            venue_list_id=venue_list_id,
            instrument=stop.instrument,
            stop_order_id=stop.venue_order_id,
            target_order_id=target.venue_order_id,
            ts_created=now,
        )
        self._account.pairs.append(booked)
        self._index(booked)
        return stop, target

    def _index(self, booked: BookedPair) -> None:
        self._by_list_id[booked.venue_list_id] = booked
        self._newest[booked.instrument, booked.list_id] = booked
