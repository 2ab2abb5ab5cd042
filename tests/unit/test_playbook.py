"""The playbook itself: a wrong expectation is shown as the conversation and a diff, a wrong event never reaches the machine."""

from __future__ import annotations

import math

import msgspec
import pytest

from libs.common.codec import BadEvent
from libs.common.messages import AlertRaised, FeedMarks, Mark, Message, TimerFired
from libs.runtime.machine import CancelTimer, Effect, Perform, Publish, Request, SetTimer
from tests.playbook import START, Playbook, like


class _Ask(Request, frozen=True, kw_only=True):
    text: str


class _State(msgspec.Struct):
    heard: float = 0.0


class _Echo:
    """Answers every mark with a timer, a request and an alert that repeats it; a timer with its end."""

    State = _State

    def __init__(self) -> None:
        self.state = _State()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, TimerFired):
            return [CancelTimer("other")]
        assert isinstance(event, FeedMarks)
        self.state.heard = event.marks[0].bid_px if event.marks else math.nan
        alert = AlertRaised(code="ECHO", severity="note", text=f"bid {self.state.heard}")
        return [SetTimer("later", now + 5), Perform("r1", _Ask(valid_until=now, text="well?")), Publish(alert)]


def _marks(*bids: float) -> FeedMarks:
    marks = tuple(
        Mark(instrument="BTC-USDT", bid_px=bid, ask_px=bid, last_px=bid, protective_px=bid, trust="TRUSTED", ts=START)
        for bid in bids
    )
    return FeedMarks(venue="binance", as_of=START, marks=marks)


def test_a_conversation_as_expected() -> None:
    """Effects match exactly or by some of their fields; timers wait until they are fired."""
    book = Playbook(_Echo()).tell(_marks(7.0))
    book.expect(SetTimer("later", START + 5), like(_Ask, text="well?"), like(AlertRaised, code="ECHO"))
    assert book.only(AlertRaised).text == "bid 7.0"
    book.fire("later").expect(CancelTimer("other"))
    assert book.now == START + 5
    with pytest.raises(AssertionError, match="no timer 'later' is set"):
        book.fire("later")
    with pytest.raises(AssertionError, match="0 x AlertRaised instead of one"):
        book.only(AlertRaised)


def test_a_mismatch_is_a_readable_diff() -> None:
    """What was said is shown, then line by line what was expected and what came."""
    book = Playbook(_Echo()).tell(_marks(7.0))
    with pytest.raises(AssertionError) as error:
        book.expect(
            SetTimer("later", START + 6), like(_Ask), like(AlertRaised, text="bid 8.0"), like(AlertRaised, code="MORE")
        )
    lines = str(error.value).splitlines()
    assert lines[0] == "the conversation so far:"
    assert lines[1].startswith(">> FeedMarks(venue=")
    for line in (
        f"-    due = {START + 6}",
        f"+    due = {START + 5}",
        "-    text = 'bid 8.0'",
        "+    text = 'bid 7.0'",
    ):
        assert line in lines
    assert "-    code = 'MORE'" in lines
    assert "     code = 'ECHO'" in lines


def test_the_mistakes_of_a_test_are_caught() -> None:
    """Fields that do not exist, events that could not stand in the log, states that do not survive a snapshot."""
    with pytest.raises(ValueError, match="AlertRaised has no field cod"):
        like(AlertRaised, cod="ECHO")
    with pytest.raises(BadEvent):
        Playbook(_Echo()).tell(_marks(math.inf))
    with pytest.raises((AssertionError, msgspec.ValidationError)):
        Playbook(_Echo()).tell(_marks())
