"""Other venues where the paper account may trade, too: each instrument there is a twin of ours, in the same account.

A twin is named `kraken:BTC-USDT`, has that venue's rules, and its market is ours at that venue's prices. Balances are shared: what is
bought at one venue can be sold at the other, which no real pair of venues allows, and which keeps the sum of all money checkable.
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.messages import InstrumentSpec
from libs.trading.venue import SpotVenue, VenueUpdate
from services.exchange_sim.market import Event, Market, Quote, Trade
from services.exchange_sim.other_venues import OtherListing, VenueRules


def twin_of(venue: str, instrument: str) -> str:
    """The account's name of `instrument` at `venue`."""
    return f"{venue}:{instrument}"


class Twins:
    """The twins of every instrument of `market` at venues with these `rules`; all of them take fees in quote."""

    def __init__(self, rules: Iterable[VenueRules], market: Market):
        self._listings: dict[str, list[tuple[str, OtherListing]]] = {name: [] for name in market.histories}
        self.specs: dict[str, InstrumentSpec] = {}
        for venue in rules:
            for name, history in market.histories.items():
                listing = OtherListing(venue, history.listing)
                self._listings[name].append((twin_of(venue.venue, name), listing))
                self.specs[twin_of(venue.venue, name)] = listing.spec

    def play(self, venue: SpotVenue, event: Event) -> list[VenueUpdate]:
        """The event as each twin sees it, played into the account."""
        updates: list[VenueUpdate] = []
        for name, listing in self._listings[event.instrument]:
            if isinstance(event, Quote):
                quote = listing.quote(event)
                updates += venue.on_quote(name, quote.bid_px, quote.bid_qty, quote.ask_px, quote.ask_qty, quote.ts)
            elif isinstance(event, Trade):
                trade = listing.trade(event)
                updates += venue.on_trade(name, trade.px, trade.qty, trade.ts)
        return updates
