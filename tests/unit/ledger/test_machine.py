"""Conversations with the ledger: opening, fills, equity, comparison with the venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import (
    AlertRaised,
    EquityChanged,
    EventRejected,
    FeedMarks,
    JournalPosted,
    Mark,
    Message,
    PositionChanged,
    Reconciled,
    ServiceStarted,
)
from services.ledger.machine import LedgerMachine
from services.ledger.settings import Settings
from tests.unit.ledger.conversation import SECOND, START, Conversation, marks, reconciled, status, trade

D = Decimal


def kinds(said: list[Message]) -> list[str]:
    return [type(message).__name__ for message in said]


def lines(entry: Message) -> list[tuple[str, str, str]]:
    assert isinstance(entry, JournalPosted)
    return [(line.account, line.asset, str(line.amount)) for line in entry.postings]


def reason(said: list[Message]) -> str:
    assert kinds(said) == ["EventRejected", "AlertRaised"]
    assert isinstance(said[0], EventRejected)
    return said[0].reason


# --- opening ------------------------------------------------------------------------------------------------------------


def test_the_first_clean_reconciliation_opens_the_books() -> None:
    """What the venue says we own is debited to assets and credited to the opening equity, asset by asset."""
    talk = Conversation()
    talk.tell(status())
    talk.tell(marks(BTC_USDT=60000.0))
    entry, equity = talk.tell(reconciled(USDT="10000.50", BTC="0.10", DUST="0"))
    assert lines(entry) == [
        ("asset:BTC", "BTC", "0.1"),
        ("equity:opening", "BTC", "-0.1"),
        ("asset:USDT", "USDT", "10000.5"),
        ("equity:opening", "USDT", "-10000.5"),
    ]
    assert isinstance(entry, JournalPosted)
    assert (entry.kind, entry.instrument, entry.source_id) == ("OPENING", "", f"{talk.seq:032x}")
    assert isinstance(equity, EquityChanged)
    assert (equity.balance, equity.equity, equity.high_water_mark, equity.drawdown) == (
        D("10000.5"),
        D("16000.5"),
        D("16000.5"),
        D(0),
    )


def test_books_are_opened_once() -> None:
    """A second reconciliation with the same balances says nothing."""
    talk = Conversation().opened(USDT="100")
    assert talk.tell(reconciled(USDT="100")) == []


def test_an_unexplained_reconciliation_does_not_open_the_books() -> None:
    """What nobody can explain yet must not become the opening balance; the next clean one opens."""
    talk = Conversation()
    talk.tell(status())
    assert talk.tell(reconciled(clean=False, USDT="100")) == []
    assert kinds(talk.tell(reconciled(USDT="100"))) == ["JournalPosted", "EquityChanged"]


def test_a_reconciliation_without_balances_opens_nothing() -> None:
    """No balances means that none were read, not that we own nothing."""
    talk = Conversation()
    assert talk.tell(Reconciled(clean=True, balances=(), mismatches=())) == []
    assert not talk.books.is_open


def test_an_account_that_owns_nothing_can_be_opened() -> None:
    """An empty account is a fact too: its opening entry has no lines."""
    talk = Conversation()
    talk.tell(status())
    entry, equity = talk.tell(reconciled(USDT="0"))
    assert lines(entry) == []
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.drawdown) == (D(0), D(0))


def test_equity_waits_for_what_it_lacks() -> None:
    """Opened before the feed has spoken: equity follows once the currency and a mark for everything owned are known."""
    talk = Conversation()
    assert kinds(talk.tell(reconciled(USDT="100", BTC="1"))) == ["JournalPosted"]
    assert talk.tell(status()) == []
    (equity,) = talk.tell(marks(BTC_USDT=50000.0))
    assert isinstance(equity, EquityChanged)
    assert equity.equity == D(50100)


def test_assets_without_an_instrument_are_left_out_and_named_once() -> None:
    """Foreign coins are not valued at a guess; a person is told which."""
    talk = Conversation()
    talk.tell(status())
    _, equity, alert = talk.tell(reconciled(USDT="100", XYZ="5", ABC="1"))
    assert isinstance(equity, EquityChanged)
    assert equity.equity == D(100)
    assert isinstance(alert, AlertRaised)
    assert (alert.code, alert.severity) == ("ASSETS_UNVALUED", "note")
    assert "ABC, XYZ" in alert.text
    assert kinds(talk.tell(trade("1", "BUY", "0.001", "60000"))) == [
        "JournalPosted",
        "PositionChanged",
        "EquityChanged",
    ]


def test_an_account_full_of_coins_is_named_briefly() -> None:
    """A test account with hundreds of coins does not make an alert of hundreds of names."""
    talk = Conversation()
    talk.tell(status())
    alert = talk.tell(reconciled(USDT="1", **{f"C{number:03}": "1" for number in range(300)}))[-1]
    assert isinstance(alert, AlertRaised)
    assert alert.text.endswith("C019 and 280 more")


# --- fills --------------------------------------------------------------------------------------------------------------


def test_a_buy_with_commission_in_base() -> None:
    """Base arrives net of the commission, quote leaves, and the clearing account of the instrument holds the other sides."""
    talk = Conversation().opened(USDT="100000")
    entry, position, equity = talk.tell(trade("11", "BUY", "0.5", "60000", "0.0005", "BTC"))
    assert lines(entry) == [
        ("asset:BTC", "BTC", "0.5"),
        ("trading:BTC-USDT", "BTC", "-0.5"),
        ("asset:USDT", "USDT", "-30000"),
        ("trading:BTC-USDT", "USDT", "30000"),
        ("fees:BTC", "BTC", "0.0005"),
        ("asset:BTC", "BTC", "-0.0005"),
    ]
    assert isinstance(entry, JournalPosted)
    assert (entry.kind, entry.source_id, entry.instrument) == ("FILL", "11", "BTC-USDT")
    assert isinstance(position, PositionChanged)
    assert (position.signed_qty, position.avg_entry_px, position.commission) == (D("0.4995"), D(60000), D(30))
    assert (position.exec_id, position.cl_ord_id) == ("11", "a" * 32)
    assert isinstance(equity, EquityChanged)
    assert (equity.balance, equity.equity, equity.unrealized_pnl) == (D(70000), D(99970), D(0))
    assert equity.drawdown == D("0.0003")


def test_a_fill_tells_its_own_story() -> None:
    """Entry, position and equity carry the correlation of the fill's report, so that a trace reaches the posting."""
    talk = Conversation().opened()
    said = talk.tell(trade("11", "BUY", "0.5", "60000", correlation_id="d" * 32))
    assert [message.correlation_id for message in said] == ["d" * 32] * 3


def test_a_round_trip_realises_its_profit() -> None:
    """Bought at 60,000 and sold at 61,000: the profit is realised gross, the commissions stand beside it."""
    talk = Conversation().opened(USDT="100000")
    talk.tell(trade("1", "BUY", "1", "60000", "60"))
    entry, position, equity = talk.tell(trade("2", "SELL", "1", "61000", "61", role="EXIT"))
    assert lines(entry)[:2] == [("asset:BTC", "BTC", "-1"), ("trading:BTC-USDT", "BTC", "1")]
    assert isinstance(position, PositionChanged)
    assert (position.signed_qty, position.realized_pnl, position.commission) == (D(0), D(1000), D(121))
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.realized_pnl, equity.high_water_mark) == (D(100879), D(1000), D(100879))


def test_a_commission_in_a_third_currency_is_valued_at_its_mark() -> None:
    """Paid in BNB: BNB leaves the books, and the position's commission is its value in quote currency."""
    talk = Conversation()
    talk.tell(status("BTC-USDT", "BNB-USDT"))
    talk.tell(marks(BTC_USDT=60000.0, BNB_USDT=500.0))
    talk.tell(reconciled(USDT="100000", BNB="10"))
    entry, position, equity = talk.tell(trade("1", "BUY", "1", "60000", "0.1", "BNB"))
    assert lines(entry)[-2:] == [("fees:BNB", "BNB", "0.1"), ("asset:BNB", "BNB", "-0.1")]
    assert isinstance(position, PositionChanged)
    assert (position.signed_qty, position.commission) == (D(1), D(50))
    assert isinstance(equity, EquityChanged)
    assert equity.equity == D(104950)


def test_a_commission_nobody_can_value_is_booked_and_said() -> None:
    """Without a mark the coins still leave the books; only the position's figure lacks them, and an alert says so."""
    talk = Conversation().opened(USDT="100000", BNB="10")
    said = talk.tell(trade("1", "BUY", "1", "60000", "0.1", "BNB"))
    assert kinds(said) == ["JournalPosted", "PositionChanged", "AlertRaised", "EquityChanged"]
    assert isinstance(said[2], AlertRaised)
    assert said[2].code == "COMMISSION_UNVALUED"
    assert talk.books.balances["BNB"] == D("9.9")


def test_the_same_fill_told_twice_is_booked_once() -> None:
    """The executor learns of fills from the stream and from queries; the books know each exec_id for ever."""
    talk = Conversation().opened()
    talk.tell(trade("11", "BUY", "0.5", "60000"))
    talk.tell(trade("12", "BUY", "0.5", "60000"))
    before = msgspec.json.encode(talk.books)
    assert talk.tell(trade("11", "BUY", "0.50", "60000.0")) == []
    assert msgspec.json.encode(talk.books) == before


@pytest.mark.parametrize(
    "change",
    [{"last_qty": D("0.4")}, {"last_px": D(1)}, {"side": "SELL"}, {"commission": D(1)}, {"cl_ord_id": "e" * 32}],
)
def test_another_content_under_a_known_exec_id_is_refused(change: dict[str, Any]) -> None:
    """One exec_id cannot be two executions: the first stands, the second is poison."""
    talk = Conversation().opened()
    talk.tell(trade("11", "BUY", "0.5", "60000"))
    assert (
        reason(talk.tell(msgspec.structs.replace(trade("11", "BUY", "0.5", "60000"), **change))) == "FILL_CONTRADICTS"
    )
    assert talk.books.positions["BTC-USDT"].signed_qty == D("0.5")


def test_trade_ids_are_unique_per_instrument_only() -> None:
    """The same trade id on another instrument is another fill."""
    talk = Conversation().opened()
    talk.tell(trade("11", "BUY", "0.5", "60000"))
    assert kinds(talk.tell(trade("11", "BUY", "1", "3000", instrument="ETH-USDT")))[0] == "JournalPosted"


def test_fills_may_arrive_out_of_order() -> None:
    """A lower trade id after a higher one is a late fill, not an old one."""
    talk = Conversation().opened()
    talk.tell(trade("12", "BUY", "0.5", "60000"))
    assert kinds(talk.tell(trade("11", "BUY", "0.5", "60000")))[0] == "JournalPosted"


def test_a_fill_before_the_opening_entry_is_refused_for_ever() -> None:
    """The opening balances may contain it already: posting it, then or later, could count it twice."""
    talk = Conversation()
    talk.tell(status())
    assert reason(talk.tell(trade("11", "BUY", "0.5", "60000"))) == "BEFORE_OPENING"
    talk.tell(reconciled(USDT="70000", BTC="0.5"))
    assert talk.tell(trade("11", "BUY", "0.5", "60000")) == []
    assert talk.books.balances == {"BTC": D("0.5"), "USDT": D(70000)}


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"exec_id": ""}, "FILL_INCOMPLETE"),
        ({"last_qty": None}, "FILL_INCOMPLETE"),
        ({"last_px": None}, "FILL_INCOMPLETE"),
        ({"commission": None}, "FILL_INCOMPLETE"),
        ({"last_qty": D(0)}, "FILL_INCOMPLETE"),
        ({"last_px": D(-1)}, "FILL_INCOMPLETE"),
        ({"commission": D(1), "commission_asset": ""}, "FILL_INCOMPLETE"),
        ({"last_qty": D("1E+30")}, "FIGURE_OUT_OF_RANGE"),
        ({"commission": D("1E-30")}, "FIGURE_OUT_OF_RANGE"),
        ({"instrument": "BTCUSDT"}, "BAD_INSTRUMENT"),
        ({"instrument": "BTC-BTC"}, "BAD_INSTRUMENT"),
    ],
)
def test_a_fill_that_cannot_be_booked_is_refused(change: dict[str, Any], slug: str) -> None:
    """Half a fill is not booked by half."""
    talk = Conversation().opened()
    before = msgspec.json.encode(talk.books)
    report = msgspec.structs.replace(trade("11", "BUY", "0.5", "60000"), **change)
    assert reason(talk.tell(report)) == slug
    assert msgspec.json.encode(talk.books) == before


def test_other_reports_and_other_events_book_nothing() -> None:
    """An order that is accepted, or a service that starts, moves no money."""
    talk = Conversation().opened()
    assert talk.tell(trade("", "BUY", "1", "1", exec_type="NEW", ord_status="NEW", last_qty=None)) == []
    settings = msgspec.to_builtins(LedgerMachine.Settings())
    started = ServiceStarted(instance="i", code_version="v", settings=settings, state_digest="", producer="ledger")
    assert talk.tell(started) == []


def test_the_extremes_of_what_is_bookable_are_booked_exactly() -> None:
    """The largest and finest figures together still sum to zero and still add up."""
    talk = Conversation().opened(USDT="1")
    big, fine = "999999999999999999", "0.000000000000000001"
    talk.tell(trade("1", "BUY", big, big, fine, "BTC"))
    talk.tell(trade("2", "SELL", fine, big, big, "USDT"))
    _, position, _ = talk.tell(trade("3", "BUY", big, fine, big, "ETH"))[:3]
    assert isinstance(position, PositionChanged)
    assert position.signed_qty == D("1999999999999999997.999999999999999998")


# --- equity -------------------------------------------------------------------------------------------------------------


def test_marks_move_equity_but_not_more_often_than_agreed() -> None:
    """Between two publications at least `equity_interval_ns` of log time pass; a fill is published at once."""
    talk = Conversation(LedgerMachine.Settings(equity_interval_ns=5 * SECOND)).opened(USDT="100000", BTC="1")
    assert talk.tell(marks(BTC_USDT=61000.0), after_s=1) == []
    assert kinds(talk.tell(trade("1", "BUY", "0.1", "61000"), after_s=1))[-1] == "EquityChanged"
    assert talk.tell(marks(BTC_USDT=62000.0), after_s=4.9) == []
    (equity,) = talk.tell(marks(BTC_USDT=59000.0), after_s=0.1)
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.unrealized_pnl) == (D(158800), D(-200))


def test_unchanged_equity_is_not_repeated() -> None:
    """Quiet marks are proof of life, not news."""
    talk = Conversation().opened(USDT="100000", BTC="1")
    assert talk.tell(marks(BTC_USDT=60000.0), after_s=60) == []
    assert talk.tell(FeedMarks(venue="binance", as_of=START, marks=(), alive=("BTC-USDT",)), after_s=60) == []


def test_drawdown_is_measured_from_the_highest_equity_ever_published() -> None:
    """Down from the peak: the fraction of the peak that is gone; the peak itself never falls."""
    talk = Conversation(LedgerMachine.Settings(equity_interval_ns=1)).opened(USDT="40000", BTC="1")
    talk.tell(marks(BTC_USDT=80000.0))
    (equity,) = talk.tell(marks(BTC_USDT=50000.0))
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.high_water_mark, equity.drawdown) == (D(90000), D(120000), D("0.25"))


def test_a_book_with_one_side_empty_is_marked_at_the_last_trade() -> None:
    """No bid: the last trade's price is the mark."""
    talk = Conversation(LedgerMachine.Settings(equity_interval_ns=1)).opened(USDT="0", BTC="1")
    half = Mark(
        instrument="BTC-USDT",
        bid_px=0.0,
        ask_px=70000.0,
        last_px=65000.0,
        protective_px=65000.0,
        trust="TRUSTED",
        ts=START,
    )
    (equity,) = talk.tell(FeedMarks(venue="binance", as_of=START, marks=(half,)))
    assert isinstance(equity, EquityChanged)
    assert equity.equity == D(65000)


def test_a_mark_without_any_price_is_refused_and_the_last_one_stays() -> None:
    """A zero price would halve the equity on paper; it is poison."""
    talk = Conversation().opened(USDT="0", BTC="1")
    dead = Mark(
        instrument="BTC-USDT", bid_px=0.0, ask_px=0.0, last_px=0.0, protective_px=0.0, trust="TRUSTED", ts=START
    )
    assert reason(talk.tell(FeedMarks(venue="binance", as_of=START, marks=(dead,)))) == "BAD_MARK"
    assert talk.books.marks["BTC-USDT"] == D(60000)


def test_a_first_fill_is_its_own_mark_until_one_is_seen() -> None:
    """Bought before any mark of the instrument: it is worth what was paid."""
    talk = Conversation().opened(USDT="100000")
    equity = talk.tell(trade("1", "BUY", "2", "3000", instrument="ETH-USDT"))[-1]
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.unrealized_pnl) == (D(100000), D(0))


def test_profit_in_another_currency_is_not_added_up() -> None:
    """A fill quoted in BTC is booked, but its profit is not in the currency of the book."""
    talk = Conversation().opened(USDT="100000", BTC="10")
    talk.tell(trade("1", "BUY", "10", "0.05", instrument="ETH-BTC"))
    talk.tell(marks(ETH_USDT=3000.0))
    *_, equity = talk.tell(trade("2", "SELL", "10", "0.06", instrument="ETH-BTC"))
    assert isinstance(equity, EquityChanged)
    assert (equity.realized_pnl, equity.equity) == (D(0), D(706000))


def test_one_book_has_one_quote_currency() -> None:
    """A feed that mixes or changes the quote currency is refused; the book stays in its own."""
    talk = Conversation()
    assert reason(talk.tell(status("BTC-USDT", "ETH-EUR"))) == "MIXED_QUOTES"
    talk.tell(status("BTC-USDT"))
    assert reason(talk.tell(status("BTC-EUR"))) == "QUOTE_CHANGED"
    assert (talk.books.quote, talk.books.bases) == ("USDT", {"BTC": "BTC-USDT"})


# --- comparison with the venue --------------------------------------------------------------------------------------------


def test_a_difference_to_the_venue_is_told_and_nothing_is_adjusted() -> None:
    """A deposit nobody booked: people are told which asset and by how much, once, and the books stay as they are."""
    talk = Conversation().opened(USDT="100")
    (alert,) = talk.tell(reconciled(USDT="150", BTC="0.5"))
    assert isinstance(alert, AlertRaised)
    assert (alert.code, alert.severity) == ("BALANCE_MISMATCH", "ticket")
    assert "BTC: books 0, venue 0.5 (+0.5)" in alert.text
    assert "USDT: books 100, venue 150 (+50)" in alert.text
    assert talk.books.balances == {"USDT": D(100)}
    assert talk.tell(reconciled(USDT="150", BTC="0.5")) == []


def test_a_difference_that_changes_is_told_again_and_one_that_heals_is_forgotten() -> None:
    """Only news is told: a new difference, or an old one that had been gone."""
    talk = Conversation().opened(USDT="100")
    talk.tell(reconciled(USDT="150"))
    assert kinds(talk.tell(reconciled(USDT="151"))) == ["AlertRaised"]
    assert talk.tell(reconciled(USDT="100")) == []
    assert kinds(talk.tell(reconciled(USDT="150"))) == ["AlertRaised"]


def test_a_balance_read_before_the_last_fill_is_not_a_mismatch() -> None:
    """A fill may overtake the reading of the balances; the next comparison agrees, and nobody was woken."""
    talk = Conversation().opened(USDT="100000")
    talk.tell(trade("1", "BUY", "1", "60000"))
    assert talk.tell(reconciled(USDT="100000")) == []
    assert talk.tell(reconciled(USDT="40000", BTC="1")) == []


def test_a_real_difference_is_told_even_if_the_asset_never_rests() -> None:
    """With fills before every comparison, the same difference seen twice is proven."""
    talk = Conversation().opened(USDT="100000")
    talk.tell(trade("1", "BUY", "1", "60000"))
    assert talk.tell(reconciled(USDT="39999", BTC="1")) == []
    talk.tell(trade("2", "SELL", "0.5", "60000"))
    (alert,) = talk.tell(reconciled(USDT="69999", BTC="0.5"))
    assert isinstance(alert, AlertRaised)
    assert "USDT: books 70000, venue 69999 (-1)" in alert.text


def test_an_asset_the_venue_no_longer_lists_is_owned_no_more() -> None:
    """Venues leave out empty balances: what the books hold and the venue does not list is a difference."""
    talk = Conversation().opened(USDT="100", BTC="1")
    (alert,) = talk.tell(reconciled(USDT="100"))
    assert isinstance(alert, AlertRaised)
    assert "BTC: books 1, venue 0 (-1)" in alert.text


@pytest.mark.parametrize("is_open", [False, True])
def test_balances_beyond_exact_arithmetic_are_refused(is_open: bool) -> None:
    """Neither the opening nor a comparison is computed from a figure that would be rounded."""
    talk = Conversation().opened(USDT="1") if is_open else Conversation()
    assert reason(talk.tell(reconciled(USDT="1E+40"))) == "FIGURE_OUT_OF_RANGE"


# --- properties -----------------------------------------------------------------------------------------------------------

amounts = st.decimals(min_value="0.00001", max_value="100", places=5)
prices = st.decimals(min_value="0.01", max_value="100000", places=2)
fees = st.decimals(min_value="0", max_value="0.01", places=8)
fill_events = st.tuples(
    st.integers(0, 12),
    st.sampled_from(["BUY", "SELL"]),
    amounts,
    prices,
    fees,
    st.sampled_from(["BTC", "USDT", "BNB"]),
)


@given(st.lists(fill_events, max_size=15))
def test_every_entry_balances_and_the_books_add_up(sequence: list) -> None:
    """Whatever is filled, repeated or contradicted: every entry sums to zero in every asset, the journal adds up to the
    balances, and without other assets the equity is what was there plus all profit minus all commissions."""
    talk = Conversation().opened(USDT="1000")
    for exec_id, side, qty, px, fee, asset in sequence:
        talk.tell(trade(str(exec_id), side, str(qty), str(px), str(fee), asset))
    accounts: dict[tuple[str, str], Decimal] = {}
    for entry in talk.said:
        if isinstance(entry, JournalPosted):
            sums: dict[str, Decimal] = {}
            for line in entry.postings:
                sums[line.asset] = sums.get(line.asset, D(0)) + line.amount
                accounts[line.account, line.asset] = accounts.get((line.account, line.asset), D(0)) + line.amount
            assert not any(sums.values())
    assert {
        asset: total for (account, asset), total in accounts.items() if account == f"asset:{asset}"
    } == talk.books.balances
    filled = [entry.source_id for entry in talk.said if isinstance(entry, JournalPosted) and entry.kind == "FILL"]
    assert len(filled) == len(set(filled)) == len({exec_id for exec_id, *_ in sequence})
    equity = [each for each in talk.said if isinstance(each, EquityChanged)][-1]
    position = talk.books.positions.get("BTC-USDT")
    if position is not None:
        assert equity.equity == 1000 + position.realized_pnl + equity.unrealized_pnl - position.commission


def test_the_same_conversation_has_the_same_bytes() -> None:
    """Two ledgers told the same say the same and remember the same."""

    def talk() -> Conversation:
        return _a_day(Conversation().opened(USDT="100000"))

    assert [msgspec.json.encode(each) for each in talk().said] == [msgspec.json.encode(each) for each in talk().said]
    assert talk().core.digest() == talk().core.digest()


def _a_day(talk: Conversation) -> Conversation:
    for number in range(20):
        talk.tell(trade(str(number), "BUY" if number % 3 else "SELL", "0.01", str(60000 + number), "0.00001", "BTC"))
        talk.tell(marks(BTC_USDT=60000.0 + number), after_s=3)
    return talk


# --- settings -------------------------------------------------------------------------------------------------------------


def test_settings_reach_the_machine_in_nanoseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds for people, nanoseconds for the machine."""
    monkeypatch.setenv("BULKHEAD_EQUITY_INTERVAL_S", "0.25")
    assert Settings().machine() == LedgerMachine.Settings(equity_interval_ns=250_000_000)
