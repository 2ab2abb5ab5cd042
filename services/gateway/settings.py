"""What the gateway is told from outside."""

from __future__ import annotations

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Where people and programs find it."""

    gateway_host: str = Field(default="127.0.0.1", description="where the API and the console listen")
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="their port; 0 picks a free one")
