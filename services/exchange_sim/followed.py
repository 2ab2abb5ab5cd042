"""The followed market: what a live venue prints, as it comes, and of the past only what was heard since the start.

    follower (sockets) ─▶ trade, quote, lose ─▶ waiting ─▶ the exchange plays it: at once, or before the next order is looked at

Events are dated by their arrival here: an order of ours can only have met what had come. An instrument is out of sight until it is quoted
(at the start, and after every loss of the connection), and trades that come before that quote are not told: they would be met with no book.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from libs.common.timeframe import DAY, MINUTE
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import Event, History, Key, Kline, Lost, Quote, Trade, bar_of_trades

TRADES_KEPT = 5_000
MINUTES_KEPT = DAY // MINUTE


class FollowedHistory:
    """One instrument since `first_ts`: its minutes as bars for a day, its last trades one by one."""

    def __init__(self, listing: Listing, now: int):
        self.listing = listing
        self._first_ts = now
        self._trades: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self._bars: OrderedDict[int, Kline] = OrderedDict()

    @property
    def first_ts(self) -> int:
        """When it was first looked at."""
        return self._first_ts

    @property
    def last_trade_id(self) -> int:
        """The newest trade heard; -1: none."""
        return self._trades[-1].trade_id if self._trades else -1

    def record(self, trade: Trade) -> None:
        """Remember a trade."""
        self._trades.append(trade)
        printed = bar_of_trades([trade], self.listing)
        minute = trade.ts_trade // MINUTE
        if printed is None:
            return
        if minute in self._bars:
            self._bars[minute].absorb(printed)
        else:
            self._bars[minute] = printed
            if len(self._bars) > MINUTES_KEPT:
                self._bars.popitem(last=False)

    def piece(self, interval: str, opens: int) -> Kline | None:
        """Minutes only."""
        return self._bars.get(opens // MINUTE) if interval == "1m" else None

    def minute_trades(self, minute: int, now: int) -> list[Trade]:
        """Those of the last trades that were printed in `minute`."""
        return [trade for trade in self._trades if trade.ts_trade // MINUTE == minute and trade.ts <= now]

    def recent_trades(self, count: int, now: int) -> list[Trade]:
        """The last `count` trades."""
        return [trade for trade in self._trades if trade.ts <= now][-count:]

    def trades_from(self, trade_id: int, count: int, now: int) -> list[Trade]:
        """Up to `count` of the last trades, from an id on."""
        return [trade for trade in self._trades if trade.trade_id >= trade_id and trade.ts <= now][:count]


class FollowedMarket:
    """The instruments of `listings` as the venue at `url` trades them; `now` is wall time, ns UTC."""

    def __init__(self, url: str, listings: dict[str, Listing], now: Callable[[], int]):
        self.identity = {"market": "followed", "venue": url}
        self.starts_at = now()
        self.followed = {name: FollowedHistory(listing, self.starts_at) for name, listing in listings.items()}
        self.histories: dict[str, History] = dict(self.followed)
        self._now = now
        self._waiting: deque[Event] = deque()
        self._rank = 0
        self._in_sight = set(listings)
        self.lose()

    @property
    def is_in_sight(self) -> bool:
        """Whether every instrument has been quoted since the connection was made."""
        return self._in_sight == set(self.followed)

    def events(self, after: Key) -> Iterator[Event | None]:
        """What has come and was not played yet, in order; None where that is all."""
        while True:
            yield self._waiting.popleft() if self._waiting else None

    def lose(self) -> None:
        """The connection is gone: nothing is known any more."""
        for instrument in sorted(self._in_sight):
            self._waiting.append(Lost(ts=self._now(), rank=self._next_rank(), instrument=instrument))
        self._in_sight.clear()

    def quote(
        self,
        instrument: str,
        update_id: int,
        bid: tuple[float, float],
        ask: tuple[float, float],
        *,
        is_asked: bool = False,
    ) -> None:
        """A best bid and offer (price, quantity) came. One that was asked for (REST) only counts while there is none."""
        if is_asked and instrument in self._in_sight:
            return
        self._in_sight.add(instrument)
        told = Quote(
            ts=self._now(),
            rank=self._next_rank(),
            instrument=instrument,
            update_id=update_id,
            bid_px=bid[0],
            bid_qty=bid[1],
            ask_px=ask[0],
            ask_qty=ask[1],
        )
        self._waiting.append(told)

    def trade(self, instrument: str, trade_id: int, ts_trade: int, px: float, qty: float, *, is_sell: bool) -> None:
        """A trade was printed; one that is not new is passed over."""
        history = self.followed[instrument]
        if instrument not in self._in_sight or trade_id <= history.last_trade_id:
            return
        told = Trade(
            ts=self._now(),
            rank=self._next_rank(),
            instrument=instrument,
            trade_id=trade_id,
            ts_trade=ts_trade,
            px=px,
            qty=qty,
            is_sell=is_sell,
        )
        history.record(told)
        self._waiting.append(told)

    def _next_rank(self) -> int:
        self._rank += 1
        return self._rank
