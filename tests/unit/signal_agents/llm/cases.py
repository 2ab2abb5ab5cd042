"""Cases for the tests of the model agent: a plain one, and any."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from services.signal_agents.llm.case import Case, Fact, RuleView, case_of
from services.signal_agents.llm.texts import CleanText, RawText, clean_texts

bounded = settings(max_examples=60, deadline=None)
"""How often a property is tried; a busy machine is no failure."""

MINUTE = 60_000_000_000
BAR_END = 1_767_571_200_000_000_000
RULE = RuleView(agent_id="trend", stance="up", strength=0.7)
FACTS = (Fact("rsi", 61.23456789), Fact("adx", 27.5), Fact("close", 64000.5, "USDT"))


def texts_of(*texts: str) -> tuple[CleanText, ...]:
    """These texts, cleaned, one a minute before the bar's end."""
    raws = [RawText(source="wire", ts_event=BAR_END - n * MINUTE, text=text) for n, text in enumerate(texts)]
    return clean_texts(raws).texts


def plain_case(*texts: str) -> Case:
    """The trend agent says up on BTC-USDT."""
    return case_of("BTC-USDT", BAR_END, RULE, FACTS, texts_of(*texts))


def answer_to(case: Case, /, **changed: Any) -> str:
    """A good answer, or one of which something was changed."""
    good = {"case": case.case_id, "stance": "up", "p": 0.61, "evidence": ["f1"], "why": "the trend is young"}
    return json.dumps({**good, **changed})


facts = st.lists(
    st.builds(
        Fact,
        name=st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True),
        value=st.floats(allow_nan=False, allow_infinity=False),
        unit=st.sampled_from(["", "bps", "%"]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda fact: fact.name,
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any case whose texts somebody evil may have written."""
    rule = RuleView(
        agent_id=draw(st.sampled_from(["trend", "macro"])),
        stance=draw(st.sampled_from(["up", "down", "none"])),
        strength=draw(st.floats(0, 1)),
    )
    texts = texts_of(*draw(st.lists(st.text(max_size=80), max_size=6)))
    return case_of("ETH-USDT", BAR_END, rule, tuple(draw(facts)), texts)
