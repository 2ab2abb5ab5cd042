"""A bar in two steps: what happens at its open is known at its open, and a stop placed then protects in that same bar."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.messages import Bar, InstrumentSpec, OrdType, Side
from libs.common.timeframe import MINUTE
from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import AS_QUOTED
from libs.trading.venue import NewOrder, NewPair, VenueUpdate

NAME = "BTC-USDT"
SPEC = InstrumentSpec(
    instrument=NAME,
    base="BTC",
    quote="USDT",
    px_tick=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    qty_min=Decimal("0.001"),
    notional_min=Decimal(5),
    taker_fee=Decimal(0),
    maker_fee=Decimal(0),
)


def venue() -> BarVenue:
    """A venue that has seen one quiet bar at 100 and holds our 10,000."""
    made = BarVenue({NAME: SPEC}, {"USDT": Decimal(10_000)}, AS_QUOTED)
    made.on_bar(bar(0, 100, 100, 100, 100))
    return made


def bar(place: int, opened: float, high: float, low: float, close: float) -> Bar:
    """The minute at `place`."""
    return Bar(
        instrument=NAME,
        venue="test",
        timeframe="1m",
        ts_open=place * MINUTE,
        ts_close=(place + 1) * MINUTE,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=1000.0,
    )


def market(name: str, side: Side, ord_type: OrdType = "MARKET", stop_px: Decimal | None = None) -> NewOrder:
    """An order for 10."""
    return NewOrder(
        cl_ord_id=name,
        instrument=NAME,
        side=side,
        ord_type=ord_type,
        time_in_force="GTC",
        order_qty=Decimal(10),
        limit_px=None,
        stop_px=stop_px,
    )


def fills(updates: list[VenueUpdate]) -> list[tuple[str, Decimal, int]]:
    """Who filled, where and when."""
    return [(each.order.cl_ord_id, each.fill.px, each.fill.ts_event) for each in updates if each.fill is not None]


def test_an_entry_is_told_at_the_open_and_its_stop_holds_in_the_same_bar() -> None:
    """Bought at the open of 100, the stop that follows at once sells at 95 in this bar, not in the next."""
    made = venue()
    made.submit(market("entry", "BUY"), MINUTE)
    assert fills(made.open_bar(bar(1, 100, 104, 90, 92))) == [("entry", Decimal(100), MINUTE)]
    made.submit(market("stop", "SELL", "STOP_LOSS", Decimal(95)), MINUTE)
    assert fills(made.close_bar(NAME)) == [("stop", Decimal(95), 2 * MINUTE)]


def test_the_target_of_a_pair_placed_at_the_open_waits_for_the_next_bar() -> None:
    """It is not known whether the high came before the pair was in the book: the rule is the one that is worse for us."""
    made = venue()
    made.submit(market("entry", "BUY"), MINUTE)
    made.open_bar(bar(1, 100, 120, 99, 110))
    pair = NewPair(
        list_id="stop",
        instrument=NAME,
        side="SELL",
        order_qty=Decimal(10),
        stop_id="stop",
        stop_px=Decimal(95),
        target_id="target",
        target_px=Decimal(115),
    )
    made.submit_pair(pair, MINUTE)
    assert fills(made.close_bar(NAME)) == []
    assert fills(made.on_bar(bar(2, 110, 116, 109, 112))) == [("target", Decimal(115), 3 * MINUTE)]


def test_a_market_order_placed_within_a_bar_meets_the_next_open() -> None:
    """What is sent after the open does not know what the rest of the bar was."""
    made = venue()
    made.open_bar(bar(1, 100, 120, 99, 110))
    made.submit(market("late", "BUY"), MINUTE + 1)
    assert fills(made.close_bar(NAME)) == []
    assert fills(made.on_bar(bar(2, 111, 112, 110, 112))) == [("late", Decimal(111), 2 * MINUTE)]


def test_a_bar_that_nobody_opened_cannot_be_closed() -> None:
    """Two steps, in their order."""
    with pytest.raises(ValueError, match="no bar is open"):
        venue().close_bar(NAME)
