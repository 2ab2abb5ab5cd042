"""The report as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.load.breaking import Found, faults_of
from benchmarks.load.event_path import BARS, MARKS, WHOLE, WRITTEN
from benchmarks.load.processes import Cost
from benchmarks.load.stand import Step
from benchmarks.load.symbols import SYMBOLS_MAX
from benchmarks.load.told import Row

GROUPS = ("feed", "decide", "submit", "book", "operate", "read", "api", "venue")
DENIALS_SHOWN = 4


def of_step(step: Step) -> str:
    """Everything of one step."""
    heard, faults = step.heard, faults_of(step.signs)
    lines = [
        f"\n== {step.count} instruments: {'BROKE: ' + '; '.join(faults) if faults else 'held'}",
        f"   up, and warm opinions of all instruments in the log, after {step.up_s:.0f} s; window {heard.seconds:.0f} s;"
        f" {heard.messages / heard.seconds:.1f} messages of the log a second",
        f"   prices older than the gate's limit: {heard.stale_share:.2%} of all instruments' time,"
        f" {heard.stale_instruments} instruments at one time or another",
        f"   ledger on Postgres: {step.rows_per_s:.1f} rows/s in {step.commits_per_s:.1f} commits/s; at most"
        f" {step.projection_behind[0]} events, {step.projection_behind[1]:.1f} s behind",
        f"   behind the log at most (messages): {_counts(step.lags) or 'nobody'}",
        f"   request weight the venue counted, at most in a minute: {step.weight} (Binance allows 6000; some 150 are the watchers')",
        f"   refused by the gate: {_counts(heard.denied, DENIALS_SHOWN) or 'nothing'}",
        "",
        *latencies(heard.rows),
        "",
        *costs(step.costs, step.others_cores),
    ]
    lines += [f"   failed: {error}" for error in heard.errors]
    return "\n".join(lines)


def latencies(rows: Sequence[Row]) -> list[str]:
    """The table of Locust's statistics, without names of which nothing was seen in the window."""
    found = [f"   {'latency (ms)':<66}{'samples':>8}{'p50':>7}{'p95':>7}{'p99':>7}{'max':>7}"]
    seen = [row for row in rows if row.samples or row.failures]
    for row in sorted(seen, key=lambda each: (_place(each.group), each.name)):
        label = f"{row.group:<9}{row.name}"
        failed = f"  {row.failures} failed" if row.failures else ""
        numbers = f"{row.samples:>8}{row.p50:>7}{row.p95:>7}{row.p99:>7}{row.most:>7}"
        found.append(f"   {label:<66}{numbers}{failed}")
    return found


def costs(each: Iterable[Cost], others: float) -> list[str]:
    """The table of processes."""
    found = [f"   {'process':<20}{'cores':>7}{'MiB':>7}"]
    found += [f"   {cost.name:<20}{cost.cpu:>7.2f}{cost.memory_mib:>7.0f}" for cost in each]
    return [*found, f"   {'not ours':<20}{others:>7.2f}"]


def of_all(steps: Mapping[int, Step]) -> str:
    """One line for each count."""
    head = (
        "instruments",
        "stale",
        "marks p99",
        "bars p99",
        "verdict p99",
        "written p99",
        "rows/s",
        "feed",
        "sim",
        "all ours",
        "others",
        "",
    )
    lines = ["\n== all steps (p99 in ms; feed, exchange_sim, all ours and others in cores)", _line(head)]
    for count, step in sorted(steps.items()):
        used = {cost.name: cost.cpu for cost in step.costs}
        p99 = {(row.group, row.name): str(row.p99) for row in step.heard.rows if row.samples}
        lines.append(
            _line(
                (
                    str(count),
                    f"{step.heard.stale_share:.1%}",
                    *(p99.get(key, "-") for key in (MARKS, BARS, WHOLE, WRITTEN)),
                    f"{step.rows_per_s:.0f}",
                    f"{used.get('market-feed', 0):.2f}",
                    f"{used.get('exchange-sim', 0):.2f}",
                    f"{sum(used.values()):.2f}",
                    f"{step.others_cores:.2f}",
                    "BROKE" if faults_of(step.signs) else "held",
                )
            )
        )
    return "\n".join(lines)


def of_breaking(found: Found, limit: int) -> str:
    """The answer."""
    if found.broke is None:
        return f"\nThe staleness limit was not broken up to {limit} instruments; a book may have {SYMBOLS_MAX}."
    held = f"{found.held} held" if found.held else "no smaller number was seen to hold"
    return f"\nThe staleness limit breaks at {found.broke} instruments ({held}). Who broke: see the cores of feed and exchange_sim above."


def of_capacity(rates: Mapping[str, float]) -> str:
    """What the projection could write, measured alone."""
    return (
        f"ledger's projection alone, before any step: {rates['ours_rows_per_s']:.0f} rows/s on Postgres,"
        f" {rates['ratio']:.0%} of bare psycopg ({rates['bare_rows_per_s']:.0f})"
    )


def not_up(count: int, why: str) -> str:
    """A step that never came to its window."""
    return f"\n== {count} instruments: BROKE: never came up\n   " + why.replace("\n", "\n   ")


def _counts(found: Mapping[str, int], most: int | None = None) -> str:
    ranked = sorted(((number, name) for name, number in found.items() if number), reverse=True)
    return ", ".join(f"{name} {number}" for number, name in ranked[:most])


def _place(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _line(cells: Sequence[str]) -> str:
    return "   " + "".join(f"{cell:>12}" for cell in cells)
