"""What the notifier is told from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from libs.runtime.heartbeat import heartbeat_url
from libs.runtime.settings import SettingsError, read_secret_file
from libs.runtime.telegram_settings import BOT_VARIABLE, TelegramSettings, token_in
from services.notifier.machine import NotifierMachine
from services.notifier.requests import Level
from services.notifier.urls import UrlChannel, url_channels

URLS_VARIABLE = "BULKHEAD_NOTIFY_URLS_FILE"
TELEGRAM = "telegram."
"""How the channel of a chat is called: this and the chat's id."""


def _chats_in(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if value.strip() and not parts:
        raise ValueError("want ids of chats, separated by commas")
    return parts


HEARTBEAT_VARIABLE = "BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE"


class Settings(TelegramSettings):
    """Through which channels people are told, how often, and how stubbornly."""

    notify_channel: Literal["console", "telegram"] = Field(
        default="console", description="where messages to people go: console, or telegram"
    )
    notify_urls_file: Path | None = Field(
        default=None, description="a secret file with further channels: one URL of Apprise a line"
    )
    notify_urls_level: Level = Field(
        default="note",
        description="channels by URL get nothing below this: page, ticket or note; pages they get always",
    )
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

    telegram_chats: Annotated[tuple[int, ...], NoDecode, Field(max_length=20), BeforeValidator(_chats_in)] = Field(
        default=(), description="ids of the chats that are told, separated by commas"
    )

    @field_validator("notify_urls_file")
    @classmethod
    def _are_urls(cls, path: Path | None) -> Path | None:
        if path is not None:
            _urls_in(path)
        return path

    @field_validator("telegram_chats")
    @classmethod
    def _are_different(cls, chats: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(chats)) != len(chats):
            raise ValueError("a chat is named twice")
        return chats

    @model_validator(mode="after")
    def _telegram_is_told(self) -> Settings:
        if self.notify_channel != "telegram":
            return self
        if self.telegram_token_file is None:
            raise ValueError(f"BULKHEAD_NOTIFY_CHANNEL is telegram, and {BOT_VARIABLE} names no file with a token")
        if not self.telegram_chats:
            raise ValueError("BULKHEAD_NOTIFY_CHANNEL is telegram, and BULKHEAD_TELEGRAM_CHATS names no chat to tell")
        return self

    def telegram_token(self) -> str:
        """The bot's token as its file holds it now, or nothing if there is none.

        Raises:
            SettingsError: the file cannot be used, or holds no token.
        """
        return token_in(self.telegram_token_file) if self.telegram_token_file is not None else ""

    def url_channels(self) -> tuple[UrlChannel, ...]:
        """The channels by URL as their file holds them now.

        Raises:
            SettingsError: the file cannot be used, or holds no URLs.
        """
        return _urls_in(self.notify_urls_file) if self.notify_urls_file is not None else ()

    def machine(self) -> NotifierMachine.Settings:
        """The part that can change what is told. Of URLs only names, which say nothing of what is secret in them."""
        first = (self.notify_channel,)
        if self.notify_channel == "telegram":
            first = tuple(f"{TELEGRAM}{chat}" for chat in self.telegram_chats)
        by_url = tuple(each.name for each in self.url_channels())
        return NotifierMachine.Settings(
            channels=(*first, *by_url),
            floors=dict.fromkeys(by_url, self.notify_urls_level) if self.notify_urls_level != "note" else {},
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


def _urls_in(path: Path) -> tuple[UrlChannel, ...]:
    found = url_channels(read_secret_file(path, URLS_VARIABLE))
    if isinstance(found, str):
        raise SettingsError(f"{URLS_VARIABLE}: the secret file {str(path)!r}: {found}")
    return found
