"""Money is Decimal, and rounds the way somebody decided."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.money import floor_to_step, plain, plain_in, round_px, to_decimal

AMOUNTS = st.decimals(min_value=Decimal("-1e9"), max_value=Decimal("1e9"), places=10)
STEPS = st.sampled_from([Decimal(text) for text in ("0.00001", "0.01", "0.25", "1", "10", "0.00000001")])


@pytest.mark.parametrize(
    ("value", "expected"), [(0.1, "0.1"), (1, "1"), ("2.50", "2.50"), (Decimal("3"), "3"), (64123.45, "64123.45")]
)
def test_a_float_becomes_what_a_person_would_write(value: float | int | str | Decimal, expected: str) -> None:
    """0.1 is a tenth, not 0.1000000000000000055."""
    assert str(to_decimal(value)) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_unchanged(value: float) -> None:
    """Nothing of a price is lost on its way into money."""
    assert float(to_decimal(value)) == value


@given(AMOUNTS, STEPS)
def test_a_quantity_is_never_more_than_was_decided(value: Decimal, step: Decimal) -> None:
    """Rounded towards zero to the venue's step, by less than one step."""
    floored = floor_to_step(value, step)
    assert floored % step == 0
    assert abs(floored) <= abs(value)
    assert abs(value - floored) < step


@given(AMOUNTS, STEPS)
def test_a_price_is_rounded_to_the_side_that_was_asked_for(value: Decimal, tick: Decimal) -> None:
    """Up is never below, down is never above, both on the tick and next to the value."""
    up, down = round_px(value, tick, up=True), round_px(value, tick, up=False)
    assert up % tick == down % tick == 0
    assert down <= value <= up
    assert up - down in (0, tick)


@given(AMOUNTS)
def test_equal_amounts_have_equal_texts(value: Decimal) -> None:
    """1.0, 1.00 and 1E0 are written alike, without exponent: the replay proof compares bytes."""
    text = str(plain(value))
    assert Decimal(text) == value
    assert "E" not in text or abs(value) < Decimal("1e-6")
    assert str(plain(value * Decimal("1.000"))) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1E+3", "1000"), ("100", "100"), ("0.10", "0.1"), ("-0", "0"), ("0E-8", "0"), ("-5.50", "-5.5")],
)
def test_plain_amounts(value: str, expected: str) -> None:
    """No trailing zeros, no exponent, no negative nothing."""
    assert str(plain(Decimal(value))) == expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12), st.sampled_from([6, 28, 200]))
def test_an_amount_is_as_plain_in_a_context_that_is_not_entered(value: Decimal, digits: int) -> None:
    """Two ways to one number, to the last digit of its text."""
    context = Context(prec=digits)
    with localcontext(context):
        expected = str(plain(value))
    assert str(plain_in(context, value)) == expected
