"""Our own eyes on the price: what the guards at the venue should have done, what they cannot do, and how long a gap may stand.

* A **software stop** backs the native one up: when the protective price has been at or below the stop for `soft_stop_ms` and the
  position still stands (a stop limit jumped over, a stop the venue does not honour), we sell at market. Without a resting
  guard there is nothing to wait for.
* A **software target** takes the profit where the venue has no pairs, or refused one.
* **Trailing** raises the stop behind the highest trusted bid, in steps, because every step replaces a guard.
* The **cover deadline** ends what nothing else ended: a position without cover for `cover_ms_max` is sold.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import FeedMarks, Mark
from libs.common.money import ZERO, to_decimal
from services.order_executor.approvals import BPS
from services.order_executor.guards import guards_of, is_worth_selling, sellable_qty, uncovered
from services.order_executor.state import MS, Holding
from services.order_executor.turn import Turn

SOFT_TIMER, COVER_TIMER = "soft", "cover"


def marks_moved(turn: Turn, event: FeedMarks) -> None:
    """Look at every position whose price has moved."""
    for mark in event.marks:
        holding = turn.state.holdings.get(mark.instrument)
        if holding is not None and holding.owner and holding.qty > ZERO:
            look(turn, mark.instrument, holding)


def timer(turn: Turn, instrument: str) -> None:
    """The price has had its time below the stop: look again, though it has not moved."""
    holding = turn.state.holdings.get(instrument)
    if holding is not None and holding.owner and holding.qty > ZERO:
        look(turn, instrument, holding)


def look(turn: Turn, instrument: str, holding: Holding) -> None:
    """Compare one position with its latest mark."""
    mark = turn.state.marks.get(instrument)
    if mark is None or holding.flatten:
        return
    _trail(turn, instrument, holding, mark)
    if holding.stop_px is not None and to_decimal(mark.protective_px) <= holding.stop_px:
        _breached(turn, instrument, holding, mark)
        return
    if holding.breached_since:
        holding.breached_since = 0
        turn.cancel_timer(f"{SOFT_TIMER}:{instrument}")
    if mark.trust != "TRUSTED" or holding.target_px is None or to_decimal(mark.bid_px) < holding.target_px:
        return
    if _target_is_ours(turn, instrument):
        text = f"{instrument}: {mark.bid_px} is at the target {holding.target_px}, which no order at the venue holds: selling"
        _flatten(turn, instrument, holding, "TARGET_REACHED", "note", text)


def watch_cover(turn: Turn, instrument: str) -> None:
    """Start or end the deadline of a part without cover; once all that was held when it began is covered, a younger part's begins."""
    holding = turn.state.holding(instrument)
    naked = _is_naked(turn, instrument, holding)
    held = sellable_qty(turn.state, instrument)
    caught_up = held - uncovered(turn.state).get(instrument, ZERO) >= holding.naked_at_qty
    if naked and (caught_up or not holding.naked_since):
        holding.naked_since, holding.naked_at_qty = turn.now, held
        turn.set_timer(f"{COVER_TIMER}:{instrument}", turn.now + turn.policy.cover_ms_max * MS)
    elif not naked:
        doubtful = any(order.side == "SELL" and order.is_unsettled for order in turn.state.live_orders(instrument))
        holding.forced = holding.forced and (holding.flatten or doubtful)
        if holding.naked_since:
            holding.naked_since, holding.naked_at_qty = 0, ZERO
            turn.cancel_timer(f"{COVER_TIMER}:{instrument}")


def cover_overdue(turn: Turn, instrument: str) -> None:
    """The deadline has passed: page, and sell, without waiting for stops of unknown fate."""
    holding = turn.state.holding(instrument)
    if not holding.naked_since:
        return
    gap = uncovered(turn.state).get(instrument, ZERO)
    seconds = (turn.now - holding.naked_since) // (1_000 * MS)
    text = f"{instrument}: {gap} has had no stop for {seconds} s: selling"
    holding.forced = True
    _flatten(turn, instrument, holding, "UNCOVERED", "page", text)
    turn.set_timer(f"{COVER_TIMER}:{instrument}", turn.now + turn.policy.cover_ms_max * MS)


def _is_naked(turn: Turn, instrument: str, holding: Holding) -> bool:
    """Whether a part without cover is large enough to be guarded, in a market that is open."""
    gap = uncovered(turn.state).get(instrument, ZERO)
    spec = turn.state.specs.get(instrument)
    if not gap or spec is None or not holding.owner or holding.market_closed:
        return False
    return gap >= spec.qty_min and gap * (holding.stop_px or ZERO) >= spec.notional_min


def _breached(turn: Turn, instrument: str, holding: Holding, mark: Mark) -> None:
    """The price is where the stop should have sold."""
    if not holding.breached_since:
        holding.breached_since = turn.now
        turn.set_timer(f"{SOFT_TIMER}:{instrument}", turn.now + turn.policy.soft_stop_ms * MS)
    live = turn.state.live_orders(instrument)
    guarded = any(guard.stop is not None for guard in guards_of(live))
    selling = any(order.role == "EXIT" for order in live)
    waited = turn.now - holding.breached_since >= turn.policy.soft_stop_ms * MS
    if is_worth_selling(turn, instrument) and not selling and (waited or not guarded):
        why = "its stop has not sold" if guarded else "no stop rests at the venue"
        text = f"{instrument}: {mark.protective_px} is at or below the stop {holding.stop_px}, and {why}: selling"
        _flatten(turn, instrument, holding, "SOFTWARE_STOP", "page", text)


def _flatten(turn: Turn, instrument: str, holding: Holding, code: str, severity: str, text: str) -> None:
    holding.flatten = True
    turn.touched[instrument] = None
    turn.alert(code, severity, text, turn.state.orders.get(holding.owner), instrument)


def _target_is_ours(turn: Turn, instrument: str) -> bool:
    """Whether a part has no target at the venue, so that we have to take the profit ourselves."""
    guards = guards_of(turn.state.live_orders(instrument))
    return not guards or any(guard.target is None for guard in guards)


def _trail(turn: Turn, instrument: str, holding: Holding, mark: Mark) -> None:
    if not turn.policy.trail_bps or mark.trust != "TRUSTED" or holding.stop_px is None:
        return
    holding.high_px = max(holding.high_px, to_decimal(mark.bid_px))
    trailed = holding.high_px * (1 - Decimal(turn.policy.trail_bps) / BPS)
    if trailed >= holding.stop_px * (1 + Decimal(turn.policy.trail_step_bps) / BPS):
        holding.stop_px = trailed
        turn.touched[instrument] = None
