"""What a paper run came to, as a page for people (docs/paper-run.md)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from libs.desk.book_record import paper_record
from libs.research.graduation import graduation
from libs.trading.track_record import lines
from tests.paper_run.anomalies import Anomaly
from tests.paper_run.driver import PaperRun
from tests.paper_run.weather import MINUTES_A_DAY


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """How it was run: the command, the commit, on what, and how long it took."""

    command: str
    commit: str
    machine: str
    on: str
    wall_s: float


def page(run: PaperRun, told: Circumstances, replays: list[dict[str, Any]]) -> str:
    """The whole page."""
    parts = [_head(run, told), _verdict(run, replays), _record(run), _anomalies(run), _incidents(run), _sizes(run)]
    return "\n".join(parts).rstrip() + "\n"


def _head(run: PaperRun, told: Circumstances) -> str:
    market, days = run.market, run.minutes / MINUTES_A_DAY
    short = "" if days >= run.days else f" of {run.days} that were asked for"
    recorded = ", ".join(market.recorded) or "none (there is no recording where it ran)"
    generated = ", ".join(each for each in market.instruments if each not in market.recorded) or "none"
    events = len(run.stack.entries)
    return f"""# A paper run

Written by `{told.command}` on {told.on} at {told.commit}; {told.machine}. {days:g} {"day" if days == 1 else "days"} of market{short} in {told.wall_s / 60:.0f} minutes, {events:,} events.

The running stack (every service a process, nats-server, `exchange_sim`) is driven through weeks of market in lock-step, with a deployment's settings but for
ages, realistic fills, and {sum(run.struck.values())} incidents; how, is told in [tests/paper_run](../tests/paper_run/driver.py). Days like these never count toward
[graduation](graduation.md): they show that the plumbing holds, not that a strategy earns.

| market | instruments |
|---|---|
| trades drawn through recorded minutes of Binance, from {datetime.fromtimestamp(market.begins / 1e9, UTC):%Y-%m-%d} | {recorded} |
| generated (seed {market.seed}) | {generated} |
"""


def _verdict(run: PaperRun, replays: list[dict[str, Any]]) -> str:
    books = run.anomalies.met.get("books")
    held = f"equal at {run.looks - run.differed} of {run.looks} looks, behind every incident and at every midnight"
    if run.differed:
        held += f"; NOT mended: {books.text}" if books else "; at the others within minutes of market"
    unpinned = ", ".join(each.kind for each in run.anomalies.unpinned) or "none"
    proofs = {str(each["digest"]) for each in replays}
    missed = sum(each["mismatch_count"] for each in replays)
    verified = sum(each["verified"] for each in replays) // max(1, len(replays))
    days = graduation(run.stack.entries).days
    counted = sum(each.counts for each in days)
    reasons = ", ".join(sorted({each.reason for each in days if each.reason}))
    rows = [
        (
            "books and venue: fills, postings, balances, no order sent twice, cover of every position",
            held,
        ),
        ("anomalies that no test pins", unpinned),
        (
            "`replay --verify` of the whole log, in fresh processes",
            f"{verified:,} events verified, {missed} mismatches, {len(proofs)} digest under {len(replays)} hash seeds",
        ),
        ("days that count toward graduation", f"{counted} of {len(days)} ({reasons})"),
        ("stopped in", f"{run.seconds_to_stop:.1f} s"),
    ]
    return _table("What held", ("what", "observed"), rows)


def _record(run: PaperRun) -> str:
    record = paper_record(run.stack.entries)
    said = "\n".join(lines(record)) if record is not None else "no equity was known"
    denied = ", ".join(f"{code} {count}" for code, count in run.denials.most_common()) or "none"
    return f"""## The baseline

What the book did, as `bulkhead graduate` would tell it, faults and all. Read the intervals, not the figures.

```
{said}
```

Orders: {run.approved} approved; denied by check: {denied}.
"""


def _anomalies(run: PaperRun) -> str:
    rows = [
        (each.kind, each.count, _instant(each.first_ts), _text(each), _behind(each), _link(each.pinned_by))
        for each in sorted(run.anomalies.met.values(), key=lambda each: each.first_ts)
    ]
    head = ("anomaly", "times", "first", "in its words", "behind", "pinned by")
    return _table("What it met", head, rows or [("none", "", "", "", "", "")])


def _incidents(run: PaperRun) -> str:
    rows = [(name, count) for name, count in sorted(run.struck.items())]
    return _table("What was done to it", ("incident", "times"), rows)


def _sizes(run: PaperRun) -> str:
    if not run.sizes:
        return ""
    first, last = run.sizes[min(1, len(run.sizes) - 1)], run.sizes[-1]
    rows: list[tuple[Any, ...]] = [
        (name, first.rss_mib[name], last.rss_mib[name], max(each.rss_mib[name] for each in run.sizes))
        for name in last.rss_mib
    ]
    rows.append(("all", sum(first.rss_mib.values()), sum(last.rss_mib.values()), ""))
    words = f"MiB resident at the end of day {min(2, len(run.sizes))} and of day {len(run.sizes)}"
    return _table(f"Memory: {words}", ("process", "then", "at the end", "most"), rows)


def _table(title: str, head: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> str:
    columns = tuple(head)
    told = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join([f"## {title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *told, ""])


def _instant(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1e9, UTC):%Y-%m-%d %H:%M}"


def _text(each: Anomaly) -> str:
    return each.text.replace("|", "/").replace("\n", " ")[:160]


def _behind(each: Anomaly) -> str:
    return ", ".join(f"{name} {count}" for name, count in each.behind.most_common(4))


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name}](../{path})" if test else "**no test**"


def write(place: Path, text: str) -> None:
    """Put the page where it belongs."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
