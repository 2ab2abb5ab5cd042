"""The weekly regime before the gate: heard always, judging only where an operator says so, and never in the way of an exit."""

from __future__ import annotations

import pytest

from libs.common.messages import MacroRegimes, OrderApproved, OrderDenied, OrderIntent, Regime, RegimeState
from libs.common.timeframe import DAY
from services.risk_gate.checks import CHECKS
from services.risk_gate.contract import CONTRACT
from services.risk_gate.macro_checks import REGIME_AGE_MAX
from services.risk_gate.view import View
from tests.unit.risk_gate.book import (
    BTC,
    ETH,
    NOW,
    D,
    entry,
    exit_,
    failed,
    judged,
    opened,
    position,
    tightened,
    trade,
    view,
)

LISTENING = tightened(macro=True)
CODES = ["MACRO_UNKNOWN", "MACRO_COUNTER_TREND"]


def regimes(state: RegimeState, instrument: str = BTC, end_ts: int = NOW) -> MacroRegimes:
    regime = Regime(instrument=instrument, state=state, provisional=False, weeks=90, since_ts=0, evidence={})
    return MacroRegimes(agent_id="macro", end_ts=end_ts, regimes=(regime,))


def seen(state: RegimeState, end_ts: int = NOW) -> View:
    known = view()
    known.on_regimes(regimes(state, end_ts=end_ts))
    return known


def short(intent_id: str = "s1") -> OrderIntent:
    return entry(intent_id, side="SELL", stop_px=D(61_200), reason="trend down")


@pytest.mark.parametrize(
    ("state", "of_a_long", "of_a_short"),
    [
        ("BULL", [], ["MACRO_COUNTER_TREND"]),
        ("BEAR", ["MACRO_COUNTER_TREND"], []),
        ("NEUTRAL", [], []),
        ("UNKNOWN", ["MACRO_UNKNOWN"], ["MACRO_UNKNOWN"]),
    ],
)
def test_no_entry_against_the_regime_and_none_without_one(
    state: RegimeState, of_a_long: list[str], of_a_short: list[str]
) -> None:
    """Long in a bear market, short in a bull market, anything in a market nobody knows: denied, with the state as the number."""
    known = seen(state)
    assert [code for code in failed(entry(), known, LISTENING) if code in CODES] == of_a_long
    assert [code for code in failed(short(), known, LISTENING) if code in CODES] == of_a_short
    checks = judged(entry(), known, LISTENING)
    assert list(checks)[-2:] == CODES
    assert [(checks[code].value, checks[code].limit) for code in CODES] == [(state, "known"), (state, "not BEAR")]


def test_what_was_never_said_is_unknown() -> None:
    """Silence of the macro agent, or its words about another instrument, are no regime."""
    elsewhere = view()
    elsewhere.on_regimes(regimes("BULL", ETH))
    for known in (view(), elsewhere):
        assert failed(entry(), known, LISTENING) == ["MACRO_UNKNOWN"]


def test_a_regime_nobody_repeats_is_unknown() -> None:
    """It is said anew with every day that closes; after eight days of silence the agent is dead."""
    assert REGIME_AGE_MAX == 8 * DAY
    for away in (-REGIME_AGE_MAX, REGIME_AGE_MAX):
        assert failed(entry(), seen("BULL", NOW + away), LISTENING) == []
    for away in (-REGIME_AGE_MAX - 1, REGIME_AGE_MAX + 1):
        assert failed(entry(), seen("BULL", NOW + away), LISTENING) == ["MACRO_UNKNOWN"]
    old = judged(entry(), seen("BULL", NOW - 9 * DAY), LISTENING)["MACRO_UNKNOWN"]
    assert old.value == "BULL, 9 days old"


def test_the_latest_regime_counts_for_each_instrument() -> None:
    """What is not named in a message stays as it was."""
    book = opened(LISTENING)
    book.tell(regimes("BEAR")).expect()
    book.tell(regimes("BULL", ETH)).expect()
    assert book.tell(entry("i1")).only(OrderDenied).reasons == ("MACRO_COUNTER_TREND",)
    book.tell(regimes("BULL")).expect()
    book.tell(entry("i2")).only(OrderApproved)
    assert MacroRegimes in CONTRACT.consumes


def test_exits_are_never_held_back() -> None:
    """In whatever regime: it is for entries only."""
    book = opened(LISTENING).tell(regimes("BULL"))
    bought = entry("i1")
    for event in (bought, trade(bought, "e1", "0.02", "0.02"), position("0.02", "e1"), regimes("UNKNOWN")):
        book.tell(event)
    approved = book.tell(exit_("x1")).only(OrderApproved)
    assert [check.limit for check in approved.checks[-2:]] == ["exempt", "exempt"]


def test_a_gate_that_is_not_told_to_listen_judges_as_ever() -> None:
    """Off by default: the verdict has the same checks, whatever the regime."""
    book = opened().tell(regimes("BEAR"))
    assert [check.code for check in book.tell(entry("i1")).only(OrderApproved).checks] == [
        code for code, _, _ in CHECKS
    ]


@pytest.mark.parametrize(("state", "limit"), [("BULL", "100"), ("NEUTRAL", "50")])
def test_without_a_regime_a_trade_risks_half(state: RegimeState, limit: str) -> None:
    """One per cent of 10,000 with the trend, half of it where there is none; a gate that does not listen makes no difference."""
    assert judged(entry(), seen(state), LISTENING)["RISK_PER_TRADE"].limit == limit
    assert judged(entry(), seen(state))["RISK_PER_TRADE"].limit == "100"
