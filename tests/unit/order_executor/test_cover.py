"""How long a position may stand without cover, and what ends that: told as conversations."""

from __future__ import annotations

from decimal import Decimal as D

from libs.common.messages import OrderSubmitting
from services.order_executor.requests import SubmitOrder
from tests.unit.order_executor.desk import BTC, SECOND, START, Desk, exit_approval, order

EXIT, STOP = order("EXIT", "x1"), order("STOP")
RECV_AND_MARGIN_S = 6


def uncertain_stop() -> Desk:
    """A position whose stop nobody has answered for, ten seconds later: it is to be sold."""
    desk = Desk().bought()
    desk.answer(order("STOP"), "UNKNOWN", code="TIMEOUT")
    desk.after(RECV_AND_MARGIN_S + 5).fire(f"cover:{BTC}")
    return desk


def test_a_forced_sale_leaves_as_soon_as_the_uncertain_stop_is_taken_back() -> None:
    """The cancel's answer, whatever it says, is what the sale waits for: nothing else has to happen first."""
    desk = uncertain_stop()
    assert f"cancel:{order('STOP')}" in desk.asked()
    desk.answer(order("STOP"), "REJECTED", kind="cancel", code="-2011")
    sent = desk.published(OrderSubmitting)
    assert [(each.role, each.ord_type, each.order_qty) for each in sent] == [("EXIT", "MARKET", D("0.01"))]


def test_a_market_that_takes_a_stop_again_is_open() -> None:
    """After a halt of trading the deadline of uncovered parts counts again, without waiting for the next check of the venue."""
    desk = Desk().bought()
    desk.answer(order("STOP"), "REJECTED", code="-1121")
    assert desk.state.holdings[BTC].market_closed
    desk.fire(f"protect:{BTC}").answer(order("STOP", attempt=1), "REJECTED", code="-1121")
    desk.fire(f"protect:{BTC}").confirm(order("STOP", attempt=2))
    assert not desk.state.holdings[BTC].market_closed


def test_a_guard_without_an_answer_starts_the_deadline_even_where_the_market_was_closed():
    """Whether a market that was closed still is, nobody knows once a guard was sent and not answered: what is naked may not wait."""
    desk = Desk().bought().answer(order("STOP"), "REJECTED", code="-1013", detail="Market is closed.")
    assert f"cover:{BTC}" not in desk.timers
    desk.fire(f"protect:{BTC}").answer(order("STOP", attempt=1), "UNKNOWN")
    assert f"cover:{BTC}" in desk.timers


def test_after_an_exit_that_never_arrived_the_guard_is_put_back_at_once():
    """Finding out took long enough: however slow the pace had become, the position does not wait for its guard."""
    desk = Desk().bought()
    for number in range(5):
        desk.answer(order("STOP", attempt=number), "REJECTED", code="-1013", detail="Market is closed.")
        desk.fire(f"protect:{BTC}")
    desk.confirm(order("STOP", attempt=5))
    desk.tell(exit_approval(valid_until=desk.now + 10 * SECOND)).canceled(order("STOP", attempt=5))
    desk.answer(EXIT, "UNKNOWN").after(17)
    desk.fire(f"look:{EXIT}").look(EXIT, "NOT_FOUND").fire(f"look:{EXIT}").look(EXIT, "NOT_FOUND")
    desk.account(usdt="999500", btc="0.01")
    assert ("EXIT_REJECTED", "page") in desk.alerts()
    assert desk.request(SubmitOrder).cl_ord_id == order("STOP", attempt=6)


def test_when_a_forced_sale_is_refused_another_guard_is_placed_without_waiting_for_the_unknown_one():
    """The sale was refused, and the fate of the first stop is still unknown: it was taken back, so the next stop need not wait for it."""
    desk = uncertain_stop()
    desk.answer(order("STOP"), "REJECTED", kind="cancel", code="-2011")
    desk.answer(order("EXIT"), "REJECTED", code="-2010", detail="whatever")
    assert ("EXIT_REJECTED", "page") in desk.alerts()
    sent = desk.request(SubmitOrder)
    assert (sent.cl_ord_id, sent.stop_px) == (order("STOP", attempt=1), D(49_000))
    assert desk.confirm(order("STOP", attempt=1)).state.holdings[BTC].forced, "the first one is unknown yet"
    desk.after(20).fire(f"look:{order('STOP')}").look(order("STOP"), "FOUND", status="CANCELED")
    assert not desk.state.holdings[BTC].forced


def test_a_forced_sale_that_finds_the_coins_locked_cancels_again_before_the_next():
    """The cancel had not arrived, and the stop still locks the coins: the next attempt takes it back anew."""
    desk = Desk().covered().after(10).tell(exit_approval(valid_until=START + 60 * SECOND))
    desk.answer(STOP, "UNKNOWN", kind="cancel").fire(f"look:{STOP}").look(STOP, "FAILED").fire(f"cover:{BTC}")
    desk.answer(
        order("EXIT"), "REJECTED", code="-2010", detail="Account has insufficient balance for requested action."
    )
    assert f"cancel:{STOP}" in desk.asked()
    desk.canceled(STOP)
    assert desk.request(SubmitOrder).order_qty == D("0.01")
