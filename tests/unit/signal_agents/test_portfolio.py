"""The portfolio's conversations: opinions become at most one sized wish per instrument, and every wish is resolved."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.ids import derive_id
from libs.common.messages import (
    AgentSignals,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Mark,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
    ServiceStarted,
    Signal,
    TimerFired,
)
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from libs.runtime.machine import CancelTimer, Publish, Reject, SetTimer
from libs.runtime.settings import SettingsError, load_settings
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.portfolio.settings import Settings
from services.signal_agents.portfolio.sizing import Entry, Funds, Limits, long_entry
from tests.playbook import START, Playbook, like

D = Decimal
BTC, ETH = "BTC-USDT", "ETH-USDT"
TIMER = f"intent.{BTC}"
SPEC = InstrumentSpec(
    instrument=BTC,
    base="BTC",
    quote="USDT",
    px_tick=D("0.01"),
    qty_step=D("0.001"),
    qty_min=D("0.001"),
    notional_min=D(10),
    taker_fee=D("0.0005"),
    maker_fee=D("0.0005"),
)
LIMITS = Limits(risk_per_trade=D("0.01"), position_max=D(1), stop_atr=D(2), target_atr=D(3), slip=D("0.0005"))
SETTINGS = PortfolioMachine.Settings(
    agents=("trend",),
    limits=LIMITS,
    exit_flat_bars=3,
    signal_age_max=200 * SECOND,
    quote_age_max=5 * SECOND,
    intent_valid=30 * SECOND,
    denial_cooldown=10 * MINUTE,
    exit_retry=5 * SECOND,
)
BAR = 15 * MINUTE


def _signal(stance: Literal["LONG", "SHORT", "FLAT"] = "LONG", instrument: str = BTC, **changes: Any) -> Signal:
    signal = Signal(
        instrument=instrument,
        timeframe="15m",
        ready=True,
        stance=stance,
        strength=0.5,
        close_px=60_000.0,
        atr=600.0,
        evidence={},
    )
    return msgspec.structs.replace(signal, **changes)


def _signals(bar: int, *signals: Signal, agent: str = "trend", **changes: Any) -> AgentSignals:
    """The agent's answer to the bar that closes `bar` steps after START, said at once."""
    end_ts = START + bar * BAR
    said = AgentSignals(
        agent_id=agent, end_ts=end_ts, signals=signals or (_signal(),), ts_init=end_ts, producer=f"agent.{agent}"
    )
    return msgspec.structs.replace(said, **changes)


def _marks(ts: int, bid: float, ask: float | None = None, instrument: str = BTC) -> FeedMarks:
    mark = Mark(instrument=instrument, bid_px=bid, ask_px=ask or bid + 0.01, last_px=bid, ts=ts)
    return FeedMarks(as_of=ts, marks=(mark,), ts_init=ts)


def _equity(equity: int | str = 10_000, balance: int | str = 10_000) -> EquityChanged:
    zero = D(0)
    return EquityChanged(
        balance=D(balance),
        equity=D(equity),
        realized_pnl=zero,
        unrealized_pnl=zero,
        high_water_mark=D(equity),
        drawdown=zero,
    )


def _status(*specs: InstrumentSpec) -> FeedStatus:
    return FeedStatus(venue="binance", state="LIVE", reason="", specs=specs)


def _approved(intent: OrderIntent, **changes: Any) -> OrderApproved:
    names = set(OrderApproved.__struct_fields__) - {"checks", "key_id", "signature", "id"}
    shared = {name: getattr(intent, name) for name in names}
    return OrderApproved(**(shared | {"checks": (), "producer": "risk", "ts_init": 0} | changes))


def _denied(intent: OrderIntent) -> OrderDenied:
    return OrderDenied(
        intent_id=intent.intent_id,
        instrument=intent.instrument,
        side=intent.side,
        order_qty=intent.order_qty,
        reasons=("STALE_PRICE",),
        checks=(),
    )


def _report(intent: OrderIntent, exec_type: str, ord_status: str, qty: str = "0", **changes: Any) -> ExecutionReport:
    """A report on the intent's order; a TRADE fills `qty`, its exec_id is `fill-<qty>`."""
    is_fill = exec_type == "TRADE"
    report = ExecutionReport(
        cl_ord_id="c1",
        intent_id=intent.intent_id,
        venue_order_id="v1",
        exec_id=f"fill-{intent.side}-{qty}" if is_fill else "",
        role="EXIT" if intent.reduce_only else "ENTRY",
        exec_type=exec_type,  # type: ignore[arg-type]
        ord_status=ord_status,  # type: ignore[arg-type]
        instrument=intent.instrument,
        side=intent.side,
        order_qty=intent.order_qty,
        cum_qty=D(qty),
        leaves_qty=D(0),
        avg_px=None,
        last_qty=D(qty) if is_fill else None,
        last_px=intent.ref_px if is_fill else None,
        commission=D(0) if is_fill else None,
        commission_asset="USDT" if is_fill else "",
        liquidity_side="TAKER" if is_fill else "",
        reason="",
    )
    return msgspec.structs.replace(report, **changes)


def _position(signed_qty: str | Decimal, exec_id: str = "", instrument: str = BTC) -> PositionChanged:
    return PositionChanged(
        instrument=instrument,
        signed_qty=D(signed_qty),
        avg_entry_px=D(60_000),
        realized_pnl=D(0),
        commission=D(0),
        exec_id=exec_id,
        cl_ord_id="c1",
    )


def _portfolio(settings: PortfolioMachine.Settings = SETTINGS) -> Playbook:
    """A portfolio that knows the venue's rules for BTC and ETH, and 10,000 of equity, all of it cash."""
    book = Playbook(PortfolioMachine(settings), writer="portfolio")
    book.tell(_status(SPEC, msgspec.structs.replace(SPEC, instrument=ETH, base="ETH"))).expect()
    return book.tell(_equity()).expect()


def _holding(settings: PortfolioMachine.Settings = SETTINGS) -> tuple[Playbook, OrderIntent]:
    """A portfolio that entered at bar 1: target 61,800, stop 58,800, filled and booked."""
    book = _portfolio(settings)
    entry = book.tell(_signals(1, correlation_id="story-of-bar-1")).only(OrderIntent)
    book.tell(_approved(entry)).tell(_report(entry, "NEW", "NEW"))
    fill = _report(entry, "TRADE", "FILLED", str(entry.order_qty))
    book.tell(fill).tell(_position(entry.order_qty, fill.exec_id)).tell(_equity(10_000, 5_000)).expect()
    return book, entry


# --- entering -------------------------------------------------------------------------------------------------------


def test_a_long_opinion_becomes_one_sized_entry() -> None:
    """LONG, ready, flat and free: a market buy with stop, target and a deadline, in the story of the bar."""
    book = _portfolio().tell(_signals(1, id="a" * 32, correlation_id="story"))
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
    book = _portfolio().tell(_marks(now - SECOND, 60_100.0, 60_100.014)).tell(_signals(1))
    assert book.only(OrderIntent).ref_px == D("60100.02")
    book = _portfolio().tell(_marks(now - 6 * SECOND, 60_100.0)).tell(_signals(1))
    assert book.only(OrderIntent).ref_px == D(60_000)


def test_a_quiet_instrument_that_is_alive_keeps_its_price() -> None:
    """No news is not old news: the feed's proof of life refreshes the quote, and invents none."""
    now = START + BAR
    alive = FeedMarks(as_of=now - SECOND, marks=(), alive=(BTC, ETH), ts_init=now)
    book = _portfolio().tell(_marks(now - 60 * SECOND, 60_100.0, 60_100.5)).tell(alive)
    book.tell(_signals(1, _signal(), _signal(instrument=ETH)))
    assert [intent.ref_px for intent in book.published(OrderIntent)] == [D("60100.5"), D(60_000)]


@pytest.mark.parametrize(
    "signal",
    [
        _signal("SHORT"),
        _signal("FLAT"),
        _signal("LONG", ready=False),
        _signal("LONG", atr=0.0),
        _signal("LONG", atr=30_001.0),
        _signal("LONG", instrument="DOGE-USDT"),
    ],
    ids=["short", "flat", "not ready", "no range", "stop below zero", "no rules known"],
)
def test_no_entry_without_a_reason_and_room(signal: Signal) -> None:
    """Nothing but a ready LONG with room for a stop above zero enters; spot cannot be short."""
    _portfolio().tell(_signals(1, signal)).expect()


def test_no_equity_no_entry() -> None:
    """Before the ledger has spoken nobody knows what may be risked."""
    book = Playbook(PortfolioMachine(SETTINGS)).tell(_status(SPEC)).tell(_signals(1)).expect()
    book.tell(_equity()).tell(_signals(2)).expect(
        like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND)
    )


@pytest.mark.parametrize(("late", "intents"), [(200 * SECOND, 1), (200 * SECOND + 1, 0)])
def test_an_old_signal_binds_nobody(late: int, intents: int) -> None:
    """A batch that was back-filled after an outage is yesterday's wish."""
    book = _portfolio().tell(_signals(1, ts_init=START + BAR + late))
    assert len(book.published(OrderIntent)) == intents


@pytest.mark.parametrize(("early", "intents"), [(200 * SECOND, 1), (200 * SECOND + 1, 0)])
def test_a_signal_from_the_future_binds_nobody(early: int, intents: int) -> None:
    """A venue's clock may run a little ahead of ours, but not a whole bar; such a claim is not even remembered."""
    book = _portfolio().tell(_signals(1, ts_init=START + BAR - early))
    assert len(book.published(OrderIntent)) == intents
    assert (BTC in book.machine.state.books) == bool(intents)


def test_one_batch_cannot_spend_the_same_cash_twice() -> None:
    """Cash promised to an order on its way is not free, until the ledger's balance knows of the fill."""
    settings = msgspec.structs.replace(SETTINGS, limits=msgspec.structs.replace(LIMITS, position_max=D("0.7")))
    tight = {"atr": 60.0}
    book = _portfolio(settings).tell(_signals(1, _signal(**tight), _signal(instrument=ETH, **tight)))
    btc, eth = book.published(OrderIntent)
    assert btc.order_qty * btc.ref_px <= 7_000
    assert 0 < eth.order_qty * eth.ref_px <= 10_000 - btc.order_qty * btc.ref_px
    book.tell(_denied(eth)).tell(_approved(btc))
    fill = _report(btc, "TRADE", "FILLED", str(btc.order_qty))
    book.tell(fill).tell(_position(btc.order_qty, fill.exec_id))
    book.tell(_signals(2, _signal(instrument=ETH, **tight)))
    assert book.only(OrderIntent).order_qty == eth.order_qty
    book.tell(_denied(book.only(OrderIntent))).tell(_equity(10_000, 3_100))
    book.tell(_signals(3, _signal(instrument=ETH, **tight)))
    assert book.only(OrderIntent).order_qty > eth.order_qty


def test_too_small_for_the_venue_is_no_wish() -> None:
    """An entry whose stop the venue would not take any more cannot be protected, so it is not made."""
    for equity, intents in ((24, 0), (25, 1)):
        spec = msgspec.structs.replace(SPEC, qty_step=D("0.00001"), qty_min=D("0.00001"))
        book = Playbook(PortfolioMachine(SETTINGS)).tell(_status(spec)).tell(_equity(equity, 10_000))
        assert len(book.tell(_signals(1)).published(OrderIntent)) == intents, equity


def test_only_named_agents_are_heard_and_all_must_agree() -> None:
    """Entering needs every agent; one that has not spoken, is late or disagrees is enough to stay out."""
    book = _portfolio(msgspec.structs.replace(SETTINGS, agents=("macro", "trend")))
    book.tell(_signals(1)).expect()
    book.tell(_signals(1, _signal("FLAT"), agent="macro")).expect()
    book.tell(_signals(2, agent="levels")).expect()
    book.tell(_signals(2, agent="macro")).expect()
    book.tell(_signals(2, agent="trend")).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_an_agent_cannot_speak_for_another() -> None:
    """The writer's name counts, not what the message claims."""
    book = _portfolio().tell(_signals(1, producer="agent.llm"))
    book.expect(Reject("WRONG_AGENT", "agent.llm speaks as agent 'trend'"))


@pytest.mark.parametrize("change", [{"close_px": -1.0}, {"close_px": 1e16}, {"atr": -0.1}, {"strength": 1.1}])
def test_an_impossible_signal_is_refused(change: dict[str, float]) -> None:
    """Numbers that cannot be are poison, not an opinion: nothing of that batch is believed."""
    book = _portfolio().tell(_signals(1, _signal(), _signal(instrument=ETH, **change)))
    assert [effect.reason for effect in book.effects if isinstance(effect, Reject)] == ["BAD_SIGNAL"]
    assert len(book.effects) == 1


def test_impossible_marks_and_rules_are_refused() -> None:
    """A price of zero or a step of zero would be divided by; it is refused where it enters."""
    book = _portfolio()
    assert isinstance(book.tell(_marks(START, 0.0)).effects[0], Reject)
    assert isinstance(book.tell(_status(msgspec.structs.replace(SPEC, qty_step=D(0)))).effects[0], Reject)
    assert book.machine.state.specs[BTC] == SPEC


def test_an_opinion_counts_once() -> None:
    """The same bar told again, or an older one, changes nothing."""
    book = _portfolio().tell(_signals(2, _signal("FLAT"))).expect()
    book.tell(_signals(2)).expect()
    book.tell(_signals(1)).expect()
    assert book.machine.state.books[BTC].opinions["trend"].flat_bars == 1


# --- one wish at a time ---------------------------------------------------------------------------------------------


def test_one_unresolved_wish_per_instrument() -> None:
    """While an intent or its order is under way there is no second, whatever the opinions say; UNKNOWN is under way."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_signals(2)).expect()
    book.tell(_approved(entry)).expect(CancelTimer(TIMER))
    book.tell(_report(entry, "NEW", "NEW")).expect()
    book.tell(_report(entry, "UNKNOWN", "UNKNOWN")).expect()
    book.tell(_signals(3)).expect()


def test_a_fill_the_ledger_has_not_booked_is_still_under_way() -> None:
    """Between the fill and its posting the known position is the old one: a wish on it would be made twice."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_approved(entry))
    book.tell(_report(entry, "TRADE", "PARTIALLY_FILLED", "0.030")).expect()
    book.tell(_report(entry, "TRADE", "FILLED", "0.047")).expect(CancelTimer(TIMER))
    book.tell(_signals(2)).expect()
    book.tell(_position("0.030", "fill-BUY-0.030")).expect()
    book.tell(_signals(3, _signal("SHORT"))).expect()
    book.tell(_position("0.077", "fill-BUY-0.047")).expect()
    book.tell(_signals(4, _signal("SHORT"))).expect(
        like(OrderIntent, side="SELL", order_qty=D("0.077")), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_a_fill_told_again_does_not_lock_the_instrument() -> None:
    """The same exec_id after its posting is an echo."""
    book, entry = _holding()
    book.tell(_report(entry, "TRADE", "FILLED", str(entry.order_qty))).expect()
    assert book.machine.state.books[BTC].is_free


def test_a_denial_frees_the_instrument_after_a_pause() -> None:
    """The gate's no ends the wish; asking again at once would only be denied again."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_denied(entry)).expect(CancelTimer(TIMER))
    again = _signals(1, end_ts=START + BAR + SECOND, ts_init=START + BAR + 599 * SECOND)
    book.tell(again).expect()
    book.tell(_signals(2)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


@pytest.mark.parametrize("status", ["REJECTED", "EXPIRED", "CANCELED"])
def test_an_order_that_came_to_nothing_frees_the_instrument(status: str) -> None:
    """The venue's no is paused over like the gate's; the cash is free again at once."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_approved(entry)).tell(_report(entry, status, status)).expect(CancelTimer(TIMER))
    assert book.machine.state.books[BTC].is_free
    assert book.machine.state.books[BTC].cash_promised == 0
    assert book.machine.state.books[BTC].entry_after == book.now + 10 * MINUTE
    book.tell(_report(entry, status, status)).expect()


def test_an_intent_nobody_answers_is_let_go() -> None:
    """Without a verdict until its deadline the wish is over; the next bar may make another."""
    book = _portfolio().tell(_signals(1))
    book.fire(TIMER).expect()
    assert book.now == START + BAR + 30 * SECOND
    book.tell(_signals(2)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_a_timer_does_not_take_away_an_approved_order() -> None:
    """Once approved an order may exist: only its reports end it. Timers of nothing known end nothing."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_approved(entry))
    for name in (TIMER, "intent.DOGE-USDT", "other"):
        book.tell(TimerFired(name=name, due=book.now, producer="portfolio")).expect()
    book.tell(_signals(2)).expect()


def test_an_approval_in_time_is_taken_up_again() -> None:
    """Approved just as we let go: the order may come, so the instrument is busy. Past its deadline it cannot come."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.fire(TIMER)
    book.tell(_approved(entry, valid_until=book.now - 1)).expect()
    assert book.machine.state.books[BTC].is_free
    book.tell(_approved(entry, correlation_id="story")).expect(CancelTimer(TIMER))
    wish, plan = book.machine.state.books[BTC].wish, book.machine.state.books[BTC].plan
    assert (wish.intent_id, wish.stage, wish.cash) == (entry.intent_id, "APPROVED", D("0.077") * 60_000)
    assert (plan.target_px, plan.story) == (D(61_800), "story")
    book.tell(_signals(2)).expect()


def test_an_order_believed_dead_that_lives_is_taken_up_again() -> None:
    """The executor may find at the venue what was thought never sent; then it is under way."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_approved(entry)).tell(_report(entry, "EXPIRED", "EXPIRED"))
    book.tell(_report(entry, "NEW", "NEW")).expect()
    book.tell(_signals(2)).expect()
    book.tell(_report(entry, "CANCELED", "CANCELED")).expect(CancelTimer(TIMER))
    book.tell(_signals(3)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_a_late_approval_of_an_exit_promises_no_cash() -> None:
    """An exit is taken up again like an entry; the entry's plan stays, and a second approval changes nothing."""
    book, _ = _holding()
    exit_intent = book.tell(_signals(2, _signal("SHORT"))).only(OrderIntent)
    book.fire(TIMER)
    for _ in range(2):
        book.tell(_approved(exit_intent)).expect(CancelTimer(TIMER))
    assert book.machine.state.books[BTC].cash_promised == 0
    assert book.machine.state.books[BTC].plan.target_px == D(61_800)


def test_what_concerns_nobody_says_nothing() -> None:
    """Its own start, for one, is no reason to trade."""
    _portfolio().tell(ServiceStarted(instance="local", code_version="1", settings={}, state_digest="")).expect()


def test_verdicts_on_other_wishes_change_nothing() -> None:
    """Only the verdict on the wish under way resolves it."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    other = msgspec.structs.replace(entry, intent_id="f" * 32)
    book.tell(_denied(other)).expect()
    book.tell(_approved(other)).expect()
    book.tell(_report(other, "REJECTED", "REJECTED")).expect()
    assert book.machine.state.books[BTC].wish.stage == "INTENDED"


def test_no_second_helping() -> None:
    """LONG while long is no reason to buy more."""
    book, _ = _holding()
    book.tell(_signals(2)).expect()


# --- leaving --------------------------------------------------------------------------------------------------------


def test_a_short_opinion_sells_everything() -> None:
    """Spot cannot be short, but it can be out: reduce-only, the whole position, in the story of the bar that said so."""
    book, entry = _holding()
    book.tell(_marks(START + 2 * BAR - SECOND, 59_500.0))
    book.tell(_signals(2, _signal("SHORT"), correlation_id="story-of-bar-2"))
    exit_intent = book.only(OrderIntent)
    assert exit_intent.reduce_only
    assert (exit_intent.side, exit_intent.order_qty, exit_intent.ref_px) == ("SELL", entry.order_qty, D(59_500))
    assert (exit_intent.stop_px, exit_intent.target_px) == (None, None)
    assert (exit_intent.reason, exit_intent.correlation_id) == ("short", "story-of-bar-2")


def test_flat_leaves_after_so_many_bars_in_a_row() -> None:
    """One bar without an opinion is noise; three in a row mean that the trend is over."""
    book, _ = _holding()
    for bar, stance in ((2, "FLAT"), (3, "FLAT"), (4, "LONG"), (5, "FLAT"), (6, "FLAT")):
        book.tell(_signals(bar, _signal(stance))).expect()  # type: ignore[arg-type]
    book.tell(_signals(7, _signal("FLAT", ready=False))).expect()
    for bar in (8, 9):
        book.tell(_signals(bar, _signal("FLAT"))).expect()
    book.tell(_signals(10, _signal("FLAT"))).expect(
        like(OrderIntent, side="SELL", reason="flat", ref_px=D(60_000)), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_flat_need_not_leave() -> None:
    """With the rule switched off FLAT never sells."""
    book, _ = _holding(msgspec.structs.replace(SETTINGS, exit_flat_bars=0))
    for bar in range(2, 12):
        book.tell(_signals(bar, _signal("FLAT"))).expect()


def test_the_target_is_taken_in_the_story_of_the_entry() -> None:
    """Once somebody bids the target everything is sold, and the profit belongs to the bar that began it."""
    book, entry = _holding()
    book.tell(_marks(START + 3 * BAR, 61_799.99)).expect()
    book.tell(_marks(START + 3 * BAR + SECOND, 61_800.0)).expect(
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
    book.tell(_marks(START + 3 * BAR + 2 * SECOND, 61_900.0)).expect()


def test_a_denied_exit_is_wished_for_again() -> None:
    """A breaker must not lock a position in: after a short pause the next mark asks again, with another intent."""
    book, _ = _holding()
    at = START + 2 * BAR
    first = book.tell(_signals(2, _signal("SHORT"), correlation_id="story-of-bar-2")).only(OrderIntent)
    book.tell(_denied(first))
    book.tell(_marks(at + 4 * SECOND, 59_000.0)).expect()
    second = book.tell(_marks(at + 5 * SECOND, 59_000.0)).only(OrderIntent)
    assert second.intent_id != first.intent_id
    assert (second.reason, second.correlation_id) == ("short", "story-of-bar-2")
    book.fire(TIMER).expect()
    book.tell(_marks(at + 100 * SECOND, 59_000.0)).expect(
        like(OrderIntent, side="SELL"), SetTimer(TIMER, book.timers[TIMER])
    )
    book.tell(_denied(book.only(OrderIntent)))
    book.tell(_marks(at + 201 * SECOND, 59_000.0)).expect()


def test_an_entry_pause_does_not_hold_an_exit_back() -> None:
    """A partly filled entry that was cancelled pauses entries; its position can still be left at once."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_approved(entry)).tell(_report(entry, "TRADE", "PARTIALLY_FILLED", "0.030"))
    book.tell(_position("0.030", "fill-BUY-0.030")).tell(_report(entry, "CANCELED", "CANCELED"))
    assert book.machine.state.books[BTC].cash_promised > 0
    book.tell(_equity(10_000, 8_200))
    assert book.machine.state.books[BTC].cash_promised == 0
    book.tell(_marks(book.now + SECOND, 61_800.0)).expect(
        like(OrderIntent, side="SELL", order_qty=D("0.030"), reason="target"), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_a_fill_after_a_cancel_has_a_target_too() -> None:
    """The venue was faster than the cancel: what it filled is ours and is sold at the target as planned."""
    book = _portfolio()
    entry = book.tell(_signals(1)).only(OrderIntent)
    book.tell(_approved(entry)).tell(_report(entry, "CANCELED", "CANCELED"))
    book.tell(_report(entry, "TRADE", "CANCELED", "0.030")).expect()
    book.tell(_signals(2)).expect()
    book.tell(_position("0.030", "fill-BUY-0.030"))
    book.tell(_marks(book.now, 61_900.0)).expect(
        like(OrderIntent, side="SELL", reason="target"), SetTimer(TIMER, book.now + 30 * SECOND)
    )


def test_a_stop_at_the_venue_ends_the_position_without_a_wish() -> None:
    """The protective stop filled: once the ledger has booked it the instrument is free for the next entry."""
    book, entry = _holding()
    book.tell(_report(entry, "TRADE", "FILLED", "0.077", role="STOP", side="SELL", exec_id="stop-1")).expect()
    book.tell(_signals(2, _signal("SHORT"))).expect()
    book.tell(_position("0", "stop-1"))
    book.tell(_signals(3)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))


def test_dust_is_neither_sold_nor_in_the_way() -> None:
    """What is worth less than the smallest order stays, is no reason to stay out, and is sold with the next position."""
    book, _ = _holding()
    book.tell(_position("0.0007"))
    book.tell(_signals(2, _signal("SHORT"))).expect()
    book.tell(_marks(book.now, 61_900.0)).expect()
    book.tell(_signals(3)).expect(like(OrderIntent, side="BUY"), SetTimer(TIMER, book.now + 30 * SECOND))
    book.tell(_denied(book.only(OrderIntent))).tell(_position("0.0777"))
    book.tell(_signals(4, _signal("SHORT")))
    assert book.only(OrderIntent).order_qty == D("0.077")


def test_a_short_position_is_left_alone() -> None:
    """Below zero spot cannot be: nothing is bought on such a number, nothing sold."""
    book = _portfolio().tell(_position("-0.5"))
    book.tell(_signals(1)).expect()
    book.tell(_signals(2, _signal("SHORT"))).expect()


def test_no_rules_no_exit() -> None:
    """Without the venue's step a quantity cannot be rounded; the stop protects until the feed has spoken."""
    book = Playbook(PortfolioMachine(SETTINGS)).tell(_position("0.5"))
    book.tell(_marks(START, 60_000.0)).expect()


def test_other_settings_take_the_state_along() -> None:
    """A restart with another rule goes on with the same books."""
    book, _ = _holding()
    changed = PortfolioMachine(msgspec.structs.replace(SETTINGS, exit_flat_bars=1))
    changed.state = book.machine.state
    book.machine = changed
    book.tell(_signals(2, _signal("FLAT"))).expect(
        like(OrderIntent, reason="flat"), SetTimer(TIMER, book.now + 30 * SECOND)
    )


# --- whatever happens -----------------------------------------------------------------------------------------------


class _World:
    """A gate, a venue and a ledger that do one thing at a time, in any order that the log allows."""

    def __init__(self) -> None:
        self.book = _portfolio()
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
            self._watch(self.book.tell(_signals(self.bar, _signal(deed))))  # type: ignore[arg-type]
        elif deed in ("60000", "62000"):
            self._watch(self.book.tell(_marks(self.book.now + 6 * SECOND, float(deed))))
        elif deed == "time" and TIMER in self.book.timers:
            self.pending = None
            self._watch(self.book.fire(TIMER))
        elif deed in ("approve", "deny") and self.pending is not None:
            intent, self.pending = self.pending, None
            self._watch(self.book.tell(_approved(intent) if deed == "approve" else _denied(intent)))
            if deed == "approve":
                self.order, self.left = intent, intent.order_qty
        elif deed in ("fill", "part", "cancel", "unknown") and self.order is not None:
            self._report(self.order, deed)
        elif deed == "book" and self.unbooked:
            fill = self.unbooked.pop(0)
            self.position += (fill.last_qty or D(0)) * (1 if fill.side == "BUY" else -1)
            self._watch(self.book.tell(_position(self.position, fill.exec_id)))

    def _report(self, order: OrderIntent, deed: str) -> None:
        if deed == "unknown":
            self._watch(self.book.tell(_report(order, "UNKNOWN", "UNKNOWN")))
            return
        qty = {"fill": self.left, "part": SPEC.qty_step, "cancel": D(0)}[deed]
        self.left -= qty
        status = "CANCELED" if deed == "cancel" else "PARTIALLY_FILLED" if self.left else "FILLED"
        report = _report(
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


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(DEEDS), max_size=60))
@example(["LONG", "approve", "fill", "book", "62000", "approve", "fill", "book", "LONG"])
@example(["LONG", "approve", "part", "cancel", "book", "SHORT", "time", "60000", "approve", "unknown", "fill", "LONG"])
def test_never_two_wishes_and_never_more_than_held(deeds: list[str]) -> None:
    """In every order of opinions, verdicts, fills and postings there is one wish at a time, made on the true position."""
    world = _World()
    for deed in deeds:
        world.do(deed)


# --- sizing ---------------------------------------------------------------------------------------------------------


def _entry(px: str, stop_atr: str, equity: int = 10_000, free: int = 10_000_000, **limits: Any) -> Entry | None:
    """An entry with ATR 1, so that `stop_atr` is the distance of the stop."""
    changed = msgspec.structs.replace(LIMITS, stop_atr=D(stop_atr), position_max=D(100), **limits)
    return long_entry(D(px), D(1), Funds(equity=D(equity), free=D(free)), changed, SPEC)


@pytest.mark.parametrize(
    ("stop_atr", "costs", "qty"),
    [
        ("1200", "0", "0.083"),
        ("1200", "0.0005", "0.077"),
        ("60", "0", "1.666"),
        ("60", "0.0005", "0.666"),
    ],
)
def test_reference_sizes(stop_atr: str, costs: str, qty: str) -> None:
    """10,000 at 1 % from 60,000: costs matter little for a wide stop and more than anything for a tight one."""
    spec = msgspec.structs.replace(SPEC, taker_fee=D(costs))
    limits = msgspec.structs.replace(
        LIMITS, stop_atr=D(stop_atr), target_atr=D(5000), position_max=D(100), slip=D(costs)
    )
    funds = Funds(equity=D(10_000), free=D(10_000_000))
    entry = long_entry(D(60_000), D(1), funds, limits, spec)
    assert entry is not None
    assert entry.qty == D(qty)


def test_caps_on_position_and_cash() -> None:
    """The smallest of risk, position cap and free cash decides; cash must pay for fee and slip too."""
    limits = msgspec.structs.replace(LIMITS, position_max=D("0.2"))
    rich = long_entry(D(60_000), D(60), Funds(equity=D(10_000), free=D(10_000)), limits, SPEC)
    poor = long_entry(D(60_000), D(60), Funds(equity=D(10_000), free=D("1201.19")), limits, SPEC)
    broke = long_entry(D(60_000), D(60), Funds(equity=D(10_000), free=D(-5)), limits, SPEC)
    assert rich is not None
    assert (rich.qty, rich.cash) == (D("0.033"), D("0.033") * 60_000 * D("1.0005") * D("1.0005"))
    assert poor is not None
    assert poor.qty == D("0.019")  # 0.02 would cost 1,201.20
    assert broke is None


def test_exits_are_rounded_to_the_tick() -> None:
    """The stop is rounded away from the entry, the target towards it: neither promises more than it holds."""
    entry = long_entry(D("100.001"), D("1.0033"), Funds(equity=D(10_000), free=D(10_000)), LIMITS, SPEC)
    assert entry is not None
    assert (entry.ref_px, entry.stop_px, entry.target_px) == (D("100.01"), D("98.00"), D("103.01"))


def test_no_room_between_two_ticks() -> None:
    """A range smaller than a tick leaves no room for a target."""
    funds = Funds(equity=D(10_000), free=D(10_000))
    assert long_entry(D(100), D("0.001"), funds, LIMITS, SPEC) is None


POWERS = st.integers(-8, 2).map(lambda exponent: D(10) ** exponent)
AMOUNTS = st.decimals(0, 10**9, places=8, allow_nan=False)
FRACTIONS = st.decimals("0.0001", "0.05", places=4)


@given(
    px=st.floats(1e-6, 1e7),
    atr=st.floats(0, 1e6),
    equity=AMOUNTS,
    free=AMOUNTS,
    risk=FRACTIONS,
    multiples=st.tuples(st.decimals("0.1", 20, places=2), st.decimals("0.1", 50, places=2)),
    costs=st.tuples(st.decimals(0, "0.01", places=5), st.decimals(0, "0.01", places=5)),
    steps=st.tuples(POWERS, POWERS, st.decimals(0, 100, places=2)),
)
@example(
    px=60_000.0,
    atr=600.0,
    equity=D(10_000),
    free=D(10_000),
    risk=D("0.01"),
    multiples=(D(2), D(3)),
    costs=(D("0.001"), D("0.0005")),
    steps=(D("0.01"), D("0.00001"), D(5)),
)
def test_a_stop_never_costs_more_than_the_budget(
    px: float,
    atr: float,
    equity: Decimal,
    free: Decimal,
    risk: Decimal,
    multiples: tuple[Decimal, Decimal],
    costs: tuple[Decimal, Decimal],
    steps: tuple[Decimal, Decimal, Decimal],
) -> None:
    """Whatever the market and the account: the loss at the stop with both fees and slip is within risk, in exact fractions."""
    (tick, step, notional_min), (fee, slip) = steps, costs
    spec = msgspec.structs.replace(
        SPEC, px_tick=tick, qty_step=step, qty_min=step, notional_min=notional_min, taker_fee=fee
    )
    limits = Limits(
        risk_per_trade=risk, position_max=D("0.5"), stop_atr=multiples[0], target_atr=multiples[1], slip=slip
    )
    entry = long_entry(D(str(px)), D(str(atr)), Funds(equity=equity, free=free), limits, spec)
    if entry is None:
        return
    qty, ref, stop, target = (Fraction(number) for number in (entry.qty, entry.ref_px, entry.stop_px, entry.target_px))
    loss = qty * (ref - stop + Fraction(fee) * (ref + stop) + Fraction(slip) * stop)
    assert loss <= Fraction(risk) * Fraction(equity)
    assert qty > 0
    assert qty % Fraction(step) == 0
    assert all(price % Fraction(tick) == 0 for price in (ref, stop, target))
    assert 0 < stop < ref < target
    assert qty * ref <= Fraction(equity) / 2
    assert qty * ref * (1 + Fraction(fee)) * (1 + Fraction(slip)) <= Fraction(free)
    assert qty * stop >= Fraction(notional_min)


# --- settings -------------------------------------------------------------------------------------------------------


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told in BULKHEAD_PORTFOLIO_... reaches the machine, and survives the trip through the log."""
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_AGENTS", "trend,macro,trend")
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_POSITION_PCT_MAX", "12.5")
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_INTENT_VALID_MS", "1500")
    settings = load_settings(Settings).machine()
    assert settings.agents == ("trend", "macro")
    assert settings.limits.position_max == D("0.125")
    assert settings.limits.slip == D("0.0005")
    assert settings.intent_valid == 1500 * MILLISECOND
    assert msgspec.convert(msgspec.to_builtins(settings), PortfolioMachine.Settings, strict=False) == settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BULKHEAD_PORTFOLIO_RISK_PER_TRADE", "0.06"),
        ("BULKHEAD_PORTFOLIO_RISK_PER_TRADE", "NaN"),
        ("BULKHEAD_PORTFOLIO_AGENTS", "trend,,macro"),
        ("BULKHEAD_PORTFOLIO_STOP_ATR", "0"),
        ("BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX", "many"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """The process refuses to start and says which variable and what it got."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{variable}: got '{value}'"):
        load_settings(Settings)
