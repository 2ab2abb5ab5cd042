"""What the notifier is told from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from libs.runtime.heartbeat import heartbeat_url
from libs.runtime.settings import ServiceSettings
from services.notifier.machine import NotifierMachine

HEARTBEAT_VARIABLE = "BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE"


class Settings(ServiceSettings):
    """Through which channel people are told, how often, and how stubbornly."""

    notify_channel: Literal["console"] = Field(default="console", description="where messages to people go")
    notify_repeat_window_s: int = Field(
        default=300, ge=1, le=86_400, description="the same alert or denial is counted, not repeated, for so long"
    )
    notify_send_ttl_s: int = Field(
        default=3_600, ge=1, le=604_800, description="a note or ticket that could not leave within this is not sent"
    )
    notify_attempts_max: int = Field(default=5, ge=1, le=100, description="give up a message after so many failures")
    notify_backoff_s: int = Field(default=5, ge=1, le=3_600, description="wait after the first failure; doubles")
    notify_backoff_s_max: int = Field(default=300, ge=1, le=86_400, description="longest wait between two attempts")
    notify_breaker_failures_max: int = Field(
        default=5, ge=1, le=1_000, description="after so many failures in a row the channel is down and messages wait"
    )
    notify_breaker_pause_s: int = Field(
        default=30, ge=1, le=3_600, description="a channel that is down is tried again after this; doubles"
    )
    notify_breaker_pause_s_max: int = Field(
        default=300, ge=1, le=86_400, description="longest pause before a channel that is down is tried again"
    )
    notify_waiting_kinds_max: int = Field(
        default=100,
        ge=1,
        le=1_000,
        description="so many kinds of messages wait; beyond it notes, then tickets are dropped, never pages",
    )
    notify_heartbeat_url_file: Path | None = Field(
        default=None,
        description="holds the URL of a dead man's switch that is called while people would be told; mode 0600",
    )
    notify_heartbeat_s: int = Field(
        default=60, ge=1, le=3_600, description="how often; let the switch page after three times as long"
    )

    @field_validator("notify_heartbeat_url_file")
    @classmethod
    def _is_a_secret_url(cls, path: Path | None) -> Path | None:
        if path is not None:
            heartbeat_url(path, HEARTBEAT_VARIABLE)
        return path

    def heartbeat_url(self) -> str:
        """Where the dead man's switch is, or nothing.

        Raises:
            SettingsError: the file cannot be used.
            ValueError: it holds no URL.
        """
        path = self.notify_heartbeat_url_file
        return heartbeat_url(path, HEARTBEAT_VARIABLE) if path is not None else ""

    def machine(self) -> NotifierMachine.Settings:
        """The part that can change what is told."""
        return NotifierMachine.Settings(
            channel=self.notify_channel,
            repeat_window_s=self.notify_repeat_window_s,
            send_ttl_s=self.notify_send_ttl_s,
            attempts_max=self.notify_attempts_max,
            backoff_s=self.notify_backoff_s,
            backoff_s_max=self.notify_backoff_s_max,
            breaker_failures_max=self.notify_breaker_failures_max,
            breaker_pause_s=self.notify_breaker_pause_s,
            breaker_pause_s_max=self.notify_breaker_pause_s_max,
            waiting_kinds_max=self.notify_waiting_kinds_max,
        )
