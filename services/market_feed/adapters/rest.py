"""The venue's REST answers as checked facts. Whatever goes wrong is one exception, `VenueUnavailable`, to be tried again.

ccxt does not notice an answer that is truncated, empty or HTML with status 200: it returns None fields, or raises whatever
Python raises on nonsense. So every answer passes frames.py or klines.py, and those errors count as the venue's, not ours.
Bars are asked for by ccxt's raw call, because `fetch_ohlcv` makes an empty list of nonsense, and no bars is an answer to us:
nobody traded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any, TypeVar

import ccxt
import ccxt.pro

from libs.common.messages import Bar, InstrumentSpec, QuoteChanged, Timeframe
from libs.common.money import ZERO, plain, to_decimal
from libs.common.timeframe import MILLISECOND, MINUTE, STEP
from libs.runtime.adapter import VenueBudget
from libs.runtime.ccxt_budget import spend_from
from services.market_feed.frames import FrameRefused, quote_of, symbol_of, to_ns
from services.market_feed.klines import bars_of, complete_until

PAGE = 1000
"""Bars in one answer, at most."""

CALL_S_MAX = 15.0
ROOM_S_MAX = 75.0
"""How long a call may wait for its share of the venue's budget: longer than a window."""
_NONSENSE = (FrameRefused, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)

T = TypeVar("T")


class VenueUnavailable(Exception):
    """The venue did not answer, or not sensibly; the text says which call and what came instead."""


class UnknownInstrument(ValueError):
    """The venue does not trade an instrument we are told to feed."""


class RestVenue:
    """What the feed asks the venue by REST, within the venue's budget if one is given. Instants are ns UTC."""

    def __init__(
        self,
        exchange: ccxt.pro.binance,
        venue: str,
        instruments: tuple[str, ...],
        budget: VenueBudget | None = None,
    ):
        self.exchange = exchange
        self._call_s_max = CALL_S_MAX
        if budget is not None:
            spend_from(budget, exchange, venue, lane="data", deadline_s=ROOM_S_MAX)
            self._call_s_max += ROOM_S_MAX
        self._venue = venue
        self._instruments = instruments

    async def specs(self) -> tuple[InstrumentSpec, ...]:
        """The venue's rules for every instrument.

        Raises:
            VenueUnavailable; UnknownInstrument: it does not list one of them.
        """
        markets = await self._ask("load_markets", self.exchange.load_markets(True))
        unknown = [name for name in self._instruments if symbol_of(name) not in markets]
        if unknown:
            raise UnknownInstrument(f"{self._venue} does not list {', '.join(unknown)}; correct BULKHEAD_INSTRUMENTS")
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
        """The best bid and offer of every instrument; an empty or crossed book is left out."""
        symbols = [symbol_of(name) for name in self._instruments]
        tickers = await self._ask("fetch_bids_asks", self.exchange.fetch_bids_asks(symbols))
        missing = [symbol for symbol in symbols if symbol not in tickers]
        if missing:
            raise VenueUnavailable(f"fetch_bids_asks: nothing about {', '.join(missing)}")
        quotes = []
        for name in self._instruments:
            try:
                quotes.append(quote_of(tickers[symbol_of(name)], name, self._venue, now))
            except FrameRefused:
                continue
        return quotes

    async def last_px(self, instrument: str) -> float | None:
        """The price of the last trade; None if there is none."""
        rows = await self._rows(instrument, "1m", limit=1)
        return rows[-1].close if rows else None

    async def history(self, instrument: str, timeframe: Timeframe, since: int, until: int) -> list[Bar]:
        """The bars that open at `since` or later and close at `until` or before, page by page."""
        bars: list[Bar] = []
        while since < until:
            page = await self._rows(instrument, timeframe, since, PAGE, until)
            if not page:
                break
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
        bars = await self._rows(instrument, "1m", since, PAGE)
        covered = min(until, since + PAGE * MINUTE)
        if venue_now >= covered + (0 if waited else grace):
            return bars, covered
        return bars, min(until, complete_until(bars))

    async def _rows(
        self, instrument: str, timeframe: Timeframe, since: int | None = None, limit: int = PAGE, until: int = 0
    ) -> list[Bar]:
        params = {"symbol": self.exchange.market_id(symbol_of(instrument)), "interval": timeframe, "limit": limit}
        if since is not None:
            params["startTime"] = since // MILLISECOND
        if until:
            params["endTime"] = until // MILLISECOND - 1
        rows = await self._ask("klines", self.exchange.public_get_klines(params))
        try:
            if not isinstance(rows, list):
                raise FrameRefused("NOT_A_LIST")
            numbers = ([int(row[0]), *map(float, row[1:6])] for row in rows)
            return bars_of(numbers, instrument, self._venue, timeframe)
        except _NONSENSE as error:
            raise VenueUnavailable(f"klines {instrument} {timeframe}: {error}"[:300]) from None

    async def _ask(self, name: str, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._call_s_max):
                return await call
        except (ccxt.BaseError, TimeoutError, *_NONSENSE) as error:
            raise VenueUnavailable(f"{name}: {type(error).__name__}: {error}"[:300]) from None


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
