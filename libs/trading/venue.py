"""A deterministic spot venue: orders in, updates out, against quotes and trades it is told of. No I/O, clock or chance.

The rules, in the order they matter to someone who trades against it:

* MARKET takes the ladder behind the best opposite quote (`venue_book`), level by level, one fill each; what is left when the
  ladder ends expires. A LIMIT that crosses takes the ladder up to its limit as a taker, and the rest rests.
* A resting LIMIT fills as a maker, at its own price, only when the market goes through it by a tick or more; a touch is no
  fill. The quantity that went through is shared out by price, then age, so partial fills happen.
* A stop triggers when a trade reaches its price or the whole quote lies beyond it, then executes as MARKET (or LIMIT)
  against the market of that moment: a gap fills at the gap.
* A LIMIT_MAKER that would take is refused. In a pair (`venue_pairs`) whichever order becomes active first ends the other.
* Our own orders never meet each other, and never move the market.

A client order id is unique among open orders only, as at Binance. Money is conserved to the last digit (`venue_account`).
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Literal

import msgspec

from libs.common.messages import Balance, ExecType, InstrumentSpec, VenueFill, VenueOrder
from libs.common.money import ZERO, floor_to_step, to_decimal
from libs.trading.venue_account import BookedOrder, Holding, MarketStatus, VenueAccount, reserve_px, with_fee
from libs.trading.venue_book import TopOfBook
from libs.trading.venue_pairs import NO_SUCH_PAIR, NewPair, PairBook, check_pair
from libs.trading.venue_rules import (
    CANCEL_REFUSED,
    FILTER_FAILURE,
    INVALID_SYMBOL,
    NO_FUNDS,
    NO_SUCH_ORDER,
    ORDER_REFUSED,
    STOP_TYPES,
    NewOrder,
    VenueRejected,
    check_order,
)

__all__ = ["BookedOrder", "NewOrder", "NewPair", "SpotVenue", "VenueRejected", "VenueUpdate"]

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(VenueAccount)


class VenueUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An order moved: what it looks like now, the fill that moved it (TRADE only), and why."""

    order: VenueOrder
    fill: VenueFill | None
    exec_type: ExecType


class SpotVenue:
    """One account on one spot venue. Prices and quantities of the market may be floats; the account's are Decimals.

    Of the instruments in `quote_fees` fees are paid in quote, whichever side is traded.
    """

    def __init__(
        self, specs: dict[str, InstrumentSpec], balances: dict[str, Decimal], quote_fees: Collection[str] = ()
    ):
        self._specs = dict(specs)
        self._quote_fees = frozenset(quote_fees)
        holdings = {asset: Holding(free=to_decimal(free)) for asset, free in balances.items()}
        self._adopt(VenueAccount(holdings=holdings))

    def submit(self, order: NewOrder, now: int) -> list[VenueUpdate]:
        """Enter `order`: NEW first, then its immediate fills, then EXPIRED where nothing may rest.

        Raises:
            VenueRejected: -1121, -1013 (closed market), the codes of `check_order`, -2010 (duplicate open id, immediate match or
                trigger, no funds).
        """
        spec = self._traded(order.instrument)
        book = self._book(order.instrument)
        check_order(order, spec, book.opposite(order.side).px or book.last_px)
        self._check_against(order, book)
        self._check_funds(order, spec, book)
        booked = self._account.book_order(order, spec, now, fee_in_quote=order.instrument in self._quote_fees)
        self._index(booked)
        updates = [_update(booked, "NEW")]
        if order.ord_type not in STOP_TYPES:
            updates += self._execute(booked, now)
        return updates

    def submit_pair(self, pair: NewPair, now: int) -> list[VenueUpdate]:
        """Enter a stop and a target of which one ends the other: NEW for each, the stop first. Both or neither.

        Raises:
            VenueRejected: those of `submit` for either order, -1100 and -2010 of `check_pair`, -2010 for a duplicate open list id.
        """
        spec = self._traded(pair.instrument)
        book = self._book(pair.instrument)
        legs = (pair.stop(), pair.target())
        for order in legs:
            check_order(order, spec, None)
        check_pair(pair, book)
        former = self.pairs.find(pair.instrument, pair.list_id)
        if former is not None and self.pairs.is_open(former):
            raise VenueRejected(ORDER_REFUSED, "Duplicate order sent.")
        for order in legs:
            self._check_against(order, book)
        self._check_funds(pair.dearer(), spec, book)
        entered = self.pairs.book(pair, spec, now)
        for booked in entered:
            self._index(booked)
        return [_update(booked, "NEW") for booked in entered]

    def cancel_pair(
        self, instrument: str, list_id: str | None, now: int, *, venue_list_id: str | None = None
    ) -> list[VenueUpdate]:
        """Cancel what is open of a pair, by either id.

        Raises:
            VenueRejected: -1121; -2011 when there is no such open pair.
        """
        self._spec(instrument)
        pair = self.pairs.find(instrument, list_id, venue_list_id)
        still_open = [] if pair is None else [booked for booked in self.pairs.orders(pair) if booked.is_open]
        if not still_open:
            raise VenueRejected(CANCEL_REFUSED, NO_SUCH_PAIR)
        return [self._end(booked, "CANCELED", now) for booked in still_open]

    def cancel(
        self, instrument: str, cl_ord_id: str | None, now: int, *, venue_order_id: str | None = None
    ) -> list[VenueUpdate]:
        """Cancel an open order by either id, and with it the other one of its pair, in that order.

        Raises:
            VenueRejected: -1121; -2011 when there is no such open order.
        """
        self._spec(instrument)
        booked = self.booked(instrument, cl_ord_id, venue_order_id)
        if booked is None or not booked.is_open:
            raise VenueRejected(CANCEL_REFUSED, "Unknown order sent.")
        partner = self.pairs.partner(booked)
        return [self._end(each, "CANCELED", now) for each in (booked, partner) if each is not None]

    def transfer(self, asset: str, amount: Decimal) -> None:
        """Money comes into the account, or (less than 0) leaves it.

        Raises:
            VenueRejected: -2010 when not so much is free.
        """
        held = self._account.holding(asset)
        if held.free + amount < 0:
            raise VenueRejected(ORDER_REFUSED, NO_FUNDS)
        held.free += amount

    def set_market(self, instrument: str, status: MarketStatus, now: int) -> list[VenueUpdate]:
        """Open or close a market; its open orders expire when it closes. It is quoted all the same.

        Raises:
            VenueRejected: -1121.
        """
        self._spec(instrument)
        self._account.closed_markets.pop(instrument, None)
        if status == "TRADING":
            return []
        self._account.closed_markets[instrument] = status
        return [self._end(booked, "EXPIRED", now) for booked in list(self._open.get(instrument, {}).values())]

    def market_status(self, instrument: str) -> MarketStatus:
        """Whether orders of `instrument` are taken."""
        return self._account.closed_markets.get(instrument, "TRADING")

    def on_quote(
        self, instrument: str, bid_px: float, bid_qty: float, ask_px: float, ask_qty: float, now: int
    ) -> list[VenueUpdate]:
        """The best quote changed: fill resting orders it goes through, then trigger stops that lie wholly behind it."""
        book = self._book(instrument)
        book.bid.quoted(to_decimal(bid_px), to_decimal(bid_qty))
        book.ask.quoted(to_decimal(ask_px), to_decimal(ask_qty))
        if not self._open.get(instrument):
            return []
        updates: list[VenueUpdate] = []
        for side in ("BUY", "SELL"):
            quote = book.opposite(side)
            if quote.px is not None:
                filled = self._fill_through(instrument, side, quote.px, quote.qty, now)
                quote.taken += sum((update.fill.qty for update in filled if update.fill), ZERO)
                updates += filled
        return updates + self._trigger(instrument, now)

    def on_trade(self, instrument: str, px: float, qty: float, now: int) -> list[VenueUpdate]:
        """A trade printed: fill resting orders it went through, up to its quantity, then trigger the stops it reached."""
        book = self._book(instrument)
        traded_px, left = to_decimal(px), to_decimal(qty)
        book.traded(traded_px, left)
        if not self._open.get(instrument):
            return []
        updates: list[VenueUpdate] = []
        for side in ("BUY", "SELL"):
            filled = self._fill_through(instrument, side, traded_px, left, now)
            left -= sum((update.fill.qty for update in filled if update.fill), ZERO)
            updates += filled
        return updates + self._trigger(instrument, now)

    def order(self, instrument: str, cl_ord_id: str) -> VenueOrder | None:
        """The newest order that ever had this client id, open or not; None when there was none."""
        booked = self._newest.get((instrument, cl_ord_id))
        return None if booked is None else booked.as_order()

    def booked(
        self, instrument: str, cl_ord_id: str | None = None, venue_order_id: str | None = None
    ) -> BookedOrder | None:
        """The full record of an order by either id (the venue's wins), for those who show all of it."""
        if venue_order_id is not None:
            found = self._by_id.get(venue_order_id)
            return found if found is not None and found.instrument == instrument else None
        return self._newest.get((instrument, cl_ord_id or ""))

    def require(self, instrument: str, cl_ord_id: str | None = None, venue_order_id: str | None = None) -> BookedOrder:
        """`booked`, or the venue's own refusal.

        Raises:
            VenueRejected: -1121, -2013.
        """
        self._spec(instrument)
        found = self.booked(instrument, cl_ord_id, venue_order_id)
        if found is None:
            raise VenueRejected(NO_SUCH_ORDER, "Order does not exist.")
        return found

    def open_orders(self, instrument: str | None = None) -> list[VenueOrder]:
        """All orders that can still fill, oldest first."""
        found = (booked for booked in self._account.orders if booked.is_open)
        return [booked.as_order() for booked in found if instrument in (None, booked.instrument)]

    def all_orders(self) -> tuple[BookedOrder, ...]:
        """Every order there ever was, oldest first."""
        return tuple(self._account.orders)

    def fills(self, instrument: str | None = None, from_id: int = 0) -> list[VenueFill]:
        """Fills of `instrument` (None: of all) whose exec id is at least `from_id`, oldest first."""
        first = max(0, from_id - 1)  # exec ids count from 1 without gaps
        return [fill for fill in self._account.fills[first:] if instrument in (None, fill.instrument)]

    def balances(self) -> tuple[Balance, ...]:
        """What the account owns, by asset name."""
        return self._account.balances()

    def snapshot(self) -> bytes:
        """The whole account and the market it last saw; `restore` makes an equal venue of it."""
        return _encoder.encode(self._account)

    def restore(self, snapshot: bytes) -> None:
        """Become the venue that `snapshot` was taken of; instruments stay those of the constructor.

        Raises:
            msgspec.ValidationError: not a snapshot of this version.
        """
        self._adopt(_decoder.decode(snapshot))

    def _adopt(self, account: VenueAccount) -> None:
        self._account = account
        for spec in self._specs.values():
            account.holding(spec.base)
            account.holding(spec.quote)
        self._by_id: dict[str, BookedOrder] = {}
        self._newest: dict[tuple[str, str], BookedOrder] = {}
        self._open: dict[str, dict[str, BookedOrder]] = {}
        for booked in account.orders:
            self._index(booked)
        self.pairs = PairBook(account, self._by_id)

    def _index(self, booked: BookedOrder) -> None:
        self._by_id[booked.venue_order_id] = booked
        self._newest[booked.instrument, booked.cl_ord_id] = booked
        if booked.is_open:
            self._open.setdefault(booked.instrument, {})[booked.venue_order_id] = booked

    def _forget_open(self, booked: BookedOrder) -> None:
        if not booked.is_open:
            self._open[booked.instrument].pop(booked.venue_order_id, None)

    def _end(self, booked: BookedOrder, status: Literal["CANCELED", "EXPIRED"], now: int) -> VenueUpdate:
        """End an open order without a fill."""
        self._account.close_order(booked, self._spec(booked.instrument), status, now)
        self._forget_open(booked)
        return _update(booked, status)

    def _activate(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        """Before an order fills or triggers: the other one of its pair expires, and the reserve is this one's."""
        partner = self.pairs.partner(booked)
        if partner is None:
            return []
        expired = self._end(partner, "EXPIRED", now)
        self._account.take_reserve(booked, self._spec(booked.instrument))
        return [expired]

    def _spec(self, instrument: str) -> InstrumentSpec:
        try:
            return self._specs[instrument]
        except KeyError:
            raise VenueRejected(INVALID_SYMBOL, "Invalid symbol.") from None

    def _traded(self, instrument: str) -> InstrumentSpec:
        spec = self._spec(instrument)
        status = self.market_status(instrument)
        if status == "DELISTED":
            raise VenueRejected(INVALID_SYMBOL, "Invalid symbol.")
        if status == "BREAK":
            raise VenueRejected(FILTER_FAILURE, "Market is closed.")
        return spec

    def _book(self, instrument: str) -> TopOfBook:
        self._spec(instrument)
        return self._account.books.setdefault(instrument, TopOfBook())

    def _check_against(self, order: NewOrder, book: TopOfBook) -> None:
        """What is asked of an order in view of the other orders and the market."""
        newest = self._newest.get((order.instrument, order.cl_ord_id))
        if newest is not None and newest.is_open:
            raise VenueRejected(ORDER_REFUSED, "Duplicate order sent.")
        if order.ord_type == "LIMIT_MAKER" and book.is_crossed_by(order.side, order.limit_px):
            raise VenueRejected(ORDER_REFUSED, "Order would immediately match and take.")
        if order.stop_px is not None and book.has_reached(order.side, order.stop_px):
            raise VenueRejected(ORDER_REFUSED, "Stop price would trigger immediately.")

    def _check_funds(self, order: NewOrder, spec: InstrumentSpec, book: TopOfBook) -> None:
        held = self._account.holding(spec.quote if order.side == "BUY" else spec.base)
        needed = reserve_px(order) * order.order_qty
        if order.ord_type == "MARKET" and order.side == "SELL":
            needed = order.order_qty
        elif order.ord_type == "MARKET":
            left = order.order_qty
            for px, qty in book.ladder("BUY", spec, None):
                needed += px * min(left, qty)
                left -= min(left, qty)
        if with_fee(needed, order.side, spec, fee_in_quote=order.instrument in self._quote_fees) > held.free:
            raise VenueRejected(ORDER_REFUSED, NO_FUNDS)

    def _execute(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        """Take what the market gives an order that is (or has just become) active, and expire what may not rest."""
        spec = self._spec(booked.instrument)
        book = self._book(booked.instrument)
        ladder = list(book.ladder(booked.side, spec, booked.limit_px))
        if booked.time_in_force == "FOK" and sum((qty for _, qty in ladder), ZERO) < booked.leaves_qty:
            ladder = []
        updates = []
        for px, level_qty in ladder:
            qty = self._account.affordable(booked, spec, px, min(level_qty, booked.leaves_qty))
            if qty <= 0:
                break
            fill = self._account.book_fill(booked, spec, px, qty, maker=False, now=now)
            book.opposite(booked.side).taken += qty
            updates.append(_update(booked, "TRADE", fill))
        may_rest = booked.limit_px is not None and booked.time_in_force == "GTC"
        if booked.is_open and not may_rest:
            updates.append(self._end(booked, "EXPIRED", now))
        self._forget_open(booked)
        return updates

    def _fill_through(self, instrument: str, side: str, px: Decimal, qty: Decimal, now: int) -> list[VenueUpdate]:
        """Fill resting limits of `side` that a market at `px` went through, sharing out at most `qty`."""
        spec = self._spec(instrument)
        sign = 1 if side == "BUY" else -1
        resting = [
            booked
            for booked in self._open[instrument].values()
            if booked.side == side and booked.limit_px is not None and not booked.waits_for_trigger
        ]
        updates = []
        for booked in sorted(resting, key=lambda found: -sign * found.limit_px):  # stable: age decides among equals
            if sign * (booked.limit_px - px) < spec.px_tick:
                break
            share = min(booked.leaves_qty, floor_to_step(qty, spec.qty_step))
            if share <= 0:
                break
            qty -= share
            updates += self._activate(booked, now)
            fill = self._account.book_fill(booked, spec, booked.limit_px, share, maker=True, now=now)
            updates.append(_update(booked, "TRADE", fill))
            self._forget_open(booked)
        return updates

    def _trigger(self, instrument: str, now: int) -> list[VenueUpdate]:
        """Execute the stops that the market has reached; the one reached first goes first."""
        book = self._book(instrument)
        reached = [
            booked
            for booked in self._open[instrument].values()
            if booked.waits_for_trigger and book.has_reached(booked.side, booked.stop_px)
        ]
        updates = []
        for booked in sorted(reached, key=lambda found: found.stop_px if found.side == "BUY" else -found.stop_px):
            booked.triggered = True
            updates += self._activate(booked, now)
            updates += self._execute(booked, now)
        return updates


def _update(booked: BookedOrder, exec_type: ExecType, fill: VenueFill | None = None) -> VenueUpdate:
    return VenueUpdate(order=booked.as_order(), fill=fill, exec_type=exec_type)
