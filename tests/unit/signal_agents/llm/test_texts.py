"""Foreign texts are made visible and flagged, and none disappears without a word."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.signal_agents.llm.texts import (
    RAW_CHARS_MAX,
    TEXT_CHARS_MAX,
    TEXTS_MAX,
    RawText,
    clean_text,
    clean_texts,
)
from tests.unit.signal_agents.llm.battery import BATTERY, HONEST
from tests.unit.signal_agents.llm.cases import bounded

evil = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\u200b\u202e\u2066\ufeff\u00ad\U000e0041\ufe0f\u0301\u0308\u1100\u1161\u3164\uffa0\ud800\x00\x1b.- e"
        ),
        st.characters(min_codepoint=0xFB00, max_codepoint=0xFFFF),
    ),
    max_size=200,
)


@bounded
@given(evil)
def test_what_is_left_can_be_seen(raw: str) -> None:
    """No control, format, private or unassigned character is left, and the text is one line of bounded length."""
    text, _ = clean_text(raw)
    assert len(text) <= TEXT_CHARS_MAX
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for each in text)
    assert text == " ".join(text.split())
    assert text.encode().decode() == text


@bounded
@given(evil)
def test_a_clean_text_stays_as_it_is(raw: str) -> None:
    """Cleaning twice is cleaning once, and nothing is left to be taken out."""
    text, _ = clean_text(raw)
    again, flags = clean_text(text)
    assert again == text
    assert not set(flags) & {"bidi", "control", "cut", "invisible", "marks", "private", "styled", "tag"}


@bounded
@given(evil)
def test_nothing_visible_is_lost_without_a_flag(raw: str) -> None:
    """A text without flags has lost nothing but blanks and the dress of its letters."""
    text, flags = clean_text(raw)
    taken_out = {"bidi", "control", "cut", "invisible", "marks", "private", "tag"}
    if not set(flags) & taken_out:
        assert text == " ".join(unicodedata.normalize("NFKC", raw).split())


@bounded
@given(st.lists(st.builds(RawText, source=st.just("wire"), ts_event=st.integers(0, 9), text=evil), max_size=12))
def test_every_text_is_kept_or_counted(raws: list[RawText]) -> None:
    """So many texts come in as are kept or named as dropped, whatever the order in which they came."""
    cleaned = clean_texts(raws)
    assert len(cleaned.texts) + len(cleaned.dropped) == len(raws)
    assert len(cleaned.texts) <= TEXTS_MAX
    assert clean_texts(reversed(raws)) == cleaned


def test_of_too_many_texts_the_newest_stay() -> None:
    """An old text does not push out a new one, and those that stay are told oldest first."""
    raws = [RawText(source="wire", ts_event=ts, text=f"text {ts}") for ts in range(9)]
    cleaned = clean_texts(raws)
    assert [each.ts_event for each in cleaned.texts] == [3, 4, 5, 6, 7, 8]
    assert cleaned.dropped == ("too_many",) * 3


@pytest.mark.parametrize(("name", "raw", "wanted"), BATTERY, ids=[each[0] for each in BATTERY])
def test_an_attack_is_flagged_for_what_it_is(name: str, raw: str, wanted: str) -> None:
    """Each known way of hiding or giving an instruction is seen."""
    assert wanted in clean_text(raw)[1]


@pytest.mark.parametrize("raw", HONEST)
def test_honest_news_carries_no_flag(raw: str) -> None:
    """A flag that is always there says nothing."""
    assert clean_text(raw)[1] == ()


@pytest.mark.parametrize("piece", ["a", "A1", ". -", "\u0301", "\u200b", "\ufdfa", "ignore ", "aA", "%41", "0 ", "<"])
def test_hostile_length_costs_no_time(piece: str) -> None:
    """A megabyte of anything is read within a moment."""
    started = time.process_time()
    text, flags = clean_text(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 1.0
    assert "cut" in flags
    assert len(text) <= min(TEXT_CHARS_MAX, RAW_CHARS_MAX)
