"""What the portfolio can be told (BULKHEAD_PORTFOLIO_...)."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field, ValidationInfo, field_validator

from libs.common.messages import ModelMode
from libs.common.timeframe import MILLISECOND
from libs.runtime.settings import ServiceSettings
from services.signal_agents.portfolio.leash import Grip
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.portfolio.sizing import Limits

BASIS_POINT = Decimal("0.0001")
DAY_MS = 86_400_000


class Settings(ServiceSettings):
    """Whom the portfolio hears, how it sizes, how long it waits. Defaults stay below the gate's limits, so that a price
    that moves between wish and verdict does not turn every full-sized wish into a denial."""

    portfolio_agents: str = Field(
        default="trend", pattern=r"^[a-z0-9_]+(,[a-z0-9_]+)*$", description="the agents that are heard, comma-separated"
    )
    portfolio_risk_per_trade: Decimal = Field(
        default=Decimal("0.005"),
        gt=0,
        le=Decimal("0.05"),
        description="fraction of equity lost at the stop, costs included",
    )
    portfolio_position_pct_max: Decimal = Field(
        default=Decimal(15), gt=0, le=100, description="most a position may cost, percent of equity"
    )
    portfolio_stop_atr: Decimal = Field(
        default=Decimal(2), gt=0, le=20, description="distance of the stop from the entry, multiples of ATR"
    )
    portfolio_target_atr: Decimal = Field(
        default=Decimal(3), gt=0, le=50, description="distance of the target from the entry, multiples of ATR"
    )
    portfolio_slippage_bps: Decimal = Field(
        default=Decimal(5), ge=0, le=1000, description="slippage to allow for at entry and stop, basis points"
    )
    portfolio_exit_flat_bars: int = Field(
        default=4, ge=0, le=1000, description="leave after so many FLAT signals in a row; 0: FLAT never leaves"
    )
    portfolio_signal_age_ms_max: int = Field(
        default=225_000, ge=1_000, le=86_400_000, description="a signal binds nobody after this (a quarter of 15m)"
    )
    portfolio_quote_age_ms_max: int = Field(
        default=5_000, ge=100, le=600_000, description="an older bid and ask gives way to the bar's close"
    )
    portfolio_intent_valid_ms: int = Field(
        default=60_000, ge=1_000, le=3_600_000, description="how long an intent may become an order"
    )
    portfolio_denial_cooldown_ms: int = Field(
        default=60_000, ge=0, le=86_400_000, description="no new entry for so long after a denied or failed one"
    )
    portfolio_exit_retry_ms: int = Field(
        default=5_000, ge=100, le=3_600_000, description="no new exit for so long after a denied or failed one"
    )

    portfolio_quorum: int = Field(
        default=0, ge=0, le=64, description="so many agents must have an opinion that counts; 0: all that are named"
    )
    portfolio_score_min: float = Field(
        default=0.6, gt=0, le=1, description="weighted share of LONG less SHORT from which an entry is made"
    )
    portfolio_hold_ms_max: int = Field(
        default=7 * DAY_MS, ge=0, le=366 * DAY_MS, description="a position is left after so long; 0: never for its age"
    )
    portfolio_decay_ms: int = Field(
        default=14_400_000,
        ge=0,
        le=366 * DAY_MS,
        description="a position is left once no opinion has been for it for so long; 0: never",
    )
    portfolio_levels: bool = Field(
        default=True,
        description="stops beyond the zones of the levels agent, targets before them, where some are known",
    )
    portfolio_regimes: bool = Field(
        default=True, description="half the risk without a weekly trend, a quarter against it under an override"
    )
    portfolio_model: ModelMode = Field(
        default="confirm",
        description="off, shadow (scored, never heard), confirm (may veto or shrink) or tilt (if earned)",
    )
    portfolio_model_veto_p: float = Field(
        default=0.6,
        ge=0.5,
        le=0.95,
        description="a model that is against an entry and at least so sure keeps it from being made",
    )
    portfolio_model_wait_ms: int = Field(
        default=25_000,
        ge=100,
        le=600_000,
        description="an entry waits so long for the model's judgement, then the rules decide",
    )

    @field_validator("portfolio_quorum")
    @classmethod
    def _can_be_had(cls, quorum: int, info: ValidationInfo) -> int:
        agents = set(str(info.data.get("portfolio_agents", "")).split(","))
        if quorum > len(agents):
            raise ValueError(f"only {len(agents)} agents are heard, so that this quorum is never had")
        return quorum

    @field_validator("portfolio_model_wait_ms")
    @classmethod
    def _before_the_signal_dies(cls, wait: int, info: ValidationInfo) -> int:
        age_max = info.data.get("portfolio_signal_age_ms_max", wait + 1)
        if wait >= age_max:
            raise ValueError(f"must be less than a signal lives, which is {age_max}")
        return wait

    def machine(self) -> PortfolioMachine.Settings:
        """The part that can change a wish."""
        limits = Limits(
            risk_per_trade=self.portfolio_risk_per_trade,
            position_max=self.portfolio_position_pct_max / 100,
            stop_atr=self.portfolio_stop_atr,
            target_atr=self.portfolio_target_atr,
            slip=self.portfolio_slippage_bps * BASIS_POINT,
        )
        return PortfolioMachine.Settings(
            agents=tuple(dict.fromkeys(self.portfolio_agents.split(","))),
            limits=limits,
            exit_flat_bars=self.portfolio_exit_flat_bars,
            signal_age_max=self.portfolio_signal_age_ms_max * MILLISECOND,
            quote_age_max=self.portfolio_quote_age_ms_max * MILLISECOND,
            intent_valid=self.portfolio_intent_valid_ms * MILLISECOND,
            denial_cooldown=self.portfolio_denial_cooldown_ms * MILLISECOND,
            exit_retry=self.portfolio_exit_retry_ms * MILLISECOND,
            quorum=self.portfolio_quorum,
            score_min=self.portfolio_score_min,
            hold_max=self.portfolio_hold_ms_max * MILLISECOND,
            decay=self.portfolio_decay_ms * MILLISECOND,
            uses_levels=self.portfolio_levels,
            uses_regimes=self.portfolio_regimes,
            grip=Grip(
                mode=self.portfolio_model,
                veto_p=self.portfolio_model_veto_p,
                wait=self.portfolio_model_wait_ms * MILLISECOND,
            ),
        )
