"""Which lines there are: for each venue of the settings its dialect, its REST, and a reader of the chosen kind."""

from __future__ import annotations

from typing import Any

import ccxt.pro

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
        exchange = getattr(ccxt.pro, venue)(dialect.config(settings.url_of(venue)))
        rest = RestVenue(exchange, dialect, settings.instruments)
        make = _reader_of(exchange, settings, context)
        lines[venue] = VenueLine(dialect, rest, make, settings, context, ear, is_home=venue == settings.home)
    return lines


def _reader_of(exchange: Any, settings: Settings, context: Any) -> MakeReader:
    def make(line: VenueLine, instruments: tuple[str, ...]) -> SocketReader:
        return CcxtReader(exchange, line.venue, instruments, line, context.clock.now, context.logger)

    return make
