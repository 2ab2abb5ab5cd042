"""What the emulated Bot API can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

from libs.runtime.settings import Listed, ServiceSettings


class Settings(ServiceSettings):
    """Environment variables BULKHEAD_TELEGRAM_SIM_...; without any, one bot that one private chat has started."""

    telegram_sim_host: str = Field(default="127.0.0.1", description="where the Bot API and /sim listen")
    telegram_sim_port: int = Field(
        default=0, ge=0, le=65535, description="0 picks a free port; it is written to <home>/telegram_sim/port"
    )
    telegram_sim_chats: Annotated[tuple[int, ...], NoDecode, Listed] = Field(
        default=(1001,), description="chats the bot may write to from the start, separated by commas"
    )

    @property
    def folder(self) -> Path:
        """Where the port and the bot's token are written."""
        return self.home / "telegram_sim"
