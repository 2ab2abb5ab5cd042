"""Whether a journal is what was booked: its chain, its sums, the heads somebody knows, and one copy against another. Pure.

A finding names the place. One fault is told once: after an entry whose content does not give its digest, the audit goes on from the digest it
carries. Entries from before the chain (number 0) are proven by the first chained entry, which leads back to them: the ledger that began the chain
had booked them again from the log. Where it does not, they were edited, or another code had booked them otherwise, and only the log can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation, localcontext
from typing import Literal

import msgspec

from libs.trading.journal import Booked, ChainHead, Line
from libs.trading.positions import EXACT

Fault = Literal["EDITED", "DROPPED", "ADDED", "REORDERED", "TRUNCATED", "UNBALANCED", "UNPROVEN", "HEAD_DIFFERS"]
COLUMNS = ("seq", "number", "previous", "digest", "kind", "source_id", "instrument", "ts_event", "memo")
SHOWN_CHARS_MAX = 80


class Finding(msgspec.Struct, frozen=True):
    """What is wrong, and where."""

    fault: Fault
    place: str
    text: str


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit of one journal found. `unproven` entries have no chain behind them that could prove them yet."""

    findings: list[Finding]
    entries: int
    head: ChainHead
    heads_checked: int
    unproven: int


def place_of(entry: Booked) -> str:
    """Where an entry stands, for people."""
    number = f"entry {entry.number}" if entry.number else "an entry without a number"
    return f"{number} ({entry.entry_id[:SHOWN_CHARS_MAX]}) of event {entry.seq}"


def audit(entries: Sequence[Booked], heads: Iterable[tuple[str, ChainHead]] = ()) -> Audit:
    """Check a journal in its order against itself and `heads`, each with who knows it."""
    unchained = 0
    while unchained < len(entries) and entries[unchained].number == 0:
        unchained += 1
    findings = [found for entry in entries for found in _flaws(entry)]
    old, unproven = entries[:unchained], 0
    digests, head = _digests_of(old), ChainHead()
    if old:
        head = ChainHead(digests[unchained], unchained)
        first = entries[unchained] if unchained < len(entries) else None
        if first is None:
            unproven = unchained
        elif first.number == unchained + 1 and first.previous != head.digest:
            text = f"the {unchained} entries before the chain are not those it begins with: edited, or booked by other code"
            findings.append(Finding("UNPROVEN", place_of(first), text))
            head = ChainHead(first.previous, unchained)
    chained = entries[unchained:]
    findings += _chain(chained, head, digests)
    last = max(digests) if chained else unchained
    checked = 0
    for origin, known in heads:
        checked += 1
        findings += _against_head(origin, known, digests, last)
    end = ChainHead(digests.get(last, ""), last) if chained else ChainHead("", 0)
    return Audit(findings=findings, entries=len(entries), head=end, heads_checked=checked, unproven=unproven)


def compare(log: Sequence[Booked], table: Sequence[Booked]) -> list[Finding]:
    """Where a table differs from the journal in the log (as far as the table has read it), field by field."""
    findings: list[Finding] = []
    found = {entry.entry_id: entry for entry in table}
    wanted = {entry.entry_id for entry in log}
    for entry in log:
        copy = found.get(entry.entry_id)
        if copy is None:
            findings.append(Finding("DROPPED", place_of(entry), "the log has it, the tables do not"))
        elif copy != entry:
            findings += _differences(entry, copy)
    findings += [
        Finding("ADDED", place_of(entry), "the tables have it, the log does not")
        for entry in table
        if entry.entry_id not in wanted
    ]
    return findings


def _digests_of(old: Sequence[Booked]) -> dict[int, str]:
    """By number: what the entries from before the chain would have been given."""
    head, digests = ChainHead(), {0: ""}
    for entry in old:
        head = ChainHead(entry.digest_after(head), head.number + 1)
        digests[head.number] = head.digest
    return digests


def _chain(entries: Sequence[Booked], head: ChainHead, digests: dict[int, str]) -> list[Finding]:
    """Follow the chain from `head` on; fills `digests` with what each entry's content gives."""
    findings: list[Finding] = []
    numbers = {entry.number for entry in entries}
    seen: set[int] = set()
    highest = head.number
    for entry in entries:
        place = place_of(entry)
        if entry.number <= head.number or entry.number in seen:
            findings.append(Finding("ADDED", place, "its number was taken before, or it has none"))
            continue
        if entry.number < highest:
            findings.append(Finding("REORDERED", place, f"it stands behind entry {highest}"))
        missing = [each for each in range(highest + 1, entry.number) if each not in numbers]
        if missing:
            findings.append(Finding("DROPPED", place, f"before it {_range(missing)} missing"))
        seen.add(entry.number)
        highest = max(highest, entry.number)
    carried = {head.number: head.digest} | {entry.number: entry.digest for entry in reversed(entries) if entry.number}
    for entry in entries:
        if entry.number not in seen:
            continue
        seen.discard(entry.number)
        digests[entry.number] = entry.digest_after(ChainHead(entry.previous, entry.number - 1))
        before = carried.get(entry.number - 1)
        if before is not None and before != entry.previous:
            findings.append(Finding("EDITED", place_of(entry), "it does not follow from the entry before it"))
        if digests[entry.number] != entry.digest:
            findings.append(Finding("EDITED", place_of(entry), "its content is not what its digest was made of"))
    return findings


def _against_head(origin: str, known: ChainHead, digests: dict[int, str], last: int) -> list[Finding]:
    if known.number > last:
        text = f"{origin} knows {known.number} entries, there are {last}: the tail is missing"
        return [Finding("TRUNCATED", f"behind entry {last}", text)]
    if known.number in digests and digests[known.number] != known.digest:
        text = f"{origin} knows another digest of it: something up to here was rewritten"
        return [Finding("HEAD_DIFFERS", f"entry {known.number}", text)]
    return []


def _flaws(entry: Booked) -> list[Finding]:
    """What is wrong with an entry for whoever knows no other."""
    findings = []
    if entry.number == 0 and (entry.previous or entry.digest):
        findings.append(Finding("EDITED", place_of(entry), "it has a digest, but no number"))
    if [line.place for line in entry.lines] != list(range(len(entry.lines))):
        findings.append(Finding("EDITED", place_of(entry), "its postings are not numbered from 0 on"))
    sums: dict[str, Decimal] = {}
    try:
        with localcontext(EXACT):
            for line in entry.lines:
                sums[line.asset] = sums.get(line.asset, Decimal(0)) + Decimal(line.amount)
    except (InvalidOperation, ArithmeticError):
        return [*findings, Finding("UNBALANCED", place_of(entry), "an amount is not a number")]
    wrong = [f"{total:+f} {asset[:SHOWN_CHARS_MAX]}" for asset, total in sums.items() if total]
    if wrong or not all(total.is_finite() for total in sums.values()):
        findings.append(Finding("UNBALANCED", place_of(entry), f"its postings sum to {', '.join(wrong)}"))
    return findings


def _differences(entry: Booked, copy: Booked) -> list[Finding]:
    place = place_of(entry)
    findings = [
        Finding("EDITED", f"{place}, {name}", f"the log says {_shown(was)}, the tables say {_shown(now)}")
        for name in COLUMNS
        if (was := getattr(entry, name)) != (now := getattr(copy, name))
    ]
    ours, theirs = ({line.place: line for line in each.lines} for each in (entry, copy))
    for number in sorted({*ours, *theirs}):
        findings += _line_differences(f"{place}, posting {number}", ours.get(number), theirs.get(number))
    return findings


def _line_differences(place: str, line: Line | None, copy: Line | None) -> list[Finding]:
    if line is None:
        return [Finding("ADDED", place, "the tables have it, the log does not")]
    if copy is None:
        return [Finding("DROPPED", place, "the log has it, the tables do not")]
    return [
        Finding("EDITED", f"{place}, {name}", f"the log says {_shown(was)}, the tables say {_shown(now)}")
        for name in ("account", "asset", "amount")
        if (was := getattr(line, name)) != (now := getattr(copy, name))
    ]


def _range(missing: Sequence[int]) -> str:
    if len(missing) == 1:
        return f"entry {missing[0]} is"
    return f"{len(missing)} entries, {missing[0]} to {missing[-1]}, are"


def _shown(value: object) -> str:
    return repr(value)[:SHOWN_CHARS_MAX]
