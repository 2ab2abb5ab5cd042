"""The ledger's settings: how often equity is published, and where the SQL projection lives."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from libs.runtime.settings import ServiceSettings
from services.ledger.machine import LedgerMachine

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite",
}
SECOND = 1_000_000_000


class Settings(ServiceSettings):
    """A database URL is a secret: it comes from a file, or from `DATABASE_URL` as hosting platforms give it, and is never shown."""

    equity_interval_s: float = Field(
        default=5.0, ge=0.05, le=3600, description="publish equity at most this often while only prices move"
    )
    projection_batch_max: int = Field(default=500, ge=1, le=10_000, description="most events in one SQL commit")
    projection_batch_ms: int = Field(
        default=200, ge=0, le=10_000, description="longest wait for a batch to fill before it is committed"
    )
    database_url_file: Path | None = Field(
        default=None,
        description="a file with the database URL (postgresql://... or sqlite:///...); wins over DATABASE_URL",
    )
    database_url: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="DATABASE_URL",
        description="the database URL; empty: SQLite in the state folder",
    )

    @field_validator("database_url")
    @classmethod
    def _is_known(cls, url: SecretStr) -> SecretStr:
        return SecretStr(normalised(url.get_secret_value(), "DATABASE_URL"))

    @model_validator(mode="after")
    def _file_is_readable(self) -> Settings:
        if self.database_url_file is not None:
            _url_in(self.database_url_file)
        return self

    def machine(self) -> LedgerMachine.Settings:
        """What of this can change an output of the machine."""
        return LedgerMachine.Settings(equity_interval_ns=round(self.equity_interval_s * SECOND))

    def sql_url(self) -> SecretStr:
        """Where the projection goes: the file's URL, else `DATABASE_URL`, else SQLite in the state folder."""
        if self.database_url_file is not None:
            return SecretStr(_url_in(self.database_url_file))
        return (
            self.database_url if self.database_url.get_secret_value() else SecretStr(f"sqlite:///{self.home}/ledger.db")
        )


def normalised(url: str, origin: str) -> str:
    """`url` with the driver this project uses; empty stays empty.

    Raises:
        ValueError: it is not a Postgres or SQLite URL; the text names `origin` and never the URL.
    """
    url = url.strip()
    if not url:
        return ""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in DRIVERS or not rest:
        raise ValueError(f"{origin} must be a postgresql:// or sqlite:/// URL")
    return f"{DRIVERS[scheme]}://{rest}"


def _url_in(path: Path) -> str:
    origin = f"the file named by BULKHEAD_DATABASE_URL_FILE ({path})"
    try:
        url = normalised(path.read_text(encoding="utf-8"), f"{origin}: its content")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{origin} cannot be read: {type(error).__name__}") from None
    if not url:
        raise ValueError(f"{origin} is empty")
    return url
