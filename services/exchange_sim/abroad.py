"""The account at another venue: the same money, and orders of its own at that venue's prices, steps and fees.

An instrument has another name there, `BTC-USDT@kucoin`, and under it a book and orders of its own in the one `SpotVenue`. The book
follows the market only while an order rests in it; an order that comes finds it as of the last event (`meet`).
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.messages import InstrumentSpec
from libs.trading.venue import BookedOrder, SpotVenue, VenueUpdate
from libs.trading.venue_rules import ABROAD
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import Event, Quote, Trade
from services.exchange_sim.other_venues import OtherListing, VenueRules


class Abroad:
    """The orders of the account at the venue of `rules`; `join` comes before anything else."""

    def __init__(self, rules: VenueRules, homes: Iterable[Listing]):
        self._suffix = ABROAD + rules.venue
        self._listings = {home.spec.instrument: OtherListing(rules, home) for home in homes}
        self._venue: SpotVenue
        self._met: dict[str, tuple[Quote | None, Trade | None]] = {}

    @property
    def specs(self) -> dict[str, InstrumentSpec]:
        """The rules there, by the name there."""
        return {self.name(instrument): listing.spec for instrument, listing in self._listings.items()}

    def join(self, venue: SpotVenue) -> None:
        """The account lives in `venue`, which knows our `specs`."""
        self._venue = venue

    def name(self, instrument: str) -> str:
        """What `instrument` is called here, where it is traded there."""
        return instrument + self._suffix

    def instrument(self, name: str) -> str:
        """The instrument of a name."""
        return name.removesuffix(self._suffix)

    def has(self, name: str) -> bool:
        """Whether `name` is an instrument there."""
        return name.endswith(self._suffix)

    def orders(self) -> list[BookedOrder]:
        """Every order there ever was there, oldest first."""
        return [booked for booked in self._venue.all_orders() if self.has(booked.instrument)]

    def on_event(self, event: Event) -> list[VenueUpdate]:
        """A market event was played: what it does to the orders that rest there."""
        name = self.name(event.instrument)
        if not self._venue.has_open(name):
            return []
        if isinstance(event, Quote):
            return self._quoted(name, event)
        if isinstance(event, Trade):
            trade = self._listings[event.instrument].trade(event)
            return self._venue.on_trade(name, trade.px, trade.qty, trade.ts)
        return []

    def meet(self, instrument: str, quote: Quote | None, last: Trade | None) -> None:
        """Bring the book up to date for an order that comes. What was taken from a quote stays taken."""
        name = self.name(instrument)
        met_quote, met_last = self._met.get(name, (None, None))
        self._met[name] = (quote, last)
        if self._venue.has_open(name):
            return
        if last is not None and last is not met_last:
            trade = self._listings[instrument].trade(last)
            self._venue.on_trade(name, trade.px, trade.qty, trade.ts)
        if quote is not None and quote is not met_quote:
            self._quoted(name, quote)

    def _quoted(self, name: str, quote: Quote) -> list[VenueUpdate]:
        there = self._listings[self.instrument(name)].quote(quote)
        return self._venue.on_quote(name, there.bid_px, there.bid_qty, there.ask_px, there.ask_qty, there.ts)
