"""Which lines there are: for each venue of the settings its dialect, its REST, and a reader of the chosen kind."""

from __future__ import annotations

from typing import Any

import ccxt.pro

from services.market_feed.adapters.binance_reader import BinanceReader
from services.market_feed.adapters.binance_socket import Patience
from services.market_feed.adapters.ccxt_reader import CcxtReader
from services.market_feed.adapters.dialects import DIALECTS
from services.market_feed.adapters.line import Ear, MakeReader, VenueLine
from services.market_feed.adapters.reader import SocketReader
from services.market_feed.adapters.rest import RestVenue
from services.market_feed.settings import Settings


def open_lines(settings: Settings, context: Any, ear: Ear) -> dict[str, VenueLine]:
    """A line for every venue of the settings, the most preferred first; nothing is connected yet."""
    lines = {}
    for venue in settings.feed_venues:
        dialect = DIALECTS[venue]()
        exchange = getattr(ccxt.pro, venue)(dialect.config(settings.url))
        if venue != "kucoin":
            exchange.streaming["keepAlive"] = settings.feed_ping_ms
        rest = RestVenue(exchange, dialect, settings.instruments, context.budget)
        make = _reader_of(venue, exchange, settings, context)
        lines[venue] = VenueLine(dialect, rest, make, settings, context, ear, is_home=venue == settings.home_venue)
    return lines


def _reader_of(venue: str, exchange: Any, settings: Settings, context: Any) -> MakeReader:
    """Our own reader for Binance, unless the settings want ccxt's; ccxt's for all others."""

    def make(line: VenueLine, instruments: tuple[str, ...]) -> SocketReader:
        now, logger = context.clock.now, context.logger
        if venue == "binance" and settings.feed_reader == "native":
            patience = Patience(ping_s=settings.feed_ping_ms / 1000)
            return BinanceReader(settings.sockets_url, venue, instruments, line, now, logger, patience=patience)
        return CcxtReader(exchange, venue, instruments, line, now, logger)

    return make
