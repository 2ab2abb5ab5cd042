"""Entries that rest are taken back when an operator says so or trading is halted; what protects stays."""

from __future__ import annotations

from libs.common.messages import AlertRaised, CancelCommanded, TradingStateChanged
from tests.unit.order_executor.desk import D, Desk, approval, fill, order

ENTRY, STOP = order("ENTRY"), order("STOP")
HALTED = TradingStateChanged(state="HALTED", previous="ACTIVE", reason="a drill", author="ada", producer="risk")


def cancel(cl_ord_id: str = "") -> CancelCommanded:
    return CancelCommanded(cl_ord_id=cl_ord_id, reason="a drill", author="ada", producer="ops.cli", id="c1")


def resting() -> Desk:
    return Desk().tell(approval(ord_type="LIMIT", limit_px=D(49_900))).confirm(ENTRY)


def test_a_resting_entry_is_taken_back_at_an_operators_word():
    """Named or among all that rest, the entry is cancelled at the venue, and the answer says which."""
    for word in (cancel(ENTRY), cancel()):
        desk = resting().tell(word)
        assert desk.asked() == [f"cancel:{ENTRY}"]
        assert ENTRY in desk.only(AlertRaised).text


def test_a_halt_takes_resting_entries_back():
    """Whoever halts expects that nothing is bought any more, and an entry that rests would still fill."""
    assert resting().tell(HALTED).asked() == [f"cancel:{ENTRY}"]


def test_an_entry_under_way_is_taken_back_once_it_rests():
    """What the venue has not confirmed cannot be cancelled yet; the word is not forgotten."""
    desk = Desk().tell(approval(ord_type="LIMIT", limit_px=D(49_900))).tell(cancel())
    assert desk.asked() == []
    assert desk.confirm(ENTRY).asked() == [f"cancel:{ENTRY}"]


def test_what_filled_before_it_was_taken_back_is_guarded():
    """The part that was bought in the meantime gets its stop."""
    desk = resting().tell(cancel()).canceled(ENTRY, "0.004", fill("1", ENTRY, "0.004"))
    assert desk.asked() == [f"submit:{STOP}"]


def test_a_stop_is_not_taken_back():
    """An operator cannot leave a position unprotected by mistake; he is told what the order is."""
    desk = Desk().covered().tell(cancel(STOP))
    assert desk.asked() == []
    alert = desk.only(AlertRaised)
    assert (alert.code, alert.severity) == ("COMMAND_WITHOUT_EFFECT", "note")
    assert "STOP" in alert.text


def test_what_is_not_there_is_said():
    """An unknown order, one that is closed, and nothing at rest at all: each answer says which."""
    assert "no order of ours" in Desk().tell(cancel("nobody")).only(AlertRaised).text
    assert "no entry rests" in Desk().tell(cancel()).only(AlertRaised).text
    closed = resting().tell(cancel()).canceled(ENTRY).tell(cancel(ENTRY))
    assert "CANCELED already" in closed.only(AlertRaised).text
