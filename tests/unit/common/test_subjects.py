"""Subjects: who says it comes first, and nobody can say what is another's."""

from __future__ import annotations

import pytest

from libs.common.messages import (
    ALL,
    AgentSignals,
    AlertRaised,
    FeedHistory,
    Message,
    OperatorCommanded,
    OrderApproved,
    TimerFired,
)
from libs.common.subjects import TRADING_ROOTS, filter_of, may_say, subject_matches, subject_of, writer_filter
from tests.unit.common.sampling import sample_of, tag_of, writer_of


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("risk.>", "risk.approved.BTC-USDT", True),
        ("risk.>", "risk", False),
        (">", "risk", True),
        ("risk.*", "risk.alert", True),
        ("risk.*", "risk.approved.BTC-USDT", False),
        ("*.alert", "risk.alert", True),
        ("*.alert", "agent.trend.alert", False),
        ("*.*.alert", "agent.trend.alert", True),
        ("risk.alert", "risk.alert", True),
        ("risk.alert", "risk", False),
        ("risk", "riskier", False),
    ],
)
def test_subjects_match_as_nats_matches_them(pattern: str, subject: str, expected: bool) -> None:
    """A star is one token, a final `>` one or more, and nothing matches a part of a token."""
    assert subject_matches(pattern, subject) is expected


@pytest.mark.parametrize("kind", ALL, ids=tag_of)
def test_a_message_is_found_by_its_filters(kind: type[Message]) -> None:
    """Every message lies under its writer's prefix and under the filter of its type, in a stream of ours."""
    message = sample_of(kind)
    subject = subject_of(message)
    assert subject_matches(filter_of(kind, message.producer), subject)
    assert subject_matches(writer_filter(message.producer), subject)
    assert subject.split(".")[0] in (*TRADING_ROOTS, "market")
    if kind.said_by != "*":
        assert subject_matches(filter_of(kind), subject)


@pytest.mark.parametrize("kind", ALL, ids=tag_of)
def test_no_two_types_of_a_writer_share_a_subject(kind: type[Message]) -> None:
    """A type is known by its subject: otherwise a permission for one would be a permission for the other."""
    subject = subject_of(sample_of(kind))
    others = [
        tag_of(other)
        for other in ALL
        if other is not kind
        and may_say(writer_of(kind), other)
        and subject_matches(filter_of(other, writer_of(kind)), subject)
    ]
    assert others == []


@pytest.mark.parametrize(
    ("writer", "kind", "allowed"),
    [
        ("risk", OrderApproved, True),
        ("exec", OrderApproved, False),
        ("agent.trend", AgentSignals, True),
        ("agent", AgentSignals, False),
        ("agent.trend.x", AgentSignals, False),
        ("feed", AgentSignals, False),
        ("ops.cli", OperatorCommanded, True),
        ("agent.llm", OperatorCommanded, False),
        ("agent.llm", AlertRaised, True),
        ("feed", TimerFired, True),
    ],
)
def test_who_may_say_what(writer: str, kind: type[Message], allowed: bool) -> None:
    """A writer, a family of writers, or everybody."""
    assert may_say(writer, kind) is allowed


def test_fields_stand_in_subjects_as_single_tokens() -> None:
    """`feed.history.BTC-USDT.15m`; a dot or a wildcard would name something else."""
    message = sample_of(FeedHistory)
    assert subject_of(message) == "feed.history.BTC-USDT.15m"
    assert filter_of(FeedHistory) == "feed.history.*.*"
    with pytest.raises(ValueError, match="cannot stand in a subject"):
        subject_of(FeedHistory(producer="feed", instrument="a.b", timeframe="15m", bars=()))
