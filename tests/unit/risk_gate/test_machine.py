"""Conversations with the gate: verdicts, exposure between a wish and its booking, and the trading state."""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec
import pytest

from libs.common.codec import encode
from libs.common.messages import (
    AlertRaised,
    FlattenCommanded,
    FlattenOrdered,
    InstrumentQuarantined,
    InstrumentReleased,
    LevelMap,
    LevelsMapped,
    OrderApproved,
    OrderDenied,
    PersonNotified,
    TradingStateChanged,
)
from libs.common.timeframe import HOUR, SECOND
from services.risk_gate.checks import CHECKS
from services.risk_gate.contract import CONTRACT
from services.risk_gate.machine import RiskMachine
from tests.playbook import Playbook, like
from tests.unit.risk_gate.book import (
    BTC,
    ETH,
    LIMITS,
    NOW,
    D,
    breaker,
    command,
    entry,
    equity,
    exit_,
    limit_entry,
    mark,
    marks,
    opened,
    position,
    reconciled,
    report,
    spec,
    status,
    tightened,
    trade,
)

LOOSE = tightened(
    position_fraction_max=D(1),
    order_value_fraction_max=D(1),
    loss_fraction_max=D(1),
    total_risk_fraction_max=D(1),
    cluster_fraction_max=D(1),
    correlated_fraction_max=D(1),
)
"""Nothing but the balance stands in the way of two orders."""


def in_flight(book: Playbook) -> dict[str, Decimal]:
    return {intent_id: order.leaves_qty for intent_id, order in book.machine.state.in_flight.items()}


def worst_btc(book: Playbook) -> str:
    """The worst BTC exposure (quote currency) as the gate counts it when asked for 0.001 more."""
    denied = book.tell(entry("probe", order_qty=D("0.001"), reason="probe", valid_until=1)).only(OrderDenied)
    book.machine.state.intent_ids.pop("probe")
    value = next(check.value for check in denied.checks if check.code == "MAX_POSITION")
    return str(D(value) - 60)


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_an_approval_is_the_intent_with_its_checks_and_no_signature() -> None:
    """The machine knows no key: the approval leaves unsigned, with every field of the wish and every check."""
    wish = limit_entry(target_px=D(63_000))
    approved = opened().tell(wish).only(OrderApproved)
    for field in ("intent_id", "instrument", "side", "ord_type", "time_in_force", "order_qty", "limit_px", "ref_px"):
        assert getattr(approved, field) == getattr(wish, field)
    assert (approved.stop_px, approved.target_px, approved.reduce_only) == (D(58_800), D(63_000), False)
    assert (approved.signature, approved.key_id) == ("", "")
    assert [check.code for check in approved.checks] == [code for code, _, _ in CHECKS]


def test_an_approval_is_good_for_ten_seconds_and_never_longer_than_the_wish() -> None:
    """The shorter of the two deadlines counts."""
    assert opened().tell(entry()).only(OrderApproved).valid_until == NOW + 10 * SECOND
    short = entry(valid_until=NOW + SECOND)
    assert opened().tell(short).only(OrderApproved).valid_until == NOW + SECOND


def test_a_denial_gives_every_reason_and_every_number() -> None:
    """Too large and without a stop: both are said, with value and limit, and nothing is approved."""
    book = opened().tell(entry(order_qty=D("0.04"), stop_px=None))
    book.expect(like(OrderDenied, intent_id="i1", instrument=BTC, side="BUY", order_qty=D("0.04")))
    denied = book.only(OrderDenied)
    assert denied.reasons == (
        "MAX_POSITION",
        "NO_STOP",
        "STOP_SIDE",
        "STOP_DISTANCE",
        "RISK_PER_TRADE",
        "TOTAL_RISK",
    )
    check = next(check for check in denied.checks if check.code == "MAX_POSITION")
    assert (check.passed, check.value, check.limit) == (False, "2400", "2000")


def test_the_same_intent_twice_is_one_order() -> None:
    """A repeated id is denied whatever the first verdict was."""
    book = opened()
    book.tell(entry("i1")).expect(like(OrderApproved, intent_id="i1"))
    book.tell(entry("i1"))
    assert "DUPLICATE_ID" in book.only(OrderDenied).reasons
    book.tell(entry("i2", stop_px=None)).tell(entry("i2", instrument=ETH, ref_px=D(3_000), stop_px=D(2_950)))
    assert book.only(OrderDenied).reasons == ("DUPLICATE_ID",)


def test_ids_are_remembered_for_two_days_and_then_forgotten() -> None:
    """Memory is bounded: after `intent_memory_hours` an id is dropped when the next intent comes."""
    book = opened()
    book.tell(entry("old")).tell(entry("i2"), now=NOW + 48 * HOUR - 1)
    assert list(book.machine.state.intent_ids) == ["old", "i2"]
    book.tell(entry("i3"), now=NOW + 48 * HOUR)
    assert list(book.machine.state.intent_ids) == ["i2", "i3"]


def test_what_is_forgotten_is_what_no_check_needs() -> None:
    """Rates and repetitions are kept as long as their windows and no longer."""
    book = opened()
    book.tell(entry("i1")).tell(entry("i2", instrument=ETH, ref_px=D(3_000), stop_px=D(2_950)), now=NOW + SECOND)
    assert len(book.machine.state.entry_times) == len(book.machine.state.recent_orders) == 2
    book.tell(entry("i3"), now=NOW + 5 * SECOND)
    assert len(book.machine.state.entry_times) == 2
    assert len(book.machine.state.recent_orders) == 1
    book.tell(entry("i4"), now=NOW + 61 * SECOND)
    assert book.machine.state.entry_times == []
    assert book.machine.state.recent_orders == {}


def test_the_verdict_does_not_depend_on_the_process() -> None:
    """Another decimal precision around it changes no byte of a verdict."""
    plain = opened().tell(entry(ref_px=D("60000.123456789"))).only(OrderApproved)
    with localcontext(prec=5):
        other = opened().tell(entry(ref_px=D("60000.123456789"))).only(OrderApproved)
    assert encode(plain) == encode(other)


# --- exposure between a wish and its booking ------------------------------------------------------------------------


def test_two_approvals_cannot_together_pass_a_limit() -> None:
    """Each would fit alone; the second is held against what the first may still become."""
    eth = entry("i2", instrument=ETH, order_qty=D("0.4"), ref_px=D(3_000), stop_px=D(2_950))
    for limits in (
        tightened(gross_exposure_fraction_max=D("0.2399")),
        tightened(positions_max=1),
    ):
        opened(limits).tell(eth).expect(like(OrderApproved))
        book = opened(limits)
        book.tell(entry("i1")).expect(like(OrderApproved))
        book.tell(eth).expect(like(OrderDenied))
    opened(cash="2402.40").tell(entry("i1", order_qty=D("0.008"))).expect(like(OrderApproved))
    book = opened(LOOSE, cash="2402.39")
    book.tell(entry("i1")).expect(like(OrderApproved))
    assert book.tell(eth).only(OrderDenied).reasons == ("INSUFFICIENT_BALANCE",)


def test_balance_is_enough_for_two_to_the_cent() -> None:
    """1201.20 for each: 2402.40 buys both."""
    eth = entry("i2", instrument=ETH, order_qty=D("0.4"), ref_px=D(3_000), stop_px=D(2_950))
    opened(LOOSE, cash="2402.40").tell(entry("i1")).tell(eth).expect(like(OrderApproved))


def test_a_fill_is_counted_once_at_every_instant() -> None:
    """From approval over two fills to the position the exposure is 1200 throughout: nothing twice, nothing lost."""
    book, wish = opened(), entry()
    book.tell(wish)
    assert worst_btc(book) == "1200"
    for fact in (
        report(wish),
        trade(wish, "e1", "0.005", "0.005", "PARTIALLY_FILLED"),
        position("0.005", "e1"),
        trade(wish, "e2", "0.015", "0.020"),
        equity(balance=D("9699.70")),
        position("0.020", "e2"),
        equity(balance=D("8798.80")),
    ):
        book.tell(fact).expect()
        assert worst_btc(book) == "1200"
    assert in_flight(book) == {}
    assert book.machine.state.unbooked == {}


def test_the_price_of_a_fill_stays_reserved_until_the_balance_has_paid_it() -> None:
    """Between the fill and the ledger's balance the old cash is still shown: it must not be spent twice."""
    book, wish = opened(), entry()
    book.tell(wish)
    reserved = [book.machine.state.reserved()]
    for fact in (trade(wish, "e1", "0.02", "0.02"), position("0.02", "e1"), equity(balance=D("8798.80"))):
        book.tell(fact)
        reserved.append(book.machine.state.reserved())
    assert reserved == [D("1201.20"), D("1201.20"), D("1201.20"), 0]


def test_a_sale_reserves_no_cash() -> None:
    """Selling what is held, as an exit or not, takes nothing from the balance."""
    book = opened().tell(position("0.03"))
    book.tell(entry("s1", side="SELL", order_qty=D("0.01"), stop_px=D(60_900))).expect(like(OrderApproved))
    book.tell(exit_("x1")).expect(like(OrderApproved))
    assert book.machine.state.reserved() == 0


@pytest.mark.parametrize("ord_status", ["CANCELED", "REJECTED", "EXPIRED"])
def test_a_closed_order_frees_what_it_did_not_fill(ord_status: str) -> None:
    """A quarter was filled, the rest will not be: 300 remain."""
    book, wish = opened(), entry()
    book.tell(wish).tell(trade(wish, "e1", "0.005", "0.005", "PARTIALLY_FILLED")).tell(position("0.005", "e1"))
    book.tell(report(wish, exec_type=ord_status, ord_status=ord_status, cum_qty=D("0.005"))).expect()
    assert in_flight(book) == {}
    assert worst_btc(book) == "300"


def test_unknown_is_still_in_flight() -> None:
    """Nobody answered: the order may exist, so it counts, whatever time passes."""
    book, wish = opened(), entry()
    book.tell(wish).tell(report(wish, exec_type="UNKNOWN", ord_status="UNKNOWN"), now=NOW + HOUR)
    assert worst_btc(book) == "1200"
    book.tell(report(wish, exec_type="REJECTED", ord_status="REJECTED"))
    assert worst_btc(book) == "0"


def test_a_cancel_that_knows_of_a_fill_not_yet_told() -> None:
    """The venue says canceled with 0.005 filled before the fill itself is told: it counts at once, and only once."""
    book, wish = opened(), entry()
    book.tell(wish).tell(report(wish, exec_type="CANCELED", ord_status="CANCELED", cum_qty=D("0.005")))
    assert worst_btc(book) == "300"
    book.tell(trade(wish, "e1", "0.005", "0.005", "PARTIALLY_FILLED"))
    assert in_flight(book) == {}
    assert worst_btc(book) == "300"


def test_a_fill_after_a_cancel_counts_until_it_is_booked() -> None:
    """The venue was faster than our cancel: what it filled is exposure although the order was closed."""
    book, wish = opened(), entry()
    book.tell(wish).tell(report(wish, exec_type="CANCELED", ord_status="CANCELED"))
    assert worst_btc(book) == "0"
    book.tell(trade(wish, "e1", "0.02", "0.02", "CANCELED"))
    assert worst_btc(book) == "1200"
    book.tell(position("0.02", "e1"))
    assert worst_btc(book) == "1200"


def test_a_report_told_twice_counts_once() -> None:
    """The same execution id is the same fill."""
    book, wish = opened(), entry()
    fill = trade(wish, "e1", "0.005", "0.005", "PARTIALLY_FILLED")
    book.tell(wish).tell(fill).tell(fill)
    assert in_flight(book) == {"i1": D("0.015")}
    assert worst_btc(book) == "1200"


def test_a_stop_of_the_entry_says_nothing_of_the_entry_itself() -> None:
    """The protective stop bears the entry's intent id: its life does not close the entry, its fill is a sale."""
    book, wish = opened(), entry()
    book.tell(wish).tell(trade(wish, "e1", "0.01", "0.01", "PARTIALLY_FILLED")).tell(position("0.01", "e1"))
    book.tell(report(wish, role="STOP", side="SELL", exec_type="CANCELED", ord_status="CANCELED"))
    assert in_flight(book) == {"i1": D("0.01")}
    book.tell(trade(wish, "e2", "0.01", "0.01", role="STOP", side="SELL"))
    assert in_flight(book) == {"i1": D("0.01")}
    assert worst_btc(book) == "600"


def test_commission_in_base_currency_is_not_held() -> None:
    """Of 0.02 bought, 0.00002 went to the venue: it can neither be sold nor is it at risk."""
    book, wish = opened(), entry()
    fee = {"commission": D("0.00002"), "commission_asset": "BTC"}
    book.tell(wish).tell(trade(wish, "e1", "0.02", "0.02", **fee))
    assert book.machine.state.held_qty(BTC) == D("0.01998")


def test_trade_ids_are_unique_per_instrument_only() -> None:
    """BTC's fill 7 is not ETH's fill 7."""
    book = opened()
    btc, eth = entry("i1"), entry("i2", instrument=ETH, order_qty=D("0.4"), ref_px=D(3_000), stop_px=D(2_950))
    book.tell(btc).tell(eth).tell(trade(btc, "7", "0.02", "0.02")).tell(trade(eth, "7", "0.4", "0.4", last_px=D(3_000)))
    book.tell(position("0.4", "7", ETH))
    assert (book.machine.state.held_qty(BTC), book.machine.state.held_qty(ETH)) == (D("0.02"), D("0.4"))


def test_an_approval_nobody_answered_ends_with_a_clean_reconciliation() -> None:
    """The executor could not read the approval (a wrong key): no report ever comes. Only its agreement with the venue, more than
    ten minutes after the approval ran out, proves that there is no order; until then it counts."""
    ran_out = NOW + 10 * SECOND
    book = opened().tell(entry("i1"))
    book.tell(reconciled(False, "?"), now=ran_out + 600 * SECOND + 1).expect()
    assert in_flight(book) == {"i1": D("0.02")}
    book.tell(reconciled()).expect(like(AlertRaised, code="APPROVAL_UNANSWERED", severity="ticket"))
    assert in_flight(book) == {}
    early = opened().tell(entry("i1"))
    early.tell(reconciled(), now=ran_out + 600 * SECOND).expect()
    assert in_flight(early) == {"i1": D("0.02")}


def test_an_order_that_was_heard_of_never_ends_by_reconciliation() -> None:
    """It exists or its fate is unknown: only its own report ends it."""
    book = opened().tell(entry("i1")).tell(report(entry("i1"), exec_type="UNKNOWN", ord_status="UNKNOWN"))
    book.tell(reconciled(), now=NOW + HOUR).expect()
    assert in_flight(book) == {"i1": D("0.02")}


def test_a_fill_the_ledger_refused_stops_counting_when_the_ledger_has_passed_it_by() -> None:
    """No position ever follows; an equity from clearly later events shows that none will."""
    book = opened().tell(entry("i1")).tell(trade(entry("i1"), "e1", "0.02", "0.02"))
    book.tell(equity(), now=NOW + 10 * SECOND).expect()
    assert worst_btc(book) == "1200"
    book.tell(equity(), now=NOW + 10 * SECOND + 1).expect()
    assert worst_btc(book) == "0"


def test_only_the_venue_of_our_orders_sets_their_rules() -> None:
    """After a failover and back orders still obey the venue they go to, not the one that stood in."""
    book = opened(tightened(venue="binance"))
    kraken = msgspec.structs.replace(status("LIVE", spec(qty_step=D("0.5"))), venue="kraken")
    book.tell(kraken).expect()
    assert book.tell(entry("i0")).only(OrderDenied).reasons == ("FOREIGN_PRICES",)
    book.tell(status("LIVE")).expect()
    book.tell(entry("i1")).expect(like(OrderApproved))


def test_two_exits_cannot_together_sell_more_than_is_held() -> None:
    """The first exit is under way: only what it leaves may be sold by a second one, until it is canceled."""
    book = opened().tell(position("0.02"))
    first = exit_("x1", order_qty=D("0.015"))
    book.tell(first).expect(like(OrderApproved))
    assert book.tell(exit_("x2", order_qty=D("0.006"))).only(OrderDenied).reasons == ("REDUCE_ONLY",)
    book.tell(exit_("x3", order_qty=D("0.005"))).expect(like(OrderApproved))
    book.tell(report(first, exec_type="CANCELED", ord_status="CANCELED"))
    book.tell(exit_("x4", order_qty=D("0.015"))).expect(like(OrderApproved))


def test_an_exit_in_flight_is_no_credit() -> None:
    """What is being sold is still held: an entry is judged as if the sale failed."""
    book = opened().tell(position("0.02")).tell(exit_("x1"))
    assert worst_btc(book) == "1200"


def test_a_position_that_closed_is_gone() -> None:
    """Flat is flat: no exit fits any more, and the room is free again."""
    book = opened().tell(position("0.02")).tell(position("0"))
    assert book.machine.state.positions == {}
    assert book.tell(exit_()).only(OrderDenied).reasons == ("REDUCE_ONLY",)


def test_exits_pass_where_entries_have_used_up_the_rate() -> None:
    """Rate limits never keep anybody in a position."""
    book = opened(tightened(orders_per_second_max=1)).tell(position("0.02", instrument=ETH))
    book.tell(entry("i1")).expect(like(OrderApproved))
    sale = {"instrument": ETH, "ref_px": D(3_000)}
    book.tell(entry("i2", instrument=ETH, ref_px=D(3_000), stop_px=D(2_950), order_qty=D("0.1")))
    assert book.only(OrderDenied).reasons == ("RATE_LIMIT",)
    book.tell(exit_("x1", **sale)).expect(like(OrderApproved, reduce_only=True))
    assert len(book.machine.state.entry_times) == 1


# --- quarantine -----------------------------------------------------------------------------------------------------


def test_quarantine_ends_when_every_unknown_order_is_known() -> None:
    """Two orders of unknown fate: the instrument is free when both have been found out."""
    book = opened()
    for order in ("c1", "c2", "c2"):
        book.tell(InstrumentQuarantined(instrument=BTC, cl_ord_id=order, reason="time-out")).expect()
    book.tell(InstrumentReleased(instrument=BTC, cl_ord_id="c1", reason="found")).expect()
    assert book.tell(entry("i1")).only(OrderDenied).reasons == ("QUARANTINED",)
    assert book.machine.state.quarantined == {BTC: ["c2"]}
    book.tell(InstrumentReleased(instrument=BTC, cl_ord_id="c2", reason="found"))
    book.tell(entry("i2")).expect(like(OrderApproved))
    book.tell(InstrumentReleased(instrument=ETH, cl_ord_id="c9", reason="found")).expect()


# --- trading state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "state"), [("HALT", "HALTED"), ("REDUCE", "REDUCING")])
def test_an_operator_stops_entries_and_lets_them_in_again(name: str, state: str) -> None:
    """Stopped, only exits pass; resumed with a reason, entries do again. Every move says who and why."""
    book = opened().tell(position("0.01"))
    book.tell(command(name, "news")).expect(
        like(TradingStateChanged, state=state, previous="ACTIVE", reason="news", author="ada")
    )
    assert book.tell(entry("i1")).only(OrderDenied).reasons == ("TRADING_STATE",)
    book.tell(exit_("x1", order_qty=D("0.01"))).expect(like(OrderApproved))
    book.tell(command("RESUME", "all clear")).expect(
        like(TradingStateChanged, state="ACTIVE", previous=state, reason="all clear", author="ada")
    )
    book.tell(entry("i2")).expect(like(OrderApproved))


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_nobody_resumes_without_a_reason(reason: str) -> None:
    """A resume without a reason changes nothing and says so."""
    book = opened().tell(command("HALT"))
    book.tell(command("RESUME", reason)).expect(like(AlertRaised, code="RESUME_WITHOUT_REASON", severity="ticket"))
    assert book.machine.state.trading_state == "HALTED"


def test_a_command_that_changes_nothing_is_answered() -> None:
    """Halting twice is one halt; the second operator is told."""
    book = opened().tell(command("HALT"))
    book.tell(command("HALT")).expect(like(AlertRaised, code="COMMAND_WITHOUT_EFFECT", severity="note"))


def test_an_operator_without_a_name_is_called_by_the_writer() -> None:
    """The author of a move is never empty."""
    halt = msgspec.structs.replace(command("HALT", author=""), producer="ops.cli")
    opened().tell(halt).expect(like(TradingStateChanged, author="ops.cli"))


def test_the_gate_halts_itself_when_drawdown_reaches_its_second_limit() -> None:
    """At 15 % below the high-water mark the gate halts and pages; just above it only entries stop."""
    book = opened()
    book.tell(equity("8501", high_water_mark=D(10_000), drawdown=D("0.1499"))).expect(
        like(AlertRaised, code="DRAWDOWN_NO_ENTRIES", severity="ticket")
    )
    assert book.tell(entry("i1", order_qty=D("0.001"))).only(OrderDenied).reasons == ("DRAWDOWN", "DAILY_LOSS")
    book.tell(equity("8500", high_water_mark=D(10_000), drawdown=D("0.15"))).expect(
        like(TradingStateChanged, state="HALTED", previous="ACTIVE", author="risk-gate"),
        like(FlattenOrdered, author="risk-gate"),
        like(AlertRaised, code="DRAWDOWN_HALT", severity="page"),
    )
    assert book.only(TradingStateChanged).reason == "drawdown 0.15 has reached 0.15"


def test_an_operator_who_flattens_halts_first_and_then_has_everything_sold() -> None:
    """Nothing is bought again behind the sale; said again while halted, the sale is ordered again."""
    flatten = FlattenCommanded(reason="the venue is odd", author="ada", producer="ops.cli")
    book = opened().tell(flatten)
    book.expect(
        like(TradingStateChanged, state="HALTED", author="ada"), like(FlattenOrdered, reason="the venue is odd")
    )
    book.tell(flatten).expect(like(FlattenOrdered, author="ada"))


def test_a_resumed_gate_is_not_halted_again_by_the_same_fall() -> None:
    """The human has decided; entries stay denied by the drawdown, and only a new fall halts again."""
    deep = equity("8400", drawdown=D("0.16"))
    book = opened().tell(deep)
    book.tell(deep).expect()
    book.tell(command("RESUME", "manual review")).tell(deep).expect()
    assert book.machine.state.trading_state == "ACTIVE"
    assert "DRAWDOWN" in book.tell(entry("i1", order_qty=D("0.001"))).only(OrderDenied).reasons
    book.tell(equity("9900", drawdown=D("0.01"))).expect(like(AlertRaised, code="DRAWDOWN_EASED"))
    book.tell(deep).expect(like(TradingStateChanged, state="HALTED"), like(FlattenOrdered), like(AlertRaised))


def test_a_drawdown_while_halted_pages_without_a_move() -> None:
    """Already halted by a person: there is nothing to move, but people must know, and everything is sold all the same."""
    book = opened().tell(command("HALT"))
    fall = equity("8400", drawdown=D("0.16"))
    book.tell(fall).expect(like(FlattenOrdered), like(AlertRaised, code="DRAWDOWN_HALT"))
    kept = opened(tightened(drawdown_flatten=False)).tell(command("HALT"))
    kept.tell(fall).expect(like(AlertRaised, code="DRAWDOWN_HALT"))


def test_what_does_not_concern_the_gate_changes_nothing() -> None:
    """Other events pass without a word."""
    book = opened()
    before = msgspec.json.encode(book.machine.state)
    book.tell(PersonNotified(level="note", text="hello", repeat=False, producer="notify")).expect()
    assert msgspec.json.encode(book.machine.state) == before


def test_a_gate_from_a_snapshot_judges_as_the_one_that_never_stopped() -> None:
    """Frozen in the middle of everything and thawed, the gate gives the same bytes."""
    steps = [entry("i1"), report(entry("i1")), trade(entry("i1"), "e1", "0.01", "0.01", "PARTIALLY_FILLED")]
    first, book = opened(), opened()
    for step in steps:
        first.tell(step)
        book.tell(step)
    thawed = RiskMachine(LIMITS)
    thawed.state = msgspec.json.decode(msgspec.json.encode(first.machine.state), type=RiskMachine.State)
    again = Playbook(thawed, now=first.now)
    wish = entry("i2", instrument=ETH, ref_px=D(3_000), stop_px=D(2_950))
    assert encode(again.tell(wish).only(OrderApproved)) == encode(book.tell(wish).only(OrderApproved))


def test_the_settings_survive_the_log() -> None:
    """Limits go into `started` as plain values and come back as the same limits."""
    told = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(LIMITS)))
    assert msgspec.convert(told, RiskMachine.Settings, strict=False) == LIMITS


def test_everything_it_reads_is_in_its_contract() -> None:
    """Facts outside the contract would never arrive."""
    heard = (entry(), equity(), command("HALT"), marks(mark()), status("LIVE", spec()), report(entry()), position("1"))
    assert {type(event) for event in (*heard, reconciled(), breaker("OPEN"))} <= set(CONTRACT.consumes)


def test_an_open_breaker_survives_a_snapshot_and_denies_by_its_name() -> None:
    """Heard, frozen, thawed: the verdict still names it; closed again, the same wish is approved."""
    book = opened().tell(breaker("OPEN", "losses"))
    assert book.tell(entry("i1")).only(OrderDenied).reasons == ("BREAKER_OPEN",)
    book.tell(breaker("CLOSED", "losses")).expect()
    book.tell(entry("i2")).only(OrderApproved)


def test_an_executor_that_keeps_crashing_halts_trading() -> None:
    """However well its next start looks, only an operator says go on."""
    book = opened().tell(breaker("OPEN", "crash_loop"))
    changed = book.only(TradingStateChanged)
    assert (changed.state, changed.author) == ("HALTED", "risk-gate")
    assert "crash loop" in changed.reason
    book.tell(breaker("CLOSED", "crash_loop")).expect()
    assert "TRADING_STATE" in book.tell(entry("i1")).only(OrderDenied).reasons


def test_a_position_closed_by_hand_is_closed_for_the_gate() -> None:
    """Somebody sold at the venue, and the executor adopted the order: no approval of ours stands behind it, and nothing of it remains."""
    book = opened()
    bought = entry("i1")
    for event in (bought, trade(bought, "e1", "0.02", "0.02"), position("0.02", "e1"), equity("8800")):
        book.tell(event)
    by_hand = exit_("venue-77")
    book.tell(report(by_hand)).expect()
    book.tell(trade(by_hand, "e2", "0.02", "0.02")).expect()
    assert book.tell(exit_("x1")).only(OrderDenied).reasons == ("REDUCE_ONLY",)
    book.tell(position("0", "e2")).tell(equity("10000")).expect()
    state = book.machine.state
    assert (state.positions, state.in_flight, state.unbooked) == ({}, {}, {})
    book.tell(entry("i2", reason="trend up again")).only(OrderApproved)


def test_selling_by_hand_more_than_is_held_breaks_nothing() -> None:
    """What was ours before the books were opened went too: the gate sees a short position and lets nothing reduce it twice."""
    book = opened()
    book.tell(trade(exit_("venue-78"), "e1", "0.5", "0.5")).expect()
    book.tell(position("-0.5", "e1")).tell(equity()).expect()
    assert book.machine.state.positions == {BTC: D("-0.5")}
    assert book.tell(exit_("x1")).only(OrderDenied).reasons == ("REDUCE_ONLY",)


def _levels(instrument: str, close_px: float) -> LevelMap:
    nothing = dict.fromkeys(("atr", "poc", "val", "vah"))
    return LevelMap(
        instrument=instrument, timeframe="1h", ready=False, close_px=close_px, zones=(), hvn=(), lvn=(), **nothing
    )


def test_the_newest_map_of_each_instrument_is_remembered_and_changes_no_verdict() -> None:
    """Levels are facts like prices: the last one counts; no check asks for them yet."""
    book, without = opened(), opened()
    book.tell(LevelsMapped(agent_id="levels", end_ts=1, maps=(_levels(BTC, 1.0), _levels(ETH, 2.0)))).expect()
    book.tell(LevelsMapped(agent_id="levels", end_ts=2, maps=(_levels(BTC, 3.0),))).expect()
    assert {name: each.close_px for name, each in book.machine.state.levels.items()} == {BTC: 3.0, ETH: 2.0}
    assert book.tell(entry()).effects == without.tell(entry()).effects
