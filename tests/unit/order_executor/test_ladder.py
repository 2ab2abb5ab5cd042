"""What becomes of a position when the venue refuses to guard it: a rung down for the order's own fault, patience for everything else."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from services.order_executor.guards import STOP_LIMIT_RUNG
from services.order_executor.requests import SubmitOrder
from tests.unit.order_executor.desk import BTC, SECOND, Desk, approval, fill, order

ENTRY, STOP, STOP1, STOP2 = order("ENTRY"), *(order("STOP", attempt=number) for number in range(3))


def test_the_ladder_goes_from_a_pair_over_a_stop_and_a_stop_limit_to_the_market():
    """Refused on their merits, a pair becomes a stop, a stop a stop limit, and a stop limit a sale at market."""
    desk = Desk().tell(approval(target_px=D(52_000)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED")
    assert desk.asked() == [f"pair:{STOP}"]
    desk.pair(STOP, "REJECTED", code="-1013")
    assert desk.alerts() == [("PAIR_REFUSED", "ticket")]
    assert desk.request(SubmitOrder).ord_type == "STOP_LOSS"
    desk.answer(STOP1, "REJECTED", code="-1013")
    assert desk.alerts() == [("STOP_REJECTED", "page")]
    sent = desk.request(SubmitOrder)
    assert (sent.ord_type, sent.stop_px, sent.limit_px) == ("STOP_LOSS_LIMIT", D(49_000), D(48_510))
    desk.answer(STOP2, "REJECTED", code="-1013")
    assert desk.alerts() == [("STOP_REJECTED", "page")]
    sent = desk.request(SubmitOrder)
    assert (sent.cl_ord_id, sent.ord_type, sent.order_qty) == (order("EXIT"), "MARKET", D("0.01"))


def test_the_next_position_begins_at_the_top_of_the_ladder():
    """What one position learnt of the ladder is forgotten when it ends."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-1013").confirm(STOP1)
    assert desk.state.holdings[BTC].rung == STOP_LIMIT_RUNG
    desk.stream(desk.shown(STOP1, "FILLED", "0.01"), desk.sold("s", STOP1, "0.01"))
    assert desk.state.holdings[BTC].rung == 0


@pytest.mark.parametrize(
    ("code", "detail", "alert"),
    [
        ("-1003", "Too many requests.", "STOP_LOST"),
        ("-1021", "Timestamp outside of the recvWindow.", "STOP_LOST"),
        ("-2015", "Invalid API-key, IP, or permissions for action.", "KEY_REFUSED"),
        ("-2010", "This action is disabled on this account.", "KEY_REFUSED"),
        ("-1013", "Market is closed.", "MARKET_CLOSED"),
        ("-2010", "Account has insufficient balance for requested action.", "STOP_WITHOUT_FUNDS"),
    ],
)
def test_a_refusal_that_is_not_about_the_order_never_sells_the_position(code, detail, alert):
    """A refusal that is not about the order is told and tried again; it neither sells nor goes down the ladder."""
    desk = Desk().bought().answer(STOP, "REJECTED", code=code, detail=detail)
    assert (alert, "page") in desk.alerts()
    holding = desk.state.holdings[BTC]
    assert (holding.flatten, holding.rung) == (False, 0)
    if f"submit:{STOP1}" not in desk.asked():
        desk.fire(f"protect:{BTC}")
    assert desk.request(SubmitOrder).ord_type == "STOP_LOSS"


def test_a_stop_the_market_has_passed_already_becomes_a_sale():
    """A stop the market has passed already becomes a sale."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-2010", detail="Stop price would trigger immediately.")
    assert desk.alerts() == [("STOP_PASSED", "page")]
    assert desk.request(SubmitOrder).ord_type == "MARKET"


def test_a_missing_balance_has_the_account_read():
    """Where the venue has not what we hold, the account is read."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-2010", detail="Account has insufficient balance")
    assert "account" in desk.asked()


def test_a_closed_market_is_told_once_asked_slowly_and_over_when_a_stop_is_taken():
    """A closed market is told once, asked slowly without selling by force, and over when the venue takes a stop."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-1013", detail="Market is closed.")
    assert desk.timers[f"protect:{BTC}"] == desk.now + 30 * SECOND
    assert f"cover:{BTC}" not in desk.timers
    desk.fire(f"protect:{BTC}").answer(STOP1, "REJECTED", code="-1013", detail="Market is closed.")
    assert desk.alerts() == []
    assert desk.asked() == []
    desk.fire(f"protect:{BTC}").confirm(STOP2)
    assert not desk.state.holdings[BTC].market_closed
