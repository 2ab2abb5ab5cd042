"""What the order executor is told from outside."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AliasChoices, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode

from libs.runtime.settings import Instruments, Listed, ServiceSettings, SettingsError, read_secret_file
from services.order_executor import settings_kraken, settings_kucoin
from services.order_executor.machine import OrderExecutorMachine

BINANCE_CREDENTIAL = re.compile(r"[A-Za-z0-9]{64}")
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
PEM = "PRIVATE KEY-----"
BINANCE = ("", "binance")
"""Venues whose credentials have Binance's form."""
KEY_FILE, SECRET_FILE = "BULKHEAD_EXEC_API_KEY_FILE", "BULKHEAD_EXEC_API_SECRET_FILE"

Delays = Annotated[tuple[int, ...], NoDecode, Listed]


class Settings(ServiceSettings):
    """Which venue, whose approvals, which limits of our own, and how stubbornly to ask."""

    instruments: Instruments = Field(
        default=("BTC-USDT", "ETH-USDT"),
        description="the only instruments that may be bought, separated by commas",
    )
    exec_gate_public_key_file: Path | None = Field(
        default=None, description="a file that holds the risk gate's public key, where the key itself is not given"
    )
    exec_gate_public_key: str = Field(
        default="",
        pattern=r"^(|[0-9a-f]{64})$",
        validate_default=True,
        description="the risk gate's Ed25519 public key, 64 hex characters",
    )
    exec_venue: str = Field(
        default="binance", pattern=r"^[a-z0-9_-]{0,32}$", description="whose trading rules count; empty: anybody's"
    )
    exec_api_key_file: Path = Field(description="holds the venue's API key; mode 0600")
    exec_api_secret_file: Path = Field(description="holds the secret it signs with; mode 0600")
    exec_api_passphrase_file: Path | None = Field(
        default=None, description="KuCoin only: holds the passphrase of the key; mode 0600"
    )
    exec_venue_url: str = Field(
        default="http://127.0.0.1:4202",
        pattern=r"^https?://[^@]+$",
        validation_alias=AliasChoices("BULKHEAD_EXEC_VENUE_URL", "BULKHEAD_VENUE_URL"),
        description="the venue's REST root; sockets are on the same host",
    )
    exec_deadline_ms: int = Field(
        default=5_000, ge=100, le=60_000, description="a request without an answer for so long (wall time) is UNKNOWN"
    )
    exec_recv_window_ms: int = Field(
        default=5_000, ge=500, le=60_000, description="the venue refuses requests that arrive later than this"
    )
    exec_finality_margin_ms: int = Field(
        default=1_000, ge=0, le=60_000, description="added to the above before 'not found' means anything"
    )
    exec_notional_max: Decimal = Field(
        default=Decimal(50_000), gt=0, le=10**12, description="largest entry, in quote currency"
    )
    exec_price_band_bps: int = Field(
        default=500, ge=1, le=10_000, description="an entry's price may be so far from the mark"
    )
    exec_mark_age_ms_max: int = Field(default=60_000, ge=100, le=3_600_000, description="older marks stop entries")
    exec_protect_ttl_ms: int = Field(
        default=10_000, ge=500, le=600_000, description="a stop or emergency exit older than this is not sent"
    )
    exec_ask_ttl_ms: int = Field(
        default=30_000, ge=500, le=600_000, description="a question older than this is asked anew"
    )
    exec_reconcile_interval_ms: int = Field(
        default=60_000, ge=1_000, le=3_600_000, description="how often books and venue are compared"
    )
    exec_lookup_delays_ms: Delays = Field(
        default=(200, 500, 1_000, 2_000, 5_000), description="between look-ups, separated by commas; the last repeats"
    )
    exec_retry_delays_ms: Delays = Field(
        default=(0, 1_000, 2_000, 5_000, 10_000, 30_000),
        description="between failed attempts to protect a position or to read the account; the last repeats",
    )
    exec_base_tolerance: Decimal = Field(
        default=Decimal("0.00000001"), ge=0, le=1, description="largest unexplained difference of a base balance"
    )
    exec_quote_tolerance: Decimal = Field(
        default=Decimal("0.01"), ge=0, le=1_000, description="largest unexplained difference of a quote balance"
    )

    exec_pairs: bool = Field(
        default=True,
        description="the venue links a stop and a target (OCO); else we watch the target; kraken, kucoin: false",
    )
    exec_cover_ms_max: int = Field(
        default=10_000, ge=1_000, le=600_000, description="a position without a stop for so long is sold"
    )
    exec_soft_stop_ms: int = Field(
        default=2_000, ge=100, le=600_000, description="so long below its stop and not sold, a position is sold by us"
    )
    exec_stop_limit_slack_bps: int = Field(
        default=100, ge=1, le=5_000, description="how far below its trigger a stop limit may sell"
    )
    exec_trail_bps: int = Field(
        default=0, ge=0, le=9_000, description="how far a stop follows behind the highest price; 0: it does not"
    )
    exec_foreign_orders: Literal["tell", "adopt", "cancel"] = Field(
        default="tell", description="what becomes of open orders at the venue that are not ours"
    )
    exec_flatten_on_stop: bool = Field(
        default=False, description="sell everything when told to stop; else stops stay in place"
    )
    exec_check_interval_ms: int = Field(
        default=3_600_000, ge=10_000, le=86_400_000, description="how often the venue is asked about our key"
    )
    exec_crash_starts_max: int = Field(
        default=15, ge=1, le=1_000, description="more unplanned starts within ten minutes stop entries until RESUME"
    )
    exec_losses_in_a_row_max: int = Field(
        default=6, ge=0, le=1_000, description="so many losing positions in a row stop entries for a while; 0: never"
    )
    exec_losses_pause_ms: int = Field(default=1_800_000, ge=1_000, le=86_400_000, description="for how long they do")

    @field_validator("exec_gate_public_key_file")
    @classmethod
    def _holds_a_key(cls, value: Path | None) -> Path | None:
        if value is not None:
            _public_key_in(value)
        return value

    @field_validator("exec_gate_public_key")
    @classmethod
    def _is_known(cls, value: str, info: ValidationInfo) -> str:
        """Whose approvals count must be said: without the key, every order would be refused one by one."""
        file: Path | None = info.data.get("exec_gate_public_key_file")
        if value or file is not None:
            return value or _public_key_in(file)
        raise ValueError(
            "whose approvals count? want the gate's public key here, or its file in BULKHEAD_EXEC_GATE_PUBLIC_KEY_FILE"
        )

    @field_validator("exec_lookup_delays_ms", "exec_retry_delays_ms")
    @classmethod
    def _are_delays(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 0 or value[-1] < 100:
            raise ValueError("want milliseconds separated by commas, the last at least 100")
        return value

    @field_validator("exec_api_key_file", "exec_api_secret_file", "exec_api_passphrase_file")
    @classmethod
    def _is_usable(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        venue = info.data.get("exec_venue", "binance")
        if value is None:
            return None
        if info.field_name == "exec_api_key_file":
            _key_in(value, venue)
        elif info.field_name == "exec_api_secret_file":
            _secret_in(value, venue)
        else:
            settings_kucoin.passphrase_in(value)
        return value

    @model_validator(mode="after")
    def _can_be_done_there(self) -> Self:
        if self.exec_venue == "kraken":
            settings_kraken.check_choices(pairs=self.exec_pairs, recv_window_ms=self.exec_recv_window_ms)
        if self.exec_venue == "kucoin":
            settings_kucoin.check_choices(pairs=self.exec_pairs, passphrase_file=self.exec_api_passphrase_file)
        return self

    def credentials(self) -> tuple[str, str]:
        """The API key and its secret; from now on redacted wherever they might be printed.

        Raises:
            SettingsError: a file is missing, others may read it, or it holds nothing that the venue issues.
        """
        return _key_in(self.exec_api_key_file, self.exec_venue), _secret_in(self.exec_api_secret_file, self.exec_venue)

    def passphrase(self) -> str:
        """The passphrase that KuCoin wants beside key and secret; redacted like them.

        Raises:
            SettingsError: as `credentials`.
        """
        return settings_kucoin.passphrase_in(self.exec_api_passphrase_file)

    def machine(self) -> OrderExecutorMachine.Settings:
        """The part that can change a decision."""
        return OrderExecutorMachine.Settings(
            gate_public_key=self.exec_gate_public_key,
            instruments=self.instruments,
            venue=self.exec_venue,
            notional_max=self.exec_notional_max,
            price_band_bps=self.exec_price_band_bps,
            mark_age_ms_max=self.exec_mark_age_ms_max,
            recv_window_ms=self.exec_recv_window_ms,
            finality_margin_ms=self.exec_finality_margin_ms,
            protect_ttl_ms=self.exec_protect_ttl_ms,
            ask_ttl_ms=self.exec_ask_ttl_ms,
            reconcile_interval_ms=self.exec_reconcile_interval_ms,
            lookup_delays_ms=self.exec_lookup_delays_ms,
            retry_delays_ms=self.exec_retry_delays_ms,
            base_tolerance=self.exec_base_tolerance,
            quote_tolerance=self.exec_quote_tolerance,
            pairs=self.exec_pairs,
            replaces=self.exec_venue in BINANCE,
            cover_ms_max=self.exec_cover_ms_max,
            soft_stop_ms=self.exec_soft_stop_ms,
            stop_limit_slack_bps=self.exec_stop_limit_slack_bps,
            trail_bps=self.exec_trail_bps,
            foreign_orders=self.exec_foreign_orders,
            flatten_on_stop=self.exec_flatten_on_stop,
            check_interval_ms=self.exec_check_interval_ms,
            crash_starts_max=self.exec_crash_starts_max,
            losses_in_a_row_max=self.exec_losses_in_a_row_max,
            losses_pause_ms=self.exec_losses_pause_ms,
            venue_url=self.exec_venue_url.rstrip("/"),
            clock_url=self.clock_url,
        )


def _public_key_in(path: Path) -> str:
    """No secret, so anybody may read the file; but it decides whose orders are sent, so it holds the key and nothing else."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}") from None
    if not PUBLIC_KEY.fullmatch(text):
        raise ValueError(f"{path} should hold 64 hex characters and nothing else")
    return text


def _key_in(path: Path, venue: str) -> str:
    """In the venue's form, before anything is called: a key with a blank too many is answered with -2014 for ever."""
    key = read_secret_file(path, KEY_FILE)
    if venue in BINANCE and not BINANCE_CREDENTIAL.fullmatch(key):
        raise SettingsError(
            f"{KEY_FILE}: {str(path)!r} does not hold a Binance API key: want 64 letters and digits, nothing else"
        )
    if venue == "kraken":
        settings_kraken.check_key(key, KEY_FILE, path)
    if venue == "kucoin":
        settings_kucoin.check_key(key, KEY_FILE, path)
    return key


def _secret_in(path: Path, venue: str) -> str:
    secret = read_secret_file(path, SECRET_FILE)
    if venue == "kraken":
        settings_kraken.check_secret(secret, SECRET_FILE, path)
    if venue == "kucoin":
        settings_kucoin.check_secret(secret, SECRET_FILE, path)
    if venue not in BINANCE or BINANCE_CREDENTIAL.fullmatch(secret):
        return secret
    if PEM not in secret:
        raise SettingsError(
            f"{SECRET_FILE}: {str(path)!r} does not hold a Binance secret: want 64 letters and digits, nothing else,"
            " or an Ed25519 or RSA private key (PEM)"
        )
    try:
        key = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        raise SettingsError(
            f"{SECRET_FILE}: {str(path)!r} is no private key that can sign for Binance: want Ed25519 or RSA, PEM, no password"
        )
    return secret
