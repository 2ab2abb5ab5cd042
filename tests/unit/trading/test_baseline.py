"""What a book shows of its trading: one sample an order, one a round trip, and nothing that nobody saw begin."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from libs.common.messages import ExecutionReport, Message, OrderApproved, OrderSubmitting, PositionChanged
from libs.trading.baseline import (
    AWAITED_MAX,
    SAMPLES_MAX,
    BaselineFold,
    Measuring,
    begun,
    distribution,
    samples_of,
    standing,
)
from libs.trading.positions import Position

D = Decimal
MS = 1_000_000


def approved(intent: str, side: str = "BUY", ref_px: str = "100", ts: int = 0) -> OrderApproved:
    return OrderApproved(
        ts_init=ts,
        intent_id=intent,
        instrument="BTC-USDT",
        side=side,  # type: ignore[arg-type]
        ord_type="MARKET",
        time_in_force="IOC",
        order_qty=D(1),
        limit_px=None,
        ref_px=D(ref_px),
        stop_px=None,
        target_px=None,
        reduce_only=False,
        valid_until=0,
        checks=(),
    )


def report(intent: str, exec_type: str, status: str, avg_px: str | None = None, **changes: Any) -> ExecutionReport:
    fields: dict[str, Any] = {
        "cl_ord_id": f"order {intent}",
        "intent_id": intent,
        "venue_order_id": "1",
        "exec_id": "1",
        "role": "ENTRY",
        "exec_type": exec_type,
        "ord_status": status,
        "instrument": "BTC-USDT",
        "side": "BUY",
        "order_qty": D(1),
        "cum_qty": D(0) if avg_px is None else D(1),
        "leaves_qty": D(0),
        "avg_px": None if avg_px is None else D(avg_px),
        "last_qty": None,
        "last_px": None,
        "commission": None,
        "commission_asset": "",
        "liquidity_side": "",
        "reason": "",
    }
    return ExecutionReport(**{**fields, **changes})


def stop(cl_ord_id: str, stop_px: str) -> OrderSubmitting:
    return OrderSubmitting(
        cl_ord_id=cl_ord_id,
        intent_id="i",
        role="STOP",
        instrument="BTC-USDT",
        side="SELL",
        ord_type="STOP_LOSS",
        time_in_force="GTC",
        order_qty=D(1),
        limit_px=None,
        stop_px=D(stop_px),
        reduce_only=True,
        valid_until=0,
    )


def position(qty: str, realized: str = "0", commission: str = "0", px: str = "100") -> PositionChanged:
    return PositionChanged(
        instrument="BTC-USDT",
        signed_qty=D(qty),
        avg_entry_px=D(px),
        realized_pnl=D(realized),
        commission=D(commission),
        exec_id="1",
        cl_ord_id="a",
    )


def shown(*messages: Message, state: Measuring | None = None) -> list[tuple[str, float]]:
    """The samples these events show, in order."""
    mine = state or Measuring()
    return [(each.metric, each.value) for message in messages for each in samples_of(mine, message)]


@pytest.mark.parametrize(
    ("side", "avg_px", "slipped"), [("BUY", "100.05", 5.0), ("BUY", "99.9", -10.0), ("SELL", "99.95", 5.0)]
)
def test_slippage_is_positive_where_it_cost_us(side: str, avg_px: str, slipped: float) -> None:
    """Bought above, or sold below the price the wish was sized on; basis points."""
    done = report("i", "TRADE", "FILLED", avg_px, side=side)
    assert ("slippage", slipped) in shown(approved("i", side), done)


def test_an_order_is_one_sample_however_many_fills_it_took() -> None:
    """Fills of one order share its luck: its average price is measured, when it has ended."""
    first = report("i", "TRADE", "PARTIALLY_FILLED", "100.10")
    last = report("i", "TRADE", "FILLED", "100.20")
    again = report("i", "TRADE", "FILLED", "100.20")
    found = shown(approved("i"), first, last, again)
    assert [each for each in found if each[0] == "slippage"] == [("slippage", 20.0)]


def test_an_order_that_ends_partly_filled_counts_and_an_unfilled_one_does_not() -> None:
    """What was filled was filled at a price."""
    assert ("slippage", 10.0) in shown(approved("i"), report("i", "CANCELED", "CANCELED", "100.10"))
    assert shown(approved("i"), report("i", "EXPIRED", "EXPIRED")) == []


def test_latency_runs_from_the_approval_to_the_first_word_that_the_venue_has_it() -> None:
    """Both by our own clock; the second word is no second sample, and a refusal or a silence is none at all."""
    told = [
        approved("i", ts=1_000 * MS),
        report("i", "UNKNOWN", "UNKNOWN", ts_init=1_050 * MS),
        report("i", "NEW", "NEW", ts_init=1_120 * MS, ts_event=5),
        report("i", "TRADE", "FILLED", "100", ts_init=1_500 * MS),
    ]
    assert [each for each in shown(*told) if each[0] == "latency"] == [("latency", 120.0)]
    assert shown(approved("j"), report("j", "REJECTED", "REJECTED")) == []


def test_a_stop_is_held_against_its_own_trigger() -> None:
    """It has no wish of its own, and a trailing one has moved since the entry."""
    filled = report("i", "TRADE", "FILLED", "98.90", cl_ord_id="s", role="STOP", side="SELL")
    assert shown(approved("i", ref_px="110"), stop("s", "99"), filled) == [("stop_slippage", 10.1)]


def test_an_exit_nobody_approved_is_no_sample() -> None:
    """The executor's own exits have no price they were wished at."""
    assert shown(report("i", "TRADE", "FILLED", "90", role="EXIT", side="SELL")) == []
    crossed = report("i", "TRADE", "FILLED", "90", role="EXIT", side="SELL")
    assert shown(approved("i", "BUY"), crossed) == []


def test_a_round_trip_is_measured_net_over_the_most_it_held() -> None:
    """Two units at 100, sold for 3 more, 1 paid: 2 of 200 is 100 basis points, and a win."""
    trip = (position("1", "0", "0.3"), position("2", "0", "0.5"), position("1", "2", "0.7"), position("0", "3", "1"))
    assert shown(*trip) == [("return", 100.0), ("hit_rate", 1.0)]


def test_the_next_round_trip_begins_where_the_last_one_ended() -> None:
    """Totals are since the books were opened; what earned nothing net is no win."""
    first = (position("1", "0", "1"), position("0", "5", "2"))
    second = (position("1", "5", "3"), position("0", "7", "4"))
    assert shown(*first, *second)[2:] == [("return", 0.0), ("hit_rate", 0.0)]


def test_what_no_order_can_sell_counts_as_flat() -> None:
    """Commissions in base leave dust; dust that moves is no round trip."""
    state = Measuring(steps={"BTC-USDT": D("0.01")})
    assert shown(position("1"), position("0.004", "1"), state=state) == [("return", 100.0), ("hit_rate", 1.0)]
    assert shown(position("0.002", "1"), state=state) == []


def test_a_round_trip_that_was_under_way_when_measuring_began_is_no_sample() -> None:
    """Nobody knows what it had cost; the one after it counts, from the totals it left."""
    state = begun({"BTC-USDT": Position(D(1), D(100), D(50), D(5))}, {})
    assert shown(position("0", "40", "6"), state=state) == []
    assert shown(position("1", "40", "6"), position("0", "42", "6"), state=state) == [
        ("return", 200.0),
        ("hit_rate", 1.0),
    ]


def test_prices_that_are_none_show_nothing() -> None:
    """A reference price of zero would be a division by it."""
    assert shown(approved("i", ref_px="0"), report("i", "TRADE", "FILLED", "100")) == []


def test_what_is_remembered_is_bounded() -> None:
    """Approvals that nothing follows are forgotten, the oldest first; a baseline is of the newest samples."""
    state = Measuring()
    shown(*(approved(f"i{number}") for number in range(AWAITED_MAX + 5)), state=state)
    assert len(state.awaited) == AWAITED_MAX
    assert "i4" not in state.awaited
    fold = BaselineFold()
    for number in range(SAMPLES_MAX + 10):
        fold.take(approved("i", ts=number))
        fold.take(report("i", "TRADE", "FILLED", "100" if number < 10 else "101", ts_init=number))
    slippage = fold.baseline("a book").metrics[0]
    assert (slippage.count, slippage.quantiles[0]) == (SAMPLES_MAX, 100.0)


def test_what_does_not_count_is_learnt_and_not_kept() -> None:
    """A round trip that began on a day that does not count and ended on one that does is whole."""
    fold = BaselineFold()
    fold.take(position("1"), counts=False)
    fold.take(position("0", "1"), counts=True)
    fold.take(position("1", "1"), counts=True)
    fold.take(position("0", "9"), counts=False)
    found = fold.baseline("a book")
    assert [(each.metric, each.count, each.mean) for each in found.metrics] == [
        ("return", 1, 100.0),
        ("hit_rate", 1, 1),
    ]


def test_how_much_neighbours_are_alike_is_part_of_a_baseline() -> None:
    """Ten that are the same in a row say about as much as one; alternating ones, and a few, say no less than independent ones."""
    levels = Random(1).choices(range(100), k=100)
    in_tens = [float(levels[place // 10]) for place in range(1000)]
    assert distribution("slippage", in_tens).clumping == pytest.approx(8, abs=2)
    assert distribution("slippage", [float(place % 2) for place in range(700)]).clumping == 1
    assert distribution("slippage", [1.0] * 100).clumping == 1
    assert distribution("hit_rate", [1.0, 1.0, 0.0]).clumping == 1


def test_a_value_stands_among_the_baseline_by_its_quantiles() -> None:
    """Linear between two of them, in the middle of equal ones, at the ends outside."""
    grid = distribution("latency", [float(each) for each in range(101)]).quantiles
    assert [standing(grid, each) for each in (-1, 0, 12.5, 50, 100, 101)] == [0, 0, 0.125, 0.5, 1, 1]
    assert standing(distribution("latency", [7.0] * 50).quantiles, 7.0) == 0.5
