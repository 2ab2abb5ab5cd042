"""`bulkhead log dump | epochs | roll`: the decision log as a file, its epochs, and the next one."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from libs.runtime.settings import ServiceSettings, load_settings
from services.cli import proof
from services.cli.answering import answering, show
from services.cli.exit_codes import POINTER
from services.cli.log_rolling import EpochLine, Rolled, is_due, roll
from services.cli.log_rolling import epochs as epochs_of
from services.cli.options import Home, Json
from services.cli.place import find_place, stack_settings

app = typer.Typer(help="The decision log: as a file, and by its epochs.", epilog=POINTER, no_args_is_help=True)


@app.command(epilog=POINTER)
def dump(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write the log into a file, one JSON line for each event, to be replayed or traced elsewhere."""
    with answering(as_json):
        count = proof.dump(find_place(home or ctx.obj), path)
    show({"file": str(path), "entries": count} if as_json else Text(f"{count:,} events in {path}"), as_json)


@app.command(epilog=POINTER)
def epochs(ctx: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Show the streams that the log stands in, one after the other."""
    with answering(as_json):
        found = asyncio.run(epochs_of(find_place(home or ctx.obj)))
    show(msgspec.to_builtins(found) if as_json else _table(found), as_json)


@app.command("roll", epilog=POINTER)
def roll_over(
    ctx: typer.Context,
    if_due: Annotated[
        bool,
        typer.Option("--if-due", help="Only when it is as large or as old as BULKHEAD_EPOCH_MB_MAX and _DAYS_MAX say."),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="The book's backup, which holds the old epoch to its end then (default: BULKHEAD_BACKUP_FOLDER).",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have the log go on in another stream, and seal the one it was in. Services begin again in it by themselves; stops rest at the venue."""
    with answering(as_json):
        place, stack = find_place(home or ctx.obj), stack_settings(home or ctx.obj, strict=False)
        newest = asyncio.run(epochs_of(place))[-1]
        due = is_due(newest, mb_max=stack.epoch_mb_max, days_max=stack.epoch_days_max, now=time.time())
        if if_due and not due:
            show({"due": False} if as_json else Text(f"{newest.name} is neither large nor old enough"), as_json)
            return
        shared = load_settings(ServiceSettings, strict=False)
        done = asyncio.run(roll(place, to or stack.backup_folder, shared.log_replicas))
    show(done if as_json else Text(_rolled_text(done)), as_json)


def _rolled_text(done: Rolled) -> str:
    held = f"; the backup holds it up to {done.backed_up_to}" if done.backed_up_to else "; it is in no backup"
    return f"the log goes on in {done.opened} (the bus took {done.seconds:.2f} s); {done.closed} is sealed, up to {done.last_seq}{held}"


def _table(found: list[EpochLine]) -> Table:
    table = Table(box=None, header_style="dim")
    for column in ("epoch", "from", "to", "MB", "since", ""):
        table.add_column(column, justify="right" if column in ("from", "to", "MB") else "left")
    for each in found:
        since = each.began_at.partition(".")[0].replace("T", " ")
        state = "sealed" if each.is_sealed else "takes what is said"
        table.add_row(each.name, f"{each.first_seq:,}", f"{each.last_seq:,}", f"{each.bytes / 1e6:,.1f}", since, state)
    return table
