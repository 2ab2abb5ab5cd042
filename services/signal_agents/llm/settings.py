"""What the model agent is told from outside (BULKHEAD_LLM_...)."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from libs.runtime.settings import ServiceSettings, read_secret_file
from services.signal_agents.llm.machine import LlmMachine
from services.signal_agents.llm.prompt import Params, Structured

KEY_VARIABLE = "BULKHEAD_LLM_API_KEY_FILE"


class Settings(ServiceSettings):
    """Which model is asked, how, and what that may cost; without a URL and a model nobody is asked."""

    llm_url: str = Field(
        default="",
        pattern=r"^(|https?://[^\s@?#]+)$",
        description="base URL of a server that speaks OpenAI's chat completions, ending in /v1; empty: nobody is asked",
    )
    llm_model: str = Field(default="", pattern=r"^[A-Za-z0-9._:/@-]{0,128}$", description="the model's name there")
    llm_api_key_file: Path | None = Field(default=None, description="the key for it; a local model needs none")
    llm_deadline_ms: int = Field(
        default=20_000, ge=50, le=300_000, description="an asking without an answer after so long has failed"
    )
    llm_answer_length_max: int = Field(
        default=300, ge=50, le=8_192, description="longest answer, in tokens, reasoning included"
    )
    llm_temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="0 is the most repeatable; some models refuse to be told"
    )
    llm_seed: int | None = Field(default=7, ge=0, le=2**31 - 1, description="for servers that can repeat themselves")
    llm_structured: Structured = Field(
        default="json_schema", description="json_schema, json_object or none: what the server understands"
    )
    llm_usd_per_mtok_in: Decimal = Field(
        default=Decimal(5), ge=0, le=100_000, description="USD for a million tokens read"
    )
    llm_usd_per_mtok_out: Decimal = Field(
        default=Decimal(25), ge=0, le=100_000, description="USD for a million tokens written"
    )
    llm_usd_per_call_max: Decimal = Field(
        default=Decimal("0.10"), ge=0, le=1_000, description="no call may cost more than this"
    )
    llm_usd_per_day_max: Decimal = Field(
        default=Decimal(1),
        ge=0,
        le=10_000,
        description="all calls of a day (UTC); paid in advance, so it holds whatever happens",
    )

    @field_validator("llm_api_key_file")
    @classmethod
    def _is_a_secret(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None:
            read_secret_file(path, KEY_VARIABLE)
            url = urlsplit(info.data.get("llm_url", ""))
            if url.scheme == "http" and not _is_loopback(url.hostname or ""):
                raise ValueError("a key does not travel over plain http to another machine; use https")
        return path

    @property
    def is_configured(self) -> bool:
        """Whether there is a model to ask."""
        return bool(self.llm_url and self.llm_model)

    def api_key(self) -> str:
        """The key, or nothing.

        Raises:
            SettingsError: the file cannot be used.
        """
        return read_secret_file(self.llm_api_key_file, KEY_VARIABLE) if self.llm_api_key_file is not None else ""

    def machine(self) -> LlmMachine.Settings:
        """The part that can change a question."""
        params = Params(
            model=self.llm_model,
            temperature=self.llm_temperature,
            seed=self.llm_seed,
            answer_tokens_max=self.llm_answer_length_max,
            structured=self.llm_structured,
        )
        return LlmMachine.Settings(params=params, deadline_ms=self.llm_deadline_ms)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
