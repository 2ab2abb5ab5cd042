"""Every position rests on a stop at the venue, and the same quantity is never on its way out twice.

`plan` looks at one instrument as it stands and takes the one next step towards what should be; it remembers no steps, so a
crash, a duplicate or a race changes nothing. In order of precedence:

    an order on the selling side is unsettled     wait: the venue has to be heard first
    an exit is live                               wait: it is selling
    a stop is live, and fits, and no exit waits   covered
    a stop is live otherwise                      cancel it (its quantity is locked until the venue says CANCELED)
    no sell is live, nothing is held              waiting exits end: "position already closed by its stop"
    no sell is live, an exit waits                sell at most what is held
    no sell is live, the venue refused the stop   sell at market (`flatten`)
    no sell is live                               place a stop of exactly what is held

A replaced, refused or lost order therefore needs no code of its own: the next plan puts the stop back.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.ids import cl_ord_id_of
from libs.common.messages import OrderRole, OrdType
from libs.common.money import ZERO, floor_to_step, plain, round_px
from services.order_executor.orders import OPEN, Fact, Order
from services.order_executor.requests import NEVER_SENT
from services.order_executor.sending import cancel, submit
from services.order_executor.state import MS, Holding, State, Turn

TRANSIENT_CODES = (NEVER_SENT, "-1003", "-1015", "-1021", "HTTP_403", "HTTP_418", "HTTP_429")
"""Refusals that say nothing about the order itself: the stop is tried again, the position is not sold for them."""


def settle_turn(turn: Turn) -> None:
    """The end of every turn: draw the consequences of orders that closed, then plan every instrument that changed."""
    for order, fact, code in turn.ended:
        if order.role == "STOP":
            _stop_ended(turn, order, fact, code)
        elif order.role == "EXIT":
            _exit_ended(turn, order, fact)
    turn.ended.clear()
    for instrument in list(turn.touched):
        plan(turn, instrument)


def plan(turn: Turn, instrument: str) -> None:
    """Take the next step towards a covered position in `instrument`."""
    holding = turn.state.holding(instrument)
    live = turn.state.live_orders(instrument)
    _end_stale_wishes(turn, holding)
    _cancel_stale_entries(turn, live)
    sells = [order for order in live if order.side == "SELL"]
    held = sellable_qty(turn.state, instrument)
    if any(order.is_unsettled for order in sells) or any(order.role == "EXIT" for order in sells):
        return
    if len(sells) > 1:  # a stop that was thought lost has surfaced beside its successor
        _cancel_if_due(turn, sells[0])
    elif sells:
        _judge_stop(turn, holding, sells[0], held)
    elif held == ZERO:
        _end_flat(turn, holding, live)
    elif holding.exits:
        _submit_wish(turn, holding, held)
    elif turn.now >= holding.retry_at:
        _protect(turn, instrument, holding, live, held)


def sellable_qty(state: State, instrument: str) -> Decimal:
    """What is held of `instrument`, rounded down to the venue's step; less than a step cannot be sold."""
    holding = state.holdings.get(instrument)
    spec = state.specs.get(instrument)
    if holding is None or spec is None or holding.qty <= ZERO:
        return ZERO
    return floor_to_step(holding.qty, spec.qty_step)


def uncovered(state: State) -> dict[str, Decimal]:
    """By instrument, the sellable quantity that no resting stop and no exit on its way covers (for metrics and tests)."""
    gaps = {}
    for instrument in state.holdings:
        covering = [order for order in state.live_orders(instrument) if _covers(order)]
        gap = sellable_qty(state, instrument) - sum((order.leaves_qty for order in covering), ZERO)
        if gap > ZERO:
            gaps[instrument] = gap
    return gaps


def _covers(order: Order) -> bool:
    return order.role == "EXIT" or (order.role == "STOP" and order.status in OPEN)


def _judge_stop(turn: Turn, holding: Holding, stop: Order, held: Decimal) -> None:
    """Leave a stop that fits; cancel one that does not, or that stands in the way of an exit."""
    fits = stop.leaves_qty == held and stop.stop_px == _stop_px(turn, stop.instrument, holding)
    if holding.exits or not fits:
        _cancel_if_due(turn, stop)


def _cancel_if_due(turn: Turn, order: Order) -> None:
    """Cancel `order`, unless a cancel has just failed; its timer brings us back here."""
    if turn.now >= order.cancel_not_before:
        cancel(turn, order)


def _end_flat(turn: Turn, holding: Holding, live: list[Order]) -> None:
    """Nothing is held: waiting exits have nothing to do, and the next entry starts with its own stop."""
    reason = "position already closed by its stop" if holding.closed_by == "STOP" else "no position to reduce"
    for wish in holding.exits:
        wish.status = "CANCELED"
        turn.cancel_timer(f"wish:{wish.cl_ord_id}")
        turn.report(wish, "CANCELED", reason)
    holding.exits = []
    holding.flatten = False
    if not live:
        holding.stop_px = None
        holding.owner = ""


def _submit_wish(turn: Turn, holding: Holding, held: Decimal) -> None:
    wish = holding.exits.pop(0)
    wish.order_qty = min(wish.order_qty, held)
    turn.cancel_timer(f"wish:{wish.cl_ord_id}")
    submit(turn, wish)


def _protect(turn: Turn, instrument: str, holding: Holding, live: list[Order], held: Decimal) -> None:
    """Place the stop, or sell at market where the venue refused one."""
    owner = turn.state.orders.get(holding.owner)
    if owner is None:
        _tell_dust(turn, instrument, holding, held, f"{instrument}: {held} is held, and no entry of ours explains it")
    elif holding.flatten:
        submit(turn, _order_of(turn, owner, "EXIT", "MARKET", held, None, owner.exits))
        owner.exits += 1
    else:
        _place_stop(turn, instrument, holding, owner, live, held)


def _place_stop(turn: Turn, instrument: str, holding: Holding, owner: Order, live: list[Order], held: Decimal) -> None:
    stop_px = _stop_px(turn, instrument, holding)
    spec = turn.state.specs[instrument]
    assert stop_px is not None, f"{instrument}: an entry was filled that had no stop"
    if held < spec.qty_min or held * stop_px < spec.notional_min:
        if not live:  # while an entry is live, more may come
            _tell_dust(turn, instrument, holding, held, f"{instrument}: {held} is too little for a stop at {stop_px}")
        return
    submit(turn, _order_of(turn, owner, "STOP", "STOP_LOSS", held, stop_px, owner.stops))
    owner.stops += 1


def _tell_dust(turn: Turn, instrument: str, holding: Holding, held: Decimal, text: str) -> None:
    if holding.dust_told != held:
        holding.dust_told = held
        turn.alert("DUST", "ticket", text, instrument=instrument)


def _order_of(
    turn: Turn, owner: Order, role: OrderRole, ord_type: OrdType, qty: Decimal, stop_px: Decimal | None, attempt: int
) -> Order:
    """A selling order in the story of the entry `owner`. Attempt 0 of role EXIT is the first emergency exit of that entry."""
    return Order(
        cl_ord_id=cl_ord_id_of(owner.intent_id, role, attempt),
        intent_id=owner.intent_id,
        role=role,
        instrument=owner.instrument,
        side="SELL",
        ord_type=ord_type,
        time_in_force="GTC",
        order_qty=qty,
        limit_px=None,
        stop_px=stop_px,
        reduce_only=True,
        valid_until=turn.now + turn.policy.protect_ttl_ms * MS,
        correlation_id=owner.correlation_id,
    )


def _stop_px(turn: Turn, instrument: str, holding: Holding) -> Decimal | None:
    if holding.stop_px is None:
        return None
    return plain(round_px(holding.stop_px, turn.state.specs[instrument].px_tick, up=False))


def _stop_ended(turn: Turn, stop: Order, fact: Fact, code: str) -> None:
    """A stop that we did not take away is gone: sell if the venue refused it on its merits, else put it back."""
    if stop.status == "FILLED" or stop.cancel_wanted:
        return
    holding = turn.state.holding(stop.instrument)
    if fact == Fact.REFUSED and code not in TRANSIENT_CODES:
        holding.flatten = True
        turn.touched[stop.instrument] = None
        turn.alert("STOP_REJECTED", "page", f"{stop.instrument}: the venue refused the stop ({code}): selling", stop)
        return
    if fact != Fact.LAPSED:
        text = f"{stop.instrument}: stop {stop.cl_ord_id} is {stop.status} ({code or fact}); it is put back"
        turn.alert("STOP_LOST", "page" if stop.status == "REJECTED" else "ticket", text, stop)
    turn.back_off(stop.instrument)


def _exit_ended(turn: Turn, order: Order, fact: Fact) -> None:
    """After an exit the stop of what is left is put back; a refused exit is told, and paces the next attempt."""
    holding = turn.state.holding(order.instrument)
    holding.flatten = False
    turn.touched[order.instrument] = None
    if order.status == "REJECTED":
        text = f"{order.instrument}: exit {order.cl_ord_id} was refused; the stop is put back"
        turn.alert("EXIT_REJECTED", "page", text, order)
        turn.back_off(order.instrument)
    elif order.status != "FILLED" and fact != Fact.LAPSED:
        turn.back_off(order.instrument)


def _end_stale_wishes(turn: Turn, holding: Holding) -> None:
    """An exit that waited too long was never sent."""
    stale = [wish for wish in holding.exits if turn.now > wish.valid_until]
    holding.exits = [wish for wish in holding.exits if turn.now <= wish.valid_until]
    for wish in stale:
        wish.status = "EXPIRED"
        turn.report(wish, "EXPIRED", "waited beyond its valid_until for the stop to leave: never sent")


def _cancel_stale_entries(turn: Turn, live: list[Order]) -> None:
    """A resting entry is a wish of its time: it is taken back after its `valid_until`."""
    for order in live:
        resting = order.role == "ENTRY" and order.ord_type != "MARKET" and not order.is_unsettled
        if resting and turn.now > order.valid_until:
            _cancel_if_due(turn, order)
