"""Which venue's adapter an executor has, by `exec_venue`."""

from __future__ import annotations

from services.order_executor.adapters.ccxt_venue import CcxtVenue
from services.order_executor.adapters.kraken_venue import KrakenVenue
from services.order_executor.adapters.kucoin_venue import KucoinVenue
from services.order_executor.settings import Settings

VENUES: dict[str, type[CcxtVenue]] = {"kraken": KrakenVenue, "kucoin": KucoinVenue}
"""Those that are not spoken to as Binance is."""


def venue_of(settings: Settings) -> CcxtVenue:
    """The adapter for the venue that `settings` name."""
    return VENUES.get(settings.exec_venue, CcxtVenue)(settings)
