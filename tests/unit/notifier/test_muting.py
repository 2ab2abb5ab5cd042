"""A chat that wants to be told less for a while: notes wait for nobody, pages come, and the count of what was not told comes at the end."""

from __future__ import annotations

from libs.common.messages import AlertRaised, MuteCommanded, PersonNotified
from libs.common.timeframe import HOUR, MINUTE
from libs.runtime.machine import Perform
from services.notifier.machine import NotifierMachine
from services.notifier.manner import Manner
from services.notifier.requests import SendMessage
from tests.playbook import START, Playbook

ADA, BEN = "telegram.1", "telegram.2"


def chats() -> Playbook:
    return Playbook(NotifierMachine(Manner(channels=(ADA, BEN))), writer="notify")


def mute(minutes: int, channel: str = ADA, level: str = "note", since: int = START) -> MuteCommanded:
    until = since + minutes * MINUTE
    return MuteCommanded(channel=channel, level=level, until=until, author="telegram:1", producer="ops.telegram")  # type: ignore[arg-type]


def alert(code: str, severity: str) -> AlertRaised:
    return AlertRaised(code=code, severity=severity, text="x", producer="risk")  # type: ignore[arg-type]


def told(book: Playbook) -> dict[str, str]:
    """What left just now, by channel."""
    sent = [each.request for each in book.effects if isinstance(each, Perform)]
    return {each.channel: each.text for each in sent if isinstance(each, SendMessage)}


def test_notes_are_held_back_from_one_chat_and_told_the_other() -> None:
    """Who is muted hears tickets and pages; the other hears all of it."""
    book = chats().tell(mute(60))
    assert set(told(book.tell(alert("A", "note")))) == {BEN}
    assert set(told(book.tell(alert("B", "ticket")))) == {ADA, BEN}
    assert set(told(book.tell(alert("C", "page")))) == {ADA, BEN}


def test_tickets_are_held_back_where_that_was_said_and_pages_never() -> None:
    """The graver level holds back the lesser one, too."""
    book = chats().tell(mute(60, level="ticket"))
    assert set(told(book.tell(alert("A", "note")))) == {BEN}
    assert set(told(book.tell(alert("B", "ticket")))) == {BEN}
    assert set(told(book.tell(alert("C", "page")))) == {ADA, BEN}


def test_at_the_end_the_chat_is_told_how_much_was_not_told() -> None:
    """A count by level, in that chat alone; from then on everything comes again."""
    book = chats().tell(mute(60, level="ticket"))
    for code, severity in (("A", "note"), ("B", "note"), ("C", "ticket")):
        book.tell(alert(code, severity))
    assert told(book.fire(f"mute.{ADA}")) == {ADA: "no longer muted; not told meanwhile: 1 ticket, 2 notes"}
    assert set(told(book.tell(alert("D", "note")))) == {ADA, BEN}


def test_the_log_is_told_as_long_as_anybody_is() -> None:
    """What one chat did not want was still told to people; where nobody wanted it nobody is said to have been told."""
    book = chats().tell(mute(60)).tell(alert("A", "note"))
    assert book.only(PersonNotified).text.startswith("A")
    book.tell(mute(60, BEN)).tell(alert("B", "note"))
    assert book.published(PersonNotified) == []


def test_a_mute_lasts_a_day_at_most_and_zero_ends_it() -> None:
    """Who goes away for a week forgets that he said so."""
    book = chats().tell(mute(60 * 24 * 7))
    assert book.machine.state.mail.muting.mutes[ADA].until == START + 24 * HOUR
    book.tell(mute(0))
    assert told(book.fire(f"mute.{ADA}")) == {ADA: "no longer muted; there was nothing to tell"}
    assert book.tell(mute(0)).effects == []


def test_a_chat_that_nobody_tells_anything_cannot_be_muted() -> None:
    """The log says so; the bot cannot know whom the notifier tells."""
    found = chats().tell(mute(60, "telegram.99")).only(AlertRaised)
    assert found.code == "COMMAND_WITHOUT_EFFECT"
    assert "telegram.99" in found.text
