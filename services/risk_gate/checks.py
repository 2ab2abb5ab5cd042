"""Every pre-trade check, as one pure function of the intent, the view, the limits and the time.

All checks are always evaluated and reported with their numbers; one that lacks an input fails. Exits (`reduce_only`) are held to
the sanity checks only: the others are still reported, with the limit "exempt". A breaker must never lock a position in.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

import msgspec

from libs.common.messages import Check, OrderIntent
from libs.common.money import ZERO
from libs.common.timeframe import DAY, MILLISECOND, MINUTE, SECOND
from services.risk_gate.case import MISSING, Case, is_sane, shown
from services.risk_gate.limits import Limits
from services.risk_gate.view import ARITHMETIC, View, order_key

EXEMPT = "exempt"
REGIME_AGE_MAX = 8 * DAY
"""The macro agent repeats itself with every closed day: what is older than a week comes from one that is dead."""


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    passed: bool
    value: str
    limit: str


def evaluate(intent: OrderIntent, view: View, limits: Limits, now: int) -> tuple[Check, ...]:
    """Hold `intent` against everything; approved only if every check passed. Changes nothing."""
    case = Case(intent, view, limits, now)
    with localcontext(ARITHMETIC):
        checks = CHECKS + MACRO_CHECKS if limits.macro else CHECKS
        return tuple(_check(code, test(case), intent.reduce_only and not for_exits) for code, for_exits, test in checks)


def _check(code: str, finding: Finding, exempt: bool) -> Check:
    if exempt:
        return Check(code=code, passed=True, value=finding.value, limit=EXEMPT)
    return Check(code=code, passed=finding.passed, value=finding.value, limit=finding.limit)


def _at_most(value: Decimal | int | None, limit: Decimal | int | None) -> Finding:
    passed = value is not None and limit is not None and value <= limit
    return Finding(passed, shown(value), shown(limit))


# --- is it an order at all ------------------------------------------------------------------------------------------


def _invalid_number(case: Case) -> Finding:
    intent = case.intent
    required = {"order_qty": intent.order_qty, "ref_px": intent.ref_px}
    optional = {"limit_px": intent.limit_px, "stop_px": intent.stop_px, "target_px": intent.target_px}
    numbers = required | {name: number for name, number in optional.items() if number is not None}
    bad = [f"{name}={shown(number)}" for name, number in numbers.items() if not is_sane(number)]
    if (intent.limit_px is None) == (intent.ord_type in ("LIMIT", "STOP_LOSS_LIMIT")):
        bad.append(f"{intent.ord_type} limit_px={shown(intent.limit_px)}")
    return Finding(not bad, " ".join(bad) or "ok", "finite, > 0, a limit_px where the type has one")


def _instrument(case: Case) -> Finding:
    return Finding(case.intent.instrument in case.limits.instruments, case.intent.instrument, "allow-list")


def _no_spec(case: Case) -> Finding:
    return Finding(case.spec is not None, "known" if case.spec is not None else MISSING, "known")


def _lot_step(case: Case) -> Finding:
    spec, qty = case.spec, case.qty
    if spec is None or qty is None:
        return Finding(False, shown(qty), MISSING)
    passed = qty % spec.qty_step == 0 and qty >= spec.qty_min
    return Finding(passed, shown(qty), f"step {shown(spec.qty_step)}, at least {shown(spec.qty_min)}")


def _tick(case: Case) -> Finding:
    spec, intent = case.spec, case.intent
    prices = [px for px in (intent.limit_px, intent.stop_px, intent.target_px) if px is not None]
    value = " ".join(shown(px) for px in prices) or "no price"
    if spec is None:
        return Finding(False, value, MISSING)
    passed = all(is_sane(px) and px % spec.px_tick == 0 for px in prices)
    return Finding(passed, value, f"tick {shown(spec.px_tick)}")


def _min_notional(case: Case) -> Finding:
    prices = [px for px in (case.own_px, case.mid_px) if px is not None]
    if case.spec is None or case.qty is None or not prices:
        return Finding(False, MISSING, MISSING)
    lowest = case.qty * min(prices)
    return Finding(lowest >= case.spec.notional_min, shown(lowest), f"at least {shown(case.spec.notional_min)}")


def _duplicate_id(case: Case) -> Finding:
    known = case.intent.intent_id in case.view.intent_ids
    return Finding(bool(case.intent.intent_id) and not known, "seen before" if known else "new", "new")


def _reduce_only(case: Case) -> Finding:
    intent, qty = case.intent, case.qty
    if not intent.reduce_only:
        return Finding(True, "entry", EXEMPT)
    held = case.view.held_qty(intent.instrument)
    closing = -held if intent.side == "BUY" else held
    available = max(ZERO, closing - case.view.leaves_qty(intent.instrument, intent.side, reduce_only=True))
    return Finding(qty is not None and qty <= available, shown(qty), shown(available))


def _stale_intent(case: Case) -> Finding:
    return _at_most(case.now, case.intent.valid_until)


# --- is the market known --------------------------------------------------------------------------------------------


def _no_reference_price(case: Case) -> Finding:
    return Finding(case.mid_px is not None, shown(case.mid_px), "known")


def _stale_price(case: Case) -> Finding:
    mark = case.view.marks.get(case.intent.instrument)
    # A mark from the future is as wrong as an old one: it would never age.
    age = None if mark is None else Decimal(abs(case.now - mark.ts)) / MILLISECOND
    return _at_most(age, case.limits.price_age_ms_max)


def _price_in_doubt(case: Case) -> Finding:
    mark = case.view.marks.get(case.intent.instrument)
    return Finding(mark is not None and mark.entries_allowed, MISSING if mark is None else mark.trust, "TRUSTED")


def _feed_down(case: Case) -> Finding:
    return Finding(case.view.feed_state == "LIVE", case.view.feed_state or MISSING, "LIVE")


def _foreign_prices(case: Case) -> Finding:
    """Another venue's prices are good enough to watch a position by, not to open one where the order would go."""
    speaks, home = case.view.feed_venue, case.limits.venue
    return Finding(home in ("", speaks), speaks or MISSING, home or "any")


def _price_collar(case: Case) -> Finding:
    mid, limits, buys = case.mid_px, case.limits, case.intent.side == "BUY"
    prices = {"ref": case.intent.ref_px}
    if case.intent.limit_px is not None:
        prices["limit"] = case.intent.limit_px
    value = " ".join(f"{name} {shown(px)}" for name, px in prices.items())
    if mid is None:
        return Finding(False, value, MISSING)
    below, above = limits.collar_passive, limits.collar_aggressive
    if not buys:
        below, above = above, below
    reach = {"ref": (limits.collar_aggressive, limits.collar_aggressive), "limit": (below, above)}
    bounds = {name: (mid * (1 - reach[name][0]), mid * (1 + reach[name][1])) for name in prices}
    passed = all(is_sane(px) and bounds[name][0] <= px <= bounds[name][1] for name, px in prices.items())
    return Finding(
        passed, value, " ".join(f"{name} {shown(low)}..{shown(high)}" for name, (low, high) in bounds.items())
    )


# --- is it small enough ---------------------------------------------------------------------------------------------


def _order_value(case: Case) -> Finding:
    share = case.equity_share(case.limits.order_value_fraction_max)
    return _at_most(case.value, None if share is None else min(share, case.limits.order_value_max))


def _position(case: Case) -> Finding:
    worst = None if case.qty is None else case.worst_value(case.intent.instrument)
    return _at_most(worst, case.equity_share(case.limits.position_fraction_max))


def _gross_exposure(case: Case) -> Finding:
    values = case.worst_values()
    unknown = [instrument for instrument, value in values.items() if value is None]
    limit = case.equity_share(case.limits.gross_exposure_fraction_max)
    if unknown or case.qty is None:
        return Finding(False, f"no price: {' '.join(unknown)}" if unknown else MISSING, shown(limit))
    return _at_most(sum((value for value in values.values() if value is not None), ZERO), limit)


def _positions(case: Case) -> Finding:
    if case.qty is None:
        return Finding(False, MISSING, shown(case.limits.positions_max))
    count = 0
    for instrument, value in case.worst_values().items():
        spec = case.view.specs.get(instrument)
        # What is worth less than the smallest order cannot be sold: dust is not a position.
        is_dust = spec is not None and value is not None and value < spec.notional_min
        count += not is_dust and case.worst_qty(instrument) != 0
    return _at_most(count, case.limits.positions_max)


def _balance(case: Case) -> Finding:
    account, spec, value = case.view.account, case.spec, case.value
    if case.intent.side == "SELL":  # spot: what is sold must be owned
        sells = (
            case.view.leaves_qty(case.intent.instrument, "SELL", reduce_only=False),
            case.view.leaves_qty(case.intent.instrument, "SELL", reduce_only=True),
        )
        return _at_most(case.qty, max(ZERO, case.view.held_qty(case.intent.instrument) - sum(sells, ZERO)))
    if account is None or spec is None or value is None or not account.balance.is_finite():
        return Finding(False, shown(value), MISSING)
    return _at_most(value * (1 + spec.taker_fee), account.balance - case.view.reserved())


# --- is it protected ------------------------------------------------------------------------------------------------


def _no_stop(case: Case) -> Finding:
    return Finding(case.stop_px is not None, shown(case.intent.stop_px), "a stop")


def _stop_side(case: Case) -> Finding:
    stop = case.stop_px
    prices = [px for px in (case.own_px, case.intent.ref_px, case.mid_px) if is_sane(px) and px is not None]
    if stop is None or case.own_px is None or case.mid_px is None:
        return Finding(False, shown(stop), MISSING)
    if case.intent.side == "BUY":
        return Finding(stop < min(prices), shown(stop), f"below {shown(min(prices))}")
    return Finding(stop > max(prices), shown(stop), f"above {shown(max(prices))}")


def _stop_distance(case: Case) -> Finding:
    stop, entry = case.stop_px, case.entry_px
    if stop is None or entry is None:
        return Finding(False, MISSING, MISSING)
    distance = abs(entry - stop)
    low, high = entry * case.limits.stop_distance_min, entry * case.limits.stop_distance_max
    return Finding(low <= distance <= high, shown(distance), f"{shown(low)}..{shown(high)}")


def _risk_per_trade(case: Case) -> Finding:
    stop, entry, qty, spec = case.stop_px, case.entry_px, case.qty, case.spec
    limit = case.equity_share(case.limits.loss_fraction_max)
    if stop is None or entry is None or qty is None or spec is None:
        return Finding(False, MISSING, shown(limit))
    return _at_most(qty * (abs(entry - stop) + spec.taker_fee * (entry + stop)), limit)


# --- is it one too many ---------------------------------------------------------------------------------------------


def _duplicate_order(case: Case) -> Finding:
    last, gap_min = case.view.recent_orders.get(order_key(case.intent)), case.limits.duplicate_window_ms
    limit = f"at least {gap_min} ms apart"
    if last is None:
        return Finding(True, "first", limit)
    gap = case.now - last
    return Finding(gap >= gap_min * MILLISECOND, f"{shown(Decimal(gap) / MILLISECOND)} ms", limit)


def _rate(case: Case) -> Finding:
    times, limits = case.view.entry_times, case.limits
    second = 1 + sum(case.now - each < SECOND for each in times)
    minute = 1 + sum(case.now - each < MINUTE for each in times)
    passed = second <= limits.orders_per_second_max and minute <= limits.orders_per_minute_max
    limit = f"{limits.orders_per_second_max}/s {limits.orders_per_minute_max}/min"
    return Finding(passed, f"{second}/s {minute}/min", limit)


def _open_order(case: Case) -> Finding:
    return _at_most(len(case.view.entry_prices(case.intent.instrument)), 0)


# --- is the house in order ------------------------------------------------------------------------------------------


def _quarantined(case: Case) -> Finding:
    orders = case.view.quarantined.get(case.intent.instrument, [])
    return Finding(not orders, " ".join(orders) or "none", "none")


def _not_reconciled(case: Case) -> Finding:
    clean = case.view.reconciled
    value = "never" if clean is None else "clean" if clean else f"{case.view.mismatches} mismatches"
    return Finding(clean is True, value, "clean")


def _reconciled_age(case: Case) -> Finding:
    """An executor that has stopped comparing may be dead, or deaf to its venue."""
    never = case.view.reconciled is None
    # A comparison from the future is as wrong as an old one: it would never age.
    age = None if never else Decimal(abs(case.now - case.view.reconciled_at)) / MILLISECOND
    return _at_most(age, case.limits.reconciled_age_ms_max)


def _breaker_open(case: Case) -> Finding:
    breakers = case.view.breakers
    named = " ".join(name[:64] for name in sorted(breakers))
    return Finding(not breakers, f"open: {named}" if named else "none open", "none open")


def _no_risk_state(case: Case) -> Finding:
    account = case.view.account
    return Finding(case.equity is not None, MISSING if account is None else shown(account.equity), "equity > 0")


def _trading_state(case: Case) -> Finding:
    return Finding(case.view.trading_state == "ACTIVE", case.view.trading_state, "ACTIVE")


def _drawdown(case: Case) -> Finding:
    account, limit = case.view.account, case.limits.drawdown_entry_max
    drawdown = None if account is None or not account.drawdown.is_finite() else account.drawdown
    return Finding(drawdown is not None and drawdown < limit, shown(drawdown), f"less than {shown(limit)}")


def _macro_unknown(case: Case) -> Finding:
    said = case.view.regimes.get(case.intent.instrument)
    if said is None:
        return Finding(False, MISSING, "known")
    # As with the comparison: what is said of the future would never age.
    is_old = abs(case.now - said.end_ts) > REGIME_AGE_MAX
    value = f"{said.state}, {abs(case.now - said.end_ts) // DAY} days old" if is_old else said.state
    return Finding(said.state != "UNKNOWN" and not is_old, value, "known")


def _macro_counter_trend(case: Case) -> Finding:
    """Long in a bear market or short in a bull market; that nothing is known is the other check's to say."""
    said, against = case.view.regimes.get(case.intent.instrument), "BEAR" if case.intent.side == "BUY" else "BULL"
    state = MISSING if said is None else said.state
    return Finding(state != against, state, f"not {against}")


CHECKS: tuple[tuple[str, bool, Callable[[Case], Finding]], ...] = (
    # code, holds for exits too, test
    ("INVALID_NUMBER", True, _invalid_number),
    ("INSTRUMENT_NOT_ALLOWED", True, _instrument),
    ("NO_SPEC", True, _no_spec),
    ("LOT_STEP", True, _lot_step),
    ("TICK", True, _tick),
    ("MIN_NOTIONAL", False, _min_notional),
    ("DUPLICATE_ID", True, _duplicate_id),
    ("REDUCE_ONLY", True, _reduce_only),
    ("STALE_INTENT", True, _stale_intent),
    ("NO_REFERENCE_PRICE", False, _no_reference_price),
    ("STALE_PRICE", False, _stale_price),
    ("PRICE_IN_DOUBT", False, _price_in_doubt),
    ("FEED_DOWN", False, _feed_down),
    ("FOREIGN_PRICES", False, _foreign_prices),
    ("PRICE_COLLAR", False, _price_collar),
    ("MAX_ORDER_VALUE", False, _order_value),
    ("MAX_POSITION", False, _position),
    ("MAX_GROSS_EXPOSURE", False, _gross_exposure),
    ("MAX_POSITIONS", False, _positions),
    ("INSUFFICIENT_BALANCE", False, _balance),
    ("NO_STOP", False, _no_stop),
    ("STOP_SIDE", False, _stop_side),
    ("STOP_DISTANCE", False, _stop_distance),
    ("RISK_PER_TRADE", False, _risk_per_trade),
    ("DUPLICATE_ORDER", False, _duplicate_order),
    ("RATE_LIMIT", False, _rate),
    ("OPEN_ORDER", False, _open_order),
    ("QUARANTINED", False, _quarantined),
    ("NOT_RECONCILED", False, _not_reconciled),
    ("RECONCILED_AGE", False, _reconciled_age),
    ("BREAKER_OPEN", False, _breaker_open),
    ("NO_RISK_STATE", False, _no_risk_state),
    ("TRADING_STATE", False, _trading_state),
    ("DRAWDOWN", False, _drawdown),
)

MACRO_CHECKS: tuple[tuple[str, bool, Callable[[Case], Finding]], ...] = (
    ("MACRO_UNKNOWN", False, _macro_unknown),
    ("MACRO_COUNTER_TREND", False, _macro_counter_trend),
)
"""Part of every verdict of a gate that is told to listen to the macro agent (`macro`), and of no other."""
