"""What the bars have to say: is the stop at a sensible distance for this market, is the order small beside what is traded.

Part of every verdict of a gate that is told to judge by bars (`bars`), and of no other. There is no order book in the log, so what a market
order will slip by is estimated, not walked: half the spread, and the square-root law of market impact with the bar's own ATR as
its unit of volatility (an order as large as the average bar moves the price by one ATR).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from libs.common.money import to_decimal
from services.risk_gate.case import MISSING, Case, shown
from services.risk_gate.findings import Finding, at_most
from services.risk_gate.spreads import BPS, spread_bps

PLACES = Decimal("0.000001")


def stop_too_tight(case: Case) -> Finding:
    """The stop is not within the noise: at least half an ATR away."""
    distance, atr = _distance(case), _atr(case)
    if distance is None or atr is None:
        return Finding(False, shown(distance), MISSING)
    least = atr * case.limits.stop_atr_min
    return Finding(distance >= least, shown(distance), f"at least {shown(least)}")


def stop_too_wide(case: Case) -> Finding:
    """The stop is not out of reach: at most five ATR away."""
    atr = _atr(case)
    return at_most(_distance(case), None if atr is None else atr * case.limits.stop_atr_max)


def order_volume(case: Case) -> Finding:
    """The order is a small part of what is traded in a day."""
    volume = case.view.activities.day_volume(case.intent.instrument, case.now)
    return at_most(case.qty, None if volume is None else volume * case.limits.day_volume_share_max)


def slippage(case: Case) -> Finding:
    """A market order is not expected to pay much more than the mark: half the spread, and one ATR times the root of its share of a bar."""
    limit = case.limits.slippage_max
    if case.intent.limit_px is not None:
        return Finding(True, "a limit", shown(limit))
    return at_most(_expected(case), limit)


def _expected(case: Case) -> Decimal | None:
    """A fraction of the mark, rounded up."""
    mark, mid, atr = case.view.marks.get(case.intent.instrument), case.mid_px, _atr(case)
    traded = case.view.activities.bar_volume(case.intent.instrument, case.now)
    if mark is None or mid is None or atr is None or traded is None or case.qty is None:
        return None
    half_spread = to_decimal(spread_bps(mark)) / 2 / to_decimal(BPS)
    return (half_spread + atr / mid * (case.qty / traded).sqrt()).quantize(PLACES, ROUND_CEILING)


def _atr(case: Case) -> Decimal | None:
    return case.view.activities.atr(case.intent.instrument)


def _distance(case: Case) -> Decimal | None:
    stop, entry = case.stop_px, case.entry_px
    return None if stop is None or entry is None else abs(entry - stop)
