"""What the trend agent remembers of one instrument and one timeframe: indicators over one unbroken run of closed bars."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from libs.common.messages import Bar
from libs.trading.indicators import ADX, ATR, EMA, MACD, RSI, Bollinger

Stance = Literal["LONG", "SHORT", "FLAT"]

ROUNDING = 1e-12
"""EMAs that differ by less than this share of the price differ by the arithmetic: a market that stands still confirms nothing."""


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
    """The indicators of one run and the instant (ns) up to which they know the market. No opinion rests on `macd` and `bands`."""

    shape: Shape
    ema_fast: EMA
    ema_slow: EMA
    rsi: RSI
    atr: ATR
    adx: ADX
    macd: MACD = msgspec.field(default_factory=MACD)
    bands: Bollinger = msgspec.field(default_factory=Bollinger)
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
        """Whether every indicator that decides has forgotten its start: max(5 x EMA span, 10 x Wilder n) bars."""
        return all(part.ready_for_decisions for part in (self.ema_fast, self.ema_slow, self.rsi, self.atr, self.adx))

    def update(self, bar: Bar) -> None:
        """Fold in a bar that `fault_of` finds nothing wrong with."""
        self.ema_fast.update(bar.close)
        self.ema_slow.update(bar.close)
        self.rsi.update(bar.close)
        self.atr.update(bar.high, bar.low, bar.close)
        self.adx.update(bar.high, bar.low, bar.close)
        self.macd.update(bar.close)
        self.bands.update(bar.close)
        self.ts_close_last = bar.ts_close

    def proposes(self, bounds: Bounds) -> Stance:
        """The opinion of this timeframe alone."""
        fast, slow, rsi, adx = self.ema_fast.value, self.ema_slow.value, self.rsi.value, self.adx.value
        if fast is None or slow is None or rsi is None or adx is None or adx <= bounds.adx_threshold:
            return "FLAT"
        if fast > slow and rsi < bounds.rsi_overbought:
            return "LONG"
        if fast < slow and rsi > 100.0 - bounds.rsi_overbought:
            return "SHORT"
        return "FLAT"

    def confirms(self, stance: Stance) -> bool:
        """Whether the EMAs of this timeframe stand in the order that `stance` needs; where they are equal, neither does."""
        fast, slow = self.ema_fast.value, self.ema_slow.value
        if fast is None or slow is None:
            return False
        lead = fast - slow if stance == "LONG" else slow - fast
        return stance != "FLAT" and lead > ROUNDING * slow

    def numbers(self) -> dict[str, float]:
        """What is known by now, by name; "bars" is how long the run is."""
        found = {
            "ema_fast": self.ema_fast.value,
            "ema_slow": self.ema_slow.value,
            "adx": self.adx.value,
            "rsi": self.rsi.value,
            "atr": self.atr.value,
            "bars": float(self.ema_slow.age),
        }
        return {name: number for name, number in found.items() if number is not None}

    def context(self) -> dict[str, float]:
        """For people and models, as far as it is warm: the MACD histogram in ATR, and where the close stands between the bands.

        0 is the lower Bollinger band, 1 the upper one. In a market that stands still there is neither.
        """
        found: dict[str, float] = {}
        if self.macd.ready_for_decisions and self.macd.histogram is not None and self.atr.value:
            found["macd_hist_atr"] = self.macd.histogram / self.atr.value
        if self.bands.ready_for_decisions and self.bands.position is not None:
            found["bb_pos"] = self.bands.position
        return {name: number for name, number in found.items() if math.isfinite(number)}
