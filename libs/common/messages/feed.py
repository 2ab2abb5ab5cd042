"""What the market feed says. Market data are floats; they are opinions of a venue, not money."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from libs.common.messages.base import Message

Timeframe = Literal["1m", "15m", "1h", "4h", "1d", "1w"]


class Bar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open, high, low, close and volume of one instrument over [ts_open, ts_close); usable from `ts_close` on.

    `volume` is in base currency. `synthetic` marks a flat bar with no trades, made to fill a gap.
    """

    instrument: str
    venue: str
    timeframe: Timeframe
    ts_open: int
    ts_close: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    synthetic: bool = False


class Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Best bid and offer and the last trade price of an instrument. `ts` is when the venue proved it alive."""

    instrument: str
    bid_px: float
    ask_px: float
    last_px: float
    ts: int


class InstrumentSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The venue's rules for one instrument: price tick, quantity step, smallest quantity and value, taker and maker fee."""

    instrument: str
    base: str
    quote: str
    px_tick: Decimal
    qty_step: Decimal
    qty_min: Decimal
    notional_min: Decimal
    taker_fee: Decimal
    maker_fee: Decimal


class FeedBars(Message, frozen=True, kw_only=True, tag="feed_bars.v1"):
    """All bars, of every timeframe and instrument, that closed at `end_ts`; longest timeframe first."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "bars"
    is_source: ClassVar[bool] = True

    end_ts: int
    bars: tuple[Bar, ...]


class FeedHistory(Message, frozen=True, kw_only=True, tag="feed_history.v1"):
    """Closed bars from before the feed began, oldest first, to warm indicators with; nobody trades on them."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "history.{instrument}.{timeframe}"
    is_source: ClassVar[bool] = True

    instrument: str
    timeframe: Timeframe
    bars: tuple[Bar, ...]


class FeedMarks(Message, frozen=True, kw_only=True, tag="feed_marks.v1"):
    """Prices of the instruments that moved, and the proof of life of those in `alive`, as of `as_of`."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "marks"
    is_source: ClassVar[bool] = True

    as_of: int
    marks: tuple[Mark, ...]
    alive: tuple[str, ...] = ()


class FeedStatus(Message, frozen=True, kw_only=True, tag="feed_status.v1"):
    """Which venue speaks and whether it can be believed; `specs` are its trading rules."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "status"
    is_source: ClassVar[bool] = True

    venue: str
    state: Literal["LIVE", "STALE", "DOWN"]
    reason: str
    specs: tuple[InstrumentSpec, ...]


class TradePrinted(Message, frozen=True, kw_only=True, tag="trade.v1"):
    """One trade as the venue printed it (MARKET stream only; no decision reads it)."""

    said_by: ClassVar[str] = "market"
    suffix: ClassVar[str] = "trade.{venue}.{instrument}"
    is_source: ClassVar[bool] = True

    venue: str
    instrument: str
    trade_id: str
    px: float
    qty: float
    aggressor_side: Literal["BUY", "SELL", ""]


class QuoteChanged(Message, frozen=True, kw_only=True, tag="quote.v1"):
    """The best bid and offer changed (MARKET stream only; no decision reads it)."""

    said_by: ClassVar[str] = "market"
    suffix: ClassVar[str] = "quote.{venue}.{instrument}"
    is_source: ClassVar[bool] = True

    venue: str
    instrument: str
    bid_px: float
    bid_qty: float
    ask_px: float
    ask_qty: float
