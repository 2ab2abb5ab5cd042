"""What every market of this venue is: a sequence of trades and quotes in venue time, and a history that agrees with it.

Generated and recorded markets know what comes next; a followed one (`followed`) does not, and says None until it has happened.

A position in the sequence is a key (time, rank), strictly increasing, so that a restarted venue goes on exactly behind the
last event it played. Bars ("klines" on the wire) of any interval are put together from `pieces`, the largest aligned spans
the history knows, and end with the trades of the minute in progress.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from libs.common.timeframe import DAY, HOUR, MINUTE, WEEK
from services.exchange_sim.listing import Listing

Key = tuple[int, int]

INTERVALS: dict[str, int] = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": WEEK,
}
WEEK_ANCHOR = 4 * DAY  # 1970-01-05 was a Monday
PIECES = ("1w", "1d", "4h", "1h", "15m", "1m")


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as printed. `ts` orders it in the sequence, `ts_trade` puts it into its bar; `is_sell`: the taker sold."""

    ts: int
    rank: int
    instrument: str
    trade_id: int
    ts_trade: int
    px: float
    qty: float
    is_sell: bool
    raw: str = ""


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The best bid and offer from now on."""

    ts: int
    rank: int
    instrument: str
    update_id: int
    bid_px: float
    bid_qty: float
    ask_px: float
    ask_qty: float
    raw: str = ""


class DepthFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded change (or, with `is_snapshot`, the whole) of the order book, in Binance's own JSON."""

    ts: int
    rank: int
    instrument: str
    raw: str
    is_snapshot: bool = False


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The market of an instrument cannot be seen from now on, until it is quoted again."""

    ts: int
    rank: int
    instrument: str


Event = Trade | Quote | DepthFrame | Lost


class Kline(msgspec.Struct, kw_only=True):
    """A bar; volumes are whole lots, and lots times ticks, so that sums are exact."""

    open: float
    high: float
    low: float
    close: float
    lots: int
    quote_units: int
    taker_buy_lots: int
    trade_count: int
    first_trade_id: int
    last_trade_id: int

    def absorb(self, later: Kline) -> None:
        """Become the bar over both spans."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.lots += later.lots
        self.quote_units += later.quote_units
        self.taker_buy_lots += later.taker_buy_lots
        self.trade_count += later.trade_count
        if later.trade_count:
            self.first_trade_id = self.first_trade_id if self.first_trade_id >= 0 else later.first_trade_id
            self.last_trade_id = later.last_trade_id


class History(Protocol):
    """The past (and, for generated markets, the plan) of one instrument."""

    listing: Listing

    def piece(self, interval: str, opens: int) -> Kline | None:
        """The whole bar of one of `PIECES`, or None when only smaller ones are known."""
        ...

    def minute_trades(self, minute: int, now: int) -> list[Trade]:
        """The trades of one minute (counted from the epoch) up to and including `now`, oldest first."""
        ...

    def recent_trades(self, count: int, now: int) -> list[Trade]:
        """The last `count` trades up to and including `now`, oldest first."""
        ...

    def trades_from(self, trade_id: int, count: int, now: int) -> list[Trade]:
        """Up to `count` trades with this id or a later one, up to and including `now`, oldest first."""
        ...

    @property
    def first_ts(self) -> int:
        """Nothing is known from before."""
        ...


class Market(Protocol):
    """All instruments of the venue."""

    histories: dict[str, History]
    identity: dict[str, str]
    starts_at: int

    def events(self, after: Key) -> Iterator[Event | None]:
        """Every event behind `after`, in order, without end; before them, changes of the book that lead there.

        None: what comes next has not happened yet; asking again is right.
        """
        ...


def bar_start(ts: int, interval: str) -> int:
    """The opening instant of the bar that `ts` falls into (weeks start on Monday)."""
    step = INTERVALS[interval]
    anchor = WEEK_ANCHOR if interval == "1w" else 0
    return anchor + (ts - anchor) // step * step


def bar_of_trades(trades: list[Trade], listing: Listing) -> Kline | None:
    """The bar that `trades` make; None without any."""
    if not trades:
        return None
    lots_per_unit, ticks_per_unit = listing.lots_per_unit, listing.ticks_per_unit
    lots = [round(trade.qty * lots_per_unit) for trade in trades]
    return Kline(
        open=trades[0].px,
        high=max(trade.px for trade in trades),
        low=min(trade.px for trade in trades),
        close=trades[-1].px,
        lots=sum(lots),
        quote_units=sum(round(trade.px * ticks_per_unit) * each for trade, each in zip(trades, lots, strict=True)),
        taker_buy_lots=sum(each for trade, each in zip(trades, lots, strict=True) if not trade.is_sell),
        trade_count=len(trades),
        first_trade_id=trades[0].trade_id,
        last_trade_id=trades[-1].trade_id,
    )


def bar_between(history: History, start: int, end: int, now: int) -> Kline | None:
    """The bar over [start, end) as known at `now`, which may lie inside it; both ends are whole minutes."""
    made: Kline | None = None
    at = start
    finished = min(end, now // MINUTE * MINUTE)
    while at < finished:
        at, piece = _largest_piece(history, at, finished)
        made = _joined(made, piece)
    if at < end and at <= now:
        made = _joined(made, bar_of_trades(history.minute_trades(at // MINUTE, now), history.listing))
    return made


def _largest_piece(history: History, at: int, end: int) -> tuple[int, Kline | None]:
    for interval in PIECES:
        step = INTERVALS[interval]
        if at + step <= end and bar_start(at, interval) == at:
            piece = history.piece(interval, at)
            if piece is not None:
                return at + step, piece
    return at + MINUTE, None


def _joined(made: Kline | None, piece: Kline | None) -> Kline | None:
    if made is None or piece is None:
        return made if piece is None else msgspec.structs.replace(piece)
    made.absorb(piece)
    return made


def klines(
    history: History, interval: str, start: int | None, end: int | None, limit: int, now: int
) -> list[tuple[int, Kline]]:
    """Bars of `interval` with their opening instants, oldest first, as Binance chooses them.

    From `start` on when it is given, else the last `limit` ones up to `end` (or now); the bar in progress is included.
    """
    step = INTERVALS[interval]
    last = bar_start(min(now, end if end is not None else now), interval)
    first = bar_start(history.first_ts + step - 1, interval)
    if start is not None:
        first = max(first, bar_start(start + step - 1, interval))
        last = min(last, first + (limit - 1) * step)
    else:
        first = max(first, last - (limit - 1) * step)
    found = ((opens, bar_between(history, opens, opens + step, now)) for opens in range(first, last + 1, step))
    return [(opens, bar) for opens, bar in found if bar is not None]
