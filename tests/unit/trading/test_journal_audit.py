"""Nothing in a chained journal can be changed, taken out, put in or moved without the audit naming the place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import Posting
from libs.trading.journal import Booked, ChainHead, Line, booked, next_entry
from libs.trading.journal_audit import audit, compare

D = Decimal
ENTRIES = 6


def journal(count: int = ENTRIES) -> list[Booked]:
    found, head = [], ChainHead()
    for number in range(1, count + 1):
        postings = tuple(
            Posting(account=account, asset=asset, amount=D(sign) * number)
            for asset in ("BTC", "USDT")
            for account, sign in ((f"asset:{asset}", "1.5"), ("trading:BTC-USDT", "-1.5"))
        )
        entry = next_entry(
            head,
            ts_event=number * 1000,
            entry_id=f"e{number}",
            kind="FILL",
            source_id=f"x{number}",
            instrument="BTC-USDT",
            postings=postings,
            memo="BUY",
        )
        head = ChainHead(entry.digest, entry.number)
        found.append(booked(entry, number * 10))
    return found


def old(entries: list[Booked]) -> list[Booked]:
    return [msgspec.structs.replace(each, number=0, previous="", digest="") for each in entries]


def faults(entries: list[Booked], *heads: ChainHead) -> list[tuple[str, str]]:
    found = audit(entries, [("somebody", head) for head in heads])
    return [(each.fault, each.place.split(" (")[0]) for each in found.findings]


def head_of(entry: Booked) -> ChainHead:
    return ChainHead(entry.digest, entry.number)


def test_what_was_booked_passes() -> None:
    """A clean journal has no finding, with heads known from outside or without."""
    entries = journal()
    found = audit(entries, [("somebody", head_of(each)) for each in entries])
    assert (found.findings, found.entries, found.heads_checked) == ([], ENTRIES, ENTRIES)
    assert found.head == head_of(entries[-1])
    assert audit([]).findings == []


def _changed(line: Line, name: str, text: str) -> Line:
    return msgspec.structs.replace(line, **{name: int(text) if name == "place" else text})


LINE_EDITS = [
    ("amount", "7"),
    ("amount", "1e400"),
    ("amount", "nonsense"),
    ("amount", "NaN"),
    ("account", "fees:BTC"),
    ("asset", "DOGE"),
    ("place", "9"),
]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("index", range(ENTRIES))
@pytest.mark.parametrize(("name", "text"), LINE_EDITS)
def test_any_change_of_any_posting_is_named(index: int, place: int, name: str, text: str) -> None:
    """Amount, account, asset or place of any posting of any entry: the entry is named, and no other."""
    entries = journal()
    lines = list(entries[index].lines)
    lines[place] = _changed(lines[place], name, text)
    entries[index] = msgspec.structs.replace(entries[index], lines=tuple(lines))
    found = faults(entries)
    assert found
    assert {where for _, where in found} == {f"entry {index + 1}"}


@given(index=st.integers(0, ENTRIES - 1), data=st.data())
def test_any_change_of_any_field_is_found(index: int, data: st.DataObject) -> None:
    """Whatever field of an entry says something else than it did, the audit does not pass."""
    entries = journal()
    before = entries[index]
    name = data.draw(
        st.sampled_from(["number", "previous", "digest", "entry_id", "kind", "source_id", "memo", "ts_event"])
    )
    was: Any = getattr(before, name)
    kind = st.integers(0, 100) if isinstance(was, int) else st.text(max_size=5)
    entries[index] = msgspec.structs.replace(before, **{name: data.draw(kind.filter(lambda each: each != was))})
    assert faults(entries, head_of(journal()[-1]))


@pytest.mark.parametrize("index", range(ENTRIES - 1))
def test_a_missing_entry_is_named(index: int) -> None:
    """The entry behind it says which one is missing."""
    entries = journal()
    del entries[index]
    assert faults(entries) == [("DROPPED", f"entry {index + 2}")]


@pytest.mark.parametrize("index", range(ENTRIES - 1))
def test_entries_that_changed_places_are_named(index: int) -> None:
    """The chain is whole, but not in the order in which it was made."""
    entries = journal()
    entries[index], entries[index + 1] = entries[index + 1], entries[index]
    assert faults(entries) == [("REORDERED", f"entry {index + 1}")]


@pytest.mark.parametrize("number", [0, 3])
def test_an_entry_that_was_put_in_is_named(number: int) -> None:
    """Whether it has no number or one that is taken."""
    entries = journal()
    entries.insert(3, msgspec.structs.replace(entries[2], entry_id="new", number=number))
    assert ("ADDED", "entry 3" if number else "an entry without a number") in faults(entries)


@pytest.mark.parametrize("kept", range(ENTRIES))
def test_a_missing_tail_is_found_by_a_head_that_somebody_knows(kept: int) -> None:
    """What is left is a whole chain; only a head from outside tells that it was longer."""
    entries = journal()
    assert faults(entries[:kept]) == []
    assert faults(entries[:kept], head_of(entries[-1])) == [("TRUNCATED", f"behind entry {kept}")]


def test_a_journal_written_anew_is_found_by_a_head_that_somebody_knows() -> None:
    """Whoever may write everything can make a whole chain of lies, but not one with the digest people were told."""
    entries = journal()
    first = msgspec.structs.replace(entries[0], memo="SELL")
    forged, head = [], ChainHead()
    for entry in [first, *entries[1:]]:
        digest = entry.digest_after(head)
        forged.append(msgspec.structs.replace(entry, previous=head.digest, digest=digest))
        head = ChainHead(digest, entry.number)
    assert faults(forged) == []
    assert faults(forged, head_of(entries[2])) == [("HEAD_DIFFERS", "entry 3")]


def test_an_entry_whose_postings_do_not_sum_to_zero_is_named() -> None:
    """Also where its digest was made of exactly that."""
    entries = journal(2)
    lines = (msgspec.structs.replace(entries[1].lines[0], amount="9"), *entries[1].lines[1:])
    wrong = msgspec.structs.replace(entries[1], lines=lines)
    wrong = msgspec.structs.replace(wrong, digest=wrong.digest_after(head_of(entries[0])))
    assert faults([entries[0], wrong]) == [("UNBALANCED", "entry 2")]


def test_entries_from_before_the_chain_are_proven_by_its_beginning() -> None:
    """The first chained entry leads back to them: an edit among them breaks it, whether or not somebody took away their numbers."""
    entries = [*old(journal()[:3]), *journal()[3:]]
    found = audit(entries)
    assert (found.findings, found.unproven) == ([], 0)
    entries[1] = msgspec.structs.replace(entries[1], memo="SELL")
    assert faults(entries) == [("UNPROVEN", "entry 4")]
    assert faults([*old(journal()[:2]), *journal()[3:]]) == [("DROPPED", "entry 4")]


def test_a_journal_that_has_no_chain_yet_is_not_proven() -> None:
    """Sums are checked; what nothing proves is said to be so."""
    found = audit(old(journal()))
    assert (found.findings, found.unproven) == ([], ENTRIES)


def test_two_copies_are_compared_field_by_field() -> None:
    """What differs is named with what each copy says."""
    entries, copies = journal(), journal()
    lines = (msgspec.structs.replace(copies[1].lines[0], amount="9"), *copies[1].lines[1:-1])
    copies[1] = msgspec.structs.replace(copies[1], lines=lines, memo="SELL")
    del copies[3]
    copies.append(msgspec.structs.replace(copies[0], entry_id="new"))
    told = [(each.fault, each.place.partition("event ")[2], each.text) for each in compare(entries, copies)]
    assert told == [
        ("EDITED", "20, memo", "the log says 'BUY', the tables say 'SELL'"),
        ("EDITED", "20, posting 0, amount", "the log says '3.0', the tables say '9'"),
        ("DROPPED", "20, posting 3", "the log has it, the tables do not"),
        ("DROPPED", "40", "the log has it, the tables do not"),
        ("ADDED", "10", "the tables have it, the log does not"),
    ]
    assert compare(entries, journal()) == []
