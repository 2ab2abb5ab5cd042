"""What votes are worth: next open, the paper venue's prices, and nothing that was not voted."""

from __future__ import annotations

import math
from decimal import ROUND_DOWN, Decimal
from random import Random

import msgspec
import pytest

from libs.common.messages import Bar, InstrumentSpec
from libs.research.validity.noise import noise_market
from libs.research.validity.votes import FREE, Costs, Filled, board_of, fills_of, later, spells_of, valued, votes_of
from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import REALISTIC_BARS
from libs.trading.venue import NewOrder
from tests.plugins import changed
from tests.unit.research.validity.rules import bar_at, hours, on_trial, voted

FEE = Decimal("0.001")
FINE = Decimal("0.00000001")
"""A step and a tick so fine that rounding to them does not show."""
SPEC = InstrumentSpec(
    instrument="BTC-USDT",
    base="BTC",
    quote="USDT",
    px_tick=FINE,
    qty_step=FINE,
    qty_min=FINE,
    notional_min=Decimal(1),
    taker_fee=FEE,
    maker_fee=FEE,
)
CASH = 10_000.0


def played(bars: list[Bar], fills: list[Filled]) -> tuple[list[tuple[int, Decimal, Decimal]], list[Decimal]]:
    """The same market orders at the paper venue, ordered at the close before: its fills, and what the account was worth at each close.

    There is more money and one coin more in the account, which take no part: so no order fails for a rounded satoshi.
    """
    venue = BarVenue({SPEC.instrument: SPEC}, {"USDT": Decimal(2 * CASH), "BTC": Decimal(1)}, REALISTIC_BARS)
    orders = {fill.bar: fill for fill in fills}
    found, worth, held, cash = [], [], Decimal(0), Decimal(2 * CASH)
    for place, bar in enumerate(bars):
        updates = venue.open_bar(bar) + venue.close_bar(bar.instrument)
        for fill in [update.fill for update in updates if update.fill is not None]:
            signed = fill.qty if fill.side == "BUY" else -fill.qty
            found.append((place, signed, fill.px))
            held += signed - (fill.commission if fill.commission_asset == "BTC" else 0)
            cash -= signed * fill.px + (fill.commission if fill.commission_asset == "USDT" else 0)
        worth.append(cash + held * Decimal(str(bar.close)) - Decimal(CASH))
        if (order := orders.get(place + 1)) is not None:
            venue.submit(_market(order, place), bar.ts_close)
    return found, worth


def _market(fill: Filled, place: int) -> NewOrder:
    return NewOrder(
        cl_ord_id=f"{place:032x}",
        instrument=SPEC.instrument,
        side="BUY" if fill.qty > 0 else "SELL",
        ord_type="MARKET",
        time_in_force="GTC",
        order_qty=abs(Decimal(str(fill.qty))).quantize(FINE, ROUND_DOWN),
    )


def test_votes_are_filled_and_valued_as_the_paper_venue_fills_and_values_market_orders() -> None:
    """Same bars, same quantities, same prices with spread, slippage, impact and fee; the same worth at every close."""
    bars, random = hours(3, 300), Random(5)
    stances = [1 if random.random() < 0.5 else 0 for _ in bars]
    series = voted(bars, stances)
    fills = fills_of(series, series.spells(), Costs.of(REALISTIC_BARS, float(FEE)), CASH)
    mine = valued(series, fills, range(len(bars)), CASH)
    at_venue, worth = played(bars, fills)
    assert len(fills) > 100
    assert [bar for bar, _, _ in at_venue] == [fill.bar for fill in fills]
    for fill, (_, qty, px) in zip(fills, at_venue, strict=True):
        assert float(px) == pytest.approx(fill.px, rel=1e-7)
        assert float(qty) == pytest.approx(fill.qty, rel=1e-7)
    assert [float(each) for each in worth] == pytest.approx(mine, rel=1e-7)


def test_a_vote_is_entered_at_the_open_after_the_close_it_was_said_at() -> None:
    """LONG at the close of bar 1 owns bar 2, and FLAT at the close of bar 2 leaves at the open of bar 3."""
    assert spells_of([False, True, False, False]) == [(2, 3)]
    bars = [bar_at(0, 100, 110), bar_at(1, 110, 121), bar_at(2, 121, 242), bar_at(3, 242, 10)]
    series = voted(bars, [0, 1, 0, 0])
    assert valued(series, fills_of(series, series.spells(), FREE, 1.0), range(4), 1.0) == [1.0, 1.0, 2.0, 2.0]


def test_a_vote_at_the_last_close_cannot_be_entered_any_more() -> None:
    """There is no bar after it."""
    assert spells_of([False, True]) == []
    assert later([(1, 2), (3, 4)], 1, 4) == [(2, 3)]


def test_a_short_vote_is_out_of_the_market() -> None:
    """On a spot market nobody can be short."""
    bars = hours(1, 100)
    assert board_of([voted(bars, [-1] * 100)]).worth().trips == 0


def test_costs_take_what_they_say_and_are_never_a_gain() -> None:
    """The dearer, the less is left, whatever the market does."""
    bars = hours(2, 24 * 60)
    board = board_of([voted(bars, [place // 5 % 2 for place in range(len(bars))])])
    costs = Costs.of(REALISTIC_BARS, float(FEE))
    left = [board.worth(costs=costs.times(times), cash=CASH).growth for times in (0, 1, 2, 3)]
    assert left == sorted(left, reverse=True)
    trades = (
        2 * board.worth().trips
    )  # each pays a fee of 10 bp, 2 bp to get there, and about 1 bp for a hundredth of an hour's volume
    assert 0.0012 * trades < math.log(left[0] / left[1]) < 0.0014 * trades


def test_what_was_never_in_the_market_has_no_sharpe_ratio() -> None:
    """Nothing over nothing is not known; it is not zero."""
    assert math.isnan(board_of([voted(hours(1, 100), [0] * 100)]).worth().sharpe)


def test_two_instruments_share_the_money_and_are_valued_at_the_same_midnights() -> None:
    """One that doubles beside one that stands still makes half as much again."""
    flat = [bar_at(place, 100.0, 100.0) for place in range(72)]
    rising = [bar_at(place, 100.0 + place, 101.0 + place) for place in range(72)]
    stances = [0] * 24 + [1] * 48
    other = msgspec.structs.replace(voted(flat, stances), instrument="ETH-USDT")
    alone = board_of([voted(rising, stances)]).worth().growth
    assert alone > 1.3
    assert board_of([voted(rising, stances), other]).worth().growth == pytest.approx((alone + 1.0) / 2.0)


def test_an_agents_votes_begin_when_it_is_ready(tmp_path) -> None:
    """Before that its stance is FLAT and means nothing, and no day of it is counted."""
    candidate = on_trial(tmp_path, changed(), timeframe="1h", channel_bars=30)
    (series,) = votes_of(candidate, noise_market("votes", "1h", 1_000, sd=0.01))
    assert series.ready_from > 30
    assert not any(series.stances[: series.ready_from])
    assert {1, 0, -1} == set(series.stances)
    assert board_of([series]).instants[0] >= series.ends[series.ready_from]
