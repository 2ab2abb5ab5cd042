"""What the bot is told from outside."""

from __future__ import annotations

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Where the bot stands."""
