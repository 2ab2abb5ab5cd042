"""Breakers hold back entries, tell a person why, and never an exit, a cancel or a question."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.common.messages import BreakerChanged, ExecutionReport, OperatorCommanded, ServiceStopping
from services.order_executor import breakers
from tests.unit.order_executor.desk import BTC, SECOND, Desk, approval, exit_approval, fill, order

EXIT = order("EXIT", "x1")
RESUME = OperatorCommanded(command="RESUME", reason="looked at it", author="me", producer="ops.cli")


def wish(desk: Desk, intent: str) -> Desk:
    """An approval that is valid now."""
    return desk.tell(approval(intent, valid_until=desk.now + 10 * SECOND))


def refused(desk: Desk) -> str:
    """Why the last approval was not acted on."""
    return desk.only(ExecutionReport).reason


def rejecting(desk: Desk, count: int = 5) -> Desk:
    """The venue has refused so many entries in a row on their merits."""
    for number in range(count):
        wish(desk, f"r{number}").answer(order("ENTRY", f"r{number}"), "REJECTED", code="-1013")
    return desk


def losing(desk: Desk, count: int) -> Desk:
    """So many positions in a row were stopped out."""
    for number in range(count):
        name, stop = f"l{number}", order("STOP", f"l{number}")
        wish(desk, name).confirm(
            order("ENTRY", name), fill(f"b{number}", order("ENTRY", name), "0.01"), status="FILLED"
        )
        desk.confirm(stop).stream(desk.shown(stop, "FILLED", "0.01"), desk.sold(f"s{number}", stop, "0.01"))
    return desk


def test_five_refusals_in_a_row_hold_back_the_sixth_entry_and_no_exit():
    """Five refusals in a row hold back the sixth entry, and no exit."""
    desk = rejecting(Desk().covered())
    assert [(each.name, each.state) for each in desk.published(BreakerChanged)] == [("rejects", "OPEN")]
    assert "BREAKER_OPEN" in refused(wish(desk, "a9"))
    assert desk.tell(exit_approval(valid_until=desk.now + SECOND)).asked() == [f"cancel:{order('STOP')}"]
    assert desk.canceled(order("STOP")).asked() == [f"submit:{EXIT}"]


def test_an_accepted_entry_between_refusals_begins_the_count_anew():
    """An accepted entry between refusals begins the count anew."""
    desk = rejecting(rejecting(Desk(), 4).bought("0.01", "ok").confirm(order("STOP", "ok")), 0)
    wish(desk, "a8").answer(order("ENTRY", "a8"), "REJECTED", code="-1013")
    assert desk.published(BreakerChanged) == []


def test_after_its_pause_one_entry_is_the_probe_and_its_acceptance_closes_the_breaker():
    """After its pause one entry is the probe: others wait for its answer, and its acceptance closes the breaker."""
    desk = rejecting(Desk()).fire("breaker:rejects")
    assert [each.state for each in desk.published(BreakerChanged)] == ["HALF_OPEN"]
    assert wish(desk, "p1").asked() == [f"submit:{order('ENTRY', 'p1')}"]
    assert "BREAKER_OPEN" in refused(wish(desk, "p2"))
    desk.confirm(order("ENTRY", "p1"))
    assert [each.state for each in desk.published(BreakerChanged)] == ["CLOSED"]
    assert wish(desk, "p3").asked() == [f"submit:{order('ENTRY', 'p3')}"]


def test_a_probe_that_is_refused_opens_the_breaker_for_longer():
    """A probe that is refused opens the breaker again, for twice as long."""
    desk = rejecting(Desk()).fire("breaker:rejects")
    wish(desk, "p1").answer(order("ENTRY", "p1"), "REJECTED", code="-1013")
    (changed,) = desk.published(BreakerChanged)
    assert (changed.state, changed.retry_at) == ("OPEN", desk.now + 10 * SECOND)


def test_a_probe_that_was_never_sent_proves_nothing_and_the_next_entry_is_it():
    """A probe that was too old to be sent proves nothing, and the next entry is the probe."""
    desk = rejecting(Desk()).fire("breaker:rejects")
    wish(desk, "p1").expire(f"submit:{order('ENTRY', 'p1')}")
    assert wish(desk, "p2").asked() == [f"submit:{order('ENTRY', 'p2')}"]


def test_a_venue_that_does_not_answer_opens_the_breaker_of_its_class_of_call():
    """Failed questions in a row open the breaker of questions; the look-ups themselves go on."""
    desk = Desk().uncertain()
    for _ in range(5):
        desk.fire(f"look:{order('ENTRY')}").look(order("ENTRY"), "FAILED")
    assert [(each.name, each.state) for each in desk.published(BreakerChanged)] == [("query", "OPEN")]
    assert desk.fire(f"look:{order('ENTRY')}").asked() == [f"lookup:{order('ENTRY')}"]


def test_losses_in_a_row_pause_entries_and_the_pause_ends_by_itself():
    """Losses in a row pause entries for a while, with a page; when the pause is over, it is over."""
    desk = losing(Desk(losses_in_a_row_max=2), 2)
    assert ("LOSSES_IN_A_ROW", "page") in desk.alerts()
    assert "losses" in refused(wish(desk, "a9"))
    desk.fire("breaker:losses")
    assert [each.state for each in desk.published(BreakerChanged)] == ["CLOSED"]


def test_a_win_between_losses_begins_the_count_anew():
    """A win between losses begins the count anew."""
    desk = losing(Desk(losses_in_a_row_max=2), 1).bought("0.01", "w").confirm(order("STOP", "w"))
    stop = order("STOP", "w")
    desk.stream(desk.shown(stop, "FILLED", "0.01"), desk.sold("win", stop, "0.01", px=D(51_000)))
    assert desk.state.losses == 0


def test_a_process_that_keeps_crashing_opens_nothing_until_an_operator_says_resume():
    """A crash loop latches: neither time nor a good start ends it, only RESUME does."""
    desk = Desk(crash_starts_max=2)
    for _ in range(3):
        desk.started()
    assert ("CRASH_LOOP", "page") in desk.alerts()
    assert "breaker:crash_loop" not in desk.timers
    desk.after(7_200).checked().account().fire("reconcile").account().price(50_000)
    assert "crash_loop" in refused(wish(desk, "a8"))
    desk.tell(RESUME)
    assert [(each.name, each.state) for each in desk.published(BreakerChanged)] == [("crash_loop", "CLOSED")]
    assert wish(desk, "a9").asked() == [f"submit:{order('ENTRY', 'a9')}"]


def test_planned_stops_are_no_crashes():
    """A start after a planned stop is no crash."""
    desk = Desk(crash_starts_max=2)
    for _ in range(5):
        desk.tell(ServiceStopping(instance="i")).started()
    assert desk.state.starts == []


def test_starts_long_ago_are_forgotten():
    """Starts longer ago than the window are forgotten."""
    desk = Desk(crash_starts_max=2)
    for _ in range(5):
        desk.after(400).started()
        assert ("CRASH_LOOP", "page") not in desk.alerts()


def test_a_breaker_that_breaks_holds_back_entries_and_nothing_else(monkeypatch):
    """A defect in a breaker holds back entries and nothing else."""
    desk = Desk().covered()

    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(breakers, "blocking", broken)
    assert "ZeroDivisionError" in refused(desk.tell(approval("a2")))
    desk.tell(exit_approval()).canceled(order("STOP"))
    assert desk.asked() == [f"submit:{EXIT}"]


@pytest.mark.parametrize("first", ["submit", "rejects"])
def test_where_one_probe_is_under_way_no_other_breaker_loses_its_own(first):
    """An entry held back by one breaker's probe does not use up the probe of the other."""
    desk = Desk()
    for name in (first, "rejects" if first == "submit" else "submit"):
        desk.state.breakers[name] = breakers.Breaker(state="HALF_OPEN", since=desk.now)
    desk.state.breakers[first].probe_since = desk.now
    assert "BREAKER_OPEN" in refused(wish(desk, "a1"))
    other = next(name for name in ("submit", "rejects") if name != first)
    assert desk.state.breakers[other].probe_since is None
    assert BTC not in desk.state.holdings or not desk.state.holdings[BTC].qty
