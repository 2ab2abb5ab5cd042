"""What a certificate lets start, and that nobody changes one unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from libs.common.messages import Baseline
from libs.common.messages.watch import MetricBaseline
from libs.common.timeframe import DAY, SECOND
from libs.research.certificate import (
    BYTES_MAX,
    OPERATOR_CHARS_MAX,
    REASON_CHARS_MAX,
    Certificate,
    CertificateRefused,
    JudgedLog,
    Override,
    Started,
    complaint_about,
    read,
    refuse_unless_in_force,
    sealed,
    settings_digest,
    written,
)
from libs.research.graduation import Criterion

LAST_DAY = date(2026, 11, 20)
MIDNIGHT = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp()) * SECOND
NOW = MIDNIGHT + 3 * DAY
DAYS = Criterion(name="days", asked="14", seen="14 days count", met=True)
AUDIT = Criterion(name="security audit", asked="proof of it", seen="there is none", met=False)
TRADES = Criterion(name="trades", asked="30", seen="2 round trips", met=False)
UNMET = ("trades: 2 round trips (asked: 30)", "security audit: there is none (asked: proof of it)")


HITS = MetricBaseline(metric="hit_rate", count=40, mean=0.55, clumping=1.5, quantiles=())
BASELINE = Baseline(source="book main (paper), 14 counted days", from_ts=1, until_ts=NOW - 1, metrics=(HITS,))


def certificate(*, is_met: bool = False, **more: Any) -> Certificate:
    """A certificate as it is issued: an override, or one of a book that has shown everything."""
    good = {"criteria": (DAYS,), "readiness": (msgspec.structs.replace(AUDIT, met=True),), "override": None}
    bad = {
        "criteria": (DAYS, TRADES),
        "readiness": (AUDIT,),
        "override": Override(operator="Ada", reason="a small account", unmet=UNMET),
    }
    content: dict[str, Any] = {
        "book": "main",
        "issued_at": NOW,
        "code_version": "c0de",
        "days": (date(2026, 11, 19), LAST_DAY),
        "log": JudgedLog(first_seq=1, last_seq=900, last_ts=NOW - 1, journal_head=f"{'5f' * 32}:12"),
        "strategy": {"risk": Started(code_version="1", settings=settings_digest({"halt": "0.15"}))},
        "baseline": BASELINE,
    }
    return sealed(Certificate(**{**content, **(good if is_met else bad), **more}))


def in_force(found: Certificate, **more: Any) -> Certificate:
    """Looked at as a start does."""
    asked: dict[str, Any] = {"book": "main", "code_version": "c0de", "now": NOW, "days_max": 30}
    return refuse_unless_in_force(found, **{**asked, **more})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every single value of a JSON document is."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [leaf for key, each in items for leaf in leaves(each, (*path, key))]
    yield from below or [path]


@pytest.mark.parametrize("is_met", [True, False])
def test_what_was_issued_can_be_read_and_lets_its_book_start(is_met: bool) -> None:
    """The same before and after it was a file."""
    issued = certificate(is_met=is_met)
    assert in_force(read(written(issued))) == issued


def test_no_value_of_it_can_be_changed_unseen() -> None:
    """Each in turn, and its digest, too; nor may anything be added, taken away or written otherwise."""
    text = written(certificate())
    whole = json.loads(text)
    places = list(leaves(whole))
    assert len(places) > 25
    for path in places:
        changed = json.loads(text)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        before = holder[path[-1]]
        holder[path[-1]] = (
            not before if isinstance(before, bool) else before + 1 if isinstance(before, int) else "2026-11-18"
        )
        with pytest.raises(CertificateRefused):
            read(msgspec.json.format(json.dumps(changed).encode(), indent=2) + b"\n")
    for other in (
        text + b" ",
        text.replace(b'"met": true', b'"met": true, "x": 1'),
        b"{}",
        b"\xff",
        b" " * BYTES_MAX + text,
    ):
        with pytest.raises(CertificateRefused):
            read(other)


def test_what_is_not_met_needs_somebody_who_overrides_exactly_that() -> None:
    """Otherwise there is no certificate, nor is one believed whose digest somebody has made to fit."""
    with pytest.raises(CertificateRefused, match="nobody overrides what was not shown: trades, security audit"):
        certificate(override=None)
    less = Override(operator="Ada", reason="a small account", unmet=UNMET[:1])
    with pytest.raises(CertificateRefused, match="not what was not shown"):
        certificate(override=less)
    with pytest.raises(CertificateRefused, match="not what was not shown"):
        certificate(is_met=True, override=Override(operator="Ada", reason="x", unmet=()))
    with pytest.raises(CertificateRefused, match="nobody overrides what was not shown: everything"):
        certificate(is_met=True, criteria=())


@pytest.mark.parametrize(
    ("operator", "reason", "complaint"),
    [
        ("", "a small account", "an override needs a name"),
        (" \t", "a small account", "an override needs a name"),
        ("Ada", "", "an override needs a reason"),
        ("Ada", "  ", "an override needs a reason"),
        ("A" * (OPERATOR_CHARS_MAX + 1), "x", "the operator has 65 characters"),
        ("Ada", "x" * (REASON_CHARS_MAX + 1), "the reason has 501 characters"),
        ("Ada\x1b[2J", "x", "the operator holds a character that cannot be printed"),
        ("Ada", "one\ntwo", "the reason holds a character that cannot be printed"),
        ("Ada", "a\u202eb", "the reason holds a character that cannot be printed"),
    ],
)
def test_an_override_needs_a_name_and_a_reason_that_can_be_read(operator: str, reason: str, complaint: str) -> None:
    """Both, within bounds, and nothing that commands a terminal."""
    assert complaint in complaint_about(operator, reason)
    with pytest.raises(CertificateRefused, match=complaint.split("(")[0]):
        certificate(override=Override(operator=operator, reason=reason, unmet=UNMET))


def test_an_override_says_what_was_not_shown_word_for_word() -> None:
    """In its own words and as a list of criteria, and both are the same."""
    found = read(written(certificate()))
    assert found.override is not None
    assert found.override.unmet == found.unmet == UNMET


def test_it_runs_out_with_what_it_was_judged_on() -> None:
    """Thirty days after the last day that counts, however late it was issued; where no day counts, after the last event."""
    found = certificate()
    assert found.expires_at(30) == MIDNIGHT + 30 * DAY
    assert in_force(found, now=MIDNIGHT + 30 * DAY - 1) == found
    with pytest.raises(CertificateRefused, match="ran out on 2026-12-21 00:00 UTC"):
        in_force(found, now=MIDNIGHT + 30 * DAY)
    assert certificate(days=()).expires_at(2) == NOW - 1 + 2 * DAY
    assert certificate(days=(), issued_at=NOW - 5 * DAY).expires_at(2) == NOW - 3 * DAY


def test_another_book_other_code_and_the_future_are_refused() -> None:
    """Each by name: what it is for, and what it was held against."""
    found = certificate()
    with pytest.raises(CertificateRefused, match="it is for the book 'main', and this is 'other'"):
        in_force(found, book="other")
    with pytest.raises(CertificateRefused, match="issued for code c0de, and the code at hand is beef") as refused:
        in_force(found, code_version="beef")
    assert "run that code; or judge the paper book again with this one" in refused.value.cure
    with pytest.raises(CertificateRefused, match="which is to come"):
        in_force(certificate(issued_at=NOW + DAY))
