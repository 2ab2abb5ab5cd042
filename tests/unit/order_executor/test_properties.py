"""Whatever order the news comes in, and whatever is lost on the way, money is booked once and nothing is sold twice."""

from __future__ import annotations

from decimal import Decimal as D

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import ExecutionReport
from libs.common.money import ZERO
from services.order_executor.guards import uncovered
from tests.unit.order_executor.desk import BTC, Desk, approval, fill, order
from tests.unit.order_executor.world import STEPS, World

ENTRY = order("ENTRY")


@given(parts=st.lists(st.integers(1, 5), min_size=1, max_size=6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_interleaving_of_repeated_and_reordered_reports_books_each_execution_once(parts, data):
    """Any interleaving of repeated and reordered reports books each execution once."""
    total = sum(parts)
    desk = Desk().tell(approval(order_qty=D(total) / 1000))
    news, cum = [("ack", desk.shown(ENTRY), None)], ZERO
    for number, part in enumerate(parts):
        cum += D(part) / 1000
        status = "FILLED" if number == len(parts) - 1 else "PARTIALLY_FILLED"
        news.append(("fill", desk.shown(ENTRY, status, str(cum)), fill(str(number), ENTRY, str(D(part) / 1000))))
        news.append(("alone", None, news[-1][2]))
    told = data.draw(st.permutations(news * 2))
    booked = []
    for _, shown, execution in told:
        desk.stream(shown, execution)
        booked += [each for each in desk.published(ExecutionReport) if each.exec_type == "TRADE"]
    assert sorted(each.exec_id for each in booked) == sorted(str(number) for number in range(len(parts)))
    assert (booked[-1].cum_qty, booked[-1].leaves_qty, booked[-1].ord_status) == (D(total) / 1000, ZERO, "FILLED")
    assert [each.cum_qty for each in booked] == sorted(each.cum_qty for each in booked)
    assert desk.state.orders[ENTRY].inquiry is None


@given(
    first=st.integers(0, 7),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7)), min_size=5, max_size=60),
    replaces=st.booleans(),
    trail_bps=st.sampled_from((0, 50)),
)
@settings(max_examples=100, deadline=None)
def test_a_random_walk_never_sells_what_is_not_held_and_ends_with_books_that_agree(first, steps, replaces, trail_bps):
    """A random walk from a guarded position never sells what is not held and ends with books that agree."""
    world = World(replaces=replaces, trail_bps=trail_bps).guarded(first)
    for kind, number in steps:
        world.step(kind, number)
    world.settle()
    assert world.oversold == []
    total = sum((each.free + each.locked for each in world.venue.balances() if each.asset == "BTC"), ZERO)
    held = world.state.holdings[BTC].qty if BTC in world.state.holdings else ZERO
    assert held == total
    for each in world.state.orders.values():
        assert each.cum_qty == sum((execution.qty for execution in world.executions(each.cl_ord_id)), ZERO)
        assert each.is_closed or each.status in ("NEW", "PARTIALLY_FILLED")
        assert not each.cancel_asked
    assert world.state.reconciled
    assert uncovered(world.state) == {} or held * D(str(world.px)) < 6
    assert not any(holding.quarantined_by for holding in world.state.holdings.values())
