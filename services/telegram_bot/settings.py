"""What the bot is told from outside."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from libs.runtime.logs import register_secret
from libs.runtime.settings import SettingsError, read_secret_file
from libs.runtime.telegram_settings import TelegramSettings
from services.telegram_bot.admission import Role

SEEDS_VARIABLE = "BULKHEAD_TELEGRAM_TOTP_FILE"
SEED_BYTES_MIN = 16
_USER = r"[1-9][0-9]{0,15}:(read|operate)"
_PAIR = r"[a-z][a-z0-9-]{0,63}=https?://[^@,/\s]+"


class Settings(TelegramSettings):
    """Which bot it is, whom it hears, and how patient it is."""

    telegram_users: str = Field(
        default="",
        pattern=rf"^(|{_USER}(,{_USER})*)$",
        description="whom the bot hears: ids of users with their roles, 123:operate,456:read; nobody else gets an answer",
    )
    telegram_totp_file: Path | None = Field(
        default=None,
        description="a secret file with the seeds of one-time codes, a line for each user, 123:BASE32; without one nobody can resume or flatten",
    )
    telegram_services: str = Field(
        default="",
        pattern=rf"^(|{_PAIR}(,{_PAIR})*)$",
        description="the health pages of the services that /health asks, name=url, separated by commas",
    )
    telegram_poll_s: int = Field(default=25, ge=1, le=50, description="how long Telegram holds a poll without news")
    telegram_answer_s_max: float = Field(
        default=10.0, ge=0.1, le=60, description="Telegram has this long for everything else"
    )
    telegram_command_wait_s: float = Field(
        default=5.0, ge=0, le=20, description="how long a command waits for what it brings about"
    )
    telegram_rate: int = Field(default=10, ge=1, le=1_000, description="so many requests a minute of one user")
    telegram_rate_dangerous: int = Field(
        default=3, ge=1, le=100, description="so many of them may be commands that want a one-time code"
    )

    @field_validator("telegram_totp_file")
    @classmethod
    def _are_seeds(cls, path: Path | None) -> Path | None:
        if path is not None:
            seeds_in(path)
        return path

    @model_validator(mode="after")
    def _hears_somebody(self) -> Self:
        names = [pair.partition(":")[0] for pair in self.telegram_users.split(",") if pair]
        if len(set(names)) != len(names):
            raise ValueError("BULKHEAD_TELEGRAM_USERS: a user is named twice")
        return self

    @property
    def users(self) -> dict[int, Role]:
        """Whom the bot hears, and what each may do."""
        pairs = (pair.partition(":") for pair in self.telegram_users.split(",") if pair)
        return {int(user): "operate" if role == "operate" else "read" for user, _, role in pairs}

    @property
    def health_pages(self) -> dict[str, str]:
        """The roots of the services' health pages by name."""
        pairs = (pair.partition("=") for pair in self.telegram_services.split(",") if pair)
        return {name: url for name, _, url in pairs}

    @property
    def seeds(self) -> Mapping[int, str]:
        """The seeds of one-time codes by user.

        Raises:
            SettingsError: the file cannot be used.
        """
        return {} if self.telegram_totp_file is None else seeds_in(self.telegram_totp_file)


def seeds_in(path: Path) -> Mapping[int, str]:
    """The seeds in a file, by user; from now on they are redacted.

    Raises:
        SettingsError: the file cannot be used, or a line of it is no seed; the line is named, not shown.
    """
    found: dict[int, str] = {}
    lines = read_secret_file(path, SEEDS_VARIABLE).splitlines()
    for number, line in enumerate(lines, 1):
        user, colon, seed = (part.strip() for part in line.partition(":"))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        seed = seed.replace(" ", "").upper()
        if not (colon and user.isascii() and user.isdigit()) or len(_seed_bytes(seed)) < SEED_BYTES_MIN:
            raise SettingsError(
                f"{SEEDS_VARIABLE}: line {number} of {str(path)!r}: want user:seed, the seed in base32 and of at least"
                f" {SEED_BYTES_MIN * 8} bits"
            )
        register_secret(seed)
        found[int(user)] = seed
    return found


def _seed_bytes(seed: str) -> bytes:
    try:
        return base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error:
        return b""
