"""What the notifier is told from outside."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.runtime.settings import ServiceSettings
from services.notifier.machine import NotifierMachine


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

    def machine(self) -> NotifierMachine.Settings:
        """The part that can change what is told."""
        return NotifierMachine.Settings(
            channels=(self.notify_channel,),
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
