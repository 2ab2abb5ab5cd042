"""Which adapter trades at which venue."""

from __future__ import annotations

from libs.runtime.adapter import Adapter
from services.order_executor.adapters.ccxt_venue import CcxtVenue
from services.order_executor.adapters.kraken_venue import KrakenVenue
from services.order_executor.settings import Settings

VENUES: dict[str, type[CcxtVenue]] = {"kraken": KrakenVenue}
"""By `exec_venue`; every other venue is spoken to as Binance is."""


def venue_of(settings: Settings) -> Adapter:
    """The adapter of the venue that `settings` name."""
    return VENUES.get(settings.exec_venue, CcxtVenue)(settings)
