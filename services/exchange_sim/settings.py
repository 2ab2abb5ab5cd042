"""What the emulated venue can be told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

import msgspec
from pydantic import Field, field_validator, model_validator

from libs.runtime.settings import Instruments, ServiceSettings, SettingsError
from libs.trading.fill_model import REALISTIC, FillModel
from services.exchange_sim.listing import Listing, listing_of
from services.exchange_sim.signing import KeyRights

SPEED_GENERATED = 20.0
SPEED_RECORDED = 20.0
WEIGHT_LIMIT = 6000
FOLLOWED_SPEED = 1.0


class Settings(ServiceSettings):
    """Environment variables BULKHEAD_SIM_...; without any, a generated market of three instruments at 60 times wall time."""

    sim_host: str = Field(default="127.0.0.1", description="where REST, WebSocket and control listen")
    sim_port: int = Field(
        default=0, ge=0, le=65535, description="0 picks a free port; it is written to <home>/exchange_sim/port"
    )
    sim_mode: Literal["free", "step"] = Field(
        default="free", description="free: time runs; step: it waits for /sim/advance"
    )
    sim_speed: float | None = Field(default=None, gt=0, le=10_000, description="venue seconds per wall second")
    sim_seed: int = Field(default=7, ge=0, description="which generated market")
    sim_start: datetime = Field(
        default=datetime.fromisoformat("2026-01-05T00:00:00+00:00"),
        description="when a generated market begins (ISO 8601)",
    )
    sim_instruments: str = Field(
        default="BTC-USDT,ETH-USDT,SOL-USDT",
        pattern=r"^[A-Z0-9]{2,12}-[A-Z0-9]{2,12}(,[A-Z0-9]{2,12}-[A-Z0-9]{2,12})*$",
        description="what a generated market lists, separated by commas",
    )
    sim_data: Path | None = Field(
        default=None,
        description="a folder to replay instead: of `bulkhead record` or `import`, or of raw Binance frames",
    )
    sim_bars: Path | None = Field(
        default=None,
        description="a folder of files of one-minute bars (docs/bar-files.md; times without an offset are UTC): instruments of sim_instruments that"
        " have one trade through its prices, the others are generated; without sim_start it begins with the first whole day of them all",
    )
    sim_follow_url: str = Field(
        default="",
        pattern=r"^(|https?://[^@]+)$",
        description="follow the live market of the venue at this REST root instead, in wall time, with realistic fills: paper trading",
    )
    instruments: Instruments = Field(
        default=("BTC-USDT", "ETH-USDT"),
        description="the instruments of the book: what a followed market lists, separated by commas",
    )
    sim_balances: str = Field(
        default="USDT=10000",
        pattern=r"^[A-Z0-9]{2,12}=[0-9]+(\.[0-9]+)?(,[A-Z0-9]{2,12}=[0-9]+(\.[0-9]+)?)*$",
        description="what the account owns when it is opened, separated by commas",
    )
    sim_latency_ms: int = Field(
        default=0, ge=0, le=60_000, description="venue milliseconds from accepting an order to its being active"
    )
    sim_slip_bps: Decimal = Field(
        default=Decimal(0), ge=0, lt=5000, description="basis points a taker pays on top of every price it takes"
    )
    sim_impact_bps: Decimal = Field(
        default=Decimal(0),
        ge=0,
        lt=5000,
        description="basis points a taker of all the volume of a minute would pay; less by the square root",
    )
    sim_participation_max: Decimal = Field(
        default=Decimal(1),
        gt=0,
        le=1,
        description="share of the volume of the last minute that orders may fill; 1: any",
    )
    sim_weight_limit: int = Field(
        default=WEIGHT_LIMIT, ge=0, description="request weight a caller may use in a wall minute before 429; 0: any"
    )
    sim_api_key_file: Path | None = Field(
        default=None, description="the API key clients must send; none: no private calls"
    )
    sim_api_secret_file: Path | None = Field(default=None, description="the secret they must sign with")
    sim_api_passphrase_file: Path | None = Field(
        default=None, description="the passphrase KuCoin's clients must send; none: no private calls there"
    )

    sim_key_withdrawals: bool = Field(default=False, description="the key may withdraw, which no bot's key should")
    sim_key_trading: bool = Field(default=True, description="the key may enter and cancel orders")
    sim_key_ip_restricted: bool = Field(default=True, description="the key is bound to addresses")

    @field_validator("sim_start")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("needs a time zone, for example 2026-01-05T00:00:00Z")
        return value

    @model_validator(mode="after")
    def _is_one_honest_market(self) -> Self:
        """A market comes from one place; a followed one is itself, in its own time, and no cheaper than it is (docs/paper-trading.md)."""
        told = {"DATA": self.sim_data, "BARS": self.sim_bars, "FOLLOW_URL": self.sim_follow_url}
        sources = [f"BULKHEAD_SIM_{name}" for name, value in told.items() if value]
        if len(sources) > 1:
            raise ValueError(f"{' and '.join(sources)}: a market comes from one of them")
        if not self.sim_follow_url:
            return self
        if self.sim_mode == "step" or self.sim_speed not in (None, FOLLOWED_SPEED):
            raise ValueError("BULKHEAD_SIM_MODE and _SPEED: a followed market lives in wall time; leave them unset")
        model = self.fill_model()
        costs = ((getattr(model, name), getattr(REALISTIC, name)) for name in ("latency_ms", "slip_bps", "impact_bps"))
        if any(ours < least for ours, least in costs) or model.participation_max > REALISTIC.participation_max:
            raise ValueError(
                "BULKHEAD_SIM_LATENCY_MS, _SLIP_BPS, _IMPACT_BPS, _PARTICIPATION_MAX: a followed market fills realistically or"
                f" worse: at least {REALISTIC.latency_ms}, {REALISTIC.slip_bps}, {REALISTIC.impact_bps}, and at most"
                f" {REALISTIC.participation_max}; leave them unset"
            )
        return self

    @property
    def folder(self) -> Path:
        """Where the venue keeps what must survive a restart."""
        return self.home / "exchange_sim"

    @property
    def start_ns(self) -> int:
        """`sim_start` as nanoseconds."""
        return int(self.sim_start.timestamp()) * 1_000_000_000

    @property
    def speed(self) -> float:
        """Venue seconds per wall second; 0 in step mode."""
        if self.sim_mode == "step":
            return 0.0
        if self.sim_follow_url:
            return FOLLOWED_SPEED
        return self.sim_speed or (SPEED_GENERATED if self.sim_data is None else SPEED_RECORDED)

    def listings(self) -> dict[str, Listing]:
        """What a generated market lists."""
        return {instrument: listing_of(instrument) for instrument in self.sim_instruments.split(",")}

    def balances(self) -> dict[str, Decimal]:
        """What a new account owns."""
        pairs = (entry.split("=") for entry in self.sim_balances.split(","))
        return {asset: Decimal(amount) for asset, amount in pairs}

    def fill_model(self) -> FillModel:
        """How much worse than its market the venue fills (docs/paper-venue.md); realistically where that is a live one."""
        told = FillModel(
            latency_ms=self.sim_latency_ms,
            slip_bps=self.sim_slip_bps,
            impact_bps=self.sim_impact_bps,
            participation_max=self.sim_participation_max,
        )
        if not self.sim_follow_url:
            return told
        names = ("latency_ms", "slip_bps", "impact_bps", "participation_max")
        said = {name: getattr(told, name) for name in names if f"sim_{name}" in self.model_fields_set}
        return msgspec.structs.replace(REALISTIC, **said)

    def credentials(self) -> tuple[str, str]:
        """Key and secret; empty strings when no files are named.

        Raises:
            SettingsError: a file cannot be read.
        """
        key = _content(self.sim_api_key_file, "BULKHEAD_SIM_API_KEY_FILE")
        return key, _content(self.sim_api_secret_file, "BULKHEAD_SIM_API_SECRET_FILE")


def passphrase_of(settings: Settings) -> str:
    """The passphrase; empty when no file is named.

    Raises:
        SettingsError: the file cannot be read.
    """
    return _content(settings.sim_api_passphrase_file, "BULKHEAD_SIM_API_PASSPHRASE_FILE")


def rights_of(settings: Settings) -> KeyRights:
    """What the key may do at the start."""
    return KeyRights(
        withdrawals=settings.sim_key_withdrawals,
        trading=settings.sim_key_trading,
        ip_restricted=settings.sim_key_ip_restricted,
    )


def _content(path: Path | None, variable: str) -> str:
    try:
        return "" if path is None else path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsError(f"{variable}: {path} cannot be read ({reason}); want the file that holds it") from None
