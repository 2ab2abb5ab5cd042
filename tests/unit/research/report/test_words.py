"""Numbers in words: one way to write each, and none of them is NaN."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from libs.research.report import words
from libs.research.report.charts import figure
from libs.research.report.markup import Cell, table, text, toned

DAY = 86_400_000_000_000


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.number(math.nan), "not known yet"),
        (words.number(0.466023), "0.466"),
        (words.number(-12_345.6), "-12,346"),
        (words.number(0.0), "0"),
        (words.number(1.7e-18, 100), "0"),
        (words.number(0.00001234), "1.23e-05"),
        (words.number(0.3333333, 100), "33.33"),
        (words.percent(0.0311), "3.11 %"),
        (words.percent(math.inf), "not known yet"),
        (words.signed_percent(-0.0304), "-3.04 %"),
        (words.signed_percent(-0.000001), "0.00 %"),
        (words.chance(0.00007), "below 0.1 %"),
        (words.chance(0.9999), "above 99.9 %"),
        (words.chance(0.911), "91.1 %"),
        (words.chance(math.nan), "not known yet"),
        (words.money(Decimal("1234567.891")), "1,234,567.89"),
        (words.money(None), "not known yet"),
        (words.money(Decimal("NaN")), "not known yet"),
        (words.signed_money(Decimal("0.001")), "0.00"),
        (words.signed_money(Decimal(5)), "+5.00"),
        (words.price(Decimal("98055.27000")), "98,055.27"),
        (words.price(0.00001234), "0.00001234"),
        (words.price(Decimal("1E+6")), "1,000,000"),
        (words.utc(0), "1970-01-01 00:00"),
        (words.span(0), "0 s"),
        (words.span(DAY + 61_000_000_000), "1 d 1 min"),
        (words.days(math.inf), "never, at this ratio"),
        (words.days(math.nan), "not known yet"),
        (words.days(1_234.1), "1,235"),
        (words.plural(1, "day"), "1 day"),
        (words.plural(2_000, "day"), "2,000 days"),
    ],
)
def test_what_a_number_is_called(said: str, expected: str) -> None:
    """Thousands are divided, what rounds to nothing has no sign, what is not known is said so."""
    assert said == expected


def test_a_chart_is_given_no_nan() -> None:
    """What is not known is a gap, and eight digits are enough for an eye."""
    assert figure(math.nan) is None
    assert figure(Decimal("Infinity")) is None
    assert figure(None) is None
    assert figure(98055.276049014) == 98055.276


def test_text_is_cut_before_it_is_escaped() -> None:
    """A long name ends in an ellipsis and not within an entity."""
    assert text("<b>" + "&" * 500) == "&lt;b&gt;" + "&amp;" * 196 + "…"


def test_a_tone_is_a_class_and_not_the_only_sign() -> None:
    """Good and bad news have their sign in the text; the colour only repeats it."""
    assert toned("+1", 1.0) == Cell("+1", "up")
    assert toned("-1", -1.0).tone == "down"
    assert toned("0", 0.0).tone == ""
    assert '<td class="n up">+1</td>' in table("t", ("a", "b"), [("x", toned("+1", 1.0))])
