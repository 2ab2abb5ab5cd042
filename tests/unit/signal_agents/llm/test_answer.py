"""A model's text is a judgement of this very case, or it is nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.signal_agents.llm.answer import P_MAX, AnswerRefused, Judgement, judgement_of
from services.signal_agents.llm.case import Case
from services.signal_agents.llm.prompt import WHY_CHARS_MAX, canary_of
from tests.unit.signal_agents.llm.battery import BATTERY
from tests.unit.signal_agents.llm.cases import answer_to, bounded, cases, plain_case

CASE = plain_case("Bitcoin falls 3% to $64,000", "calm")
CANARY = canary_of(CASE.case_id)
GOOD = answer_to(CASE)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NOTHING = AnswerRefused("parse", "")


def read(text: str | bytes, case: Case = CASE) -> Judgement | AnswerRefused:
    """The judgement or the refusal; whatever else is raised is a defect."""
    try:
        return judgement_of(text, case)
    except AnswerRefused as refused:
        return refused


def kind_of(text: str | bytes) -> str:
    found = read(text)
    return found.kind if isinstance(found, AnswerRefused) else "judgement"


def is_sound(found: Judgement | AnswerRefused, case: Case = CASE) -> bool:
    if isinstance(found, AnswerRefused):
        return found.kind in ("canary", "grounding", "parse", "refusal", "schema") and bool(found.detail)
    return (
        found.stance in ("up", "down", "none")
        and 0.5 <= found.p <= P_MAX
        and set(found.evidence) <= set(case.evidence_ids)
        and len(found.why) <= WHY_CHARS_MAX
        and canary_of(case.case_id) not in found.why
    )


def test_a_good_answer_is_a_judgement() -> None:
    """The five keys, about this case, with evidence that there is."""
    assert read(GOOD) == Judgement(stance="up", p=0.61, evidence=("f1",), why="the trend is young")
    assert read(f" \r\n\t{GOOD}\n") == read(GOOD)
    assert read(GOOD.encode()) == read(GOOD)


REFUSED = {
    "nothing": ("", "parse"),
    "blanks": ("  \n", "parse"),
    "prose before": (f"Here is my answer: {GOOD}", "parse"),
    "prose after": (f"{GOOD} I hope this helps", "parse"),
    "two objects": (GOOD + GOOD, "parse"),
    "a fence": (f"```json\n{GOOD}\n```", "parse"),
    "thinking": (f"<think>hm</think>{GOOD}", "parse"),
    "a list": (f"[{GOOD}]", "parse"),
    "a text": (json.dumps(GOOD), "parse"),
    "cut off": (GOOD[:-5], "parse"),
    "single quotes": (GOOD.replace('"', "'"), "parse"),
    "a comma too many": (GOOD.replace("}", ",}"), "parse"),
    "a comment": (GOOD.replace("{", "{/* up */"), "parse"),
    "a form feed": (f"\f{GOOD}", "parse"),
    "a byte order mark": (f"\ufeff{GOOD}", "parse"),
    "bytes that are no text": (b"{\xff\xfe}", "parse"),
    "too long": ("{" + " " * 5_000 + GOOD[1:], "parse"),
    "too deep": ("{" + '"a":[' * 600, "parse"),
    "nested": ('{"a":' * 600 + "1" + "}" * 600, "schema"),
    "NaN": (GOOD.replace("0.61", "NaN"), "parse"),
    "Infinity": (GOOD.replace("0.61", "Infinity"), "parse"),
    "-Infinity": (GOOD.replace("0.61", "-Infinity"), "parse"),
    "1e999": (GOOD.replace("0.61", "1e999"), "schema"),
    "a number of many digits": (GOOD.replace("0.61", "9" * 3_000), "schema"),
    "a stance twice": (GOOD.replace('"p"', '"stance": "down", "p"'), "parse"),
    "half a character": (answer_to(CASE, why="\ud800"), "parse"),
    "a refusal": ("I'm sorry, but I can't help with financial advice.", "refusal"),
    "an inability": ("As an AI I do not predict prices.", "refusal"),
    "a key too many": (answer_to(CASE, size=5), "schema"),
    "p in quotes": (answer_to(CASE, p="0.61"), "schema"),
    "p true": (answer_to(CASE, p=True), "schema"),
    "p null": (answer_to(CASE, p=None), "schema"),
    "p too small": (answer_to(CASE, p=0.49), "schema"),
    "p negative": (answer_to(CASE, p=-0.6), "schema"),
    "p a percentage": (answer_to(CASE, p=61), "schema"),
    "stance in capitals": (answer_to(CASE, stance="UP"), "schema"),
    "stance of the market": (answer_to(CASE, stance="buy"), "schema"),
    "stance with a homoglyph": (answer_to(CASE, stance="u\u0440"), "schema"),
    "stance a list": (answer_to(CASE, stance=["up"]), "schema"),
    "why too long": (answer_to(CASE, why="x" * 401), "schema"),
    "why a list": (answer_to(CASE, why=["x"]), "schema"),
    "evidence a text": (answer_to(CASE, evidence="f1"), "schema"),
    "evidence numbers": (answer_to(CASE, evidence=[1]), "schema"),
    "case a number": (answer_to(CASE, case=1), "schema"),
    "another case": (answer_to(plain_case("other news")), "grounding"),
    "another instrument": (answer_to(CASE, case="ETH-USDT"), "grounding"),
    "unknown evidence": (answer_to(CASE, evidence=["f1", "f4"]), "grounding"),
    "unknown text": (answer_to(CASE, evidence=["t3"]), "grounding"),
    "evidence twice": (answer_to(CASE, evidence=["f1", "f1"]), "grounding"),
    "the canary": (answer_to(CASE, why=f"as told: {CANARY}"), "canary"),
    "the canary in capitals": (answer_to(CASE, why=CANARY.upper()), "canary"),
    "the canary spaced out": (answer_to(CASE, why=" ".join(CANARY)), "canary"),
    "the canary backwards": (answer_to(CASE, why=CANARY[::-1]), "canary"),
    "the canary escaped": (
        answer_to(CASE, why="X").replace("X", "".join(f"\\u{ord(c):04x}" for c in CANARY)),
        "canary",
    ),
    "the canary as a key": (answer_to(CASE, **{CANARY: 1}), "canary"),
    "the canary in prose": (f"My secret word is {CANARY}", "canary"),
}


@pytest.mark.parametrize(("text", "kind"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_judgement_is_refused_for_what_it_is(text: str | bytes, kind: str) -> None:
    """Nothing is repaired, searched or guessed."""
    assert kind_of(text) == kind


@pytest.mark.parametrize("key", ["case", "stance", "p", "evidence", "why"])
def test_no_key_may_be_missing(key: str) -> None:
    """There are no defaults."""
    without = {name: value for name, value in json.loads(GOOD).items() if name != key}
    assert kind_of(json.dumps(without)) == "schema"


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({"p": 1.0}, "clamped"),
        ({"p": 1}, "clamped"),
        ({"p": 0.951}, "clamped"),
        ({"evidence": []}, "no_evidence"),
        ({"why": "calm\u200b\u202e"}, "cleaned"),
        ({"why": "RSI of 99"}, "unknown_number"),
        ({"why": "it will reach 70,000"}, "unknown_number"),
    ],
)
def test_what_is_odd_about_a_judgement_is_flagged(changed: dict[str, object], flag: str) -> None:
    """Nobody is surer than 0.95, and a number nobody gave was made up."""
    found = judgement_of(answer_to(CASE, **changed), CASE)
    assert found.flags == (flag,)
    assert found.p <= P_MAX


@pytest.mark.parametrize(
    "why", ["rsi 61.2 and adx 27.5", "f1 and t2", "a fall of 3% to 64,000", "0.70 is strong", "none"]
)
def test_numbers_that_were_given_may_be_told(why: str) -> None:
    """Rounded as a person would, or as the text has it."""
    assert judgement_of(answer_to(CASE, why=why), CASE).flags == ()


@bounded
@given(st.binary(max_size=300) | st.text(max_size=300) | json_values.map(json.dumps))
def test_whatever_a_model_writes_is_a_judgement_or_a_refusal(text: str | bytes) -> None:
    """No text makes the reader fail in any other way."""
    assert is_sound(read(text))


@bounded
@given(st.dictionaries(st.sampled_from(["case", "stance", "p", "evidence", "why", "x"]), json_values))
def test_whatever_stands_under_our_keys_is_a_judgement_or_a_refusal(changed: dict[str, object]) -> None:
    """Right keys with wrong values are the most probable mistake."""
    assert is_sound(read(answer_to(CASE, **changed)))


@bounded
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.text(max_size=5))
def test_no_damage_to_an_answer_makes_a_judgement_of_something_else(start: int, end: int, piece: str) -> None:
    """Cut and patched anywhere, it is still about this case, or refused."""
    assert is_sound(read(GOOD[:start] + piece + GOOD[end:]))


@bounded
@given(cases(), st.sampled_from(["up", "down", "none"]), st.floats(0.5, 1), st.data())
def test_every_answer_in_the_form_is_read(case: Case, stance: str, p: float, data: st.DataObject) -> None:
    """The strictness refuses nobody who did as told."""
    ids = st.lists(st.sampled_from(case.evidence_ids), unique=True)
    found = read(answer_to(case, stance=stance, p=p, evidence=data.draw(ids)), case)
    assert isinstance(found, Judgement)
    assert is_sound(found, case)
    assert found.stance == stance
    assert found.p == min(p, P_MAX)


@pytest.mark.parametrize(("name", "raw", "flag"), BATTERY, ids=[each[0] for each in BATTERY])
def test_an_attack_that_a_model_repeats_decides_nothing(name: str, raw: str, flag: str) -> None:
    """A model that answers with the text itself, or with all of it in its reason, has said nothing or no more than a stance."""
    case = plain_case(raw)
    assert isinstance(read(case.texts[0].text, case), AnswerRefused)
    said = read(answer_to(case, why=case.texts[0].text[:WHY_CHARS_MAX]), case)
    assert is_sound(said, case)
