"""The portfolio's conversations: opinions become at most one sized wish per instrument, and every wish is resolved."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.ids import derive_id
from libs.common.messages import (
    DecisionsMade,
    FeedMarks,
    OrderIntent,
    ServiceStarted,
    Signal,
    TimerFired,
)
from libs.common.timeframe import MINUTE, SECOND
from libs.runtime.machine import CancelTimer, Publish, Reject, SetTimer
from services.signal_agents.portfolio.machine import PortfolioMachine
from tests.playbook import START, Playbook, like
from tests.unit.signal_agents.portfolio_story import (
    BAR,
    BTC,
    ETH,
    LIMITS,
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
    rules,
    said,
    worth,
)


def test_a_long_opinion_becomes_one_sized_entry() -> None:
    """LONG, ready, flat and free: a market buy with stop, target and a deadline, in the story of the bar."""
    book = a_portfolio().tell(said(1, id="a" * 32, correlation_id="story"))
    now = START + BAR
    intent = OrderIntent(
        intent_id=derive_id("a" * 32, "intent", BTC, "BUY"),
        instrument=BTC,
        side="BUY",
        ord_type="MARKET",
        time_in_force="IOC",
        order_qty=D("0.077"),  # 100 / (1200 + 0.0005 x 118800 + 0.0005 x 58800) = 0.0776
        limit_px=None,
        ref_px=D(60_000),
        stop_px=D(58_800),
        target_px=D(61_800),
        reduce_only=False,
        valid_until=now + 30 * SECOND,
        reason="long",
        correlation_id="story",
    )
    book.expect(Publish(intent), SetTimer(TIMER, now + 30 * SECOND))


def test_the_best_ask_is_the_price_while_it_is_fresh() -> None:
    """An entry is sized on what it would pay; an ask of long ago gives way to the close."""
    now = START + BAR
    book = a_portfolio().tell(marked(now - SECOND, 60_100.0, 60_100.014)).tell(said(1))
    assert book.only(OrderIntent).ref_px == D("60100.02")
    book = a_portfolio().tell(marked(now - 6 * SECOND, 60_100.0)).tell(said(1))
    assert book.only(OrderIntent).ref_px == D(60_000)


def test_a_quiet_instrument_that_is_alive_keeps_its_price() -> None:
    """No news is not old news: the feed's proof of life refreshes the quote, and invents none."""
    now = START + BAR
    alive = FeedMarks(venue="binance", as_of=now - SECOND, marks=(), alive=(BTC, ETH), ts_init=now)
    book = a_portfolio().tell(marked(now - 60 * SECOND, 60_100.0, 60_100.5)).tell(alive)
    book.tell(said(1, opinion(), opinion(instrument=ETH)))
    assert [intent.ref_px for intent in book.published(OrderIntent)] == [D("60100.5"), D(60_000)]


@pytest.mark.parametrize(
    "signal",
    [
        opinion("SHORT"),
        opinion("FLAT"),
        opinion("LONG", ready=False),
        opinion("LONG", atr=0.0),
        opinion("LONG", atr=30_001.0),
        opinion("LONG", instrument="DOGE-USDT"),
    ],
    ids=["short", "flat", "not ready", "no range", "stop below zero", "no rules known"],
)
def test_no_entry_without_a_reason_and_room(signal: Signal) -> None:
    """Nothing but a ready LONG with room for a stop above zero enters; spot cannot be short."""
    a_portfolio().tell(said(1, signal)).expect()


def test_no_equity_no_entry() -> None:
    """Before the ledger has spoken nobody knows what may be risked."""
    book = Playbook(PortfolioMachine(SETTINGS), beside=(DecisionsMade,)).tell(rules(SPEC)).tell(said(1)).expect()
    book.tell(worth()).tell(said(2)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


@pytest.mark.parametrize(("late", "intents"), [(200 * SECOND, 1), (200 * SECOND + 1, 0)])
def test_an_old_signal_binds_nobody(late: int, intents: int) -> None:
    """A batch that was back-filled after an outage is yesterday's wish."""
    book = a_portfolio().tell(said(1, ts_init=START + BAR + late))
    assert len(book.published(OrderIntent)) == intents


@pytest.mark.parametrize(("early", "intents"), [(200 * SECOND, 1), (200 * SECOND + 1, 0)])
def test_a_signal_from_the_future_binds_nobody(early: int, intents: int) -> None:
    """A venue's clock may run a little ahead of ours, but not a whole bar; such a claim is not even remembered."""
    book = a_portfolio().tell(said(1, ts_init=START + BAR - early))
    assert len(book.published(OrderIntent)) == intents
    assert (BTC in book.machine.state.books) == bool(intents)


def test_one_batch_cannot_spend_the_same_cash_twice() -> None:
    """Cash promised to an order on its way is not free, until the ledger's balance knows of the fill."""
    settings = msgspec.structs.replace(SETTINGS, limits=msgspec.structs.replace(LIMITS, position_max=D("0.7")))
    tight = {"atr": 60.0}
    book = a_portfolio(settings).tell(said(1, opinion(**tight), opinion(instrument=ETH, **tight)))
    btc, eth = book.published(OrderIntent)
    assert btc.order_qty * btc.ref_px <= 7_000
    assert 0 < eth.order_qty * eth.ref_px <= 10_000 - btc.order_qty * btc.ref_px
    book.tell(denial(eth)).tell(approval(btc))
    fill = reported(btc, "TRADE", "FILLED", str(btc.order_qty))
    book.tell(fill).tell(posted(btc.order_qty, fill.exec_id))
    book.tell(said(2, opinion(instrument=ETH, **tight)))
    assert book.only(OrderIntent).order_qty == eth.order_qty
    book.tell(denial(book.only(OrderIntent))).tell(worth(10_000, 3_100))
    book.tell(said(3, opinion(instrument=ETH, **tight)))
    assert book.only(OrderIntent).order_qty > eth.order_qty


def test_too_small_for_the_venue_is_no_wish() -> None:
    """An entry whose stop the venue would not take any more cannot be protected, so it is not made."""
    for equity, intents in ((24, 0), (25, 1)):
        spec = msgspec.structs.replace(SPEC, qty_step=D("0.00001"), qty_min=D("0.00001"))
        book = Playbook(PortfolioMachine(SETTINGS)).tell(rules(spec)).tell(worth(equity, 10_000))
        assert len(book.tell(said(1)).published(OrderIntent)) == intents, equity


def test_only_named_agents_are_heard_and_all_must_agree() -> None:
    """Entering needs every agent; one that has not spoken, is late or disagrees is enough to stay out."""
    book = a_portfolio(msgspec.structs.replace(SETTINGS, agents=("macro", "trend")))
    book.tell(said(1)).expect()
    book.tell(said(1, opinion("FLAT"), agent="macro")).expect()
    book.tell(said(2, agent="levels")).expect()
    book.tell(said(2, agent="macro")).expect()
    book.tell(said(2, agent="trend")).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_an_agent_cannot_speak_for_another() -> None:
    """The writer's name counts, not what the message claims."""
    book = a_portfolio().tell(said(1, producer="agent.llm"))
    book.expect(Reject("WRONG_AGENT", "agent.llm speaks as agent 'trend'"))


@pytest.mark.parametrize("change", [{"close_px": -1.0}, {"close_px": 1e16}, {"atr": -0.1}, {"strength": 1.1}])
def test_an_impossible_signal_is_refused(change: dict[str, float]) -> None:
    """Numbers that cannot be are poison, not an opinion: nothing of that batch is believed."""
    book = a_portfolio().tell(said(1, opinion(), opinion(instrument=ETH, **change)))
    assert [effect.reason for effect in book.effects if isinstance(effect, Reject)] == ["BAD_SIGNAL"]
    assert len(book.effects) == 1


def test_impossible_marks_and_rules_are_refused() -> None:
    """A price of zero or a step of zero would be divided by; it is refused where it enters."""
    book = a_portfolio()
    assert isinstance(book.tell(marked(START, 0.0)).effects[0], Reject)
    assert isinstance(book.tell(rules(msgspec.structs.replace(SPEC, qty_step=D(0)))).effects[0], Reject)
    assert book.machine.state.specs[BTC] == SPEC


def test_an_opinion_counts_once() -> None:
    """The same bar told again, or an older one, changes nothing."""
    book = a_portfolio().tell(said(2, opinion("FLAT"))).expect()
    book.tell(said(2)).expect()
    book.tell(said(1)).expect()
    assert book.machine.state.books[BTC].opinions["trend"].flat_bars == 1


def test_one_unresolved_wish_per_instrument() -> None:
    """While an intent or its order is under way there is no second, whatever the opinions say; UNKNOWN is under way."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(said(2)).expect()
    book.tell(approval(entry)).expect(SetTimer(TIMER, entry.valid_until + 10 * MINUTE))
    book.tell(reported(entry, "NEW", "NEW")).expect(CancelTimer(TIMER))
    book.tell(reported(entry, "UNKNOWN", "UNKNOWN")).expect()
    book.tell(said(3)).expect()


def test_a_fill_the_ledger_has_not_booked_is_still_under_way() -> None:
    """Between the fill and its posting the known position is the old one: a wish on it would be made twice."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(approval(entry))
    book.tell(reported(entry, "TRADE", "PARTIALLY_FILLED", "0.030")).expect(CancelTimer(TIMER))
    book.tell(reported(entry, "TRADE", "FILLED", "0.047")).expect(CancelTimer(TIMER))
    book.tell(approval(entry)).expect(CancelTimer(TIMER))
    book.tell(said(2)).expect()
    book.tell(posted("0.030", "fill-BUY-0.030")).expect()
    book.tell(said(3, opinion("SHORT"))).expect()
    book.tell(posted("0.077", "fill-BUY-0.047")).expect()
    book.tell(said(4, opinion("SHORT"))).expect(
        like(OrderIntent, side="SELL", order_qty=D("0.077")), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_a_fill_told_again_does_not_lock_the_instrument() -> None:
    """The same exec_id after its posting is an echo."""
    book, entry = a_holder()
    book.tell(reported(entry, "TRADE", "FILLED", str(entry.order_qty))).expect()
    assert book.machine.state.books[BTC].is_free


def test_a_denial_frees_the_instrument_after_a_pause() -> None:
    """The gate's no ends the wish; asking again at once would only be denied again."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(denial(entry)).expect(CancelTimer(TIMER))
    almost = START + BAR + 599 * SECOND
    again = said(1, end_ts=almost, ts_init=almost)
    book.tell(again).expect()
    book.tell(said(2)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


@pytest.mark.parametrize("status", ["REJECTED", "EXPIRED", "CANCELED"])
def test_an_order_that_came_to_nothing_frees_the_instrument(status: str) -> None:
    """The venue's no is paused over like the gate's; the cash is free again at once."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(approval(entry)).tell(reported(entry, status, status)).expect(CancelTimer(TIMER))
    assert book.machine.state.books[BTC].is_free
    assert book.machine.state.books[BTC].cash_promised == 0
    assert book.machine.state.books[BTC].entry_after == book.now + 10 * MINUTE
    book.tell(reported(entry, status, status)).expect()


def test_an_intent_nobody_answers_is_let_go() -> None:
    """Without a verdict until its deadline the wish is over; the next bar may make another."""
    book = a_portfolio().tell(said(1))
    book.fire(TIMER).expect()
    assert book.now == START + BAR + 30 * SECOND
    book.tell(said(2)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_a_timer_does_not_take_away_an_approved_order() -> None:
    """Once approved an order may exist: it has time to be reported, and then only reports end it. Timers of nothing known end nothing."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(approval(entry))
    for name in (TIMER, "intent.DOGE-USDT", "other"):
        book.tell(TimerFired(name=name, due=book.now, producer="portfolio")).expect()
    book.tell(said(2)).expect()


def test_an_approval_in_time_is_taken_up_again() -> None:
    """Approved just as we let go: the order may come, so the instrument is busy. Past its deadline it cannot come."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.fire(TIMER)
    book.tell(approval(entry, valid_until=book.now - 1)).expect()
    assert book.machine.state.books[BTC].is_free
    book.tell(approval(entry, correlation_id="story")).expect(SetTimer(TIMER, entry.valid_until + 10 * MINUTE))
    wish, plan = book.machine.state.books[BTC].wish, book.machine.state.books[BTC].plan
    assert (wish.intent_id, wish.stage, wish.cash) == (entry.intent_id, "APPROVED", D("0.077") * 60_000)
    assert (plan.target_px, plan.story) == (D(61_800), "story")
    book.tell(said(2)).expect()


def test_an_order_believed_dead_that_lives_is_taken_up_again() -> None:
    """The executor may find at the venue what was thought never sent; then it is under way."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    book.tell(approval(entry)).tell(reported(entry, "EXPIRED", "EXPIRED"))
    book.tell(reported(entry, "NEW", "NEW")).expect()
    book.tell(said(2)).expect()
    book.tell(reported(entry, "CANCELED", "CANCELED")).expect(CancelTimer(TIMER))
    book.tell(said(3)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_a_late_approval_of_an_exit_promises_no_cash() -> None:
    """An exit is taken up again like an entry; the entry's plan stays, and a second approval changes nothing."""
    book, _ = a_holder()
    exit_intent = book.tell(said(2, opinion("SHORT"))).only(OrderIntent)
    book.fire(TIMER)
    for _ in range(2):
        book.tell(approval(exit_intent)).expect(SetTimer(TIMER, exit_intent.valid_until + 10 * MINUTE))
    assert book.machine.state.books[BTC].cash_promised == 0
    assert book.machine.state.books[BTC].plan.target_px == D(61_800)


def test_what_concerns_nobody_says_nothing() -> None:
    """Its own start, for one, is no reason to trade."""
    a_portfolio().tell(ServiceStarted(instance="local", code_version="1", settings={}, state_digest="")).expect()


def test_verdicts_on_other_wishes_change_nothing() -> None:
    """Only the verdict on the wish under way resolves it."""
    book = a_portfolio()
    entry = book.tell(said(1)).only(OrderIntent)
    other = msgspec.structs.replace(entry, intent_id="f" * 32)
    book.tell(denial(other)).expect()
    book.tell(approval(other)).expect()
    book.tell(reported(other, "REJECTED", "REJECTED")).expect()
    assert book.machine.state.books[BTC].wish.stage == "INTENDED"


def test_no_second_helping() -> None:
    """LONG while long is no reason to buy more."""
    book, _ = a_holder()
    book.tell(said(2)).expect()
