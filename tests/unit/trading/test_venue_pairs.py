"""Pairs of which one order ends the other: one quantity, one reserve, one of the two is ever executed."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from libs.trading.venue import NewPair, SpotVenue, VenueRejected, VenueUpdate
from tests.unit.trading.test_venue import order, owned, venue

PAIR = NewPair(
    list_id="p",
    instrument="BTC-USDT",
    side="SELL",
    order_qty=D("0.5"),
    stop_id="s",
    stop_px=D("95"),
    target_id="t",
    target_px=D("110"),
)
BUY_PAIR = msgspec.structs.replace(PAIR, side="BUY", stop_px=D("110"), target_px=D("95"))


def changed(pair: NewPair = PAIR, **more: object) -> NewPair:
    return msgspec.structs.replace(pair, **{k: D(v) if k.endswith(("px", "qty")) else v for k, v in more.items()})


def told(updates: list[VenueUpdate]) -> list[tuple[str, str, str, str]]:
    """Whose, why, where it stands, and the fill."""
    return [
        (u.order.cl_ord_id, u.exec_type, u.order.ord_status, f"{u.fill.qty}@{u.fill.px}" if u.fill else "")
        for u in updates
    ]


def with_pair(pair: NewPair = PAIR, usdt: str = "0", btc: str = "0.5") -> SpotVenue:
    """A venue at 99.99/100 with a pair in it."""
    made = venue(usdt=usdt, btc=btc)
    made.submit_pair(pair, 2)
    return made


def test_a_pair_locks_its_quantity_once() -> None:
    """Both orders rest on the same half bitcoin, and together they are a maker limit and a stop."""
    made = venue(usdt="0", btc="0.5")
    updates = made.submit_pair(PAIR, 2)
    assert told(updates) == [("s", "NEW", "NEW", ""), ("t", "NEW", "NEW", "")]
    assert [(u.order.ord_type, u.order.stop_px, u.order.limit_px) for u in updates] == [
        ("STOP_LOSS", D("95"), None),
        ("LIMIT", None, D("110")),
    ]
    assert made.booked("BTC-USDT", "t").ord_type == "LIMIT_MAKER"
    assert owned(made)["BTC"] == ("0", "0.5")


def test_a_filled_target_ends_the_stop() -> None:
    """Expired before the first coin is sold, so that at no moment both could sell."""
    made = with_pair()
    assert told(made.on_trade("BTC-USDT", 111.0, 1.0, 3)) == [
        ("s", "EXPIRED", "EXPIRED", ""),
        ("t", "TRADE", "FILLED", "0.5@110"),
    ]
    assert made.fills()[0].liquidity_side == "MAKER"
    assert owned(made) == {"BTC": ("0", "0"), "USDT": ("54.9725", "0")}
    assert made.open_orders() == []


def test_the_first_part_of_the_target_ends_the_stop_and_the_rest_rests_alone() -> None:
    """As at Binance: from then on nothing stops what is left, and it still has its reserve."""
    made = with_pair()
    assert told(made.on_trade("BTC-USDT", 111.0, 0.2, 3)) == [
        ("s", "EXPIRED", "EXPIRED", ""),
        ("t", "TRADE", "PARTIALLY_FILLED", "0.2@110"),
    ]
    assert owned(made)["BTC"] == ("0", "0.3")
    assert made.on_trade("BTC-USDT", 90.0, 1.0, 4) == []
    assert told(made.cancel_pair("BTC-USDT", "p", 5)) == [("t", "CANCELED", "CANCELED", "")]
    assert owned(made)["BTC"] == ("0.3", "0")


def test_a_triggered_stop_ends_the_target() -> None:
    """The target expires first, then the stop sells at the market of that moment."""
    made = with_pair()
    made.on_quote("BTC-USDT", 94.0, 1.0, 94.01, 1.0, 3)
    assert [(o.cl_ord_id, o.ord_status) for o in made.all_orders()] == [("s", "FILLED"), ("t", "EXPIRED")]
    assert made.fills()[0].px == D("94")
    assert made.on_trade("BTC-USDT", 120.0, 9.0, 4) == []
    assert owned(made)["BTC"] == ("0", "0")


def test_a_triggered_stop_limit_may_rest_without_its_target() -> None:
    """The market gapped past its limit: the target is gone, the coin is still locked, once."""
    made = with_pair(changed(stop_limit_px="95"))
    assert told(made.on_quote("BTC-USDT", 94.0, 1.0, 94.01, 1.0, 3)) == [("t", "EXPIRED", "EXPIRED", "")]
    assert owned(made)["BTC"] == ("0", "0.5")
    assert told(made.on_trade("BTC-USDT", 95.5, 1.0, 4)) == [("s", "TRADE", "FILLED", "0.5@95")]


@pytest.mark.parametrize("which", ["p", "s", "t"])
def test_a_cancel_of_either_order_or_of_the_pair_cancels_both(which) -> None:
    """Nothing stays locked, and the one that was named is told first."""
    made = with_pair()
    updates = made.cancel_pair("BTC-USDT", "p", 3) if which == "p" else made.cancel("BTC-USDT", which, 3)
    assert sorted(told(updates)) == [("s", "CANCELED", "CANCELED", ""), ("t", "CANCELED", "CANCELED", "")]
    assert updates[0].order.cl_ord_id == ("s" if which == "p" else which)
    assert owned(made)["BTC"] == ("0.5", "0")
    with pytest.raises(VenueRejected, match="-2011: Unknown order list sent"):
        made.cancel_pair("BTC-USDT", "p", 4)


def test_a_buying_pair_locks_what_its_dearer_order_needs() -> None:
    """The stop buys higher than the target, so its money is enough for either; the target gives back what it does not need."""
    made = with_pair(BUY_PAIR, usdt="55", btc="0")
    assert owned(made)["USDT"] == ("0", "55")
    assert told(made.on_trade("BTC-USDT", 94.0, 0.2, 3)) == [
        ("s", "EXPIRED", "EXPIRED", ""),
        ("t", "TRADE", "PARTIALLY_FILLED", "0.2@95"),
    ]
    assert owned(made)["USDT"] == ("7.5", "28.5")
    made = with_pair(BUY_PAIR, usdt="55", btc="0")
    assert [each[:2] for each in told(made.on_quote("BTC-USDT", 110.5, 1.0, 111.0, 1.0, 3))][:2] == [
        ("t", "EXPIRED"),
        ("s", "TRADE"),
    ]
    assert owned(made)["USDT"][1] == "0"


RELATION = "-2010: The relationship of the prices for the orders is not correct"


@pytest.mark.parametrize(
    ("pair", "refusal"),
    [
        (changed(stop_px="111"), RELATION),
        (changed(stop_px="100.5"), RELATION),
        (changed(target_px="99"), RELATION),
        (changed(BUY_PAIR, stop_px="99"), RELATION),
        (changed(target_px="100.01"), "-2010: Order would immediately match and take"),
        (changed(stop_px="99.97"), "-2010: Stop price would trigger immediately"),
        (changed(order_qty="0.6"), "-2010: Account has insufficient balance"),
        (changed(BUY_PAIR, order_qty="1"), "-2010: Account has insufficient balance"),
        (changed(order_qty="0.000001"), "-1013: Filter failure: LOT_SIZE"),
        (changed(stop_px="95.001"), "-1013: Filter failure: PRICE_FILTER"),
        (
            changed(order_qty="0.0461", stop_px="95", target_px="130", stop_limit_px="94"),
            "-1013: Filter failure: NOTIONAL",
        ),
        (changed(target_id="s"), "-2010: Duplicate order sent"),
        (changed(target_id="open"), "-2010: Duplicate order sent"),
        (changed(list_id="no name"), "-1100: Illegal characters found in parameter 'listClientOrderId'"),
        (changed(instrument="XRP-USDT"), "-1121"),
    ],
)
def test_a_pair_is_refused_as_binance_refuses_it(pair, refusal) -> None:
    """Nothing of a refused pair is entered, neither of its orders."""
    made = venue(usdt="100", btc="0.6")
    made.on_trade("BTC-USDT", 100.0, 1.0, 2)
    made.on_quote("BTC-USDT", 99.96, 1.0, 99.965, 1.0, 3)
    if "match" in refusal:
        made.on_quote("BTC-USDT", 100.02, 1.0, 100.03, 1.0, 3)
    made.submit(order("SELL", "LIMIT", "0.1", "open", limit_px="200"), 4)
    before = made.snapshot()
    with pytest.raises(VenueRejected, match=refusal):
        made.submit_pair(pair, 5)
    assert made.snapshot() == before


def test_the_id_of_an_open_pair_is_taken_and_free_again_afterwards() -> None:
    """Ids are unique among open pairs only; the newest is the one that is meant."""
    made = with_pair(btc="2")
    again = changed(stop_id="s2", target_id="t2")
    with pytest.raises(VenueRejected, match="-2010: Duplicate order sent"):
        made.submit_pair(again, 3)
    made.cancel_pair("BTC-USDT", "p", 4)
    made.submit_pair(again, 5)
    assert [made.pairs.find("BTC-USDT", "p").venue_list_id, made.pairs.require("p").venue_list_id] == ["2", "2"]
    assert made.pairs.find("BTC-USDT", None, "1").stop_order_id == "1"
    with pytest.raises(VenueRejected, match="-2013: Order list does not exist"):
        made.pairs.require(None, "3")


def test_a_maker_order_that_would_take_is_refused_and_otherwise_rests() -> None:
    """LIMIT_MAKER by itself: never a taker."""
    made = venue(btc="1")
    with pytest.raises(VenueRejected, match="-2010: Order would immediately match and take"):
        made.submit(order("BUY", "LIMIT_MAKER", "0.5", limit_px="100"), 2)
    with pytest.raises(VenueRejected, match="-1106"):
        made.submit(order("BUY", "LIMIT_MAKER", "0.5", limit_px="99", time_in_force="IOC"), 2)
    made.submit(order("BUY", "LIMIT_MAKER", "0.5", limit_px="99.99"), 2)
    assert [(o.ord_type, o.ord_status) for o in made.open_orders()] == [("LIMIT", "NEW")]


def test_a_restart_between_the_two_keeps_the_pair() -> None:
    """What was one reserve before is one reserve afterwards, and the stop is still the target's end."""
    made = with_pair()
    restarted = venue()
    restarted.restore(made.snapshot())
    assert restarted.snapshot() == made.snapshot()
    assert [each[:2] for each in told(restarted.on_trade("BTC-USDT", 111.0, 0.2, 3))] == [
        ("s", "EXPIRED"),
        ("t", "TRADE"),
    ]
