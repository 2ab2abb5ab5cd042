"""Conversations with the ledger about capital: what people bring in and take out is neither profit nor loss."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import (
    AlertRaised,
    CapitalMoved,
    EquityChanged,
    EventRejected,
    JournalPosted,
    Message,
    ProjectionBreakerChanged,
)
from services.ledger.machine import LedgerMachine
from tests.unit.ledger.conversation import Conversation, marks, reconciled, status, trade

D = Decimal


def moved(asset: str, amount: str, reason: Literal["TRANSFER", "ACCEPTED"] = "TRANSFER") -> CapitalMoved:
    return CapitalMoved(asset=asset, amount=D(amount), reason=reason)


def last(said: list[Message], kind: type[Any]) -> Any:
    return [each for each in said if isinstance(each, kind)][-1]


def kinds(said: list[Message]) -> list[str]:
    return [type(each).__name__ for each in said]


def eager() -> Conversation:
    """A ledger that publishes equity at every change."""
    return Conversation(LedgerMachine.Settings(equity_interval_ns=1))


def test_a_deposit_is_an_adjustment_against_capital() -> None:
    """Asset up, capital up, nothing earned: equity and high-water mark rise together."""
    talk = Conversation().opened(USDT="1000")
    entry, equity = talk.tell(moved("USDT", "500"))
    assert isinstance(entry, JournalPosted)
    assert [(line.account, line.asset, line.amount) for line in entry.postings] == [
        ("asset:USDT", "USDT", D(500)),
        ("equity:capital", "USDT", D(-500)),
    ]
    assert (entry.kind, entry.source_id, entry.memo) == (
        "ADJUSTMENT",
        f"{talk.seq:032x}",
        "500 USDT came in, as the venue told",
    )
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.high_water_mark, equity.drawdown, equity.realized_pnl) == (
        D(1500),
        D(1500),
        D(0),
        D(0),
    )


def test_what_an_operator_accepted_is_capital_too_and_says_so() -> None:
    """The memo tells who stands behind it."""
    entry = Conversation().opened(USDT="1000").tell(moved("USDT", "-1", "ACCEPTED"))[0]
    assert isinstance(entry, JournalPosted)
    assert entry.memo == "1 USDT went out, as an operator accepted"


@pytest.mark.parametrize("amount", ["-40000", "90000"])
def test_a_drawdown_is_the_same_before_and_after_capital_moved(amount: str) -> None:
    """A quarter is lost; neither taking out nearly half of the rest nor doubling it makes that more or less."""
    talk = eager().opened(USDT="40000", BTC="1")
    talk.tell(marks(BTC_USDT=80000.0))
    before = last(talk.tell(marks(BTC_USDT=50000.0)), EquityChanged)
    after = last(talk.tell(moved("USDT", amount)), EquityChanged)
    assert before.drawdown == after.drawdown == D("0.25")
    assert after.equity - before.equity == D(amount)


def test_a_deposit_of_base_currency_is_valued_at_its_mark() -> None:
    """Half a bitcoin at 60,000 is 30,000 of capital; the open position keeps its quantity and average price."""
    talk = Conversation().opened(USDT="100000")
    talk.tell(trade("1", "BUY", "1", "60000"))
    before = talk.books.positions["BTC-USDT"]
    equity = last(talk.tell(moved("BTC", "0.5")), EquityChanged)
    assert (equity.equity, equity.high_water_mark, equity.unrealized_pnl) == (D(130000), D(130000), D(0))
    assert talk.books.positions["BTC-USDT"] == before
    assert talk.books.balances["BTC"] == D("1.5")


def test_a_deposit_without_a_mark_is_capital_once_it_has_one() -> None:
    """Ether arrives before the feed knows its price: equity goes on without it, and its first price is no profit."""
    talk = eager().opened(USDT="1000")
    assert kinds(talk.tell(moved("ETH", "2"))) == ["JournalPosted"]
    still = last(talk.tell(moved("USDT", "1")), EquityChanged)
    assert still.equity == D(1001)
    counted = last(talk.tell(marks(ETH_USDT=3000.0)), EquityChanged)
    assert (counted.equity, counted.high_water_mark, counted.drawdown) == (D(7001), D(7001), D(0))
    fallen = last(talk.tell(marks(ETH_USDT=1500.0)), EquityChanged)
    assert fallen.drawdown > 0


def test_a_deposit_that_no_instrument_values_is_named() -> None:
    """It is owned, it is not part of the equity, and a person is told so; no high-water mark moves."""
    talk = Conversation().opened(USDT="1000")
    said = talk.tell(moved("XYZ", "7"))
    assert kinds(said) == ["JournalPosted", "AlertRaised"]
    assert last(said, AlertRaised).code == "ASSETS_UNVALUED"
    assert talk.books.equity.high_water_mark == D(1000)


def test_a_withdrawal_of_what_a_position_stands_on_is_told() -> None:
    """The coins are gone, the position is not closed: nobody knows at what price it would have been."""
    talk = Conversation().opened(USDT="100000", BTC="0.2")
    talk.tell(trade("1", "BUY", "1", "60000"))
    assert "AlertRaised" not in kinds(talk.tell(moved("BTC", "-0.2")))
    alert = last(talk.tell(moved("BTC", "-0.4")), AlertRaised)
    assert (alert.code, alert.severity, alert.instrument) == ("POSITION_UNCOVERED", "ticket", "BTC-USDT")
    assert "0.6 BTC is owned now, the position is still 1;" in alert.text
    assert talk.books.positions["BTC-USDT"].signed_qty == D(1)


def test_everything_taken_out_and_brought_back_begins_anew() -> None:
    """From nothing there is no proportion: the mark is what is there."""
    talk = eager().opened(USDT="40000", BTC="1")
    talk.tell(marks(BTC_USDT=30000.0))
    assert last(talk.tell(moved("BTC", "-1")), EquityChanged).drawdown == D("0.3")
    empty = last(talk.tell(moved("USDT", "-40000")), EquityChanged)
    assert (empty.equity, empty.drawdown) == (D(0), D(0))
    again = last(talk.tell(moved("USDT", "500")), EquityChanged)
    assert (again.equity, again.high_water_mark, again.drawdown) == (D(500), D(500), D(0))


def test_capital_before_the_opening_is_part_of_the_opening() -> None:
    """The opening balances are read later and hold it: booked twice it would be money that is not there."""
    talk = Conversation()
    talk.tell(status())
    assert talk.tell(moved("USDT", "500")) == []
    talk.tell(reconciled(USDT="500"))
    assert talk.books.balances == {"USDT": D(500)}


def test_a_mismatch_that_is_explained_as_capital_is_gone() -> None:
    """Told as a difference first, then taken into the books: the next comparison finds nothing."""
    talk = Conversation().opened(USDT="100")
    assert kinds(talk.tell(reconciled(USDT="150"))) == ["AlertRaised"]
    talk.tell(moved("USDT", "50", "ACCEPTED"))
    assert talk.tell(reconciled(USDT="150")) == []


@pytest.mark.parametrize(("asset", "amount"), [("USDT", "1E+40"), ("USDT", "1E-30"), ("", "1")])
def test_capital_that_cannot_be_booked_is_refused(asset: str, amount: str) -> None:
    """Figures beyond exact arithmetic, and an amount of nothing in particular."""
    talk = Conversation().opened(USDT="100")
    said = talk.tell(moved(asset, amount))
    assert last(said, EventRejected).reason == "CAPITAL_UNBOOKABLE"
    assert talk.books.balances == {"USDT": D(100)}


amounts = st.decimals(min_value="-500", max_value="500", places=8)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("USDT") | st.just("BTC") | st.just("ETH") | st.just("XYZ"), amounts),
        st.tuples(st.just("mark"), st.integers(1, 100_000)),
        st.tuples(st.just("fill"), st.integers(1, 1_000)),
    ),
    max_size=12,
)


@given(EVENTS)
def test_less_its_capital_the_equity_is_as_if_nobody_had_moved_any(events: list[Any]) -> None:
    """Postings sum to zero in every asset; equity after a move less its value is the equity before; the drawdown stays."""
    talk = eager().opened(USDT="100000", BTC="1")
    for number, (what, figure) in enumerate(events):
        if what == "mark":
            talk.tell(marks(BTC_USDT=float(figure)))
        elif what == "fill":
            talk.tell(trade(str(number), "BUY", "0.01", str(figure)))
        else:
            before, px = talk.books.equity, {"USDT": D(1), "BTC": talk.books.marks["BTC-USDT"]}.get(what, D(0))
            said = talk.tell(moved(what, str(figure)))
            after = talk.books.equity
            assert after.equity - figure * px == before.equity
            assert after.realized_pnl == before.realized_pnl
            if before.equity > 0 and after.equity > 0:
                assert abs(after.drawdown - before.drawdown) <= D("0.00000001")
            for entry in said:
                if isinstance(entry, JournalPosted):
                    assert sum(line.amount for line in entry.postings) == 0
                    assert {line.asset for line in entry.postings} == {what}
    assert all(equity.drawdown >= 0 for equity in talk.said if isinstance(equity, EquityChanged))


# --- the tables ---------------------------------------------------------------------------------------------------------


def _projection(state: Any, reason: str) -> ProjectionBreakerChanged:
    return ProjectionBreakerChanged(state=state, reason=reason, retry_at=0, producer="ledger")


def test_tables_that_lag_are_a_ticket_and_their_return_a_note() -> None:
    """However often it is probed in between, people hear of one outage and of its end."""
    talk = Conversation().opened()
    said = [
        talk.tell(_projection(state, f"reason {place}"))
        for place, state in enumerate(["OPEN", "HALF_OPEN", "OPEN", "HALF_OPEN", "CLOSED", "CLOSED", "OPEN"])
    ]
    alerts = [each for part in said for each in part if isinstance(each, AlertRaised)]
    assert [(each.code, each.severity) for each in alerts] == [
        ("PROJECTION_DOWN", "ticket"),
        ("PROJECTION_UP", "note"),
        ("PROJECTION_DOWN", "ticket"),
    ]
    assert alerts[0].text == "the SQL tables lag, trading goes on: reason 0"


# --- orders placed by hand ----------------------------------------------------------------------------------------------


def test_a_position_closed_by_hand_realises_its_profit() -> None:
    """An order nobody here asked for, adopted as an EXIT: its fill is a fill, and one exec_id is booked once."""
    talk = Conversation().opened(USDT="100000")
    talk.tell(trade("1", "BUY", "1", "60000"))
    by_hand = trade("2", "SELL", "1", "61000", role="EXIT", intent_id="venue-77", cl_ord_id="web_77")
    said = talk.tell(by_hand)
    assert kinds(said) == ["JournalPosted", "PositionChanged", "EquityChanged"]
    assert (said[1].signed_qty, said[1].realized_pnl) == (D(0), D(1000))  # type: ignore[attr-defined]
    assert talk.tell(by_hand) == []


def test_selling_by_hand_more_than_the_position_is_booked_as_it_was() -> None:
    """What was owned before the opening went too: the books say so instead of hiding it, and the balances are right."""
    talk = Conversation().opened(USDT="100000", BTC="1")
    talk.tell(trade("1", "BUY", "1", "60000"))
    talk.tell(trade("2", "SELL", "2", "60000", role="EXIT", intent_id="venue-78"))
    assert talk.books.balances == {"BTC": D(0), "USDT": D(160000)}
    assert talk.books.positions["BTC-USDT"].signed_qty == D(-1)
