"""Orders placed by hand at the venue and adopted by the executor: the portfolio never wished for them, and takes them as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.messages import ExecutionReport, OrderIntent
from libs.common.timeframe import SECOND
from tests.playbook import START
from tests.unit.signal_agents.portfolio_story import (
    BAR,
    BTC,
    a_holder,
    marked,
    opinion,
    posted,
    reported,
    said,
    worth,
)


def by_hand(
    like_entry: OrderIntent, exec_type: str, ord_status: str, qty: str = "0", **changed: Any
) -> ExecutionReport:
    """A report on a hand-placed SELL that the executor tells as an EXIT of an intent nobody made."""
    wish = msgspec.structs.replace(like_entry, intent_id="venue-77", side="SELL", reduce_only=True)
    return msgspec.structs.replace(reported(wish, exec_type, ord_status, qty), cl_ord_id="web_77", **changed)


def test_a_position_closed_by_hand_is_closed_and_can_be_opened_again() -> None:
    """The trade and its posting end the position; no exit is wished for it any more, and the next opinion may enter."""
    book, entry = a_holder()
    qty = str(entry.order_qty)
    book.tell(by_hand(entry, "NEW", "NEW")).expect()
    fill = by_hand(entry, "TRADE", "FILLED", qty)
    book.tell(fill)
    book.tell(posted("0", fill.exec_id)).tell(worth()).expect()
    known = book.machine.state.books[BTC]
    assert (known.wish, known.unbooked, known.signed_qty) == (None, [], 0)
    book.tell(marked(START + 2 * BAR, 62_000.0)).expect()  # the target of what is sold
    assert book.tell(said(3)).only(OrderIntent).side == "BUY"


def test_a_trade_without_a_word_before_it_is_enough() -> None:
    """Found at a comparison, long filled: the first the portfolio hears of it is the trade."""
    book, entry = a_holder()
    fill = by_hand(entry, "TRADE", "FILLED", str(entry.order_qty))
    book.tell(fill).expect()
    book.tell(posted("0", fill.exec_id)).expect()
    known = book.machine.state.books[BTC]
    assert (known.wish, known.unbooked, known.signed_qty) == (None, [], 0)


def test_a_part_sold_by_hand_leaves_the_rest_to_be_sold() -> None:
    """Half by hand, then a SHORT opinion: the exit is for what is left."""
    book, entry = a_holder()
    half = entry.order_qty / 2
    book.tell(by_hand(entry, "TRADE", "PARTIALLY_FILLED", str(half)))
    book.tell(posted(half, f"fill-SELL-{half}")).expect()
    assert book.tell(said(2, opinion("SHORT"))).published(OrderIntent) == []  # the order by hand is still under way
    book.tell(by_hand(entry, "CANCELED", "CANCELED"))
    (exit_intent,) = book.tell(said(3, opinion("SHORT"))).published(OrderIntent)
    assert exit_intent.order_qty <= half


def test_a_trade_by_hand_while_our_own_exit_is_wished_keeps_our_wish() -> None:
    """Both sell: ours stays the one wish, and the position is what the ledger says."""
    book, entry = a_holder()
    own = book.tell(said(2, opinion("SHORT"))).only(OrderIntent)
    fill = by_hand(entry, "TRADE", "FILLED", "0.001")
    book.tell(fill)
    left = entry.order_qty - fill.cum_qty
    book.tell(posted(left, fill.exec_id)).expect()
    known = book.machine.state.books[BTC]
    assert known.wish is not None
    assert (known.wish.intent_id, known.signed_qty, known.unbooked) == (own.intent_id, left, [])


def test_what_is_bought_by_hand_is_not_sold_at_the_target_of_another_entry() -> None:
    """The last entry was left; whoever buys far above its target has a plan of his own, and the old one is nothing to it."""
    book, entry = a_holder()
    book.tell(posted("0.0004", "stop-fill")).tell(posted("0.0774", "by-hand")).expect()
    book.tell(marked(book.now + SECOND, 65_000.0)).expect()
    assert entry.target_px == 61_800


def test_a_position_that_was_sold_in_part_keeps_its_target() -> None:
    """What is left of it is still that entry's."""
    book, _ = a_holder()
    book.tell(posted("0.040", "some-of-it")).tell(marked(book.now + SECOND, 61_800.0))
    assert book.only(OrderIntent).reason == "target"
