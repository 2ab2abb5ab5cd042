"""The executor's live orders: an index, and what it must say whatever happens to an order."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec

from services.order_executor.orders import Order
from services.order_executor.state import Policy, State
from services.order_executor.turn import Turn
from tests.unit.order_executor.desk import BTC

POLICY = Policy(gate_public_key="", instruments=(BTC,))


def order(name: str) -> Order:
    """An order that has just been sent."""
    return Order(
        cl_ord_id=name,
        intent_id=name,
        role="STOP",
        instrument=BTC,
        side="SELL",
        ord_type="STOP_LOSS",
        time_in_force="GTC",
        order_qty=D(1),
        limit_px=None,
        stop_px=D(1),
        reduce_only=True,
        valid_until=1,
        correlation_id="",
    )


def sent(state: State, name: str) -> Order:
    """One more order in the books."""
    made = state.orders[name] = order(name)
    Turn(state, POLICY, 0).change(made)
    return made


def names(state: State) -> list[str]:
    """The live orders, as they are told."""
    return [each.cl_ord_id for each in state.live_orders(BTC)]


def test_a_closed_order_that_shows_up_again_has_its_old_place() -> None:
    """The venue may show what was declared dead: then it is live, and as old as it was."""
    state = State()
    first, _ = sent(state, "a"), sent(state, "b")
    first.status = "EXPIRED"
    assert names(state) == ["b"]
    first.status = "NEW"
    Turn(state, POLICY, 0).change(first)
    assert names(state) == ["a", "b"]


def test_an_order_is_live_while_it_lacks_executions() -> None:
    """Closed at the venue, and not all of its fills booked: what is held is not known yet."""
    state = State()
    only = sent(state, "a")
    only.status = "CANCELED"
    assert names(state) == []
    only.venue_cum_qty = D(1)
    state.changed(only)
    assert names(state) == ["a"]
    only.cum_qty = D(1)
    assert names(state) == []


def test_the_index_is_in_no_snapshot() -> None:
    """A state that was restored finds its live orders anew, and is written as it was before there was an index."""
    state = State()
    for name in ("a", "b", "c"):
        sent(state, name)
    state.orders["b"].status = "FILLED"
    before = msgspec.json.encode(state)
    assert names(state) == ["a", "c"]
    assert msgspec.json.encode(state) == before
    assert names(msgspec.json.decode(before, type=State)) == ["a", "c"]
