"""The executor's breakers: they hold back entries, and nothing else. Exits, cancels, questions and reconciliation never ask them.

    submit, cancel, query, account   one for each class of venue call: error rate, latency, failures in a row
    rejects                          entries the venue refused on their merits, in a row
    losses                           positions that lost money, in a row
    crash_loop                       unplanned starts within a while: only an operator's RESUME closes it
    venue_check                      what the venue says of our key: closed by a check without findings

Their memory is machine state, so it survives a restart. After its pause a breaker is HALF_OPEN: the next entry is the probe of
`submit` and `rejects`; questions and cancels go on anyway and probe by themselves.
"""

from __future__ import annotations

from libs.common.messages import BreakerChanged
from libs.runtime.breaker import Breaker, BreakerChange, BreakerLimits
from services.order_executor.orders import Order
from services.order_executor.refusals import Kind
from services.order_executor.state import MS
from services.order_executor.turn import Turn

SUBMIT, CANCEL, QUERY, ACCOUNT = "submit", "cancel", "query", "account"
REJECTS, LOSSES, CRASH_LOOP, VENUE_CHECK = "rejects", "losses", "crash_loop", "venue_check"
PROBED_BY_ENTRIES = (SUBMIT, REJECTS)
TIMER = "breaker"


def note(turn: Turn, name: str, request_id: str, *, ok: bool) -> None:
    """A request of this class was answered, or was not."""
    asked_at = turn.state.asked.pop(request_id, turn.now)
    breaker = _breaker(turn, name)
    _tell(turn, name, breaker.note(_limits(turn, name), turn.now, ok=ok, latency_ns=turn.now - asked_at))


def note_acceptance(turn: Turn) -> None:
    """The venue took an entry."""
    _tell(turn, REJECTS, _breaker(turn, REJECTS).note(_limits(turn, REJECTS), turn.now, ok=True, latency_ns=0))


def note_refusal(turn: Turn, entry: Order, kind: Kind) -> None:
    """The venue refused an entry; what says nothing about the order counts in its class of call alone."""
    if kind in ("TRANSIENT", "CLOCK", "DUPLICATE"):
        _breaker(turn, REJECTS).give_back()
        return
    _tell(turn, REJECTS, _breaker(turn, REJECTS).note(_limits(turn, REJECTS), turn.now, ok=False, latency_ns=0))


def never_left(turn: Turn) -> None:
    """An entry was too old when its turn came: if it was the probe, it proves nothing."""
    for name in PROBED_BY_ENTRIES:
        _breaker(turn, name).give_back()


def trip_for_losses(turn: Turn, reason: str) -> None:
    """Too many positions in a row lost money."""
    _tell(turn, LOSSES, _breaker(turn, LOSSES).trip(_limits(turn, LOSSES), turn.now, reason))
    turn.alert("LOSSES_IN_A_ROW", "page", f"no entries for a while: {reason}")


def latch(turn: Turn, name: str, reason: str) -> None:
    """Open for good, until somebody says otherwise; told once."""
    breaker = _breaker(turn, name)
    if breaker.state != "OPEN":
        _tell(turn, name, breaker.trip(_limits(turn, name), turn.now, reason, latched=True))


def close(turn: Turn, name: str, reason: str) -> None:
    """Close it, if it is not."""
    if name in turn.state.breakers:
        _tell(turn, name, turn.state.breakers[name].reset(turn.now, reason))


def close_all(turn: Turn, reason: str) -> None:
    """An operator says RESUME. What the venue thinks of our key is not for an operator to say."""
    turn.state.starts.clear()
    turn.state.losses = 0
    for name in list(turn.state.breakers):
        if name != VENUE_CHECK:
            close(turn, name, reason)


def count_start(turn: Turn) -> None:
    """The process has begun (again); a planned stop before it is no crash."""
    policy, starts = turn.policy, turn.state.starts
    if turn.state.stopping:
        return
    starts.append(turn.now)
    starts[:] = [each for each in starts if turn.now - each <= policy.crash_window_ms * MS]
    if len(starts) > policy.crash_starts_max:
        minutes = policy.crash_window_ms // 60_000
        reason = f"{len(starts)} unplanned starts within {minutes} min"
        if _breaker(turn, CRASH_LOOP).state != "OPEN":
            turn.alert("CRASH_LOOP", "page", f"the executor keeps crashing: {reason}; no entries until RESUME")
        latch(turn, CRASH_LOOP, reason)


def due(turn: Turn, name: str) -> None:
    """The timer of one breaker went off."""
    breaker = turn.state.breakers.get(name)
    if breaker is None:
        return
    change = breaker.due(_limits(turn, name), turn.now)
    if name == LOSSES and breaker.state == "HALF_OPEN":  # a pause, not a fault: when it is over, it is over
        change = breaker.reset(turn.now, "the pause is over")
    _tell(turn, name, change)


def blocking(turn: Turn) -> str:
    """What keeps an entry back now, in words; "" if nothing does. Where only a probe may leave, this is it."""
    for name in list(turn.state.breakers):
        due(turn, name)
    states = turn.state.breakers.items()
    shut = [name for name, each in states if each.state == "OPEN"]
    shut += [name for name, each in states if each.state == "HALF_OPEN" and name not in PROBED_BY_ENTRIES]
    if not shut:
        allowed = {name: _breaker(turn, name).allows(_limits(turn, name), turn.now) for name in PROBED_BY_ENTRIES}
        shut = [name for name, may_leave in allowed.items() if not may_leave]
        for name in PROBED_BY_ENTRIES:
            if shut and allowed[name]:
                _breaker(turn, name).give_back()
    return f"open: {', '.join(shut)}" if shut else ""


def _breaker(turn: Turn, name: str) -> Breaker:
    return turn.state.breakers.setdefault(name, Breaker())


def _limits(turn: Turn, name: str) -> BreakerLimits:
    policy = turn.policy
    if name == REJECTS:
        return policy.reject_limits
    if name == LOSSES:
        pause = policy.losses_pause_ms * MS
        return BreakerLimits(open_ns_first=pause, open_ns_max=pause)
    return policy.call_limits


def _tell(turn: Turn, name: str, change: BreakerChange | None) -> None:
    if change is None:
        return
    turn.publish(BreakerChanged(name=name, state=change.new, reason=change.reason[:300], retry_at=change.retry_at))
    if change.new == "OPEN" and change.old != "OPEN":
        turn.alert("BREAKER_OPEN", "ticket", f"breaker {name}: {change.reason}: entries wait")
    at = turn.state.breakers[name].due_at(_limits(turn, name))
    if at is None:
        turn.cancel_timer(f"{TIMER}:{name}")
    else:
        turn.set_timer(f"{TIMER}:{name}", at + 1)
