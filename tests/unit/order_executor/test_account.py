"""When the account is read, and what may be said about it."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec

from libs.common.messages import (
    GenesisDeclared,
    Reconciled,
    ServiceStarted,
    UserStreamChanged,
    VenueOrder,
)
from libs.runtime.machine import SetTimer
from services.order_executor.requests import ReadAccount
from tests.unit.order_executor.desk import BTC, ETH, MS, SECOND, Desk, approval, fill, order

ENTRY, STOP = order("ENTRY"), order("STOP")
STARTED = ServiceStarted(instance="i", code_version="c", settings={}, state_digest="d")
GENESIS = GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli")


def foreign(desk: Desk) -> VenueOrder:
    """Somebody's open order."""
    return VenueOrder(
        cl_ord_id="web",
        venue_order_id="v-web",
        instrument=BTC,
        side="SELL",
        ord_type="LIMIT",
        ord_status="NEW",
        order_qty=D("0.5"),
        cum_qty=D(0),
        limit_px=D(60_000),
        stop_px=None,
        ts_event=desk.now,
    )


def test_genesis_takes_the_balances_of_two_equal_readings_as_the_opening():
    """Genesis reads the account until two readings in a row show the same, and opens the book with those balances."""
    desk = Desk(opened=False).tell(GENESIS)
    assert desk.request(ReadAccount).instruments == (BTC, ETH)
    for usdt in ("900", "1000"):
        desk.account(usdt=usdt, btc="2")
        assert desk.published(Reconciled) == []
        assert not desk.state.opened
        desk.fire("reconcile")
    desk.account(usdt="1000", btc="2")
    said = desk.only(Reconciled)
    assert (said.clean, said.mismatches) == (True, ())
    assert {each.asset: each.free for each in said.balances} == {"BTC": D(2), "USDT": D(1000)}
    assert desk.state.opening == {"BTC": D(2), "USDT": D(1000)}


def test_before_genesis_a_start_reads_nothing():
    """Before genesis a start reads nothing."""
    Desk(opened=False).tell(STARTED).expect()
    Desk(opened=False).tell(UserStreamChanged(connected=True, reason="")).expect()


def test_every_start_reads_the_account_and_every_minute_does():
    """Every start reads the account twice before books and venue agree, and every minute once."""
    desk = Desk().tell(STARTED)
    desk.expect(
        SetTimer("reconcile", desk.now + 60 * SECOND),
        desk.effects[1],
        SetTimer("check", desk.now + 3_600 * SECOND),
        desk.effects[3],
    )
    assert desk.asked() == ["account", "check"]
    desk.account()
    assert desk.published(Reconciled) == []
    assert not desk.state.reconciled
    desk.fire("reconcile").account()
    assert desk.only(Reconciled).clean
    assert desk.fire("reconcile").asked() == ["account"]


def test_a_reconnected_user_stream_reads_the_account_and_a_lost_one_says_nothing():
    """A reconnected user stream reads the account and a lost one says nothing."""
    desk = Desk().tell(UserStreamChanged(connected=False, reason="reset"))
    desk.expect()
    assert desk.tell(UserStreamChanged(connected=True, reason="")).asked() == ["account"]


def test_a_reading_asked_for_during_another_follows_it():
    """A reading asked for during another follows it."""
    desk = Desk().tell(STARTED).tell(UserStreamChanged(connected=True, reason=""))
    desk.expect()
    assert desk.account().asked() == ["account"]
    assert desk.account().asked() == []


def test_an_interrupted_or_outdated_reading_is_asked_again():
    """An interrupted or outdated reading is asked again."""
    desk = Desk().tell(STARTED).interrupt("account")
    assert desk.asked() == ["account"]
    assert desk.expire("account").asked() == ["account"]


def test_a_failed_reading_says_nothing_and_is_repeated_more_and_more_slowly():
    """A failed reading says nothing and is repeated more and more slowly."""
    desk = Desk().tell(STARTED)
    waits = []
    for _ in range(7):
        desk.account(ok=False)
        assert desk.published(Reconciled) == []
        waits.append((desk.timers["reconcile"] - desk.now) // MS)
        desk.fire("reconcile")
    assert waits == [1_000, 2_000, 5_000, 10_000, 30_000, 30_000, 30_000]


def test_history_before_genesis_is_nobodys_and_later_readings_begin_behind_it():
    """History before genesis is nobody's and later readings begin behind it."""
    desk = Desk(opened=False).tell(GENESIS).account(fill("9", "web", "1"), fill("10", "web", "1"), usdt="1000")
    assert desk.alerts() == []
    desk.fire("reconcile")
    assert desk.request(ReadAccount).fills_after == {BTC: "10"}
    assert desk.account(fill("10", "web", "1"), usdt="1000").alerts() == []


def test_a_position_explained_by_our_fills_is_clean():
    """A position explained by our fills is clean."""
    desk = Desk().covered()
    desk.fire("reconcile").account(usdt="999500", btc="0.01", orders=(desk.shown(STOP),))
    assert desk.only(Reconciled).clean


def test_fees_are_part_of_what_is_expected():
    """Fees are part of what is expected."""
    desk = Desk().tell(approval())
    paid = fill("1", ENTRY, "0.01", commission=D("0.00001"), commission_asset="BTC")
    desk.confirm(ENTRY, paid, status="FILLED").confirm(STOP)
    desk.fire("reconcile").account(usdt="999500", btc="0.00999", orders=(desk.shown(STOP),))
    assert desk.only(Reconciled).clean


def test_a_difference_is_said_only_when_it_is_seen_twice_and_paged_once():
    """A difference is said only when it is seen twice and paged once."""
    desk = Desk().fire("reconcile").account(btc="0.5")
    assert desk.published(Reconciled) == []
    assert desk.timers["reconcile"] == desk.now + 200 * MS
    desk.fire("reconcile").account(btc="0.5")
    assert desk.only(Reconciled).mismatches == ("balance BTC: venue 0.5, expected 0",)
    assert desk.alerts() == [("NOT_RECONCILED", "page")]
    desk.tell(approval(valid_until=desk.now + SECOND))
    assert desk.reports() == [("ENTRY", "REJECTED", "REJECTED")]
    desk.fire("reconcile").account(btc="0.5")
    assert (desk.only(Reconciled).clean, desk.alerts()) == (False, [])
    desk.fire("reconcile").account()
    assert desk.only(Reconciled).clean


def test_a_difference_that_goes_away_is_never_mentioned():
    """A difference that goes away is never mentioned."""
    desk = Desk().fire("reconcile").account(btc="0.5").fire("reconcile").account()
    assert desk.only(Reconciled).clean


def test_a_foreign_open_order_is_a_ticket_and_a_mismatch():
    """A foreign open order is a ticket and a mismatch."""
    desk = Desk()
    desk.fire("reconcile").account(orders=(foreign(desk),))
    assert desk.alerts() == [("FOREIGN_ORDER", "ticket")]
    desk.fire("reconcile").account(orders=(foreign(desk),))
    assert desk.only(Reconciled).mismatches == (f"foreign order v-web: SELL 0.5 {BTC}",)


def test_a_foreign_execution_is_a_ticket_once():
    """A foreign execution is a ticket once."""
    desk = Desk().fire("reconcile").account(fill("9", "web", "0.5", venue_order_id="v-web"), btc="0.5")
    assert desk.alerts() == [("FOREIGN_FILL", "ticket")]
    desk.fire("reconcile").account(fill("9", "web", "0.5", venue_order_id="v-web"), btc="0.5")
    assert [code for code, _ in desk.alerts()] == ["NOT_RECONCILED"]


def test_a_missed_fill_is_booked_and_the_account_read_again_before_anything_is_said():
    """A missed fill is booked and the account read again before anything is said."""
    desk = Desk().covered().fire("reconcile")
    desk.account(desk.sold("s", STOP, "0.01"), usdt="999990", btc="0")
    assert desk.reports() == [("STOP", "TRADE", "FILLED")]
    assert desk.published(Reconciled) == []
    desk.fire("reconcile").account(desk.sold("s", STOP, "0.01"), usdt="999990")
    assert desk.only(Reconciled).clean


def test_nothing_is_compared_while_an_order_is_under_way():
    """Nothing is compared while an order is under way."""
    desk = Desk().tell(approval()).tell(STARTED)
    for _ in range(3):
        desk.account()
        assert desk.published(Reconciled) == []
        desk.fire("reconcile")


def test_what_moved_during_the_reading_is_not_compared():
    """What moved during the reading is not compared."""
    desk = Desk().tell(UserStreamChanged(connected=True, reason="")).bought().confirm(STOP).account()
    assert desk.published(Reconciled) == []
    assert f"look:{STOP}" not in desk.timers


def test_an_order_the_venue_does_not_list_is_asked_about_and_never_guessed():
    """An order the venue does not list is asked about and never guessed."""
    desk = Desk().covered().fire("reconcile").account(usdt="999500", btc="0.01")
    assert desk.reports() == []
    assert f"look:{STOP}" in desk.timers
    desk.fire(f"look:{STOP}").look(STOP, "FOUND", status="CANCELED")
    assert desk.reports() == [("STOP", "CANCELED", "CANCELED")]
    assert desk.asked() == [f"submit:{order('STOP', attempt=1)}"]


def test_an_order_the_venue_has_lost_is_given_up_only_with_the_same_proof_as_an_unknown_one():
    """An order the venue has lost is given up only with the same proof as an unknown one."""
    desk = Desk().covered().after(60).fire("reconcile").account(usdt="999500", btc="0.01")
    desk.fire(f"look:{STOP}").look(STOP, "NOT_FOUND").fire(f"look:{STOP}").look(STOP, "NOT_FOUND")
    assert desk.asked() == ["account"]
    desk.account(usdt="999500", btc="0.01")
    assert ("ORDER_VANISHED", "page") in desk.alerts()
    assert ("STOP", "CANCELED", "CANCELED") in desk.reports()
    assert desk.asked() == [f"submit:{order('STOP', attempt=1)}"]


def test_an_order_closed_here_and_open_there_is_a_mismatch():
    """An order closed here and open there is a mismatch."""
    desk = Desk().covered()
    shown = desk.shown(STOP)
    desk.stream(desk.shown(STOP, "CANCELED")).confirm(order("STOP", attempt=1))
    again = desk.shown(order("STOP", attempt=1))
    for _ in range(2):
        desk.fire("reconcile").account(usdt="999500", btc="0.01", orders=(shown, again))
    assert desk.only(Reconciled).mismatches == (f"order {STOP} is CANCELED here and open at the venue",)


def test_an_unknown_order_seen_open_in_the_account_is_known():
    """An unknown order seen open in the account is known."""
    desk = Desk().uncertain().fire("reconcile")
    desk.account(orders=(desk.shown(ENTRY),))
    assert desk.reports() == [("ENTRY", "NEW", "NEW")]


def test_an_instrument_off_the_list_is_still_read_while_it_is_remembered():
    """An instrument off the list is still read while it is remembered."""
    desk = Desk().covered()
    desk.machine.settings = msgspec.structs.replace(desk.machine.settings, instruments=(ETH,))
    assert desk.fire("reconcile").request(ReadAccount).instruments == (ETH, BTC)


def test_a_second_genesis_does_not_move_the_opening():
    """A second genesis does not move the opening."""
    desk = Desk().tell(GENESIS).account(btc="1").fire("reconcile").account(btc="1")
    assert desk.state.opening["BTC"] == 0
    assert not desk.only(Reconciled).clean


def test_rejecting_approvals_is_no_activity():
    """Rejecting approvals is no activity."""
    desk = Desk().fire("reconcile")
    assert desk.tell(approval(valid_until=1)).account().only(Reconciled).clean
