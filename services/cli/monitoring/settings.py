"""The thresholds that are rendered into the rules. Those of risk are the gate's own settings, so that the two never disagree."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from libs.runtime.settings import ConfiguredSettings

SIMULATED_AGE_S = Decimal(240)
"""A simulated market runs up to some tens of times faster than its own prices are told: what is a second here are many there."""
Share = Annotated[Decimal, Field(gt=0, lt=1)]


class AlertSettings(ConfiguredSettings):
    """What `bulkhead monitoring` is told. The four of risk are described where the gate reads them."""

    alert_model_failed_share_max: Share = Field(
        default=Decimal("0.3"), description="Prometheus tells when more of an hour's questions to the model fail"
    )
    alert_limit_share: Share = Field(
        default=Decimal("0.9"), description="Prometheus tells when more of a limit of the gate is used"
    )
    alert_daily_loss_share: Share = Field(
        default=Decimal("0.8"), description="Prometheus tells when so much of the day's loss limit is used"
    )
    alert_api_weight_share: Share = Field(
        default=Decimal("0.8"), description="Prometheus tells when more of a venue's request weight is used"
    )
    alert_data_age_s_max: Decimal = Field(
        default=Decimal(30),
        gt=0,
        le=3_600,
        description="Prometheus tells when a price is older, on the clock that the stack follows",
    )
    alert_orders_slo: Share = Field(
        default=Decimal("0.99"), description="the part of all submissions that should be confirmed by the venue"
    )
    alert_runbooks_url: str = Field(
        default="docs/runbooks",
        pattern=r"^[A-Za-z0-9:/._~-]{1,200}$",
        description="where an alert's runbook_url begins: a path or URL under which docs/runbooks is served",
    )
    alert_telegram_chat: int = Field(
        default=0, description="the chat that Alertmanager writes to; 0: must be set before it is used"
    )

    risk_drawdown_half_risk: Share = Field(default=Decimal("0.05"), description="the gate's first stage")
    risk_drawdown_entry_max: Share = Field(default=Decimal("0.10"), description="the gate's second stage")
    risk_drawdown_halt: Share = Field(default=Decimal("0.15"), description="the gate's last stage")
    risk_daily_loss_max: Share = Field(default=Decimal("0.03"), description="the gate's limit of a day")


def on_market(settings: AlertSettings, mode: str) -> AlertSettings:
    """The thresholds for a market of this mode: where it is simulated prices may be older, unless a setting says how old."""
    if mode != "sim" or "alert_data_age_s_max" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"alert_data_age_s_max": SIMULATED_AGE_S})
