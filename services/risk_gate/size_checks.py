"""Is it small enough, by itself and beside everything else, and is it protected."""

from __future__ import annotations

from libs.common.money import ZERO
from services.risk_gate.case import MISSING, Case, is_sane, shown
from services.risk_gate.findings import Finding, at_most


def order_value(case: Case) -> Finding:
    """The order by itself."""
    share = case.equity_share(case.limits.order_value_fraction_max)
    return at_most(case.value, None if share is None else min(share, case.limits.order_value_max))


def position(case: Case) -> Finding:
    """The position it would lead to."""
    worst = None if case.qty is None else case.worst_value(case.intent.instrument)
    return at_most(worst, case.equity_share(case.limits.position_fraction_max))


def gross_exposure(case: Case) -> Finding:
    """Everything held and approved, and this."""
    values = case.worst_values()
    unknown = [instrument for instrument, value in values.items() if value is None]
    limit = case.equity_share(case.limits.gross_exposure_fraction_max)
    if unknown or case.qty is None:
        return Finding(False, f"no price: {' '.join(unknown)}" if unknown else MISSING, shown(limit))
    return at_most(sum((value for value in values.values() if value is not None), ZERO), limit)


def positions(case: Case) -> Finding:
    """How many instruments would be held."""
    if case.qty is None:
        return Finding(False, MISSING, shown(case.limits.positions_max))
    count = 0
    for instrument, value in case.worst_values().items():
        spec = case.view.specs.get(instrument)
        # What is worth less than the smallest order cannot be sold: dust is not a position.
        is_dust = spec is not None and value is not None and value < spec.notional_min
        count += not is_dust and case.worst_qty(instrument) != 0
    return at_most(count, case.limits.positions_max)


def balance(case: Case) -> Finding:
    """There is money, or coin, for it."""
    account, spec, value = case.view.account, case.spec, case.value
    if case.intent.side == "SELL":  # spot: what is sold must be owned
        sells = (
            case.view.leaves_qty(case.intent.instrument, "SELL", reduce_only=False),
            case.view.leaves_qty(case.intent.instrument, "SELL", reduce_only=True),
        )
        return at_most(case.qty, max(ZERO, case.view.held_qty(case.intent.instrument) - sum(sells, ZERO)))
    if account is None or spec is None or value is None or not account.balance.is_finite():
        return Finding(False, shown(value), MISSING)
    return at_most(value * (1 + spec.taker_fee), account.balance - case.view.reserved())


def no_stop(case: Case) -> Finding:
    """An entry names its stop."""
    return Finding(case.stop_px is not None, shown(case.intent.stop_px), "a stop")


def stop_side(case: Case) -> Finding:
    """The stop is on the losing side of every price."""
    stop = case.stop_px
    prices = [px for px in (case.own_px, case.intent.ref_px, case.mid_px) if is_sane(px) and px is not None]
    if stop is None or case.own_px is None or case.mid_px is None:
        return Finding(False, shown(stop), MISSING)
    if case.intent.side == "BUY":
        return Finding(stop < min(prices), shown(stop), f"below {shown(min(prices))}")
    return Finding(stop > max(prices), shown(stop), f"above {shown(max(prices))}")


def stop_distance(case: Case) -> Finding:
    """Neither in the noise nor out of reach."""
    stop, entry = case.stop_px, case.entry_px
    if stop is None or entry is None:
        return Finding(False, MISSING, MISSING)
    distance = abs(entry - stop)
    low, high = entry * case.limits.stop_distance_min, entry * case.limits.stop_distance_max
    return Finding(low <= distance <= high, shown(distance), f"{shown(low)}..{shown(high)}")


def risk_per_trade(case: Case) -> Finding:
    """What is lost at the stop, with fees; half as much is allowed once the drawdown has reached its first stage."""
    stop, entry, qty, spec = case.stop_px, case.entry_px, case.qty, case.spec
    limit = case.equity_share(case.limits.loss_fraction_max * case.risk_share)
    if stop is None or entry is None or qty is None or spec is None:
        return Finding(False, MISSING, shown(limit))
    return at_most(qty * (abs(entry - stop) + spec.taker_fee * (entry + stop)), limit)
