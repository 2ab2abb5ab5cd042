"""Conversations with a notifier that tells people by several channels: each tells everything, none waits for another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import (
    AlertRaised,
    MessageSent,
    PersonNotified,
    RequestInterrupted,
    ServiceStarted,
    TradingStateChanged,
)
from libs.runtime.machine import Perform
from services.notifier.machine import NotifierMachine
from services.notifier.mail import UNDER_WAY_MAX
from services.notifier.manner import Manner
from services.notifier.requests import UNSURE, SendMessage
from tests.playbook import Playbook

CHAT, POST = "telegram.1001", "mailto"
BOTH = (CHAT, POST)


def book(**manner: Any) -> Playbook:
    fields = {"channels": BOTH, "breaker_failures_max": 1, **manner}
    return Playbook(NotifierMachine(Manner(**fields)), writer="notify")


def alert(code: str, severity: str = "page") -> AlertRaised:
    return AlertRaised(code=code, severity=severity, text="look", producer="exec")  # type: ignore[arg-type]


def sends(told: Playbook) -> dict[str, tuple[str, str]]:
    """What left with the last answer: request id and text by channel."""
    found = [each for each in told.effects if isinstance(each, Perform) and isinstance(each.request, SendMessage)]
    return {each.request.channel: (each.request_id, each.request.text) for each in found}  # type: ignore[attr-defined]


def answer(told: Playbook, request_id: str, channel: str, detail: str = "") -> Playbook:
    return told.tell(MessageSent(request_id=request_id, channel=channel, ok=not detail, detail=detail))


def restarted(told: Playbook, *channels: str) -> Playbook:
    told.machine.settings = Manner(channels=channels)
    return told.tell(ServiceStarted(instance="a", code_version="b", settings={}, state_digest="c"))


def test_every_channel_tells_it_and_the_log_is_told_once() -> None:
    """One notice, and a message for each channel, with ids of their own."""
    told = book().tell(alert("GRAVE"))
    assert {name: text for name, (_, text) in sends(told).items()} == dict.fromkeys(BOTH, "GRAVE (exec): look")
    assert len({request_id for request_id, _ in sends(told).values()}) == 2
    assert told.only(PersonNotified).text == "GRAVE (exec): look"


def test_a_channel_that_is_down_holds_back_no_other() -> None:
    """The chat tells everything on time while the post waits; the post tells it late, and only the post."""
    told = book().tell(alert("FIRST"))
    chat, post = sends(told)[CHAT][0], sends(told)[POST][0]
    answer(told, chat, CHAT)
    answer(told, post, POST, "gone")
    assert told.only(AlertRaised).text.startswith("mailto: 1 failures in a row")
    told.tell(TradingStateChanged(state="HALTED", previous="ACTIVE", reason="news", author="ada"))
    assert list(sends(told)) == [CHAT]
    assert told.only(PersonNotified).text.startswith("trading is HALTED")
    answer(told, sends(told)[CHAT][0], CHAT)
    told.fire(f"breaker.{POST}")
    probe = sends(told)
    assert list(probe) == [POST]
    assert told.published(PersonNotified) == []
    answer(told, probe[POST][0], POST)
    assert told.only(AlertRaised).code == "CHANNEL_UP"
    assert {name: text for name, (_, text) in sends(told).items()} == {
        POST: "(late by 30 s) trading is HALTED (was ACTIVE) by ada: news"
    }


def test_what_nobody_could_be_told_yet_is_in_no_notice() -> None:
    """While all channels are down the log does not claim that people were told; the first that works makes it true."""
    told = book().tell(alert("FIRST"))
    for name, (request_id, _) in sends(told).items():
        answer(told, request_id, name, "gone")
    told.tell(alert("SECOND"))
    assert (sends(told), told.published(PersonNotified)) == ({}, [])
    told.fire(f"breaker.{CHAT}")
    answer(told, sends(told)[CHAT][0], CHAT)
    assert told.only(PersonNotified).text == "(late by 30 s) SECOND (exec): look"


def test_a_channel_may_be_spared_notes_but_never_pages() -> None:
    """A pager is rung for pages, a mailbox gets tickets too, the chat hears everything."""
    told = book(channels=(CHAT, POST, "pagerduty"), floors={POST: "ticket", "pagerduty": "page"})
    assert list(sends(told.tell(alert("N", "note")))) == [CHAT]
    assert list(sends(told.tell(alert("T", "ticket")))) == [CHAT, POST]
    assert list(sends(told.tell(alert("P", "page")))) == [CHAT, POST, "pagerduty"]


@pytest.mark.parametrize(("detail", "mark"), [(f"{UNSURE}no answer", "(repeat) "), ("no connection", "")])
def test_what_may_have_arrived_comes_again_as_a_repeat(detail: str, mark: str) -> None:
    """A message whose answer was lost may be on the phone already; one that was refused is not."""
    told = book(channels=(CHAT,), breaker_failures_max=9).tell(alert("GRAVE"))
    answer(told, sends(told)[CHAT][0], CHAT, detail)
    told.fire(next(name for name in told.timers if name.startswith("retry.")))
    assert sends(told)[CHAT][1] == f"{mark}GRAVE (exec): look"


def test_what_waited_for_a_channel_that_is_gone_leaves_by_the_first() -> None:
    """Nothing is lost with a line of the settings; where another has told it already, it says that it may be a repeat."""
    told = book().tell(alert("FIRST"))
    chat, post = sends(told)[CHAT][0], sends(told)[POST][0]
    answer(told, post, POST, "gone")
    answer(told, chat, CHAT)
    restarted(told, CHAT)
    assert sends(told)[CHAT][1] == "(repeat) (late by 0 s) FIRST (exec): look"
    assert list(told.machine.state.mail.channels) == [CHAT]
    alone = book(channels=(POST,)).tell(alert("FIRST"))
    answer(alone, sends(alone)[POST][0], POST, "gone")
    assert sends(restarted(alone, CHAT))[CHAT][1] == "(late by 0 s) FIRST (exec): look"


def test_what_was_on_its_way_by_a_channel_that_is_gone_leaves_by_the_first() -> None:
    """A crash, and other settings at the next start: nobody knows whether it arrived there, so it is told here."""
    told = book(channels=(POST,)).tell(alert("FIRST"))
    lost = sends(told)[POST][0]
    restarted(told, CHAT)
    told.tell(RequestInterrupted(request_id=lost))
    assert sends(told)[CHAT][1] == "(repeat) FIRST (exec): look"


def test_a_channel_that_answers_nothing_fills_only_its_own_room() -> None:
    """The chat goes on telling everything at once while the post has all its letters under way."""
    told = book()
    for place in range(UNDER_WAY_MAX + 5):
        told.tell(alert(f"A{place}"))
        assert CHAT in sends(told)
        answer(told, sends(told)[CHAT][0], CHAT)
    letters = told.machine.state.mail.letters.values()
    assert [each.channel for each in letters] == [POST] * UNDER_WAY_MAX


STEPS = st.lists(
    st.tuples(st.sampled_from(["raise", "sent", "failed", "unsure", "interrupted", "time", "time"]), st.integers(0, 9)),
    max_size=50,
)


@given(STEPS)
def test_every_channel_tells_every_page(steps: list[tuple[str, int]]) -> None:
    """Whatever fails where and when: once everything works again, each channel has told each page, alone or counted."""
    told = book(attempts_max=2, waiting_kinds_max=3)
    flying: dict[str, str] = {}
    told_pages = dict.fromkeys(BOTH, 0)
    raised = 0

    def end(request_id: str, how: str) -> None:
        channel = flying.pop(request_id)
        if how == "interrupted":
            told.tell(RequestInterrupted(request_id=request_id))
        elif how == "sent":
            letter = told.machine.state.mail.letters[request_id]
            parts = letter.waited.letters if letter.waited is not None else [letter]
            told_pages[channel] += sum(each.count for each in parts)
            answer(told, request_id, channel)
        else:
            answer(told, request_id, channel, f"{UNSURE}no answer" if how == "unsure" else "gone")

    def step(how: str, where: int) -> None:
        nonlocal raised
        if how == "raise":
            raised += 1
            told.tell(TradingStateChanged(state="HALTED", previous="ACTIVE", reason=f"{raised}", author="ada"))
        elif how == "time" and told.timers:
            names = sorted(told.timers, key=lambda name: (told.timers[name], name))
            told.fire(names[where % len(names)])
        elif how != "time" and flying:
            end(sorted(flying)[where % len(flying)], how)
        for effect in told.effects:
            if isinstance(effect, Perform) and isinstance(effect.request, SendMessage):
                flying[effect.request_id] = effect.request.channel
        told.effects = []

    for each in steps:
        step(*each)
    while flying or told.timers:
        step("sent" if flying else "time", 0)
    assert told_pages == dict.fromkeys(BOTH, raised)
