"""What was sent while the log could not be reached is adopted first, asked about, and never doubled."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

from libs.common.messages import ExecutionReport, ProtectionImprovised
from services.order_executor.guards import uncovered
from tests.unit.order_executor.desk import BTC, SECOND, Desk, approval, fill, order

ENTRY, STOP, EXIT = order("ENTRY"), order("STOP"), order("EXIT")


def improvised(role: str = "STOP", **changes: Any) -> ProtectionImprovised:
    """A stop (or an exit) of the position, sent from the journal under an id of its own."""
    values: dict[str, Any] = {
        "instrument": BTC,
        "cl_ord_id": "journal-1",
        "owner": ENTRY,
        "role": role,
        "ord_type": "STOP_LOSS" if role == "STOP" else "MARKET",
        "order_qty": D("0.01"),
        "stop_px": D(49_000) if role == "STOP" else None,
        "outcome": "CONFIRMED",
        "code": "",
    }
    return ProtectionImprovised(**{**values, **changes})


def test_an_improvised_stop_is_the_guard_and_no_second_one_is_placed():
    """An improvised stop becomes the guard of its position once the venue has shown it, and no second one is placed."""
    desk = Desk().bought().expire(f"submit:{STOP}")
    second = order("STOP", attempt=1)
    desk.answer(second, "REJECTED", code="-1003").tell(improvised())
    assert desk.alerts()[0] == ("PROTECTION_IMPROVISED", "ticket")
    assert "lookup:journal-1" in desk.asked()
    assert not any(name.startswith("submit:") for name in desk.asked())
    desk.look("journal-1", "FOUND")
    assert uncovered(desk.state) == {}
    assert not any(name.startswith("submit:") for name in desk.asked())


def test_an_improvised_exit_is_booked_from_what_the_venue_says():
    """An improvised exit is booked from what the venue says of it, whatever the journal thought."""
    desk = Desk().bought().expire(f"submit:{STOP}").answer(order("STOP", attempt=1), "REJECTED", code="-1003")
    desk.tell(improvised("EXIT", outcome="UNKNOWN"))
    assert desk.state.orders["journal-1"].status == "UNKNOWN"
    desk.look("journal-1", "FOUND", desk.sold("s", "journal-1", "0.01"), status="FILLED", cum="0.01")
    assert desk.reports()[-1] == ("EXIT", "TRADE", "FILLED")
    assert desk.state.holdings[BTC].qty == 0
    assert desk.asked() == []


def test_nothing_is_bought_until_the_account_was_read_again():
    """Nothing is bought until the account was read twice again."""
    desk = Desk().covered().tell(improvised())
    assert "account" in desk.asked()
    assert not desk.state.reconciled
    desk.tell(approval("a2", instrument="ETH-USDT", ref_px=D(2_000), stop_px=D(1_900), valid_until=desk.now + SECOND))
    assert "NOT_RECONCILED" in desk.only(ExecutionReport).reason


def test_what_is_told_twice_is_adopted_once():
    """What is told twice is adopted once."""
    desk = Desk().covered().tell(improvised())
    desk.tell(improvised()).expect()


def test_an_improvised_stop_beside_a_living_guard_is_one_too_many():
    """Where the guard lived on, the improvised stop is one too many, and taken back."""
    desk = Desk().covered().tell(improvised()).look("journal-1", "FOUND")
    assert "cancel:journal-1" in desk.asked()


def test_a_fill_that_nobody_guarded_meanwhile_is_guarded_by_the_first_plan_after_it():
    """What an improvised stop does not cover gets a guard of its own once that stop is known."""
    desk = Desk().tell(approval()).confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED").expire(f"submit:{STOP}")
    desk.answer(order("STOP", attempt=1), "REJECTED", code="-1003").tell(improvised(order_qty=D("0.006")))
    desk.look("journal-1", "FOUND").fire(f"protect:{BTC}")
    rest = [each for each in desk.state.orders.values() if each.role == "STOP" and each.status == "PENDING_NEW"]
    assert [each.order_qty for each in rest] == [D("0.004")]
    assert EXIT not in desk.state.orders
