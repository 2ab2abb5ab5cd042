"""The gate orders everything sold: the portfolio wishes it until nothing is left, and enters nothing meanwhile."""

from __future__ import annotations

from libs.common.messages import FlattenOrdered, OrderIntent
from libs.common.timeframe import SECOND
from tests.playbook import START, Playbook
from tests.unit.signal_agents.portfolio_story import (
    BAR,
    a_holder,
    a_portfolio,
    denial,
    marked,
    posted,
    said,
)

ORDER = FlattenOrdered(reason="drawdown 0.15 has reached 0.15", author="risk-gate", producer="risk")


def flattened() -> tuple[Playbook, OrderIntent]:
    """A position, a fresh price, and the order; the wish that follows."""
    book, _ = a_holder()
    book.tell(marked(START + 2 * BAR, 59_500.0)).tell(ORDER)
    return book, book.only(OrderIntent)


def test_everything_is_wished_to_be_sold_at_once() -> None:
    """Reduce-only, the whole position, and the reason says why."""
    _, wish = flattened()
    assert (wish.side, wish.reduce_only, wish.reason) == ("SELL", True, "flatten")


def test_a_denied_sale_is_wished_again() -> None:
    """The order stands until it is carried out."""
    book, wish = flattened()
    book.tell(denial(wish))
    book.tell(marked(START + 2 * BAR + 10 * SECOND, 59_400.0))
    assert book.only(OrderIntent).reason == "flatten"


def test_without_a_fresh_price_the_next_one_sells() -> None:
    """A sale needs a price to be sized and judged by; the first one that comes is used."""
    book, _ = a_holder()
    book.tell(ORDER, now=START + 2 * BAR)
    assert book.published(OrderIntent) == []
    book.tell(marked(START + 2 * BAR + SECOND, 59_500.0))
    assert book.only(OrderIntent).reason == "flatten"


def test_nothing_is_entered_until_it_is_carried_out() -> None:
    """The agents may like it as they will; once the position is gone the order is done, and entries are the gate's to judge."""
    book, wish = flattened()
    book.tell(said(2))
    assert book.published(OrderIntent) == []
    assert book.machine.state.flatten_reason == ORDER.reason
    book.tell(denial(wish))
    book.tell(posted("0", "sold by hand"))
    book.tell(said(3))
    assert book.machine.state.flatten_reason == ""


def test_an_order_with_nothing_to_sell_is_carried_out_already() -> None:
    """Flat is flat."""
    book = a_portfolio().tell(ORDER)
    assert book.published(OrderIntent) == []
    assert book.machine.state.flatten_reason == ""
