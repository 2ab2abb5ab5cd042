"""Every pre-trade check, as one pure function of the intent, the view, the limits and the time.

All checks are always evaluated and reported with their numbers; one that lacks an input fails. Exits (`reduce_only`) are held to
the sanity checks only: the others are still reported, with the limit "exempt". A breaker must never lock a position in.

    order_checks      is it an order, and not one too many         market_checks     is the market known
    size_checks       is it small enough, and protected            exposure_checks   beside everything else that is at risk
    house_checks      is the house in order                        record_checks     how the book has done of late
    macro_checks      what the weekly regime has to say            level_checks      what support and resistance have to say
    bar_checks        what moves and trades, bar by bar            signal_checks     what the opinion behind it is worth
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import localcontext

from libs.common.messages import Check, OrderIntent
from services.risk_gate import (
    bar_checks,
    exposure_checks,
    house_checks,
    level_checks,
    macro_checks,
    market_checks,
    order_checks,
    record_checks,
    signal_checks,
    size_checks,
)
from services.risk_gate.case import Case
from services.risk_gate.findings import EXEMPT, Finding
from services.risk_gate.limits import Limits
from services.risk_gate.view import ARITHMETIC, View

Registered = tuple[str, bool, Callable[[Case], Finding]]
"""A code, whether it holds for exits too, and the test."""


def evaluate(intent: OrderIntent, view: View, limits: Limits, now: int) -> tuple[Check, ...]:
    """Hold `intent` against everything; approved only if every check passed. Changes nothing."""
    case = Case(intent, view, limits, now)
    with localcontext(ARITHMETIC):
        return tuple(
            _check(code, test(case), intent.reduce_only and not for_exits)
            for code, for_exits, test in checks_under(limits)
        )


def checks_under(limits: Limits) -> tuple[Registered, ...]:
    """What a gate with these limits holds every intent against."""
    told = ((limits.macro, MACRO_CHECKS), (limits.levels, LEVEL_CHECKS), (limits.bars, BAR_CHECKS))
    groups = [checks for listens, checks in (*told, (limits.signals, SIGNAL_CHECKS)) if listens]
    return sum(groups, CHECKS)


def _check(code: str, finding: Finding, exempt: bool) -> Check:
    if exempt:
        return Check(code=code, passed=True, value=finding.value, limit=EXEMPT)
    return Check(code=code, passed=finding.passed, value=finding.value, limit=finding.limit)


CHECKS: tuple[Registered, ...] = (
    # code, holds for exits too, test
    ("INVALID_NUMBER", True, order_checks.invalid_number),
    ("INSTRUMENT_NOT_ALLOWED", True, order_checks.instrument),
    ("NO_SPEC", True, order_checks.no_spec),
    ("LOT_STEP", True, order_checks.lot_step),
    ("TICK", True, order_checks.tick),
    ("MIN_NOTIONAL", False, order_checks.min_notional),
    ("DUPLICATE_ID", True, order_checks.duplicate_id),
    ("REDUCE_ONLY", True, order_checks.reduce_only),
    ("STALE_INTENT", True, order_checks.stale_intent),
    ("NO_REFERENCE_PRICE", False, market_checks.no_reference_price),
    ("STALE_PRICE", False, market_checks.stale_price),
    ("PRICE_IN_DOUBT", False, market_checks.price_in_doubt),
    ("FEED_DOWN", False, market_checks.feed_down),
    ("FOREIGN_PRICES", False, market_checks.foreign_prices),
    ("SPREAD", False, market_checks.spread),
    ("PRICE_COLLAR", False, market_checks.price_collar),
    ("MAX_ORDER_VALUE", False, size_checks.order_value),
    ("MAX_POSITION", False, size_checks.position),
    ("MAX_GROSS_EXPOSURE", False, size_checks.gross_exposure),
    ("MAX_POSITIONS", False, size_checks.positions),
    ("INSUFFICIENT_BALANCE", False, size_checks.balance),
    ("NO_STOP", False, size_checks.no_stop),
    ("STOP_SIDE", False, size_checks.stop_side),
    ("STOP_DISTANCE", False, size_checks.stop_distance),
    ("RISK_PER_TRADE", False, size_checks.risk_per_trade),
    ("TOTAL_RISK", False, exposure_checks.total_risk),
    ("CLUSTER_EXPOSURE", False, exposure_checks.cluster),
    ("CORRELATED_EXPOSURE", False, exposure_checks.correlated_exposure),
    ("SELF_TRADE", False, exposure_checks.self_trade),
    ("DUPLICATE_ORDER", False, order_checks.duplicate_order),
    ("RATE_LIMIT", False, order_checks.rate),
    ("OPEN_ORDER", False, order_checks.open_order),
    ("QUARANTINED", False, house_checks.quarantined),
    ("NOT_RECONCILED", False, house_checks.not_reconciled),
    ("RECONCILED_AGE", False, house_checks.reconciled_age),
    ("BREAKER_OPEN", False, house_checks.breaker_open),
    ("NO_RISK_STATE", False, house_checks.no_risk_state),
    ("TRADING_STATE", False, house_checks.trading_state),
    ("BLACKOUT", False, house_checks.blackout),
    ("DRAWDOWN", False, record_checks.drawdown),
    ("DAILY_LOSS", False, record_checks.daily_loss),
    ("COOLDOWN", False, record_checks.cooldown),
    ("LOSSES_IN_A_ROW", False, record_checks.losses_in_a_row),
)

MACRO_CHECKS: tuple[Registered, ...] = (
    ("MACRO_UNKNOWN", False, macro_checks.macro_unknown),
    ("MACRO_COUNTER_TREND", False, macro_checks.macro_counter_trend),
)
"""Part of every verdict of a gate that is told to listen to the macro agent (`macro`), and of no other."""

LEVEL_CHECKS: tuple[Registered, ...] = (
    ("INSIDE_ZONE", False, level_checks.inside_zone),
    ("NEAR_LEVEL", False, level_checks.near_level),
)
"""The same for a gate that is told to listen to the levels agent (`levels`)."""

BAR_CHECKS: tuple[Registered, ...] = (
    ("STOP_TOO_TIGHT", False, bar_checks.stop_too_tight),
    ("STOP_TOO_WIDE", False, bar_checks.stop_too_wide),
    ("MAX_ORDER_VOLUME", False, bar_checks.order_volume),
    ("SLIPPAGE", False, bar_checks.slippage),
)
"""For a gate that is told to judge by the bars it hears (`bars`)."""

SIGNAL_CHECKS: tuple[Registered, ...] = (("STALE_SIGNAL", False, signal_checks.stale_signal),)
"""For a gate that is told to look at the opinion behind an entry (`signals`)."""

ALL_CHECKS = CHECKS + MACRO_CHECKS + LEVEL_CHECKS + BAR_CHECKS + SIGNAL_CHECKS
"""Every check there is."""
