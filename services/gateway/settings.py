"""What the gateway is told from outside."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from libs.desk.tokens import token_file
from libs.runtime.settings import ServiceSettings, read_secret_file
from libs.runtime.settings_error import SettingsError

BODY_BYTES_MAX = 16 * 1024
_PAIR = r"[a-z][a-z0-9-]{0,63}=https?://[^@,/\s]+"


class Settings(ServiceSettings):
    """Where people and programs find it, who may come in, and how often."""

    gateway_host: str = Field(
        default="127.0.0.1",
        pattern=r"^[A-Za-z0-9.:-]{1,255}$",
        description="where the API and the console listen; more than this machine only with TLS or gateway_plain_http",
    )
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="their port; 0 picks a free one")
    gateway_plain_http: bool = Field(
        default=False,
        description="listen beyond this machine without TLS: only where something in front speaks TLS, and nobody else reaches this port",
    )
    gateway_tls_cert_file: Path | None = Field(
        default=None, description="speak TLS with this certificate (PEM, with its chain)"
    )
    gateway_tls_key_file: Path | None = Field(default=None, description="the certificate's key (PEM, mode 0600)")
    gateway_token_file: Path | None = Field(
        default=None, description="where the tokens' digests are kept; none: keys/api-tokens.json in the state folder"
    )
    gateway_services: str = Field(
        default="",
        pattern=rf"^(|{_PAIR}(,{_PAIR})*)$",
        description="the health pages of the services, name=url, separated by commas",
    )
    gateway_bus_monitor_url: str = Field(
        default="",
        pattern=r"^(|https?://[^@/\s]+)$",
        description="the monitoring page of nats-server, http://nats:8222: how full the store of the log is; none: nobody watches that",
    )
    gateway_rate_address: int = Field(
        default=1200,
        ge=10,
        le=1_000_000,
        description="so many requests a minute from one address, before anybody asks who it is",
    )
    gateway_rate_caller: int = Field(
        default=600, ge=10, le=1_000_000, description="so many requests a minute with one token"
    )
    gateway_rate_failures: int = Field(
        default=20, ge=1, le=10_000, description="so many failed authentications a minute from one address"
    )
    gateway_body_bytes_max: int = Field(
        default=BODY_BYTES_MAX, ge=1024, le=1024 * 1024, description="a larger body is refused (413)"
    )
    gateway_body_s_max: float = Field(
        default=5.0, ge=0.1, le=60, description="a body that takes longer is refused (408)"
    )
    gateway_answer_s_max: float = Field(
        default=30.0, ge=1, le=600, description="a request that takes longer is given up (504); a stream never"
    )
    gateway_command_wait_s: float = Field(
        default=5.0,
        ge=0,
        le=20,
        description="how long a command waits for what it brings about, unless it says so itself",
    )
    gateway_streams_max: int = Field(default=512, ge=1, le=10_000, description="so many listeners at once (503 beyond)")
    gateway_streams_per_token: int = Field(
        default=64, ge=1, le=10_000, description="so many of them with one token (503 beyond)"
    )

    @field_validator("gateway_tls_cert_file", "gateway_tls_key_file")
    @classmethod
    def _is_a_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @model_validator(mode="after")
    def _is_no_open_door(self) -> Self:
        """Tokens travel with every request: where others can listen, they need TLS."""
        if (self.gateway_tls_cert_file is None) != (self.gateway_tls_key_file is None):
            raise ValueError("BULKHEAD_GATEWAY_TLS_CERT_FILE and BULKHEAD_GATEWAY_TLS_KEY_FILE: want both, or neither")
        if self.gateway_tls_key_file is not None:
            try:
                read_secret_file(self.gateway_tls_key_file, "BULKHEAD_GATEWAY_TLS_KEY_FILE")
            except SettingsError as error:
                raise ValueError(str(error)) from None
        if not (self.is_local or self.speaks_tls or self.gateway_plain_http):
            raise ValueError(
                f"BULKHEAD_GATEWAY_HOST: got {self.gateway_host!r}; whoever listens there reads every token: name"
                " BULKHEAD_GATEWAY_TLS_CERT_FILE and _TLS_KEY_FILE, or say BULKHEAD_GATEWAY_PLAIN_HTTP=true if something in front of it speaks TLS"
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.gateway_host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.gateway_host).is_loopback
        except ValueError:
            return False

    @property
    def speaks_tls(self) -> bool:
        """Whether it speaks https."""
        return self.gateway_tls_cert_file is not None

    @property
    def tokens(self) -> Path:
        """The file of tokens."""
        return self.gateway_token_file or token_file(self.home)

    @property
    def health_pages(self) -> dict[str, str]:
        """The roots of the services' health pages by name."""
        pairs = (pair.partition("=") for pair in self.gateway_services.split(",") if pair)
        return {name: url for name, _, url in pairs}
