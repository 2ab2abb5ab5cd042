"""What the trend agent can be told (BULKHEAD_TREND_...)."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from libs.common.messages import Timeframe
from libs.runtime.settings import ServiceSettings
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.track import Bounds, Shape


class Settings(ServiceSettings):
    """Timeframe, spans and bounds of the trend agent."""

    trend_timeframe: Timeframe = Field(default="15m", description="the bars on which opinions are formed")
    trend_ema_fast_span: int = Field(default=20, ge=2, le=500, description="span of the fast EMA, bars")
    trend_ema_slow_span: int = Field(default=50, ge=3, le=1000, description="span of the slow EMA, bars")
    trend_wilder_n: int = Field(default=14, ge=2, le=200, description="period of RSI, ATR and ADX, bars")
    trend_adx_threshold: float = Field(default=20.0, ge=0, le=100, description="an ADX above this is a trend")
    trend_rsi_overbought: float = Field(
        default=70.0, gt=50, le=100, description="no LONG at or above this RSI, no SHORT at or below 100 minus it"
    )
    trend_gap_bars_max: int = Field(
        default=3, ge=0, le=1000, description="more missing bars than this start the indicators again"
    )

    @field_validator("trend_ema_slow_span")
    @classmethod
    def _slower_than_fast(cls, slow: int, info: ValidationInfo) -> int:
        fast = info.data.get("trend_ema_fast_span", 0)
        if slow <= fast:
            raise ValueError(f"must be greater than the fast span, which is {fast}")
        return slow

    def machine(self) -> TrendMachine.Settings:
        """The part that can change an opinion."""
        shape = Shape(
            timeframe=self.trend_timeframe,
            ema_fast_span=self.trend_ema_fast_span,
            ema_slow_span=self.trend_ema_slow_span,
            wilder_n=self.trend_wilder_n,
        )
        bounds = Bounds(adx_threshold=self.trend_adx_threshold, rsi_overbought=self.trend_rsi_overbought)
        return TrendMachine.Settings(shape=shape, bounds=bounds, gap_bars_max=self.trend_gap_bars_max)
