"""Position arithmetic, exactly: entries, partial exits, flips, commissions and what rounding leaves behind."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.trading.positions import (
    AVG_PX_DIGITS,
    EXACT,
    FLAT,
    Position,
    avg_entry_px,
    closable_qty,
    fill,
    is_bookable,
    is_dust,
    unrealized_pnl,
)

D = Decimal


def buy(position: Position, qty: str, px: str, **commissions: Decimal) -> Position:
    return fill(position, side="BUY", qty=D(qty), px=D(px), **commissions)


def sell(position: Position, qty: str, px: str, **commissions: Decimal) -> Position:
    return fill(position, side="SELL", qty=D(qty), px=D(px), **commissions)


def test_two_entries_average_their_prices() -> None:
    """A second entry moves the average entry price by its weight and realises nothing."""
    position = buy(buy(FLAT, "1", "100"), "3", "200")
    assert (position.signed_qty, avg_entry_px(position), position.realized_pnl) == (D(4), D(175), D(0))


def test_a_partial_exit_keeps_the_average_and_realises_its_part() -> None:
    """Selling a quarter at a higher price realises a quarter of the profit; the rest was still bought at the average."""
    position = sell(buy(buy(FLAT, "1", "100"), "3", "200"), "1", "275")
    assert (position.signed_qty, avg_entry_px(position), position.realized_pnl) == (D(3), D(175), D(100))


def test_an_exit_of_everything_leaves_nothing_open() -> None:
    """A closed position has no cost and no average price, only what it earned."""
    assert sell(buy(FLAT, "2", "100"), "2", "90") == Position(realized_pnl=D(-20))
    assert avg_entry_px(sell(buy(FLAT, "2", "100"), "2", "90")) == 0


def test_a_fill_through_zero_closes_and_opens_the_other_side() -> None:
    """Selling three of one long realises the one and is short two at the new price."""
    position = sell(buy(FLAT, "1", "100"), "3", "120")
    assert (position.signed_qty, avg_entry_px(position), position.realized_pnl) == (D(-2), D(120), D(20))
    back = buy(position, "3", "110")
    assert (back.signed_qty, avg_entry_px(back), back.realized_pnl) == (D(1), D(110), D(40))


def test_a_short_earns_when_the_price_falls() -> None:
    """A short's unrealised profit is positive below its entry, and its partial exit realises it."""
    short = sell(FLAT, "2", "100")
    assert unrealized_pnl(short, D(90)) == 20
    assert buy(short, "1", "90").realized_pnl == 10
    assert avg_entry_px(buy(short, "1", "90")) == 100


def test_a_commission_in_base_never_arrives() -> None:
    """Buying 1 with 0.001 base commission is a position of 0.999 at the fill's price; the commission is valued there."""
    position = buy(FLAT, "1", "60000", base_commission=D("0.001"))
    assert (position.signed_qty, avg_entry_px(position)) == (D("0.999"), D(60000))
    assert (position.commission, position.realized_pnl) == (D(60), D(0))


def test_a_commission_in_quote_is_summed_beside_the_profit() -> None:
    """Realised profit is gross; what the venue took stands beside it."""
    position = sell(buy(FLAT, "1", "100", quote_commission=D("0.1")), "1", "110", quote_commission=D("0.11"))
    assert (position.realized_pnl, position.commission) == (D(10), D("0.21"))


def test_a_rebate_in_base_arrives_on_top() -> None:
    """A negative commission adds to the quantity."""
    assert buy(FLAT, "1", "100", base_commission=D("-0.001")).signed_qty == D("1.001")


def test_a_commission_as_large_as_the_fill_leaves_a_flat_position() -> None:
    """A fill entirely eaten by its commission moves nothing but the commission."""
    assert buy(FLAT, "1", "100", base_commission=D(1)) == Position(commission=D(100))


def test_base_commission_leaves_dust_that_no_order_can_close() -> None:
    """After the largest exit the venue's step allows, a remainder stays, which is dust and not an open position."""
    step = D("0.00001")
    position = buy(FLAT, "0.01", "60000", base_commission=D("0.0000101"))
    assert closable_qty(position, step) == D("0.00998")
    assert not is_dust(position, step)
    left = sell(position, "0.00998", "61000")
    assert left.signed_qty == D("0.0000099")
    assert is_dust(left, step)
    assert not is_dust(FLAT, step)


def test_equal_amounts_have_equal_bytes() -> None:
    """Trailing zeros and exponents of the venue's figures do not reach the log."""
    position = buy(FLAT, "1.000", "1E+2")
    assert msgspec.json.encode(position) == b'{"signed_qty":"1","cost":"100","realized_pnl":"0","commission":"0"}'


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "1E+18", "1E-19", "1234567890123456789"])
def test_figures_beyond_exact_arithmetic_are_refused(figure: str) -> None:
    """What cannot be computed exactly is refused, not rounded."""
    assert not is_bookable(D(figure))
    with pytest.raises(ValueError, match="qty has more than"):
        buy(FLAT, figure, "1")


@pytest.mark.parametrize(("qty", "px"), [("0", "1"), ("-1", "1"), ("1", "0"), ("1", "-5")])
def test_a_fill_has_a_positive_quantity_and_price(qty: str, px: str) -> None:
    """A direction is said by the side, never by a sign."""
    with pytest.raises(ValueError, match="positive quantity"):
        buy(FLAT, qty, px)


positive = st.decimals(min_value="0.00000001", max_value="1000000", places=8)
extreme = st.one_of(
    positive,
    st.integers(1, 10**18 - 1).map(lambda digits: D(digits).scaleb(-18)),
    st.integers(1, 10**18 - 1).map(D),
)
commissions = st.one_of(st.just(D(0)), st.decimals(min_value="-0.001", max_value="2", places=8))
fills = st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), extreme, extreme, commissions, commissions), max_size=12)


@given(fills, extreme)
def test_profit_is_exactly_what_cash_and_base_became(sequence: list, mark: Decimal) -> None:
    """For any fills and any mark: realised + unrealised - commission == change of cash + base at the mark, to the last digit."""
    position = FLAT
    with localcontext(EXACT):
        cash = base = D(0)
        for side, qty, px, in_base, in_quote in sequence:
            position = fill(position, side=side, qty=qty, px=px, base_commission=in_base, quote_commission=in_quote)
            sign = 1 if side == "BUY" else -1
            cash -= sign * qty * px + in_quote
            base += sign * qty - in_base
        profit = position.realized_pnl + unrealized_pnl(position, mark) - position.commission
        assert profit == cash + base * mark
        assert position.signed_qty == base


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=8), st.data())
def test_the_average_lies_between_the_prices_and_survives_partial_exits(entries: list, data: st.DataObject) -> None:
    """The average entry price lies between the lowest and highest entry, and exits do not move it."""
    position = FLAT
    for qty, px in entries:
        position = fill(position, side="BUY", qty=qty, px=px)
    low, high = min(px for _, px in entries), max(px for _, px in entries)
    average = avg_entry_px(position)
    slack = average.scaleb(1 - AVG_PX_DIGITS)
    assert low - slack <= average <= high + slack
    if position.signed_qty > D("0.00000001"):
        part = data.draw(st.decimals("0.00000001", position.signed_qty - D("0.00000001"), places=8))
        rest = fill(position, side="SELL", qty=part, px=high)
        assert abs(avg_entry_px(rest) - average) <= average.scaleb(2 - AVG_PX_DIGITS) + D(
            "1e-10"
        ) / rest.signed_qty.min(1)


@given(st.lists(st.tuples(positive, positive), min_size=2, max_size=8))
def test_what_was_bought_and_all_sold_leaves_only_cash(entries: list) -> None:
    """However an exit is split, the last one takes what rounding had left: no cost stays behind."""
    position = FLAT
    for qty, px in entries:
        position = fill(position, side="BUY", qty=qty, px=px)
    for (qty, _), (_, px) in pairwise([*entries, entries[0]]):
        position = fill(position, side="SELL", qty=qty, px=px)
    assert position.signed_qty == 0
    assert position.cost == 0
