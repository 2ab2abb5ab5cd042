"""The stages of the drawdown, and who is told of them: each once when it is reached, and that it is over once it is well left.

    drawdown ≥ drawdown_half_risk ──▶ DRAWDOWN_HALF_RISK     drawdown ≥ drawdown_entry_max ──▶ DRAWDOWN_NO_ENTRIES
    drawdown < `LEFT_SHARE` of the stage's limit ──▶ DRAWDOWN_EASED

The gap between reaching and leaving is there because equity moves every few seconds: at a stage's limit it would be told for hours. A fall through
several stages at once is told by the gravest. What the stages do to orders is the checks' business, and the halt is the machine's: it pages by itself.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import AlertRaised, EquityChanged
from libs.runtime.machine import Effect, Publish
from services.risk_gate.limits import Limits
from services.risk_gate.view import View

LEFT_SHARE = Decimal("0.9")
HALF_RISK, NO_ENTRIES = 1, 2


def stages_told(view: View, event: EquityChanged, limits: Limits) -> list[Effect]:
    """Move the view to the stage that this equity is in; what people should know of it."""
    drawdown, was = event.drawdown, view.drawdown_stage
    bounds = (limits.drawdown_half_risk, limits.drawdown_entry_max)
    reached = sum(drawdown >= bound for bound in bounds)
    kept = sum(drawdown >= bound * LEFT_SHARE for bound in bounds)
    view.drawdown_stage = reached if reached > was else min(was, kept)
    if view.drawdown_stage == was:
        return []
    worth = f"equity {event.equity}, high-water mark {event.high_water_mark}"
    if view.drawdown_stage < was:
        return [Publish(AlertRaised(code="DRAWDOWN_EASED", severity="note", text=_eased(view, drawdown, worth)))]
    if reached == NO_ENTRIES:
        text = f"drawdown {drawdown} has reached {bounds[1]}: no entries until it is smaller; exits and stops go on; {worth}"
        return [Publish(AlertRaised(code="DRAWDOWN_NO_ENTRIES", severity="ticket", text=text))]
    text = f"drawdown {drawdown} has reached {bounds[0]}: a trade may risk half as much; {worth}"
    return [Publish(AlertRaised(code="DRAWDOWN_HALF_RISK", severity="ticket", text=text))]


def _eased(view: View, drawdown: Decimal, worth: str) -> str:
    now = "a trade may still risk only half as much" if view.drawdown_stage == HALF_RISK else "no stage is reached"
    return f"drawdown is {drawdown} again: {now}; {worth}"
