"""How the portfolio leaves: by opinion, at the target, again after a denial, and in any order of events."""

from __future__ import annotations

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.messages import (
    ExecutionReport,
    OrderIntent,
)
from libs.common.timeframe import SECOND
from libs.runtime.machine import SetTimer
from services.signal_agents.portfolio.machine import PortfolioMachine
from tests.playbook import START, Playbook, like
from tests.unit.signal_agents.portfolio_story import (
    BAR,
    BTC,
    SETTINGS,
    SPEC,
    TIMER,
    D,
    a_holder,
    a_portfolio,
    approval,
    denial,
    marked,
    opinion,
    posted,
    reported,
    said,
    worth,
)


def test_a_short_opinion_sells_everything() -> None:
    """Spot cannot be short, but it can be out: reduce-only, the whole position, in the story of the bar that said so."""
    book, entry = a_holder()
    book.tell(marked(START + 2 * BAR - SECOND, 59_500.0))
    book.tell(said(2, opinion("SHORT"), correlation_id="story-of-bar-2"))
    exit_intent = book.only(OrderIntent)
    assert exit_intent.reduce_only
    assert (exit_intent.side, exit_intent.order_qty, exit_intent.ref_px) == ("SELL", entry.order_qty, D(59_500))
    assert (exit_intent.stop_px, exit_intent.target_px) == (None, None)
    assert (exit_intent.reason, exit_intent.correlation_id) == ("short", "story-of-bar-2")


def test_flat_leaves_after_so_many_bars_in_a_row() -> None:
    """One bar without an opinion is noise; three in a row mean that the trend is over."""
    book, _ = a_holder()
    for bar, stance in ((2, "FLAT"), (3, "FLAT"), (4, "LONG"), (5, "FLAT"), (6, "FLAT")):
        book.tell(said(bar, opinion(stance))).expect()  # type: ignore[arg-type]
    book.tell(said(7, opinion("FLAT", ready=False))).expect()
    for bar in (8, 9):
        book.tell(said(bar, opinion("FLAT"))).expect()
    book.tell(said(10, opinion("FLAT"))).expect(
        like(OrderIntent, side="SELL", reason="flat", ref_px=D(60_000)), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_flat_need_not_leave() -> None:
    """With the rule switched off FLAT never sells."""
    book, _ = a_holder(msgspec.structs.replace(SETTINGS, exit_flat_bars=0))
    for bar in range(2, 12):
        book.tell(said(bar, opinion("FLAT"))).expect()


def test_the_target_is_taken_in_the_story_of_the_entry() -> None:
    """Once somebody bids the target everything is sold, and the profit belongs to the bar that began it."""
    book, entry = a_holder()
    book.tell(marked(START + 3 * BAR, 61_799.99)).expect()
    book.tell(marked(START + 3 * BAR + SECOND, 61_800.0)).expect(
        like(
            OrderIntent,
            side="SELL",
            reason="target",
            order_qty=entry.order_qty,
            reduce_only=True,
            correlation_id="story-of-bar-1",
            ref_px=D(61_800),
        ),
        SetTimer(TIMER, START + 3 * BAR + 31 * SECOND),
    )
    book.tell(marked(START + 3 * BAR + 2 * SECOND, 61_900.0)).expect()


def test_a_denied_exit_is_wished_for_again() -> None:
    """A breaker must not lock a position in: after a short pause the next mark asks again, with another intent."""
    book, _ = a_holder()
    at = START + 2 * BAR
    first = book.tell(said(2, opinion("SHORT"), correlation_id="story-of-bar-2")).only(OrderIntent)
    book.tell(denial(first))
    book.tell(marked(at + 4 * SECOND, 59_000.0)).expect()
    second = book.tell(marked(at + 5 * SECOND, 59_000.0)).only(OrderIntent)
    assert second.intent_id != first.intent_id
    assert (second.reason, second.correlation_id) == ("short", "story-of-bar-2")
    book.fire(TIMER).expect()
    book.tell(marked(at + 100 * SECOND, 59_000.0)).expect(
        like(OrderIntent, side="SELL"), SetTimer(TIMER, book.timers[TIMER])
    )
    book.tell(denial(book.only(OrderIntent)))
    book.tell(marked(at + 201 * SECOND, 59_000.0)).expect()


def test_an_entry_pause_does_not_hold_an_exit_back() -> None:
    """A partly filled entry that was cancelled pauses entries; its position can still be left at once."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(approval(entry)).tell(reported(entry, "TRADE", "PARTIALLY_FILLED", "0.030"))
    book.tell(posted("0.030", "fill-BUY-0.030")).tell(reported(entry, "CANCELED", "CANCELED"))
    assert book.machine.state.books[BTC].cash_promised > 0
    book.tell(worth(10_000, 8_200))
    assert book.machine.state.books[BTC].cash_promised == 0
    book.tell(marked(book.now + SECOND, 61_800.0)).expect(
        like(OrderIntent, side="SELL", order_qty=D("0.030"), reason="target"), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_a_fill_after_a_cancel_has_a_target_too() -> None:
    """The venue was faster than the cancel: what it filled is ours and is sold at the target as planned."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(approval(entry)).tell(reported(entry, "CANCELED", "CANCELED"))
    book.tell(reported(entry, "TRADE", "CANCELED", "0.030")).expect()
    book.tell(said(2)).expect()
    book.tell(posted("0.030", "fill-BUY-0.030"))
    book.tell(marked(book.now, 61_900.0)).expect(
        like(OrderIntent, side="SELL", reason="target"), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_a_stop_at_the_venue_ends_the_position_without_a_wish() -> None:
    """The protective stop filled: once the ledger has booked it the instrument is free for the next entry."""
    book, entry = a_holder()
    book.tell(reported(entry, "NEW", "NEW", role="STOP", side="SELL")).expect()
    assert book.machine.state.books[BTC].is_free
    book.tell(reported(entry, "TRADE", "FILLED", "0.077", role="STOP", side="SELL", exec_id="stop-1")).expect()
    book.tell(said(2, opinion("SHORT"))).expect()
    book.tell(posted("0", "stop-1"))
    book.tell(said(3)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_dust_is_neither_sold_nor_in_the_way() -> None:
    """What is worth less than the smallest order stays, is no reason to stay out, and is sold with the next position."""
    book, _ = a_holder()
    book.tell(posted("0.0007"))
    book.tell(said(2, opinion("SHORT"))).expect()
    book.tell(marked(book.now, 61_900.0)).expect()
    book.tell(said(3)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))
    book.tell(denial(book.only(OrderIntent))).tell(posted("0.0777"))
    book.tell(said(4, opinion("SHORT")))
    assert book.only(OrderIntent).order_qty == D("0.077")


def test_a_short_position_is_left_alone() -> None:
    """Below zero spot cannot be: nothing is bought on such a number, nothing sold."""
    book = a_portfolio().tell(posted("-0.5"))
    book.tell(said(1)).expect()
    book.tell(said(2, opinion("SHORT"))).expect()


def test_no_rules_no_exit() -> None:
    """Without the venue's step a quantity cannot be rounded; the stop protects until the feed has spoken."""
    book = Playbook(PortfolioMachine(SETTINGS)).tell(posted("0.5"))
    book.tell(marked(START, 60_000.0)).expect()


def test_other_settings_take_the_state_along() -> None:
    """A restart with another rule goes on with the same books."""
    book, _ = a_holder()
    changed = PortfolioMachine(msgspec.structs.replace(SETTINGS, exit_flat_bars=1))
    changed.state = book.machine.state
    book.machine = changed
    book.tell(said(2, opinion("FLAT"))).expect(
        like(OrderIntent, reason="flat"), SetTimer(TIMER, book.now + 30 * SECOND)
    )


class _World:
    """A gate, a venue and a ledger that do one thing at a time, in any order that the log allows."""

    def __init__(self) -> None:
        self.book = a_portfolio()
        self.bar = 0
        self.position = D(0)
        self.pending: OrderIntent | None = None
        self.order: OrderIntent | None = None
        self.left = D(0)
        self.unbooked: list[ExecutionReport] = []

    def do(self, deed: str) -> None:
        """One deed; those that cannot happen now do nothing."""
        if deed in ("LONG", "SHORT", "FLAT"):
            self.bar += 1
            self._watch(self.book.tell(said(self.bar, opinion(deed))))  # type: ignore[arg-type]
        elif deed in ("60000", "62000"):
            self._watch(self.book.tell(marked(self.book.now + 6 * SECOND, float(deed))))
        elif deed == "time" and TIMER in self.book.timers:
            self.pending = None
            self._watch(self.book.fire(TIMER))
        elif deed in ("approve", "deny") and self.pending is not None:
            intent, self.pending = self.pending, None
            self._watch(self.book.tell(approval(intent) if deed == "approve" else denial(intent)))
            if deed == "approve":
                self.order, self.left = intent, intent.order_qty
        elif deed in ("fill", "part", "cancel", "unknown") and self.order is not None:
            self._report(self.order, deed)
        elif deed == "book" and self.unbooked:
            fill = self.unbooked.pop(0)
            self.position += (fill.last_qty or D(0)) * (1 if fill.side == "BUY" else -1)
            self._watch(self.book.tell(posted(self.position, fill.exec_id)))

    def _report(self, order: OrderIntent, deed: str) -> None:
        if deed == "unknown":
            self._watch(self.book.tell(reported(order, "UNKNOWN", "UNKNOWN")))
            return
        qty = {"fill": self.left, "part": SPEC.qty_step, "cancel": D(0)}[deed]
        self.left -= qty
        status = "CANCELED" if deed == "cancel" else "PARTIALLY_FILLED" if self.left else "FILLED"
        report = reported(
            order, "TRADE" if qty else "CANCELED", status, str(qty), exec_id=f"{order.intent_id}{self.left}"
        )
        if qty:
            self.unbooked.append(report)
        if status != "PARTIALLY_FILLED":
            self.order = None
        self._watch(self.book.tell(report))

    def _watch(self, book: Playbook) -> None:
        for intent in book.published(OrderIntent):
            assert self.pending is None, "a second intent before the first was answered"
            assert self.order is None, "an intent while an order is under way"
            assert not self.unbooked, "an intent on a position that is not the whole truth"
            if intent.side == "BUY":
                assert self.position == 0
            else:
                assert intent.reduce_only
                assert intent.order_qty == self.position > 0
            self.pending = intent


DEEDS = (
    ["LONG"] * 3
    + ["SHORT", "FLAT", "60000", "62000", "time", "deny", "part", "cancel", "unknown"]
    + ["approve"] * 3
    + ["fill"] * 3
    + ["book"] * 3
)


CHAPTERS = [
    ["LONG", "approve", "fill", "book"],
    ["SHORT", "approve", "fill", "book"],
    ["62000", "approve", "part", "book"],
    ["LONG", "approve", "part", "part", "cancel", "book", "book"],
]
"""Runs of deeds that get somewhere; chance alone seldom does."""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(CHAPTERS), st.sampled_from(DEEDS).map(lambda deed: [deed])), max_size=30).map(
        lambda parts: [deed for part in parts for deed in part]
    )
)
@example(["LONG", "approve", "fill", "book", "62000", "approve", "fill", "book", "LONG"])
@example(["LONG", "approve", "part", "cancel", "book", "SHORT", "time", "60000", "approve", "unknown", "fill", "LONG"])
def test_never_two_wishes_and_never_more_than_held(deeds: list[str]) -> None:
    """In every order of opinions, verdicts, fills and postings there is one wish at a time, made on the true position."""
    world = _World()
    for deed in deeds:
        world.do(deed)
