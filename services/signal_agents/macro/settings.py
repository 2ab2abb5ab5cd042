"""What the macro agent can be told (BULKHEAD_MACRO_...). The spans of its rule are the rule's, not a setting."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from libs.runtime.settings import ServiceSettings
from services.signal_agents.macro.machine import MacroMachine
from services.signal_agents.macro.rule import Bands
from services.signal_agents.macro.track import WEEKS_FIRST


class Settings(ServiceSettings):
    """Bands of the votes, and how many weeks a regime needs."""

    macro_level_atr: float = Field(
        default=0.5, ge=0, le=10, description="the close votes when it is farther from its EMA20, weekly ATR"
    )
    macro_slope_atr: float = Field(
        default=0.25, ge=0, le=10, description="the EMA20 votes when it moved more in four weeks, weekly ATR"
    )
    macro_weeks_min: int = Field(
        default=WEEKS_FIRST, ge=WEEKS_FIRST, le=500, description="fewer closed weeks: the regime is UNKNOWN"
    )
    macro_weeks_settled: int = Field(
        default=60, ge=WEEKS_FIRST, le=1_000, description="up to so many closed weeks a regime is provisional"
    )
    macro_gap_weeks_max: int = Field(
        default=1, ge=0, le=52, description="more missing weeks than this start the regime again"
    )

    @field_validator("macro_weeks_settled")
    @classmethod
    def _not_before_the_first(cls, settled: int, info: ValidationInfo) -> int:
        first = info.data.get("macro_weeks_min", 0)
        if settled < first:
            raise ValueError(f"must not be below BULKHEAD_MACRO_WEEKS_MIN, which is {first}")
        return settled

    def machine(self) -> MacroMachine.Settings:
        """The part that can change a regime."""
        return MacroMachine.Settings(
            bands=Bands(level_atr=self.macro_level_atr, slope_atr=self.macro_slope_atr),
            weeks_min=self.macro_weeks_min,
            weeks_settled=self.macro_weeks_settled,
            gap_weeks_max=self.macro_gap_weeks_max,
        )
