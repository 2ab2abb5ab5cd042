"""Reading the account: at genesis, at every start, every minute, after a gap in the user stream, and for a verdict.

One reading at a time. What it proves is booked at once. Whether books and venue agree is said only of a reading during which
nothing moved, and a disagreement only when two readings in a row show the same one ("read twice until equal"): the parts of
a reading are not taken at one instant. A reading that failed says nothing and is repeated.
"""

from __future__ import annotations

from libs.common.messages import AccountRead, Reconciled
from services.order_executor import breakers, capital, foreign, inquiries
from services.order_executor.hearing import hear, move
from services.order_executor.orders import Order, exec_key
from services.order_executor.reconcile import (
    Difference,
    differ,
    digest_of,
    is_quiet,
    mismatches_of,
    opening_of,
    watermarks_of,
)
from services.order_executor.refusals import kind_of
from services.order_executor.requests import ReadAccount
from services.order_executor.state import MS
from services.order_executor.transitions import Fact
from services.order_executor.turn import Turn, delay_of

REQUEST_ID = "account"
TIMER = "reconcile"


def ask(turn: Turn) -> int:
    """Read the account, now or right after the reading that is under way; the number of that reading."""
    reading = turn.state.reading
    if reading.asked:
        reading.again = True
        return reading.number + 1
    reading.number += 1
    reading.asked = True
    reading.again = False
    reading.activity = turn.state.activity
    turn.set_timer(TIMER, turn.now + turn.policy.reconcile_interval_ms * MS)
    request = ReadAccount(
        valid_until=turn.ask_until(),
        instruments=tuple(dict.fromkeys([*turn.policy.instruments, *turn.state.holdings])),
        fills_after=dict(turn.state.watermarks),
    )
    turn.perform(REQUEST_ID, request)
    return reading.number


def ask_if_open(turn: Turn) -> None:
    """Read the account, if the book has begun."""
    if turn.state.genesis:
        ask(turn)


def unanswered(turn: Turn) -> None:
    """The reading was interrupted or outdated: ask again."""
    turn.state.asked.pop(REQUEST_ID, None)
    turn.state.reading.asked = False
    ask(turn)


def answered(turn: Turn, read: AccountRead) -> None:
    """Take a reading in."""
    reading = turn.state.reading
    if read.request_id != REQUEST_ID:
        turn.reject("UNKNOWN_REQUEST", f"a reading nobody asked for: {read.request_id[:80]}")
        return
    reading.asked = False
    breakers.note(turn, breakers.ACCOUNT, REQUEST_ID, ok=read.ok)
    if not read.ok:
        reading.failures += 1
        _tell_refused_key(turn, read.detail)
        turn.set_timer(TIMER, turn.now + delay_of(turn.policy.retry_delays_ms, reading.failures))
        return
    reading.failures = 0
    reading.key_told = False
    if not turn.state.opened and not _open(turn, read):
        return
    _apply(turn, differ(read, turn.state))
    turn.state.watermarks = watermarks_of(read, turn.state.watermarks)
    _conclude(turn, read)
    if reading.again and not reading.asked:
        ask(turn)


def _tell_refused_key(turn: Turn, detail: str) -> None:
    """A key that is refused is told at once: until a person acts, nothing can be read, guarded or sold."""
    code, _, text = detail.partition(": ")
    if kind_of(code, text) == "KEY" and not turn.state.reading.key_told:
        turn.state.reading.key_told = True
        turn.alert("KEY_REFUSED", "page", f"the venue refuses our key: {detail}")


def _open(turn: Turn, read: AccountRead) -> bool:
    """The second of two equal readings opens the book: its balances are the opening, and executions before it are history."""
    for fill in read.fills:
        if turn.state.find(fill.cl_ord_id, fill.venue_order_id) is None:
            turn.state.foreign[exec_key(fill)] = "before genesis"
    if turn.state.reading.seen == digest_of(read):
        turn.state.opening = opening_of(read.balances)
        turn.state.opened = True
        return True
    turn.state.reading.seen = digest_of(read)
    turn.state.watermarks = watermarks_of(read, turn.state.watermarks)
    _reread(turn)
    return False


def _apply(turn: Turn, difference: Difference) -> None:
    """Facts are booked, absences are asked about, verdicts are executed, strangers are told to a person."""
    orders = turn.state.orders
    for cl_ord_id, fill in difference.fills:
        hear(turn, orders[cl_ord_id], None, (fill,))
    for cl_ord_id, shown in difference.seen:
        hear(turn, orders[cl_ord_id], shown)
    for cl_ord_id in difference.absent:
        inquiries.begin(turn, orders[cl_ord_id], needs_word=True)
    for cl_ord_id in difference.verdicts:
        _execute_verdict(turn, orders[cl_ord_id])
    for fill in difference.foreign_fills:
        foreign.hear_fill(turn, fill, read=True)
    for shown in difference.foreign_orders:
        foreign.hear_order(turn, shown)


def _execute_verdict(turn: Turn, order: Order) -> None:
    """The venue does not know the order: looked up twice after nothing could arrive any more, and not in the account."""
    unknown = order.status == "UNKNOWN"
    if not unknown:
        text = f"order {order.cl_ord_id} was {order.status}, and the venue no longer knows it"
        turn.alert("ORDER_VANISHED", "page", text, order)
    order.venue_cum_qty = order.cum_qty
    turn.touched[order.instrument] = None
    move(turn, order, Fact.VANISHED, "never reached the venue" if unknown else "the venue no longer knows it")
    inquiries.end(turn, order)


def _conclude(turn: Turn, read: AccountRead) -> None:
    """Say whether books and venue agree, if this reading can tell."""
    state, reading = turn.state, turn.state.reading
    if not is_quiet(state):
        _reread(turn)
        return
    if state.baseline_wanted:
        capital.take_baseline(turn, read)
    mismatches = mismatches_of(read, state, turn.policy)
    if mismatches and mismatches != reading.suspects:
        reading.suspects = mismatches
        _reread(turn)
        return
    if reading.unconfirmed and not mismatches and reading.seen != digest_of(read):
        reading.seen = digest_of(read)
        _reread(turn)
        return
    if reading.unconfirmed:
        turn.touched.update(dict.fromkeys(state.holdings))
    reading.unconfirmed = False
    if mismatches and mismatches != reading.told:
        turn.alert("NOT_RECONCILED", "page", "books and venue disagree: " + "; ".join(mismatches))
    reading.suspects = reading.told = mismatches
    reading.rereads = 0
    state.reconciled = not mismatches
    turn.publish(Reconciled(clean=not mismatches, balances=read.balances, mismatches=mismatches))


def _reread(turn: Turn) -> None:
    """Bring the next reading forward."""
    turn.set_timer(TIMER, turn.now + delay_of(turn.policy.lookup_delays_ms, turn.state.reading.rereads))
    turn.state.reading.rereads += 1
