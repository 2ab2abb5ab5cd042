"""Letters that wait: what folding, dropping and a digest that comes back do to their marks and counts."""

from __future__ import annotations

from typing import Any

from libs.common.timeframe import HOUR, MINUTE, SECOND
from services.notifier.letters import Letter, Waiting, counts_text, span


def letter(kind: str = "k", at: int = 0, **changed: Any) -> Letter:
    fields = {"level": "note", "text": f"{kind} at {at}", **changed}
    return Letter(valid_until=0, correlation_id=f"story {at}", kind=kind, at=at, **fields)


def waiting(*letters: Letter, kinds_max: int = 10) -> Waiting:
    line = Waiting()
    for each in letters:
        line.add(each, kinds_max)
    return line


def test_letters_of_a_kind_show_the_latest_text_and_the_oldest_time() -> None:
    """Whichever comes back last: what is shown is what happened last, and how late it is what happened first."""
    for order in ((1, 2), (2, 1)):
        (folded,) = waiting(*[letter(at=at) for at in order]).letters
        assert (folded.text, folded.correlation_id, folded.at, folded.count) == ("k at 2", "story 2", 1, 2)


def test_one_repeat_makes_the_fold_a_repeat() -> None:
    """What may have been told once is never told as new because it was folded."""
    for order in ((True, False), (False, True)):
        (folded,) = waiting(*[letter(at=at, repeat=repeat) for at, repeat in enumerate(order)]).letters
        assert folded.marked(SECOND).startswith("(repeat) (late by 1 s)")


def test_the_first_of_a_storm_counts_beside_its_tail() -> None:
    """First and twelve more: thirteen. Twelve more whose first was told: twelve."""
    assert waiting(letter(), letter(count=12, is_tail=True)).letters[0].body() == "k at 0 (12 more)"
    assert waiting(letter(count=3, is_tail=True), letter(count=9, is_tail=True)).letters[0].body() == "k at 0 (12 more)"
    assert waiting(letter(), letter()).letters[0].body() == "k at 0 (1 more)"


def test_what_waits_has_all_its_attempts_and_a_fold_is_news_for_the_log() -> None:
    """Failures of before count no more; a text the log has not seen yet will be noticed."""
    line = waiting(letter(failed_count=4, is_noticed=True))
    assert (line.letters[0].failed_count, line.letters[0].is_noticed) == (0, True)
    line.add(letter(at=1), 10)
    assert not line.letters[0].is_noticed


def test_a_digest_that_comes_back_brings_its_drops() -> None:
    """What was dropped and not told is still to be told, with what was dropped since."""
    line = waiting(*[letter(kind) for kind in "abcd"], kinds_max=2)
    digest = line.take_all(SECOND)
    assert line == Waiting()
    line.add(letter("e", at=1, level="ticket"), 2)
    line.add(digest, 2)
    assert line.dropped == {"note": 3}
    assert [each.kind for each in line.letters] == ["d", "e"]


def test_durations_and_counts_read_like_people_say_them() -> None:
    """One unit, and no plural of one."""
    assert [span(each) for each in (90 * SECOND, 90 * MINUTE, 5 * HOUR)] == ["90 s", "90 min", "5 h"]
    assert counts_text({"note": 2, "page": 1, "ticket": 0}) == "1 page, 2 notes"
