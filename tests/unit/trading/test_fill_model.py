"""The fill model against quotes and trades: latency, slip, impact and a share of the volume, on the same venue as without."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.trading.fill_model import AS_QUOTED, REALISTIC, REALISTIC_BARS, FillModel, impact_bps, taker_px
from libs.trading.venue import SpotVenue
from tests.unit.trading.test_venue import BTC, order, told

SECOND = 1_000_000_000
MS = 1_000_000
SLOW = FillModel(latency_ms=100)
TENTH = FillModel(participation_max=D("0.1"))


def venue(model: FillModel, usdt: str = "10000", btc: str = "0") -> SpotVenue:
    made = SpotVenue({"BTC-USDT": BTC}, {"USDT": D(usdt), "BTC": D(btc)}, model)
    quote(made, 0, 100.0)
    return made


def quote(made: SpotVenue, now: int, ask: float, qty: float = 1.0) -> list[tuple]:
    return told(made.on_quote("BTC-USDT", ask - 0.01, qty, ask, qty, now))


def trade(made: SpotVenue, now: int, px: float, qty: float) -> list[tuple]:
    return told(made.on_trade("BTC-USDT", px, qty, now))


def test_an_order_meets_the_market_of_the_moment_it_becomes_active() -> None:
    """NEW at once, then the price of 100 ms later, neither that of now nor the one after."""
    made = venue(SLOW)
    assert told(made.submit(order("BUY", "MARKET", "0.5"), SECOND)) == [("NEW", "NEW", "", None)]
    assert quote(made, SECOND + 99 * MS, 101.0) == []
    assert made.next_due == SECOND + 100 * MS
    assert quote(made, SECOND + 101 * MS, 105.0) == [("TRADE", "FILLED", "0.5@101", "TAKER")]
    assert made.fills()[0].ts_event == SECOND + 100 * MS
    assert made.next_due is None


def test_time_alone_makes_an_order_active() -> None:
    """A quiet market keeps nobody waiting."""
    made = venue(SLOW)
    made.submit(order("BUY", "MARKET", "0.5"), 0)
    assert made.advance(100 * MS - 1) == []
    assert told(made.advance(100 * MS)) == [("TRADE", "FILLED", "0.5@100", "TAKER")]


def test_a_limit_on_its_way_is_not_in_the_book() -> None:
    """What trades through its price before it is active does not fill it."""
    made = venue(SLOW)
    made.submit(order("BUY", "LIMIT", "0.5", limit_px="99"), 0)
    assert trade(made, 99 * MS, 98.0, 5.0) == []
    quote(made, 99 * MS, 100.0)
    assert trade(made, 101 * MS, 98.0, 5.0) == [("TRADE", "FILLED", "0.5@99", "MAKER")]


def test_a_stop_that_was_passed_while_on_its_way_triggers_when_it_arrives() -> None:
    """It fills at the market of its arrival."""
    made = venue(SLOW, btc="1")
    made.submit(order("SELL", "STOP_LOSS", "0.5", stop_px="95"), 0)
    assert trade(made, 50 * MS, 90.0, 1.0) == []
    assert told(made.advance(100 * MS)) == [("TRADE", "FILLED", "0.5@90", "TAKER")]


def test_an_order_cancelled_on_its_way_never_arrives() -> None:
    """Its reserve is free again, and its time passes unnoticed."""
    made = venue(SLOW)
    made.submit(order("BUY", "LIMIT", "1", limit_px="101"), 0)
    made.cancel("BTC-USDT", "a", 1)
    assert made.advance(SECOND) == []
    assert made.balances()[1].free == D(10000)


def test_a_market_sell_on_its_way_sells_what_is_left_when_it_arrives() -> None:
    """It locks nothing, so a limit sent meanwhile may have the coins; it never sells what is not there."""
    made = venue(SLOW, btc="1")
    made.submit(order("SELL", "MARKET", "1"), 0)
    made.submit(order("SELL", "LIMIT", "0.6", "b", limit_px="120"), 1)
    assert told(made.advance(100 * MS)) == [
        ("TRADE", "PARTIALLY_FILLED", "0.4@99.99", "TAKER"),
        ("EXPIRED", "EXPIRED", "", None),
    ]


def test_slip_is_paid_on_every_level() -> None:
    """Ten basis points over 100 are 100.10; the level behind is a basis point worse, 100.01, and pays them too: 100.12."""
    made = venue(FillModel(slip_bps=D(10)))
    assert told(made.submit(order("BUY", "MARKET", "2"), 1))[1:] == [
        ("TRADE", "PARTIALLY_FILLED", "1@100.1", "TAKER"),
        ("TRADE", "FILLED", "1@100.12", "TAKER"),
    ]


def test_impact_goes_by_the_volume_of_the_last_minute() -> None:
    """0.25 of the 25 that traded: 100 bp x sqrt(0.01) = 10 bp; a minute later nothing is known, and it is all of 100 bp."""
    made = venue(FillModel(impact_bps=D(100)))
    trade(made, SECOND, 100.0, 20.0)
    trade(made, 2 * SECOND, 100.0, 5.0)
    assert told(made.submit(order("BUY", "MARKET", "0.25"), 3 * SECOND))[1][2] == "0.25@100.1"
    assert told(made.submit(order("BUY", "MARKET", "0.25"), 62 * SECOND))[1][2] == "0.25@101"


def test_costs_never_push_a_limit_beyond_its_price() -> None:
    """A limit is a promise that the model keeps, too."""
    made = venue(FillModel(slip_bps=D(10)))
    assert told(made.submit(order("BUY", "LIMIT", "1", limit_px="100.05"), 1))[1][2] == "1@100.05"


def test_a_resting_limit_pays_neither_slip_nor_impact() -> None:
    """Makers are paid their price."""
    made = venue(FillModel(slip_bps=D(10), impact_bps=D(10)))
    made.submit(order("BUY", "LIMIT", "1", limit_px="99"), 1)
    assert trade(made, SECOND, 98.0, 5.0) == [("TRADE", "FILLED", "1@99", "MAKER")]


def test_a_buy_must_be_able_to_pay_its_costs() -> None:
    """100 USDT do not buy one at 100 and ten basis points; 100.10 do, and the fee leaves in what is bought."""
    made = venue(FillModel(slip_bps=D(10)), usdt="100.09")
    with pytest.raises(Exception, match="insufficient balance"):
        made.submit(order("BUY", "MARKET", "1"), 1)
    made = venue(FillModel(slip_bps=D(10)), usdt="100.10")
    made.submit(order("BUY", "MARKET", "1"), 1)
    assert {held.asset: held.free for held in made.balances()} == {"BTC": D("0.999"), "USDT": D(0)}


def test_fills_stay_within_the_share_of_what_traded_and_the_rest_waits() -> None:
    """A tenth of 5, then a tenth of 3 more; what is left is open and takes when there is more."""
    made = venue(TENTH)
    trade(made, SECOND, 100.0, 5.0)
    assert told(made.submit(order("BUY", "MARKET", "1"), 2 * SECOND))[1:] == [
        ("TRADE", "PARTIALLY_FILLED", "0.5@100", "TAKER")
    ]
    assert quote(made, 3 * SECOND, 101.0) == []
    assert trade(made, 4 * SECOND, 101.0, 3.0) == [("TRADE", "PARTIALLY_FILLED", "0.3@101", "TAKER")]
    assert trade(made, 5 * SECOND, 101.0, 99.0) == [("TRADE", "FILLED", "0.2@101", "TAKER")]


def test_a_rest_that_can_no_longer_be_paid_expires() -> None:
    """It waited for volume, and the price went beyond the money: waiting longer would not help."""
    made = venue(TENTH, usdt="100")
    trade(made, SECOND, 100.0, 5.0)
    made.submit(order("BUY", "MARKET", "0.9"), 2 * SECOND)
    assert trade(made, 3 * SECOND, 200.0, 3.0) == [
        ("TRADE", "PARTIALLY_FILLED", "0.25@200", "TAKER"),
        ("EXPIRED", "EXPIRED", "", None),
    ]


def test_the_share_counts_makers_and_forgets_after_a_minute() -> None:
    """A trade of 4 through a limit gives a tenth of it; what a minute ago was traded, or filled, counts no more."""
    made = venue(TENTH)
    made.submit(order("BUY", "LIMIT", "1", limit_px="99"), 1)
    assert trade(made, SECOND, 98.0, 4.0) == [("TRADE", "PARTIALLY_FILLED", "0.4@99", "MAKER")]
    assert trade(made, 60 * SECOND, 98.0, 1.0) == [("TRADE", "PARTIALLY_FILLED", "0.1@99", "MAKER")]
    assert trade(made, 61 * SECOND, 98.0, 2.0) == [("TRADE", "PARTIALLY_FILLED", "0.2@99", "MAKER")]


def test_without_known_volume_nothing_fills_and_what_may_not_wait_expires() -> None:
    """A share of nothing is nothing."""
    made = venue(TENTH)
    assert told(made.submit(order("BUY", "MARKET", "1"), 1)) == [("NEW", "NEW", "", None)]
    for name, kind in (("b", "IOC"), ("c", "FOK")):
        sent = order("BUY", "LIMIT", "1", name, limit_px="101", time_in_force=kind)
        assert told(made.submit(sent, 1))[-1] == ("EXPIRED", "EXPIRED", "", None)


def test_a_limit_that_waited_rests_once_the_market_has_left_it() -> None:
    """It was a taker while it was marketable; then it is in the book like any other."""
    made = venue(TENTH)
    made.submit(order("BUY", "LIMIT", "1", limit_px="100"), 1)
    quote(made, SECOND, 102.0)
    quote(made, 2 * SECOND, 100.5)
    assert trade(made, 3 * SECOND, 99.0, 5.0) == [("TRADE", "PARTIALLY_FILLED", "0.5@100", "MAKER")]


def test_own_consumption_is_remembered_until_the_next_quote() -> None:
    """Whoever bought the best level pays the next one, with the costs on top."""
    made = venue(FillModel(slip_bps=D(10)))
    made.submit(order("BUY", "MARKET", "1"), 1)
    assert told(made.submit(order("BUY", "MARKET", "1", "b"), 2))[1][2] == "1@100.12"
    quote(made, 3, 100.0)
    assert told(made.submit(order("BUY", "MARKET", "1", "c"), 4))[1][2] == "1@100.1"


def test_a_free_model_leaves_no_trace() -> None:
    """Told nothing, the venue remembers nothing more than it ever did, to the byte."""
    plain, modelled = SpotVenue({"BTC-USDT": BTC}, {"USDT": D(500)}), venue(AS_QUOTED, usdt="500")
    plain.restore(modelled.snapshot())
    for made in (plain, modelled):
        made.submit(order("BUY", "MARKET", "0.5"), 1)
        trade(made, SECOND, 100.0, 5.0)
    assert plain.snapshot() == modelled.snapshot()
    assert b"waiting" not in modelled.snapshot()


def test_impact_is_the_square_root_of_the_share() -> None:
    """A quarter of the volume costs half of what all of it costs; unknown volume counts as all of it."""
    assert impact_bps(D(10), D(25), D(100)) == 5
    assert impact_bps(D(10), D(25), D(0)) == 10
    assert impact_bps(D(0), D(25), D(100)) == 0
    assert impact_bps(D(3), D(1), D(3)) == D("1.73205081")


def test_a_cost_rounds_to_the_worse_tick_and_never_below_one() -> None:
    """Buys up, sells down; a price that is free stays what it was, on a tick or not."""
    assert taker_px(D("100.01"), "BUY", D("0.01"), D("0.01")) == D("100.02")
    assert taker_px(D("100.01"), "SELL", D("0.01"), D("0.01")) == D("100.00")
    assert taker_px(D("0.01"), "SELL", D("0.01"), D(5)) == D("0.01")
    assert taker_px(D("100.001"), "BUY", D("0.01"), D(0)) == D("100.001")


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency_ms": -1},
        {"slip_bps": D(-1)},
        {"impact_bps": D("NaN")},
        {"half_spread_bps": D(5000), "slip_bps": D(5000)},
        {"participation_max": D(0)},
        {"participation_max": D("1.1")},
    ],
)
def test_a_model_that_cannot_be_is_refused(wrong: dict) -> None:
    """Costs are not gains, and nobody trades more than there is."""
    with pytest.raises(ValueError, match="must be"):
        FillModel(**wrong)


def test_the_presets_are_what_the_page_says() -> None:
    """150 ms, 1 + 1 bp, 10 bp of impact, a tenth of the volume; for bars the same without latency."""
    assert (
        FillModel(latency_ms=150, half_spread_bps=D(1), slip_bps=D(1), impact_bps=D(10), participation_max=D("0.10"))
        == REALISTIC
    )
    assert (REALISTIC_BARS.latency_ms, REALISTIC_BARS.bar_cost_bps_max()) == (0, D("5.16227766"))


def test_a_fee_in_quote_is_kept_for_where_a_waiting_market_order_slips() -> None:
    """Where fees are paid in quote, a MARKET whose money no longer suffices buys less, and its fee can still be paid."""
    made = SpotVenue({"BTC-USDT": BTC}, {"USDT": D("1012"), "BTC": D(0)}, SLOW, quote_fees=("BTC-USDT",))
    quote(made, 0, 100.0, 50.0)
    made.submit(order("BUY", "MARKET", "10"), SECOND)
    quote(made, SECOND + 1, 109.0, 50.0)
    made.advance(SECOND + 100 * MS)
    (fill,) = made.fills()
    (left,) = (held.free for held in made.balances() if held.asset == "USDT")
    assert (fill.px, fill.commission_asset) == (D(109), "USDT")
    assert 0 < fill.qty < 10
    assert left == D(1012) - fill.px * fill.qty - fill.commission
    assert 0 <= left < fill.px * BTC.qty_step * 2
