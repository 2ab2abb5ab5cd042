"""What the trend agent remembers of one instrument: five indicators over one unbroken run of closed bars."""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.messages import Bar, Signal
from libs.trading.indicators import ADX, ATR, EMA, RSI

ADX_FULL = 50.0
"""The ADX at which a trend is as strong as trends get: strength 1."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Over what the indicators run; numbers of different shapes are never mixed. Spans and periods are bars."""

    timeframe: str
    ema_fast_span: int
    ema_slow_span: int
    wilder_n: int


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Where an opinion begins: both are levels of 0..100. The oversold bound is 100 - `rsi_overbought`."""

    adx_threshold: float
    rsi_overbought: float


class Track(msgspec.Struct, kw_only=True):
    """The indicators of one instrument and the instant (ns) up to which they know the market."""

    shape: Shape
    ema_fast: EMA
    ema_slow: EMA
    rsi: RSI
    atr: ATR
    adx: ADX
    ts_close_last: int = 0

    @classmethod
    def cold(cls, shape: Shape) -> Track:
        """A track that has seen nothing."""
        n = shape.wilder_n
        return cls(
            shape=shape,
            ema_fast=EMA(shape.ema_fast_span),
            ema_slow=EMA(shape.ema_slow_span),
            rsi=RSI(n),
            atr=ATR(n),
            adx=ADX(n),
        )

    @property
    def is_ready(self) -> bool:
        """Whether every indicator has forgotten its start: max(5 x EMA span, 10 x Wilder n) bars."""
        return all(part.ready_for_decisions for part in (self.ema_fast, self.ema_slow, self.rsi, self.atr, self.adx))

    def update(self, bar: Bar) -> None:
        """Fold in a bar that `fault_of` finds nothing wrong with."""
        self.ema_fast.update(bar.close)
        self.ema_slow.update(bar.close)
        self.rsi.update(bar.close)
        self.atr.update(bar.high, bar.low, bar.close)
        self.adx.update(bar.high, bar.low, bar.close)
        self.ts_close_last = bar.ts_close

    def signal(self, bar: Bar, bounds: Bounds) -> Signal:
        """The opinion after `bar`, with the numbers it rests on."""
        stance = self._stance(bounds) if self.is_ready else "FLAT"
        return Signal(
            instrument=bar.instrument,
            timeframe=bar.timeframe,
            ready=self.is_ready,
            stance=stance,
            strength=min(1.0, (self.adx.value or 0.0) / ADX_FULL) if stance != "FLAT" else 0.0,
            close_px=bar.close,
            atr=self.atr.value or 0.0,
            evidence=self._evidence(),
        )

    def _stance(self, bounds: Bounds) -> Literal["LONG", "SHORT", "FLAT"]:
        fast, slow, rsi, adx = self.ema_fast.value, self.ema_slow.value, self.rsi.value, self.adx.value
        if fast is None or slow is None or rsi is None or adx is None or adx <= bounds.adx_threshold:
            return "FLAT"
        if fast > slow and rsi < bounds.rsi_overbought:
            return "LONG"
        if fast < slow and rsi > 100.0 - bounds.rsi_overbought:
            return "SHORT"
        return "FLAT"

    def _evidence(self) -> dict[str, float]:
        numbers = {
            "ema_fast": self.ema_fast.value,
            "ema_slow": self.ema_slow.value,
            "adx": self.adx.value,
            "rsi": self.rsi.value,
            "atr": self.atr.value,
            "bars": float(self.ema_slow.age),
        }
        return {name: value for name, value in numbers.items() if value is not None}
