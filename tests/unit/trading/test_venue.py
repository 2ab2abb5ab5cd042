"""The venue model against its own rules: what fills, at which price, what is refused, and that no money is made or lost."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.common.messages import InstrumentSpec
from libs.trading.venue import NewOrder, SpotVenue, VenueRejected, VenueUpdate

BTC = InstrumentSpec(
    instrument="BTC-USDT",
    base="BTC",
    quote="USDT",
    px_tick=D("0.01"),
    qty_step=D("0.00001"),
    qty_min=D("0.00001"),
    notional_min=D("5"),
    taker_fee=D("0.001"),
    maker_fee=D("0.0005"),
)
EMPTY = 0.0


def venue(
    usdt: str = "10000", btc: str = "0", *, bid: float = 99.99, ask: float = 100.0, qty: float = 1.0
) -> SpotVenue:
    made = SpotVenue({"BTC-USDT": BTC}, {"USDT": D(usdt), "BTC": D(btc)})
    made.on_quote("BTC-USDT", bid, qty, ask, qty, 1)
    return made


def order(side: str, ord_type: str, qty: str, cl_ord_id: str = "a", **more: str) -> NewOrder:
    prices = {name: D(more[name]) for name in ("limit_px", "stop_px") if name in more}
    return NewOrder(
        cl_ord_id=cl_ord_id,
        instrument="BTC-USDT",
        side=side,
        ord_type=ord_type,
        order_qty=D(qty),
        time_in_force=more.get("time_in_force", "GTC"),
        **prices,
    )


def told(updates: list[VenueUpdate]) -> list[tuple]:
    """The conversation in short: exec type, status, and price x quantity of a fill."""
    return [
        (
            u.exec_type,
            u.order.ord_status,
            f"{u.fill.qty}@{u.fill.px}" if u.fill else "",
            u.fill and u.fill.liquidity_side,
        )
        for u in updates
    ]


def owned(made: SpotVenue) -> dict[str, tuple[str, str]]:
    return {b.asset: (str(b.free), str(b.locked)) for b in made.balances()}


def test_market_buy_takes_the_offer_and_pays_its_fee_in_the_asset_it_received() -> None:
    """Without BNB Binance takes the fee of a buy from the base asset."""
    made = venue()
    assert told(made.submit(order("BUY", "MARKET", "0.5"), 2)) == [
        ("NEW", "NEW", "", None),
        ("TRADE", "FILLED", "0.5@100", "TAKER"),
    ]
    assert owned(made) == {"BTC": ("0.4995", "0"), "USDT": ("9950", "0")}
    fill = made.fills("BTC-USDT", 0)[0]
    assert (fill.commission, fill.commission_asset, fill.exec_id) == (D("0.0005"), "BTC", "1")


def test_market_sell_pays_its_fee_in_quote() -> None:
    """A sell receives quote, and quote is what the fee is taken from."""
    made = venue(usdt="0", btc="1")
    made.submit(order("SELL", "MARKET", "0.5"), 2)
    assert owned(made) == {"BTC": ("0.5", "0"), "USDT": ("49.945005", "0")}


def test_a_market_order_beyond_the_quote_walks_a_worsening_ladder() -> None:
    """Level k holds twice the quantity of level k-1 and is one basis point worse."""
    made = venue()
    assert told(made.submit(order("BUY", "MARKET", "4"), 2))[1:] == [
        ("TRADE", "PARTIALLY_FILLED", "1@100", "TAKER"),
        ("TRADE", "PARTIALLY_FILLED", "2@100.01", "TAKER"),
        ("TRADE", "FILLED", "1@100.02", "TAKER"),
    ]


def test_what_we_took_stays_taken_until_the_next_quote() -> None:
    """Two orders in a row cannot both have the same offer."""
    made = venue()
    made.submit(order("BUY", "MARKET", "0.6", "a"), 2)
    assert [u.fill.px for u in made.submit(order("BUY", "MARKET", "0.6", "b"), 3) if u.fill] == [D("100"), D("100.01")]
    made.on_quote("BTC-USDT", 99.99, 1.0, 100.0, 1.0, 4)
    assert [u.fill.px for u in made.submit(order("BUY", "MARKET", "0.6", "c"), 5) if u.fill] == [D("100")]


def test_a_market_order_with_nobody_opposite_expires() -> None:
    """An empty side of the book is no price at all."""
    made = SpotVenue({"BTC-USDT": BTC}, {"USDT": D(1000)})
    assert told(made.submit(order("BUY", "MARKET", "0.5"), 2))[1:] == [("EXPIRED", "EXPIRED", "", None)]
    made.on_quote("BTC-USDT", 99.0, 1.0, EMPTY, EMPTY, 3)
    assert told(made.submit(order("BUY", "MARKET", "0.5"), 4))[1:] == [("EXPIRED", "EXPIRED", "", None)]
    assert owned(made)["USDT"] == ("1000", "0")


def test_a_ladder_that_ends_leaves_the_rest_expired() -> None:
    """Twenty levels of a tiny quote are all there is."""
    made = venue(usdt="100000000", qty=0.00001)
    updates = made.submit(order("BUY", "MARKET", "20"), 2)
    assert told(updates)[-1][:2] == ("EXPIRED", "EXPIRED")
    assert updates[-1].order.cum_qty == D("0.00001") * (2**20 - 1)


def test_a_ladder_never_reaches_a_price_of_zero() -> None:
    """At one tick above nothing, the levels below do not exist."""
    made = SpotVenue({"BTC-USDT": BTC}, {"BTC": D(2000)})
    made.on_quote("BTC-USDT", 0.01, 600.0, 0.02, 600.0, 1)
    assert told(made.submit(order("SELL", "MARKET", "700"), 2))[1:] == [
        ("TRADE", "PARTIALLY_FILLED", "600@0.01", "TAKER"),
        ("EXPIRED", "EXPIRED", "", None),
    ]


def test_a_resting_limit_locks_what_it_would_pay() -> None:
    """Money promised to one order cannot be promised to another."""
    made = venue()
    made.submit(order("BUY", "LIMIT", "50", "a", limit_px="99"), 2)
    assert owned(made)["USDT"] == ("5050", "4950")
    with pytest.raises(VenueRejected, match="-2010: Account has insufficient balance"):
        made.submit(order("BUY", "LIMIT", "52", "b", limit_px="99"), 3)
    made.cancel("BTC-USDT", "a", 4)
    assert owned(made)["USDT"] == ("10000", "0")


@pytest.mark.parametrize(
    ("side", "limit_px", "touch", "through"),
    [("BUY", "99", 99.0, 98.99), ("SELL", "101", 101.0, 101.01)],
)
def test_a_touch_is_no_fill_and_going_through_fills_at_the_limit(side, limit_px, touch, through) -> None:
    """Others stand before us at our price; only a trade beyond it proves that they are gone."""
    made = venue(btc="10")
    made.submit(order(side, "LIMIT", "1", limit_px=limit_px), 2)
    assert made.on_trade("BTC-USDT", touch, 5.0, 3) == []
    assert told(made.on_trade("BTC-USDT", through, 5.0, 4)) == [("TRADE", "FILLED", f"1@{limit_px}", "MAKER")]
    assert made.open_orders() == []


def test_a_quote_through_a_resting_limit_fills_it_as_well() -> None:
    """An offer below our bid would have met our bid first."""
    made = venue()
    made.submit(order("BUY", "LIMIT", "3", limit_px="99"), 2)
    assert made.on_quote("BTC-USDT", 98.9, 1.0, 99.0, 2.0, 3) == []
    assert told(made.on_quote("BTC-USDT", 98.9, 1.0, 98.99, 2.0, 4)) == [("TRADE", "PARTIALLY_FILLED", "2@99", "MAKER")]
    assert made.submit(order("BUY", "MARKET", "1", "b"), 5)[1].fill.px == D("99")  # the two offered units are gone


def test_a_trade_is_shared_out_by_price_then_age() -> None:
    """The better price first, then the older order, and never more than was traded."""
    made = venue()
    for name, px in (("old", "99"), ("best", "99.5"), ("young", "99")):
        made.submit(order("BUY", "LIMIT", "1", name, limit_px=px), 2)
    updates = made.on_trade("BTC-USDT", 98.0, 2.5, 3)
    assert [(u.order.cl_ord_id, str(u.fill.qty)) for u in updates] == [("best", "1"), ("old", "1"), ("young", "0.5")]
    assert [(o.cl_ord_id, o.ord_status) for o in made.open_orders()] == [("young", "PARTIALLY_FILLED")]
    assert made.on_trade("BTC-USDT", 98.0, 0.000001, 4) == []  # less than one step


def test_a_marketable_limit_takes_up_to_its_limit_and_rests_with_the_rest() -> None:
    """It pays the market, not its limit, and what it did not need is unlocked."""
    made = venue()
    updates = made.submit(order("BUY", "LIMIT", "4", limit_px="100.01"), 2)
    assert told(updates)[1:] == [
        ("TRADE", "PARTIALLY_FILLED", "1@100", "TAKER"),
        ("TRADE", "PARTIALLY_FILLED", "2@100.01", "TAKER"),
    ]
    assert owned(made)["USDT"] == ("9599.97", "100.01")


def test_ioc_takes_what_there_is_and_fok_all_or_nothing() -> None:
    """IOC expires its rest; FOK that cannot be whole does not begin."""
    made = venue()
    updates = made.submit(order("BUY", "LIMIT", "2", limit_px="100", time_in_force="IOC"), 2)
    assert [row[0] for row in told(updates)] == ["NEW", "TRADE", "EXPIRED"]
    made.on_quote("BTC-USDT", 99.99, 1.0, 100.0, 1.0, 3)
    updates = made.submit(order("BUY", "LIMIT", "2", "b", limit_px="100", time_in_force="FOK"), 4)
    assert [row[0] for row in told(updates)] == ["NEW", "EXPIRED"]
    updates = made.submit(order("BUY", "LIMIT", "1", "c", limit_px="100", time_in_force="FOK"), 5)
    assert told(updates)[-1][:2] == ("TRADE", "FILLED")
    assert owned(made)["USDT"] == ("9800", "0")


def test_a_stop_triggers_on_touch_and_a_gap_fills_at_the_gap() -> None:
    """A stop is a promise to sell, not a promise of a price."""
    made = venue(btc="2")
    made.submit(order("SELL", "STOP_LOSS", "1", "near", stop_px="95"), 2)
    made.submit(order("SELL", "STOP_LOSS", "1", "far", stop_px="90"), 2)
    assert owned(made)["BTC"] == ("0", "2")
    assert made.on_trade("BTC-USDT", 95.01, 1.0, 3) == []
    made.on_quote("BTC-USDT", 94.99, 1.0, 95.0, 1.0, 4)
    assert told(made.on_trade("BTC-USDT", 95.0, 1.0, 5)) == [("TRADE", "FILLED", "1@94.99", "TAKER")]
    assert told(made.on_trade("BTC-USDT", 80.0, 1.0, 6)) == [("TRADE", "FILLED", "1@80", "TAKER")]


def test_a_quote_wholly_beyond_the_stop_triggers_it_without_a_trade() -> None:
    """When everybody offers below the stop, no print is needed to know."""
    made = venue(btc="1")
    made.submit(order("SELL", "STOP_LOSS", "1", stop_px="95"), 2)
    assert made.on_quote("BTC-USDT", 94.0, 1.0, 95.0, 1.0, 3) == []
    assert told(made.on_quote("BTC-USDT", 93.0, 5.0, 94.0, 5.0, 4)) == [("TRADE", "FILLED", "1@93", "TAKER")]


def test_stops_go_in_the_order_the_market_reaches_them() -> None:
    """Falling, the higher sell stop is met first and has the better bid."""
    made = venue(btc="2")
    made.submit(order("SELL", "STOP_LOSS", "1", "low", stop_px="90"), 2)
    made.submit(order("SELL", "STOP_LOSS", "1", "high", stop_px="95"), 2)
    assert [u.order.cl_ord_id for u in made.on_trade("BTC-USDT", 80.0, 1.0, 3)] == ["high", "low"]


def test_a_stop_limit_becomes_a_limit_and_rests_when_the_market_is_past_it() -> None:
    """It does not sell below its limit, which is why it may not sell at all."""
    made = venue(btc="1")
    made.submit(order("SELL", "STOP_LOSS_LIMIT", "1", stop_px="95", limit_px="94"), 2)
    assert made.on_trade("BTC-USDT", 90.0, 1.0, 3) == []
    assert [o.ord_status for o in made.open_orders("BTC-USDT")] == ["NEW"]
    assert told(made.on_trade("BTC-USDT", 94.01, 1.0, 4)) == [("TRADE", "FILLED", "1@94", "MAKER")]


def test_a_buy_stop_that_gaps_beyond_the_money_buys_what_the_money_buys() -> None:
    """The venue never lends: the rest of the stop expires."""
    made = venue(usdt="110")
    made.submit(order("BUY", "STOP_LOSS", "1", stop_px="110"), 2)
    assert owned(made)["USDT"] == ("0", "110")
    updates = made.on_quote("BTC-USDT", 119.0, 5.0, 120.0, 5.0, 3)
    assert told(updates) == [
        ("TRADE", "PARTIALLY_FILLED", "0.91666@120", "TAKER"),
        ("EXPIRED", "EXPIRED", "", None),
    ]
    assert owned(made)["USDT"] == ("0.0008", "0")


REFUSED = [
    (dict(side="BUY", ord_type="MARKET", qty="0.000001"), -1013, "Filter failure: LOT_SIZE"),
    (dict(side="BUY", ord_type="MARKET", qty="0"), -1013, "Filter failure: LOT_SIZE"),
    (dict(side="BUY", ord_type="MARKET", qty="0.100001"), -1013, "Filter failure: LOT_SIZE"),
    (dict(side="BUY", ord_type="MARKET", qty="NaN"), -1013, "Filter failure: LOT_SIZE"),
    (dict(side="BUY", ord_type="MARKET", qty="0.04"), -1013, "Filter failure: NOTIONAL"),
    (dict(side="BUY", ord_type="LIMIT", qty="1", limit_px="99.001"), -1013, "Filter failure: PRICE_FILTER"),
    (dict(side="BUY", ord_type="LIMIT", qty="1", limit_px="-1"), -1013, "Filter failure: PRICE_FILTER"),
    (dict(side="BUY", ord_type="LIMIT", qty="0.05", limit_px="99"), -1013, "Filter failure: NOTIONAL"),
    (dict(side="BUY", ord_type="LIMIT", qty="1"), -1102, "Mandatory parameter 'price' was not sent"),
    (dict(side="SELL", ord_type="STOP_LOSS", qty="1"), -1102, "Mandatory parameter 'stopPrice' was not sent"),
    (dict(side="BUY", ord_type="MARKET", qty="1", limit_px="99"), -1106, "Parameter 'price' sent when not required."),
    (dict(side="BUY", ord_type="MARKET", qty="101"), -2010, "Account has insufficient balance"),
    (dict(side="SELL", ord_type="MARKET", qty="1"), -2010, "Account has insufficient balance"),
    (dict(side="SELL", ord_type="LIMIT", qty="1", limit_px="101"), -2010, "Account has insufficient balance"),
    (dict(side="BUY", ord_type="STOP_LOSS", qty="1", stop_px="99"), -2010, "Stop price would trigger immediately."),
    (dict(side="BUY", ord_type="MARKET", qty="1", cl_ord_id="ä b"), -1100, "Illegal characters found"),
]


@pytest.mark.parametrize(("fields", "code", "text"), REFUSED)
def test_refusals_have_binances_codes_and_words_and_change_nothing(fields, code, text) -> None:
    """The executor decides by these codes what is definitive."""
    made = venue()
    before = made.snapshot()
    with pytest.raises(VenueRejected) as caught:
        made.submit(order(**fields), 2)
    assert caught.value.code == code
    assert text in caught.value.message
    assert made.snapshot() == before


def test_unknown_instruments_and_orders_are_refused_by_name() -> None:
    """-1121 for a symbol, -2011 for a cancel, -2013 for a query."""
    made = venue()
    stray = NewOrder(cl_ord_id="a", instrument="XRP-USDT", side="BUY", ord_type="MARKET", order_qty=D(1))
    for code, call in (
        (-1121, lambda: made.submit(stray, 2)),
        (-1121, lambda: made.on_quote("XRP-USDT", 1.0, 1.0, 2.0, 1.0, 2)),
        (-2011, lambda: made.cancel("BTC-USDT", "nobody", 2)),
        (-2011, lambda: made.cancel("BTC-USDT", None, 2, venue_order_id="77")),
        (-2013, lambda: made.require("BTC-USDT", "nobody")),
    ):
        with pytest.raises(VenueRejected) as caught:
            call()
        assert caught.value.code == code


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    """Binance forgets an id when its order is over; `order` then shows the newest one."""
    made = venue()
    made.submit(order("BUY", "LIMIT", "1", limit_px="99"), 2)
    with pytest.raises(VenueRejected, match=r"-2010: Duplicate order sent\."):
        made.submit(order("BUY", "LIMIT", "1", limit_px="99"), 3)
    made.cancel("BTC-USDT", "a", 4)
    with pytest.raises(VenueRejected, match="-2011"):
        made.cancel("BTC-USDT", "a", 5)
    made.submit(order("BUY", "MARKET", "1"), 6)
    assert made.order("BTC-USDT", "a").venue_order_id == "2"
    assert made.order("BTC-USDT", "never") is None
    assert made.require("BTC-USDT", None, "1").ord_status == "CANCELED"
    assert [booked.venue_order_id for booked in made.all_orders()] == ["1", "2"]


def test_a_venue_that_only_hears_trades_quotes_them() -> None:
    """Without quotes the last trade is the only market there is."""
    made = SpotVenue({"BTC-USDT": BTC}, {"USDT": D(1000)})
    made.on_trade("BTC-USDT", 100.0, 2.0, 1)
    assert made.submit(order("BUY", "MARKET", "1"), 2)[1].fill.px == D(100)


def test_a_restored_venue_goes_on_exactly_like_the_original() -> None:
    """A restart is invisible in everything the venue says afterwards."""
    made = venue(btc="1")
    made.submit(order("SELL", "STOP_LOSS", "0.5", "s", stop_px="95"), 2)
    made.submit(order("BUY", "LIMIT", "2", "l", limit_px="98"), 2)
    made.submit(order("BUY", "MARKET", "0.7", "m"), 2)
    other = SpotVenue({"BTC-USDT": BTC}, {})
    other.restore(made.snapshot())
    for each in (made, other):
        each.heard = each.on_trade("BTC-USDT", 94.0, 0.3, 3) + each.submit(order("BUY", "MARKET", "0.7", "n"), 4)
    assert made.heard == other.heard
    assert len(made.heard) >= 4
    assert made.snapshot() == other.snapshot()
    assert made.fills(None, 2) == other.fills("BTC-USDT", 2) != []
