"""What the venue says of our key, our clock, our fees and our markets, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.messages import BreakerChanged, ExecutionReport, GenesisDeclared, OperatorCommanded
from tests.unit.order_executor.desk import BTC, ETH, SECOND, D, Desk, approval, exit_approval, order

RESUME = OperatorCommanded(command="RESUME", reason="it is fine", author="me", producer="ops.cli")


def check(desk: Desk, **changes: Any) -> Desk:
    """The venue is checked (again) and says this."""
    return desk.fire("check").checked(**changes)


def bought(desk: Desk) -> bool:
    """Whether an entry leaves now."""
    desk.price(50_000)
    desk.tell(approval("now", valid_until=desk.now + SECOND))
    return desk.asked() == [f"submit:{order('ENTRY', 'now')}"]


def live() -> Desk:
    """A desk whose book was opened for live trading."""
    desk = Desk()
    desk.state.mode = "live"
    return desk


@pytest.mark.parametrize(
    ("mode", "changes", "safe"),
    [
        ("paper", {}, True),
        ("paper", {"can_withdraw": True}, False),
        ("paper", {"can_withdraw": None, "ip_restricted": None}, True),
        ("paper", {"can_trade": False}, False),
        ("live", {}, True),
        ("live", {"can_withdraw": True}, False),
        ("live", {"can_withdraw": None}, False),
        ("live", {"ip_restricted": False}, False),
        ("live", {"ip_restricted": None}, False),
    ],
)
def test_no_entries_with_a_key_that_is_not_provably_safe(mode, changes, safe):
    """A key that may withdraw opens nothing; in live trading what the venue does not say is taken for the worst."""
    desk = check(live() if mode == "live" else Desk(), **changes)
    assert (("KEY_UNSAFE", "page") in desk.alerts()) is not safe
    assert bought(desk) is safe


def test_the_mode_of_the_book_is_that_of_its_first_genesis():
    """A later genesis does not turn a live book into a paper one."""
    desk = live().tell(GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli"))
    assert desk.state.mode == "live"


def test_an_unsafe_key_is_not_for_an_operator_to_wave_through():
    """RESUME does not make a key safe; a check without findings does."""
    desk = check(Desk(), can_withdraw=True).tell(RESUME)
    assert not bought(desk.checked(can_withdraw=True).account())
    check(desk)
    assert [(each.name, each.state) for each in desk.published(BreakerChanged)] == [("venue_check", "CLOSED")]


def test_an_unsafe_key_still_sells():
    """Exits do not ask what the key may do beside trading."""
    desk = check(Desk().covered(), can_withdraw=True)
    assert desk.tell(exit_approval(valid_until=desk.now + SECOND)).asked() == [f"cancel:{order('STOP')}"]


def test_the_same_findings_page_once():
    """The same findings page once."""
    desk = check(Desk(), can_withdraw=True)
    assert ("KEY_UNSAFE", "page") not in check(desk, can_withdraw=True).alerts()


def test_a_check_nobody_answers_is_repeated_and_a_person_is_told_after_three():
    """A check nobody answers is repeated with patience, and told after three failures."""
    desk = check(Desk(), ok=False)
    assert desk.timers["check"] == desk.now + SECOND
    assert check(desk, ok=False).alerts() == []
    assert check(desk, ok=False).alerts() == [("VENUE_NOT_CHECKED", "ticket")]
    assert check(desk, ok=False).alerts() == []


def test_before_the_first_check_nothing_is_bought():
    """Before the venue was checked nothing is bought."""
    desk = Desk()
    desk.state.checked = False
    desk.tell(approval())
    assert "NOT_CHECKED" in desk.only(ExecutionReport).reason


def test_an_interrupted_check_is_asked_again():
    """An interrupted check is asked again."""
    assert Desk().fire("check").interrupt("check").asked() == ["check"]


@pytest.mark.parametrize(("drift", "told"), [(999, False), (1_001, True), (-1_001, True)])
def test_a_clock_that_drifts_is_told(drift, told):
    """A clock that drifts from the venue's is told."""
    assert (("CLOCK_DRIFT", "ticket") in check(Desk(), clock_drift_ms=drift).alerts()) is told


@pytest.mark.parametrize(("bps", "told"), [(10, False), (11, True)])
def test_fees_above_those_we_size_by_are_told(bps, told):
    """Fees above those we size by are told."""
    assert (("FEES_HIGHER", "ticket") in check(Desk(), taker_bps=D(bps)).alerts()) is told


def test_a_market_the_venue_gives_up_opens_nothing_and_is_told_once_where_we_hold_it():
    """What the venue no longer trades is not bought, and paged once where we hold it; it is not sold by force."""
    desk = check(Desk().covered(), tradable=(ETH,))
    assert desk.alerts() == [("MARKET_CLOSED", "page")]
    assert check(desk, tradable=(ETH,)).alerts() == []
    desk.price(50_000).tell(approval("a2", valid_until=desk.now + SECOND))
    assert "NOT_TRADABLE" in desk.only(ExecutionReport).reason
    desk.stream(desk.shown(order("STOP"), "EXPIRED"))
    assert f"cover:{BTC}" not in desk.timers
    assert not check(desk, tradable=(BTC, ETH)).state.holdings[BTC].market_closed


def test_a_market_that_is_closed_is_asked_about_every_minute():
    """It may open again; nobody should wait an hour for that."""
    desk = check(Desk(), tradable=(ETH,))
    assert desk.timers["check"] == desk.now + 60 * SECOND
    check(desk, tradable=(BTC, ETH))
    assert desk.timers["check"] == desk.now + 3_600 * SECOND
