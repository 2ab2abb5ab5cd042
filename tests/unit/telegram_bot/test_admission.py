"""Who is heard over Telegram, who is not, and who gets no answer."""

from __future__ import annotations

from typing import Any

import pytest

from services.telegram_bot.admission import Admission, Seen
from services.telegram_bot.allowances import Allowance
from services.telegram_bot.incoming import Incoming

ADA, BOB, EVE = 1001, 1002, 666
WALL = 1_800_000_000.0


def door(seen: Seen | None = None, rate: int = 10) -> Admission:
    return Admission({ADA: "operate", BOB: "read"}, seen or Seen(), rate)


def said(update_id: int = 1, **fields: Any) -> Incoming:
    given = {"user": ADA, "chat": ADA, "is_private": True, "sent_at": int(WALL), "text": "/status", "kind": "message"}
    return Incoming(update_id=update_id, **{**given, **fields})


def test_somebody_on_the_list_is_heard_in_his_chat() -> None:
    """Both roles are heard; what each may do is decided later."""
    admission = door()
    assert admission.refusal_of(said(1), WALL, 0.0) is None
    assert admission.refusal_of(said(2, user=BOB, chat=BOB), WALL, 0.0) is None
    assert (admission.role_of(ADA), admission.role_of(BOB), admission.role_of(EVE)) == ("operate", "read", None)


@pytest.mark.parametrize(
    ("fields", "why", "is_answered"),
    [
        ({"user": EVE, "chat": EVE}, "UNKNOWN_USER", False),
        ({"user": 0}, "UNKNOWN_USER", False),
        ({"is_bot": True}, "UNKNOWN_USER", False),
        ({"chat": -5, "is_private": False}, "NOT_PRIVATE", False),
        ({"chat": BOB}, "NOT_PRIVATE", False),
        ({"kind": "edited_message"}, "EDITED", True),
        ({"is_forwarded": True}, "FORWARDED", True),
        ({"is_via_bot": True}, "VIA_BOT", True),
        ({"kind": "other"}, "NOT_UNDERSTOOD", False),
        ({"sent_at": int(WALL) - 61}, "STALE", True),
        ({"sent_at": int(WALL) + 61}, "STALE", True),
    ],
)
def test_everything_else_is_refused(fields: dict[str, Any], why: str, is_answered: bool) -> None:
    """Each with its reason; strangers and groups learn nothing, not even that somebody is there."""
    refusal = door().refusal_of(said(**fields), WALL, 0.0)
    assert refusal is not None
    assert (refusal.why, bool(refusal.answer)) == (why, is_answered)


def test_a_minute_old_is_still_heard() -> None:
    """The bound is met, not passed; a pressed button has no date, its confirmation has."""
    assert door().refusal_of(said(sent_at=int(WALL) - 60), WALL, 0.0) is None
    assert door().refusal_of(said(kind="press", sent_at=0, data="v:status"), WALL, 0.0) is None


def test_an_update_is_heard_once() -> None:
    """The same number again, or a lower one, is a replay, and gets no answer; so it is after a restart."""
    seen = Seen()
    admission = door(seen)
    assert admission.refusal_of(said(7), WALL, 0.0) is None
    for replayed in (7, 6):
        refusal = admission.refusal_of(said(replayed), WALL, 0.0)
        assert refusal is not None
        assert (refusal.why, refusal.answer) == ("REPLAYED", "")
    assert admission.refusal_of(said(8), WALL, 0.0) is None
    again = door(Seen(seen.update_id, seen.at)).refusal_of(said(8), WALL + 5, 0.0)
    assert again is not None
    assert again.why == "REPLAYED"


def test_after_a_silent_day_numbers_may_begin_anywhere() -> None:
    """Telegram numbers anew after a silent week; a bot that only counted up would be deaf from then on."""
    admission = door(Seen(900, WALL))
    later = WALL + 86_401
    assert admission.seen.next_id(later) == 0
    assert admission.refusal_of(said(5, sent_at=int(later)), later, 0.0) is None
    assert admission.seen.next_id(later) == 6


def test_haste_is_bounded_but_never_keeps_a_halt_out() -> None:
    """Ten requests a minute, and a halt has an allowance of its own."""
    admission = door(rate=3)
    found = [admission.refusal_of(said(number), WALL, 0.0) for number in range(1, 6)]
    assert [each.why if each else None for each in found] == [None, None, None, "RATE", "RATE"]
    assert admission.refusal_of(said(6, text="/halt now"), WALL, 0.0) is None
    assert admission.refusal_of(said(7, kind="press", data="y:token"), WALL, 0.0) is None
    assert admission.refusal_of(said(8, user=BOB, chat=BOB), WALL, 0.0) is None
    assert admission.refusal_of(said(9), WALL, 60.0) is None


@pytest.mark.parametrize("fields", [{}, {"is_forwarded": True}, {"kind": "edited_message"}, {"sent_at": 1}])
def test_who_is_refused_is_told_so_only_so_often(fields: dict[str, Any]) -> None:
    """A flood of what is not obeyed must not use up what Telegram lets the bot say to everybody."""
    admission = door(rate=3)
    found = [admission.refusal_of(said(number, **fields), WALL, 0.0) for number in range(1, 101)]
    assert len([each for each in found if each is not None]) >= 97
    assert len([each for each in found if each is not None and each.answer]) == 3
    assert admission.refusal_of(said(101, text="/halt now"), WALL, 0.0) is None


def test_an_allowance_says_when_there_is_one_again() -> None:
    """The window moves with each that was taken, and people are forgotten before they fill the memory."""
    allowance = Allowance(2, 60.0, people_max=2)
    assert [allowance.spend(1, at) for at in (0.0, 20.0, 30.0, 59.0)] == [0.0, 0.0, 30.0, 1.0]
    assert allowance.spend(1, 60.0) == 0.0
    for who in (2, 3, 4):
        allowance.spend(who, 61.0)
    assert len(allowance._spent) == 2


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"text": "/resume 123456 all is well"}, "/resume"),
        ({"text": "/halt@bulkhead_bot x"}, "/halt"),
        ({"text": "my password is hunter2"}, "message"),
        ({"text": "/<script>"}, "message"),
        ({"kind": "press", "data": "y:abcdef"}, "button y"),
        ({"kind": "press", "data": "\u202e:abc"}, "button"),
        ({"kind": "press", "data": ""}, "button"),
        ({"text": "   "}, "message"),
        ({"text": "/resume123456 all is well"}, "message"),
    ],
)
def test_the_record_says_which_word_was_tried(fields: dict[str, Any], what: str) -> None:
    """Never a reason, a code, or what a stranger would like to see in our log."""
    assert said(**fields).said == what
