"""The paper venue where only bars are known: orders in, updates out, one bar at a time. No I/O, clock or chance.

A bar is played in two steps, its open and then what lies within it, so that who hears of a fill at the open can place a stop that
protects in that same bar. A bar says where the price was, not in which order, so wherever that matters the rule is the one that is worse for us:

* An order takes part in a bar if it is active (submitted + latency) at the bar's open, and not in a bar that was under way.
* At the open, oldest order first: MARKET, and new limits that are marketable, take at the open; stops that lie behind the open
  trigger and take at the open, not at their price; resting limits the open went through by a tick fill at their own price.
  A new LIMIT_MAKER that is marketable expires instead, and the other one of its pair with it.
* Within the bar all stops come before all limits. A stop triggers on touch and takes at its price; a limit needs the market to
  go through it by a tick, and fills at its own price as a maker. Of a pair, a gap at the open decides, else the stop.
* Takers pay the costs of `fill_model`. All fills of a bar share `participation_max` of its volume; the rest of a GTC order takes
  or rests in the next bar.
* The stop and target of a bracket are entered when the whole entry has filled. In that bar the stop may fill; the target only
  after a MARKET entry at the open.

Fills at the open carry the bar's `ts_open`, those within it `ts_close`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Never

import msgspec

from libs.common.messages import Bar, InstrumentSpec, VenueFill
from libs.common.money import ZERO, to_decimal
from libs.trading.bar_brackets import NewBracket, check_bracket
from libs.trading.fill_model import FillModel, is_marketable, taker_px, went_through
from libs.trading.venue import SpotVenue, VenueUpdate
from libs.trading.venue_account import BookedOrder, VenueAccount, reserve_px
from libs.trading.venue_book import TopOfBook
from libs.trading.venue_flow import Waiting
from libs.trading.venue_matching import ClosedUnfilled, update_of
from libs.trading.venue_rules import NO_FUNDS, ORDER_REFUSED, NewOrder, VenueRejected, check_order


class PlayedBar(msgspec.Struct, frozen=True, kw_only=True):
    """A bar in exact numbers."""

    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    ts_open: int
    ts_close: int


class _Playing:
    """A bar that is being played: how much of its volume is ours by now, and which limits saw only a part of it."""

    __slots__ = ("_exact", "bar", "barred", "filled")

    def __init__(self, bar: Bar):
        self.bar = bar
        self.filled = ZERO
        self.barred: set[str] = set()
        self._exact: PlayedBar | None = None

    def exactly(self) -> PlayedBar:
        """In exact numbers, made when an order first looks at it: most bars meet none."""
        if self._exact is None:
            self._exact = _exactly(self.bar)
        return self._exact


class BarAccount(msgspec.Struct, kw_only=True):
    """What a snapshot holds: the account, brackets by the id of the entry they wait for, and up to when bars were played (ns)."""

    account: VenueAccount
    held: dict[str, NewBracket]
    played_until: dict[str, int]


_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(BarAccount)


class BarVenue(SpotVenue):
    """A `SpotVenue` that is told bars instead of quotes and trades; nothing fills between two of them."""

    def __init__(self, specs: dict[str, InstrumentSpec], balances: dict[str, Decimal], model: FillModel):
        self._held: dict[str, NewBracket] = {}
        self._played_until: dict[str, int] = {}
        self._bars: dict[str, _Playing] = {}
        super().__init__(specs, balances, model)

    def submit_bracket(self, bracket: NewBracket, now: int) -> list[VenueUpdate]:
        """Enter an entry whose stop and target follow when it has filled; without an entry, the stop and the target now.

        Raises:
            VenueRejected: those of `submit` for any of the orders, -2010 when they do not fit each other; nothing is entered.
        """
        check_bracket(bracket)
        spec, book = self._traded(bracket.stop.instrument), self._book(bracket.stop.instrument)
        for order in (bracket.stop, bracket.target):
            check_order(order, spec, None)
            self._check_id(order)
        if bracket.entry is not None:
            updates = self.submit(bracket.entry, now)
            self._held[updates[0].order.venue_order_id] = bracket
            return updates
        self._check_against(bracket.stop, book)
        self._check_funds(bracket.dearer(), spec, book, now)
        legs = self._enter_pair(bracket, now)
        for booked in legs:
            self._enter(booked, now)
        return [update_of(booked, "NEW") for booked in legs]

    def on_bar(self, bar: Bar) -> list[VenueUpdate]:
        """A bar closed: fill and trigger what was active at its open.

        Raises:
            ValueError: prices that are no bar, or a bar that does not follow the one before.
            VenueRejected: -1121.
        """
        return self.open_bar(bar) + self.close_bar(bar.instrument)

    def open_bar(self, bar: Bar) -> list[VenueUpdate]:
        """A bar opens: fill and trigger what was active by then at its open. Nothing else of it is told or used yet.

        What is entered from here on until `close_bar` takes part in the rest of the bar if it is a stop; anything else waits for the
        next one.

        Raises:
            ValueError: prices that are no bar, or a bar that does not follow the one before.
            VenueRejected: -1121.
        """
        self._spec(bar.instrument)
        _check_bar(bar, self._played_until.get(bar.instrument, 0))
        self._bars[bar.instrument] = _Playing(bar)
        if not self._open.get(bar.instrument):
            return []
        self._enter_bar(bar.instrument)
        return self._at_open(bar.instrument)

    def close_bar(self, instrument: str) -> list[VenueUpdate]:
        """The bar that `open_bar` began is over: stops that it reached, then limits that it went through.

        Raises:
            ValueError: no bar of `instrument` is open.
        """
        playing = self._bars.get(instrument)
        if playing is None:
            raise ValueError(f"{instrument}: no bar is open")
        updates = []
        if self._open.get(instrument):
            self._enter_bar(instrument)
            updates = self._within(instrument)
        self._played_until[instrument] = playing.bar.ts_close
        self._book(instrument).last_px = to_decimal(playing.bar.close)
        del self._bars[instrument]
        return updates

    def on_quote(self, *told: object) -> Never:
        """Not of this venue.

        Raises:
            TypeError: always; a venue is told bars, or quotes and trades.
        """
        raise TypeError("a bar venue is told bars only")

    def on_trade(self, *told: object) -> Never:
        """Not of this venue.

        Raises:
            TypeError: always; a venue is told bars, or quotes and trades.
        """
        raise TypeError("a bar venue is told bars only")

    def advance(self, now: int) -> list[VenueUpdate]:
        """Time alone fills nothing here."""
        return []

    def snapshot(self) -> bytes:
        """The whole account, its brackets and its place in the bars; `restore` makes an equal venue of it."""
        return _encoder.encode(BarAccount(account=self._account, held=self._held, played_until=self._played_until))

    def restore(self, snapshot: bytes) -> None:
        """Become the venue that `snapshot` was taken of; instruments and fill model stay those of the constructor.

        Raises:
            msgspec.ValidationError: not a snapshot of this version.
        """
        saved = _decoder.decode(snapshot)
        self._held, self._played_until = saved.held, saved.played_until
        self._adopt(saved.account)

    # --- inside a bar ---------------------------------------------------------------------------------------------

    def _enter_bar(self, instrument: str) -> None:
        self._playing = self._bars[instrument]
        self._bar = self._playing.exactly()

    def _at_open(self, instrument: str) -> list[VenueUpdate]:
        updates: list[VenueUpdate] = []
        px, now, tick = self._bar.open, self._bar.ts_open, self._spec(instrument).px_tick
        for booked in self._active(instrument):
            if not booked.is_open:  # the other one of its pair was first
                continue
            is_new = booked.venue_order_id in self._waiting
            self._waiting.forget(booked.venue_order_id)
            if booked.waits_for_trigger:
                if _reaches(booked, px):
                    updates += self._trigger_at(booked, px, now)
            elif is_new and booked.ord_type == "LIMIT_MAKER" and is_marketable(booked.side, booked.limit_px, px):
                updates += self._lapse(booked, now)
            elif is_new or booked.limit_px is None:
                updates += self._take(booked, px, now)
            elif went_through(booked.side, booked.limit_px, px, tick):
                updates += self._make(booked, now)
        return updates

    def _within(self, instrument: str) -> list[VenueUpdate]:
        """Stops, then limits; among each the one nearest to the open first."""
        bar, tick, updates = self._bar, self._spec(instrument).px_tick, []
        stops = [booked for booked in self._active(instrument) if booked.waits_for_trigger]
        if len(stops) > 1:
            stops.sort(key=lambda each: abs(each.stop_px - bar.open))
        for booked in stops:
            if booked.is_open and booked.waits_for_trigger and _reaches(booked, self._extreme(booked, is_stop=True)):
                updates += self._trigger_at(booked, booked.stop_px, bar.ts_close)
        limits = [
            booked
            for booked in self._active(instrument)
            if booked.limit_px is not None and not booked.waits_for_trigger
            if booked.venue_order_id not in self._waiting and booked.venue_order_id not in self._playing.barred
        ]
        if len(limits) > 1:
            limits.sort(key=lambda each: abs(each.limit_px - bar.open))
        for booked in limits:
            reached = self._extreme(booked, is_stop=False)
            if booked.is_open and went_through(booked.side, booked.limit_px, reached, tick):
                updates += self._make(booked, bar.ts_close)
        return updates

    def _active(self, instrument: str) -> list[BookedOrder]:
        """Orders that were active at the open, oldest first."""
        deferred, ts_open = self._waiting.deferred, self._bar.ts_open
        found = self._open.get(instrument, {}).values()
        return [booked for booked in found if deferred.get(booked.venue_order_id, 0) <= ts_open]

    def _extreme(self, booked: BookedOrder, *, is_stop: bool) -> Decimal:
        """The end of the bar that a stop, or a limit, of this side looks at."""
        return self._bar.high if (booked.side == "BUY") == is_stop else self._bar.low

    def _trigger_at(self, booked: BookedOrder, px: Decimal, now: int) -> list[VenueUpdate]:
        booked.triggered = True
        if now == self._bar.ts_close:
            self._playing.barred.add(booked.venue_order_id)  # what rests from here on saw only the rest of the bar
        return self._activate(booked, now) + self._take(booked, px, now)

    def _take(self, booked: BookedOrder, at_px: Decimal, now: int) -> list[VenueUpdate]:
        """Pay the market, where it is at `at_px`, for what our share of the bar allows; expire what may not rest."""
        spec, updates, fill = self._spec(booked.instrument), [], None
        may_fill = is_marketable(booked.side, booked.limit_px, at_px)
        room = self._room(spec)
        qty = min(booked.leaves_qty, room) if may_fill else ZERO
        if booked.time_in_force == "FOK" and qty < booked.leaves_qty:
            qty = ZERO
        cost_bps = self._model.bar_cost_bps(qty, self._bar.volume)
        px = taker_px(at_px, booked.side, spec.px_tick, cost_bps, booked.limit_px)
        affordable = self._account.affordable(booked, spec, px, qty)
        if affordable > 0:
            updates += self._activate(booked, now)
            fill = self._fill(booked, px, affordable, now, maker=False)
            updates.append(update_of(booked, "TRADE", fill))
        may_carry = booked.time_in_force == "GTC"
        if booked.is_open and may_carry and may_fill and affordable == qty:
            self._waiting.carry(booked.venue_order_id)
        elif booked.is_open and (booked.limit_px is None or not may_carry):
            updates.append(self._end(booked, "EXPIRED", now))
        return updates + (self._followers(booked, fill, at_px, now) if fill else [])

    def _make(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        """Fill a resting limit at its own price, as far as our share of the bar allows."""
        qty = min(booked.leaves_qty, self._room(self._spec(booked.instrument)))
        if qty <= 0:
            return []
        updates = self._activate(booked, now)
        fill = self._fill(booked, booked.limit_px, qty, now, maker=True)
        updates.append(update_of(booked, "TRADE", fill))
        market_px = self._bar.open if now == self._bar.ts_open else booked.limit_px
        return updates + self._followers(booked, fill, market_px, now)

    def _fill(self, booked: BookedOrder, px: Decimal, qty: Decimal, now: int, *, maker: bool) -> VenueFill:
        fill = self._account.book_fill(booked, self._spec(booked.instrument), px, qty, maker=maker, now=now)
        self._playing.filled += qty
        self._forget_open(booked)
        return fill

    def _room(self, spec: InstrumentSpec) -> Decimal:
        return self._model.room(self._bar.volume, self._playing.filled, spec.qty_step)

    # --- brackets -------------------------------------------------------------------------------------------------

    def _followers(self, entry: BookedOrder, fill: VenueFill, market_px: Decimal, now: int) -> list[VenueUpdate]:
        """Once `entry` has filled whole: enter its stop and target, with the market at `market_px`, and let the stop see it."""
        bracket = self._held.get(entry.venue_order_id)
        if bracket is None or entry.is_open:
            return []
        del self._held[entry.venue_order_id]
        stop, target = self._enter_pair(bracket, now)
        if self._is_overdrawn(stop.instrument):
            return [self._end(booked, "REJECTED", now) for booked in (stop, target)]
        updates = [update_of(stop, "NEW"), update_of(target, "NEW")]
        if entry.ord_type != "MARKET" or now != self._bar.ts_open:
            self._playing.barred.add(target.venue_order_id)
        if _reaches(stop, market_px):
            updates += self._trigger_at(stop, market_px, now)
        elif _reaches(stop, self._extreme(stop, is_stop=True)) and now == self._bar.ts_close:
            updates += self._trigger_at(stop, stop.stop_px, now)
        return updates

    def _enter_pair(self, bracket: NewBracket, now: int) -> tuple[BookedOrder, BookedOrder]:
        """As a pair of the account, named like its stop."""
        spec = self._spec(bracket.stop.instrument)
        legs = self.pairs.book(bracket.stop.cl_ord_id, (bracket.stop, bracket.target), spec, now)
        for booked in legs:
            self._index(booked)
        return legs

    def _end(self, booked: BookedOrder, status: ClosedUnfilled, now: int) -> VenueUpdate:
        """An entry that ends takes with it the stop and target it would have had."""
        self._held.pop(booked.venue_order_id, None)
        return super()._end(booked, status, now)

    # --- differences from quotes and trades ------------------------------------------------------------------------

    def _adopt(self, account: VenueAccount) -> None:
        if account.waiting is msgspec.UNSET:  # here every order waits for its first bar, whatever the fill model
            account.waiting = Waiting()
        super()._adopt(account)

    def _enter(self, booked: BookedOrder, now: int) -> list[VenueUpdate]:
        self._waiting.deferred[booked.venue_order_id] = now + self._model.latency_ns
        return []

    def _check_funds(self, order: NewOrder, spec: InstrumentSpec, book: TopOfBook, now: int) -> None:
        """A MARKET buy must be able to pay the last close with the most that a bar may cost on top."""
        buys = order.side == "BUY"
        needed = reserve_px(order) * order.order_qty
        if order.ord_type == "MARKET" and not buys:
            needed = order.order_qty
        elif order.ord_type == "MARKET" and book.last_px is not None:
            needed = order.order_qty * taker_px(book.last_px, "BUY", spec.px_tick, self._model.bar_cost_bps_max())
        if needed > self._account.holding(spec.quote if buys else spec.base).free:
            raise VenueRejected(ORDER_REFUSED, NO_FUNDS)

    def _is_overdrawn(self, instrument: str) -> bool:
        spec = self._spec(instrument)
        return any(self._account.holding(asset).free < 0 for asset in (spec.base, spec.quote))


def _reaches(order: BookedOrder | NewOrder, px: Decimal) -> bool:
    """Whether a market at `px` touches or lies behind the order's stop."""
    return px >= order.stop_px if order.side == "BUY" else px <= order.stop_px


def _check_bar(bar: Bar, played_until: int) -> None:
    numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    if not all(map(math.isfinite, numbers)) or bar.volume < 0:
        raise ValueError(f"{bar.instrument}: a bar of numbers that are none")
    if not 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise ValueError(f"{bar.instrument}: open and close do not lie between low and high")
    if not played_until <= bar.ts_open < bar.ts_close:
        raise ValueError(f"{bar.instrument}: the bar does not follow the one before")


def _exactly(bar: Bar) -> PlayedBar:
    return PlayedBar(
        open=to_decimal(bar.open),
        high=to_decimal(bar.high),
        low=to_decimal(bar.low),
        volume=to_decimal(bar.volume),
        ts_open=bar.ts_open,
        ts_close=bar.ts_close,
    )
