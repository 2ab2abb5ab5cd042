"""A venue's REST answers as checked facts. Whatever goes wrong is one exception, `VenueUnavailable`, to be tried again.

ccxt does not notice an answer that is truncated, empty or HTML with status 200: it returns None fields, or raises whatever
Python raises on nonsense. So every answer passes frames.py or klines.py, and those errors count as the venue's, not ours. How
each venue is asked is its dialect's business (dialects.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from decimal import Decimal
from typing import Any, TypeVar

import ccxt
import ccxt.pro

from libs.common.messages import Bar, InstrumentSpec, QuoteChanged, Timeframe
from libs.common.money import ZERO, plain, to_decimal
from libs.common.timeframe import MINUTE, STEP, bar_open
from libs.runtime.adapter import VenueBudget
from libs.runtime.ccxt_budget import spend_from
from libs.trading.bars import Rollup
from services.market_feed.adapters.dialects import Dialect
from services.market_feed.frames import FrameRefused, quote_of, symbol_of, to_ns
from services.market_feed.klines import bars_of, complete_until

CALL_S_MAX = 15.0
ROOM_S_MAX = 75.0
"""How long a call may wait for its share of the venue's budget: longer than a window."""
_NONSENSE = (FrameRefused, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration)

T = TypeVar("T")


class VenueUnavailable(Exception):
    """The venue did not answer, or not sensibly; the text says which call and what came instead."""


class UnknownInstrument(ValueError):
    """The venue does not trade an instrument we are told to feed."""


class RestVenue:
    """What the feed asks one venue by REST, within the venue's budget if one is given. Instants are ns UTC.

    `answers`: whether the last call was answered with sense.
    """

    def __init__(
        self, exchange: Any, dialect: Dialect, instruments: tuple[str, ...], budget: VenueBudget | None = None
    ):
        self.exchange = exchange
        self._call_s_max = CALL_S_MAX
        if budget is not None:
            spend_from(budget, exchange, dialect.venue, lane="data", deadline_s=ROOM_S_MAX)
            self._call_s_max += ROOM_S_MAX
        self.dialect = dialect
        self.venue = dialect.venue
        self.answers = False
        self._instruments = instruments

    async def specs(self, *, needs_all: bool = True) -> tuple[InstrumentSpec, ...]:
        """The venue's rules for every instrument; without `needs_all` for those it lists, which are then all it is asked for.

        Raises:
            VenueUnavailable; UnknownInstrument: it does not list one of them.
        """
        markets = await self._ask("load_markets", self.exchange.load_markets(True))
        if not markets:  # what ccxt makes of a page of HTML: no venue lists nothing
            self.answers = False
            raise VenueUnavailable(f"{self.venue} load_markets: the answer lists nothing at all")
        unknown = [name for name in self._instruments if symbol_of(name) not in markets]
        if unknown and needs_all:
            raise UnknownInstrument(f"{self.venue} does not list {', '.join(unknown)}; correct BULKHEAD_INSTRUMENTS")
        self._instruments = tuple(name for name in self._instruments if name not in unknown)
        try:
            return tuple(_spec(name, markets[symbol_of(name)]) for name in self._instruments)
        except _NONSENSE as error:
            raise VenueUnavailable(f"load_markets: {type(error).__name__}: {error}"[:300]) from None

    async def now(self) -> int:
        """The venue's own clock."""
        answer = await self._ask("fetch_time", self.exchange.fetch_time())
        try:
            return to_ns(answer)
        except FrameRefused as error:
            raise VenueUnavailable(f"fetch_time: {error}: {answer!r}"[:300]) from None

    async def quotes(self, now: int) -> list[QuoteChanged]:
        """The best bid and offer of every instrument; an empty or crossed book, or one the venue does not tell, is left out."""
        symbols = [symbol_of(name) for name in self._instruments]
        tickers = await self._ask("quotes", self.dialect.quotes(self.exchange, symbols))
        if not any(symbol in tickers for symbol in symbols):
            raise VenueUnavailable(f"quotes: nothing about {', '.join(symbols)}")
        quotes = []
        for name in self._instruments:
            with suppress(FrameRefused, KeyError):
                quotes.append(quote_of(tickers[symbol_of(name)], name, self.venue, now))
        return quotes

    async def last_px(self, instrument: str) -> float | None:
        """The price of the last trade; None if there is none."""
        rows = await self._rows(instrument, "1m", None, 1)
        return rows[-1].close if rows else None

    async def history(self, instrument: str, timeframe: Timeframe, since: int, until: int) -> list[Bar]:
        """The bars that open at `since` or later and close at `until` or before, page by page."""
        if timeframe == "1w" and not self.dialect.has_weeks:
            days = await self.history(instrument, "1d", bar_open(since, "1w"), until)
            weeks = Rollup("1w")
            return [week for day in days if (week := weeks.fold(day)) is not None and week.ts_open >= since]
        bars: list[Bar] = []
        while since < until:
            page = await self._rows(instrument, timeframe, since, self.dialect.page, until)
            if not page:
                break
            if page[0].ts_open < since:
                raise VenueUnavailable(f"bars {instrument} {timeframe}: asked from {since}, got {page[0].ts_open}")
            bars += page
            since = page[-1].ts_open + STEP[timeframe]
        return bars

    async def minutes(
        self, instrument: str, since: int, until: int, *, grace: int, waited: bool
    ) -> tuple[list[Bar], int]:
        """One page of one-minute bars from `since` on, and up to where they are final (at most `until`; see klines.py).

        `waited`: the caller has been asking for so long that `grace` would have passed if the venue's clock moved.
        """
        venue_now = await self.now()
        bars = await self._rows(instrument, "1m", since, self.dialect.page)
        covered = min(until, since + self.dialect.page * MINUTE)
        if venue_now >= covered + (0 if waited else grace):
            return bars, covered
        return bars, min(until, complete_until(bars))

    async def _rows(
        self, instrument: str, timeframe: Timeframe, since: int | None, limit: int, until: int = 0
    ) -> list[Bar]:
        symbol = symbol_of(instrument)
        asked = self.dialect.bars(self.exchange, symbol, timeframe, since, until, limit)
        rows = await self._ask(f"bars {instrument} {timeframe}", asked)
        try:
            return bars_of(rows, instrument, self.venue, timeframe)
        except _NONSENSE as error:
            self.answers = False
            raise VenueUnavailable(f"bars {instrument} {timeframe}: {error}"[:300]) from None

    async def _ask(self, name: str, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._call_s_max):
                answer = await call
        except (ccxt.BaseError, TimeoutError, *_NONSENSE) as error:
            self.answers = False
            raise VenueUnavailable(f"{self.venue} {name}: {type(error).__name__}: {error}"[:300]) from None
        self.answers = True
        return answer


def _spec(instrument: str, market: dict[str, Any]) -> InstrumentSpec:
    return InstrumentSpec(
        instrument=instrument,
        base=market["base"],
        quote=market["quote"],
        px_tick=_exact(market["precision"]["price"]),
        qty_step=_exact(market["precision"]["amount"]),
        qty_min=_exact(market["limits"]["amount"]["min"]),
        notional_min=_exact(market["limits"]["cost"]["min"] or 0),
        taker_fee=_exact(market["taker"] or 0),
        maker_fee=_exact(market["maker"] or 0),
    )


def _exact(value: float | str | int) -> Decimal:
    exact = to_decimal(value)
    return plain(exact) if exact else ZERO
