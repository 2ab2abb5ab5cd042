"""Which bot of Telegram's speaks for us: what the notifier and the bot are both told."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from libs.runtime.redaction import register_secret
from libs.runtime.settings import ServiceSettings, SettingsError, read_secret_file

BOT_VARIABLE = "BULKHEAD_TELEGRAM_TOKEN_FILE"
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{20,100}")


class TelegramSettings(ServiceSettings):
    """The bot's token and where the Bot API is."""

    telegram_token_file: Path | None = Field(default=None, description="a secret file with the token from @BotFather")
    telegram_url: str = Field(
        default="https://api.telegram.org",
        pattern=r"^https?://[^\s/@?#{}]+(/[^\s@?#{}]*)?$",
        description="where the Bot API is; another server of it, or telegram_sim",
    )

    @field_validator("telegram_token_file")
    @classmethod
    def _is_a_token(cls, path: Path | None) -> Path | None:
        if path is not None:
            token_in(path)
        return path

    @field_validator("telegram_url")
    @classmethod
    def _keeps_a_secret(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("a token does not travel over plain http to another machine; use https")
        return url


def token_in(path: Path) -> str:
    """The bot's token as its file holds it now; from now on it is redacted.

    Raises:
        SettingsError: the file cannot be used, or holds no token.
    """
    token = read_secret_file(path, BOT_VARIABLE).strip()
    if not _TOKEN.fullmatch(token):
        raise SettingsError(
            f"{BOT_VARIABLE}: the secret file {str(path)!r} holds no token as @BotFather gives them (digits, a colon, letters)"
        )
    register_secret(token.partition(":")[2])
    return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
