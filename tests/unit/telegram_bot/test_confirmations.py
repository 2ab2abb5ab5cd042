"""A confirmation works once, for whom and what it was shown for, for a minute, while things are as they were."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

import pytest

from services.telegram_bot.confirmations import Confirmation, Confirmations, NotConfirmed, Shown
from services.telegram_bot.wishes import YES, Wish

ADA, BOB = 1001, 1002
HALT = Wish(word="halt", reason="a drill")
ACTIVE = Shown(trading="ACTIVE", held={"BTC-USDT": Decimal("0.5")})


def numbered() -> Confirmations:
    names = count(1)
    return Confirmations(lambda: f"name-{next(names)}")


def asked(kept: Confirmations, user: int = ADA, now: float = 0.0) -> Confirmation:
    return kept.ask(HALT, user, user, ACTIVE, now, is_proven=True)


def test_a_press_gets_what_was_asked() -> None:
    """The command with its reason, as it was shown, for the one who was asked."""
    kept = numbered()
    found = kept.press(asked(kept).name, ADA, ADA, "q1", 59.9)
    assert (found.wish, found.shown, found.query_id, found.stage) == (HALT, ACTIVE, "q1", "DONE")


@pytest.mark.parametrize(
    ("user", "chat", "now", "name", "why"),
    [
        (BOB, BOB, 1.0, "name-1", "somebody else"),
        (BOB, ADA, 1.0, "name-1", "somebody else"),
        (ADA, -5, 1.0, "name-1", "somebody else"),
        (ADA, ADA, 60.0, "name-1", "60 s"),
        (ADA, ADA, 1.0, "name-2", "not known"),
        (ADA, ADA, 1.0, "", "not known"),
    ],
)
def test_no_other_press_confirms(user: int, chat: int, now: float, name: str, why: str) -> None:
    """Another person, another chat, too late, an altered name; afterwards the right press still works, if it is in time."""
    kept = numbered()
    asked(kept)
    with pytest.raises(NotConfirmed, match=why):
        kept.press(name, user, chat, "q", now)
    if now < 60:
        assert kept.press("name-1", ADA, ADA, "q", now).stage == "DONE"


def test_the_second_press_confirms_nothing() -> None:
    """Single use, whatever becomes of the first."""
    kept = numbered()
    name = asked(kept).name
    kept.press(name, ADA, ADA, "q1", 1.0)
    with pytest.raises(NotConfirmed, match="already"):
        kept.press(name, ADA, ADA, "q2", 1.1)


def test_no_is_final_and_a_later_question_replaces_the_earlier() -> None:
    """Only the last question of a person counts; another's is not touched."""
    kept = numbered()
    first, others = asked(kept), asked(kept, BOB)
    second = asked(kept)
    with pytest.raises(NotConfirmed, match="void"):
        kept.press(first.name, ADA, ADA, "q", 1.0)
    assert kept.drop(second.name, ADA, ADA, 1.0).stage == "DROPPED"
    with pytest.raises(NotConfirmed, match="void"):
        kept.press(second.name, ADA, ADA, "q", 1.0)
    assert kept.press(others.name, BOB, BOB, "q", 1.0).user == BOB


def test_a_code_is_waited_for_a_minute() -> None:
    """From the press on, for the one who pressed."""
    kept = numbered()
    found = kept.press(asked(kept).name, ADA, ADA, "q", 50.0)
    kept.await_code(found, 50.0)
    assert kept.waiting_for_code(ADA, ADA, 109.9) is found
    assert kept.waiting_for_code(ADA, ADA, 110.0) is None
    assert kept.waiting_for_code(BOB, BOB, 51.0) is None
    assert kept.waiting_for_code(ADA, -5, 51.0) is None


def test_names_cannot_be_guessed_and_fit_into_a_button() -> None:
    """128 random bits, at most 64 bytes with the button's own; all different."""
    kept = Confirmations()
    names = {asked(kept).name for _ in range(100)}
    assert len(names) == 100
    assert {len(name) for name in names} == {22}
    assert len((YES + next(iter(names))).encode()) <= 64


def test_old_questions_are_forgotten() -> None:
    """Whoever asks all day fills no memory."""
    kept = numbered()
    for number in range(3_000):
        asked(kept, user=number, now=float(number))
    assert len(kept._kept) <= 1_000


def test_what_has_changed_is_said() -> None:
    """Trading, each position, and orders that came or went."""
    then = Shown(trading="ACTIVE", held={"A-USDT": Decimal(1), "B-USDT": Decimal(2)}, resting=("1", "2"))
    assert then.changes(then) == []
    assert (
        then.changes(Shown(trading="ACTIVE", held={"A-USDT": Decimal("1.0"), "B-USDT": Decimal(2)}, resting=("2", "1")))
        == []
    )
    now = Shown(trading="HALTED", held={"A-USDT": Decimal("1.5")}, resting=("2", "3", "4"))
    assert then.changes(now) == [
        "trading was ACTIVE and is HALTED",
        "A-USDT: 1 was held, 1.5 is",
        "B-USDT: 2 was held, 0 is",
        "1 of the resting orders are gone",
        "2 resting orders have come",
    ]
