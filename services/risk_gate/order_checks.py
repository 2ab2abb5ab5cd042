"""Is it an order at all, and one that the venue would take; is it one too many."""

from __future__ import annotations

from decimal import Decimal

from libs.common.money import ZERO
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from services.risk_gate.case import MISSING, Case, is_sane, shown
from services.risk_gate.findings import EXEMPT, Finding, at_most
from services.risk_gate.view import order_key


def invalid_number(case: Case) -> Finding:
    """Every number is one, and a type that has a limit price has one."""
    intent = case.intent
    required = {"order_qty": intent.order_qty, "ref_px": intent.ref_px}
    optional = {"limit_px": intent.limit_px, "stop_px": intent.stop_px, "target_px": intent.target_px}
    numbers = required | {name: number for name, number in optional.items() if number is not None}
    bad = [f"{name}={shown(number)}" for name, number in numbers.items() if not is_sane(number)]
    if (intent.limit_px is None) == (intent.ord_type in ("LIMIT", "STOP_LOSS_LIMIT")):
        bad.append(f"{intent.ord_type} limit_px={shown(intent.limit_px)}")
    return Finding(not bad, " ".join(bad) or "ok", "finite, > 0, a limit_px where the type has one")


def instrument(case: Case) -> Finding:
    """Only what is on the list."""
    return Finding(case.intent.instrument in case.limits.instruments, case.intent.instrument, "allow-list")


def no_spec(case: Case) -> Finding:
    """The venue's rules are known."""
    return Finding(case.spec is not None, "known" if case.spec is not None else MISSING, "known")


def lot_step(case: Case) -> Finding:
    """The quantity is on the venue's grid, and not below its least."""
    spec, qty = case.spec, case.qty
    if spec is None or qty is None:
        return Finding(False, shown(qty), MISSING)
    passed = qty % spec.qty_step == 0 and qty >= spec.qty_min
    return Finding(passed, shown(qty), f"step {shown(spec.qty_step)}, at least {shown(spec.qty_min)}")


def tick(case: Case) -> Finding:
    """Every price is on the venue's grid."""
    spec, intent = case.spec, case.intent
    prices = [px for px in (intent.limit_px, intent.stop_px, intent.target_px) if px is not None]
    value = " ".join(shown(px) for px in prices) or "no price"
    if spec is None:
        return Finding(False, value, MISSING)
    passed = all(is_sane(px) and px % spec.px_tick == 0 for px in prices)
    return Finding(passed, value, f"tick {shown(spec.px_tick)}")


def min_notional(case: Case) -> Finding:
    """Worth what the venue wants at least, at the lowest price it may be counted at."""
    prices = [px for px in (case.own_px, case.mid_px) if px is not None]
    if case.spec is None or case.qty is None or not prices:
        return Finding(False, MISSING, MISSING)
    lowest = case.qty * min(prices)
    return Finding(lowest >= case.spec.notional_min, shown(lowest), f"at least {shown(case.spec.notional_min)}")


def duplicate_id(case: Case) -> Finding:
    """An intent is judged once."""
    known = case.intent.intent_id in case.view.intent_ids
    return Finding(bool(case.intent.intent_id) and not known, "seen before" if known else "new", "new")


def reduce_only(case: Case) -> Finding:
    """An exit sells no more than is held and not on its way out."""
    intent, qty = case.intent, case.qty
    if not intent.reduce_only:
        return Finding(True, "entry", EXEMPT)
    held = case.view.held_qty(intent.instrument)
    closing = -held if intent.side == "BUY" else held
    available = max(ZERO, closing - case.view.leaves_qty(intent.instrument, intent.side, reduce_only=True))
    return Finding(qty is not None and qty <= available, shown(qty), shown(available))


def stale_intent(case: Case) -> Finding:
    """The wish is still wanted."""
    return at_most(case.now, case.intent.valid_until)


def duplicate_order(case: Case) -> Finding:
    """The same order, for the same reason, not again at once."""
    last, gap_min = case.view.recent_orders.get(order_key(case.intent)), case.limits.duplicate_window_ms
    limit = f"at least {gap_min} ms apart"
    if last is None:
        return Finding(True, "first", limit)
    gap = case.now - last
    return Finding(gap >= gap_min * MILLISECOND, f"{shown(Decimal(gap) / MILLISECOND)} ms", limit)


def rate(case: Case) -> Finding:
    """Not more entries a second and a minute than people could follow."""
    times, limits = case.view.entry_times, case.limits
    second = 1 + sum(case.now - each < SECOND for each in times)
    minute = 1 + sum(case.now - each < MINUTE for each in times)
    passed = second <= limits.orders_per_second_max and minute <= limits.orders_per_minute_max
    limit = f"{limits.orders_per_second_max}/s {limits.orders_per_minute_max}/min"
    return Finding(passed, f"{second}/s {minute}/min", limit)


def open_order(case: Case) -> Finding:
    """One unresolved entry an instrument."""
    return at_most(len(case.view.entry_prices(case.intent.instrument)), 0)
