"""What a venue says, checked before anything believes it: numbers and strings in, typed facts or the reason of refusal out.

Refused are fields that are missing, not numbers, not finite or not positive, another instrument than the one asked for, an id
that cannot be counted, a time that is none, and a book whose bid is not below its ask. Prices that are
merely improbable pass: sanity.py judges them. Numbers of more than 18 digits before or behind the point are no prices and no quantities of
anything traded, and nothing after this has to fear that a product or a sum of them is infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.common.messages import QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND

PRODUCER = "market"
_SIDES = {"buy": "BUY", "sell": "SELL"}
_MICROSECOND = 1000
NUMBER_MIN, NUMBER_MAX = 1e-18, 1e18


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
    if type(ts) is int and ts >= 10**12:
        if ts < 10**14:
            return ts * MILLISECOND
        if ts < 10**17:
            return ts * _MICROSECOND
        if ts < 10**20:
            return ts
    raise FrameRefused("BAD_TIME")


def trade_of(frame: Mapping[str, Any], instrument: str, venue: str, now: int) -> TradePrinted:
    """The trade in a ccxt trade dict.

    Raises:
        FrameRefused: see the module's head.
    """
    _same(frame, instrument)
    side = _SIDES.get(str(frame.get("side")), "")
    ts = to_ns(frame.get("timestamp"))
    return checked_trade(instrument, venue, frame.get("id"), ts, frame.get("price"), frame.get("amount"), side, now)


def checked_trade(
    instrument: str, venue: str, trade_id: Any, ts_event: int, px: Any, qty: Any, aggressor_side: Any, now: int
) -> TradePrinted:
    """The trade these fields make; `trade_id` is the venue's, decimal digits.

    Raises:
        FrameRefused: see the module's head.
    """
    if not (type(trade_id) is str and trade_id.isascii() and trade_id.isdigit() and len(trade_id) <= 20):
        raise FrameRefused("BAD_ID")
    if not (type(px) is type(qty) is float and NUMBER_MIN <= px <= NUMBER_MAX and NUMBER_MIN <= qty <= NUMBER_MAX):
        px, qty = _positive(px, "BAD_PRICE"), _positive(qty, "BAD_QUANTITY")
    return TradePrinted(
        id=f"{venue}.{instrument}.t{trade_id}",
        ts_event=ts_event,
        ts_init=now,
        producer=PRODUCER,
        venue=venue,
        instrument=instrument,
        trade_id=trade_id,
        px=px,
        qty=qty,
        aggressor_side=aggressor_side,
    )


def quote_of(
    frame: Mapping[str, Any], instrument: str, venue: str, now: int, update_id: int | None = None
) -> QuoteChanged:
    """The best bid and offer in a ccxt ticker dict.

    Raises:
        FrameRefused: see the module's head.
    """
    _same(frame, instrument)
    get = frame.get
    bid_px, bid_qty, ask_px, ask_qty = get("bid"), get("bidVolume"), get("ask"), get("askVolume")
    return checked_quote(instrument, venue, update_id, bid_px, bid_qty, ask_px, ask_qty, now)


def checked_quote(
    instrument: str, venue: str, update_id: int | None, bid_px: Any, bid_qty: Any, ask_px: Any, ask_qty: Any, now: int
) -> QuoteChanged:
    """The quote these fields make. A book ticker carries no time of its own, so `now` is its time; nor do all count their updates.

    Raises:
        FrameRefused: see the module's head.
    """
    if not (
        type(bid_px) is type(bid_qty) is type(ask_px) is type(ask_qty) is float
        and NUMBER_MIN <= bid_px < ask_px <= NUMBER_MAX
        and NUMBER_MIN <= bid_qty <= NUMBER_MAX
        and NUMBER_MIN <= ask_qty <= NUMBER_MAX
    ):
        bid_px, bid_qty = _positive(bid_px, "BAD_BID"), _positive(bid_qty, "BAD_BID")
        ask_px, ask_qty = _positive(ask_px, "BAD_ASK"), _positive(ask_qty, "BAD_ASK")
        if bid_px >= ask_px:
            raise FrameRefused("CROSSED_BOOK")
    return QuoteChanged(
        id=f"{venue}.{instrument}.q{now if update_id is None else update_id}",
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


def _positive(value: Any, reason: str) -> float:
    if isinstance(value, float | int) and not isinstance(value, bool) and NUMBER_MIN <= value <= NUMBER_MAX:
        return float(value)
    raise FrameRefused(reason)


def _same(frame: Mapping[str, Any], instrument: str) -> None:
    if frame.get("symbol") != symbol_of(instrument):
        raise FrameRefused("WRONG_SYMBOL")
