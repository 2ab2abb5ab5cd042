"""One question to the model: a rule's decision about one bar, our own numbers, and a few foreign texts.

The numbers are called f1, f2, ... and the texts t1, t2, ... in the order in which they stand here; an answer may point at these names and
at nothing else. The case's id is a digest of everything in it, texts included, so nobody who writes a text can know the id (nor the
fences and the canary that follow from it) beforehand.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from libs.common.ids import derive_id
from libs.common.subjects import TOKEN
from services.signal_agents.llm.texts import TEXTS_MAX, CleanText, clean_text

FACTS_MAX = 32

Stance = Literal["up", "down", "none"]
"""Where a price is expected to go; none: no opinion."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_UNIT = re.compile(r"[A-Za-z0-9%_/-]{0,16}")
_CASE_ID = re.compile(r"[0-9a-f]{32}")


class Fact(msgspec.Struct, frozen=True):
    """One number of ours by its name; `unit` in a few letters ("bps", "%"), empty for a pure number."""

    name: str
    value: float
    unit: str = ""


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """The decision of a rule agent that is being judged; `strength` is in [0, 1]."""

    agent_id: str
    stance: Stance
    strength: float


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the model is told.

    Raises:
        ValueError: a name, a number or a text that must not be shown to a model; a text from after the bar.
    """

    case_id: str
    instrument: str
    ts_bar_end: int
    rule: RuleView
    facts: tuple[Fact, ...]
    texts: tuple[CleanText, ...] = ()

    def __post_init__(self) -> None:
        if not _CASE_ID.fullmatch(self.case_id):
            raise ValueError("a case id is 32 lowercase hex characters")
        if not (TOKEN.fullmatch(self.instrument) and TOKEN.fullmatch(self.rule.agent_id)):
            raise ValueError("instrument and agent are plain tokens")
        if not 0 <= self.rule.strength <= 1:
            raise ValueError("a rule's strength is in [0, 1]")
        if not 1 <= len(self.facts) <= FACTS_MAX:
            raise ValueError(f"a case has 1 to {FACTS_MAX} facts, not {len(self.facts)}")
        if len({fact.name for fact in self.facts}) != len(self.facts):
            raise ValueError("two facts share a name")
        for fact in self.facts:
            if not (_NAME.fullmatch(fact.name) and _UNIT.fullmatch(fact.unit) and math.isfinite(fact.value)):
                raise ValueError(f"not a fact: {fact.name[:40]!r}")
        if len(self.texts) > TEXTS_MAX:
            raise ValueError(f"a case has at most {TEXTS_MAX} texts, not {len(self.texts)}")
        for text in self.texts:
            _check(text, self.ts_bar_end)

    @property
    def evidence_ids(self) -> tuple[str, ...]:
        """What an answer may point at."""
        return (*(f"f{n}" for n, _ in enumerate(self.facts, 1)), *(f"t{n}" for n, _ in enumerate(self.texts, 1)))


def case_of(
    instrument: str, ts_bar_end: int, rule: RuleView, facts: tuple[Fact, ...], texts: tuple[CleanText, ...] = ()
) -> Case:
    """The case of these facts, with the id that follows from them.

    Raises:
        ValueError: as `Case`.
    """
    if not all(math.isfinite(fact.value) for fact in facts):
        raise ValueError("a fact is a finite number")
    content = msgspec.json.encode((rule, facts, texts)).decode()
    case_id = derive_id("case", instrument, ts_bar_end, content)
    return Case(case_id=case_id, instrument=instrument, ts_bar_end=ts_bar_end, rule=rule, facts=facts, texts=texts)


def _check(text: CleanText, ts_bar_end: int) -> None:
    if not TOKEN.fullmatch(text.source):
        raise ValueError("a text's source is a plain token")
    if text.ts_event > ts_bar_end:
        raise ValueError("a text from after the bar would tell the future")
    if not text.text or clean_text(text.text)[0] != text.text:
        raise ValueError("a text has not been cleaned")
