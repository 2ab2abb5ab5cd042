"""What ccxt has just parsed, told: one teller for the trades and one for the quotes of an instrument.

ccxt's caches grow to their limit, lose the oldest trades of a burst, and keep only the newest quote. So a teller looks after every
frame: nothing waits in a cache, nothing is overwritten in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.market_feed.adapters.binance_frames import OLD_QUOTES_MAX
from services.market_feed.adapters.reader import Link, Now, Sink, shown
from services.market_feed.frames import FrameRefused, quote_of, symbol_of, trade_of


class TradeTeller:
    """The trades of one instrument."""

    def __init__(self, exchange: Any, venue: str, instrument: str, link: Link, sink: Sink, now: Now):
        self.instrument = instrument
        self._exchange = exchange
        self._venue = venue
        self._symbol = symbol_of(instrument)
        self._link = link
        self._sink = sink
        self._now = now

    def tell(self) -> bool:
        """Empty the cache; whether there was anything in it."""
        cache = self._exchange.trades.get(self._symbol)
        if not cache:
            return False
        frames, now = list(cache), self._now()
        cache.clear()
        self._link.frames += 1
        for frame in frames:
            try:
                trade = trade_of(frame, self.instrument, self._venue, now)
            except FrameRefused as error:
                self._sink.refused(str(error), self.instrument, shown(frame.get("info")))
            else:
                self._sink.trade(trade)
        return True

    def forget(self) -> None:
        """Trades are not compared."""


class QuoteTeller:
    """The quotes of one instrument. Of our own is the rule that a book's update id grows, where the venue gives one."""

    def __init__(
        self,
        exchange: Any,
        venue: str,
        instrument: str,
        link: Link,
        sink: Sink,
        now: Now,
        on_liar: Callable[[str], None],
    ):
        self.instrument = instrument
        self._exchange = exchange
        self._venue = venue
        self._cache = "tickers" if venue == "kraken" else "bidsasks"
        self._symbol = symbol_of(instrument)
        self._link = link
        self._sink = sink
        self._now = now
        self._on_liar = on_liar
        self._told: Any = None
        self.forget()

    def forget(self) -> None:
        """A connection begins on which the venue may count anew."""
        self._update_id = 0
        self._old_quotes = 0

    def tell(self) -> bool:
        """Look at the newest; whether it is another one than before."""
        ticker = getattr(self._exchange, self._cache).get(self._symbol)
        if ticker is None or ticker is self._told:
            return False
        self._told = ticker
        self._link.frames += 1
        try:
            update_id = _update_id(ticker)
            quote = quote_of(ticker, self.instrument, self._venue, self._now(), update_id)
            if update_id is not None:
                self._count_on(update_id)
        except FrameRefused as error:
            self._sink.refused(str(error), self.instrument, shown(ticker.get("info")))
        else:
            self._sink.quote(quote)
        return True

    def _count_on(self, update_id: int) -> None:
        """Refuse a quote that is older than the last; where many are, the last one was the liar."""
        if update_id > self._update_id:
            self._update_id = update_id
            self._old_quotes = 0
            return
        self._old_quotes += 1
        if self._old_quotes == OLD_QUOTES_MAX:
            self._on_liar(self.instrument)
        raise FrameRefused("BAD_ID" if update_id <= 0 else "OLD_QUOTE")


Teller = TradeTeller | QuoteTeller


def _update_id(ticker: dict[str, Any]) -> int | None:
    info = ticker.get("info")
    update_id = info.get("u") if isinstance(info, dict) else None
    return update_id if type(update_id) is int else None
