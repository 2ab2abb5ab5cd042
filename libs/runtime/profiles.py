"""Two books of numbers to start from: `balanced`, which is what every setting is without a word, and `conservative`.

A profile ranks below everything that is said by hand: it is what a number is while nobody names it. docs/configuration.md says
why each of them differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from libs.runtime.config_file import ConfigFile
from libs.runtime.config_names import PREFIX, PROFILE

ProfileName = Literal["balanced", "conservative"]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be lost, held and tried. A field is named as its setting is, and has that setting's unit."""

    portfolio_risk_per_trade: Decimal
    portfolio_position_pct_max: Decimal
    risk_loss_fraction_max: Decimal
    risk_total_risk_fraction_max: Decimal
    risk_order_value_fraction_max: Decimal
    risk_position_fraction_max: Decimal
    risk_gross_exposure_fraction_max: Decimal
    risk_cluster_fraction_max: Decimal
    risk_correlated_fraction_max: Decimal
    risk_correlation_assumed: Decimal
    risk_positions_max: int
    risk_spread_bps_max: Decimal
    risk_spread_multiple_max: Decimal
    risk_drawdown_half_risk: Decimal
    risk_drawdown_entry_max: Decimal
    risk_drawdown_halt: Decimal
    risk_daily_loss_max: Decimal
    risk_cooldown_ms: int
    risk_losses_in_a_row_max: int
    risk_losses_pause_ms: int
    risk_orders_per_second_max: int
    risk_orders_per_minute_max: int
    exec_losses_in_a_row_max: int


BALANCED = Profile(
    portfolio_risk_per_trade=Decimal("0.005"),
    portfolio_position_pct_max=Decimal(15),
    risk_loss_fraction_max=Decimal("0.01"),
    risk_total_risk_fraction_max=Decimal("0.04"),
    risk_order_value_fraction_max=Decimal("0.50"),
    risk_position_fraction_max=Decimal("0.20"),
    risk_gross_exposure_fraction_max=Decimal(1),
    risk_cluster_fraction_max=Decimal("0.35"),
    risk_correlated_fraction_max=Decimal("0.45"),
    risk_correlation_assumed=Decimal("0.80"),
    risk_positions_max=6,
    risk_spread_bps_max=Decimal(10),
    risk_spread_multiple_max=Decimal(3),
    risk_drawdown_half_risk=Decimal("0.05"),
    risk_drawdown_entry_max=Decimal("0.10"),
    risk_drawdown_halt=Decimal("0.15"),
    risk_daily_loss_max=Decimal("0.03"),
    risk_cooldown_ms=3_600_000,
    risk_losses_in_a_row_max=5,
    risk_losses_pause_ms=86_400_000,
    risk_orders_per_second_max=5,
    risk_orders_per_minute_max=60,
    exec_losses_in_a_row_max=6,
)
CONSERVATIVE = Profile(
    portfolio_risk_per_trade=Decimal("0.0025"),
    portfolio_position_pct_max=Decimal(8),
    risk_loss_fraction_max=Decimal("0.005"),
    risk_total_risk_fraction_max=Decimal("0.015"),
    risk_order_value_fraction_max=Decimal("0.25"),
    risk_position_fraction_max=Decimal("0.10"),
    risk_gross_exposure_fraction_max=Decimal("0.50"),
    risk_cluster_fraction_max=Decimal("0.20"),
    risk_correlated_fraction_max=Decimal("0.25"),
    risk_correlation_assumed=Decimal(1),
    risk_positions_max=4,
    risk_spread_bps_max=Decimal(5),
    risk_spread_multiple_max=Decimal(2),
    risk_drawdown_half_risk=Decimal("0.03"),
    risk_drawdown_entry_max=Decimal("0.06"),
    risk_drawdown_halt=Decimal("0.10"),
    risk_daily_loss_max=Decimal("0.015"),
    risk_cooldown_ms=14_400_000,
    risk_losses_in_a_row_max=3,
    risk_losses_pause_ms=172_800_000,
    risk_orders_per_second_max=2,
    risk_orders_per_minute_max=20,
    exec_losses_in_a_row_max=4,
)
PROFILES: dict[str, Profile] = {"balanced": BALANCED, "conservative": CONSERVATIVE}


def said_by(config: ConfigFile, environment: Mapping[str, str]) -> set[str]:
    """The variables that the file says, and those of a profile that somebody has named."""
    named = environment.get(PROFILE) or (config.entries[PROFILE].value if PROFILE in config.entries else "")
    said = {variable for variable, entry in config.entries.items() if entry.value}
    return {*said, *(f"{PREFIX}{name}".upper() for name in numbers_of(named))}


def numbers_of(name: object) -> dict[str, Decimal | int]:
    """The numbers of a profile by setting; none if there is no such profile (the setting that names it will say so)."""
    profile = PROFILES.get(str(name))
    return msgspec.structs.asdict(profile) if profile is not None else {}
