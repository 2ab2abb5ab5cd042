"""What the gate makes of the bars and opinions it hears: stops in ATR, a day's volume, slippage, the age of a signal, blackouts."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from libs.common.messages import Ballot, Decision, DecisionsMade, FeedBars, OrderApproved, OrderDenied
from libs.common.timeframe import DAY, HOUR, MILLISECOND, MINUTE, SECOND, WEEK
from services.risk_gate.activity import Activities, Activity
from services.risk_gate.blackouts import parse_blackout
from services.risk_gate.contract import CONTRACT
from services.risk_gate.opinions import DECISIONS_KEPT
from services.risk_gate.view import View
from tests.unit.risk_gate.book import BTC, ETH, NOW, D, exit_, failed, judged, opened, position, tightened
from tests.unit.risk_gate.informed import LISTENING, bar, day, informed, signals, wish

BY_BARS = tightened(bars=True)
BY_SIGNALS = tightened(signals=True)
MONDAY = (NOW // DAY - 2) * DAY
"""2024-12-30, a Monday: NOW is Wednesday, the first of January."""


def heard(*events: Any, **changed: Any) -> View:
    """A gate that was told these."""
    book = opened(tightened(**changed))
    for event in events:
        book.tell(event).expect()
    state: View = book.machine.state
    return state


# --- bars -----------------------------------------------------------------------------------------------------------


def test_without_bars_nothing_is_entered_by_them() -> None:
    """A gate that judges by bars and has heard none denies with everything it lacks; too few of them are no ATR."""
    codes = ["STOP_TOO_TIGHT", "STOP_TOO_WIDE", "MAX_ORDER_VOLUME", "SLIPPAGE"]
    assert failed(wish(), heard(), BY_BARS) == codes
    assert judged(wish(), heard(), BY_BARS)["MAX_ORDER_VOLUME"].limit == "missing"
    few = heard(day(14, volume=100.0))
    assert failed(wish(), few, BY_BARS) == ["STOP_TOO_TIGHT", "STOP_TOO_WIDE", "SLIPPAGE"]
    assert failed(wish(), heard(day(15, volume=100.0)), BY_BARS) == []


def test_exits_need_no_bars() -> None:
    """What is held may be sold in a market of which nothing is known."""
    book = opened(LISTENING).tell(position("0.02"))
    book.tell(exit_()).only(OrderApproved)


def test_live_bars_go_on_where_history_ends() -> None:
    """History first, then the live bars; a bar that is told again, or late, counts once."""
    seen = heard(day(), FeedBars(end_ts=NOW, bars=(bar(NOW, volume=50.0),)), day(20, ends=NOW - HOUR, volume=9.0))
    assert seen.activities.day_volume(BTC, NOW) == 24
    seen.on_bars([bar(NOW + 15 * MINUTE, high=60_900.0, low=59_100.0)], BY_BARS)
    assert seen.activities.atr(BTC) == D("685.7142857142857")  # (13 x 600 + 1800) / 14


def test_what_was_traded_a_day_ago_is_forgotten() -> None:
    """The hours that began within the last 24 count: when nothing new is heard they become fewer, and in the end none is left."""
    known = heard(day()).activities
    assert known.day_volume(BTC, NOW + HOUR) == 23
    assert known.day_volume(BTC, NOW + 23 * HOUR) == 1
    assert known.day_volume(BTC, NOW + 23 * HOUR + 1) is None
    assert known.bar_volume(BTC, NOW) == D("0.25")
    assert known.bar_volume(ETH, NOW) is None
    for hours in range(1, 50):
        known.observe([bar(NOW + hours * HOUR)], "15m")
    assert len(known.of[BTC].hours) == 24


@pytest.mark.parametrize(
    "absurd",
    [
        {"high": math.inf},
        {"volume": math.nan},
        {"volume": -1.0},
        {"low": -1.0},
        {"high": 59_000.0},
        {"close": 1e16},
    ],
)
def test_an_absurd_bar_says_nothing(absurd: dict[str, float]) -> None:
    """It neither breaks the gate nor moves its numbers."""
    known = Activity()
    known.add(bar(NOW, **absurd))
    assert (known.ts, known.hours, known.atr.age) == (0, [], 0)


def test_an_open_bar_at_the_end_of_a_history_is_not_believed() -> None:
    """It would stand for the whole one, and be the last word until bars have closed behind it."""
    history = day()
    whole = bar(NOW + 15 * MINUTE, volume=0.5)
    part = bar(NOW + 15 * MINUTE, high=60_000.0, low=60_000.0, volume=0.0)
    seen = heard(
        msgspec.structs.replace(history, bars=(*history.bars, part, bar(NOW + 300 * DAY))),
        FeedBars(end_ts=whole.ts_close, bars=(whole,), ts_init=whole.ts_close),
    )
    assert seen.activities.of[BTC].ts == whole.ts_close
    assert seen.activities.of[BTC].hours[-1].volume == 0.5
    assert seen.activities.atr(BTC) == D(600)


def test_bars_of_another_length_are_another_market() -> None:
    """Only the timeframe that is set counts, and with another one everything is learnt anew."""
    known = Activities()
    known.observe([*day().bars, bar(NOW + HOUR, timeframe="1h", volume=99.0)], "15m")
    assert known.day_volume(BTC, NOW) == 24
    known.observe([], "1h")
    assert known.of == {}


def test_a_market_without_trades_allows_no_order() -> None:
    """No volume is no limit to take a share of, and a market order into it would slip by nobody knows how much."""
    seen = heard(day(volume=0.0))
    assert failed(wish(), seen, BY_BARS) == ["MAX_ORDER_VOLUME", "SLIPPAGE"]


def test_a_limit_order_does_not_slip() -> None:
    """It pays its limit at most, however thin the market is."""
    seen = heard(day(volume=0.001))
    market = judged(wish(), seen, BY_BARS)["SLIPPAGE"]
    assert (market.passed, market.value, market.limit) == (False, "0.044722", "0.005")
    limited = judged(wish(ord_type="LIMIT", limit_px=D(60_000)), seen, BY_BARS)["SLIPPAGE"]
    assert (limited.passed, limited.value) == (True, "a limit")


def test_a_wide_quote_is_half_paid() -> None:
    """Half the spread is part of what a market order costs beyond the mark: 10 basis points of 20."""
    seen = heard(day())
    quote = msgspec.structs.replace(seen.marks[BTC], bid_px=59_940.0, ask_px=60_060.0)
    narrow, seen.marks[BTC] = judged(wish(), seen, BY_BARS)["SLIPPAGE"], quote
    assert D(judged(wish(), seen, BY_BARS)["SLIPPAGE"].value) - D(narrow.value) == D("0.001")


# --- signals --------------------------------------------------------------------------------------------------------


def test_an_entry_follows_from_an_opinion_that_was_heard() -> None:
    """By the story it tells or by the message it names; one that follows from nothing is denied."""
    seen = heard(signals(id="5a" * 16))
    assert failed(wish(), seen, BY_SIGNALS) == []
    assert failed(wish(correlation_id="", causation_id="5a" * 16), seen, BY_SIGNALS) == []
    assert failed(wish(correlation_id="another"), seen, BY_SIGNALS) == ["STALE_SIGNAL"]
    assert judged(wish(correlation_id="another"), seen, BY_SIGNALS)["STALE_SIGNAL"].value == "missing"
    assert failed(wish(), heard(), BY_SIGNALS) == ["STALE_SIGNAL"]


def test_an_opinion_of_another_instrument_is_none() -> None:
    """What was said of BTC lets nobody buy ETH."""
    other = wish(instrument=ETH, order_qty=D("0.1"), ref_px=D(3_000), stop_px=D(2_940))
    assert failed(other, heard(signals()), BY_SIGNALS) == ["STALE_SIGNAL"]


def test_no_further_voice_makes_an_old_opinion_young() -> None:
    """Another agent that tells the same story with a longer bar or a later close changes nothing; one without a timeframe is not heard."""
    old = signals(NOW - 226 * SECOND)
    loud = (signals(timeframe="1w", agent="llm"), signals(NOW + 10 * DAY, agent="llm"), signals(agent="llm"))
    assert failed(wish(), heard(old, *loud), BY_SIGNALS) == ["STALE_SIGNAL"]
    assert failed(wish(), heard(signals(timeframe="soon")), BY_SIGNALS) == ["STALE_SIGNAL"]
    check = judged(wish(), heard(old, *loud[:1]), BY_SIGNALS)["STALE_SIGNAL"]
    assert (check.value, check.limit) == ("226000", "225000")


def counting(*agents: str, intent_id: str = "i1") -> DecisionsMade:
    """The portfolio's word on whose votes an intent rests."""
    ballot = Ballot(agent_id="", kind="RULE", stance="LONG", p=0.6, weight=1.0, freshness=1.0, size_without=0.0)
    decision = Decision(
        instrument=BTC,
        action="ENTER",
        reason="long",
        size_factor=1.0,
        regime_share=1.0,
        score=1.0,
        ballots=tuple(msgspec.structs.replace(ballot, agent_id=agent) for agent in agents),
        driver="RULES",
        fallback="off",
        intent_id=intent_id,
    )
    return DecisionsMade(end_ts=NOW, mode="off", decisions=(decision,), model_driven=0, model_asked=0)


def test_a_voice_that_was_not_counted_denies_nothing() -> None:
    """An agent that nobody has named tells every story, of a bar long gone: only those whose votes were counted must be fresh."""
    ancient = signals(NOW - DAY, agent="loud")
    assert failed(wish(), heard(signals(), ancient, counting("trend")), BY_SIGNALS) == []
    assert failed(wish(), heard(signals(), ancient, counting("trend", "loud")), BY_SIGNALS) == ["STALE_SIGNAL"]
    assert failed(wish(), heard(ancient, counting("trend")), BY_SIGNALS) == ["STALE_SIGNAL"]
    assert failed(wish(), heard(signals(), ancient, counting("trend", intent_id="other")), BY_SIGNALS) == [
        "STALE_SIGNAL"
    ]


def test_decisions_are_not_hoarded() -> None:
    """An intent comes right behind its decision; the last few hundred are enough."""
    seen = heard(*(counting("trend", intent_id=f"i{number}") for number in range(DECISIONS_KEPT + 5)))
    assert len(seen.opinions.counted) == DECISIONS_KEPT
    assert list(seen.opinions.counted)[-1] == f"i{DECISIONS_KEPT + 4}"


def test_nobody_talks_an_opinion_out_of_the_gates_memory() -> None:
    """Of each writer the last words are kept: an agent that floods the log forgets itself only."""
    flood = [signals(story=f"flood {place}", agent="llm") for place in range(100)]
    seen = heard(signals(), *flood)
    assert failed(wish(), seen, BY_SIGNALS) == []
    assert {writer: len(said) for writer, said in seen.opinions.heard.items()} == {"agent.trend": 1, "agent.llm": 32}


def test_nobody_writes_a_book_into_the_gates_memory() -> None:
    """Opinions of what may not be ordered are not remembered, however many an agent has."""
    said = signals(agent="mine")
    many = [msgspec.structs.replace(said.signals[0], instrument=f"COIN{number}-USDT") for number in range(1_000)]
    seen = heard(msgspec.structs.replace(said, signals=(*many, *said.signals)))
    assert [list(each.timeframes) for each in seen.opinions.heard["agent.mine"]] == [[BTC]]


def test_an_opinion_of_a_bar_that_has_not_closed_is_none() -> None:
    """It would stay young for ever."""
    late = 225_000 * MILLISECOND
    assert failed(wish(), heard(signals(NOW + late)), BY_SIGNALS) == []
    assert failed(wish(), heard(signals(NOW + late + MILLISECOND)), BY_SIGNALS) == ["STALE_SIGNAL"]


def test_the_gate_hears_what_it_judges_by() -> None:
    """Signals and bars are among what it reads."""
    names = {kind.__name__ for kind in CONTRACT.consumes}
    assert {"AgentSignals", "FeedBars", "FeedHistory", "MacroOverrideCommanded"} <= names


# --- blackouts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("Fri 20:00-Sun 22:00", MONDAY + 4 * DAY + 20 * HOUR, MONDAY + 6 * DAY + 22 * HOUR),
        ("Mon 00:00-Mon 00:01", MONDAY, MONDAY + MINUTE),
        ("Sun 22:00-Mon 02:00", MONDAY - 2 * HOUR, MONDAY + 2 * HOUR),
        ("2025-01-01T00:00/2025-01-01T20:00", NOW, NOW + 20 * HOUR),
        ("2025-01-01/2025-01-02T00:00:30Z", NOW, NOW + DAY + 30 * SECOND),
    ],
)
def test_a_window_begins_at_its_start_and_is_over_at_its_end(text: str, begins: int, ends: int) -> None:
    """[start, end) in UTC, every week the same where it names days of the week."""
    window = parse_blackout(text)
    for instant, within in ((begins - 1, False), (begins, True), (ends - 1, True), (ends, False)):
        assert window.covers(instant) is within
        assert window.covers(instant + WEEK) is (within and window.weekly)
    assert window.text == text


def test_nothing_is_entered_in_a_blackout_and_anything_left() -> None:
    """The verdict names the window; whoever holds something may go."""
    limits = tightened(blackouts=(parse_blackout("Wed 00:00-Wed 01:00"),))
    book = opened(limits).tell(position("0.02"))
    denied = book.tell(wish(order_qty=D("0.01"))).only(OrderDenied)
    assert denied.reasons == ("BLACKOUT",)
    check = next(check for check in denied.checks if check.code == "BLACKOUT")
    assert (check.value, check.limit) == ("within Wed 00:00-Wed 01:00", "outside Wed 00:00-Wed 01:00")
    book.tell(exit_()).only(OrderApproved)


def test_a_long_list_of_windows_fits_into_a_verdict() -> None:
    """Fifty of them are named as far as there is room."""
    windows = tuple(parse_blackout(f"Mon 0{place // 10}:0{place % 10}-Tue 00:00") for place in range(50))
    check = judged(wish(), informed(), tightened(blackouts=windows))["BLACKOUT"]
    assert check.passed
    assert len(check.limit) <= 280
