"""`bulkhead replay` and `bulkhead log dump`: the log of a live system, or a dump of one, through the machines at hand.

A live log is copied to a temporary file first, so that memory does not grow with it and the proof, which reads twice, sees the
same log both times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from libs.runtime.adapter import LogEntry
from libs.runtime.registry import parts
from libs.runtime.replay import ReplayReport, replay
from services.cli.exit_codes import BAD_DUMP, CANNOT_WRITE, FINDING, OK, Failure
from services.cli.log_dump import Spool, read_dump
from services.cli.log_lines import BadDump, line_of
from services.cli.observer import observing
from services.cli.place import Place

Read = Callable[[], Iterable[LogEntry]]


async def copy_log(place: Place, take: Callable[[LogEntry], None]) -> int:
    """Hand every entry of the log, as it ends now, to `take`; returns how many there were.

    Raises:
        Failure, KeysError, BusError.
    """
    count = 0
    async with observing(place) as observer:
        size = await observer.size()
        async for entry in observer.entries(max(size.first_seq, 1), size.last_seq):
            take(entry)
            count += 1
    return count


@contextmanager
def spooled(place: Place) -> Iterator[Spool]:
    """The log of a running stack as a temporary file."""
    with Spool() as spool:
        asyncio.run(copy_log(place, spool.append))
        yield spool


def dump(place: Place, path: Path) -> int:
    """Write the log into a new file at `path`, whole or not at all; returns the number of entries.

    Raises:
        Failure: the file is there already or cannot be written, or the log cannot be read.
    """
    if path.exists():
        raise Failure(CANNOT_WRITE, f"{path} is there already", "name a new file, or remove that one")
    draft = path.with_name(f"{path.name}.draft")
    try:
        with draft.open("wb") as file:
            count = asyncio.run(copy_log(place, lambda entry: _write(file, entry)))
        draft.replace(path)
    except OSError as error:
        raise Failure(
            CANNOT_WRITE, f"cannot write {path}: {error.strerror}", "name a file that can be written"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return count


def _write(file: Any, entry: LogEntry) -> None:
    file.write(line_of(entry))


def prove_dump(path: Path) -> ReplayReport:
    """Replay a dump.

    Raises:
        Failure: it cannot be read as one.
    """
    try:
        return replay(lambda: read_dump(path), parts())
    except BadDump as error:
        raise Failure(BAD_DUMP, str(error), "dump the log again: `bulkhead log dump FILE`") from error
    except OSError as error:
        raise Failure(
            BAD_DUMP, f"cannot read {path}: {error.strerror}", "name a file made by `bulkhead log dump`"
        ) from error


def prove_live(place: Place) -> ReplayReport:
    """Replay the log of a running stack as it stands now."""
    with spooled(place) as log:
        return replay(lambda: log, parts())


def proves_nothing(report: ReplayReport) -> bool:
    """Whether every derived event of the log was written by other code than is at hand."""
    return report.verified == 0 and report.other_code > 0


def exit_code_of(report: ReplayReport, *, verify: bool) -> int:
    """1 on any mismatch; under `--verify` also when nothing at all could be compared."""
    return FINDING if not report.is_clean or (verify and proves_nothing(report)) else OK


def complaint(report: ReplayReport) -> tuple[str, str]:
    """What is wrong with this log, and what to do."""
    if report.is_clean:
        return (
            "nothing was compared: the log was written by other code",
            "check out the code that wrote it and replay there; `--json` shows its versions under `spans`",
        )
    return (
        f"{report.mismatch_count} events of the log are not what these machines derive",
        "`bulkhead halt`, then `bulkhead log dump` as evidence: somebody wrote what no machine said, or a machine is not"
        " deterministic",
    )


def proof_json(report: ReplayReport) -> dict[str, Any]:
    """For scripts."""
    return {
        "clean": report.is_clean,
        "events": report.events,
        "taken_as_input": report.taken_as_input,
        "verified": report.verified,
        "other_code": report.other_code,
        "undecodable": report.undecodable,
        "unpublished": report.unpublished,
        "mismatches": report.mismatch_count,
        "mismatch_list": report.mismatches,
        "digest": report.digest,
        "last_seq": report.last_seq,
        "spans": report.spans,
    }


def proof_text(report: ReplayReport) -> RenderableType:
    """For people."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for count, meaning in (
        (report.events, f"events, up to {report.last_seq}"),
        (report.taken_as_input, "taken as input: prices, timers, recorded answers, commands"),
        (report.verified, "derived again, byte for byte the same"),
        (report.other_code, "written by other code than this, not compared"),
        (report.undecodable, "not events at all, given to the machines as such"),
        (report.unpublished, "derived but not in the log yet"),
        (report.mismatch_count, "mismatches"),
    ):
        table.add_row(f"{count:,}", meaning)
    found = [
        Text(f"! {each.seq:>8} {each.writer} {each.kind}: {each.detail}", style="bold red")
        for each in report.mismatches
    ]
    spans = [
        Text(f"{writer} was written by {len(versions)} versions of its code: {' '.join(versions)}", style="dim")
        for writer, versions in sorted(report.spans.items())
        if len(versions) > 1
    ]
    return Group(table, *found, *spans, Text(f"digest {report.digest}", style="dim"), _verdict(report))


def _verdict(report: ReplayReport) -> Text:
    if not report.is_clean:
        return Text("the log is NOT what these machines say", style="bold red")
    if proves_nothing(report):
        return Text("nothing was compared: the log was written by other code", style="bold yellow")
    return Text("clean: every derived event of this code was derived again, byte for byte", style="bold green")
