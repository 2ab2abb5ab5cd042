"""The model agent's world where nobody is asked: the rules decide alone, as they do live while there is no model."""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import Answer, ModelAnswered
from libs.runtime.backtest import Emit, World
from libs.runtime.core import Asked
from libs.trading.venue import SpotVenue


class NoModel:
    """There is no model to ask."""

    def perform(self, asked: Asked, now: int, emit: Emit) -> Answer:
        """Say at once that there is none."""
        return no_model(asked.request_id, now)


def no_model(request_id: str, now: int) -> ModelAnswered:
    """What the real adapter says at once where there is no model to ask."""
    return ModelAnswered(
        request_id=request_id,
        key="",
        request="",
        outcome="FAILED",
        failure="not_configured",
        text="",
        model="",
        finish="",
        tokens_in=0,
        tokens_out=0,
        cost_usd=Decimal(0),
        latency_ms=0,
        http_status=0,
        retry_after_s=0.0,
        ts_event=now,
        ts_init=now,
    )


def world(venue: SpotVenue) -> World:
    """Whom the model agent asks in a backtest."""
    return NoModel()
