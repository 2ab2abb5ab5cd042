"""What a model wrote, read without any kindness: exactly one JSON object of exactly five keys about exactly this case, or nothing.

Broken JSON is not repaired, prose is not searched for a rating, a fence of markdown is not looked into: a model that does not do as it
was told is one whose opinion is not known. Whatever the text is, reading it either gives a `Judgement` or raises `AnswerRefused`.

A judgement has no instrument, price, size or order in it, so a model cannot name one.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any, Literal, NoReturn

import msgspec

from services.signal_agents.llm.case import Case, Stance
from services.signal_agents.llm.prompt import WHY_CHARS_MAX, canary_of
from services.signal_agents.llm.texts import clean_text

ANSWER_CHARS_MAX = 4_000
P_MIN = 0.5
P_MAX = 0.95

RefusedKind = Literal["canary", "grounding", "parse", "refusal", "schema"]
"""parse: not one JSON object; schema: not our object; grounding: about something else; canary: it copies us; refusal: it will not."""

JudgementFlag = Literal["clamped", "cleaned", "no_evidence", "unknown_number"]

_KEYS = ("case", "stance", "p", "evidence", "why")
_REFUSAL = re.compile(
    r"\s{0,20}(?:i'?m sorry|i am sorry|sorry|i can(?:no|')?t\b|i am (?:unable|not able)|i'm (?:unable|not able)|i won'?t|i will not|as an ai)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.,])[-+]?[0-9]{1,15}(?:,[0-9]{3}){0,4}(?:\.[0-9]{1,15})?(?![A-Za-z0-9_])")


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A model's opinion of one case; `p` is in [0.5, 0.95]. It binds nobody.

    Flags: `clamped` (it was surer than anybody may be), `cleaned` (characters were taken out of `why`), `no_evidence` (a stance that
    rests on nothing), `unknown_number` (`why` has a number that is neither among the facts nor in a text).
    """

    stance: Stance
    p: float
    evidence: tuple[str, ...]
    why: str
    flags: tuple[JudgementFlag, ...] = ()


class AnswerRefused(ValueError):
    """The text is no judgement of this case; `detail` says why, without quoting it."""

    def __init__(self, kind: RefusedKind, detail: str):
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


def judgement_of(text: str | bytes, case: Case) -> Judgement:
    """The judgement of `case` in a model's text.

    Raises:
        AnswerRefused: it is none.
    """
    found = _object_of(_text_of(text), canary_of(case.case_id))
    missing = [key for key in _KEYS if key not in found]
    if missing:
        _refuse("schema", f"without {', '.join(missing)}")
    if len(found) != len(_KEYS):
        _refuse("schema", f"{len(found) - len(_KEYS)} keys too many")
    if not isinstance(found["case"], str):
        _refuse("schema", "case is not a text")
    if found["case"] != case.case_id:
        _refuse("grounding", "about another case")
    stance = found["stance"]
    if not isinstance(stance, str) or stance not in ("up", "down", "none"):
        _refuse("schema", "stance is not up, down or none")
    p, is_clamped = _probability(found["p"])
    evidence = _evidence(found["evidence"], case.evidence_ids)
    why, is_cleaned = _why(found["why"])
    flags: list[JudgementFlag] = []
    if is_clamped:
        flags.append("clamped")
    if is_cleaned:
        flags.append("cleaned")
    if stance != "none" and not evidence:
        flags.append("no_evidence")
    if not _numbers_are_known(why, case):
        flags.append("unknown_number")
    return Judgement(stance=stance, p=p, evidence=evidence, why=why, flags=tuple(flags))  # type: ignore[arg-type]


# --- one JSON object ------------------------------------------------------------------------------------------------


def _refuse(kind: RefusedKind, detail: str) -> NoReturn:
    raise AnswerRefused(kind, detail) from None


def _text_of(raw: str | bytes) -> str:
    if len(raw) > ANSWER_CHARS_MAX:
        _refuse("parse", f"longer than {ANSWER_CHARS_MAX}")
    if isinstance(raw, bytes):
        try:
            return raw.decode()
        except UnicodeDecodeError:
            _refuse("parse", "not UTF-8")
    return raw


def _object_of(text: str, canary: str) -> dict[str, Any]:
    if _holds(text, canary):
        _refuse("canary", "it holds the canary")
    if not text.strip():
        _refuse("parse", "empty")
    if not text.strip(" \t\r\n").startswith("{"):
        if _REFUSAL.match(text):
            _refuse("refusal", "it says that it will not")
        _refuse("parse", "something stands before the object")
    try:
        found = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except AnswerRefused:
        raise
    except RecursionError:
        _refuse("parse", "nested too deeply")
    except ValueError as error:  # JSONDecodeError, and an integer of too many digits
        _refuse("parse", "text after the object" if "Extra data" in str(error) else "not JSON")
    if not isinstance(found, dict):
        _refuse("parse", "not an object")
    # an escape may spell what the bare text does not show
    if any(_holds(each, canary) for each in _texts_in(found, 0)):
        _refuse("canary", "it holds the canary")
    return found


def _texts_in(value: object, depth: int) -> list[str]:
    """Every text in a decoded JSON value, names included; below a few levels no answer of ours has anything."""
    if isinstance(value, str):
        return [value]
    if depth > 4:
        return []
    if isinstance(value, dict):
        return [text for name, each in value.items() for text in (name, *_texts_in(each, depth + 1))]
    if isinstance(value, list):
        return [text for each in value for text in _texts_in(each, depth + 1)]
    return []


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("parse", "a key stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    _refuse("parse", f"{name} is not a number of JSON")


def _holds(text: str, canary: str) -> bool:
    """Whether `text` has the canary, plain, spaced out, in fancy letters or backwards."""
    letters = "".join(each for each in unicodedata.normalize("NFKC", text).lower() if each.isascii() and each.isalnum())
    return canary in letters or canary[::-1] in letters


# --- our object -----------------------------------------------------------------------------------------------------


def _probability(value: object) -> tuple[float, bool]:
    """The probability, and whether it had to be clamped."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("schema", "p is not a number")
    if not P_MIN <= value <= 1:
        _refuse("schema", "p is not between 0.5 and 1")
    p = float(value)
    if not math.isfinite(p):
        _refuse("schema", "p is not finite")
    return (P_MAX, True) if p > P_MAX else (p, False)


def _evidence(value: object, known: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        _refuse("schema", "evidence is not a list of ids")
    if any(each not in known for each in value):
        _refuse("grounding", "evidence that the case does not have")
    if len(set(value)) != len(value):
        _refuse("grounding", "evidence named twice")
    return tuple(value)


def _why(value: object) -> tuple[str, bool]:
    """The reason as one visible line, and whether something invisible had to be taken out."""
    if not isinstance(value, str):
        _refuse("schema", "why is not a text")
    if len(value) > WHY_CHARS_MAX:
        _refuse("schema", f"why is longer than {WHY_CHARS_MAX} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse("parse", "half a character")
    why, _ = clean_text(value)
    return why[:WHY_CHARS_MAX], why != " ".join(value.split())


def _numbers_are_known(why: str, case: Case) -> bool:
    """Whether every number in `why` is a fact (rounded as it is told) or stands so in a text."""
    quoted = [match[0].lstrip("+-") for text in case.texts for match in _NUMBER.finditer(text.text)]
    for match in _NUMBER.finditer(why):
        told = match[0].lstrip("+-")
        plain = told.replace(",", "")
        places = len(plain.partition(".")[2])
        told_as = [f"{abs(value):.{places}f}" for value in (*(fact.value for fact in case.facts), case.rule.strength)]
        if plain not in told_as and told not in quoted:
            return False
    return True
