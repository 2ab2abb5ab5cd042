"""The venue at work: it plays the market into the account, up to venue time, and tells whoever listens.

Everything here is synchronous. Before an order is looked at, all market events that are due have been played, so an answer never
depends on how often the loop came round. Each change of the account is on disk before it is told.

A market that is followed may be out of sight. Then nothing fills, and new orders are refused as by a venue that is too busy (-1015:
proved not to have been entered, and it may be sent again); what rests goes on resting, and can be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

import msgspec

from libs.common.timeframe import MINUTE
from libs.trading.venue import BookedOrder, NewOrder, NewPair, SpotVenue, VenueRejected, VenueUpdate
from libs.trading.venue_account import BookedPair, MarketStatus
from libs.trading.venue_rules import TOO_MANY_ORDERS
from services.exchange_sim.account_store import AccountStore, SavedAccount
from services.exchange_sim.clock import VenueClock
from services.exchange_sim.depth import DepthBook
from services.exchange_sim.market import Event, Key, Lost, Market, Quote, Trade

NEVER = 1 << 62
"""When nothing is due: later than any time."""


class Listener(Protocol):
    """Who is told what happens."""

    def on_market(self, event: Event) -> None:
        """A market event was played."""
        ...

    def on_account(self, updates: list[VenueUpdate], now: int) -> None:
        """Orders of the account changed at venue time `now`."""
        ...

    def on_transfer(self, asset: str, amount: Decimal, now: int) -> None:
        """Money came into the account or left it."""
        ...


class Elsewhere(Protocol):
    """Other venues whose orders are on the same account."""

    def play(self, venue: SpotVenue, event: Event) -> list[VenueUpdate]:
        """What a market event here means to the account's orders there."""
        ...


class Exchange:
    """One market, one account, one clock. `listeners` join once the world is connected; they are told in that order."""

    def __init__(
        self,
        market: Market,
        venue: SpotVenue,
        store: AccountStore,
        make_clock: Callable[[int], VenueClock],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.market = market
        self.venue = venue
        self.quotes: dict[str, Quote] = {}
        self.last_trades: dict[str, Trade] = {}
        self.books = {name: DepthBook(name, history.listing) for name, history in market.histories.items()}
        self.seen: dict[str, int] = {}
        self.out_of_sight: set[str] = set()
        self.listeners: list[Listener] = []
        self._store = store
        self._elsewhere = elsewhere
        saved = store.load(market.identity)
        if saved is None:
            self._position: Key = (market.starts_at - MINUTE, 0)
            resume_at = market.starts_at
        else:
            account, resume_at = saved
            self._position = account.position
            self.seen = dict(account.seen)
            venue.restore(bytes(account.venue))
        self._prime()
        self.clock = make_clock(resume_at)
        self.play(resume_at)
        self.save()

    def play(self, until: int) -> None:
        """Play everything that is due at or before `until`."""
        while self.next_ts <= until:
            self.play_next()

    @property
    def next_ts(self) -> int:
        """When something is due next: a market event, or an order whose latency is over."""
        due, event = self.venue.next_due, self._peeked()
        ts = NEVER if event is None else event.ts
        return ts if due is None else min(due, ts)

    def play_next(self) -> None:
        """Play what is due next, whatever the clock says; something must be (`next_ts`)."""
        due, event = self.venue.next_due, self._peeked()
        if due is not None and (event is None or due <= event.ts):
            self._account_changed(self.venue.advance(due), due)
            return
        assert event is not None, "nothing is due"
        self._next = None
        self._position = (event.ts, event.rank)
        self._remember(event)
        if isinstance(event, Lost):
            self._account_changed(self.venue.lose_market(event.instrument, event.ts), event.ts)
            return
        updates: list[VenueUpdate] = []
        if isinstance(event, Quote):
            updates = self.venue.on_quote(
                event.instrument, event.bid_px, event.bid_qty, event.ask_px, event.ask_qty, event.ts
            )
        elif isinstance(event, Trade):
            updates = self.venue.on_trade(event.instrument, event.px, event.qty, event.ts)
        if self._elsewhere is not None:
            updates += self._elsewhere.play(self.venue, event)
        for listener in self.listeners:
            listener.on_market(event)
        if updates:
            self._account_changed(updates, event.ts)

    def catch_up(self) -> int:
        """Play what is due and return venue time."""
        now = self.clock.now_ns()
        self.play(now)
        return now

    def submit(self, order: NewOrder) -> tuple[BookedOrder, list[VenueUpdate]]:
        """Enter an order at venue time.

        Raises:
            VenueRejected: the venue refuses it.
        """
        now = self.catch_up()
        self._check_sight(order.instrument)
        updates = self.venue.submit(order, now)
        self._see(order.cl_ord_id)
        self._account_changed(updates, now)
        return self.venue.require(order.instrument, None, updates[0].order.venue_order_id), updates

    def cancel(self, instrument: str, cl_ord_id: str | None, venue_order_id: str | None) -> BookedOrder:
        """Cancel an open order at venue time.

        Raises:
            VenueRejected: there is no such open order.
        """
        now = self.catch_up()
        updates = self.venue.cancel(instrument, cl_ord_id, now, venue_order_id=venue_order_id)
        self._account_changed(updates, now)
        return self.venue.require(instrument, None, updates[0].order.venue_order_id)

    def replace(
        self, order: NewOrder, cl_ord_id: str | None, venue_order_id: str | None
    ) -> tuple[BookedOrder, BookedOrder | VenueRejected, list[VenueUpdate]]:
        """Cancel an open order and enter `order` in its place, at venue time: the old one, and the new one or its refusal.

        Raises:
            VenueRejected: nothing was done.
        """
        now = self.catch_up()
        self._check_sight(order.instrument)
        updates, refused = self.venue.replace(order, now, cl_ord_id=cl_ord_id, venue_order_id=venue_order_id)
        self._account_changed(updates, now)
        old = self.venue.require(order.instrument, None, updates[0].order.venue_order_id)
        if refused is not None:
            return old, refused, updates
        self._see(order.cl_ord_id)
        return old, self.venue.require(order.instrument, order.cl_ord_id), updates

    def submit_pair(self, pair: NewPair) -> BookedPair:
        """Enter a stop and a target of which one ends the other, at venue time.

        Raises:
            VenueRejected: the venue refuses them.
        """
        now = self.catch_up()
        self._check_sight(pair.instrument)
        updates = self.venue.submit_pair(pair, now)
        self._see(pair.stop_id, pair.target_id)
        self._account_changed(updates, now)
        return self.venue.pairs.require(pair.list_id)

    def cancel_pair(self, instrument: str, list_id: str | None, venue_list_id: str | None) -> BookedPair:
        """Cancel what is open of a pair, at venue time.

        Raises:
            VenueRejected: there is no such open pair.
        """
        now = self.catch_up()
        updates = self.venue.cancel_pair(instrument, list_id, now, venue_list_id=venue_list_id)
        self._account_changed(updates, now)
        cancelled = self.venue.require(instrument, None, updates[0].order.venue_order_id)
        return self.venue.pairs.require(None, cancelled.venue_list_id)

    def transfer(self, asset: str, amount: Decimal) -> None:
        """Money comes into the account, or (less than 0) leaves it, at venue time.

        Raises:
            VenueRejected: not so much is free.
        """
        now = self.catch_up()
        self.venue.transfer(asset, amount)
        self._save_account()
        for listener in self.listeners:
            listener.on_transfer(asset, amount, now)

    def set_market(self, instrument: str, status: MarketStatus) -> list[VenueUpdate]:
        """Open or close a market at venue time; the orders that expired with it.

        Raises:
            VenueRejected: -1121.
        """
        now = self.catch_up()
        updates = self.venue.set_market(instrument, status, now)
        self._account_changed(updates, now)
        return updates

    def save(self, ahead_ns: int = 0) -> None:
        """Write the account, and the time plus `ahead_ns`."""
        self._save_account()
        self.save_clock(ahead_ns)

    def save_clock(self, ahead_ns: int = 0) -> None:
        """Write the time at which a restart resumes."""
        self._store.save_clock(self.clock.now_ns() + ahead_ns)

    def _see(self, *cl_ord_ids: str) -> None:
        for cl_ord_id in cl_ord_ids:
            self.seen[cl_ord_id] = self.seen.get(cl_ord_id, 0) + 1

    def _prime(self) -> None:
        """Find the events behind the position, and the quotes, trades and books that stand there."""
        self._events = self.market.events((self._position[0] - MINUTE, 0))
        self._next: Event | None = None
        while (event := self._peeked()) is not None and (event.ts, event.rank) <= self._position:
            self._next = None
            self._remember(event)

    def _peeked(self) -> Event | None:
        """The next event of the market; None if it has not happened yet."""
        if self._next is None:
            self._next = next(self._events)
        return self._next

    def _check_sight(self, instrument: str) -> None:
        if instrument in self.out_of_sight:
            raise VenueRejected(TOO_MANY_ORDERS, f"{instrument}: its market cannot be seen now; send the order again.")

    def _remember(self, event: Event) -> None:
        if isinstance(event, Quote):
            self.quotes[event.instrument] = event
            self.out_of_sight.discard(event.instrument)
        elif isinstance(event, Lost):
            self.quotes.pop(event.instrument, None)
            self.out_of_sight.add(event.instrument)
        elif isinstance(event, Trade):
            self.last_trades[event.instrument] = event
        else:
            self.books[event.instrument].apply(event)

    def _account_changed(self, updates: list[VenueUpdate], now: int) -> None:
        self._save_account()
        for listener in self.listeners:
            listener.on_account(updates, now)

    def _save_account(self) -> None:
        self._store.save_account(
            SavedAccount(
                identity=self.market.identity,
                position=self._position,
                venue=msgspec.Raw(self.venue.snapshot()),
                seen=self.seen,
            )
        )
