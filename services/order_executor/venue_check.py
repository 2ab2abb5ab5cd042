"""What the venue thinks of us, asked at every start and every hour: our key's rights, our clock, our fees, what is traded.

A key that may withdraw is a stolen account waiting to happen: it stops entries until a check shows it mended, in paper mode
as well, so that nobody finds out on the day he goes live. Where the venue does not say, live trading takes it for the worst.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import VenueChecked
from services.order_executor import breakers
from services.order_executor.approvals import BPS
from services.order_executor.requests import CheckVenue
from services.order_executor.state import MS
from services.order_executor.turn import Turn, delay_of

REQUEST_ID = "check"
TIMER = "check"
FAILURES_TOLD = 3
CLOSED_INTERVAL_NS = 60_000 * MS
"""How often is asked while the venue does not trade one of our instruments: a market that opens again should not wait for an hour."""


def ask(turn: Turn) -> None:
    """Have the venue checked now, unless that is under way."""
    if not turn.policy.check_venue or REQUEST_ID in turn.state.asked:
        return
    turn.set_timer(TIMER, turn.now + turn.policy.check_interval_ms * MS)
    turn.perform(REQUEST_ID, CheckVenue(valid_until=turn.ask_until(), instruments=turn.policy.instruments))


def unanswered(turn: Turn) -> None:
    """The check was interrupted or outdated: ask again."""
    turn.state.asked.pop(REQUEST_ID, None)
    ask(turn)


def answered(turn: Turn, found: VenueChecked) -> None:
    """Take a check in."""
    state = turn.state
    if found.request_id != REQUEST_ID:
        turn.reject("UNKNOWN_REQUEST", f"a check nobody asked for: {found.request_id[:80]}")
        return
    state.asked.pop(REQUEST_ID, None)
    if not found.ok:
        state.check_failures += 1
        if state.check_failures == FAILURES_TOLD:
            turn.alert("VENUE_NOT_CHECKED", "ticket", f"the venue does not say what our key may do: {found.detail}")
        turn.set_timer(TIMER, turn.now + delay_of(turn.policy.retry_delays_ms, state.check_failures))
        return
    state.check_failures = 0
    state.checked = True
    _judge_key(turn, found)
    _judge_clock(turn, found)
    _judge_fees(turn, found)
    if found.tradable is not None:
        _judge_markets(turn, found.tradable)
    if found.tradable is not None and not set(turn.policy.instruments) <= set(found.tradable):
        turn.set_timer(TIMER, turn.now + CLOSED_INTERVAL_NS)


def _judge_key(turn: Turn, found: VenueChecked) -> None:
    live = turn.state.mode == "live"
    flaws = []
    if found.can_trade is False:
        flaws.append("the key may not trade")
    if found.can_withdraw or (live and found.can_withdraw is None):
        flaws.append(
            "the key may withdraw" if found.can_withdraw else "the venue does not say that the key may not withdraw"
        )
    if live and not found.ip_restricted:
        flaws.append("the key is not bound to an address")
    if not flaws:
        breakers.close(turn, breakers.VENUE_CHECK, "the venue's check has no findings")
        return
    reason = "; ".join(flaws)
    if reason != turn.state.flaws_told:
        turn.alert("KEY_UNSAFE", "page", f"no entries: {reason}")
    turn.state.flaws_told = reason
    breakers.latch(turn, breakers.VENUE_CHECK, reason)


def _judge_clock(turn: Turn, found: VenueChecked) -> None:
    if found.clock_drift_ms is not None and abs(found.clock_drift_ms) > turn.policy.clock_drift_ms_max:
        text = (
            f"our clock is {-found.clock_drift_ms} ms ahead of the venue's: requests are stamped with the venue's time"
        )
        turn.alert("CLOCK_DRIFT", "ticket", text)


def _judge_fees(turn: Turn, found: VenueChecked) -> None:
    """Fees above those the venue's rules name make every sizing too large."""
    known = max((spec.taker_fee for spec in turn.state.specs.values()), default=None)
    if found.taker_bps is None or known is None or found.taker_bps <= known * BPS:
        return
    text = f"taker fee is {found.taker_bps} bps, the rules we size by say {Decimal(known * BPS).normalize():f}"
    turn.alert("FEES_HIGHER", "ticket", text)


def _judge_markets(turn: Turn, tradable: tuple[str, ...]) -> None:
    turn.state.tradable = tradable
    for instrument, holding in turn.state.holdings.items():
        if instrument in tradable:
            holding.market_closed = False
        elif holding.qty and not holding.market_closed:
            holding.market_closed = True
            text = f"{holding.qty} {instrument} is held and no longer traded at the venue"
            turn.alert("MARKET_CLOSED", "page", text, instrument=instrument)
