"""What the gate shows Prometheus: how much of its limits is used, and how old the prices are that it judges by.

All of it is computed from the machine's view when it is asked for. What is not known has no series. It is an adapter because that is who is lent the
view and the registry; it performs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from prometheus_client.registry import Collector

from libs.common.messages import Answer
from libs.common.metrics import trading as declared
from libs.common.money import ZERO
from libs.common.timeframe import SECOND
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from libs.runtime.made_metrics import Family, family_of
from services.risk_gate.limits import Limits
from services.risk_gate.settings import Settings
from services.risk_gate.view import View

COMPUTED = (declared.RISK_LIMIT_USED, declared.RISK_DRAWDOWN_LIMIT, declared.RISK_DAILY_LOSS, declared.MARK_AGE)


class RiskSeries(Collector):
    """The series of one gate; `view` shows the machine's memory, `now` the time (ns) it goes by."""

    def __init__(self, limits: Limits, view: Callable[[], View], now: Callable[[], int]):
        self._limits = limits
        self._view = view
        self._now = now

    def describe(self) -> list[Family]:
        """The families, empty: nothing is computed for a registration."""
        return [family_of(each) for each in COMPUTED]

    def collect(self) -> Iterator[Family]:
        """The families as they stand now."""
        used, stages, daily, ages = self.describe()
        limits, view = self._limits, self._view()
        for name, share in limits_used(limits, view).items():
            used.add_metric((name,), share)
        for stage, drawdown in (
            ("half_risk", limits.drawdown_half_risk),
            ("no_entries", limits.drawdown_entry_max),
            ("halt", limits.drawdown_halt),
        ):
            stages.add_metric((stage,), float(drawdown))
        if (loss := daily_loss(view)) is not None:
            daily.add_metric((), float(loss))
        for instrument in limits.instruments:
            if (mark := view.marks.get(instrument)) is not None:
                ages.add_metric((instrument,), max(0, self._now() - mark.ts) / SECOND)
        yield from (used, stages, daily, ages)


def limits_used(limits: Limits, view: View) -> dict[str, float]:
    """By limit, which share of it is used; what is not known is not in it."""
    used = {"positions": len(view.instruments_at_risk()) / limits.positions_max}
    if limits.losses_in_a_row_max:
        used["losses_in_a_row"] = view.trips.losses / limits.losses_in_a_row_max
    account = view.account
    if account is None:
        return used
    used["drawdown_halt"] = float(account.drawdown / limits.drawdown_halt)
    if (loss := daily_loss(view)) is not None:
        used["daily_loss"] = float(max(ZERO, loss) / limits.daily_loss_max)
    values = _values(view)
    if values is not None and account.equity > 0:
        used["gross_exposure"] = float(sum(values, ZERO) / (account.equity * limits.gross_exposure_fraction_max))
        used["largest_position"] = float(max(values, default=ZERO) / (account.equity * limits.position_fraction_max))
    return used


def daily_loss(view: View) -> Decimal | None:
    """The loss since 00:00 UTC, of the equity then; None before there is one."""
    account, began = view.account, view.day_start.equity
    if account is None or began is None or began <= 0:
        return None
    return (began - account.equity) / began


def _values(view: View) -> list[Decimal] | None:
    """What each instrument that is held is worth; None: of one nobody knows."""
    values = []
    for instrument in view.positions:
        px = view.mid_px(instrument)
        if px is None:
            return None
        values.append(abs(view.held_qty(instrument)) * px)
    return values


class Shown:
    """Registers the series once the machine has caught up."""

    def __init__(self, settings: Settings):
        self._limits = settings.machine()

    async def open(self, context: AdapterContext) -> None:
        """Show the series, where there is a registry."""
        if context.registry is not None:
            context.registry.register(RiskSeries(self._limits, context.state, context.clock.now))

    async def perform(self, asked: Asked) -> Answer:
        """Nothing is ever asked.

        Raises:
            TypeError: always (a defect in the machine).
        """
        request: Any = asked.request
        raise TypeError(f"the gate asks nothing of the world, and yet {type(request).__name__}")

    async def close(self) -> None:
        """Nothing to close."""
