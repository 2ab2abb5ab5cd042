"""`bulkhead backup | backup verify | backup drill | restore`: copies of a book that prove themselves, and the way back."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy import URL

from libs.common.ids import derive_id
from libs.common.messages import RestoreProven
from libs.desk.commands import stamped
from libs.desk.saying import day_and_time_of
from libs.runtime.registry import parts
from libs.runtime.replay import ReplayReport, replay
from services.cli import command
from services.cli import ledger_books as books
from services.cli.answering import answering, show, tell_failure
from services.cli.backup.archive import MANIFEST, BadArchive, Manifest
from services.cli.backup.copying import FACTS_CURE, Made, back_up, keep_backed_up
from services.cli.backup.drilling import Drilled, keep_drilled
from services.cli.backup.project_facts import NotEmpty, put_back
from services.cli.backup.restoring import Restored, facts_in, proven, refilled
from services.cli.backup.restoring import restore as bring_back
from services.cli.exit_codes import BAD_DUMP, CONFIG, FINDING, NOT_YET, POINTER, UNAVAILABLE, Failure, failing_clearly
from services.cli.log_dump import Spool, read_dump
from services.cli.options import Home, Json
from services.cli.place import Place, find_place, stack_settings
from services.cli.proof import copy_log
from services.cli.research_place import database_at_hand
from services.cli.trial_counting import FILE as TRIALS_FILE
from services.cli.trial_counting import place_of

app = typer.Typer(epilog=POINTER)
DRILL_TRIES_MAX = 3

Folder = Annotated[
    Path | None,
    typer.Argument(metavar="FOLDER", help="The backup (default: BULKHEAD_BACKUP_FOLDER).", show_default=False),
]
WithoutReplay = Annotated[
    bool, typer.Option("--without-replay", help="Digests and chain only, not what the machines make of it.")
]


@app.callback(invoke_without_command=True)
def backup(
    ctx: typer.Context,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="The folder, one for each book (default: BULKHEAD_BACKUP_FOLDER).", show_default=False
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until ended: a copy some seconds behind the log.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Copy what is new in the log into a folder, which only grows; the stack may run or not. Keys are not copied, tables neither: the log makes them."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = home or ctx.obj
        return
    with answering(as_json):
        place = find_place(home or ctx.obj)
        folder = _folder(to, place.home)
        if follow:
            asyncio.run(_followed(place, folder, as_json))
            return
        made = asyncio.run(back_up(place, folder))
    show(made if as_json else Text(_made_text(made)), as_json)
    if made.missing:
        tell_failure(made.missing, FACTS_CURE)
        raise typer.Exit(UNAVAILABLE)


@app.command(epilog=POINTER)
def verify(
    ctx: typer.Context, folder: Folder = None, without_replay: WithoutReplay = False, as_json: Json = False
) -> None:
    """Prove a backup without a server: every file, every entry, the chain, the journal, and that the machines derive it again."""
    with answering(as_json):
        place = _folder(folder, stack_settings(ctx.obj, strict=False).home)
        began = time.monotonic()
        manifest, last_seq, head = proven(place)
        with Spool() as spool:
            for entry in read_dump(place):
                spool.append(entry)
            report = None if without_replay else replay(lambda: spool, parts())
            journal = books.verify(books.journal_in(spool), None, [])
    answer = {
        "folder": str(place),
        "stream": manifest.stream,
        "first_seq": manifest.first_seq,
        "last_seq": last_seq,
        "head": head,
        "made_at": manifest.made_at,
        "files": [each.path for each in manifest.files],
        "replay": _replay_json(report),
        "journal_findings": [msgspec.to_builtins(each) for each in journal.findings],
        "seconds": round(time.monotonic() - began, 3),
    }
    show(answer if as_json else _verified_text(answer), as_json)
    if (report is not None and not report.is_clean) or journal.findings:
        tell_failure(
            "the backup is whole, and what it holds is not what the machines say",
            "the log it was copied from is in doubt, not the copy: `bulkhead replay --verify` and `bulkhead ledger verify` there",
        )
        raise typer.Exit(FINDING)


@app.command(epilog=POINTER)
def drill(ctx: typer.Context, folder: Folder = None, home: Home = None, as_json: Json = False) -> None:
    """Bring the backup back into an empty bus, compare, replay, and take it away again; a running stack's log is told that it worked."""
    with answering(as_json), tempfile.TemporaryDirectory(prefix="bulkhead-drill-") as scratch:
        place = find_place(home or ctx.obj)
        source = _folder(folder, place.home)
        began = time.monotonic()
        restored, report, facts = asyncio.run(_drilled(source, Path(scratch)))
        took_s = time.monotonic() - began
        if report.is_clean:
            event, untold = asyncio.run(_tell_proven(place, restored, took_s))
        else:
            event, untold = 0, "it is not proven"
    times = {
        "proving_s": restored.proving_s,
        "filling_s": restored.filling_s,
        "reading_back_s": restored.reading_back_s,
    }
    answer = {
        "folder": str(source),
        "last_seq": restored.last_seq,
        "head": restored.head,
        **times,
        "seconds": round(took_s, 3),
        "replay": _replay_json(report),
        "facts": facts,
        "event": event,
        "untold": untold,
    }
    show(answer if as_json else _drilled_text(answer), as_json)
    if not report.is_clean:
        cure = "the log it was copied from is in doubt: `bulkhead replay --verify` there"
        tell_failure("the backup came back, and its log is not what the machines say", cure)
        raise typer.Exit(FINDING)


@app.command(epilog=POINTER)
def trials(ctx: typer.Context, folder: Folder = None, home: Home = None, as_json: Json = False) -> None:
    """Put trials and studies that stood in Postgres back into the project's database, which must hold none. The ledger's tables come from the log."""
    with answering(as_json), database_at_hand():
        settings = stack_settings(home or ctx.obj, strict=False)
        source = _folder(folder, settings.home)
        content = facts_in(source, proven(source)[0])
        if content is None:
            raise Failure(
                FINDING, f"{source} holds no trials of a Postgres database", "`bulkhead restore` brings back files"
            )
        url = place_of("", os.environ)
        if url.get_backend_name() == "sqlite":
            url = url.set(database=str(settings.home / TRIALS_FILE))
        try:
            rows = _put_back(content, url)
        except NotEmpty as error:
            cure = "name an empty database with DATABASE_URL; two counts that were added up would be neither"
            raise Failure(NOT_YET, f"nothing was put back: {error}", cure) from error
    where = url.render_as_string(hide_password=True)
    text = f"{rows} rows of trials and studies put back into {where}"
    show({"rows": rows, "database": where} if as_json else Text(text), as_json)


def restore(
    ctx: typer.Context,
    folder: Folder = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="The new state folder: empty, or not there yet.", show_default=False)
    ] = None,
    to_event: Annotated[
        int | None, typer.Option("--to-event", min=1, help="Only up to this event, as if nothing had been later.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a book anew from its backup, in an empty state folder. It is HALTED until a human who has compared it with the venue resumes."""
    with answering(as_json):
        target = home or ctx.obj
        if target is None:
            raise Failure(CONFIG, "where to?", "name a new state folder with --home")
        restored = asyncio.run(bring_back(_folder(folder, target), target, to_event))
    show(restored if as_json else _restored_text(restored), as_json)


async def _followed(place: Place, folder: Path, as_json: bool) -> None:
    """Until somebody ends it, which brings one last copy."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    days = stack_settings(place.home, strict=False).backup_drill_days
    said = partial(_heard, as_json=as_json)
    drills = asyncio.create_task(keep_drilled(place.home, folder, days, said, stop)) if days else None
    try:
        await keep_backed_up(place, folder, said, stop)
    finally:
        stop.set()
        if drills is not None:
            await drills


def _folder(told: Path | None, home: Path) -> Path:
    folder = told or stack_settings(home, strict=False).backup_folder
    if folder is None:
        raise Failure(CONFIG, "no folder is named for the backup", "name one with --to, or set BULKHEAD_BACKUP_FOLDER")
    return folder


# --- drill ------------------------------------------------------------------------------------------------------


async def _drilled(folder: Path, scratch: Path) -> tuple[Restored, ReplayReport, int]:
    """What came back, what the machines make of it, and how many rows of trials and studies. An archive that grew while it was read is read again."""
    for left in reversed(range(DRILL_TRIES_MAX)):
        before = _digest(folder)
        try:
            async with refilled(folder, scratch / "home") as (place, restored, manifest):
                facts = _facts_there_and_back(folder, manifest, scratch)
                with Spool() as spool:
                    await copy_log(place, spool.append)
                    return restored, await asyncio.to_thread(replay, lambda: spool, parts()), facts
        except Failure as failure:
            if failure.code != BAD_DUMP or not left or _digest(folder) == before:
                raise
    raise AssertionError("the last try returns or raises")


def _digest(folder: Path) -> bytes:
    with suppress(OSError):
        return (folder / MANIFEST).read_bytes()
    return b""


def _facts_there_and_back(folder: Path, manifest: Manifest, scratch: Path) -> int:
    """How many rows of trials and studies came back into an empty database, and read as they should."""
    content = facts_in(folder, manifest)
    return 0 if content is None else _put_back(content, URL.create("sqlite", database=str(scratch / "facts.db")))


def _put_back(content: bytes, url: URL) -> int:
    try:
        return put_back(content, url)
    except BadArchive as error:
        raise Failure(BAD_DUMP, str(error), "take the version of bulkhead that made the backup") from error


async def _tell_proven(place: Place, restored: Restored, took_s: float) -> tuple[int, str]:
    """The event that says so and nothing, or 0 and why the log was not told."""

    def message(writer: str, tail: int) -> RestoreProven:
        fact = RestoreProven(
            origin=restored.origin,
            last_seq=restored.last_seq,
            head=restored.head,
            proven_at=time.time_ns(),
            took_ms=round(took_s * 1000),
            author=command.operator_name(),
        )
        return stamped(fact, writer, derive_id("restore_proven", writer, tail, restored.head), now)

    try:
        with failing_clearly():
            async with command.speaking(place) as (bus, now):
                return (await command.append(bus, "the drill", message))[0], ""
    except Failure as failure:
        return 0, failure.text


# --- words ------------------------------------------------------------------------------------------------------


def _heard(heard: Made | Drilled | Failure, as_json: bool) -> None:
    if isinstance(heard, Failure):
        tell_failure(heard.text, heard.cure)
    elif isinstance(heard, Drilled):
        show({"drilled": heard} if as_json else Text(f"brought back and compared: {heard.said}"), as_json)
    else:
        show(heard if as_json else Text(_made_text(heard)), as_json)


def _made_text(made: Made) -> str:
    if not made.last_seq:
        return f"{made.folder}: the log is empty, and so is its backup"
    told = f"; event {made.event} says so" if made.event else ""
    untold = f"\nnot told to the log: {made.untold}" if made.untold else ""
    files = f", and {', '.join(made.files)}" if made.files else ""
    return (
        f"{made.folder} holds {made.stream} up to event {made.last_seq} ({made.added} of them new{files})"
        f"\nhead {made.head}{told}{untold}"
    )


def _replay_json(report: ReplayReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "clean": report.is_clean,
        "events": report.events,
        "verified": report.verified,
        "other_code": report.other_code,
        "mismatches": report.mismatch_count,
        "digest": report.digest,
    }


def _replay_text(report: dict[str, Any] | None) -> str:
    if report is None:
        return "not replayed"
    other = f", {report['other_code']:,} were written by other code" if report["other_code"] else ""
    return f"{report['verified']:,} of {report['events']:,} events derived again, {report['mismatches']} differ{other}"


def _rows(*rows: tuple[str, str]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="cyan")
    table.add_column()
    for name, text in rows:
        table.add_row(name, Text(text))
    return table


def _verified_text(answer: dict[str, Any]) -> RenderableType:
    made = day_and_time_of(answer["made_at"])
    findings = [Text(f"! {each['place']}: {each['text']}", style="bold red") for each in answer["journal_findings"]]
    rows = _rows(
        ("backup", f"{answer['folder']}, of {made}"),
        (
            "log",
            f"{answer['stream']}, events {answer['first_seq']} to {answer['last_seq']}: every file and entry is what it was",
        ),
        ("head", answer["head"]),
        ("replay", _replay_text(answer["replay"])),
        ("journal", f"{len(answer['journal_findings'])} findings"),
        ("files", ", ".join(answer["files"]) or "none"),
        ("took", f"{answer['seconds']:.1f} s"),
    )
    return Group(rows, *findings)


def _drilled_text(answer: dict[str, Any]) -> RenderableType:
    told = f"event {answer['event']}" if answer["event"] else f"no: {answer['untold']}"
    return _rows(
        ("backup", f"{answer['folder']}, up to event {answer['last_seq']}"),
        ("head", f"{answer['head']}: in the files, and read back from a bus that was empty"),
        ("replay", _replay_text(answer["replay"])),
        *([("trials", f"{answer['facts']} rows back in an empty database")] if answer["facts"] else []),
        ("proving", f"{answer['proving_s']:.1f} s"),
        ("filling", f"{answer['filling_s']:.1f} s"),
        ("reading", f"{answer['reading_back_s']:.1f} s"),
        ("in all", f"{answer['seconds']:.1f} s"),
        ("told", told),
    )


def _restored_text(restored: Restored) -> RenderableType:
    made = day_and_time_of(restored.backup_made_at)
    rows = _rows(
        ("book", f"{restored.home}, events {restored.first_seq} to {restored.last_seq}, from the backup of {made}"),
        ("head", f"{restored.head}: in the files, and read back from the bus"),
        ("files", ", ".join(restored.files) or "none"),
        *([("trials", restored.facts)] if restored.facts else []),
        ("took", f"{restored.proving_s + restored.filling_s + restored.reading_back_s:.1f} s"),
    )
    following = (
        f"It is HALTED. `bulkhead up --home {restored.home}` starts it: the executor compares it with the venue first. Look at"
        " `bulkhead status`; once books and venue agree: `bulkhead resume --reason ...`"
    )
    return Group(rows, Text(following, style="bold"))
