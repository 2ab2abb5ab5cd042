"""`bulkhead ledger`: books that an auditor would accept: proven, made again, and written by who may."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from libs.runtime.adapter import LogEntry
from libs.trading.journal_audit import Audit
from services.cli import ledger_books as books
from services.cli import trace
from services.cli.answering import answering, show, tell_failure
from services.cli.backup.copying import back_up
from services.cli.change import FOLDER
from services.cli.exit_codes import FINDING, POINTER, USAGE, Failure
from services.cli.options import Dump, Home, Json
from services.cli.place import Place, find_place, stack_settings

SHOWN_MAX = 50

app = typer.Typer(help="The books: proven, made again, and who may write them.", epilog=POINTER, no_args_is_help=True)

Database = Annotated[
    str,
    typer.Option("--database", metavar="URL", help="Another database than the ledger's; a password belongs in a file."),
]


@app.command(epilog=POINTER)
def verify(
    ctx: typer.Context,
    head: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="DIGEST:NUMBER", help="A head that people were told; may be given again."),
    ] = None,
    without_log: Annotated[bool, typer.Option("--without-log", help="The tables alone.")] = False,
    without_database: Annotated[bool, typer.Option("--without-database", help="The log alone.")] = False,
    database: Database = "",
    from_file: Dump = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Prove the journal: its chain, its sums, the heads declared every day, and that log and tables say the same."""
    with answering(as_json):
        if without_log and without_database:
            raise Failure(USAGE, "nothing is left to verify", "leave out one of the two")
        known = [books.head_in(each) for each in head or ()]
        place = find_place(home or ctx.obj)
        url = None if without_database else books.ledger_url(place.home, database)
        tables = None if url is None else books.tables_in(url)
        journal = None
        if not without_log:
            with _log(home or ctx.obj, from_file) as log:
                journal = books.journal_in(log)
        found = books.verify(journal, tables, known)
    show(_verified_json(found) if as_json else _verified_text(found), as_json)
    if found.findings:
        cure = "keep a copy of log and database as they are, then ask who wrote there; docs/ledger.md says what each word means"
        tell_failure(f"the books are not what was booked: {len(found.findings)} findings", cure)
        raise typer.Exit(FINDING)


@app.command(epilog=POINTER)
def rebuild(
    ctx: typer.Context,
    into: Annotated[
        str, typer.Option("--into", metavar="URL", help="An empty database, or a SQLite file that does not exist.")
    ] = "",
    check: Annotated[bool, typer.Option("--check", help="Compare with the database that stands.")] = False,
    database: Database = "",
    from_file: Dump = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make the tables again from the log; with --check, say whether those that stand are the same to the byte."""
    with answering(as_json), tempfile.TemporaryDirectory(prefix="bulkhead-rebuild-") as folder:
        if not into and not check:
            raise Failure(USAGE, "where to?", "name an empty database with --into, or compare with --check")
        place = find_place(home or ctx.obj)
        target = books.ledger_url(place.home, into or f"sqlite:///{folder}/ledger.db")
        standing = books.ledger_url(place.home, database) if check else None
        with _log(home or ctx.obj, from_file) as log:
            answer = _rebuilt(log, target, standing)
    show(answer if as_json else _rebuilt_text(answer), as_json)
    if answer["difference"] is not None:
        cure = "rebuild into an empty database and let the ledger use that; keep the old one until you know why"
        tell_failure("the tables are not what the log makes", cure)
        raise typer.Exit(FINDING)


@app.command(epilog=POINTER)
def migrate(
    ctx: typer.Context,
    roles: Annotated[bool, typer.Option("--roles", help="Make and grant the roles, too (Postgres).")] = False,
    without_backup: Annotated[
        bool, typer.Option("--without-backup", help="Do not copy the log first where there is something to migrate.")
    ] = False,
    database: Database = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Bring the tables up to date as their owner, so that the ledger's own role need not be allowed to. Tables that hold something: the log is copied first."""
    with answering(as_json):
        place = find_place(home or ctx.obj)
        url = books.ledger_url(place.home, database)
        if roles and url.get_backend_name() != "postgresql":
            raise Failure(USAGE, "only Postgres has roles", "leave out --roles; triggers guard the facts here")
        with books.answering_for(url):
            opening = books.ledger("database")
            engine = opening.open_engine(url)
            try:
                if not without_backup and opening.is_behind(engine):
                    _copy_first(place, home or ctx.obj)
                opening.migrate(engine)
                if roles:
                    books.ledger("roles").grant_roles(engine)
                revision = opening.revision_of(engine)
            finally:
                engine.dispose()
    show({"revision": revision, "roles": roles} if as_json else Text(f"the tables are at {revision}"), as_json)


@app.command(epilog=POINTER)
def roles(as_json: Json = False) -> None:
    """Print the SQL that makes the roles of the database and grants them what they may."""
    found = list(books.ledger("roles").role_statements())
    show(found if as_json else Text("\n".join(f"{each};" for each in found)), as_json)


def _copy_first(place: Place, home: Path | None) -> None:
    folder = stack_settings(home, strict=False).backup_folder or place.home / FOLDER
    try:
        made = asyncio.run(back_up(place, folder))
    except Failure as failure:
        text = f"no backup could be made before the migration: {failure.text}"
        raise Failure(failure.code, text, f"{failure.cure}; or migrate without one: --without-backup") from failure
    print(f"backup before the migration: {made.folder} holds the log up to event {made.last_seq}", file=sys.stderr)


@contextmanager
def _log(home: Path | None, from_file: Path | None) -> Iterator[Sequence[LogEntry]]:
    with trace.read_from(from_file) if from_file else trace.read_live(find_place(home)) as log:
        yield log


def _rebuilt(log: Sequence[LogEntry], target: Any, standing: Any) -> dict[str, Any]:
    rebuilding, record = books.ledger("rebuild"), books.ledger("record").Record
    up_to = difference = None
    if standing is not None:
        with books.answering_for(standing), record(standing) as found:
            up_to = found.position()
            with books.answering_for(target):
                position = rebuilding.rebuild(target, log, up_to)
                with record(target) as wanted:
                    difference = rebuilding.first_difference(wanted, found)
                    rows, digest = rebuilding.digest_of(wanted)
    else:
        with books.answering_for(target):
            position = rebuilding.rebuild(target, log)
            with record(target) as wanted:
                rows, digest = rebuilding.digest_of(wanted)
    return {
        "position": position,
        "rows": rows,
        "digest": digest,
        "compared": up_to is not None,
        "difference": difference,
    }


def _rebuilt_text(answer: dict[str, Any]) -> RenderableType:
    lines = [Text(f"{answer['rows']:,} rows up to event {answer['position']}, digest {answer['digest']}")]
    difference = answer["difference"]
    if difference is not None:
        lines.append(Text(f"first difference in {difference.table}", style="bold red"))
        lines.append(Text(f"  the log makes   {difference.wanted or 'no such row'}"))
        lines.append(Text(f"  the tables have {difference.found or 'no such row'}"))
    elif answer["compared"]:
        lines.append(Text("the tables that stand are the same, byte for byte", style="bold green"))
    return Group(*lines)


def _verified_json(found: books.Books) -> dict[str, Any]:
    return {
        "ok": not found.findings,
        "log": _audit_json(found.log),
        "tables": _audit_json(found.tables),
        "position": found.position,
        "findings": [{"in": where, **msgspec.structs.asdict(each)} for where, each in found.findings],
    }


def _audit_json(found: Audit | None) -> dict[str, Any] | None:
    if found is None:
        return None
    names = ("entries", "heads_checked", "unproven")
    return {"head": f"{found.head.digest}:{found.head.number}", **{name: getattr(found, name) for name in names}}


def _verified_text(found: books.Books) -> RenderableType:
    lines = []
    for name, each in (("log", found.log), ("tables", found.tables)):
        if each is None:
            lines.append(Text(f"{name}: not looked at", style="yellow"))
            continue
        heads = f"{each.heads_checked} known heads"
        lines.append(Text(f"{name}: {each.entries:,} entries, {heads}, head {each.head.digest}:{each.head.number}"))
        if each.unproven:
            lines.append(
                Text(f"  {each.unproven} entries are from before the chain: nothing proves them yet", style="yellow")
            )
    for where, finding in found.findings[:SHOWN_MAX]:
        lines.append(Text(f"! {where}: {finding.fault} {finding.place}: {finding.text}", style="bold red"))
    if len(found.findings) > SHOWN_MAX:
        lines.append(Text(f"and {len(found.findings) - SHOWN_MAX} more; --json shows all"))
    if not found.findings:
        lines.append(Text("the books are what was booked", style="bold green"))
    return Group(*lines)
