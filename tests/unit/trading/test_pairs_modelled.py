"""Pairs under the fill model: on their way for a while, within a share of the volume, told of bars, and across a restart."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import AS_QUOTED, FillModel
from libs.trading.venue import NewPair, SpotVenue, VenueRejected
from tests.unit.trading.test_bar_vectors import FLAT, MINUTE, bar, bracket
from tests.unit.trading.test_fill_model import MS, SECOND, SLOW, TENTH, quote
from tests.unit.trading.test_venue import BTC, order, owned
from tests.unit.trading.test_venue_pairs import BUY_PAIR, PAIR, told

SLOW_TENTH = FillModel(latency_ms=100, participation_max=D("0.1"))


def with_pair(model: FillModel, pair: NewPair = PAIR, usdt: str = "0", btc: str = "0.5") -> SpotVenue:
    """A venue at 99.99/100 that was sent a pair at 0: a stop at 95 and a target at 110, or the other way round."""
    made = SpotVenue({"BTC-USDT": BTC}, {"USDT": D(usdt), "BTC": D(btc)}, model)
    quote(made, 0, 100.0)
    assert told(made.submit_pair(pair, 0)) == [("s", "NEW", "NEW", ""), ("t", "NEW", "NEW", "")]
    return made


def restarted(made: SpotVenue, model: FillModel) -> SpotVenue:
    """Another venue that was killed and came back as this one."""
    again = SpotVenue({"BTC-USDT": BTC}, {}, model)
    again.restore(made.snapshot())
    assert again.snapshot() == made.snapshot()
    return again


def trade(made: SpotVenue, now: int, px: float, qty: float) -> list[tuple]:
    return told(made.on_trade("BTC-USDT", px, qty, now))


def test_neither_order_of_a_pair_is_there_before_its_latency_is_over() -> None:
    """What trades through the target meanwhile fills nothing; the reserve is locked from the first moment."""
    made = with_pair(SLOW)
    assert owned(made)["BTC"] == ("0", "0.5")
    assert made.next_due == 100 * MS
    assert trade(made, 50 * MS, 111.0, 5.0) == []
    quote(made, 60 * MS, 100.0)
    assert made.advance(100 * MS) == []
    assert made.next_due is None
    assert trade(made, 101 * MS, 111.0, 5.0) == [("s", "EXPIRED", "EXPIRED", ""), ("t", "TRADE", "FILLED", "0.5@110")]
    assert owned(made) == {"BTC": ("0", "0"), "USDT": ("54.9725", "0")}


def test_a_stop_passed_on_its_way_ends_its_target_when_both_arrive() -> None:
    """Both are due at once: the stop sells, and the target that it ended is not tried any more."""
    made = with_pair(SLOW)
    assert trade(made, 50 * MS, 90.0, 1.0) == []
    assert told(made.advance(100 * MS)) == [("t", "EXPIRED", "EXPIRED", ""), ("s", "TRADE", "FILLED", "0.5@90")]
    assert owned(made)["BTC"] == ("0", "0")
    assert made.next_due is None


def test_a_pair_whose_both_prices_were_passed_on_its_way_is_sold_once() -> None:
    """The last trade was at the stop and the quote is beyond the target: the stop comes first, and the target is over."""
    made = with_pair(SLOW)
    assert trade(made, 50 * MS, 90.0, 1.0) == []
    quote(made, 60 * MS, 112.0)
    assert told(made.advance(100 * MS)) == [("t", "EXPIRED", "EXPIRED", ""), ("s", "TRADE", "FILLED", "0.5@111.99")]
    assert owned(made)["BTC"] == ("0", "0")


def test_a_target_that_would_take_when_it_arrives_expires_with_its_stop() -> None:
    """The market ran past it: a real venue refuses the pair on arrival, and NEW was said already."""
    made = with_pair(SLOW)
    quote(made, 50 * MS, 112.0)
    assert told(made.advance(100 * MS)) == [("t", "EXPIRED", "EXPIRED", ""), ("s", "EXPIRED", "EXPIRED", "")]
    assert owned(made)["BTC"] == ("0.5", "0")
    assert made.open_orders() == []
    with pytest.raises(VenueRejected, match="-2011"):
        made.cancel_pair("BTC-USDT", "p", SECOND)


@pytest.mark.parametrize("which", ["p", "s", "t"])
def test_a_pair_cancelled_on_its_way_never_arrives(which: str) -> None:
    """Both are gone, also the one that was not named, and their time passes unnoticed."""
    made = with_pair(SLOW)
    if which == "p":
        made.cancel_pair("BTC-USDT", "p", 1)
    else:
        made.cancel("BTC-USDT", which, 1)
    assert made.next_due is None
    assert made.advance(SECOND) == []
    assert trade(made, SECOND, 111.0, 5.0) + trade(made, SECOND, 90.0, 5.0) == []
    assert owned(made)["BTC"] == ("0.5", "0")


def test_a_market_that_closes_ends_what_is_on_its_way() -> None:
    """Nothing arrives at a closed market."""
    made = with_pair(SLOW)
    assert [each[1] for each in told(made.set_market("BTC-USDT", "BREAK", 1))] == ["EXPIRED", "EXPIRED"]
    assert made.advance(SECOND) == []


def test_a_maker_order_alone_expires_when_it_would_take_on_arrival() -> None:
    """It is never a taker, however long it was on its way."""
    made = SpotVenue({"BTC-USDT": BTC}, {"USDT": D(1000)}, SLOW)
    quote(made, 0, 100.0)
    made.submit(order("BUY", "LIMIT_MAKER", "1", limit_px="99"), 0)
    quote(made, 50 * MS, 98.0)
    assert told(made.advance(100 * MS)) == [("a", "EXPIRED", "EXPIRED", "")]
    assert owned(made)["USDT"] == ("1000", "0")


def test_a_target_without_a_share_leaves_its_stop_alone() -> None:
    """The market went through it, but our share of what traded is less than a step: nothing filled, so nothing ends."""
    made = with_pair(TENTH)
    assert trade(made, SECOND, 111.0, 0.00005) == []
    assert [each.cl_ord_id for each in made.open_orders()] == ["s", "t"]
    assert trade(made, 2 * SECOND, 112.0, 2.0) == [
        ("s", "EXPIRED", "EXPIRED", ""),
        ("t", "TRADE", "PARTIALLY_FILLED", "0.2@110"),
    ]
    assert owned(made)["BTC"] == ("0", "0.3")


def test_a_stop_takes_its_share_and_the_rest_waits_without_the_target() -> None:
    """A tenth of 2, then a tenth of 3; a rebound through the target between them finds it gone."""
    made = with_pair(TENTH)
    assert trade(made, SECOND, 94.0, 2.0) == [
        ("t", "EXPIRED", "EXPIRED", ""),
        ("s", "TRADE", "PARTIALLY_FILLED", "0.2@94"),
    ]
    assert owned(made)["BTC"] == ("0", "0.3")
    assert told(made.on_quote("BTC-USDT", 111.99, 1.0, 112.0, 1.0, 2 * SECOND)) == []
    assert trade(made, 3 * SECOND, 112.0, 3.0) == [("s", "TRADE", "FILLED", "0.3@111.99")]
    assert owned(made)["BTC"] == ("0", "0")


def test_the_rest_of_a_buying_stop_pays_from_its_own_reserve() -> None:
    """The stop reserved for both; a target that becomes active first gives back what it does not need, under a share, too."""
    made = with_pair(TENTH, BUY_PAIR, usdt="55", btc="0")
    assert trade(made, SECOND, 94.0, 2.0)[1] == ("t", "TRADE", "PARTIALLY_FILLED", "0.2@95")
    assert owned(made)["USDT"] == ("7.5", "28.5")
    assert told(made.cancel("BTC-USDT", "t", 2 * SECOND)) == [("t", "CANCELED", "CANCELED", "")]
    assert owned(made)["USDT"] == ("36", "0")


def test_a_pair_on_its_way_survives_a_restart() -> None:
    """It arrives when it would have, and still one order ends the other."""
    made = restarted(with_pair(SLOW), SLOW)
    assert trade(made, 50 * MS, 111.0, 5.0) == []
    quote(made, 60 * MS, 100.0)
    made = restarted(made, SLOW)
    assert made.next_due == 100 * MS
    assert trade(made, SECOND, 111.0, 5.0) == [("s", "EXPIRED", "EXPIRED", ""), ("t", "TRADE", "FILLED", "0.5@110")]


def test_a_capped_stop_survives_a_restart_and_remembers_the_share() -> None:
    """Latency and a share together: what waits, what it may take, and that its target is gone, are all in the snapshot."""
    made = with_pair(SLOW_TENTH)
    made.advance(100 * MS)
    trade(made, SECOND, 94.0, 2.0)
    twin = restarted(made, SLOW_TENTH)
    assert twin.pairs.partner(twin.booked("BTC-USDT", "s")) is None
    for each in (made, twin):
        assert told(each.on_quote("BTC-USDT", 93.0, 1.0, 93.01, 1.0, 2 * SECOND)) == []
        assert trade(each, 3 * SECOND, 93.0, 1.0) == [("s", "TRADE", "PARTIALLY_FILLED", "0.1@93")]
    assert twin.snapshot() == made.snapshot()


def test_a_target_filled_in_part_survives_a_restart_alone() -> None:
    """Nothing stops what is left of it, and its coins stay locked."""
    made = with_pair(TENTH)
    trade(made, SECOND, 111.0, 2.0)
    again = restarted(made, TENTH)
    assert trade(again, 2 * SECOND, 90.0, 1.0) == []
    assert owned(again)["BTC"] == ("0", "0.3")
    assert [each.cl_ord_id for each in again.open_orders()] == ["t"]


# --- told of bars ---------------------------------------------------------------------------------------------------


def bar_venue(model: FillModel = AS_QUOTED) -> BarVenue:
    return BarVenue({"BTC-USDT": BTC}, {"BTC": D("1")}, model)


def test_bars_know_pairs_by_the_same_rules() -> None:
    """A target in reach within a bar makes, and ends the stop."""
    made = bar_venue()
    made.submit_pair(PAIR, 0)
    assert told(made.on_bar(bar(0, (100, 111, 99, 100)))) == [
        ("s", "EXPIRED", "EXPIRED", ""),
        ("t", "TRADE", "FILLED", "0.5@110"),
    ]


def test_a_maker_target_that_would_take_at_its_first_open_expires_with_its_stop() -> None:
    """One that rested since the bar before is filled by the same gap, at its own price."""
    made = bar_venue()
    made.submit_pair(PAIR, 0)
    assert told(made.on_bar(bar(0, (112, 113, 111, 112)))) == [
        ("t", "EXPIRED", "EXPIRED", ""),
        ("s", "EXPIRED", "EXPIRED", ""),
    ]
    assert owned(made)["BTC"] == ("1", "0")
    made = bar_venue()
    made.submit_pair(PAIR, 0)
    made.on_bar(bar(0, FLAT))
    assert told(made.on_bar(bar(1, (112, 113, 111, 112))))[-1] == ("t", "TRADE", "FILLED", "0.5@110")


def test_a_bracket_is_a_pair_of_the_account_named_like_its_stop() -> None:
    """It is found, and cancelled, like any other, also after a restart."""
    made = bar_venue()
    made.submit_bracket(bracket(), 0)
    made.on_bar(bar(0, FLAT))
    again = bar_venue()
    again.restore(made.snapshot())
    assert again.pairs.is_open(again.pairs.require("stop"))
    updates = told(again.cancel_pair("BTC-USDT", "stop", MINUTE))
    assert updates == [("stop", "CANCELED", "CANCELED", ""), ("target", "CANCELED", "CANCELED", "")]
    assert owned(again)["BTC"] == ("1", "0")


def test_an_entry_that_ends_with_its_market_has_no_stop_and_target_any_more() -> None:
    """Closed markets let nothing follow, and refuse brackets."""
    made = BarVenue({"BTC-USDT": BTC}, {"USDT": D(1000)}, AS_QUOTED)
    made.submit_bracket(bracket(order("BUY", "LIMIT", "1", "entry", limit_px="90")), 0)
    assert b'"cl_ord_id":"target"' in made.snapshot()
    assert told(made.set_market("BTC-USDT", "BREAK", 1)) == [("entry", "EXPIRED", "EXPIRED", "")]
    assert b'"cl_ord_id":"target"' not in made.snapshot()
    with pytest.raises(VenueRejected, match="-1013: Market is closed"):
        made.submit_bracket(bracket(), 2)
    assert made.on_bar(bar(0, (80, 120, 80, 100))) == []
