"""Every position rests on guards at the venue that cover exactly what is held, and nothing is on its way out twice.

`plan` looks at one instrument as it stands and takes the next step towards what should be; it remembers no steps, so a crash,
a duplicate or a race changes nothing. In order of precedence:

    a guard is unsettled                          wait: the venue has to be heard first (`forced`: take it back, then sell)
    nothing is held                               guards are cancelled, waiting exits end
    the position is to be sold (`flatten`)        guards are cancelled, then all of it is sold at market
    an exit waits                                 as many guards as stand in its way are cancelled or renewed, then it is sent
    a guard has the wrong price, or lost its stop it is renewed
    the guards cover more than is left to guard   the newest is renewed, with less
    they cover less                               a guard of the difference is placed beside them

To renew a guard is to replace it by a stop in one step, so that the position is never without one; the target of a pair is then
watched by us (`watch`). Where the venue has no such step, or refused it, the guard is cancelled, and what it locked is free once the
venue says CANCELED. An exit takes from the guards in its way only what it sells.

"What is left to guard" is what is held less what exits are selling, so a part of a position keeps its guard while the
rest is sold, and a position that grows keeps the guards it has. A refused or lost order needs no code of its own:
the next plan puts the guard back.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.money import ZERO
from services.order_executor.consequences import position_ended
from services.order_executor.guards import (
    PAIR_RUNG,
    STOP_RUNG,
    Guard,
    guards_of,
    is_sellable,
    is_worth_selling,
    sellable_qty,
    selling_order,
    stop_limit_px,
    stop_order,
    wanted_stop_px,
    wanted_target_px,
)
from services.order_executor.orders import Order
from services.order_executor.sending import ask_cancel, cancel, replace, submit, submit_pair
from services.order_executor.state import MS, Holding
from services.order_executor.turn import Turn


def plan(turn: Turn, instrument: str) -> None:
    """Take the next step towards a covered position in `instrument`."""
    holding = turn.state.holding(instrument)
    live = turn.state.live_orders(instrument)
    _end_stale_wishes(turn, holding)
    _cancel_stale_entries(turn, holding, live)
    sells = [order for order in live if order.side == "SELL"]
    exits = [order for order in sells if order.role == "EXIT"]
    guards = guards_of(sells)
    if any(order.lacks_fills for order in exits):
        return  # it has sold more than we know of: how much is held will be known in a moment
    unsettled = [order for guard in guards for order in guard.orders if order.is_unsettled]
    held = sellable_qty(turn.state, instrument)
    if unsettled and not (holding.forced and _taken_back(turn, unsettled)):
        return
    if unsettled:  # taken back as well as can be: whatever becomes of them, they no longer stand in the way
        guards = [guard for guard in guards if not any(order in unsettled for order in guard.orders)]
    if held == ZERO:
        if not turn.state.reading.unconfirmed:  # else what they guard may not have been told yet
            _cancel_guards(turn, guards)
        if not sells:
            _end_flat(turn, instrument, holding, live)
    elif holding.flatten:
        _sell_out(turn, instrument, holding, guards, exits, held)
    else:
        _send_wish(turn, instrument, holding, guards, exits, held)
        left = held - sum((order.leaves_qty for order in exits), ZERO)
        if left > ZERO and not holding.exits:
            _fit(turn, instrument, holding, guards, live, left)


def _taken_back(turn: Turn, unsettled: list[Order]) -> bool:
    """Whether no unsettled order can stand any more, as far as can be known: each has had a cancel answered, however that
    ended, after the time in which it could still arrive. Cancels those that have not, and comes back when time is all it takes.
    """
    arrives_ns = (turn.policy.recv_window_ms + turn.policy.finality_margin_ms) * MS
    for order in unsettled:
        if order.cancel_asked or order.taken_back_at > order.sent_at + arrives_ns:
            continue
        if turn.now > order.sent_at + arrives_ns:
            order.cancel_wanted = True
            ask_cancel(turn, order)
        else:
            turn.set_timer(f"protect:{order.instrument}", order.sent_at + arrives_ns + 1)
    return all(not order.cancel_asked and order.taken_back_at > order.sent_at + arrives_ns for order in unsettled)


def _cancel_if_due(turn: Turn, guard: Guard) -> None:
    """Cancel a guard, unless a cancel has just failed; its timer brings us back here."""
    if all(turn.now >= order.cancel_not_before for order in guard.orders):
        cancel(turn, guard.lead)


def _cancel_guards(turn: Turn, guards: list[Guard]) -> None:
    for guard in guards:
        _cancel_if_due(turn, guard)


def _end_flat(turn: Turn, instrument: str, holding: Holding, live: list[Order]) -> None:
    """Nothing is held: waiting exits have nothing to do, and the next entry starts with its own stop."""
    reason = "position already closed by its stop" if holding.closed_by == "STOP" else "no position to reduce"
    for wish in holding.exits:
        wish.status = "CANCELED"
        turn.cancel_timer(f"wish:{wish.cl_ord_id}")
        turn.report(wish, "CANCELED", reason)
    holding.exits = []
    holding.flatten = holding.forced = False
    if not live:
        if holding.owner:
            position_ended(turn, instrument, holding)
        holding.stop_px = holding.target_px = None
        holding.high_px = ZERO
        holding.breached_since = 0
        holding.rung = PAIR_RUNG
        holding.two_step = False
        holding.owner = ""


def _sell_out(
    turn: Turn, instrument: str, holding: Holding, guards: list[Guard], exits: list[Order], held: Decimal
) -> None:
    """Sell everything at market, once nothing else sells it."""
    if guards:
        _cancel_guards(turn, guards)
        return
    owner = turn.state.orders.get(holding.owner)
    qty = held - sum((order.leaves_qty for order in exits), ZERO)
    if qty <= ZERO or turn.now < holding.exit_retry_at:
        return
    if not is_worth_selling(turn, instrument):
        holding.flatten = holding.forced = False
        _tell_dust(turn, instrument, holding, held, f"{instrument}: {held} is too little to be sold")
        return
    if owner is None:
        _tell_dust(turn, instrument, holding, held, f"{instrument}: {held} is held, and no entry of ours explains it")
        return
    submit(turn, selling_order(turn, owner, "EXIT", "MARKET", qty, owner.exits))
    owner.exits += 1


def _send_wish(
    turn: Turn, instrument: str, holding: Holding, guards: list[Guard], exits: list[Order], held: Decimal
) -> None:
    """Send the first exit that waits, or take away the guards in its way; one exit at a time."""
    if not holding.exits or exits:
        return
    wish = holding.exits[0]
    wish.order_qty = min(wish.order_qty, held)
    free = held - sum((guard.locked_qty for guard in guards), ZERO)
    in_the_way = []
    for guard in reversed(guards):
        if free >= wish.order_qty:
            break
        in_the_way.append(guard)
        free += guard.locked_qty
    if in_the_way:
        spared = free - wish.order_qty
        *whole, last = in_the_way
        _cancel_guards(turn, whole)
        _renew(turn, instrument, holding, last, spared, for_exit=True)
        return
    holding.exits.pop(0)
    turn.cancel_timer(f"wish:{wish.cl_ord_id}")
    submit(turn, wish)
    exits.append(wish)


def _fit(turn: Turn, instrument: str, holding: Holding, guards: list[Guard], live: list[Order], left: Decimal) -> None:
    """Make the guards cover exactly `left`."""
    misfit = next((guard for guard in guards if not _fits(turn, instrument, holding, guard)), None)
    gap = left - sum((guard.covers_qty for guard in guards), ZERO)
    if misfit is not None and _may_add(turn, instrument, holding, guards, left):
        _place(turn, instrument, holding, guards, live, left - sum((guard.locked_qty for guard in guards), ZERO))
    elif misfit is not None:
        _renew(turn, instrument, holding, misfit, misfit.locked_qty + (gap if misfit is guards[-1] else ZERO))
    elif gap < ZERO:
        _renew(turn, instrument, holding, guards[-1], guards[-1].covers_qty + gap)
    elif gap > ZERO and turn.now >= holding.retry_at:
        _place(turn, instrument, holding, guards, live, gap)


def _renew(
    turn: Turn, instrument: str, holding: Holding, guard: Guard, qty: Decimal, *, for_exit: bool = False
) -> None:
    """Replace `guard` by a stop of `qty` at the wanted price, in one step if that can be; else take it back.

    An exit, whose time is short, does not wait for the pace of guards that fail, unless the market is closed.
    """
    is_due = turn.now >= holding.retry_at or (for_exit and not holding.market_closed)
    old, owner, stop_px = guard.stop, turn.state.orders.get(holding.owner), wanted_stop_px(turn, instrument, holding)
    if (
        not turn.policy.replaces
        or holding.two_step
        or old is None
        or old.status != "NEW"
        or (guard.target is not None and guard.target.cum_qty > ZERO)  # which has ended the stop, heard of or not
        or owner is None
        or stop_px is None
        or not is_sellable(turn, instrument, qty, stop_limit_px(turn, instrument, stop_px))
    ):
        _cancel_if_due(turn, guard)
    elif is_due and all(turn.now >= order.cancel_not_before for order in guard.orders):
        replace(turn, old, stop_order(turn, owner, qty, stop_px, max(holding.rung, STOP_RUNG)))
        owner.stops += 1


def _fits(turn: Turn, instrument: str, holding: Holding, guard: Guard) -> bool:
    """Whether a guard has its stop, at the wanted price, and no target that sells already or has another price than the wanted one."""
    if guard.stop is None or guard.stop.stop_px != wanted_stop_px(turn, instrument, holding):
        return False
    if guard.target is None:
        return True
    return not guard.target.cum_qty and guard.target.limit_px == wanted_target_px(turn, instrument, holding)


def _may_add(turn: Turn, instrument: str, holding: Holding, guards: list[Guard], left: Decimal) -> bool:
    """Whether a part that no guard locks can have one of its own before the others are replaced, so that it need not wait."""
    free = left - sum((guard.locked_qty for guard in guards), ZERO)
    stop_px = wanted_stop_px(turn, instrument, holding)
    if free <= ZERO or stop_px is None or turn.now < holding.retry_at or len(guards) >= turn.policy.guards_max:
        return False
    return is_sellable(turn, instrument, free, stop_limit_px(turn, instrument, stop_px))


def _place(turn: Turn, instrument: str, holding: Holding, guards: list[Guard], live: list[Order], gap: Decimal) -> None:
    """Place a guard of `gap` beside the others; where that cannot be, the newest is renewed with as much more."""
    owner = turn.state.orders.get(holding.owner)
    stop_px = wanted_stop_px(turn, instrument, holding)
    if owner is None:
        _tell_dust(turn, instrument, holding, gap, f"{instrument}: {gap} is held, and no entry of ours explains it")
        return
    assert stop_px is not None, f"{instrument}: an entry was filled that had no stop"
    if not is_sellable(turn, instrument, gap, stop_limit_px(turn, instrument, stop_px)):
        if guards and not _is_filling(live):
            _renew(turn, instrument, holding, guards[-1], guards[-1].covers_qty + gap)
        elif not guards and not _is_filling(live):  # while an entry is live, more may come
            _tell_dust(turn, instrument, holding, gap, f"{instrument}: {gap} is too little for a stop at {stop_px}")
        return
    if len(guards) >= turn.policy.guards_max:
        _renew(turn, instrument, holding, guards[-1], guards[-1].covers_qty + gap)
        return
    stop = stop_order(turn, owner, gap, stop_px, holding.rung)
    target_px = wanted_target_px(turn, instrument, holding)
    if target_px is not None and turn.policy.pairs and holding.rung == PAIR_RUNG:
        target = selling_order(turn, owner, "TARGET", "LIMIT", gap, owner.stops, limit_px=target_px)
        submit_pair(turn, stop, target)
    else:
        submit(turn, stop)
    owner.stops += 1


def _is_filling(live: list[Order]) -> bool:
    return any(order.role == "ENTRY" for order in live)


def _tell_dust(turn: Turn, instrument: str, holding: Holding, held: Decimal, text: str) -> None:
    if holding.dust_told != held:
        holding.dust_told = held
        turn.alert("DUST", "ticket", text, instrument=instrument)


def _end_stale_wishes(turn: Turn, holding: Holding) -> None:
    """An exit that waited too long was never sent."""
    stale = [wish for wish in holding.exits if turn.now > wish.valid_until]
    holding.exits = [wish for wish in holding.exits if turn.now <= wish.valid_until]
    for wish in stale:
        wish.status = "EXPIRED"
        turn.report(wish, "EXPIRED", "waited beyond its valid_until for the stop to leave: never sent")


def _cancel_stale_entries(turn: Turn, holding: Holding, live: list[Order]) -> None:
    """A resting entry is a wish of its time: it is taken back after its `valid_until`, or when nothing is to be bought any more."""
    unwanted = holding.flatten or turn.state.stopping
    for order in live:
        resting = order.role == "ENTRY" and order.ord_type != "MARKET" and not order.is_unsettled
        due = turn.now > order.valid_until and turn.now >= order.cancel_not_before
        if resting and (due or (unwanted and not order.cancel_fails)):
            cancel(turn, order)
