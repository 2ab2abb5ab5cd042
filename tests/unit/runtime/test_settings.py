"""A bad setting stops the process before it starts, and says which, what it got and what it wants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from libs.runtime.redaction import MASK, forget_secrets, redact, register_secret
from libs.runtime.settings import (
    EX_CONFIG,
    SECRET_BYTES_MAX,
    ServiceSettings,
    SettingsError,
    load_settings,
    read_secret_file,
    settings_or_exit,
)

SECRET = "s3cr3t-value-9000-and-more"


class Settings(ServiceSettings):
    """A service's settings with one field of each kind that can go wrong."""

    instruments: tuple[str, ...] = Field(default=("BTC-USDT",), description="what may be traded", max_length=3)
    limits: dict[str, int] = Field(default={}, description="caps by instrument")
    stale_s_max: float = Field(default=2.0, gt=0, description="how old a price may be")
    dry: bool = Field(default=False, description="ask nobody")
    api_token: SecretStr = Field(default=SecretStr("unset-unset"), min_length=8, description="the venue's token")
    database_url: str = Field(
        default="sqlite://", validation_alias="DATABASE_URL", pattern=r"^(sqlite|postgresql)", description="the books"
    )
    word: str = Field(default="ok", description="any word but bad ones")

    @field_validator("word", "api_token")
    @classmethod
    def _no_bad_word(cls, value: str | SecretStr) -> str | SecretStr:
        raw = value.get_secret_value() if isinstance(value, SecretStr) else value
        if "bad" in raw:
            raise ValueError(f"{raw} is a bad word")
        return value


class Required(ServiceSettings):
    """A setting without a default."""

    model_config = SettingsConfigDict(env_prefix="BULKHEAD_")

    book: str = Field(description="the book's name")


class Contradicting(ServiceSettings):
    """Two settings that do not go together."""

    @model_validator(mode="after")
    def _check(self) -> Contradicting:
        if self.instance == "a" and self.log_level == "debug":
            raise ValueError("instance a must not be chatty")
        return self


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.upper().startswith("BULKHEAD_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    forget_secrets()
    yield
    forget_secrets()


def test_defaults_are_enough() -> None:
    """Without any variable a service starts, on wall time, on a free port, reachable from this machine only."""
    settings = load_settings(Settings)
    assert (settings.clock_url, settings.http_port, settings.http_host) == ("", 0, "127.0.0.1")


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("BULKHEAD_HTTP_PORT", "eighty", "valid integer"),
        ("BULKHEAD_HTTP_PORT", "70000", "less than or equal to 65535"),
        ("BULKHEAD_HTTP_PORT", "-1", "greater than or equal to 0"),
        ("BULKHEAD_NATS_URL", "http://bus", "(nats|tls)"),
        ("BULKHEAD_LOG_LEVEL", "loud", "debug|info|warning|error"),
        ("BULKHEAD_LOG_STREAM", "TRADING", "TRADING_[0-9]{4}"),
        ("BULKHEAD_CLOCK_URL", "http://clock", "ws://"),
        ("BULKHEAD_OTLP_ENDPOINT", "collector:4318", "https?://"),
        ("BULKHEAD_INSTANCE", "a b", "pattern"),
        ("BULKHEAD_STALE_S_MAX", "0", "greater than 0"),
        ("BULKHEAD_DRY", "maybe", "valid boolean"),
        ("BULKHEAD_INSTRUMENTS", "BTC-USDT,ETH-USDT", "not JSON"),
        ("BULKHEAD_INSTRUMENTS", '["a", 2]', "(at 1)"),
        ("BULKHEAD_INSTRUMENTS", '["a", "b", "c", "d"]', "at most 3"),
        ("BULKHEAD_LIMITS", '{"BTC-USDT": "many"}', "(at BTC-USDT)"),
        ("BULKHEAD_WORD", "bad luck", "bad word"),
    ],
)
def test_each_kind_of_bad_value_is_explained(
    variable: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text names the variable, shows what it got and says what is wanted, and what for."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    text = str(caught.value)
    assert text.startswith(f"{variable}: got {value!r}")
    assert wanted in text
    assert len(text.splitlines()) == 1


def test_every_bad_variable_gets_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three mistakes are found in one start, not in three."""
    monkeypatch.setenv("BULKHEAD_HTTP_PORT", "x")
    monkeypatch.setenv("BULKHEAD_LOG_LEVEL", "y")
    monkeypatch.setenv("BULKHEAD_DRY", "z")
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert len(str(caught.value).splitlines()) == 3


def test_a_missing_variable_got_nothing() -> None:
    """What is not there is said to be not there."""
    with pytest.raises(SettingsError, match=r"BULKHEAD_BOOK: got nothing; Field required \[the book's name\]"):
        load_settings(Required)


def test_a_contradiction_names_the_settings_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule over several variables has no single one to name; it says so itself."""
    monkeypatch.setenv("BULKHEAD_INSTANCE", "a")
    monkeypatch.setenv("BULKHEAD_LOG_LEVEL", "debug")
    with pytest.raises(SettingsError, match=r"Contradicting: .*must not be chatty"):
        load_settings(Contradicting)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BULKHEAD_API_TOKEN", "bad-s3cr3t"),
        ("BULKHEAD_API_TOKEN", "short"),
        ("bulkhead_api_token", "bad-s3cr3t"),
        ("DATABASE_URL", "mysql://u:bad-s3cr3t@db/x"),
        ("BULKHEAD_NATS_URL", "nats://u:bad-s3cr3t@bus:4222"),
    ],
)
def test_a_bad_secret_is_named_but_not_shown(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even what a validator says about it may quote it."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert variable.upper() in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "'short'" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60),
    variable=st.sampled_from(["BULKHEAD_HTTP_PORT", "BULKHEAD_DRY", "BULKHEAD_INSTRUMENTS", "BULKHEAD_NATS_URL"]),
    around=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=70),
)
def test_a_registered_secret_is_in_no_complaint(secret: str, variable: str, around: str) -> None:
    """Pasted into the wrong variable, a secret this process knows still does not show."""
    forget_secrets()
    register_secret(secret)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, f"x {around} {secret} {around}")
        with pytest.raises(SettingsError) as caught:
            load_settings(Settings)
    assert secret not in str(caught.value).replace(MASK, "\n")


def test_a_refusal_is_exit_code_78(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A supervisor can tell a bad setting (do not restart) from a crash."""
    monkeypatch.setenv("BULKHEAD_HTTP_PORT", "x")
    with pytest.raises(SystemExit) as caught:
        settings_or_exit(Settings)
    assert caught.value.code == EX_CONFIG == 78
    assert "BULKHEAD_HTTP_PORT: got 'x'" in capsys.readouterr().err
    monkeypatch.delenv("BULKHEAD_HTTP_PORT")
    assert settings_or_exit(Settings).http_port == 0


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_is_read_without_its_newline_and_hidden_from_then_on(tmp_path: Path) -> None:
    """Reading a secret registers it: the next text that contains it is masked."""
    path = secret_file(tmp_path, SECRET.encode() + b"\r\n")
    assert read_secret_file(path, "BULKHEAD_VENUE_KEY_FILE") == SECRET
    assert SECRET not in redact(f"refused: {SECRET}")


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"", 0o600, "is empty"),
        (b" \n", 0o600, "is empty"),
        (b"short\n", 0o600, "at least 16 characters"),
        (SECRET.encode(), 0o644, "mode 0644.*chmod 600"),
        (SECRET.encode(), 0o640, "mode 0640"),
        (b"\xff" * 32, 0o600, "not text"),
        (b"x" * (SECRET_BYTES_MAX + 1), 0o600, "larger than"),
    ],
)
def test_a_bad_secret_file_is_refused(tmp_path: Path, content: bytes, mode: int, reason: str) -> None:
    """Empty, too short, open to others or no secret at all: the text says which variable, which file, what to do."""
    path = secret_file(tmp_path, content, mode)
    with pytest.raises(SettingsError, match=f"BULKHEAD_VENUE_KEY_FILE: .*{reason}") as caught:
        read_secret_file(path, "BULKHEAD_VENUE_KEY_FILE")
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "short\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Nothing there, a folder, a pipe nobody writes to: an error at once, never a wait."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, reason in [
        (tmp_path / "missing", "No such file"),
        (tmp_path, "not a plain file"),
        (tmp_path / "pipe", "not a plain file"),
    ]:
        with pytest.raises(SettingsError, match=reason):
            read_secret_file(path, "BULKHEAD_VENUE_KEY_FILE")


def test_a_service_may_ask_for_longer_secrets(tmp_path: Path) -> None:
    """How long a secret must be depends on what it is."""
    path = secret_file(tmp_path, SECRET.encode())
    with pytest.raises(SettingsError, match="at least 64 characters"):
        read_secret_file(path, "BULKHEAD_VENUE_KEY_FILE", chars_min=64)
