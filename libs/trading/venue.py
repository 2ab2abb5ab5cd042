"""A deterministic spot venue: orders in, updates out, against quotes and trades it is told of. No I/O, clock or chance.

The rules, in the order they matter to someone who trades against it:

* MARKET takes the ladder behind the best opposite quote (`venue_book`), level by level, one fill each; what is left when the
  ladder ends expires. A LIMIT that crosses takes the ladder up to its limit as a taker, and the rest rests.
* A resting LIMIT fills as a maker, at its own price, only when the market goes through it by a tick or more; a touch is no
  fill. The quantity that went through is shared out by price, then age, so partial fills happen.
* A stop triggers when a trade reaches its price or the whole quote lies beyond it, then executes as MARKET (or LIMIT)
  against the market of that moment: a gap fills at the gap.
* Our own orders never meet each other, and never move the market.
* A fill model (`fill_model`) makes it dearer: orders become active only after a latency, takers pay slip and impact on top of
  each level, and all fills together stay within a share of what traded in the last minute; the rest of a GTC order waits.

A client order id is unique among open orders only, as at Binance. Money is conserved to the last digit (`venue_account`).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import ExecType, InstrumentSpec, VenueFill, VenueOrder
from libs.common.money import ZERO, floor_to_step, to_decimal
from libs.trading.fill_model import AS_QUOTED, FillModel, taker_px, went_through
from libs.trading.venue_account import BookedOrder, Holding, VenueAccount, reserve_px
from libs.trading.venue_book import TopOfBook
from libs.trading.venue_flow import Waiting
from libs.trading.venue_rules import (
    CANCEL_REFUSED,
    ORDER_REFUSED,
    NewOrder,
    VenueRejected,
    check_order,
)
from libs.trading.venue_view import AccountView

__all__ = ["BookedOrder", "NewOrder", "SpotVenue", "VenueRejected", "VenueUpdate"]

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(VenueAccount)


class VenueUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An order moved: what it looks like now, the fill that moved it (TRADE only), and why."""

    order: VenueOrder
    fill: VenueFill | None
    exec_type: ExecType


class SpotVenue(AccountView):
    """One account on one spot venue. Prices and quantities of the market may be floats; the account's are Decimals."""

    def __init__(
        self, specs: dict[str, InstrumentSpec], balances: dict[str, Decimal], model: FillModel = AS_QUOTED
    ) -> None:
        self._specs = dict(specs)
        self._model = model
        holdings = {asset: Holding(free=to_decimal(free)) for asset, free in balances.items()}
        self._adopt(VenueAccount(holdings=holdings))

    def submit(self, order: NewOrder, now: int) -> list[VenueUpdate]:
        """Enter `order`: NEW first, then its immediate fills, then EXPIRED where nothing may rest.

        With latency only NEW; the rest happens when the order is active, in `advance` or the market event that follows.

        Raises:
            VenueRejected: -1121, the codes of `check_order`, -2010 (duplicate open id, immediate trigger, no funds).
        """
        spec = self._spec(order.instrument)
        book = self._book(order.instrument)
        check_order(order, spec, book.opposite(order.side).px or book.last_px)
        newest = self._newest.get((order.instrument, order.cl_ord_id))
        if newest is not None and newest.is_open:
            raise VenueRejected(ORDER_REFUSED, "Duplicate order sent.")
        if order.stop_px is not None and _reached(order.side, order.stop_px, book):
            raise VenueRejected(ORDER_REFUSED, "Stop price would trigger immediately.")
        self._check_funds(order, spec, book, now)
        booked = self._account.book_order(order, spec, now)
        self._index(booked)
        return [_update(booked, "NEW"), *self._enter(booked, now)]

    def cancel(
        self, instrument: str, cl_ord_id: str | None, now: int, *, venue_order_id: str | None = None
    ) -> list[VenueUpdate]:
        """Cancel an open order by either id.

        Raises:
            VenueRejected: -1121; -2011 when there is no such open order.
        """
        spec = self._spec(instrument)
        booked = self.booked(instrument, cl_ord_id, venue_order_id)
        if booked is None or not booked.is_open:
            raise VenueRejected(CANCEL_REFUSED, "Unknown order sent.")
        self._account.close_order(booked, spec, "CANCELED", now)
        self._forget_open(booked)
        return [_update(booked, "CANCELED")]

    def advance(self, now: int) -> list[VenueUpdate]:
        """Time passed without news: orders whose latency is over by `now` meet the market as it stands, first come first."""
        updates: list[VenueUpdate] = []
        for at, venue_order_id in self._waiting.due(now):
            booked = self._by_id[venue_order_id]
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
        if account.waiting is msgspec.UNSET and self._model != AS_QUOTED:
            account.waiting = Waiting()
        self._account = account
        self._waiting = Waiting() if account.waiting is msgspec.UNSET else account.waiting
        for spec in self._specs.values():
            account.holding(spec.base)
            account.holding(spec.quote)
        self._by_id: dict[str, BookedOrder] = {}
        self._newest: dict[tuple[str, str], BookedOrder] = {}
        self._open: dict[str, dict[str, BookedOrder]] = {}
        for booked in account.orders:
            self._index(booked)

    def _index(self, booked: BookedOrder) -> None:
        self._by_id[booked.venue_order_id] = booked
        self._newest[booked.instrument, booked.cl_ord_id] = booked
        if booked.is_open:
            self._open.setdefault(booked.instrument, {})[booked.venue_order_id] = booked

    def _forget_open(self, booked: BookedOrder) -> None:
        if not booked.is_open:
            self._open[booked.instrument].pop(booked.venue_order_id, None)
            self._waiting.forget(booked.venue_order_id)

    def _book(self, instrument: str) -> TopOfBook:
        self._spec(instrument)
        return self._account.books.setdefault(instrument, TopOfBook())

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
        if needed > held.free:
            raise VenueRejected(ORDER_REFUSED, "Account has insufficient balance for requested action.")

    def _enter(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        """What a new order does first: nothing while its latency runs, then rest as a stop or take what it can."""
        if self._model.latency_ms:
            self._waiting.deferred[booked.venue_order_id] = now + self._model.latency_ns
            return []
        return [] if booked.waits_for_trigger else self._execute(booked, now)

    def _execute(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        """Take what the market gives an order that is (or has just become) active, and expire what may not rest."""
        spec = self._spec(booked.instrument)
        book = self._book(booked.instrument)
        ladder = list(book.ladder(booked.side, spec, booked.limit_px))
        offered = min(booked.leaves_qty, sum((qty for _, qty in ladder), ZERO))
        left = self._allowed(booked.instrument, offered, now)
        is_capped = left < offered
        if booked.time_in_force == "FOK" and left < booked.leaves_qty:
            ladder = []
        cost_bps = self._cost_bps(booked.instrument, left, now)
        self._waiting.forget(booked.venue_order_id)
        updates = []
        for level_px, level_qty in ladder:
            px = taker_px(level_px, booked.side, spec.px_tick, cost_bps, booked.limit_px)
            qty = self._affordable(booked, spec, px, min(level_qty, left))
            if qty <= 0:
                break
            left -= qty
            fill = self._account.book_fill(booked, spec, px, qty, maker=False, now=now)
            book.opposite(booked.side).taken += qty
            self._count_ours(booked.instrument, qty, now)
            updates.append(_update(booked, "TRADE", fill))
        if booked.is_open and booked.time_in_force == "GTC" and is_capped and left == 0:
            self._waiting.carry(booked.venue_order_id)
        elif booked.is_open and (booked.limit_px is None or booked.time_in_force != "GTC"):
            self._account.close_order(booked, spec, "EXPIRED", now)
            updates.append(_update(booked, "EXPIRED"))
        self._forget_open(booked)
        return updates

    def _resume(self, instrument: str, now: int) -> list[VenueUpdate]:
        """The market moved or traded: let carried orders take what their share now allows."""
        carried = [self._by_id[order_id] for order_id in self._waiting.carried]
        found = [booked for booked in carried if booked.instrument == instrument]
        return [update for booked in found for update in self._execute(booked, now)]

    def _allowed(self, instrument: str, qty: Decimal, now: int) -> Decimal:
        """`qty`, or less where our share of what traded in the last minute ends."""
        if not self._model.caps:
            return qty
        traded, ours = self._waiting.flow(instrument).totals(now)
        return min(qty, self._model.room(traded, ours, self._spec(instrument).qty_step))

    def _cost_bps(self, instrument: str, qty: Decimal, now: int) -> Decimal:
        traded = self._waiting.flow(instrument).totals(now)[0] if self._model.impact_bps else ZERO
        return self._model.quote_cost_bps(qty, traded)

    def _count_ours(self, instrument: str, qty: Decimal, now: int) -> None:
        if self._model.caps:
            self._waiting.flow(instrument).count(now, ours=qty)

    def _affordable(self, booked: BookedOrder, spec: InstrumentSpec, px: Decimal, qty: Decimal) -> Decimal:
        """`qty`, or less where the money is gone: a buy stop that gapped, a MARKET that waited and locked nothing."""
        if booked.side == "SELL":
            free = qty if booked.reserve_px else self._account.holding(spec.base).free
            return min(qty, floor_to_step(free, spec.qty_step))
        if px <= booked.reserve_px:
            return qty
        free = self._account.holding(spec.quote).free + booked.reserve_px * qty
        return min(qty, floor_to_step(free / px, spec.qty_step))

    def _fill_through(self, instrument: str, side: str, px: Decimal, qty: Decimal, now: int) -> list[VenueUpdate]:
        """Fill resting limits of `side` that a market at `px` went through, sharing out at most `qty`."""
        spec = self._spec(instrument)
        sign = -1 if side == "BUY" else 1
        resting = [
            booked
            for booked in self._open[instrument].values()
            if booked.side == side and booked.limit_px is not None and not booked.waits_for_trigger
            if booked.venue_order_id not in self._waiting
        ]
        qty = self._allowed(instrument, qty, now)
        updates = []
        for booked in sorted(resting, key=lambda found: sign * found.limit_px):  # stable: age decides among equals
            if not went_through(side, booked.limit_px, px, spec.px_tick):
                break
            share = min(booked.leaves_qty, floor_to_step(qty, spec.qty_step))
            if share <= 0:
                break
            qty -= share
            fill = self._account.book_fill(booked, spec, booked.limit_px, share, maker=True, now=now)
            self._count_ours(instrument, share, now)
            updates.append(_update(booked, "TRADE", fill))
            self._forget_open(booked)
        return updates

    def _trigger(self, instrument: str, now: int) -> list[VenueUpdate]:
        """Execute the stops that the market has reached; the one reached first goes first."""
        book = self._book(instrument)
        reached = [
            booked
            for booked in self._open[instrument].values()
            if booked.waits_for_trigger and _reached(booked.side, booked.stop_px, book)
            if booked.venue_order_id not in self._waiting
        ]
        updates = []
        for booked in sorted(reached, key=lambda found: found.stop_px if found.side == "BUY" else -found.stop_px):
            booked.triggered = True
            updates += self._execute(booked, now)
        return updates


def _reached(side: str, stop_px: Decimal, book: TopOfBook) -> bool:
    """Whether the last trade is at or beyond the stop, or the whole quote beyond it."""
    if side == "BUY":
        return (book.last_px is not None and book.last_px >= stop_px) or (
            book.bid.px is not None and book.bid.px > stop_px
        )
    return (book.last_px is not None and book.last_px <= stop_px) or (book.ask.px is not None and book.ask.px < stop_px)


def _update(booked: BookedOrder, exec_type: ExecType, fill: VenueFill | None = None) -> VenueUpdate:
    return VenueUpdate(order=booked.as_order(), fill=fill, exec_type=exec_type)
