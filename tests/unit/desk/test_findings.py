"""What a person should look at: how bad, in which order, and what a screen shows beside what is wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from libs.desk.findings import PAGE_SHOWN_NS, Finding, findings_of, findings_on_screen
from libs.desk.lines import AlertLine
from libs.desk.services import ServiceLine
from libs.desk.standing import Facts, PositionLine, Quarantine, StatusView
from libs.desk.status import LogSize, Status, status_of

NOW = 1_767_571_200_000_000_000
WELL: dict[str, Any] = {"reconciled": True, "feed_state": "LIVE", "feed_venue": "binance", "as_of": NOW}


def status(services: tuple[ServiceLine, ...] = (), **facts: Any) -> Status:
    """A stack that is well, but for these facts."""
    view = StatusView(Facts(**{**WELL, **facts}))
    return status_of(view, {each.name: each for each in services}, LogSize("TRADING_0001", 1, 7, 7, 1000))


def service(name: str, **said: Any) -> ServiceLine:
    return ServiceLine(name=name, url="", **{"up": True, "ready": False, "phase": "recovering", **said})


def page(age_ns: int, severity: str = "page") -> AlertLine:
    return AlertLine(
        seq=1,
        producer="risk",
        code="A_DRILL",
        severity=severity,
        text="look",
        instrument="",
        ts=NOW - age_ns,
        trace="message:x",
    )


def test_a_stack_that_is_well_has_nothing_to_look_at() -> None:
    """Neither in a status nor on a screen."""
    assert findings_of(status()) == findings_on_screen(status(), [], NOW) == []


def test_what_costs_money_stands_first() -> None:
    """A position without a stop, then a price that is in doubt, however early the price was found."""
    bare = {"BTC-USDT": PositionLine(Decimal(1), Decimal(100), Decimal(0), Decimal(0))}
    found = findings_of(
        status(
            (service("ledger"), service("risk-gate", up=False)),
            doubts={"SOL-USDT": "UNIT (POWER_OF_TEN)"},
            positions=bare,
            trading_state="REDUCING",
        )
    )
    assert [each.tone for each in found] == ["bad", "bad", "warn", "warn", "warn"]
    assert found[0].text == "BTC-USDT: of 1 only 0 has a stop"
    assert found[1].text.startswith("risk-gate is not ready")


def test_a_halt_is_worse_than_a_reduction_and_silence_worse_than_a_stand_in() -> None:
    """How bad each is belongs to the rule, not to who draws it."""
    tones = {
        each.tone
        for facts in (
            {"trading_state": "HALTED"},
            {"reconciled": False},
            {"feed_state": "DOWN"},
            {"quarantined": {"a": Quarantine("BTC-USDT", "a", "no answer")}},
        )
        for each in findings_of(status(**facts))
    }
    assert tones == {"bad"}
    mild = ({"trading_state": "REDUCING"}, {"feed_via": "POLLING"}, {"home_venue": "kraken"}, {"drifts": {"a": "b"}})
    assert {each.tone for facts in mild for each in findings_of(status(**facts))} == {"warn"}


def test_what_nobody_knows_the_fate_of_links_to_its_story() -> None:
    """An order in quarantine can be asked for."""
    (found,) = findings_of(status(quarantined={"a": Quarantine("BTC-USDT", "a", "no answer")}))
    assert found.trace == "order:a"


def test_a_screen_shows_what_woke_somebody_within_the_hour_and_what_is_not_known_yet() -> None:
    """Both are nothing that is wrong with a status: a script that asks is told of neither."""
    young = status(reconciled=None, feed_state="")
    assert findings_of(young) == []
    shown = findings_on_screen(young, [page(5), page(PAGE_SHOWN_NS), page(5, "ticket")], NOW)
    assert shown == [
        Finding("bad", "the feed is silent"),
        Finding("bad", "A_DRILL: look", "message:x"),
        Finding("warn", "books and venue have not been compared yet"),
    ]
