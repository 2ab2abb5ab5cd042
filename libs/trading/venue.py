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
* A fill model (`fill_model`) makes it dearer: orders become active only after a latency, takers pay slip and impact on top of
  each level, and all fills together stay within a share of what traded in the last minute; the rest of a GTC order waits.
  A LIMIT_MAKER that would take on its arrival expires, and the other one of its pair with it.

A client order id is unique among open orders only, as at Binance. Money is conserved to the last digit (`venue_account`).
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

import msgspec

from libs.common.messages import InstrumentSpec
from libs.common.money import ZERO, to_decimal
from libs.trading.fill_model import AS_QUOTED, FillModel, taker_px
from libs.trading.venue_account import BookedOrder, Holding, MarketStatus, VenueAccount, reserve_px, with_fee
from libs.trading.venue_book import TopOfBook
from libs.trading.venue_matching import Matching, VenueUpdate, update_of
from libs.trading.venue_pairs import NO_SUCH_PAIR, NewPair, check_pair
from libs.trading.venue_rules import (
    CANCEL_REFUSED,
    FILTER_FAILURE,
    INVALID_SYMBOL,
    NO_FUNDS,
    ORDER_REFUSED,
    NewOrder,
    VenueRejected,
    check_order,
)

__all__ = ["BookedOrder", "NewOrder", "NewPair", "SpotVenue", "VenueRejected", "VenueUpdate"]

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(VenueAccount)


class SpotVenue(Matching):
    """One account on one spot venue. Prices and quantities of the market may be floats; the account's are Decimals.

    Of the instruments in `quote_fees` fees are paid in quote, whichever side is traded.
    """

    def __init__(
        self,
        specs: dict[str, InstrumentSpec],
        balances: dict[str, Decimal],
        model: FillModel = AS_QUOTED,
        quote_fees: Collection[str] = (),
    ) -> None:
        self._specs = dict(specs)
        self._model = model
        self._quote_fees = frozenset(quote_fees)
        holdings = {asset: Holding(free=to_decimal(free)) for asset, free in balances.items()}
        self._adopt(VenueAccount(holdings=holdings))

    def submit(self, order: NewOrder, now: int) -> list[VenueUpdate]:
        """Enter `order`: NEW first, then its immediate fills, then EXPIRED where nothing may rest.

        With latency only NEW; the rest happens when the order is active, in `advance` or the market event that follows.

        Raises:
            VenueRejected: -1121, -1013 (closed market), the codes of `check_order`, -2010 (duplicate open id, immediate match or
                trigger, no funds).
        """
        spec = self._traded(order.instrument)
        book = self._book(order.instrument)
        check_order(order, spec, book.opposite(order.side).px or book.last_px)
        self._check_against(order, book)
        self._check_funds(order, spec, book, now)
        booked = self._account.book_order(order, spec, now, fee_in_quote=order.instrument in self._quote_fees)
        self._index(booked)
        return [update_of(booked, "NEW"), *self._enter(booked, now)]

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
        self._check_funds(pair.dearer(), spec, book, now)
        entered = self.pairs.book(pair.list_id, legs, spec, now)
        for booked in entered:
            self._index(booked)
        updates = [update_of(booked, "NEW") for booked in entered]
        return updates + [update for booked in entered for update in self._enter(booked, now)]

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

    def replace(
        self, order: NewOrder, now: int, *, cl_ord_id: str | None, venue_order_id: str | None = None
    ) -> tuple[list[VenueUpdate], VenueRejected | None]:
        """Cancel an open order, with the other one of its pair, and enter `order`: what happened, and why `order` was refused, if it was.

        Its form is looked at before anything is done; its funds and the market only after the cancel, so that the old order may be gone
        and the new one refused (Binance's STOP_ON_FAILURE).

        Raises:
            VenueRejected: those of `submit` about the order's form, -2011 when there is no such open order; nothing was done.
        """
        book = self._book(order.instrument)
        check_order(order, self._traded(order.instrument), book.opposite(order.side).px or book.last_px)
        updates = self.cancel(order.instrument, cl_ord_id, now, venue_order_id=venue_order_id)
        try:
            return updates + self.submit(order, now), None
        except VenueRejected as refused:
            return updates, refused

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

    def advance(self, now: int) -> list[VenueUpdate]:
        """Time passed without news: orders whose latency is over by `now` meet the market as it stands, first come first."""
        updates: list[VenueUpdate] = []
        for at, venue_order_id in self._waiting.due(now):
            booked = self._by_id[venue_order_id]
            if not booked.is_open:  # the other one of its pair was first
                continue
            self._waiting.forget(venue_order_id)
            if not booked.waits_for_trigger:
                updates += self._execute(booked, at)
            else:
                updates += self._trigger(booked.instrument, at)
        return updates

    @property
    def next_due(self) -> int | None:
        """When the next deferred order becomes active (ns); None when none is."""
        return min(self._waiting.deferred.values(), default=None)

    def on_quote(
        self, instrument: str, bid_px: float, bid_qty: float, ask_px: float, ask_qty: float, now: int
    ) -> list[VenueUpdate]:
        """The best quote changed: fill resting orders it goes through, then trigger stops that lie wholly behind it."""
        book, updates = self._book(instrument), self.advance(now)
        book.bid.quoted(to_decimal(bid_px), to_decimal(bid_qty))
        book.ask.quoted(to_decimal(ask_px), to_decimal(ask_qty))
        if not self._open.get(instrument):
            return updates
        for side in ("BUY", "SELL"):
            quote = book.opposite(side)
            if quote.px is not None:
                filled = self._fill_through(instrument, side, quote.px, quote.qty, now)
                quote.taken += sum((update.fill.qty for update in filled if update.fill), ZERO)
                updates += filled
        return updates + self._resume(instrument, now) + self._trigger(instrument, now)

    def on_trade(self, instrument: str, px: float, qty: float, now: int) -> list[VenueUpdate]:
        """A trade printed: fill resting orders it went through, up to its quantity, then trigger the stops it reached."""
        book, updates = self._book(instrument), self.advance(now)
        traded_px, left = to_decimal(px), to_decimal(qty)
        book.traded(traded_px, left)
        if self._model.caps or self._model.impact_bps:
            self._waiting.flow(instrument).count(now, traded=left)
        if not self._open.get(instrument):
            return updates
        for side in ("BUY", "SELL"):
            filled = self._fill_through(instrument, side, traded_px, left, now)
            left -= sum((update.fill.qty for update in filled if update.fill), ZERO)
            updates += filled
        return updates + self._resume(instrument, now) + self._trigger(instrument, now)

    def lose_market(self, instrument: str, now: int) -> list[VenueUpdate]:
        """Nobody sees this market any more: what is due meets it as it was, then nothing fills or triggers before the next quote.

        An order that arrives meanwhile finds an empty book: a LIMIT rests, a MARKET order expires unfilled.
        """
        updates = self.advance(now)
        self._spec(instrument)
        self._account.books[instrument] = TopOfBook()
        return updates

    def snapshot(self) -> bytes:
        """The whole account and the market it last saw; `restore` makes an equal venue of it."""
        return _encoder.encode(self._account)

    def restore(self, snapshot: bytes) -> None:
        """Become the venue that `snapshot` was taken of; instruments stay those of the constructor.

        Raises:
            msgspec.ValidationError: not a snapshot of this version.
        """
        self._adopt(_decoder.decode(snapshot))

    def _traded(self, instrument: str) -> InstrumentSpec:
        spec = self._spec(instrument)
        status = self.market_status(instrument)
        if status == "DELISTED":
            raise VenueRejected(INVALID_SYMBOL, "Invalid symbol.")
        if status == "BREAK":
            raise VenueRejected(FILTER_FAILURE, "Market is closed.")
        return spec

    def _check_against(self, order: NewOrder, book: TopOfBook) -> None:
        """What is asked of an order in view of the other orders and the market."""
        self._check_id(order)
        if order.ord_type == "LIMIT_MAKER" and book.is_crossed_by(order.side, order.limit_px):
            raise VenueRejected(ORDER_REFUSED, "Order would immediately match and take.")
        if order.stop_px is not None and book.has_reached(order.side, order.stop_px):
            raise VenueRejected(ORDER_REFUSED, "Stop price would trigger immediately.")

    def _check_id(self, order: NewOrder) -> None:
        newest = self._newest.get((order.instrument, order.cl_ord_id))
        if newest is not None and newest.is_open:
            raise VenueRejected(ORDER_REFUSED, "Duplicate order sent.")

    def _check_funds(self, order: NewOrder, spec: InstrumentSpec, book: TopOfBook, now: int) -> None:
        held = self._account.holding(spec.quote if order.side == "BUY" else spec.base)
        needed = reserve_px(order) * order.order_qty
        if order.ord_type == "MARKET" and order.side == "SELL":
            needed = order.order_qty
        elif order.ord_type == "MARKET":
            left = order.order_qty
            cost_bps = self._cost_bps(order.instrument, left, now)
            for px, qty in book.ladder("BUY", spec, None):
                needed += taker_px(px, "BUY", spec.px_tick, cost_bps) * min(left, qty)
                left -= min(left, qty)
        if with_fee(needed, order.side, spec, fee_in_quote=order.instrument in self._quote_fees) > held.free:
            raise VenueRejected(ORDER_REFUSED, NO_FUNDS)
