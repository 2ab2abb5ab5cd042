"""How things stand, folded from events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import (
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentQuarantined,
    InstrumentReleased,
    InstrumentSpec,
    OrderSubmitting,
    PositionChanged,
    PriceTrustChanged,
    Reconciled,
    ServiceStarted,
    TradingStateChanged,
    Trust,
)
from libs.desk.standing import Facts, StatusView
from libs.desk.status import take_entry
from libs.runtime.adapter import LogEntry
from tests.recorded_log import message_of, recorded_log

D = Decimal


def report(cl_ord_id: str = "a", status: str = "NEW", **fields: Any) -> ExecutionReport:
    usual: dict[str, Any] = {
        "cl_ord_id": cl_ord_id,
        "intent_id": "i",
        "venue_order_id": "1",
        "exec_id": "",
        "role": "ENTRY",
        "exec_type": "NEW",
        "ord_status": status,
        "instrument": "BTC-USDT",
        "side": "BUY",
        "order_qty": D(1),
        "cum_qty": D(0),
        "leaves_qty": D(1),
        "avg_px": None,
        "last_qty": None,
        "last_px": None,
        "commission": None,
        "commission_asset": "",
        "liquidity_side": "",
        "reason": "",
    }
    return ExecutionReport(**(usual | fields))


def position(qty: str, px: str = "100", instrument: str = "BTC-USDT") -> PositionChanged:
    return PositionChanged(
        instrument=instrument,
        signed_qty=D(qty),
        avg_entry_px=D(px),
        realized_pnl=D(0),
        commission=D(0),
        exec_id="1",
        cl_ord_id="a",
    )


def doubt(trust: Trust) -> PriceTrustChanged:
    return PriceTrustChanged(
        venue="binance",
        instrument="BTC-USDT",
        before="TRUSTED",
        trust=trust,
        reason="TEST",
        trusted_px=100.0,
        protective_px=100.0,
        suspect_px=80.0,
        band=0.005,
    )


def test_a_price_in_doubt_is_remembered_until_it_is_trusted() -> None:
    """Whoever looks at the status sees why nothing is bought, and only while it is so."""
    assert view_of(doubt("QUARANTINED")).facts.doubts == {"BTC-USDT": "QUARANTINED (TEST)"}
    assert view_of(doubt("QUARANTINED"), doubt("TRUSTED")).facts.doubts == {}


def feed(qty_step: str = "0.1", qty_min: str = "0.1", notional_min: str = "5") -> FeedStatus:
    spec = InstrumentSpec(
        instrument="BTC-USDT",
        base="BTC",
        quote="USDT",
        px_tick=D("0.01"),
        qty_step=D(qty_step),
        qty_min=D(qty_min),
        notional_min=D(notional_min),
        taker_fee=D(0),
        maker_fee=D(0),
    )
    return FeedStatus(venue="sim", state="LIVE", via="SOCKETS", reason="", health={}, specs=(spec,))


def view_of(*messages: Any) -> StatusView:
    view = StatusView()
    for message in messages:
        view.take(message)
    return view


def test_an_order_is_counted_where_it_stands_now() -> None:
    """Submitted, accepted, filled: one order, counted once, at its last place."""
    submitting = OrderSubmitting(
        cl_ord_id="a",
        intent_id="i",
        role="ENTRY",
        instrument="BTC-USDT",
        side="BUY",
        ord_type="MARKET",
        time_in_force="IOC",
        order_qty=D(1),
        limit_px=None,
        stop_px=None,
        reduce_only=False,
        valid_until=1,
    )
    view = view_of(submitting)
    assert (view.orders.pending, view.orders.open) == (1, 0)
    view.take(report())
    assert (view.orders.pending, view.orders.open) == (0, 1)
    view.take(report(status="FILLED", exec_type="TRADE"))
    assert (view.orders.open, view.orders.filled, view.orders.fills) == (0, 1, 1)
    view.take(submitting)
    assert (view.orders.pending, view.orders.filled) == (0, 1), "an order once known is not new again"


def test_an_unknown_order_is_not_an_open_one() -> None:
    """Asked and not answered is a group of its own, as are refused and lapsed ones."""
    view = view_of(
        report("a", "UNKNOWN"), report("b", "REJECTED"), report("c", "EXPIRED"), report("d", "PARTIALLY_FILLED")
    )
    orders = view.orders
    assert (orders.unknown, orders.rejected, orders.expired, orders.open, orders.filled) == (1, 1, 1, 1, 0)


def test_a_position_without_a_stop_of_its_size_is_uncovered() -> None:
    """Only open stops count, and only with what they have left to sell."""
    stop = {"role": "STOP", "side": "SELL", "order_qty": D(2)}
    view = view_of(feed(), position("2"))
    assert [(each.instrument, each.stopped_qty) for each in view.uncovered] == [("BTC-USDT", D(0))]
    view.take(report("s", "NEW", leaves_qty=D(2), **stop))
    assert view.uncovered == []
    view.take(report("s", "PARTIALLY_FILLED", leaves_qty=D("1.5"), **stop))
    assert [each.stopped_qty for each in view.uncovered] == [D("1.5")]
    view.take(report("s", "CANCELED", leaves_qty=D(0), **stop))
    assert [each.stopped_qty for each in view.uncovered] == [D(0)]
    view.take(position("0"))
    assert view.uncovered == []


def test_what_is_too_little_for_an_order_needs_no_stop() -> None:
    """Dust, and the crumbs between a position and the venue's quantity steps, cannot be stopped."""
    assert view_of(feed(qty_min="1"), position("0.5")).uncovered == []
    assert view_of(feed(notional_min="500"), position("2")).uncovered == []
    stop = report("s", role="STOP", side="SELL", leaves_qty=D("1.9"))
    assert view_of(feed(), position("1.95"), stop).uncovered == []
    assert len(view_of(feed(qty_step="0.01"), position("1.95"), stop).uncovered) == 1
    assert view_of(feed(qty_min="1"), position("0.5")).dust == ["BTC-USDT"]
    assert view_of(feed(), position("2")).dust == view_of(feed(qty_min="1"), position("0")).dust == []
    assert len(view_of(position("0.00001")).uncovered) == 1, "without the venue's rules nothing is called dust"


def test_a_quarantine_ends_with_its_own_order() -> None:
    """Two orders of unknown fate keep an instrument closed until both are known."""
    first, second = (
        InstrumentQuarantined(instrument="BTC-USDT", cl_ord_id=name, reason="no answer") for name in ("a", "b")
    )
    view = view_of(first, second, InstrumentReleased(instrument="BTC-USDT", cl_ord_id="a", reason="filled"))
    assert [each.cl_ord_id for each in view.facts.quarantined.values()] == ["b"]


def test_the_last_word_counts() -> None:
    """Trading state, reconciliation, feed, book and code are what was said last."""
    view = view_of(
        GenesisDeclared(book="main", mode="paper", author="ada"),
        TradingStateChanged(state="HALTED", previous="ACTIVE", reason="news", author="ada", ts_init=5),
        Reconciled(clean=False, balances=(), mismatches=("BTC: 1 more",)),
        feed(),
        ServiceStarted(instance="x", code_version="v1", settings={}, state_digest="", producer="risk"),
        ServiceStarted(instance="x", code_version="v2", settings={}, state_digest="", producer="risk"),
        FeedMarks(venue="binance", as_of=1, marks=(), ts_init=3),
    )
    facts = view.facts
    assert (facts.book, facts.mode, facts.trading_state, facts.trading_reason) == ("main", "paper", "HALTED", "news")
    assert (facts.reconciled, facts.mismatches, facts.feed_state) == (False, ("BTC: 1 more",), "LIVE")
    assert (facts.starts, facts.code_versions, facts.as_of) == ({"risk": 2}, {"risk": "v2"}, 5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, len(recorded_log(2))))
def test_a_fold_can_be_put_down_and_taken_up(cut: int) -> None:
    """What was learnt up to any entry survives a round trip through JSON, and the rest can be learnt on top of it."""
    entries = recorded_log(2)
    whole, first = StatusView(), StatusView()
    for entry in entries:
        take_entry(whole, entry)
    for entry in entries[:cut]:
        take_entry(first, entry)
    second = StatusView(msgspec.json.decode(msgspec.json.encode(first.facts), type=Facts))
    for entry in entries[cut:]:
        take_entry(second, entry)
    assert second.facts == whole.facts


def test_noise_and_what_is_no_event_teach_nothing() -> None:
    """Prices are not decoded, and a poison message is not our business."""
    view = StatusView()
    take_entry(view, LogEntry(1, "exec.report.BTC-USDT", b"{}"))
    take_entry(view, LogEntry(2, "feed.marks", b"anything"))
    assert view.facts == Facts()
    view.take(message_of(recorded_log(2)[0]))
    assert view.facts != Facts()


def test_home_is_the_venue_that_told_its_rules_and_not_the_one_that_stands_in() -> None:
    """So that a stand-in that has spoken for days is seen."""
    stand_in = FeedStatus(venue="kraken", state="LIVE", via="SOCKETS", reason="SIM_POOR", health={}, specs=())
    facts = view_of(feed("0.001", "0.001", "5"), stand_in).facts
    assert (facts.home_venue, facts.feed_venue) == ("sim", "kraken")
