"""What Prometheus sees of the gate's limits: how much is used, and nothing of what is not known."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from libs.common.timeframe import SECOND
from services.risk_gate.adapters.series import RiskSeries
from services.risk_gate.machine import RiskMachine
from services.risk_gate.view import View
from tests.unit.risk_gate.book import LIMITS, D, equity, opened


def registry_of(view: View, now: int = 0) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(RiskSeries(LIMITS, lambda: view, lambda: now))
    return registry


def used(registry: CollectorRegistry, limit: str) -> float | None:
    return registry.get_sample_value("bulkhead_risk_limit_used_ratio", {"limit": limit})


def test_nothing_is_said_of_a_book_that_is_not_known() -> None:
    """No equity, no price: no series, and not a 0 that looks like all is well. The limits themselves are known."""
    registry = registry_of(RiskMachine(LIMITS).state)
    for limit in ("drawdown_halt", "daily_loss", "gross_exposure", "largest_position"):
        assert used(registry, limit) is None
    assert registry.get_sample_value("bulkhead_risk_daily_loss_ratio") is None
    assert registry.get_sample_value("bulkhead_mark_age_seconds", {"instrument": LIMITS.instruments[0]}) is None
    stage = registry.get_sample_value("bulkhead_risk_drawdown_limit_ratio", {"stage": "halt"})
    assert stage == float(LIMITS.drawdown_halt)


def test_a_fall_uses_up_the_drawdown_and_the_day() -> None:
    """Half of the last stage is a half; the day counts from its own beginning."""
    book = opened()
    began = book.machine.state.day_start.equity
    book.tell(equity(str(began * D("0.985")), high_water_mark=began, drawdown=LIMITS.drawdown_halt / 2))
    registry = registry_of(book.machine.state)
    assert used(registry, "drawdown_halt") == 0.5
    assert registry.get_sample_value("bulkhead_risk_daily_loss_ratio") == pytest.approx(0.015)
    assert used(registry, "daily_loss") == pytest.approx(0.015 / float(LIMITS.daily_loss_max))


def test_prices_age_by_the_clock_of_the_gate() -> None:
    """What was heard seven seconds ago is seven seconds old."""
    view = opened().machine.state
    name, mark = next(iter(view.marks.items()))
    age = registry_of(view, mark.ts + 7 * SECOND).get_sample_value("bulkhead_mark_age_seconds", {"instrument": name})
    assert age == 7


def test_exposure_is_unknown_while_a_price_is() -> None:
    """A position without a price is worth nobody knows what: less than that would be said."""
    view = opened().machine.state
    view.positions["BTC-USDT"] = D("0.1")
    worth = float(D("0.1") * view.mid_px("BTC-USDT"))
    assert used(registry_of(view), "gross_exposure") == pytest.approx(
        worth / float(view.account.equity * LIMITS.gross_exposure_fraction_max)
    )
    view.positions["NEW-USDT"] = D(1)
    assert used(registry_of(view), "gross_exposure") is None
    assert used(registry_of(view), "largest_position") is None
