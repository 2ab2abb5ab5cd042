"""What the trend agent can be told (BULKHEAD_TREND_...)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from libs.common.messages import Timeframe
from libs.common.timeframe import STEP
from libs.runtime.settings import Listed, ServiceSettings
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.track import Bounds, Shape


class Settings(ServiceSettings):
    """Timeframes, spans and bounds of the trend agent."""

    trend_timeframes: Annotated[tuple[Timeframe, ...], NoDecode, Listed] = Field(
        default=("15m", "1h", "4h"),
        min_length=1,
        description="the bars on which opinions are formed, then the longer ones that must confirm them, separated by commas",
    )
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

    @field_validator("trend_timeframes")
    @classmethod
    def _shortest_first(cls, timeframes: tuple[Timeframe, ...]) -> tuple[Timeframe, ...]:
        if list(timeframes) != sorted(set(timeframes), key=STEP.__getitem__):
            raise ValueError("must be named once each, shortest first")
        return timeframes

    @field_validator("trend_ema_slow_span")
    @classmethod
    def _slower_than_fast(cls, slow: int, info: ValidationInfo) -> int:
        fast = info.data.get("trend_ema_fast_span", 0)
        if slow <= fast:
            raise ValueError(f"must be greater than the fast span, which is {fast}")
        return slow

    def machine(self) -> TrendMachine.Settings:
        """The part that can change an opinion."""
        entry, *higher = self.trend_timeframes
        shape = Shape(
            timeframe=entry,
            ema_fast_span=self.trend_ema_fast_span,
            ema_slow_span=self.trend_ema_slow_span,
            wilder_n=self.trend_wilder_n,
        )
        bounds = Bounds(adx_threshold=self.trend_adx_threshold, rsi_overbought=self.trend_rsi_overbought)
        return TrendMachine.Settings(
            shape=shape, bounds=bounds, gap_bars_max=self.trend_gap_bars_max, higher=tuple(higher)
        )
