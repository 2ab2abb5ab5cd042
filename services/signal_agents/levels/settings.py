"""What the levels agent can be told (BULKHEAD_LEVELS_...)."""

from __future__ import annotations

from pydantic import Field

from libs.common.messages import Timeframe
from libs.runtime.settings import ServiceSettings
from services.signal_agents.levels.machine import LevelsMachine
from services.signal_agents.levels.track import Shape


class Settings(ServiceSettings):
    """Timeframe and memory of the levels agent."""

    levels_timeframe: Timeframe = Field(default="1h", description="the bars on which levels are found")
    levels_bars_max: int = Field(
        default=1000, ge=150, le=5_000, description="bars remembered of each instrument; older turns are forgotten"
    )
    levels_fade_bars: int = Field(
        default=500, ge=1, le=100_000, description="after so many bars a turn counts 1/e in a level's score"
    )
    levels_gap_bars_max: int = Field(
        default=24, ge=0, le=1_000, description="more missing bars than this start the map again"
    )

    def machine(self) -> LevelsMachine.Settings:
        """The part that can change a map."""
        shape = Shape(timeframe=self.levels_timeframe, bars_max=self.levels_bars_max, fade_bars=self.levels_fade_bars)
        return LevelsMachine.Settings(shape=shape, gap_bars_max=self.levels_gap_bars_max)
