"""Is the market known, and quiet enough to trade in."""

from __future__ import annotations

from decimal import Decimal

from libs.common.money import to_decimal
from libs.common.timeframe import MILLISECOND
from services.risk_gate.case import MISSING, Case, is_sane, shown
from services.risk_gate.findings import Finding, at_most
from services.risk_gate.spreads import spread_bps


def no_reference_price(case: Case) -> Finding:
    """There is a mark to hold prices against."""
    return Finding(case.mid_px is not None, shown(case.mid_px), "known")


def stale_price(case: Case) -> Finding:
    """The mark is young."""
    mark = case.view.marks.get(case.intent.instrument)
    # A mark from the future is as wrong as an old one: it would never age.
    age = None if mark is None else Decimal(abs(case.now - mark.ts)) / MILLISECOND
    return at_most(age, case.limits.price_age_ms_max)


def price_in_doubt(case: Case) -> Finding:
    """Nobody doubts the price."""
    mark = case.view.marks.get(case.intent.instrument)
    return Finding(mark is not None and mark.entries_allowed, MISSING if mark is None else mark.trust, "TRUSTED")


def feed_down(case: Case) -> Finding:
    """The feed says that it is live."""
    return Finding(case.view.feed_state == "LIVE", case.view.feed_state or MISSING, "LIVE")


def foreign_prices(case: Case) -> Finding:
    """Another venue's prices are good enough to watch a position by, not to open one where the order would go."""
    speaks, home = case.view.feed_venue, case.limits.venue
    return Finding(home in ("", speaks), speaks or MISSING, home or "any")


def spread(case: Case) -> Finding:
    """The quote is not wider than usual: at most a few basis points, or a multiple of its own median of late."""
    mark = case.view.marks.get(case.intent.instrument)
    known = case.view.spreads.get(case.intent.instrument)
    bps = None if mark is None or case.mid_px is None else spread_bps(mark)
    usual = Decimal(0) if known is None else to_decimal(known.median) * case.limits.spread_multiple_max
    return at_most(None if bps is None else to_decimal(bps), max(case.limits.spread_bps_max, usual))


def price_collar(case: Case) -> Finding:
    """No price is farther from the mark than the collar."""
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
