"""The stages of the drawdown are told once when they are reached, and once when they are well left."""

from __future__ import annotations

import msgspec

from libs.common.messages import AlertRaised, EquityChanged
from services.risk_gate.machine import RiskMachine
from tests.playbook import Playbook, like
from tests.unit.risk_gate.book import LIMITS, D, equity, opened, tightened


def fallen(drawdown: str) -> EquityChanged:
    return equity("9000", high_water_mark=D(10_000), drawdown=D(drawdown))


def codes(book: Playbook, *drawdowns: str) -> list[str]:
    """The alerts of a course of drawdowns."""
    told = []
    for each in drawdowns:
        book.tell(fallen(each))
        told += [effect.message.code for effect in book.effects if isinstance(effect.message, AlertRaised)]
    return told


def test_each_stage_is_told_once_where_it_is_reached() -> None:
    """At five per cent a trade risks half, at ten nothing is entered; a person reads of it in daytime."""
    book = opened()
    assert codes(book, "0.0499") == []
    book.tell(fallen("0.05")).expect(like(AlertRaised, code="DRAWDOWN_HALF_RISK", severity="ticket"))
    assert codes(book, "0.06", "0.0999") == []
    book.tell(fallen("0.10")).expect(like(AlertRaised, code="DRAWDOWN_NO_ENTRIES", severity="ticket"))
    assert codes(book, "0.12", "0.149") == []


def test_an_equity_that_hovers_at_a_stage_is_told_once() -> None:
    """Just below the limit the stage is not left yet; nine tenths of it are well below."""
    book = opened()
    assert codes(book, *("0.0501", "0.0499") * 50) == ["DRAWDOWN_HALF_RISK"]
    assert codes(book, "0.045", "0.051") == []
    book.tell(fallen("0.0449")).expect(like(AlertRaised, code="DRAWDOWN_EASED", severity="note"))
    assert codes(book, "0.0449", "0.05") == ["DRAWDOWN_HALF_RISK"]


def test_a_recovery_names_the_stage_that_still_holds() -> None:
    """From no entries to half the risk, and from there to none; each is one note."""
    book = opened()
    assert codes(book, "0.11") == ["DRAWDOWN_NO_ENTRIES"]
    assert "half as much" in book.tell(fallen("0.089")).only(AlertRaised).text
    assert "no stage" in book.tell(fallen("0.01")).only(AlertRaised).text


def test_a_fall_through_everything_is_one_page() -> None:
    """The halt says it all; on the way back the stages are left like any other."""
    assert codes(opened(), "0.2", "0.2") == ["DRAWDOWN_HALT"]
    assert codes(opened(), "0.2", "0.12", "0.05", "0") == ["DRAWDOWN_HALT", "DRAWDOWN_EASED", "DRAWDOWN_EASED"]


def test_stages_at_the_same_limit_are_told_by_the_gravest() -> None:
    """Limits may be set to one number."""
    book = opened(tightened(drawdown_half_risk=D("0.1")))
    assert codes(book, "0.1", "0.0899") == ["DRAWDOWN_NO_ENTRIES", "DRAWDOWN_EASED"]


def test_a_restart_tells_nothing_again() -> None:
    """The stage is part of what a snapshot keeps."""
    book = opened().tell(fallen("0.06"))
    again = RiskMachine(LIMITS)
    again.state = msgspec.json.decode(msgspec.json.encode(book.machine.state), type=RiskMachine.State)
    assert Playbook(again).tell(fallen("0.07")).effects == []
