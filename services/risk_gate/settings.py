"""What the risk gate is told from outside."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from libs.common.messages import Message, Timeframe
from libs.runtime.settings import Instruments, Listed, ServiceSettings
from services.risk_gate.blackouts import parse_blackout
from services.risk_gate.limits import Limits
from services.risk_gate.machine import RiskMachine
from services.risk_gate.signer import load_signing_key, sealer

Fraction = Annotated[Decimal, Field(gt=0, le=1)]


class Settings(ServiceSettings):
    """The limits of the book, and where the signing key lies."""

    instruments: Instruments = Field(
        default=("BTC-USDT", "ETH-USDT"),
        description="the only instruments that may be ordered, separated by commas; keep one listed until it is sold",
    )
    risk_venue: str = Field(
        default="binance",
        pattern=r"^[a-z0-9_-]{0,32}$",
        description="where orders go: only its rules count, and only its prices open positions; empty: any",
    )
    risk_signing_key_file: Path = Field(description="the Ed25519 private key that signs approvals; mode 0600")
    risk_price_age_ms_max: int = Field(default=2_000, ge=1, le=600_000, description="older marks stop entries")
    risk_reconciled_age_ms_max: int = Field(
        default=180_000, ge=1, le=86_400_000, description="an older comparison with the venue stops entries"
    )
    risk_collar_aggressive: Fraction = Field(
        default=Decimal("0.02"), description="how far past the mark a price may pay"
    )
    risk_collar_passive: Fraction = Field(default=Decimal("0.20"), description="how far off the mark a limit may wait")
    risk_order_value_max: Decimal = Field(
        default=Decimal(50_000), gt=0, le=10**12, description="largest order, in quote currency"
    )
    risk_order_value_fraction_max: Fraction = Field(default=Decimal("0.50"), description="largest order, of equity")
    risk_position_fraction_max: Fraction = Field(default=Decimal("0.20"), description="largest position, of equity")
    risk_gross_exposure_fraction_max: Fraction = Field(default=Decimal(1), description="all positions, of equity")
    risk_total_risk_fraction_max: Fraction = Field(
        default=Decimal("0.04"), description="loss if every stop were hit, with fees, of equity"
    )
    risk_cluster_fraction_max: Fraction = Field(
        default=Decimal("0.35"), description="all positions that move together, of equity"
    )
    risk_cluster_correlation_min: Fraction = Field(
        default=Decimal("0.70"), description="from this correlation on instruments move together"
    )
    risk_correlated_fraction_max: Fraction = Field(
        default=Decimal("0.45"), description="all positions as one, by their correlations, of equity"
    )
    risk_correlation_timeframe: Timeframe = Field(default="1h", description="the bars that correlations are taken from")
    risk_correlation_bars_min: int = Field(default=60, ge=10, le=239, description="fewer common bars prove nothing")
    risk_correlation_assumed: Fraction = Field(
        default=Decimal("0.80"), description="what a correlation is taken for while nothing is proved"
    )
    risk_spread_bps_max: Decimal = Field(
        default=Decimal(10), gt=0, le=1_000, description="a spread up to this is never too wide, in basis points"
    )
    risk_spread_multiple_max: Decimal = Field(
        default=Decimal(3), ge=1, le=100, description="widest spread, as a multiple of the usual one"
    )
    risk_positions_max: int = Field(default=6, ge=1, le=100, description="how many instruments may be held at once")
    risk_stop_distance_min: Fraction = Field(default=Decimal("0.0005"), description="nearest stop, of the entry price")
    risk_stop_distance_max: Fraction = Field(default=Decimal("0.20"), description="farthest stop, of the entry price")
    risk_loss_fraction_max: Fraction = Field(
        default=Decimal("0.01"), description="loss at the stop with fees, of equity"
    )
    risk_duplicate_window_ms: int = Field(default=5_000, ge=0, le=3_600_000, description="same order not again within")
    risk_orders_per_second_max: int = Field(default=5, ge=1, le=1_000, description="approved entries in any second")
    risk_orders_per_minute_max: int = Field(default=60, ge=1, le=10_000, description="approved entries in any minute")
    risk_drawdown_half_risk: Fraction = Field(
        default=Decimal("0.05"), description="drawdown from which a trade may risk half as much"
    )
    risk_drawdown_entry_max: Fraction = Field(default=Decimal("0.10"), description="drawdown that stops entries")
    risk_drawdown_halt: Fraction = Field(
        default=Decimal("0.15"), description="drawdown that halts until a human resumes"
    )
    risk_drawdown_flatten: bool = Field(default=True, description="then everything is sold as well")
    risk_daily_loss_max: Fraction = Field(
        default=Decimal("0.03"), description="loss since 00:00 UTC that stops entries, of the equity then"
    )
    risk_cooldown_ms: int = Field(
        default=3_600_000, ge=0, le=604_800_000, description="an instrument rests so long after a loss"
    )
    risk_losses_in_a_row_max: int = Field(
        default=5, ge=0, le=1_000, description="so many losing round trips in a row stop entries; 0: never"
    )
    risk_losses_pause_ms: int = Field(
        default=86_400_000, ge=1_000, le=604_800_000, description="for so long after the last of them"
    )
    risk_approval_ttl_ms: int = Field(
        default=10_000, ge=100, le=600_000, description="how long an approval is good for"
    )
    risk_intent_memory_hours: int = Field(default=48, ge=24, le=720, description="how long intent ids are remembered")
    risk_macro: bool = Field(
        default=True,
        description="no entry against the weekly regime, none while it is UNKNOWN, half the risk if NEUTRAL",
    )

    risk_levels: bool = Field(
        default=False, description="true: no entry inside a zone of turning points, or just under one (docs/levels.md)"
    )

    risk_blackouts: Annotated[tuple[str, ...], NoDecode, Field(min_length=1, max_length=50), Listed] = Field(
        default=(),
        validate_default=False,
        description="nothing is entered within these times (UTC), separated by commas: every week, like "
        "Fri 20:00-Sun 22:00, or once, like 2026-12-16T18:30/2026-12-16T20:00",
    )
    risk_bars: bool = Field(
        default=True, description="stops in ATR, the share of a day's volume and slippage are judged by bars"
    )
    risk_bar_timeframe: Timeframe = Field(
        default="15m",
        description="of these bars; set it to what the entries are timed by (the first of BULKHEAD_TREND_TIMEFRAMES)",
    )
    risk_stop_atr_min: Decimal = Field(default=Decimal("0.5"), ge=0, le=50, description="nearest stop, in ATR")
    risk_stop_atr_max: Decimal = Field(default=Decimal(5), gt=0, le=50, description="farthest stop, in ATR")
    risk_day_volume_share_max: Fraction = Field(
        default=Decimal("0.001"), description="largest order, of what is traded in 24 hours"
    )
    risk_slippage_max: Fraction = Field(
        default=Decimal("0.005"), description="what a market order may be expected to pay beyond the mark"
    )
    risk_signals: bool = Field(
        default=True, description="an entry must follow from an opinion of an agent that is still young"
    )
    risk_signal_age_share_max: Fraction = Field(
        default=Decimal("0.25"), description="how old that may be, of the length of its bar"
    )

    @field_validator("risk_blackouts")
    @classmethod
    def _are_windows(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_blackout(text)
        return value

    @field_validator("risk_signing_key_file")
    @classmethod
    def _is_usable(cls, value: Path) -> Path:
        load_signing_key(value)
        return value

    @field_validator("risk_stop_distance_max", "risk_stop_atr_max", "risk_drawdown_entry_max", "risk_drawdown_halt")
    @classmethod
    def _is_not_below(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        lower = {
            "risk_stop_distance_max": "risk_stop_distance_min",
            "risk_stop_atr_max": "risk_stop_atr_min",
            "risk_drawdown_entry_max": "risk_drawdown_half_risk",
            "risk_drawdown_halt": "risk_drawdown_entry_max",
        }
        least = info.data.get(lower[str(info.field_name)], value)
        if value < least:
            raise ValueError(f"must not be below BULKHEAD_{lower[str(info.field_name)].upper()}, which is {least}")
        return value

    def machine(self) -> RiskMachine.Settings:
        """The part that can change a verdict."""
        apart = ("instruments", "blackouts")
        named = {name: getattr(self, f"risk_{name}") for name in Limits.__struct_fields__ if name not in apart}
        return Limits(instruments=self.instruments, blackouts=tuple(map(parse_blackout, self.risk_blackouts)), **named)

    def seal(self) -> Callable[[Message], Message]:
        """What the live shell passes every output through; the key stays in here.

        Raises:
            BadKeyFile: the key file has become unusable since the settings were read.
        """
        return sealer(load_signing_key(self.risk_signing_key_file))
