"""What a judgement may do to an entry the rules want: table by table, and never more than its mode allows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import EntryJudged, ModelMode
from libs.common.timeframe import SECOND
from services.signal_agents.portfolio.joining import Voice
from services.signal_agents.portfolio.leash import Grip, Standing, size_factor

TTL = 200 * SECOND
RULE = Voice(agent_id="trend", stance="LONG", strength=0.5, weight=1.0, age=0)
UNPROVEN, PROVEN = Standing(0.0, False), Standing(0.8, True)


def judged(expects: str = "up", p: float = 0.6, outcome: str = "JUDGED") -> EntryJudged:
    return EntryJudged(
        proposal_id="p",
        instrument="BTC-USDT",
        outcome=outcome,  # type: ignore[arg-type]
        failure="" if outcome == "JUDGED" else "timeout",
        expects=expects,  # type: ignore[arg-type]
        p=p,
        evidence=("f1",),
        why="",
        flags=(),
        case_id="",
        key="",
        model="m",
    )


def factor(verdict: EntryJudged | None, mode: ModelMode, standing: Standing = UNPROVEN) -> float:
    return size_factor(verdict, Grip(mode=mode, veto_p=0.6), standing, [RULE], TTL)


@pytest.mark.parametrize(
    ("mode", "expects", "p", "size"),
    [
        ("off", "down", 0.95, 1.0),
        ("shadow", "down", 0.95, 1.0),
        ("confirm", "up", 0.95, 1.0),
        ("confirm", "none", 0.5, 1.0),
        ("confirm", "down", 0.5, 0.5),
        ("confirm", "down", 0.59, 0.5),
        ("confirm", "down", 0.6, 0.0),
        ("confirm", "down", 0.95, 0.0),
        ("tilt", "up", 0.95, 1.0),  # not promoted: as confirm
        ("tilt", "down", 0.59, 0.5),
    ],
)
def test_a_judgement_at_each_mode(mode: ModelMode, expects: str, p: float, size: float) -> None:
    """Off and shadow change nothing; confirm vetoes or halves; tilt without merit is confirm."""
    assert factor(judged(expects, p), mode) == size


@pytest.mark.parametrize("mode", ["off", "shadow", "confirm", "tilt"])
def test_no_judgement_changes_nothing(mode: ModelMode) -> None:
    """Silence, and a failure of whatever kind, leave what the rules want."""
    assert factor(None, mode, PROVEN) == 1.0
    assert factor(judged("down", 0.95, outcome="FAILED"), mode, PROVEN) == 1.0


def test_a_promoted_model_tilts_by_its_evidence_within_the_cap() -> None:
    """0.8 x logit(0.52) against the rule's logit(0.6) is a sixth; more than half is cut off."""
    assert factor(judged("up", 0.52), "tilt", PROVEN) == pytest.approx(1.158, abs=0.001)
    assert factor(judged("down", 0.52), "tilt", PROVEN) == pytest.approx(0.842, abs=0.001)
    assert factor(judged("up", 0.95), "tilt", PROVEN) == 1.5
    assert factor(judged("down", 0.95), "tilt", PROVEN) == 0.0  # so sure: a veto as ever


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(("off", "shadow", "confirm", "tilt")),
    st.sampled_from(("up", "down", "none")),
    st.floats(0.5, 0.95),
    st.floats(0.0, 3.0),
    st.booleans(),
)
def test_no_judgement_enlarges_but_an_earned_one(
    mode: ModelMode, expects: str, p: float, weight: float, is_promoted: bool
) -> None:
    """Whatever it says: between nothing and the full size; above it only in tilt, only promoted, only by half."""
    size = factor(judged(expects, p), mode, Standing(weight, is_promoted))
    assert 0.0 <= size <= (1.5 if mode == "tilt" and is_promoted else 1.0)
