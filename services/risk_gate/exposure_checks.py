"""Beside everything else that is at risk: what moves together, what all stops together would cost, our own orders in the way.

All exposure is the worst case: held, approved and this order, at the worst price known.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.money import ZERO
from libs.trading.correlation import cluster_of, combined
from services.risk_gate.case import MISSING, Case, shown
from services.risk_gate.findings import Finding, at_most

PLACES = Decimal("0.0001")


def total_risk(case: Case) -> Finding:
    """What would be lost if every stop were hit, with fees; of a position whose stop is not known, all of it."""
    limit = case.equity_share(case.limits.total_risk_fraction_max)
    risks = [case.risk_of(instrument) for instrument in case.worst_values()]
    if case.qty is None or any(risk is None for risk in risks):
        return Finding(False, MISSING, shown(limit))
    return at_most(sum((risk for risk in risks if risk is not None), ZERO), limit)


def cluster(case: Case) -> Finding:
    """What is linked to the instrument by high correlations counts as one position."""
    weights = case.weights()
    if weights is None:
        return Finding(False, MISSING, shown(case.limits.cluster_fraction_max))
    name, least = case.intent.instrument, float(case.limits.cluster_correlation_min)
    members = cluster_of(name, weights, case.correlation, least)
    share = sum((weights[each] for each in members), ZERO)
    found = at_most(share.quantize(PLACES), case.limits.cluster_fraction_max)
    return Finding(found.passed, f"{found.value} ({' '.join(members)})", found.limit)


def correlated_exposure(case: Case) -> Finding:
    """All positions as one: sqrt(w'Cw), the weights as fractions of equity."""
    weights = case.weights()
    if weights is None:
        return Finding(False, MISSING, shown(case.limits.correlated_fraction_max))
    size = combined({name: float(weight) for name, weight in weights.items()}, case.correlation)
    return at_most(Decimal(f"{size:.4f}"), case.limits.correlated_fraction_max)


def self_trade(case: Case) -> Finding:
    """An entry does not reach our own resting target, which would sell to ourselves."""
    target = case.view.targets.get(case.intent.instrument)
    if target is None or case.intent.side == "SELL" or case.view.held_qty(case.intent.instrument) <= ZERO:
        return Finding(True, shown(case.entry_px), "nothing of ours rests there")
    px = case.entry_px
    return Finding(px is not None and px < target, shown(px), f"below {shown(target)}")
