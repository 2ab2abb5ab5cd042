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


Trust = Literal["TRUSTED", "RESYNC", "QUARANTINED", "UNIT", "DISLOCATED"]
"""How far the price of an instrument can be believed (market_feed/sanity.py); only TRUSTED allows entries.

RESYNC: after a gap, waiting for a second opinion. QUARANTINED: prints outside the band that nothing confirms yet. UNIT: off by a
power of ten. DISLOCATED: other venues agree with each other and not with this one."""


class Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an instrument costs. `ts` is when the venue proved it alive.

    `bid_px`, `ask_px` and `last_px` are trusted: for entries, sizing and indicators; they stand still while a price is in doubt.
    `protective_px` is for stops: it follows a price that stays in doubt, because a stop that waits for certainty is none.
    """

    instrument: str
    bid_px: float
    ask_px: float
    last_px: float
    protective_px: float
    trust: Trust
    ts: int

    @property
    def entries_allowed(self) -> bool:
        """Whether anybody may open a position at this price."""
        return self.trust == "TRUSTED"


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


class FeedMarks(Message, frozen=True, kw_only=True, tag="feed_marks.v2"):
    """Prices of the instruments that moved, as `venue` has them, and the proof of life of those in `alive`, as of `as_of`."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "marks"
    is_source: ClassVar[bool] = True

    venue: str
    as_of: int
    marks: tuple[Mark, ...]
    alive: tuple[str, ...] = ()


class FeedStatus(Message, frozen=True, kw_only=True, tag="feed_status.v2"):
    """Which venue speaks, by which way, and whether it can be believed.

    `specs` are the trading rules of the home venue, where orders go; a venue that only stands in tells none. `via` is POLLING where its sockets cannot be had and its REST answers are all there is. `health` is every venue's score (0 to 1)
    at this moment: why this one speaks.
    """

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "status"
    is_source: ClassVar[bool] = True

    venue: str
    state: Literal["LIVE", "STALE", "DOWN"]
    via: Literal["SOCKETS", "POLLING"]
    reason: str
    health: dict[str, float]
    specs: tuple[InstrumentSpec, ...]


class PriceTrustChanged(Message, frozen=True, kw_only=True, tag="price_trust_changed.v1"):
    """The price of an instrument became believable or doubtful: from `before` to `trust`, for `reason`, with the numbers of it.

    `trusted_px` is the price still believed, `suspect_px` the one in doubt (0.0: none), `band` the largest relative move that
    would have been believed at once.
    """

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "trust.{instrument}"
    is_source: ClassVar[bool] = True

    venue: str
    instrument: str
    before: Trust
    trust: Trust
    reason: str
    trusted_px: float
    protective_px: float
    suspect_px: float
    band: float


class BarRevised(Message, frozen=True, kw_only=True, tag="bar_revised.v1"):
    """The venue tells a closed bar otherwise than it left; the bar that left stays what decisions were made on."""

    said_by: ClassVar[str] = "feed"
    suffix: ClassVar[str] = "revised.{instrument}"
    is_source: ClassVar[bool] = True

    instrument: str
    said: Bar
    now_said: Bar


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


class PrintRejected(Message, frozen=True, kw_only=True, tag="print_rejected.v1"):
    """Something the venue printed that nobody may believe (MARKET stream only): what, why, and against which price and band.

    `px` and `qty` are 0.0 where there is no number, `reference_px` and `band` where no price was judged. `trade_id` is "" for a
    quote, a bar or a frame without an id; `frame` is its text, shortened, where it could not be read at all.
    """

    said_by: ClassVar[str] = "market"
    suffix: ClassVar[str] = "rejected.{venue}.{instrument}"
    is_source: ClassVar[bool] = True

    venue: str
    instrument: str
    kind: Literal["TRADE", "QUOTE", "BAR", "FRAME"]
    reason: str
    trade_id: str
    px: float
    qty: float
    reference_px: float
    band: float
    frame: str
