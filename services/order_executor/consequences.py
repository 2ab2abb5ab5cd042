"""What follows when an order ends: where the ladder of stops goes next, who is told, and what a whole position earned.

A refusal is judged by its kind (`refusals`): one that says nothing about the order is tried again, one about our key or the
market waits for a person, and only one on the order's own merits goes a rung down the ladder

    pair  →  stop  →  stop limit  →  sold at market

so that a position is never sold because a rate limiter was in a bad mood, and never left naked because a type of order is gone.
"""

from __future__ import annotations

from services.order_executor import account, breakers, inquiries
from services.order_executor.guards import PAIR_RUNG, STOP_LIMIT_RUNG
from services.order_executor.orders import Order
from services.order_executor.refusals import kind_of
from services.order_executor.state import Holding
from services.order_executor.transitions import Fact
from services.order_executor.turn import Ended, Turn


def draw(turn: Turn, ended: Ended) -> None:
    """Draw the consequences of one order's end."""
    order = ended.order
    turn.touched[order.instrument] = None
    if order.role == "ENTRY":
        _entry_ended(turn, ended)
    elif order.role == "STOP":
        _stop_ended(turn, ended)
    elif order.role == "TARGET":
        _ask_for_pair(turn, order)
    else:
        _exit_ended(turn, ended)


def position_ended(turn: Turn, instrument: str, holding: Holding) -> None:
    """A position is closed: count it as a win or a loss."""
    turn.state.losses = turn.state.losses + 1 if holding.cash < 0 else 0
    if turn.state.losses >= turn.policy.losses_in_a_row_max > 0:
        breakers.trip_for_losses(turn, f"{turn.state.losses} positions in a row lost money, {instrument} the last")
        turn.state.losses = 0


def _entry_ended(turn: Turn, ended: Ended) -> None:
    if ended.fact == Fact.LAPSED:
        breakers.never_left(turn)
    elif ended.fact == Fact.REFUSED:
        breakers.note_refusal(turn, ended.order, kind_of(ended.code, ended.reason))


def _ask_for_pair(turn: Turn, order: Order) -> None:
    """One order of a pair ended: the venue has ended the other, or lets it sell; which, it must say."""
    if order.cancel_wanted or order.status == "REJECTED":
        return
    for other in turn.state.pair_of(order):
        if not other.is_closed:
            inquiries.begin(turn, other, needs_word=True)


def _stop_ended(turn: Turn, ended: Ended) -> None:
    """A stop that we did not take away is gone: down the ladder if the venue refused it on its merits, else put it back."""
    stop, fact = ended.order, ended.fact
    if fact == Fact.REFUSED and stop.replaces:
        _replacement_refused(turn, stop, ended)
        return
    if fact == Fact.REFUSED and not stop.cancel_wanted:
        _stop_refused(turn, stop, ended)
        return
    if stop.pair and fact in (Fact.EXPIRED, Fact.ALL_FILLED):
        _ask_for_pair(turn, stop)  # its target sells, or has sold
        return
    if stop.status == "FILLED" or stop.cancel_wanted:
        return
    if fact != Fact.LAPSED and not turn.state.replaced_by(stop):
        text = f"{stop.instrument}: stop {stop.cl_ord_id} is {stop.status} ({ended.code or fact}); it is put back"
        turn.alert("STOP_LOST", "page" if stop.status == "REJECTED" else "ticket", text, stop)
    _pace(turn, ended)


def _replacement_refused(turn: Turn, stop: Order, ended: Ended) -> None:
    """Nothing was done. What says nothing about the step is tried again; else the guards of this position are renewed in two."""
    holding, name = turn.state.holding(stop.instrument), stop.instrument
    match kind_of(ended.code, ended.reason):
        case "TRANSIENT" | "CLOCK" | "GONE":
            pass
        case "KEY":
            turn.alert("KEY_REFUSED", "page", f"{name}: our key may not replace the stop ({ended.reason})", stop)
        case "MARKET_CLOSED":
            _market_closed(turn, stop, ended.reason)
            return
        case _:
            holding.two_step = True
            text = f"{name}: the stop is not replaced in one step ({ended.reason}): the old one is taken back first"
            turn.alert("REPLACE_REFUSED", "ticket", text, stop)
    turn.back_off(name)


def _stop_refused(turn: Turn, stop: Order, ended: Ended) -> None:
    holding, name = turn.state.holding(stop.instrument), stop.instrument
    match kind_of(ended.code, ended.reason):
        case "TRANSIENT" | "CLOCK" | "DUPLICATE":
            turn.alert(
                "STOP_LOST", "page", f"{name}: the stop did not get through ({ended.code}); it is put back", stop
            )
            turn.back_off(name)
        case "KEY":
            turn.alert("KEY_REFUSED", "page", f"{name}: our key may not place the stop ({ended.reason})", stop)
            turn.back_off(name)
        case "MARKET_CLOSED":
            _market_closed(turn, stop, ended.reason)
        case "FUNDS":
            text = f"{name}: the venue has not what we hold ({ended.reason}); the account is read"
            turn.alert("STOP_WITHOUT_FUNDS", "page", text, stop)
            account.ask(turn)
            turn.back_off(name)
        case "STOP_WOULD_TRIGGER" if not stop.pair:
            turn.alert(
                "STOP_PASSED", "page", f"{name}: the price is beyond the stop {stop.stop_px} already: selling", stop
            )
            holding.flatten = True
        case _ if stop.pair:
            holding.rung = PAIR_RUNG + 1
            turn.alert("PAIR_REFUSED", "ticket", f"{name}: no pair ({ended.reason}); the stop goes alone", stop)
        case _ if holding.rung < STOP_LIMIT_RUNG:
            holding.rung = STOP_LIMIT_RUNG
            text = f"{name}: the venue refused the stop ({ended.reason}): trying a stop limit"
            turn.alert("STOP_REJECTED", "page", text, stop)
        case _:
            holding.flatten = True
            text = f"{name}: the venue refused every kind of stop ({ended.reason}): selling"
            turn.alert("STOP_REJECTED", "page", text, stop)


def _market_closed(turn: Turn, order: Order, reason: str) -> None:
    """The venue no longer trades this: nothing can be done but to try again, slowly, and to tell a person once."""
    holding = turn.state.holding(order.instrument)
    if not holding.market_closed:
        holding.market_closed = True
        held = f"{holding.qty} {order.instrument}" if holding.qty else order.instrument
        turn.alert("MARKET_CLOSED", "page", f"the venue does not trade {held} any more: {reason}", order)
    holding.failures, holding.failed_at = len(turn.policy.retry_delays_ms), turn.now
    turn.back_off(order.instrument)


def _exit_ended(turn: Turn, ended: Ended) -> None:
    """After an exit the guard of what is left is put back; a refused exit is told, and paces the next attempt."""
    order = ended.order
    holding = turn.state.holding(order.instrument)
    if order.status == "REJECTED" and kind_of(ended.code, ended.reason) == "MARKET_CLOSED":
        holding.flatten = holding.forced = False
        _market_closed(turn, order, ended.reason)
        holding.exit_retry_at = holding.retry_at
    elif order.status == "REJECTED":
        # What was forced stays so: the guard that is put back cannot wait for unknown ones either.
        holding.flatten = False
        text = f"{order.instrument}: exit {order.cl_ord_id} was refused ({ended.reason}); the guard is put back"
        turn.alert("EXIT_REJECTED", "page", text, order)
        if kind_of(ended.code, ended.reason) == "FUNDS":
            account.ask(turn)
            for stop in turn.state.live_orders(order.instrument):
                stop.taken_back_at = 0  # what was thought taken back stands after all, and is to be cancelled again
        _pace(turn, ended)
        holding.exit_retry_at = holding.retry_at
    elif order.status == "FILLED":
        holding.market_closed = False
    elif ended.fact != Fact.LAPSED:
        turn.back_off(order.instrument)
        holding.exit_retry_at = holding.retry_at


def _pace(turn: Turn, ended: Ended) -> None:
    """The next attempt waits; not after one whose fate had to be found out: that took long enough, and nothing was refused."""
    if ended.fact == Fact.VANISHED:
        turn.state.holding(ended.order.instrument).retry_at = turn.now
    else:
        turn.back_off(ended.order.instrument)
