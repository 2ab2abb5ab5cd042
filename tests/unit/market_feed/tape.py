"""A little market for the feed's unit tests: trades with consecutive ids, quotes, and the venue's own minutes."""

from __future__ import annotations

from typing import Literal

from libs.common.messages import (
    Bar,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    Mark,
    QuoteChanged,
    Timeframe,
    TradePrinted,
)
from libs.common.timeframe import MILLISECOND, STEP
from services.market_feed.marks import Cadence

T0 = 1_723_161_600_000_000_000
"""2024-08-09 00:00 UTC, a Friday."""
BTC, ETH = "BTC-USDT", "ETH-USDT"
CADENCE = Cadence(
    interval=250 * MILLISECOND,
    gap=50 * MILLISECOND,
    heartbeat=1000 * MILLISECOND,
    alive_window=5000 * MILLISECOND,
    jump_bps=5.0,
)


def trade(trade_id: int, ts: int, px: float = 100.0, qty: float = 1.0, instrument: str = BTC) -> TradePrinted:
    """A print of the venue."""
    return TradePrinted(
        venue="binance",
        instrument=instrument,
        trade_id=str(trade_id),
        px=px,
        qty=qty,
        aggressor_side="BUY",
        ts_event=ts,
        ts_init=ts,
        producer="market",
    )


def quote(bid_px: float, ask_px: float, instrument: str = BTC) -> QuoteChanged:
    """A best bid and offer."""
    return QuoteChanged(venue="binance", instrument=instrument, bid_px=bid_px, bid_qty=1.0, ask_px=ask_px, ask_qty=1.0)


def bar(opens: int, px: float = 100.0, volume: float = 1.0, timeframe: Timeframe = "1m", instrument: str = BTC) -> Bar:
    """A flat bar of the venue."""
    return Bar(
        instrument=instrument,
        venue="binance",
        timeframe=timeframe,
        ts_open=opens,
        ts_close=opens + STEP[timeframe],
        open=px,
        high=px,
        low=px,
        close=px,
        volume=volume,
        synthetic=volume == 0,
    )


def live(ts: int) -> FeedStatus:
    """The feed declares itself LIVE at `ts`."""
    return status("LIVE", ts, "STARTED")


def status(state: Literal["LIVE", "STALE", "DOWN"], ts: int, reason: str) -> FeedStatus:
    """The feed declares the venue LIVE, STALE or DOWN at `ts`."""
    return FeedStatus(
        venue="binance", state=state, via="SOCKETS", reason=reason, health={}, specs=(), ts_event=ts, ts_init=ts
    )


def mark(instrument: str = BTC, ts: int = T0, px: float = 100.0) -> Mark:
    """A trusted price."""
    return Mark(
        instrument=instrument, bid_px=px - 0.01, ask_px=px + 0.01, last_px=px, protective_px=px, trust="TRUSTED", ts=ts
    )


def marks(*told: Mark) -> FeedMarks:
    """What was told of prices."""
    return FeedMarks(venue="binance", as_of=max((each.ts for each in told), default=0), marks=told)


def history(*bars: Bar, instrument: str = BTC, timeframe: Timeframe = "1m") -> FeedHistory:
    """A chunk of published history."""
    return FeedHistory(instrument=instrument, timeframe=timeframe, bars=bars)
