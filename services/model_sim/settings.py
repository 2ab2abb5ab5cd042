"""What the emulated model server can be told."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from libs.runtime.settings import ServiceSettings
from services.model_sim.behaviour import Voice


class Settings(ServiceSettings):
    """Environment variables BULKHEAD_MODEL_SIM_...; without any, a model that agrees with every rule."""

    model_sim_host: str = Field(default="127.0.0.1", description="where chat completions and /sim listen")
    model_sim_port: int = Field(
        default=0, ge=0, le=65535, description="0 picks a free port; it is written to <home>/model_sim/port"
    )
    model_sim_voice: Voice = Field(default="agrees", description="how the model answers while no script says otherwise")

    @property
    def folder(self) -> Path:
        """Where the port is written."""
        return self.home / "model_sim"
