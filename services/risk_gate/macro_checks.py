"""What the weekly regime has to say; part of every verdict of a gate that listens to the macro agent (`macro`), and of no other."""

from __future__ import annotations

from libs.common.timeframe import DAY
from services.risk_gate.case import MISSING, Case
from services.risk_gate.findings import Finding
from services.risk_gate.overrides import RISK_SHARE

REGIME_AGE_MAX = 8 * DAY
"""The macro agent repeats itself with every closed day: what is older than a week comes from one that is dead."""


def macro_unknown(case: Case) -> Finding:
    """The regime is known, and was said lately."""
    said = case.view.regimes.get(case.intent.instrument)
    if said is None:
        return Finding(False, MISSING, "known")
    # As with the comparison: what is said of the future would never age.
    is_old = abs(case.now - said.end_ts) > REGIME_AGE_MAX
    value = f"{said.state}, {abs(case.now - said.end_ts) // DAY} days old" if is_old else said.state
    return Finding(said.state != "UNKNOWN" and not is_old, value, "known")


def macro_counter_trend(case: Case) -> Finding:
    """Long in a bear market or short in a bull market, unless an operator's override is in force; that nothing is known is the other check's to say."""
    said, against = case.view.regimes.get(case.intent.instrument), "BEAR" if case.intent.side == "BUY" else "BULL"
    state, override = MISSING if said is None else said.state, case.override
    if override is not None:
        return Finding(True, f"{state}, {override.shown}", f"not {against}, or an override at {RISK_SHARE} of the risk")
    return Finding(not case.is_against_regime, state, f"not {against}")
