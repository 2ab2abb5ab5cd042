"""The last turn of a life leaves the world in order: nothing new is opened, and positions are guarded or sold, by policy."""

from __future__ import annotations

from libs.common.messages import ExecutionReport, ServiceStopping
from tests.unit.order_executor.desk import SECOND, D, Desk, approval, exit_approval, fill, order

ENTRY, STOP, EXIT = order("ENTRY"), order("STOP"), order("EXIT", "x1")
STOPPING = ServiceStopping(instance="i")


def test_guards_stay_where_they_are():
    """When we stop, guards stay at the venue."""
    assert Desk().covered().tell(STOPPING).asked() == []


def test_nothing_is_bought_any_more_and_exits_still_leave():
    """Entries are refused, exits are not."""
    desk = Desk().covered().tell(STOPPING)
    assert "STOPPING" in desk.tell(approval("a2")).only(ExecutionReport).reason
    assert desk.tell(exit_approval()).asked() == [f"cancel:{STOP}"]
    assert desk.canceled(STOP).asked() == [f"submit:{EXIT}"]


def test_by_policy_everything_is_sold():
    """By policy everything is sold: the guard leaves, then the position."""
    desk = Desk(flatten_on_stop=True).covered().tell(STOPPING)
    assert desk.asked() == [f"cancel:{STOP}"]
    assert desk.canceled(STOP).asked() == [f"submit:{order('EXIT')}"]


def test_by_policy_a_sale_that_did_not_end_in_time_goes_on_in_the_next_life():
    """A sale that did not end in time goes on in the next life."""
    desk = Desk(flatten_on_stop=True).covered().tell(STOPPING).started().interrupt(f"cancel:{STOP}")
    assert desk.asked() == [f"cancel:{STOP}"]
    assert desk.canceled(STOP).asked() == [f"submit:{order('EXIT')}"]


def test_an_entry_that_rests_is_taken_back():
    """An entry that rests would fill without anybody to guard it: it is taken back."""
    desk = Desk().tell(approval(ord_type="LIMIT", limit_px=D(49_900))).confirm(ENTRY).tell(STOPPING)
    assert desk.asked() == [f"cancel:{ENTRY}"]


def test_a_part_that_fills_while_stopping_is_still_guarded():
    """A part that fills while we stop is still guarded."""
    desk = Desk().tell(approval(ord_type="LIMIT", limit_px=D(49_900))).confirm(ENTRY).tell(STOPPING)
    desk.canceled(ENTRY, "0.004", fill("1", ENTRY, "0.004"))
    assert desk.asked() == [f"submit:{STOP}"]


def test_the_next_life_buys_again_once_it_has_read_the_account_twice():
    """The next life buys again once the account was read twice the same."""
    desk = Desk().tell(STOPPING).started().checked().account().fire("reconcile").account()
    desk.tell(approval("a2", valid_until=desk.now + SECOND))
    assert desk.asked() == [f"submit:{order('ENTRY', 'a2')}"]
