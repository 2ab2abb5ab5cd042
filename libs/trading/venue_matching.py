"""How orders of one account meet a market that is quoted and traded: taking, resting, triggering, and waiting for a turn.

The inside of `venue.SpotVenue`, whose head says the rules; nothing is refused here, and no order enters.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from libs.common.messages import ExecType, VenueFill, VenueOrder, VenueReported
from libs.common.money import ZERO, floor_to_step
from libs.trading.fill_model import AS_QUOTED, FillModel, taker_px, went_through
from libs.trading.venue_account import BookedOrder, VenueAccount
from libs.trading.venue_book import TopOfBook
from libs.trading.venue_flow import Waiting
from libs.trading.venue_pairs import PairBook
from libs.trading.venue_view import AccountView

ClosedUnfilled = Literal["CANCELED", "EXPIRED", "REJECTED"]
"""How an order ends by anything but a fill."""


class VenueUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An order moved: what it looks like now, the fill that moved it (TRADE only), and why."""

    order: VenueOrder
    fill: VenueFill | None
    exec_type: ExecType

    def reported(self, now: int) -> VenueReported:
        """As a user stream tells it at `now` (ns)."""
        return VenueReported(
            instrument=self.order.instrument, order=self.order, fill=self.fill, ts_event=now, ts_init=now
        )


class Matching(AccountView):
    """The orders of an account and the market they meet; who uses it sets `_specs` and `_model` and adopts an account."""

    _model: FillModel

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
        self.pairs = PairBook(account, self._by_id)

    def _index(self, booked: BookedOrder) -> None:
        self._by_id[booked.venue_order_id] = booked
        self._newest[booked.instrument, booked.cl_ord_id] = booked
        if booked.is_open:
            self._open.setdefault(booked.instrument, {})[booked.venue_order_id] = booked

    def _forget_open(self, booked: BookedOrder) -> None:
        if not booked.is_open:
            self._open[booked.instrument].pop(booked.venue_order_id, None)
            self._waiting.forget(booked.venue_order_id)

    def _end(self, booked: BookedOrder, status: ClosedUnfilled, now: int) -> VenueUpdate:
        """End an open order without a fill."""
        self._account.close_order(booked, self._spec(booked.instrument), status, now)
        self._forget_open(booked)
        return update_of(booked, status)

    def _activate(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        """Before an order fills or triggers: the other one of its pair expires, and the reserve is this one's."""
        partner = self.pairs.partner(booked)
        if partner is None:
            return []
        expired = self._end(partner, "EXPIRED", now)
        self._account.take_reserve(booked, self._spec(booked.instrument))
        return [expired]

    def _lapse(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        """A maker-only order that arrives where it would take: it was NEW already, so it expires, and its pair as a whole."""
        partner = self.pairs.partner(booked)
        return [self._end(each, "EXPIRED", now) for each in (booked, partner) if each is not None]

    def _book(self, instrument: str) -> TopOfBook:
        self._spec(instrument)
        book = self._account.books.get(instrument)
        if book is None:
            book = self._account.books[instrument] = TopOfBook()
        return book

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
        if booked.ord_type == "LIMIT_MAKER" and book.is_crossed_by(booked.side, booked.limit_px):
            return self._lapse(booked, now)
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
            qty = self._account.affordable(booked, spec, px, min(level_qty, left))
            if qty <= 0:
                break
            left -= qty
            fill = self._account.book_fill(booked, spec, px, qty, maker=False, now=now)
            book.opposite(booked.side).taken += qty
            self._count_ours(booked.instrument, qty, now)
            updates.append(update_of(booked, "TRADE", fill))
        if booked.is_open and booked.time_in_force == "GTC" and is_capped and left == 0:
            self._waiting.carry(booked.venue_order_id)
        elif booked.is_open and (booked.limit_px is None or booked.time_in_force != "GTC"):
            updates.append(self._end(booked, "EXPIRED", now))
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
            updates += self._activate(booked, now)
            fill = self._account.book_fill(booked, spec, booked.limit_px, share, maker=True, now=now)
            self._count_ours(instrument, share, now)
            updates.append(update_of(booked, "TRADE", fill))
            self._forget_open(booked)
        return updates

    def _trigger(self, instrument: str, now: int) -> list[VenueUpdate]:
        """Execute the stops that the market has reached; the one reached first goes first."""
        book = self._book(instrument)
        reached = [
            booked
            for booked in self._open[instrument].values()
            if booked.waits_for_trigger and book.has_reached(booked.side, booked.stop_px)
            if booked.venue_order_id not in self._waiting
        ]
        updates = []
        for booked in sorted(reached, key=lambda found: found.stop_px if found.side == "BUY" else -found.stop_px):
            booked.triggered = True
            updates += self._activate(booked, now)
            updates += self._execute(booked, now)
        return updates


def update_of(booked: BookedOrder, exec_type: ExecType, fill: VenueFill | None = None) -> VenueUpdate:
    """What is told of an order that has just moved."""
    return VenueUpdate(order=booked.as_order(), fill=fill, exec_type=exec_type)
