"""Settings are checked as a whole before anything starts; what is wrong is said by variable, value and wish.

Values come from the environment (`BULKHEAD_...`). Secrets come from files only (`..._FILE`), so that no environment dump,
error text or API can show one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

EX_CONFIG = 78


class SettingsError(Exception):
    """A setting is unusable; the text names the variable, what it got (never a secret) and what it wants."""


class ServiceSettings(BaseSettings):
    """What every service is told: where the state folder, the bus, its own port and the clock are."""

    model_config = SettingsConfigDict(
        env_prefix="BULKHEAD_", extra="ignore", hide_input_in_errors=True, env_ignore_empty=True, frozen=True
    )

    home: Path = Field(default=Path(".bulkhead"), description="the state folder: keys, snapshots, the log")
    nats_url: str = Field(default="nats://127.0.0.1:4222", pattern=r"^(nats|tls)://[^@]+$", description="the bus")
    log_stream: str = Field(default="TRADING_0001", pattern=r"^TRADING_[0-9]{4}$", description="the log's epoch")
    instance: str = Field(default="local", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="names this process")
    http_host: str = Field(default="127.0.0.1", description="where /livez, /readyz and /metrics listen")
    http_port: int = Field(default=0, ge=0, le=65535, description="0 picks a free port")
    clock_url: str = Field(default="", pattern=r"^(|ws://.+)$", description="follow this venue clock; empty: wall time")
    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    otlp_endpoint: str = Field(default="", description="send traces here (OTLP over HTTP); empty: none")


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S]) -> S:
    """The settings of `kind` from the environment.

    Raises:
        SettingsError: with one line per bad variable. Values of variables whose name says secret, key, token or password are
            not shown.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        lines = []
        for item in error.errors(include_input=False, include_context=False, include_url=False):
            variable = (prefix + "_".join(str(part) for part in item["loc"])).upper()
            lines.append(f"{variable}: got {_shown(variable)}; {item['msg']}")
        raise SettingsError("\n".join(lines)) from None


def settings_or_exit(kind: type[S]) -> S:
    """`load_settings`, or a clear text on stderr and exit code 78 (EX_CONFIG)."""
    try:
        return load_settings(kind)
    except SettingsError as error:
        print(f"bulkhead refuses to start, bad settings:\n{error}", file=sys.stderr)
        raise SystemExit(EX_CONFIG) from None


def _shown(variable: str) -> str:
    if any(word in variable for word in ("SECRET", "KEY", "TOKEN", "PASSWORD", "DATABASE_URL")):
        return "(not shown)"
    value = os.environ.get(variable)
    return "nothing" if value is None else repr(value[:80])
