"""What a venue says, checked before anything believes it: ccxt's dicts in, typed facts or the reason of refusal out.

Refused are fields that are missing, not numbers, not finite or not positive, another instrument than the one asked for, an id
that cannot be counted, a time that is none, and a book whose bid is not below its ask. Prices that are merely improbable pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.common.ids import derive_id
from libs.common.messages import QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND

PRODUCER = "market"
_SIDES = {"buy": "BUY", "sell": "SELL"}
_MICROSECOND = 1000
_INFINITY = float("inf")


class FrameRefused(ValueError):
    """A frame nobody may believe; the text is the reason, a short slug."""


def symbol_of(instrument: str) -> str:
    """ccxt's name of an instrument: `BTC-USDT` is `BTC/USDT`."""
    return instrument.replace("-", "/")


def to_ns(ts: Any) -> int:
    """A venue's timestamp in nanoseconds, its unit told by its magnitude (ms, us or ns).

    Raises:
        FrameRefused: not an instant of this age.
    """
    if isinstance(ts, int) and ts >= 10**12:
        for below, factor in ((10**14, MILLISECOND), (10**17, _MICROSECOND), (10**20, 1)):
            if ts < below:
                return ts * factor
    raise FrameRefused("BAD_TIME")


def trade_of(frame: Mapping[str, Any], instrument: str, venue: str, now: int) -> TradePrinted:
    """The trade in a ccxt trade dict.

    Raises:
        FrameRefused: see the module's head.
    """
    _same(frame, instrument)
    trade_id = frame.get("id")
    if not (isinstance(trade_id, str) and trade_id.isascii() and trade_id.isdigit()):
        raise FrameRefused("BAD_ID")
    return TradePrinted(
        id=derive_id("trade", venue, instrument, trade_id),
        ts_event=to_ns(frame.get("timestamp")),
        ts_init=now,
        producer=PRODUCER,
        venue=venue,
        instrument=instrument,
        trade_id=trade_id,
        px=_positive(frame.get("price"), "BAD_PRICE"),
        qty=_positive(frame.get("amount"), "BAD_QUANTITY"),
        aggressor_side=_SIDES.get(str(frame.get("side")), ""),
    )


def quote_of(frame: Mapping[str, Any], instrument: str, venue: str, now: int) -> QuoteChanged:
    """The best bid and offer in a ccxt ticker dict; a book ticker carries no time of its own, so `now` is its time.

    Raises:
        FrameRefused: see the module's head.
    """
    _same(frame, instrument)
    bid_px, bid_qty = _positive(frame.get("bid"), "BAD_BID"), _positive(frame.get("bidVolume"), "BAD_BID")
    ask_px, ask_qty = _positive(frame.get("ask"), "BAD_ASK"), _positive(frame.get("askVolume"), "BAD_ASK")
    if bid_px >= ask_px:
        raise FrameRefused("CROSSED_BOOK")
    return QuoteChanged(
        id=derive_id("quote", venue, instrument, now, repr((bid_px, bid_qty, ask_px, ask_qty))),
        ts_event=now,
        ts_init=now,
        producer=PRODUCER,
        venue=venue,
        instrument=instrument,
        bid_px=bid_px,
        bid_qty=bid_qty,
        ask_px=ask_px,
        ask_qty=ask_qty,
    )


def _same(frame: Mapping[str, Any], instrument: str) -> None:
    if frame.get("symbol") != symbol_of(instrument):
        raise FrameRefused("WRONG_SYMBOL")


def _positive(value: Any, reason: str) -> float:
    if isinstance(value, (int, float)) and 0 < value < _INFINITY:
        return float(value)
    raise FrameRefused(reason)
