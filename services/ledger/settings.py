"""The ledger's settings: how often equity is published, and where the SQL projection lives."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from libs.runtime.settings import ServiceSettings
from services.ledger.machine import LedgerMachine

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg",
    "sqlite": "sqlite",
}
SECOND = 1_000_000_000


class Settings(ServiceSettings):
    """A database URL is a secret: it comes from a file; without a password also from `DATABASE_URL`. It is never shown."""

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
        description="the database URL, if it needs no password; empty: SQLite in the state folder",
    )

    @field_validator("database_url")
    @classmethod
    def _is_known(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value().strip():
            url_in(url.get_secret_value(), "DATABASE_URL")
        return url

    @model_validator(mode="after")
    def _file_is_readable(self) -> Settings:
        if self.database_url_file is not None:
            _url_of(self.database_url_file)
        return self

    def machine(self) -> LedgerMachine.Settings:
        """What of this can change an output of the machine."""
        return LedgerMachine.Settings(equity_interval_ns=round(self.equity_interval_s * SECOND))

    def sql_url(self) -> URL:
        """Where the projection goes: the file's URL, else `DATABASE_URL`, else SQLite in the state folder."""
        if self.database_url_file is not None:
            return _url_of(self.database_url_file)
        url = self.database_url.get_secret_value().strip()
        return url_in(url, "DATABASE_URL") if url else URL.create("sqlite", database=str(self.home / "ledger.db"))


def url_in(text: str, origin: str) -> URL:
    """The database URL in `text`, with the driver this project uses. A `URL` hides its password when it is shown.

    Raises:
        ValueError: it is not a Postgres or SQLite URL; the message names `origin` and never the text.
    """
    try:
        url = make_url(text.strip())
        driver = DRIVERS[url.drivername]
    except (ArgumentError, KeyError, ValueError):
        raise ValueError(f"{origin} must hold a postgresql:// or sqlite:/// URL") from None
    return url.set(drivername=driver)


def _url_of(path: Path) -> URL:
    origin = f"the file named by BULKHEAD_DATABASE_URL_FILE ({path})"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{origin} cannot be read: {type(error).__name__}") from None
    return url_in(text, origin)
