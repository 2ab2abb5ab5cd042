"""Our own eyes on the price, and how long a part of a position may stand without cover."""

from __future__ import annotations

from decimal import Decimal as D

from services.order_executor.guards import uncovered
from services.order_executor.requests import CancelOrder, SubmitOrder
from tests.unit.order_executor.desk import BTC, MS, SECOND, Desk, approval, fill, order

ENTRY, STOP, STOP1, EXIT = order("ENTRY"), order("STOP"), order("STOP", attempt=1), order("EXIT")


def test_a_stop_that_should_have_sold_has_two_seconds_and_is_then_taken_into_our_own_hands():
    """A stop that should have sold has two seconds; then it is taken back and the position is sold at market."""
    desk = Desk().covered().price(48_990)
    assert desk.asked() == []
    assert desk.timers[f"soft:{BTC}"] == desk.now + 2 * SECOND
    desk.fire(f"soft:{BTC}")
    assert desk.alerts() == [("SOFTWARE_STOP", "page")]
    assert desk.request(CancelOrder).cl_ord_id == STOP
    sent = desk.canceled(STOP).request(SubmitOrder)
    assert (sent.cl_ord_id, sent.ord_type, sent.order_qty) == (EXIT, "MARKET", D("0.01"))


def test_a_stop_limit_that_was_jumped_over_is_sold_by_ourselves():
    """A stop limit that was triggered and jumped over is sold by ourselves."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-1013").confirm(STOP1).price(48_000)
    desk.fire(f"soft:{BTC}").canceled(STOP1)
    assert desk.request(SubmitOrder).ord_type == "MARKET"


def test_a_price_that_recovers_in_time_sells_nothing():
    """A price that recovers in time sells nothing."""
    desk = Desk().covered().price(48_990).price(49_010)
    assert f"soft:{BTC}" not in desk.timers
    assert desk.state.holdings[BTC].breached_since == 0


def test_a_stop_that_sells_in_time_needs_no_help():
    """A stop that sells in time needs no help."""
    desk = Desk().covered().price(48_990)
    desk.stream(desk.shown(STOP, "FILLED", "0.01"), desk.sold("s", STOP, "0.01")).fire(f"soft:{BTC}")
    assert desk.asked() == []
    assert desk.alerts() == []


def test_the_protective_price_counts_not_the_trusted_one():
    """The protective price counts, not the trusted one, which stands still in doubt."""
    desk = Desk().covered().price(50_000, protective=48_990.0, trust="QUARANTINED")
    assert f"soft:{BTC}" in desk.timers


def test_where_no_stop_rests_there_is_nothing_to_wait_for():
    """Below the stop and without a guard the position is sold at once."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-2015").answer(STOP1, "REJECTED", code="-2015")
    assert desk.price(48_990).alerts() == [("SOFTWARE_STOP", "page")]
    assert desk.request(SubmitOrder).ord_type == "MARKET"


def test_the_next_position_has_its_own_two_seconds():
    """A breach of the last position says nothing of the next."""
    desk = Desk().covered().price(48_990)
    desk.stream(desk.shown(STOP, "FILLED", "0.01"), desk.sold("s", STOP, "0.01"))
    assert desk.state.holdings[BTC].breached_since == 0


def test_a_position_without_cover_for_too_long_is_sold():
    """A position without cover for `cover_ms_max` is sold by force, and a person is paged."""
    desk = Desk().bought().answer(STOP, "REJECTED", code="-2015").answer(STOP1, "REJECTED", code="-2015")
    assert desk.timers[f"cover:{BTC}"] == desk.now + 10 * SECOND
    desk.fire(f"cover:{BTC}")
    assert ("UNCOVERED", "page") in desk.alerts()
    assert desk.request(SubmitOrder).ord_type == "MARKET"


def test_the_deadline_does_not_wait_for_a_stop_of_unknown_fate_but_takes_it_back_first():
    """A stop nobody answered for is no cover: when time is up it is taken back, once it can no longer arrive, and then we sell."""
    desk = Desk().bought().answer(STOP, "UNKNOWN", code="TIMEOUT").fire(f"cover:{BTC}")
    assert desk.asked() == [f"cancel:{STOP}"]
    desk.answer(STOP, "REJECTED", kind="cancel", code="-2011")
    sent = desk.request(SubmitOrder)
    assert (sent.ord_type, sent.order_qty) == ("MARKET", D("0.01"))


def test_before_a_lost_stop_can_no_longer_arrive_nothing_is_sold_beside_it():
    """Within the receive window of a lost stop nothing is sold beside it, even by force."""
    desk = Desk(cover_ms_max=2_000).bought().answer(STOP, "UNKNOWN", code="TIMEOUT").fire(f"cover:{BTC}")
    assert desk.asked() == []
    assert desk.timers[f"protect:{BTC}"] == desk.state.orders[STOP].sent_at + 6_000 * MS + 1
    assert desk.fire(f"protect:{BTC}").asked() == [f"cancel:{STOP}"]


def test_a_covered_position_has_no_deadline():
    """A covered position has no deadline."""
    assert f"cover:{BTC}" not in Desk().covered().timers


def test_parts_that_are_covered_one_after_the_other_never_add_up_to_a_deadline():
    """An entry that trickles in is always a part short, but never of the same part for long: nothing is sold for that."""
    desk = Desk(guards_max=10).tell(approval()).confirm(ENTRY)
    for number in range(6):
        cum = D("0.001") * (number + 1)
        desk.after(3).stream(desk.shown(ENTRY, "PARTIALLY_FILLED", str(cum)), fill(str(number), ENTRY, "0.001"))
        assert uncovered(desk.state)
        assert desk.now - desk.state.holdings[BTC].naked_since <= 3 * SECOND
        if number:
            desk.confirm(order("STOP", attempt=number - 1))  # the one before it; its own is on the way
    assert desk.now < desk.timers[f"cover:{BTC}"]


def test_a_target_the_venue_does_not_hold_is_taken_by_ourselves():
    """Where no target rests at the venue, we take the profit ourselves."""
    desk = Desk(pairs=False).tell(approval(target_px=D(52_000)))
    desk.confirm(ENTRY, fill("1", ENTRY, "0.01"), status="FILLED").confirm(STOP)
    assert desk.price(51_999).asked() == []
    assert desk.price(52_001, trust="QUARANTINED").asked() == []
    assert desk.price(52_001).asked() == [f"cancel:{STOP}"]
    assert desk.alerts() == [("TARGET_REACHED", "note")]


def test_a_part_that_lost_its_target_to_a_replacement_is_watched_by_us_beside_a_pair():
    """A second entry moves the target: the first part keeps only a stop, so at the target we sell, although a pair rests beside it."""
    desk = Desk().targeted().tell(approval("a2", target_px=D(53_000)))
    desk.confirm(order("ENTRY", "a2"), fill("2", order("ENTRY", "a2"), "0.01"), status="FILLED")
    desk.pair(order("STOP", "a2")).replaced(order("STOP", "a2", 1))
    assert uncovered(desk.state) == {}
    assert desk.price(53_001).alerts() == [("TARGET_REACHED", "note")]
